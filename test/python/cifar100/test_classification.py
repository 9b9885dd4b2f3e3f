"""M3 against definitions taken literally."""

from __future__ import annotations

import numpy as np
import pytest

from payload.classification import average_precision, classification_metrics, roc_auc


def pairs_won(positive: np.ndarray, scores: np.ndarray) -> float:
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[positive] for b in scores[~positive]]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("seed", range(5))
def test_roc_area_is_the_share_of_pairs_in_order_ties_counting_half(seed: int) -> None:
    random = np.random.RandomState(seed)
    positive = random.rand(40) < 0.3
    positive[:2] = [True, False]
    scores = random.randint(0, 6, 40) / 6.0
    assert roc_auc(positive, scores) == pytest.approx(pairs_won(positive, scores), abs=1e-12)


def test_average_precision_of_a_known_ranking() -> None:
    # Ranked: hit, miss, hit, miss. Precision at the hits: 1, 2/3.
    assert average_precision(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)


def test_tied_scores_are_one_threshold() -> None:
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5])) == pytest.approx(0.5)


def test_classes_that_never_occur_are_left_out() -> None:
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    found = classification_metrics(labels, probabilities)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["class_accuracy"]["per_class"] == [0.5, 1.0, None]
    assert found["class_accuracy"]["min"] == 0.5
    assert found["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found["roc_auc"]["per_class"][2] is None
    assert found["roc_auc"]["ovr"] == pytest.approx(1.0)


def test_a_hundred_classes_have_no_confusion_matrix() -> None:
    random = np.random.RandomState(0)
    probabilities = random.dirichlet(np.ones(100), 50)
    found = classification_metrics(random.randint(0, 100, 50), probabilities)
    assert found["confusion"] is None
    assert 0 <= found["roc_auc"]["ovo"] <= 1
