"""Rows E1-E10: every class by injection, as far as possible with the real fault in a real training."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train
from conftest import PAYLOAD, SMALL, become_nobody
from payload import devices, images, learner, results, stages, trainer
from payload.archive import FOLDER
from payload.checkpoints import save_tensors
from payload.errors import CATEGORIES, ConfigurationError, NotFiniteError, ResourceError, classify, error_object
from payload.models import factory
from payload.optimisation import make_optimizer
from payload.options import read_settings


class FakeOutOfMemoryError(RuntimeError):
    pass


FakeOutOfMemoryError.__name__ = "OutOfMemoryError"


@pytest.mark.parametrize(
    ("error", "stage", "category"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), stages.IMPORTS, "environment_error"),
        (FileNotFoundError(errno.ENOENT, "no", "/x/train"), stages.DATA_LOADING, "data_access_error"),
        (PermissionError(errno.EACCES, "no", "/x/train"), stages.DATA_DIRECTORY_SETUP, "data_access_error"),
        (pickle.UnpicklingError("bad"), stages.DATA_LOADING, "data_access_error"),
        (FileNotFoundError(errno.ENOENT, "no", "/data/cifar/out"), stages.RESULTS_PREPARATION, "filesystem_error"),
        (OSError(errno.ENOSPC, "No space left on device"), stages.TRAINING, "filesystem_error"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), stages.DATA_LOADING, "filesystem_error"),
        (PermissionError(errno.EACCES, "no", "/out"), stages.PATH_SETUP, "filesystem_error"),
        (TimeoutError("timed out"), stages.TRAINING, "network_error"),
        (ConnectionResetError("reset"), stages.DATA_LOADING, "network_error"),
        (MemoryError(), stages.DATA_LOADING, "resource_error"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), stages.TRAINING, "resource_error"),
        (FakeOutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), stages.TRAINING, "resource_error"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:66] DefaultCPUAllocator: can't allocate memory"), stages.TRAINING, "resource_error"),
        (RuntimeError("Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)"), stages.TRAINING, "resource_error"),
        (RuntimeError("UR backend failed. UR backend returns:39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"), stages.TRAINING, "resource_error"),
        (RuntimeError("Found no NVIDIA driver on your system."), stages.ENVIRONMENT_SETUP, "environment_error"),
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config"), stages.TRAINING, "environment_error"),
        (RuntimeError("Cannot find a working triton installation."), stages.TRAINING, "environment_error"),
        (RuntimeError("[enforce fail at inline_container.cc:471] . PytorchStreamWriter failed writing file data/3"), stages.TRAINING, "filesystem_error"),
        (RuntimeError("CUDA error: device-side assert triggered"), stages.TRAINING, "training_error"),
        (ValueError("Unsupported model type"), stages.MODEL_CREATION, "configuration_error"),
        (ConfigurationError("Unsupported model type for training"), stages.TRAINING, "configuration_error"),
        (ResourceError("xpu is required"), stages.ENVIRONMENT_SETUP, "resource_error"),
        (NotFiniteError("nan"), stages.TRAINING, "not_finite"),
        (ZeroDivisionError("division by zero"), stages.EVALUATION, "training_error"),
        (ZeroDivisionError("division by zero"), stages.INITIALIZATION, "unknown_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_failure_has_its_class(error: BaseException, stage: str, category: str) -> None:
    assert classify(error, stage) == category
    assert category in CATEGORIES


def test_the_classes_are_rows_of_the_orchestrators_table() -> None:
    table = (PAYLOAD.parents[2] / "src" / "domain" / "failures.ts").read_text()
    assert [name for name in CATEGORIES if f"  {name}: {{" not in table] == []


def test_an_error_object_says_what_where_and_how_bad() -> None:
    try:
        raise ValueError("x" * 5000)
    except ValueError as error:
        found = error_object(error, stages.TRAINING)
    assert set(found) == {"category", "stage", "error_message", "type", "severity", "description", "traceback"}
    assert (found["category"], found["stage"], found["type"], found["severity"]) == ("training_error", "training", "ValueError", "medium")
    assert len(found["error_message"]) == 2000
    assert "test_an_error_object" in found["traceback"]


def failed(training, category: str, stage: str) -> dict:
    assert training.end() == 1, training.log
    record = training.results
    assert record["status"] == "error"
    assert (record["error"]["category"], record["error"]["stage"]) == (category, stage), record["error"]["traceback"]
    assert "objective" not in record, "a failed training must not look like a bad one"
    assert record["error"]["traceback"] in training.log
    assert not (training.out / ".reserved-for-results").exists()
    return record


def test_a_node_without_torch_is_an_environment_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(PAYLOAD / "train.py"), "--output-dir", str(out)],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    error = json.loads((out / "results.json").read_text())["error"]
    assert (error["category"], error["stage"]) == ("environment_error", "imports")
    assert "torch" in error["error_message"]
    assert "environment_error in imports" in done.stderr


# Row E9: what is broken, so that a training fails in just that stage. `imports` has the test above, `initialization` is over before anything can fail.
FAULTS = {
    stages.PARAMETER_EXTRACTION: (train, "read_settings", "configuration_error"),
    stages.PATH_SETUP: (train, "prepare_folder", "unknown_error"),
    stages.ENVIRONMENT_SETUP: (devices, "choose_device", "unknown_error"),
    stages.DATA_DIRECTORY_SETUP: (images, "locate", "data_access_error"),
    stages.DATA_LOADING: (images, "load", "data_access_error"),
    stages.MODEL_CREATION: (factory, "create_model", "configuration_error"),
    stages.TRAINER_SETUP: (learner, "make_learner", "training_error"),
    stages.TRAINING: (trainer, "train_batch", "training_error"),
    stages.EVALUATION: (learner, "evaluate", "training_error"),
    stages.METRICS_CALCULATION: (results, "flat_metrics", "training_error"),
    stages.RESULTS_PREPARATION: (train, "summary", "unknown_error"),
}


@pytest.mark.parametrize("stage", FAULTS)
def test_a_failure_names_the_stage_it_happened_in(start, monkeypatch, stage: str) -> None:
    module, name, category = FAULTS[stage]

    def break_down(*_arguments: object, **_named: object) -> None:
        raise ZeroDivisionError(f"injected into {name}")

    monkeypatch.setattr(module, name, break_down)
    record = failed(start("a", "--num_epochs", "1"), category, stage)
    assert record["error"]["error_message"] == f"injected into {name}"


def test_every_stage_is_tried() -> None:
    assert {*FAULTS, stages.IMPORTS, stages.INITIALIZATION} == set(stages.ALL)


def test_an_unknown_model_is_a_configuration_error(start) -> None:
    record = failed(start("a", "--model_type", "resnet19", small=False), "configuration_error", "parameter_extraction")
    assert "Did you mean resnet18" in record["error"]["error_message"]


def test_a_data_folder_that_is_not_there_is_named(start, tmp_path: Path) -> None:
    record = failed(start("a", "--data_dir", str(tmp_path / "none")), "data_access_error", "data_directory_setup")
    assert str(tmp_path / "none" / FOLDER / "train") in record["error"]["error_message"]


def test_a_broken_pickle_is_a_data_access_error(start, data_root: Path, tmp_path: Path) -> None:
    shutil.copytree(data_root, tmp_path / "broken")
    path = tmp_path / "broken" / FOLDER / "train"
    path.write_bytes(path.read_bytes()[:-1000])
    record = failed(start("a", "--data_dir", str(tmp_path / "broken")), "data_access_error", "data_loading")
    assert str(path) in record["error"]["error_message"]


def test_data_that_may_not_be_read_are_a_data_access_error(start, data_root: Path, open_folder: Path) -> None:
    shutil.copytree(data_root, open_folder / "data")
    (open_folder / "data").chmod(0o755)
    closed = open_folder / "data" / FOLDER / "test"
    closed.chmod(0o000)
    (open_folder / "out").mkdir(mode=0o777)
    (open_folder / "out").chmod(0o777)
    training = start("out", "--data_dir", str(open_folder / "data"), folder=open_folder, before=become_nobody)
    record = failed(training, "data_access_error", "data_directory_setup")
    assert f"{closed} may not be read" in record["error"]["error_message"]


def test_an_output_folder_that_may_not_be_written_is_a_filesystem_error(start, open_folder: Path) -> None:
    (open_folder / "out").mkdir()
    (open_folder / "out").chmod(0o555)
    training = start("log", folder=open_folder, before=become_nobody, HOLDFAST_OUT=str(open_folder / "out"))
    assert training.end() == 1
    assert "filesystem_error in path_setup" in training.log
    assert "Permission denied" in training.log
    assert "could not be written either" in training.log
    assert os.listdir(open_folder / "out") == []


def can_mount() -> bool:
    return os.getuid() == 0 and shutil.which("mount") is not None and shutil.which("umount") is not None


@pytest.mark.skipif(not can_mount(), reason="needs root to mount a small disk")
def test_a_full_disk_is_a_filesystem_error_that_still_gets_written(start, tmp_path: Path) -> None:
    disk = tmp_path / "a"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        # The first checkpoint (half a megabyte) does not fit; the space kept back holds the last words.
        record = failed(start("a", "--num_epochs", "2", "--checkpoint_epochs", "1"), "filesystem_error", "training")
        assert "No space left" in record["error"]["error_message"]
        assert len(record["training_history"]) == 1
        assert not [name for name in os.listdir(disk / "checkpoint") if "state" in name], "half a checkpoint was left"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_quota_is_a_filesystem_error_that_still_gets_written(start) -> None:
    """A limit on the size of a file stands for a quota: the checkpoint is refused in the middle, whoever runs the test."""

    def limit_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, 128 * 1024))

    record = failed(start("a", "--num_epochs", "2", "--checkpoint_epochs", "1", before=limit_files), "filesystem_error", "training")
    assert "File too large" in record["error"]["error_message"]
    assert len(record["training_history"]) == 1


def test_torchs_own_words_for_a_failed_write_become_the_operating_systems(tmp_path: Path, monkeypatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        save_tensors(str(tmp_path / "a.pt"), {"x": 1})
    assert os.listdir(tmp_path) == []


def test_more_memory_than_there_is_is_a_resource_error(start) -> None:
    # Its first linear layer alone wants 2 GiB.
    flags = ("--model_type", "custom", "--width_factor", "8", "--hidden_size", "16384")
    script = (
        "import resource, runpy, sys, torch; "
        "size = int(open('/proc/self/statm').read().split()[0]) * 4096 + (1 << 30); "
        "resource.setrlimit(resource.RLIMIT_AS, (size, size)); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    training = start("probe", "--num_epochs", "1")
    assert training.end() == 0
    data = training.results["data"]["folder"]
    out = training.out.parent / "oom"
    done = subprocess.run(
        [sys.executable, "-c", script, str(PAYLOAD / "train.py"), *flags, "--data-dir", data, "--output-dir", str(out)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert json.loads((out / "results.json").read_text())["error"]["category"] == "resource_error", done.stderr


def test_a_diverging_training_stops_at_once_with_its_class(start) -> None:
    record = failed(start("a", "--optimizer", "sgd", "--learning_rate", "100", "--num_epochs", "50"), "not_finite", "training")
    assert len(record["training_history"]) < 5
    assert "Lower the learning rate" in record["error"]["error_message"]


def test_a_required_device_that_is_missing_is_a_resource_error(start) -> None:
    missing = next(kind for kind in ("xpu", "cuda") if not devices.is_available(kind))
    record = failed(start("a", "--require-device", missing), "resource_error", "environment_setup")
    assert f"{missing} is required" in record["error"]["error_message"]


def test_the_extension_is_imported_only_when_asked(start) -> None:
    try:
        import intel_extension_for_pytorch  # noqa: F401
    except ImportError:
        record = failed(start("a", "--use_ipex"), "environment_error", "environment_setup")
        assert "intel_extension_for_pytorch" in record["error"]["error_message"]


def test_a_training_that_cannot_write_at_all_says_so_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, str(PAYLOAD / "train.py"), "--output-dir", str(tmp_path / "file" / "out")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "filesystem_error in path_setup" in done.stderr
    assert "could not be written either" in done.stderr


def test_half_batches_train_on_when_memory_runs_out(start, monkeypatch) -> None:
    real = learner._gradients

    def forgetful(made, images, labels, share, others):
        if len(labels) > 8 * made.micro_batches:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:66] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return real(made, images, labels, share, others)

    monkeypatch.setattr(learner, "_gradients", forgetful)
    kept = start("kept", "--num_epochs", "1", "--halve_batch_on_oom")
    assert kept.end() == 0, kept.log
    assert kept.results["resources"]["micro_batches"] == 4
    failed(start("strict", "--num_epochs", "1"), "resource_error", "training")


def test_an_evaluation_halves_its_batches_when_memory_runs_out(data_root: Path, monkeypatch) -> None:
    real = learner._evaluate_batch

    def forgetful(made, images, part):
        if part.stop - part.start > 8:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:66] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return real(made, images, part)

    settings = read_settings([*SMALL, "--halve_batch_on_oom"], None)
    network = factory.create_model(factory.ModelShape("custom", hidden_size=32, num_layers=2, width_factor=0.1))
    made = learner.make_learner(network, lambda each: make_optimizer(settings, each), devices.choose_device(settings), settings)
    data = images.load(images.locate(str(data_root)), torch.device("cpu"))
    whole = learner.evaluate(made, data.test, lambda: None, True)
    monkeypatch.setattr(learner, "_evaluate_batch", forgetful)
    halved = learner.evaluate(made, data.test, lambda: None, True)
    assert (halved.accuracy, halved.probabilities.shape) == (whole.accuracy, whole.probabilities.shape)
    assert halved.loss == pytest.approx(whole.loss, rel=1e-5)
    settings.halve_batch_on_oom = False
    with pytest.raises(RuntimeError, match="allocate memory"):
        learner.evaluate(made, data.test, lambda: None)
