"""Section M: golden cases, worked out by hand."""

from __future__ import annotations

import pytest

from payload import metrics


@pytest.mark.parametrize(
    ("values", "area"),
    [([0.1, 0.2, 0.3], 0.2), ([0.4], 0.4), ([], 0.0), ([0.0, 1.0], 0.5), ([0.2, 0.6, 0.4, 0.8], 0.5)],
)
def test_area_under_the_curve_is_the_trapezoid_over_epochs(values: list[float], area: float) -> None:
    assert metrics.area_under_curve(values) == pytest.approx(area, abs=1e-15)


def test_the_last_window_can_be_the_one_that_converges() -> None:
    assert metrics.convergence_epoch([0.1, 0.5, 0.5002, 0.5001, 0.5, 0.5003]) == 6


def test_a_curve_that_still_moves_has_not_converged() -> None:
    assert metrics.convergence_epoch([0.1, 0.2, 0.3, 0.4, 0.5, 0.501]) is None
    assert metrics.convergence_epoch([0.5] * 4) is None
    assert metrics.convergence_epoch([0.5] * 5) == 5


def test_learning_curve_metrics() -> None:
    curve = metrics.learning_curve([0.1, 0.4, 0.3, 0.6])
    assert curve["final"] == 0.6
    assert curve["max"] == 0.6
    assert curve["min"] == 0.1
    assert curve["mean"] == pytest.approx(0.35)
    assert curve["std"] == pytest.approx(0.18027756377319946)
    assert curve["auc"] == pytest.approx((0.25 + 0.35 + 0.45) / 3)
    assert curve["improvement_rate"] == pytest.approx(0.5 / 3)
    assert curve["convergence_epoch"] is None


def test_an_empty_curve_has_no_numbers_rather_than_zeros() -> None:
    assert metrics.learning_curve([])["final"] is None
    assert metrics.aggregate([]) == {"mean": None, "std": None, "min": None, "max": None, "median": None, "count": 0}
    assert metrics.overfitting([], [])["final_gap"] is None
    assert metrics.efficiency([], [])["accuracy_per_second"] is None


def test_aggregate_takes_the_middle_of_an_even_count() -> None:
    assert metrics.aggregate([4.0, 1.0, 3.0, 2.0]) == {"mean": 2.5, "std": pytest.approx(1.118033988749895), "min": 1.0, "max": 4.0, "median": 2.5, "count": 4}


def test_efficiency_is_per_second_of_training() -> None:
    found = metrics.efficiency([0.1, 0.5, 0.5, 0.5, 0.5, 0.5], [2.0, 1.0, 1.0, 1.0, 1.0, 4.0])
    assert found["total_time"] == 10.0
    assert found["accuracy_per_second"] == pytest.approx(0.05)
    assert found["learning_efficiency"] == pytest.approx(0.04)
    assert found["convergence_epoch"] == 6
    assert found["convergence_time"] == 10.0
    assert found["epoch_time_mean"] == pytest.approx(10 / 6)


@pytest.mark.parametrize(("gap", "word"), [(0.0, "none"), (-0.3, "none"), (0.06, "mild"), (0.12, "moderate"), (0.5, "severe")])
def test_overfitting_is_named_by_the_final_gap(gap: float, word: str) -> None:
    assert metrics.overfitting([0.5 + gap], [0.5])["severity"] == word


def test_overfitting_gaps() -> None:
    found = metrics.overfitting([0.2, 0.6, 0.9], [0.2, 0.5, 0.6])
    assert found["max_gap"] == pytest.approx(0.3)
    assert found["mean_gap"] == pytest.approx(0.4 / 3)
    assert found["ratio"] == pytest.approx(1.5)
    assert found["stability"] == pytest.approx(1 - 0.12472191289246472)
