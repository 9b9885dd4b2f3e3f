"""Everything before the first batch: libraries, device, data, network, and the checkpoint that the training goes on from."""

from __future__ import annotations

import argparse
import logging
import os
from typing import Any

from payload import results, stages
from payload.options import fingerprint
from payload.run import Run
from payload.stages import StageTracker
from payload.stopping import StopWatch
from payload.surroundings import Surroundings

logger = logging.getLogger("cifar100")
CHECKPOINTS = "checkpoint"


def go_on_from(trainer: Any, folder: str | None, settings: argparse.Namespace) -> dict[str, Any]:
    """Restores the newest whole checkpoint of the same settings; says what was done, for results.json."""
    from payload.checkpoints import load_latest

    if not folder:
        return {"from": None, "epoch": 0, "batch": 0, "refused": None}
    found = load_latest(folder)
    if found is None:
        logger.warning("no checkpoint in %s: starting from the beginning", folder)
        return {"from": folder, "epoch": 0, "batch": 0, "refused": "no whole checkpoint there"}
    state, best_weights = found
    now = fingerprint(settings)
    others = sorted(name for name in now if state["fingerprint"].get(name, now[name]) != now[name])
    if others:
        logger.warning("the checkpoint in %s is of other settings (%s): starting from the beginning", folder, ", ".join(others))
        return {"from": folder, "epoch": 0, "batch": 0, "refused": f"other settings: {', '.join(others)}"}
    trainer.restore(state, best_weights)
    batch = state["progress"]["batch"] if state["progress"] else 0
    logger.info("going on after epoch %d, batch %d (%s)", state["epoch"], batch, folder)
    return {"from": folder, "epoch": state["epoch"], "batch": batch, "refused": None}


def import_libraries(tracker: StageTracker) -> None:
    """The heavy imports, in a stage of their own, so that a node without torch gets an error that says so. What follows finds them loaded."""
    tracker.enter(stages.IMPORTS)
    import torch  # noqa: F401

    from payload import checkpoints, classification, devices, images, learner, optimisation, reporting, trainer  # noqa: F401
    from payload.models import factory  # noqa: F401


def set_up_device(run: Run, settings: argparse.Namespace) -> Any:
    """The device that trains, with torch set up for it."""
    import torch

    from payload import devices

    run.tracker.enter(stages.ENVIRONMENT_SETUP)
    if settings.num_workers > 0:
        torch.set_num_threads(settings.num_workers)
    device = devices.choose_device(settings)
    settings.amp = devices.resolved_precision(device.kind, settings.amp)
    run.facts["system_info"] = results.system_record(settings, device, str(torch.__version__), torch.get_num_threads())
    if device.kind == "cuda":
        torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    logger.info("device %s (%s), torch %s, %d threads", device.kind, device.name, torch.__version__, torch.get_num_threads())
    return device


def load_data(run: Run, settings: argparse.Namespace, around: Surroundings, device: Any) -> Any:
    """The data set on the device, real or generated."""
    from payload import images

    run.tracker.enter(stages.DATA_DIRECTORY_SETUP)
    source = "synthetic_images" if settings.synthetic_images else around.data_dir_source
    folder = None if settings.synthetic_images else images.locate(around.data_dir)
    logger.info("data in %s (%s)", folder or "memory", source)
    run.tracker.enter(stages.DATA_LOADING)
    data = images.make_synthetic(settings.synthetic_images, device.torch_device) if folder is None else images.load(folder, device.torch_device)
    sizes = {"train": len(data.training), "validation": len(data.validation), "test": len(data.test)}
    run.facts["data"] = {"folder": folder, "source": source, "synthetic": data.synthetic, "split_seed": images.SPLIT_SEED, **sizes}
    run.facts["synthetic"] = data.synthetic
    if data.synthetic:
        logger.warning("these data are synthetic: nothing here says anything about CIFAR-100")
    return data


def make_network(run: Run, settings: argparse.Namespace) -> Any:
    """The network with the weights of its seed, still on the CPU."""
    import torch

    from payload.models import factory

    run.tracker.enter(stages.MODEL_CREATION)
    torch.manual_seed(settings.seed)
    names = ("model_type", "dropout_rate", "hidden_size", "num_layers", "width_factor")
    network = factory.create_model(factory.ModelShape(**{name: getattr(settings, name) for name in names}))
    total, trainable = factory.count_parameters(network)
    cost = factory.multiply_adds(network)
    run.facts["model_info"] = {"model_type": settings.model_type, "total_params": total, "trainable_params": trainable, "multiply_adds": cost}
    return network


def set_up(run: Run, stop: StopWatch) -> None:
    """Everything before the first batch."""
    settings, around = run.settings, run.around
    assert settings is not None and around is not None
    import_libraries(run.tracker)
    from payload import learner
    from payload.checkpoints import CheckpointFolder
    from payload.optimisation import make_optimizer
    from payload.reporting import Reporter
    from payload.trainer import Trainer

    device = set_up_device(run, settings)
    data = load_data(run, settings, around, device)
    network = make_network(run, settings)
    run.tracker.enter(stages.TRAINER_SETUP)
    made = learner.make_learner(network, lambda each: make_optimizer(settings, each), device, settings)
    checkpoints = CheckpointFolder(os.path.join(around.out, CHECKPOINTS))
    run.trainer = Trainer(settings, made, data, checkpoints, Reporter(around.out, settings.tensorboard), stop)
    run.facts["resumed"] = go_on_from(run.trainer, around.resume_from, settings)
    if not around.resume_from or os.path.realpath(around.resume_from) != os.path.realpath(checkpoints.folder):
        checkpoints.start_afresh()
