"""What only a real GPU can show; skipped where there is none. A fork cannot use CUDA, so each training is a new process, as it is with the agent."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import jsonschema
import pytest
import torch

from conftest import PAYLOAD, SMALL, Training, kill_all, numbers
from payload.checkpoints import BEST_MODEL, load_tensors

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spool_folder import Spool

PROBES = str(Path(__file__).with_name("cuda_probes.py"))
SCHEMA = json.loads((PAYLOAD / "results.schema.json").read_text())
DATA = ("--synthetic_images", "2000")
# Dropout draws from the GPU's generator, mixup and crops from the plan, plateau and Adam keep state.
RESUMED = (*DATA, "--num_epochs", "6", "--checkpoint_epochs", "1", "--dropout_rate", "0.3", "--mixup_alpha", "0.4", "--deterministic", "--keep_checkpoint")


def gpu_environment(**more: str) -> dict[str, str]:
    """This process's environment with the GPUs that it was given."""
    given = os.environ["TEST_CUDA_VISIBLE_DEVICES"]
    environment = {name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    return {**environment, **({} if given == "all" else {"CUDA_VISIBLE_DEVICES": given}), "OMP_NUM_THREADS": "2", **more}


def one_gpu() -> str:
    given = os.environ["TEST_CUDA_VISIBLE_DEVICES"]
    return "0" if given == "all" else given.split(",")[0]


def ask(*words: str) -> Any:
    done = subprocess.run([sys.executable, PROBES, *words], env=gpu_environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def gpu() -> dict[str, Any]:
    if torch.version.cuda is None:
        pytest.skip("this torch has no CUDA")
    found = ask("facts")
    if not found["available"]:
        pytest.skip("no GPU here")
    return found


pytestmark = pytest.mark.usefixtures("gpu")


class GpuTraining(Training):
    """As Training, in a new process. `cap`: bytes of the GPU's memory that it may take."""

    def __init__(self, arguments: list[str], out: Path, environment: dict[str, str], cap: int | None) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        words = [*([PROBES, "capped", str(cap)] if cap else []), str(PAYLOAD / "train.py"), *arguments]
        with open(out / "log", "a") as log:
            self.process = subprocess.Popen([sys.executable, *words], env=environment, stdout=log, stderr=log)
        self.pid = self.process.pid


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., GpuTraining]:
    """start('name', *flags, cap=…, **environment) runs the small training on generated images, unless flags say otherwise."""
    made: list[GpuTraining] = []

    def begin(name: str, *flags: str, small: bool = True, cap: int | None = None, **environment: str) -> GpuTraining:
        out = tmp_path / name
        arguments = [*(SMALL if small else []), *flags]
        made.append(GpuTraining(arguments, out, gpu_environment(HOLDFAST_OUT=str(out), **environment), cap))
        return made[-1]

    yield begin
    kill_all(made)


def completed(training: GpuTraining) -> dict[str, Any]:
    assert training.end() == 0, training.log
    record = training.results
    jsonschema.validate(record, SCHEMA)
    assert (record["status"], record["system_info"]["device_type"]) == ("completed", "cuda")
    assert all(math.isfinite(line["train_loss"]) for line in record["training_history"])
    return record


def failed(training: GpuTraining, category: str, stage: str) -> dict[str, Any]:
    assert training.end() == 1, training.log
    record = training.results
    jsonschema.validate(record, SCHEMA)
    assert (record["error"]["category"], record["error"]["stage"]) == (category, stage), training.log
    return record


def test_auto_takes_the_gpu_and_its_memory_speed_and_use_are_recorded(start, gpu) -> None:
    record = completed(start("a", *DATA, "--num_epochs", "3"))
    system, resources = record["system_info"], record["resources"]
    assert (system["device_name"], system["device_asked"], system["device_fell_back"]) == (gpu["name"], "auto", False)
    assert 1 << 20 < resources["peak_memory_bytes"] < gpu["memory"]
    assert resources["images_per_second"] > 0
    assert record["timing"]["seconds_to_first_batch"] > 0
    if importlib.util.find_spec("pynvml") is not None:
        assert 0 <= resources["utilisation_percent"] <= 100
    print({name: resources[name] for name in ("peak_memory_bytes", "images_per_second", "utilisation_percent")}, record["timing"])


@pytest.mark.parametrize("mask", ["", "-1", "99"])
def test_a_required_gpu_behind_a_mask_is_refused_and_an_asked_for_one_is_missed_aloud(start, mask: str) -> None:
    required = start("required", *DATA, "--require-device", "cuda", CUDA_VISIBLE_DEVICES=mask)
    asked = start("asked", *DATA, "--device", "cuda", "--num_epochs", "1", CUDA_VISIBLE_DEVICES=mask)
    assert "cuda is required but this process can use cpu only" in failed(required, "resource_error", "environment_setup")["error"]["error_message"]
    assert asked.end() == 0, asked.log
    system = asked.results["system_info"]
    assert (system["device_type"], system["device_fell_back"], system["environment"]["CUDA_VISIBLE_DEVICES"]) == ("cpu", True, mask)


def test_mixed_precisions_learn_as_float32_does(start, gpu) -> None:
    """bf16 has no scaler, fp16 has one, and clipping wants its gradients unscaled."""
    flags = (*DATA, "--num_epochs", "4", "--dropout_rate", "0", "--clip_grad_norm", "1", "--label_smoothing", "0.1")
    trainings = {amp: start(amp, *flags, "--amp", amp) for amp in ("off", "bf16", "fp16", "auto")}
    records = {amp: completed(training) for amp, training in trainings.items()}
    losses = {amp: [line["train_loss"] for line in record["training_history"]] for amp, record in records.items()}
    print(losses)
    automatic = "bf16" if tuple(gpu["capability"]) >= (8, 0) else "off"
    assert {amp: record["system_info"]["amp"] for amp, record in records.items()} == {"off": "off", "bf16": "bf16", "fp16": "fp16", "auto": automatic}
    for amp in ("bf16", "fp16"):
        assert losses[amp] == pytest.approx(losses["off"], rel=0.1)
        assert losses[amp] != losses["off"]
        assert losses[amp][-1] < losses[amp][0]


def test_layout_and_compilation_change_the_numbers_by_rounding_only(start) -> None:
    # Batches of one size only: each other size would be compiled anew.
    flags = (*DATA, "--num_epochs", "2", "--dropout_rate", "0", "--batch_size", "200")
    plain = start("plain", *flags, "--channels_last", "off")
    last = start("last", *flags)
    compiled = start("compiled", *flags, "--compile")
    records = {name: completed(training) for name, training in (("plain", plain), ("last", last), ("compiled", compiled))}
    losses = {name: [line["train_loss"] for line in record["training_history"]] for name, record in records.items()}
    print(losses, {name: record["timing"] for name, record in records.items()})
    assert losses["last"] == pytest.approx(losses["plain"], rel=0.05)
    assert losses["compiled"] == pytest.approx(losses["plain"], rel=0.05)
    described = {name: (record["system_info"]["channels_last"], record["system_info"]["compile"]) for name, record in records.items()}
    assert described == {"plain": (False, False), "last": (True, False), "compiled": (True, True)}


def test_batches_cut_on_the_gpu_are_those_cut_on_the_cpu() -> None:
    found = ask("augmentation")
    assert found["same"]
    assert found["furthest"] < 1e-5


def test_every_network_gives_the_cpus_logits_and_trains_in_bf16_channels_last() -> None:
    found = ask("networks")
    print(found)
    for model, row in found.items():
        assert row["error"] < 1e-3, model
        assert all(math.isfinite(loss) for loss in row["losses"]), model
        assert row["channels_last"], model


def test_resnet18_beats_ten_times_chance_on_images_it_never_saw(start) -> None:
    flags = ("--model_type", "resnet18", "--synthetic_images", "2000", "--num_epochs", "5", "--batch_size", "64", "--dropout_rate", "0")
    record = completed(start("a", *flags, "--schedule", "onecycle", "--learning_rate", "0.003", "--amp", "auto", small=False))
    print({name: record["metrics"][name] for name in ("best_val_accuracy", "test_accuracy", "images_per_second", "peak_memory_gb")})
    assert record["metrics"]["test_accuracy"] > 10 * 0.01


def test_a_diverging_training_stops_at_once_though_the_loss_is_looked_at_now_and_then(start) -> None:
    record = failed(start("a", *DATA, "--optimizer", "sgd", "--learning_rate", "100", "--num_epochs", "50"), "not_finite", "training")
    assert len(record["training_history"]) < 5


def test_the_gpus_memory_running_out_is_a_resource_error_or_half_batches_where_asked_for(start) -> None:
    flags = ("--model_type", "resnet18", "--synthetic_images", "5000", "--batch_size", "4500", "--num_epochs", "1", "--require-device", "cuda")
    strict = start("strict", *flags, small=False, cap=3 << 30)
    halving = start("halving", *flags, "--halve_batch_on_oom", small=False, cap=3 << 30)
    record = failed(strict, "resource_error", "training")
    assert "out of memory" in record["error"]["error_message"]
    assert record["error"]["type"] == "OutOfMemoryError"
    kept = completed(halving)
    assert kept["resources"]["micro_batches"] >= 4
    assert kept["resources"]["peak_memory_bytes"] <= 3 << 30
    print(kept["resources"])


def test_images_that_the_gpu_does_not_hold_stay_in_memory_and_are_copied_batch_by_batch(start) -> None:
    """90,000 padded images are 432 MB."""
    training = start("a", "--synthetic_images", "100000", "--num_epochs", "1", "--batch_size", "512", "--width_factor", "0.03", cap=400_000_000)
    record = completed(training)
    assert "do not fit on cuda" in training.log
    assert record["resources"]["peak_memory_bytes"] < 400_000_000


def outcome(training: GpuTraining) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    record = completed(training)
    kept = {"objective": record["objective"], "history": numbers(record["training_history"]), "test": record["metrics"]["test_loss"]}
    return kept, load_tensors(str(training.out / "checkpoint" / BEST_MODEL))


@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_a_killed_training_ends_with_the_same_numbers_in_deterministic_mode(start, amp: str) -> None:
    flags = (*RESUMED, "--amp", amp)
    undisturbed, first = start("undisturbed", *flags), start("first", *flags)
    first.kill_when(lambda: len(first.lines) >= 2)
    second = start("second", *flags, HOLDFAST_RESUME_FROM=str(first.out / "checkpoint"), HOLDFAST_ATTEMPT="2")
    (wanted, wanted_weights), (found, found_weights) = outcome(undisturbed), outcome(second)
    assert 1 <= second.results["resumed"]["epoch"] < 6
    assert found == wanted
    assert all(torch.equal(found_weights[name], weights) for name, weights in wanted_weights.items())


def test_a_stop_file_is_obeyed_within_seconds_and_the_training_goes_on_from_there(start, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    flags = (*DATA, "--num_epochs", "400", "--early_stopping_patience", "0", "--checkpoint_epochs", "1000")
    first = start("first", *flags, HOLDFAST_STOP_FILE=str(stop))
    first.wait_for(lambda: len(first.lines) >= 2)
    asked = time.monotonic()
    stop.write_text("pruned\n")
    assert first.end(60) == 0, first.log
    seconds = time.monotonic() - asked
    record = first.results
    assert (record["status"], record["stop_reason"]) == ("stopped", "stop file")
    assert seconds < 10
    epochs = len(record["training_history"])
    second = start("second", *flags, HOLDFAST_RESUME_FROM=str(first.out / "checkpoint"), HOLDFAST_TARGET_STEP=str(epochs + 2))
    assert completed(second)["resumed"]["epoch"] == epochs
    assert numbers(second.results["training_history"][:epochs]) == numbers(record["training_history"])
    print(f"left {seconds:.2f} s after the stop file")


def test_trials_of_one_agent_share_a_gpu_through_the_mask_of_their_slots(tmp_path: Path) -> None:
    """Two slots with the same device, as slots.per_device: 2 gives them, and four trials."""
    rows = tmp_path / "slots.json"
    rows.write_text(json.dumps([{"env": {"CUDA_VISIBLE_DEVICES": one_gpu()}} for _ in range(2)]))
    flags = [*SMALL, *DATA, "--num_epochs", "6", "--require-device", "cuda"]
    objectives = [{"metric": "objective", "direction": "maximize", "reduce": "result"}]
    launch = Spool(tmp_path / "launch", [sys.executable, str(PAYLOAD / "train.py"), *flags], objectives=objectives)
    try:
        for trial in range(1, 5):
            launch.offer(trial, params={"seed": trial})
        launch.run("--slot-env", str(rows), slots=2, env={"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "2"})
        assert launch.names("done") == [f"trial-{trial:04d}.1" for trial in range(1, 5)]
        for trial in range(1, 5):
            record = json.loads((launch.attempt(trial) / "results.json").read_text())
            assert (record["status"], record["system_info"]["device_type"]) == ("completed", "cuda")
            assert record["system_info"]["environment"]["CUDA_VISIBLE_DEVICES"] == one_gpu()
        most = now = 0
        for line in launch.path("pilots/p1/agent.log").read_text().splitlines():
            now += ("started on slot" in line) - ("completed" in line)
            most = max(most, now)
        assert most == 2
    finally:
        launch.end()
