"""The digits payload under the real agent."""

import json
import sys

from spool_folder import ROOT, wait_for

TRAIN = ROOT / "remote" / "training" / "digits" / "train.py"
ACCURACY = [{"metric": "val_accuracy", "direction": "maximize", "reduce": "result"}]


def digits(spool, **record):
    return spool([sys.executable, str(TRAIN)], objectives=ACCURACY, limits={"grace_seconds": 60}, **record)


def reports(launch, attempt):
    return [json.loads(line) for line in (launch.attempt(1, attempt) / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_the_digits_and_is_the_same_every_time(spool):
    launch = digits(spool)
    for trial in (1, 2):
        launch.offer(trial, params={"learning_rate": 0.02, "epochs": 12})
    first, second = (launch.run()["trial-000{}.1".format(trial)] for trial in (1, 2))
    assert first["status"] == "completed"
    assert first["values"][0] > 0.9
    assert first["metrics"]["test_accuracy"] > 0.85
    assert (first["values"], first["curve"]) == (second["values"], second["curve"])


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(spool):
    launch = digits(spool)
    launch.offer(1, params={"epochs": 4000})
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["busy"] and (launch.heartbeat()["busy"][0]["step"] or 0) >= 7)
    agent.terminate()
    assert agent.wait(timeout=120) == 0
    record = launch.done("trial-0001.1")
    assert (record["status"], record["has_checkpoint"]) == ("returned", True)
    stopped_at = record["step"]

    # The same point with an end in sight, once from the checkpoint and once from the start.
    target = stopped_at + 3
    for attempt, resume_from in ((2, 1), (3, None)):
        offer = launch.offer_record(1, attempt, {"epochs": 4000}, resume_from)
        launch.write("spool/ready/trial-0001.{}.json".format(attempt), dict(offer, target_step=target))
    records = launch.run(pilot="p2")
    assert records["trial-0001.2"]["resumed_from"] == 1
    assert [report["epoch"] for report in reports(launch, 2)] == list(range(stopped_at + 1, target + 1))
    assert reports(launch, 2) == reports(launch, 3)[stopped_at:]
    assert records["trial-0001.2"]["values"] == records["trial-0001.3"]["values"]
    assert records["trial-0001.2"]["metrics"] == records["trial-0001.3"]["metrics"]
