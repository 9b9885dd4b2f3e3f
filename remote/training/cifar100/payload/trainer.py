"""The training from its first batch, or from a checkpoint, to its last: epochs, reports, checkpoints, stops."""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from payload import devices
from payload.checkpoints import CheckpointFolder
from payload.epoch_plan import batch_bounds, cut, mixup_share, plan_epoch
from payload.errors import NotFiniteError
from payload.images import DataSet
from payload.learner import Evaluation, Learner, evaluate, train_batch
from payload.metrics import area_under_curve
from payload.optimisation import Plateau, factor_at, set_learning_rate
from payload.options import fingerprint
from payload.reporting import Reporter
from payload.stopping import StopRequested, StopWatch

logger = logging.getLogger("cifar100")
# Batches between two looks at the loss on an accelerator; each look waits for the device. The CPU has nothing to wait for.
LOOK_EVERY_BATCHES = {"cpu": 1, "cuda": 16, "xpu": 16}


@dataclass
class EpochProgress:
    """Inside an epoch: batches done and their sums. epoch counts from 1."""

    epoch: int
    batch: int = 0
    loss: float = 0.0
    hits: float = 0.0
    seconds: float = 0.0


@dataclass
class Progress:
    """All of a training that a checkpoint holds besides weights, optimiser, scaler and random state."""

    epoch: int = 0
    inside: EpochProgress | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    flat_epochs: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    stopped_early: bool = False


