"""M7: reading what trainings left behind, in any tree and in any form: ours (schema v1) and the prototype's (flat, in-process, Globus wrapper, errors)."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any, Iterator

from payload import metrics

# In the order of preference where several lie in one folder.
FILES = ("results.json", "globus_compute_results.json", "error_results.json")
TOP = 10
ATTEMPT = re.compile(r"^attempt-(\d+)$")
HISTORY_KEYS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time")
Record = dict


def find_files(directory: str) -> Iterator[str]:
    """One results file a folder, in the order of their paths; folders of checkpoints and TensorBoard are not entered."""
    for folder, children, names in os.walk(directory):
        children[:] = sorted(child for child in children if child not in ("checkpoint", "checkpoints", "tensorboard"))
        found = next((name for name in FILES if name in names), None)
        if found is not None:
            yield os.path.join(folder, found)


def _number(value: Any) -> float | None:
    """Numbers as they are, the prototype's numbers-as-text as numbers; None for the rest and for what is not finite."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _history(value: Any) -> list[dict[str, Any]]:
    """Epoch records from a list of them or, as the prototype also wrote it, from lists by key."""
    if isinstance(value, list):
        return [record for record in value if isinstance(record, dict)]
    if isinstance(value, dict):
        columns = {key: items for key, items in value.items() if isinstance(items, list)}
        length = max((len(items) for items in columns.values()), default=0)
        rows = [{key: items[row] for key, items in columns.items() if row < len(items)} for row in range(length)]
        return [{"epoch": number, **row} for number, row in enumerate(rows, 1)]
    return []


def form_of(content: dict[str, Any]) -> str:
    """v1 (ours), wrapper (Globus function), in-process, flat, error (the prototype's), or other (any training's)."""
    if str(content.get("schema", "")).startswith("holdfast.") and "schema_version" in content:
        return "v1"
    nested = content.get("training_results")
    if isinstance(nested, dict):
        return "wrapper" if "training_history" in nested or "hyperparameters" in nested or "return_code" in content else "in-process"
    if content.get("error") or content.get("error_info"):
        return "error"
    return "flat" if "val_auc" in content or "final_accuracy" in content else "other"


def _error(content: dict[str, Any]) -> dict[str, Any] | None:
    given = content.get("error_info") or content.get("error")
    if not given:
        return None
    if not isinstance(given, dict):
        return {"category": content.get("error_category") or "unknown_error", "stage": None, "message": str(given)}
    return {
        "category": given.get("category") or "unknown_error",
        "stage": given.get("stage") or given.get("execution_stage"),
        "message": str(given.get("error_message") or given.get("message") or ""),
    }


