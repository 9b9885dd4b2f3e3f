"""What a training leaves behind: metrics.jsonl, results.json in schema v1, marks, settings that have their effect."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from conftest import PAYLOAD, Training, numbers
from payload import metrics, surroundings
from payload.archive import FOLDER
from payload.options import read_settings

SCHEMA = json.loads((PAYLOAD / "results.schema.json").read_text())
EPOCH_KEYS = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time"}


@pytest.fixture
def finished(start) -> Training:
    training = start("finished", "--num_epochs", "3", "--amp", "bf16", "--classification_metrics")
    assert training.end() == 0, training.log
    return training


def test_each_epoch_is_reported_with_the_keys_of_row_t13(finished: Training) -> None:
    assert len(finished.lines) == 3
    for number, line in enumerate(finished.lines, 1):
        assert set(line) >= EPOCH_KEYS
        assert line["epoch"] == line["step"] == number
        assert 0 <= line["train_accuracy"] <= 1
        assert 0 <= line["val_accuracy"] <= 1
        assert line["images_per_second"] > 0
        assert line["peak_memory_bytes"] > 1 << 20
        assert 0 < line["utilisation_percent"] < 150


def test_results_have_the_documented_schema_and_the_objective_is_that_of_the_history(finished: Training) -> None:
    record = finished.results
    jsonschema.validate(record, SCHEMA)
    validation = [line["val_accuracy"] for line in finished.lines]
    assert record["objective"] == record["val_auc"] == record["metrics"]["val_auc"] == metrics.area_under_curve(validation)
    assert finished.lines[-1]["val_auc"] == record["objective"]
    assert record["metrics"]["best_epoch"] == validation.index(max(validation)) + 1
    assert record["classification"]["accuracy"] == pytest.approx(record["metrics"]["test_accuracy"])
    assert record["training_history"] == finished.lines
    assert record["system_info"]["amp"] == "bf16"
    assert record["model_info"]["total_params"] == record["model_info"]["trainable_params"] > 1000
    assert record["timing"]["seconds_to_first_batch"] > 0
    assert record["resources"]["achieved_tflops"] > 0


def test_stopped_and_failed_trainings_have_the_same_schema(start, tmp_path: Path) -> None:
    failed = start("failed", "--optimizer", "sgd", "--learning_rate", "100")
    stopped = start("stopped", "--num_epochs", "100")
    stopped.wait_for(lambda: len(stopped.lines) >= 1)
    os.kill(stopped.pid, signal.SIGTERM)
    assert (failed.end(), stopped.end()) == (1, 0)
    assert (failed.results["status"], stopped.results["status"]) == ("error", "stopped")
    jsonschema.validate(failed.results, SCHEMA)
    jsonschema.validate(stopped.results, SCHEMA)


def test_what_was_learnt_from_generated_data_is_marked_as_synthetic(finished: Training) -> None:
    assert finished.results["synthetic"] is True
    assert finished.results["data"]["synthetic"] is True
    assert "synthetic" in finished.log


def test_the_mark_survives_without_its_file(start, data_root: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare" / FOLDER
    bare.mkdir(parents=True)
    for name in ("train", "test", "meta"):
        (bare / name).write_bytes((data_root / FOLDER / name).read_bytes())
    training = start("a", "--data_dir", str(bare), "--num_epochs", "1")
    assert training.end() == 0
    assert training.results["synthetic"] is True


@pytest.mark.parametrize("objective", ["best_val_accuracy", "final_val_accuracy", "test_accuracy", "accuracy_per_second"])
def test_the_objective_can_be_chosen(start, objective: str) -> None:
    training = start("a", "--num_epochs", "2", "--objective", objective)
    assert training.end() == 0
    record, validation = training.results, [line["val_accuracy"] for line in training.lines]
    wanted = {
        "best_val_accuracy": max(validation),
        "final_val_accuracy": validation[-1],
        "test_accuracy": record["metrics"]["test_accuracy"],
        "accuracy_per_second": max(validation) / training.lines[-1]["training_seconds"],
    }
    assert record["objective"] == record["metrics"][objective] == wanted[objective]
    assert record["objective_metric"] == objective


def test_early_stopping_waits_its_patience_and_says_so(start) -> None:
    # A gain of 1 is out of reach after the first epoch, so epoch 1 counts and the next two are flat.
    training = start("a", "--num_epochs", "50", "--early_stopping_patience", "2", "--early_stopping_min_delta", "1")
    assert training.end() == 0
    record = training.results
    assert (record["stopped_early"], record["is_final"], record["stop_reason"]) == (True, True, "early stopping")
    assert len(record["training_history"]) == 3


def test_early_stopping_can_be_off(start) -> None:
    training = start("a", "--num_epochs", "4", "--early_stopping_patience", "0", "--early_stopping_min_delta", "1")
    assert training.end() == 0
    assert len(training.lines) == 4


SETTINGS = [
    ("optimizer", "adamw"),
    ("weight_decay", "0.1"),
    ("label_smoothing", "0.2"),
    ("mixup_alpha", "0.5"),
    ("clip_grad_norm", "0.01"),
    ("schedule", "cosine"),
    ("schedule", "onecycle"),
    ("augment", "false"),
    ("amp", "bf16"),
    ("dropout_rate", "0.6"),
    ("seed", "5"),
    ("width_factor", "0.2"),
    ("hidden_size", "48"),
    ("num_layers", "3"),
    ("batch_size", "16"),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_setting_changes_the_training(start, data_root: Path, name: str, value: str, plain_history: list) -> None:
    training = trained_with(start, name, value)
    assert training.results["hyperparameters"][name] == pytest.approx(json.loads(value)) if value[0].isdigit() else True
    assert [line["train_loss"] for line in training.lines] != plain_history


def trained_with(start, name: str, value: str) -> Training:
    from conftest import SMALL

    rest = [word for pair in zip(SMALL[::2], SMALL[1::2]) if pair[0] != f"--{name}" for word in pair]
    training = start("a", *rest, f"--{name}", value, "--num_epochs", "1", small=False)
    assert training.end() == 0, training.log
    return training


@pytest.fixture(scope="module")
def plain_history(data_root: Path, tmp_path_factory) -> list:
    from conftest import SMALL

    out = tmp_path_factory.mktemp("plain")
    training = Training([*SMALL, "--data_dir", str(data_root), "--num_epochs", "1"], out, {"HOLDFAST_OUT": str(out)})
    assert training.end() == 0
    return [line["train_loss"] for line in training.lines]


def test_memory_layout_and_threads_are_recorded(start) -> None:
    training = start("a", "--num_epochs", "1", "--channels_last", "off", "--num_workers", "2")
    assert training.end() == 0
    assert training.results["system_info"]["channels_last"] is False
    assert training.results["system_info"]["threads"] == 2


def test_the_extension_is_used_and_recorded_when_it_is_asked_for(start, tmp_path: Path) -> None:
    """Row T10, with a stand-in for the package: asked for bf16 it must get that type, and only then."""

    def install(calls: Path) -> Callable[[], None]:
        def optimize(network, optimizer, dtype):
            calls.write_text(str(dtype))
            return network, optimizer

        def put() -> None:
            sys.modules["intel_extension_for_pytorch"] = types.SimpleNamespace(__version__="2.1.0+xpu", optimize=optimize)

        return put

    for amp, dtype in (("bf16", "torch.bfloat16"), ("off", "None")):
        training = start(amp, "--use_ipex", "--amp", amp, "--num_epochs", "1", before=install(tmp_path / f"{amp}.txt"))
        assert training.end() == 0, training.log
        assert (tmp_path / f"{amp}.txt").read_text() == dtype
        assert training.results["system_info"]["intel_pytorch_extension"] == "2.1.0+xpu"
        assert training.results["hyperparameters"]["use_ipex"] is True
    plain = start("plain", "--num_epochs", "1", before=install(Path("/nowhere")))
    assert plain.end() == 0
    assert plain.results["system_info"]["intel_pytorch_extension"] is None


def test_compile_is_refused_where_torch_has_none(start) -> None:
    import torch

    if hasattr(torch, "compile"):
        pytest.skip("this torch can compile")
    training = start("a", "--compile")
    assert training.end() == 1
    assert training.results["error"]["category"] == "configuration_error"


@pytest.mark.slow
def test_a_compiled_network_trains_and_goes_on_like_another_and_without_a_compiler_says_so(start) -> None:
    import torch

    if not hasattr(torch, "compile"):
        pytest.skip("this torch cannot compile")
    broken = start("broken", "--compile", "--num_epochs", "1", CXX="/nowhere/g++", PATH="/nowhere")
    assert broken.end(600) == 1
    assert broken.results["error"]["category"] == "environment_error", broken.log
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    whole = start("whole", "--compile", "--num_epochs", "2", "--keep_checkpoint")
    assert whole.end(1200) == 0, whole.log
    assert whole.results["system_info"]["compile"] is True
    rung = start("rung", "--compile", "--num_epochs", "2", HOLDFAST_TARGET_STEP="1")
    assert rung.end(1200) == 0, rung.log
    last = start("last", "--compile", "--num_epochs", "2", HOLDFAST_RESUME_FROM=str(rung.out / "checkpoint"))
    assert last.end(1200) == 0, last.log
    assert last.results["resumed"]["epoch"] == 1
    assert numbers(last.results["training_history"]) == numbers(whole.results["training_history"])


def test_a_device_that_is_asked_for_but_missing_is_a_recorded_fall_back(start) -> None:
    from payload import devices

    missing = next(kind for kind in ("xpu", "cuda") if not devices.is_available(kind))
    training = start("a", "--device", missing, "--num_epochs", "1")
    assert training.end() == 0
    system = training.results["system_info"]
    assert (system["device_type"], system["device_asked"], system["device_fell_back"]) == ("cpu", missing, True)
    assert f"{missing} was asked for but is not there" in training.log


def test_the_nodes_own_data_directory_wins_and_is_logged(start, data_root: Path, tmp_path: Path) -> None:
    training = start("a", "--data_dir", str(tmp_path / "no"), "--num_epochs", "1", CIFAR100_DATA_DIR=str(data_root), HOLDFAST_DATA_DIR=str(tmp_path))
    assert training.end() == 0, training.log
    assert training.results["data"]["source"] == "CIFAR100_DATA_DIR"
    assert training.results["data"]["folder"] == str(data_root / FOLDER)
    assert "(CIFAR100_DATA_DIR)" in training.log


def test_the_agents_data_directory_is_used_without_a_flag(data_root: Path) -> None:
    settings = read_settings([], None)
    assert surroundings.data_directory(settings, {"HOLDFAST_DATA_DIR": "/d"}) == ("/d", "HOLDFAST_DATA_DIR")
    assert surroundings.data_directory(settings, {}) == ("data/cifar-100-python", "default")


def test_intels_settings_are_defaults_and_no_tile_is_ever_chosen() -> None:
    settings = read_settings(["--device", "xpu"], None)
    environment = {"OMP_NUM_THREADS": "8", "ZE_AFFINITY_MASK": "7"}
    made = surroundings.set_defaults(settings, environment)
    assert environment["OMP_NUM_THREADS"] == "8"
    assert environment["ZE_AFFINITY_MASK"] == "7"
    assert environment["OMP_PROC_BIND"] == "close"
    assert environment["ONEAPI_DEVICE_SELECTOR"] == "level_zero:gpu"
    assert "ZE_AFFINITY_MASK" not in made
    alone: dict[str, str] = {}
    surroundings.set_defaults(settings, alone)
    assert "ZE_AFFINITY_MASK" not in alone


def test_no_setting_of_the_environment_is_overridden() -> None:
    settings = read_settings(["--require-device", "xpu", "--deterministic"], None)
    unset: dict[str, str] = {}
    made = surroundings.set_defaults(settings, unset)
    assert made == unset
    assert set(surroundings.XPU_DEFAULTS) | set(surroundings.COMMON_DEFAULTS) | {"CUBLAS_WORKSPACE_CONFIG"} == set(unset)
    assert (unset["I_MPI_PIN_DOMAIN"], unset["I_MPI_PIN_ORDER"], unset["OMP_PLACES"]) == ("auto:compact", "compact", "cores")
    theirs = dict.fromkeys(unset, "theirs")
    assert surroundings.set_defaults(settings, theirs) == {}
    assert set(theirs.values()) == {"theirs"}


def test_a_training_finds_the_defaults_of_its_environment_and_keeps_what_was_set(start) -> None:
    """Row G14: what an XPU training really sees, echoed in its results."""
    training = start("a", "--device", "xpu", "--num_epochs", "1", OMP_NUM_THREADS="3", ZE_AFFINITY_MASK="5")
    assert training.end() == 0, training.log
    seen = training.results["system_info"]["environment"]
    assert (seen["OMP_NUM_THREADS"], seen["ZE_AFFINITY_MASK"]) == ("3", "5")
    assert (seen["OMP_PLACES"], seen["OMP_PROC_BIND"], seen["TF_CPP_MIN_LOG_LEVEL"]) == ("cores", "close", "3")
    assert seen["ONEAPI_DEVICE_SELECTOR"] == "level_zero:gpu"


def test_a_cpu_training_keeps_its_threads() -> None:
    environment: dict[str, str] = {}
    surroundings.set_defaults(read_settings([], None), environment)
    assert environment == {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize(("name", "value"), [("HOLDFAST_TARGET_STEP", "0"), ("HOLDFAST_TARGET_STEP", "many"), ("HOLDFAST_ATTEMPT", "x")])
def test_a_senseless_environment_is_a_configuration_error(start, name: str, value: str) -> None:
    training = start("a", **{name: value})
    assert training.end() == 1
    assert training.results["error"]["category"] == "configuration_error"
    assert name in training.results["error"]["error_message"]


def test_tensorboard_files_are_written_where_the_package_is(start) -> None:
    import importlib.util

    training = start("a", "--num_epochs", "1")
    assert training.end() == 0
    has_package = importlib.util.find_spec("tensorboard") is not None
    assert (training.out / "tensorboard").exists() == has_package


def test_tensorboard_gets_every_epoch_under_the_documented_tags(tmp_path: Path) -> None:
    from payload.reporting import TAGS, Reporter

    class Recorder:
        def __init__(self) -> None:
            self.seen: list[tuple[str, float, int]] = []

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.seen.append((tag, value, step))

        def flush(self) -> None:
            self.flushed = True

    reporter = Reporter(str(tmp_path), use_tensorboard=False)
    reporter.writer = Recorder()
    record = {key: float(number) for number, key in enumerate(EPOCH_KEYS)}
    reporter.begin([{**record, "epoch": 1}])
    reporter.epoch({**record, "epoch": 2})
    wanted = {"Loss/Train", "Loss/Validation", "Accuracy/Train", "Accuracy/Validation", "Learning_Rate", "Time/Epoch"}
    assert {tag for tag, _, _ in reporter.writer.seen} == wanted == set(TAGS)
    assert [step for _, _, step in reporter.writer.seen] == [1] * 6 + [2] * 6


def test_images_can_be_generated_without_any_file_and_are_marked(start, tmp_path: Path) -> None:
    training = start("a", "--synthetic_images", "120", "--num_epochs", "1", CIFAR100_DATA_DIR=str(tmp_path / "none"))
    assert training.end() == 0, training.log
    record = training.results
    jsonschema.validate(record, SCHEMA)
    assert record["synthetic"] is True
    assert (record["data"]["source"], record["data"]["folder"], record["data"]["train"]) == ("synthetic_images", None, 108)


def test_automatic_precision_is_resolved_before_anything_is_recorded(start, data_root: Path) -> None:
    from payload import devices

    training = start("a", "--amp", "auto", "--num_epochs", "1")
    assert training.end() == 0, training.log
    wanted = devices.resolved_precision("cpu", "auto")
    assert training.results["system_info"]["amp"] == training.results["hyperparameters"]["amp"] == wanted
    assert wanted in ("off", "bf16")
    assert devices.resolved_precision("cpu", "bf16") == "bf16"