class Trainer:
    """Runs `learner` on `data`. `fit` returns at the last epoch, at the target or after early stopping; it raises StopRequested when asked to stop."""

    def __init__(
        self,
        settings: argparse.Namespace,
        learner: Learner,
        data: DataSet,
        checkpoints: CheckpointFolder,
        reporter: Reporter,
        stop: StopWatch,
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.checkpoints = checkpoints
        self.reporter = reporter
        self.stop = stop
        self.progress = Progress()
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.first_batch_at: float | None = None
        self.bounds = batch_bounds(len(data.training), settings.batch_size)
        self._saved_at = time.monotonic()
        self._saved_epoch = 0

    def state(self) -> dict[str, Any]:
        """Everything that a later attempt needs to end with the same numbers."""
        now = self.progress
        return {
            "version": 1,
            "fingerprint": fingerprint(self.settings),
            "epoch": now.epoch,
            "progress": asdict(now.inside) if now.inside else None,
            "history": now.history,
            "best": {"epoch": now.best_epoch, "accuracy": now.best_accuracy},
            "flat_epochs": now.flat_epochs,
            "plateau": asdict(now.plateau),
            "stopped_early": now.stopped_early,
            "network": self.learner.network.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
            "scaler": self.learner.scaler.state_dict() if self.learner.scaler else None,
            "random": devices.random_state(self.learner.device.kind),
            "micro_batches": self.learner.micro_batches,
        }

    def restore(self, state: dict[str, Any], best_weights: dict[str, torch.Tensor] | None) -> None:
        inside = state["progress"]
        self.progress = Progress(
            epoch=state["epoch"],
            inside=EpochProgress(**inside) if inside else None,
            history=state["history"],
            best_epoch=state["best"]["epoch"],
            best_accuracy=state["best"]["accuracy"],
            flat_epochs=state["flat_epochs"],
            plateau=Plateau(**state["plateau"]),
            stopped_early=state["stopped_early"],
        )
        self.best_weights = best_weights
        self.learner.network.load_state_dict(state["network"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        if self.learner.scaler and state["scaler"]:
            self.learner.scaler.load_state_dict(state["scaler"])
        devices.restore_random_state(self.learner.device.kind, state["random"])
        self.learner.micro_batches = state["micro_batches"]
        self._saved_epoch = state["epoch"]

    def save(self) -> None:
        self.checkpoints.save(self.state(), self.best_weights)
        self._saved_at, self._saved_epoch = time.monotonic(), self.progress.epoch

    def fit(self, last_epoch: int) -> None:
        """Trains up to and with `last_epoch`. A stop is obeyed between two batches, after a checkpoint."""
        self.reporter.begin(self.progress.history)
        try:
            while self.progress.epoch < last_epoch and not self.progress.stopped_early:
                self._epoch()
                if self.progress.epoch - self._saved_epoch >= self.settings.checkpoint_epochs or self._is_due():
                    self.save()
                self.stop.check()
        except StopRequested:
            self.save()
            raise
        if self._saved_epoch != self.progress.epoch:
            self.save()

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved_at >= 60 * self.settings.checkpoint_minutes

    def _rate(self, epoch: int, batch: int) -> float:
        steps = len(self.bounds)
        return self.settings.learning_rate * self.progress.plateau.factor * factor_at(self.settings, (epoch - 1) * steps + batch, steps)

    def _epoch(self) -> None:
        inside = self.progress.inside or EpochProgress(self.progress.epoch + 1)
        self.progress.inside = inside
        # What an earlier attempt spent inside this epoch counts too.
        started = time.monotonic() - inside.seconds
        began, cpu_before = time.monotonic(), devices.cpu_seconds()
        self._train(inside, started)
        kind = self.learner.device.kind
        devices.synchronise(kind)
        utilisation = devices.utilisation_percent(kind, devices.cpu_seconds() - cpu_before, time.monotonic() - began)
        inside.seconds = time.monotonic() - started
        validation = evaluate(self.learner, self.data.validation, self.stop.check)
        self._close_epoch(self._record(inside, validation, time.monotonic() - started, utilisation))

    def _record(self, inside: EpochProgress, validation: Evaluation, epoch_seconds: float, utilisation: float | None) -> dict[str, Any]:
        """The epoch's line of metrics.jsonl. Its images/s are those of training alone, without the validation."""
        count = len(self.data.training)
        accuracies = [record["val_accuracy"] for record in self.progress.history] + [validation.accuracy]
        return {
            "epoch": inside.epoch,
            "step": inside.epoch,
            "train_loss": inside.loss / count,
            "train_accuracy": inside.hits / count,
            "val_loss": validation.loss,
            "val_accuracy": validation.accuracy,
            "learning_rate": self._rate(inside.epoch, len(self.bounds) - 1),
            "epoch_time": epoch_seconds,
            "val_auc": area_under_curve(accuracies),
            "best_val_accuracy": max(accuracies),
            "training_seconds": sum(past["epoch_time"] for past in self.progress.history) + epoch_seconds,
            "images_per_second": count / inside.seconds if inside.seconds > 0 else None,
            "peak_memory_bytes": devices.peak_memory_bytes(self.learner.device.kind),
            "utilisation_percent": utilisation,
        }

    def _close_epoch(self, record: dict[str, Any]) -> None:
        now, accuracy = self.progress, record["val_accuracy"]
        now.history.append(record)
        now.epoch, now.inside = record["epoch"], None
        is_gain = now.best_epoch == 0 or accuracy > now.best_accuracy + self.settings.early_stopping_min_delta
        now.flat_epochs = 0 if is_gain else now.flat_epochs + 1
        if accuracy > now.best_accuracy:
            now.best_accuracy, now.best_epoch = accuracy, record["epoch"]
            self.best_weights = {name: value.detach().to("cpu", copy=True) for name, value in self.learner.network.state_dict().items()}
        if self.settings.schedule == "plateau":
            now.plateau.observe(accuracy)
        patience = self.settings.early_stopping_patience
        now.stopped_early = 0 < patience <= now.flat_epochs and record["epoch"] < self.settings.num_epochs
        self.reporter.epoch(record)
        logger.info(
            "epoch %d: train %.4f (%.2f %%), val %.4f (%.2f %%), lr %.3g, %.1f s, %.0f images/s",
            record["epoch"],
            record["train_loss"],
            100 * record["train_accuracy"],
            record["val_loss"],
            100 * accuracy,
            record["learning_rate"],
            record["epoch_time"],
            record["images_per_second"] or 0,
        )

    def _train(self, inside: EpochProgress, started: float) -> None:
        """The epoch's remaining batches. Leaves the sums in `inside`, also when a stop ends it half way."""
        settings, learner, images = self.settings, self.learner, self.data.training
        plan = plan_epoch(settings.seed, inside.epoch, len(images), settings.augment, images.pixels.device)
        device = learner.device.torch_device
        loss, hits = (torch.tensor(value, device=device) for value in (inside.loss, inside.hits))
        look_every = LOOK_EVERY_BATCHES[learner.device.kind]
        learner.network.train()
        while inside.batch < len(self.bounds):
            start, end = self.bounds[inside.batch]
            set_learning_rate(learner.optimizer, self._rate(inside.epoch, inside.batch))
            share = mixup_share(settings.seed, inside.epoch, inside.batch, settings.mixup_alpha) if settings.mixup_alpha > 0 else 1.0
            batch_loss, batch_hits = train_batch(learner, *cut(images, plan, start, end), share)
            loss += batch_loss
            hits += batch_hits
            inside.batch += 1
            if self.first_batch_at is None:
                devices.synchronise(learner.device.kind)
                self.first_batch_at = time.monotonic()
            is_last = inside.batch == len(self.bounds)
            if inside.batch % look_every == 0 or is_last:
                inside.loss = loss.item()
                if not math.isfinite(inside.loss):
                    raise NotFiniteError(f"The loss is {inside.loss} in epoch {inside.epoch}, batch {inside.batch}. Lower the learning rate.")
            if self.stop.is_requested() or (not is_last and self._is_due()):
                inside.loss, inside.hits, inside.seconds = loss.item(), hits.item(), time.monotonic() - started
                self.stop.check()
                self.save()
        inside.hits = hits.item()
