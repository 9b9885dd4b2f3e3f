"""Section M: metrics of a training's curves. Plain Python on lists of floats; every formula stands in its comment. Accuracies are fractions, times seconds."""

from __future__ import annotations

import math
from typing import Sequence

WINDOW = 5
THRESHOLD = 0.001


def area_under_curve(values: Sequence[float]) -> float:
    """M1: trapezoid over the epochs, divided by (n - 1), so it lies between least and greatest value. Empty: 0; one point: the value itself."""
    count = len(values)
    if count == 0:
        return 0.0
    if count == 1:
        return float(values[0])
    return (math.fsum(values) - (values[0] + values[-1]) / 2) / (count - 1)


def aggregate(values: Sequence[float]) -> dict[str, float | int | None]:
    """M6: mean, population standard deviation, least, greatest, median and count; None where there is no value."""
    count = len(values)
    if count == 0:
        return {"mean": None, "std": None, "min": None, "max": None, "median": None, "count": 0}
    mean = math.fsum(values) / count
    ordered = sorted(values)
    middle = count // 2
    median = ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / count)
    return {"mean": mean, "std": deviation, "min": ordered[0], "max": ordered[-1], "median": median, "count": count}


def convergence_epoch(values: Sequence[float], window: int = WINDOW, threshold: float = THRESHOLD) -> int | None:
    """Number (from 1) of the first epoch that ends `window` epochs whose values differ by less than `threshold`; None: never. The last window counts too."""
    for end in range(window, len(values) + 1):
        part = values[end - window : end]
        if max(part) - min(part) < threshold:
            return end
    return None


def learning_curve(values: Sequence[float]) -> dict[str, float | int | None]:
    """M2. improvement_rate: (last - first) / (n - 1), per epoch; 0 with fewer than two epochs."""
    count = len(values)
    summary = aggregate(values)
    return {
        "final": float(values[-1]) if count else None,
        "max": summary["max"],
        "min": summary["min"],
        "mean": summary["mean"],
        "std": summary["std"],
        "auc": area_under_curve(values),
        "convergence_epoch": convergence_epoch(values),
        "improvement_rate": (values[-1] - values[0]) / (count - 1) if count > 1 else 0.0,
    }


def efficiency(values: Sequence[float], epoch_times: Sequence[float]) -> dict[str, float | int | None]:
    """M4. accuracy_per_second: best value / total seconds; learning_efficiency: gain from the first to the best value per second of training."""
    total = math.fsum(epoch_times)
    converged = convergence_epoch(values)
    times = aggregate(epoch_times)
    has_time = total > 0 and len(values) > 0
    return {
        "total_time": total,
        "accuracy_per_second": max(values) / total if has_time else None,
        "learning_efficiency": (max(values) - values[0]) / total if has_time else None,
        "convergence_epoch": converged,
        "convergence_time": math.fsum(epoch_times[:converged]) if converged else None,
        "epoch_time_mean": times["mean"],
        "epoch_time_std": times["std"],
    }


# Final gap between training and validation accuracy, from which on the word holds.
SEVERITIES = ((0.20, "severe"), (0.10, "moderate"), (0.05, "mild"), (-math.inf, "none"))


def overfitting(train: Sequence[float], validation: Sequence[float]) -> dict[str, float | str | None]:
    """M5: gap = training - validation accuracy, epoch by epoch. stability: 1 - std of the gap; ratio: final training / final validation accuracy."""
    gaps = [a - b for a, b in zip(train, validation)]
    if not gaps:
        return {"max_gap": None, "final_gap": None, "mean_gap": None, "severity": None, "stability": None, "ratio": None}
    summary = aggregate(gaps)
    final = gaps[-1]
    deviation = summary["std"]
    return {
        "max_gap": summary["max"],
        "final_gap": final,
        "mean_gap": summary["mean"],
        "severity": next(word for bound, word in SEVERITIES if final >= bound),
        "stability": 1.0 - deviation if deviation is not None else None,
        "ratio": train[-1] / validation[-1] if validation[-1] > 0 else None,
    }
