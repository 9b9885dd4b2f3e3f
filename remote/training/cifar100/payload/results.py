"""results.json, schema v1 (docs/guides/cifar100.md describes it; results.schema.json checks it). One shape for completed, stopped and failed trainings."""

from __future__ import annotations

import argparse
import os
import platform
import socket
from typing import Any

from payload import metrics
from payload.errors import ConfigurationError
from payload.options import TABLE
from payload.surroundings import RECORDED, Surroundings

SCHEMA = "holdfast.cifar100.results"
VERSION = 1
# Settings that say where, not what: they are no hyperparameters.
PLACES = ("data_dir", "output_dir", "resume_from", "job_id", "log_level")


def hyperparameters(settings: argparse.Namespace) -> dict[str, Any]:
    return {row.name: getattr(settings, row.name) for row in TABLE if row.name not in PLACES}


def flat_metrics(history: list[dict[str, Any]], test: dict[str, float] | None) -> dict[str, float | int | None]:
    """The numbers a campaign may name as objective or constraint. Empty without a finished epoch."""
    if not history:
        return {}
    train = [record["train_accuracy"] for record in history]
    validation = [record["val_accuracy"] for record in history]
    seconds = history[-1]["training_seconds"]
    best = max(validation)
    speeds = [record["images_per_second"] for record in history if record["images_per_second"]]
    peaks = [record["peak_memory_bytes"] for record in history if record["peak_memory_bytes"]]
    return {
        "val_auc": metrics.area_under_curve(validation),
        "train_auc": metrics.area_under_curve(train),
        "final_accuracy": validation[-1],
        "final_val_accuracy": validation[-1],
        "final_val_loss": history[-1]["val_loss"],
        "final_train_accuracy": train[-1],
        "final_train_loss": history[-1]["train_loss"],
        "best_val_accuracy": best,
        "best_epoch": history[validation.index(best)]["epoch"],
        "epochs": len(history),
        "accuracy_per_second": best / seconds if seconds > 0 else None,
        "training_seconds": seconds,
        "images_per_second": metrics.aggregate(speeds)["mean"],
        "peak_memory_gb": max(peaks) / 1e9 if peaks else None,
        **({"test_accuracy": test["accuracy"], "test_loss": test["loss"]} if test else {}),
    }


def objective_value(settings: argparse.Namespace, flat: dict[str, Any]) -> float | None:
    """None as long as the metric does not exist; a failed training has no objective."""
    return flat.get(settings.objective)


def curve_metrics(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows M2, M4, M5 from the epochs' records."""
    train = [record["train_accuracy"] for record in history]
    validation = [record["val_accuracy"] for record in history]
    return {
        "learning_curve": metrics.learning_curve(validation),
        "efficiency": metrics.efficiency(validation, [record["epoch_time"] for record in history]),
        "overfitting": metrics.overfitting(train, validation),
    }


def system_record(settings: argparse.Namespace, device: Any, torch_version: str, threads: int) -> dict[str, Any]:
    return {
        "hostname": socket.gethostname(),
        "device_type": device.kind,
        "device_name": device.name,
        "device_asked": device.asked,
        "device_fell_back": device.fell_back,
        "pytorch_version": torch_version,
        "python_version": platform.python_version(),
        "intel_pytorch_extension": getattr(device.ipex, "__version__", None),
        "amp": settings.amp,
        "channels_last": settings.channels_last != "off",
        "compile": settings.compile,
        "threads": threads,
        "environment": {name: os.environ[name] for name in RECORDED if name in os.environ},
    }


def head(settings: argparse.Namespace | None, around: Surroundings | None, status: str, timing: dict[str, Any]) -> dict[str, Any]:
    """The part that every results.json has, also that of a training that failed before it knew its settings."""
    return {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "status": status,
        "job_id": around.job_id if around else None,
        "campaign": around.campaign if around else None,
        "trial": around.trial if around else None,
        "attempt": around.attempt if around else None,
        "output_dir": around.out if around else None,
        "hyperparameters": hyperparameters(settings) if settings else None,
        "timing": timing,
        "error": None,
    }


def check_objective(settings: argparse.Namespace, target_step: int | None) -> None:
    """A target of no epochs at all would end without any objective. Raises ConfigurationError."""
    if target_step is not None and target_step < 1:
        raise ConfigurationError(f"HOLDFAST_TARGET_STEP is {target_step}. The least target is 1 epoch.")
