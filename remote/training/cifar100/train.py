#!/usr/bin/env python3
"""Trains a network on CIFAR-100: XPU, CUDA or CPU, torch 1.13 and newer. `train.py --help` lists the settings; docs/guides/cifar100.md explains them.

Exit codes: 0 for a finished or a stopped training, 1 for a failed one. results.json says which, and why.
"""

from __future__ import annotations

import time

STARTED = time.monotonic()
STARTED_AT = time.time()

import logging
import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from payload import results, stages
from payload.errors import error_object
from payload.files import release_space, reserve_space, write_json
from payload.options import read_settings
from payload.preparation import set_up
from payload.run import Run
from payload.stopping import StopRequested, StopWatch
from payload.surroundings import Surroundings, read_surroundings, set_defaults

logger = logging.getLogger("cifar100")
RESULTS = "results.json"
RESERVE = ".reserved-for-results"


def prepare_folder(around: Surroundings) -> None:
    os.makedirs(around.out, exist_ok=True)
    # Results of an earlier run in the same folder must not be taken for this one's.
    for name in (RESULTS, RESERVE):
        release_space(os.path.join(around.out, name))
    reserve_space(os.path.join(around.out, RESERVE))


def conclude(run: Run, stop: StopWatch, is_final: bool) -> dict[str, Any]:
    """Tests the best weights and makes the record of a training that came to its end."""
    from payload.learner import evaluate

    trainer, settings, tracker = run.trainer, run.settings, run.tracker
    tracker.enter(stages.EVALUATION)
    if trainer.best_weights is not None:
        trainer.learner.network.load_state_dict(trainer.best_weights)
    test = evaluate(trainer.learner, trainer.data.test, stop.check, settings.classification_metrics)
    tracker.enter(stages.METRICS_CALCULATION)
    classification = None
    if test.probabilities is not None:
        from payload.classification import classification_metrics

        classification = classification_metrics(trainer.data.test.labels.cpu().numpy(), test.probabilities.numpy())
    flat = results.flat_metrics(run.history(), {"accuracy": test.accuracy, "loss": test.loss})
    tracker.enter(stages.RESULTS_PREPARATION)
    return {
        **run.record("completed"),
        **summary(run, flat),
        "classification": classification,
        "is_final": is_final,
        "stop_reason": "early stopping" if trainer.progress.stopped_early else ("all epochs" if is_final else "target"),
    }


def summary(run: Run, flat: dict[str, Any]) -> dict[str, Any]:
    """Objective, flat metrics (also at the top, where simple readers look) and the metrics of the curves."""
    trainer, settings = run.trainer, run.settings
    assert settings is not None
    cost = run.facts["model_info"]["multiply_adds"]
    speed = flat.get("images_per_second")
    return {
        "objective": results.objective_value(settings, flat),
        "objective_metric": settings.objective,
        "metrics": flat,
        **flat,
        **results.curve_metrics(run.history()),
        "resources": {
            "peak_memory_bytes": max((record["peak_memory_bytes"] or 0 for record in run.history()), default=None),
            "images_per_second": speed,
            # A training step costs about three forward passes, a multiply-add is two operations.
            "achieved_tflops": 6 * cost * speed / 1e12 if speed else None,
            "utilisation_percent": run.history()[-1]["utilisation_percent"] if run.history() else None,
            "micro_batches": trainer.learner.micro_batches,
        },
        "stopped_early": trainer.progress.stopped_early,
    }


def train(run: Run, arguments: list[str]) -> dict[str, Any]:
    """From flags to the record for results.json. Raises whatever goes wrong; `run` knows where that was."""
    run.tracker.enter(stages.PARAMETER_EXTRACTION)
    run.settings = settings = read_settings(arguments, os.environ.get("HOLDFAST_PARAMS") or None)
    logging.getLogger("cifar100").setLevel(settings.log_level)
    run.around = around = read_surroundings(settings, os.environ)
    results.check_objective(settings, around.target_step)
    run.tracker.enter(stages.PATH_SETUP)
    prepare_folder(around)
    run.tracker.enter(stages.ENVIRONMENT_SETUP)
    made = set_defaults(settings, os.environ)
    logger.debug("environment set: %s", made)
    stop = StopWatch(around.stop_file)
    stop.listen()
    last_epoch = min(settings.num_epochs, around.target_step or settings.num_epochs)
    try:
        set_up(run, stop)
        run.tracker.enter(stages.TRAINING)
        run.trainer.fit(last_epoch)
        is_final = run.trainer.progress.stopped_early or last_epoch == settings.num_epochs
        record = conclude(run, stop, is_final)
    except StopRequested as request:
        logger.info("stopped (%s) after epoch %d", request, run.trainer.progress.epoch)
        flat = results.flat_metrics(run.history(), None)
        return {**run.record("stopped"), **summary(run, flat), "is_final": False, "stop_reason": str(request)}
    return record


def folder_for_last_words(run: Run, arguments: list[str]) -> str | None:
    """Where results.json goes when even the flags could not be read."""
    if run.around is not None:
        return run.around.out
    for position, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name in ("--output_dir", "--output-dir"):
            return value or (arguments[position + 1] if position + 1 < len(arguments) else None)
    return os.environ.get("HOLDFAST_OUT") or None


def write_results(out: str, record: dict[str, Any]) -> None:
    release_space(os.path.join(out, RESERVE))
    write_json(os.path.join(out, RESULTS), record)


def fail(run: Run, error: BaseException, arguments: list[str]) -> int:
    """Says what happened in results.json and on stderr."""
    what = error_object(error, run.tracker.current)
    print(what["traceback"], file=sys.stderr)
    print(f"{what['category']} in {what['stage']}: {what['error_message']}", file=sys.stderr)
    out = folder_for_last_words(run, arguments)
    if out is None:
        return 1
    try:
        os.makedirs(out, exist_ok=True)
        write_results(out, {**run.record("error"), "error": what})
    except OSError as second:
        print(f"results.json could not be written either: {second}", file=sys.stderr)
    return 1


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    run = Run(STARTED, STARTED_AT)
    try:
        record = train(run, arguments)
        assert run.around is not None and run.settings is not None
        write_results(run.around.out, record)
        if record["status"] == "completed" and record["is_final"]:
            run.trainer.checkpoints.finish(run.trainer.best_weights, run.settings.keep_checkpoint)
    except Exception as error:
        return fail(run, error, arguments)
    finally:
        if run.trainer is not None:
            run.trainer.reporter.close()
    logger.info("%s: %s = %s", record["status"], record["objective_metric"], record["objective"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
