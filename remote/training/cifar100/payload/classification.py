"""M3, optional: per-class accuracy, confusion, ROC and precision-recall areas from class probabilities. Needs numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

CONFUSION_CLASSES = 20


def _average_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse.reshape(-1)]


def roc_auc(is_positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Probability that a positive scores above a negative (Mann-Whitney U / (positives x negatives)); None without both kinds."""
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    if positives == 0 or negatives == 0:
        return None
    rank_sum = float(_average_ranks(scores)[is_positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def average_precision(is_positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Sum over thresholds of (recall step) x precision; None without positives."""
    positives = int(is_positive.sum())
    if positives == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(is_positive[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    recall = hits[ends] / positives
    precision = hits[ends] / (ends + 1.0)
    return float(np.sum(np.diff(np.concatenate(([0.0], recall))) * precision))


def _spread(values: list[float | None]) -> dict[str, float | None]:
    known = np.array([value for value in values if value is not None], dtype=float)
    if known.size == 0:
        return {"mean": None, "std": None, "min": None, "max": None}
    return {"mean": float(known.mean()), "std": float(known.std()), "min": float(known.min()), "max": float(known.max())}


def _one_versus_one(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean over all pairs of classes of the two directed areas (Hand and Till, 2001)."""
    classes = np.unique(labels)
    areas: list[float] = []
    for position, first in enumerate(classes):
        for second in classes[position + 1 :]:
            pair = (labels == first) | (labels == second)
            one = roc_auc(labels[pair] == first, probabilities[pair, first])
            two = roc_auc(labels[pair] == second, probabilities[pair, second])
            if one is not None and two is not None:
                areas.append((one + two) / 2.0)
    return float(np.mean(areas)) if areas else None


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """labels: (n,) integers; probabilities: (n, classes). The confusion matrix (rows: truth) is there with at most 20 classes."""
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    per_class = [float((predicted[labels == c] == c).mean()) if (labels == c).any() else None for c in range(classes)]
    roc = [roc_auc(labels == c, probabilities[:, c]) for c in range(classes)]
    precision = [average_precision(labels == c, probabilities[:, c]) for c in range(classes)]
    confusion = None
    if classes <= CONFUSION_CLASSES:
        confusion = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes).tolist()
    return {
        "accuracy": float((predicted == labels).mean()) if len(labels) else None,
        "class_accuracy": {"per_class": per_class, **_spread(per_class)},
        "confusion": confusion,
        "roc_auc": {"ovr": _spread(roc)["mean"], "ovo": _one_versus_one(labels, probabilities), "per_class": roc},
        "pr_auc": {"per_class": precision, **_spread(precision)},
    }