def parse_hyperparameters(content: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters, wherever a form keeps them; numbers that were written as text become numbers."""
    nested = content.get("training_results")
    given = content.get("hyperparameters") or content.get("config") or (nested.get("hyperparameters") if isinstance(nested, dict) else None) or {}
    result = {}
    for name, value in given.items():
        number = _number(value) if isinstance(value, str) else None
        result[name] = value if number is None else number
    return result


def extract_metrics(content: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, float]:
    """All numbers a form reports, by their plain names; what the history alone knows is worked out from it. `auc` and `val_auc` are one."""
    sources = [content, content.get("training_results"), content.get("metrics")]
    nested = content.get("training_results")
    if isinstance(nested, dict):
        sources.append(nested.get("metrics"))
    result: dict[str, float] = {}
    for source in sources:
        for name, value in (source or {}).items() if isinstance(source, dict) else ():
            number = _number(value)
            if number is not None:
                result[name] = number
    validation = [number for number in (_number(record.get("val_accuracy")) for record in history) if number is not None]
    if validation:
        result.setdefault("val_auc", metrics.area_under_curve(validation))
        result.setdefault("best_val_accuracy", max(validation))
        result.setdefault("final_accuracy", validation[-1])
    if "auc" in result:
        result.setdefault("val_auc", result["auc"])
    if "training_time" in result:
        result.setdefault("training_seconds", result["training_time"])
    return result


def read_result(path: str) -> Record:
    """One results file as a row. A file that cannot be read is a row too, with status `unreadable`."""
    row: Record = {"path": path, "form": None, "job_id": os.path.basename(os.path.dirname(path)), "status": "unreadable", "objective": None}
    row.update({"objective_metric": None, "metrics": {}, "hyperparameters": {}, "history": [], "synthetic": False, "error": None, "attempt": None})
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        row["error"] = {"category": "bad_result", "stage": None, "message": str(error)}
        return row
    if not isinstance(content, dict):
        row["error"] = {"category": "bad_result", "stage": None, "message": "not a JSON object"}
        return row
    form = form_of(content)
    error = _error(content)
    stated = str(content.get("status", "")).lower()
    nested = content.get("training_results") if isinstance(content.get("training_results"), dict) else {}
    has_failed = stated in ("error", "failed", "failure") or (error is not None and stated not in ("completed", "success"))
    history = _history(content.get("training_history") or nested.get("training_history"))
    found = {} if has_failed else extract_metrics(content, history)
    metric = content.get("objective_metric") or ("val_auc" if "val_auc" in found else None)
    objective = None if has_failed else _number(content.get("objective"))
    if objective is None and metric is not None:
        objective = found.get(metric)
    row.update(
        form=form,
        job_id=content.get("job_id") or row["job_id"],
        status="failed" if has_failed else ("stopped" if stated == "stopped" else "completed"),
        objective=objective,
        objective_metric=metric,
        metrics=found,
        hyperparameters=parse_hyperparameters(content),
        history=history,
        synthetic=bool(content.get("synthetic") or nested.get("synthetic")),
        error=error,
        attempt=content.get("attempt"),
    )
    return row


def _trial_of(path: str) -> tuple[str, int]:
    """(folder of the trial, attempt): attempts of one trial lie in attempt-1, attempt-2, … of its folder."""
    folder = os.path.dirname(path)
    match = ATTEMPT.match(os.path.basename(folder))
    return (os.path.dirname(folder), int(match.group(1))) if match else (folder, 1)


def load_training_results(directory: str) -> list[Record]:
    """One row a trial: its last completed attempt, or its last attempt if none was completed. `attempts` counts those that left results."""
    rank = {"completed": 2, "stopped": 1}
    trials: dict[str, list[tuple[int, Record]]] = {}
    for path in find_files(directory):
        trial, attempt = _trial_of(path)
        trials.setdefault(trial, []).append((attempt, read_result(path)))
    rows = []
    for trial, attempts in trials.items():
        number, row = max(attempts, key=lambda pair: (rank.get(pair[1]["status"], 0), pair[0]))
        rows.append({**row, "trial_folder": os.path.relpath(trial, directory), "attempts": len(attempts), "attempt": row["attempt"] or number})
    return rows


def analyse_history(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Learning curve, efficiency and overfitting (M2, M4, M5) of one training, from whatever its epochs' records hold."""
    whole = [record for record in history if all(_number(record.get(key)) is not None for key in ("train_accuracy", "val_accuracy"))]
    if not whole:
        return None
    train, validation = ([float(record[key]) for record in whole] for key in ("train_accuracy", "val_accuracy"))
    times = [number for number in (_number(record.get("epoch_time")) for record in whole) if number is not None]
    return {
        "epochs": len(whole),
        "learning_curve": metrics.learning_curve(validation),
        "efficiency": metrics.efficiency(validation, times) if len(times) == len(whole) else None,
        "overfitting": metrics.overfitting(train, validation),
    }


def dataset_info(directory: str) -> dict[str, Any]:
    """Sizes, classes and marks of the data set (needs numpy). Raises DataAccessError."""
    from payload import images

    folder = images.locate(directory)
    parts = {name: images.read_entry(os.path.join(folder, name)) for name in ("train", "test")}
    return {
        "folder": folder,
        "synthetic": any(part["synthetic"] for part in parts.values()) or os.path.exists(os.path.join(folder, images.SYNTHETIC_MARK)),
        "classes": len(set(parts["train"]["labels"].tolist())),
        **{f"{name}_images": len(part["labels"]) for name, part in parts.items()},
    }


def differing_settings(rows: list[Record]) -> list[str]:
    """Names of the hyperparameters that are not the same in all trials: what a reader of the best configuration wants to see."""
    known = [row["hyperparameters"] for row in rows if row["hyperparameters"]]
    names = sorted({name for each in known for name in each})
    return [name for name in names if len({json.dumps(each.get(name), sort_keys=True) for each in known}) > 1]


def summarise(directory: str, minimise: bool = False) -> dict[str, Any]:
    """Everything about a tree of results: counts, failures by class, spread of the objective, the best, each trial."""
    rows = load_training_results(directory)
    done = [row for row in rows if row["status"] == "completed" and row["objective"] is not None]
    done.sort(key=lambda row: row["objective"], reverse=not minimise)
    failed = [row for row in rows if row["error"] is not None and row["status"] not in ("completed", "stopped")]
    classes: dict[str, dict[str, Any]] = {}
    for row in failed:
        entry = classes.setdefault(row["error"]["category"], {"count": 0, "stages": {}, "examples": []})
        entry["count"] += 1
        stage = row["error"]["stage"] or "unknown"
        entry["stages"][stage] = entry["stages"].get(stage, 0) + 1
        if len(entry["examples"]) < 3:
            entry["examples"].append({"job_id": row["job_id"], "message": row["error"]["message"][:300]})
    counts = {status: sum(row["status"] == status for row in rows) for status in ("completed", "stopped", "failed", "unreadable")}
    names = ("job_id", "trial_folder", "form", "status", "objective", "objective_metric", "attempts", "synthetic", "metrics", "hyperparameters", "error")
    return {
        "directory": os.path.abspath(directory),
        "trials": len(rows),
        "counts": counts,
        "synthetic": sum(row["synthetic"] for row in rows),
        "failures": classes,
        "objective_metrics": sorted({row["objective_metric"] for row in done}),
        "objective": metrics.aggregate([row["objective"] for row in done]),
        "ranking": [{name: row[name] for name in ("job_id", "trial_folder", "objective", "synthetic")} for row in done[:TOP]],
        "settings_that_differ": differing_settings(rows),
        "best": {**{name: done[0][name] for name in names}, "analysis": analyse_history(done[0]["history"])} if done else None,
        "all": [{name: row[name] for name in names} for row in sorted(rows, key=lambda row: row["trial_folder"])],
    }
