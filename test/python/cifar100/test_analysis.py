"""Row M7: `analyze` reads our results and both old forms, wherever they lie, and counts every trial once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import PAYLOAD
from payload.analysis import dataset_info, load_training_results, read_result, summarise

EPOCHS = [
    {"epoch": 1, "train_loss": 4.0, "train_accuracy": 0.1, "val_loss": 4.1, "val_accuracy": 0.1, "learning_rate": 0.1, "epoch_time": 2.0},
    {"epoch": 2, "train_loss": 3.0, "train_accuracy": 0.4, "val_loss": 3.5, "val_accuracy": 0.3, "learning_rate": 0.1, "epoch_time": 3.0},
]
COLUMNS = {key: [record[key] for record in EPOCHS] for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "epoch_time")}
V1 = {
    "schema": "holdfast.cifar100.results",
    "schema_version": 1,
    "status": "completed",
    "job_id": "trial-0001",
    "attempt": 2,
    "objective": 0.25,
    "objective_metric": "val_auc",
    "metrics": {"val_auc": 0.25},
    "hyperparameters": {"learning_rate": 0.01},
    "training_history": EPOCHS,
    "synthetic": True,
    "error": None,
}
# Row T14: the prototype's trainer, flat. Its numbers were sometimes text.
FLAT = {
    "hyperparameters": {"model_type": "resnet18", "learning_rate": "1e-3"},
    "final_accuracy": 0.3,
    "val_auc": 0.2,
    "train_auc": 0.25,
    "training_time": 5.0,
    "training_history": COLUMNS,
    "job_id": "exp_iter_1_001",
}
# Row T15 and T16.
FLAT_ERROR = {"job_id": "exp_iter_1_002", "error": "CUDA out of memory", "hyperparameters": {"batch_size": 256}}
IN_PROCESS = {
    "job_id": "globus_003",
    "status": "completed",
    "training_results": {"final_accuracy": 0.4, "train_auc": 0.3, "val_auc": 0.35, "auc": 0.35, "accuracy": 0.4},
    "training_history": EPOCHS,
    "hyperparameters": {"model_type": "vgg16"},
    "error_info": None,
}
IN_PROCESS_ERROR = {
    "job_id": "globus_004",
    "status": "failed",
    "training_results": {"auc": 0},
    "error_info": {"error_message": "No module named 'torch'", "category": "environment_error", "execution_stage": "imports"},
}
WRAPPER = {"job_id": "globus_005", "status": "completed", "return_code": 0, "training_results": FLAT, "config": {"batch_size": "64"}}


def put(root: Path, path: str, content: Any) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "results"
    put(root, "new/trials/job_trial-0001/attempt-1/results.json", {**V1, "status": "error", "error": {"category": "killed"}, "attempt": 1})
    put(root, "new/trials/job_trial-0001/attempt-2/results.json", V1)
    put(root, "old/20250101_exp/job_1/results.json", FLAT)
    put(root, "old/20250101_exp/job_1/globus_compute_results.json", WRAPPER)
    put(root, "old/20250101_exp/job_2/results.json", FLAT_ERROR)
    put(root, "old/globus/job_3/results.json", IN_PROCESS)
    put(root, "old/globus/job_4/error_results.json", IN_PROCESS_ERROR)
    put(root, "old/globus/job_5/globus_compute_results.json", WRAPPER)
    put(root, "old/globus/job_6/results.json", '{"job_id": "cut sho')
    put(root, "other/results.json", {"status": "completed", "val_accuracy": 0.9})
    put(root, "other/checkpoint/results.json", V1)
    return root


@pytest.mark.parametrize(
    ("content", "form", "status", "objective"),
    [
        (V1, "v1", "completed", 0.25),
        (FLAT, "flat", "completed", 0.2),
        (FLAT_ERROR, "error", "failed", None),
        (IN_PROCESS, "in-process", "completed", 0.35),
        (IN_PROCESS_ERROR, "in-process", "failed", None),
        (WRAPPER, "wrapper", "completed", 0.2),
        ({"status": "completed", "val_accuracy": 0.9}, "other", "completed", None),
        ({**V1, "objective": None, "status": "stopped"}, "v1", "stopped", 0.25),
    ],
)
def test_every_form_is_read(tmp_path: Path, content: dict, form: str, status: str, objective: float | None) -> None:
    put(tmp_path, "a/results.json", content)
    row = read_result(str(tmp_path / "a" / "results.json"))
    assert (row["form"], row["status"], row["objective"]) == (form, status, objective)


def test_a_failure_is_no_result_of_zero(tmp_path: Path) -> None:
    put(tmp_path, "a/error_results.json", IN_PROCESS_ERROR)
    row = read_result(str(tmp_path / "a" / "error_results.json"))
    assert row["metrics"] == {}
    assert row["error"] == {"category": "environment_error", "stage": "imports", "message": "No module named 'torch'"}


def test_columns_and_records_are_the_same_history(tmp_path: Path) -> None:
    put(tmp_path, "a/results.json", FLAT)
    history = read_result(str(tmp_path / "a" / "results.json"))["history"]
    assert [record["val_accuracy"] for record in history] == [0.1, 0.3]
    assert [record["epoch"] for record in history] == [1, 2]


def test_every_trial_counts_once_with_its_last_good_attempt(tree: Path) -> None:
    rows = load_training_results(str(tree))
    assert len(rows) == 8
    first = next(row for row in rows if row["job_id"] == "trial-0001")
    assert (first["attempts"], first["attempt"], first["status"]) == (2, 2, "completed")


def test_the_summary_counts_ranks_and_sorts_failures_by_class(tree: Path) -> None:
    summary = summarise(str(tree))
    assert summary["counts"] == {"completed": 5, "stopped": 0, "failed": 2, "unreadable": 1}
    assert summary["synthetic"] == 1
    assert [row["job_id"] for row in summary["ranking"]] == ["globus_003", "trial-0001", "exp_iter_1_001", "globus_005"]
    assert summary["objective"]["count"] == 4
    assert summary["objective"]["median"] == pytest.approx(0.225)
    assert {name: entry["count"] for name, entry in summary["failures"].items()} == {"unknown_error": 1, "environment_error": 1, "bad_result": 1}
    assert summary["failures"]["environment_error"]["stages"] == {"imports": 1}
    assert summary["best"]["analysis"]["learning_curve"]["auc"] == pytest.approx(0.2)
    assert summary["best"]["hyperparameters"] == {"model_type": "vgg16"}
    assert summarise(str(tree), minimise=True)["best"]["objective"] == 0.2


def test_numbers_that_were_text_are_numbers(tree: Path) -> None:
    rows = {row["job_id"]: row for row in load_training_results(str(tree))}
    assert rows["exp_iter_1_001"]["hyperparameters"] == {"model_type": "resnet18", "learning_rate": 0.001}
    assert rows["globus_005"]["hyperparameters"] == {"batch_size": 64.0}


def test_the_data_set_is_described(data_root: Path) -> None:
    info = dataset_info(str(data_root))
    assert (info["synthetic"], info["classes"], info["train_images"], info["test_images"]) == (True, 100, 150, 50)


def test_of_the_best_configuration_only_what_differs_between_trials_is_told(tmp_path: Path) -> None:
    for number, rate in enumerate((0.01, 0.1), 1):
        settings = {"learning_rate": rate, "optimizer": "adam", "seed": 42}
        put(tmp_path, f"job_{number}/attempt-1/results.json", {**V1, "job_id": f"t{number}", "objective": rate, "hyperparameters": settings})
    assert summarise(str(tmp_path))["settings_that_differ"] == ["learning_rate"]
    text = run(str(tmp_path)).stdout
    assert "  learning_rate = 0.1\n  and 2 settings that all trials share" in text
    assert "optimizer" not in text
    alone = run(str(tmp_path / "job_1")).stdout
    assert "  optimizer = adam\n" in alone


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(PAYLOAD / "analyze.py"), *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_and_writes_the_same_summary(tree: Path, tmp_path: Path, data_root: Path) -> None:
    done = run(str(tree), "--json", "--out", str(tmp_path / "summary.json"), "--data", str(data_root))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "summary.json").read_text())
    text = run(str(tree)).stdout
    assert "8 trials" in text
    assert "1 of them on synthetic data" in text
    assert "best: globus_003\n" in text
    assert "trial-0001  new/trials/job_trial-0001 (synthetic data)\n" in text


def test_a_folder_without_results_is_a_failure(tmp_path: Path) -> None:
    assert run(str(tmp_path)).returncode == 1
    assert "is no folder" in run(str(tmp_path / "none")).stderr


def test_our_own_training_is_counted(start) -> None:
    training = start("trials/job_x/attempt-1", "--num_epochs", "1")
    assert training.end() == 0
    summary = summarise(str(training.out.parents[2]))
    assert (summary["trials"], summary["best"]["objective"], summary["synthetic"]) == (1, training.results["objective"], 1)
