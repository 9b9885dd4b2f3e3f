"""Killed, stopped, promoted: what goes on from a checkpoint ends with the numbers of an undisturbed run, bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
from pathlib import Path

import pytest
import torch

from conftest import SMALL, Training, numbers
from payload import devices, images, learner
from payload.checkpoints import BEST_MODEL, MANIFEST, load_latest, load_tensors
from payload.models.factory import ModelShape, create_model
from payload.optimisation import make_optimizer
from payload.options import read_settings

# Dropout draws from torch's generator, mixup and crops from the plan, plateau and Adam keep state: all of it must come back.
FLAGS = ("--num_epochs", "5", "--checkpoint_epochs", "1", "--dropout_rate", "0.3", "--mixup_alpha", "0.4", "--label_smoothing", "0.1", "--keep_checkpoint")


def outcome(training: Training) -> tuple[dict, dict]:
    record = training.results
    kept = {name: record[name] for name in ("status", "objective", "learning_curve", "overfitting", "stopped_early", "stop_reason")}
    kept["metrics"] = {name: value for name, value in record["metrics"].items() if "second" not in name and "memory" not in name}
    kept["history"] = numbers(record["training_history"])
    return kept, load_tensors(str(training.out / "checkpoint" / BEST_MODEL))


def assert_same(one: Training, other: Training) -> None:
    (kept, weights), (other_kept, other_weights) = outcome(one), outcome(other)
    assert other_kept == kept
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.fixture(scope="module")
def undisturbed(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    out = tmp_path_factory.mktemp("undisturbed")
    training = Training([*SMALL, "--data_dir", str(data_root), *FLAGS], out, {"HOLDFAST_OUT": str(out)})
    assert training.end() == 0, training.log
    return training


def test_two_runs_with_the_same_seed_are_the_same_and_with_another_are_not(start, undisturbed: Training) -> None:
    again = start("again", *FLAGS)
    other = start("other", *FLAGS, "--seed", "7")
    assert again.end() == other.end() == 0
    assert_same(undisturbed, again)
    assert outcome(other)[0]["history"] != outcome(again)[0]["history"]


@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4])
def test_a_training_killed_at_any_epoch_ends_with_the_same_numbers(start, undisturbed: Training, epoch: int) -> None:
    """Killed without warning as soon as `epoch` epochs are reported (0: as soon as there is a first trace), then gone on from by a second attempt."""
    first = start("first", *FLAGS)
    first.kill_when(lambda: len(first.lines) >= epoch and (first.out / "metrics.jsonl").exists())
    checkpoint = first.out / "checkpoint"
    second = start("second", *FLAGS, HOLDFAST_RESUME_FROM=str(checkpoint), HOLDFAST_ATTEMPT="2")
    assert second.end() == 0, second.log
    resumed = second.results["resumed"]
    # The report comes before the checkpoint, so at most that one epoch is done again.
    assert max(0, epoch - 1) <= resumed["epoch"] <= 5
    assert_same(undisturbed, second)
    assert numbers(second.lines) == numbers(undisturbed.lines), "an attempt's metrics.jsonl is the whole curve"
    assert [line["epoch"] for line in second.lines] == [1, 2, 3, 4, 5]


def test_a_training_killed_again_and_again_at_random_ends_with_the_same_numbers(start, undisturbed: Training) -> None:
    seed = int(os.environ.get("HOLDFAST_TEST_SEED", random.randrange(1 << 30)))
    print(f"HOLDFAST_TEST_SEED={seed}")
    dice = random.Random(seed)
    folder = ""
    for attempt in range(1, 40):
        training = start(f"attempt-{attempt}", *FLAGS, "--checkpoint_minutes", "0.001", HOLDFAST_RESUME_FROM=folder, HOLDFAST_ATTEMPT=str(attempt))
        wanted = dice.choice(["state", "line", "never"]) if attempt > 6 else dice.choice(["state", "line"])
        before = set(os.listdir(folder)) if folder else set()
        try:
            if wanted == "never":
                assert training.end() == 0, training.log
            elif wanted == "line":
                begun = dice.randint(1, 2) + len([name for name in before if name.startswith("best")])
                training.kill_when(lambda training=training, begun=begun: len([line for line in training.lines if not line.get("replayed")]) >= begun)
            else:
                training.kill_when(lambda training=training: (training.out / "checkpoint" / MANIFEST).exists())
        except AssertionError as error:
            if "ended with status 0" not in str(error):
                raise
        if (training.out / "results.json").exists():
            assert_same(undisturbed, training)
            return
        if (training.out / "checkpoint" / MANIFEST).exists():
            folder = str(training.out / "checkpoint")
    raise AssertionError("never came to its end")


@pytest.mark.parametrize("way", ["stop file", "SIGTERM"])
def test_a_stop_is_obeyed_between_two_batches_and_nothing_is_lost(start, undisturbed: Training, tmp_path: Path, way: str) -> None:
    stop = tmp_path / "stop"
    first = start("first", *FLAGS, "--num_epochs", "5", HOLDFAST_STOP_FILE=str(stop))
    first.wait_for(lambda: len(first.lines) >= 2)
    if way == "stop file":
        stop.write_text("pruned\n")
    else:
        os.kill(first.pid, signal.SIGTERM)
    assert first.end(60) == 0, first.log
    record = first.results
    assert (record["status"], record["stop_reason"]) == ("stopped", way)
    assert record["objective"] == pytest.approx(record["learning_curve"]["auc"], abs=1e-12)
    assert "test_accuracy" not in record["metrics"], "a stopped training leaves before the test set"
    second = start("second", *FLAGS, HOLDFAST_RESUME_FROM=str(first.out / "checkpoint"))
    assert second.end() == 0, second.log
    assert second.results["resumed"]["epoch"] == len(record["training_history"])
    assert_same(undisturbed, second)


def test_a_stop_inside_an_epoch_is_gone_on_from_at_that_batch(start, data_root: Path, tmp_path: Path) -> None:
    """One long epoch: the stop comes while it runs, and the second attempt does only the batches that are left."""
    flags = ("--batch_size", "2", "--num_epochs", "2", "--keep_checkpoint", "--dropout_rate", "0.3")
    whole = start("whole", *flags)
    assert whole.end() == 0
    stop = tmp_path / "stop"
    first = start("first", *flags, "--checkpoint_minutes", "0.001", HOLDFAST_STOP_FILE=str(stop))
    first.wait_for(lambda: (first.out / "checkpoint" / MANIFEST).exists())
    stop.write_text("")
    assert first.end(60) == 0, first.log
    manifest = json.loads((first.out / "checkpoint" / MANIFEST).read_text())
    second = start("second", *flags, HOLDFAST_RESUME_FROM=str(first.out / "checkpoint"))
    assert second.end() == 0, second.log
    resumed = second.results["resumed"]
    assert (resumed["epoch"], resumed["batch"]) == (manifest["epoch"], manifest["batch"])
    assert manifest["batch"] > 0 or manifest["epoch"] > 0
    assert_same(whole, second)


def test_a_promoted_trial_trains_on_to_its_new_target_with_the_schedule_of_the_whole(start) -> None:
    flags = (*FLAGS, "--schedule", "onecycle")
    whole = start("whole", *flags)
    assert whole.end() == 0
    rung = start("rung", *flags, HOLDFAST_TARGET_STEP="2")
    assert rung.end() == 0
    record = rung.results
    assert (record["status"], record["is_final"], record["stop_reason"], len(record["training_history"])) == ("completed", False, "target", 2)
    assert numbers(record["training_history"]) == numbers(whole.results["training_history"][:2])
    last = start("last", *flags, HOLDFAST_RESUME_FROM=str(rung.out / "checkpoint"), HOLDFAST_TARGET_STEP="5")
    assert last.end() == 0
    assert last.results["resumed"]["epoch"] == 2
    assert_same(whole, last)


def test_a_target_beyond_num_epochs_ends_at_num_epochs(start) -> None:
    training = start("a", "--num_epochs", "1", HOLDFAST_TARGET_STEP="27")
    assert training.end() == 0
    assert (training.results["is_final"], len(training.lines)) == (True, 1)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(start, undisturbed: Training) -> None:
    first = start("first", *FLAGS)
    first.kill_when(lambda: (first.out / "checkpoint" / MANIFEST).exists() and json.loads((first.out / "checkpoint" / MANIFEST).read_text())["epoch"] >= 2)
    folder = first.out / "checkpoint"
    manifest = json.loads((folder / MANIFEST).read_text())
    newest = folder / manifest["checkpoints"][0]["state"]["file"]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    second = start("second", *FLAGS, HOLDFAST_RESUME_FROM=str(folder))
    assert second.end() == 0, second.log
    assert second.results["resumed"]["epoch"] == manifest["checkpoints"][1]["epoch"]
    assert "is damaged" in second.log
    assert_same(undisturbed, second)


def test_checkpoints_of_other_settings_or_none_are_not_gone_on_from(start, tmp_path: Path) -> None:
    first = start("first", "--num_epochs", "2", "--keep_checkpoint")
    assert first.end() == 0
    second = start("second", "--num_epochs", "2", "--learning_rate", "0.01", HOLDFAST_RESUME_FROM=str(first.out / "checkpoint"))
    third = start("third", "--num_epochs", "2", HOLDFAST_RESUME_FROM=str(tmp_path / "nowhere"))
    assert second.end() == third.end() == 0
    assert second.results["resumed"]["refused"] == "other settings: learning_rate"
    assert third.results["resumed"]["refused"] == "no whole checkpoint there"
    assert numbers(third.results["training_history"]) == numbers(first.results["training_history"])


def test_weights_of_an_earlier_run_in_the_same_folder_are_never_taken(start) -> None:
    first = start("a", "--num_epochs", "1")
    assert first.end() == 0
    before = (first.out / "checkpoint" / BEST_MODEL).read_bytes()
    second = start("a", "--num_epochs", "1", "--seed", "9")
    assert second.end() == 0
    assert second.results["resumed"]["from"] is None
    assert [line["epoch"] for line in second.lines] == [1]
    assert (second.out / "checkpoint" / BEST_MODEL).read_bytes() != before


def test_the_test_set_is_looked_at_with_the_weights_of_the_best_validation_epoch(start, data_root: Path) -> None:
    """The rate is far too high, so that the last epochs are worse than the best: the two sets of weights differ."""
    training = start("a", *FLAGS[4:], "--num_epochs", "6", "--checkpoint_epochs", "1", "--learning_rate", "0.03", "--schedule", "constant", "--keep_checkpoint")
    assert training.end() == 0, training.log
    record, folder = training.results, training.out / "checkpoint"
    assert record["metrics"]["best_epoch"] < 6, "the test needs a training whose last epoch is not its best"
    settings = read_settings([*SMALL], None)
    network = create_model(ModelShape("custom", hidden_size=32, num_layers=2, width_factor=0.1))
    made = learner.make_learner(network, lambda each: make_optimizer(settings, each), devices.choose_device(settings), settings)
    data = images.load(images.locate(str(data_root)), torch.device("cpu"))
    last, _ = load_latest(str(folder))
    found = {}
    for name, weights in (("best", load_tensors(str(folder / BEST_MODEL))), ("last", last["network"])):
        network.load_state_dict(weights)
        found[name] = learner.evaluate(made, data.test, lambda: None)
    assert record["metrics"]["test_loss"] == found["best"].loss != found["last"].loss
    assert record["metrics"]["test_accuracy"] == found["best"].accuracy


def test_a_finished_training_leaves_its_best_weights_and_no_more(start) -> None:
    training = start("a", "--num_epochs", "3", "--checkpoint_epochs", "1")
    assert training.end() == 0
    assert os.listdir(training.out / "checkpoint") == [BEST_MODEL]
    assert load_latest(str(training.out / "checkpoint")) is None


def test_two_checkpoints_are_kept_and_a_half_written_one_is_no_checkpoint(start, tmp_path: Path) -> None:
    training = start("a", "--num_epochs", "4", "--checkpoint_epochs", "1", "--keep_checkpoint")
    assert training.end() == 0
    folder = training.out / "checkpoint"
    assert len([name for name in os.listdir(folder) if name.startswith("state-")]) == 2
    found = load_latest(str(folder))
    assert found is not None
    assert found[0]["epoch"] == 4
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    manifest = json.loads((half / MANIFEST).read_text())
    path = half / manifest["checkpoints"][0]["state"]["file"]
    path.write_bytes(path.read_bytes()[:1000])
    older = load_latest(str(half))
    assert older is not None
    assert older[0]["epoch"] == 3
    # Whole by its hash, and of a format that this torch does not read.
    foreign = b"PK of another torch"
    path.write_bytes(foreign)
    manifest["checkpoints"][0]["state"].update(size=len(foreign), sha256=hashlib.sha256(foreign).hexdigest())
    (half / MANIFEST).write_text(json.dumps(manifest))
    older = load_latest(str(half))
    assert older is not None
    assert older[0]["epoch"] == 3


@pytest.mark.parametrize("text", ["", "[]", "null", '{"checkpoints": 3}', '{"checkpoints": [{}, null]}', '{"checkpoints": [{"state": {"file": "x"}}]}'])
def test_a_manifest_of_another_shape_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    assert load_latest(str(tmp_path)) is None
