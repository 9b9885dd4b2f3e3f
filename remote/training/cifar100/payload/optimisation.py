"""Optimisers and learning-rate schedules. Schedules are functions of the step, so a resumed training needs nothing but its step to go on."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 5
PLATEAU_THRESHOLD = 1e-4
ONECYCLE_RISE = 0.3
ONECYCLE_START = 25.0
ONECYCLE_END = 1e4


def make_optimizer(settings: argparse.Namespace, network: nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    shared: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=settings.momentum, nesterov=True, **shared)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](parameters, **shared)


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def onecycle_factor(step: int, total: int) -> float:
    """Share of the peak rate at a step: up by a cosine over the first 30 %, then down to 1/250,000 (Smith and Topin, 2018; as torch's OneCycleLR)."""
    low, end = 1 / ONECYCLE_START, 1 / (ONECYCLE_START * ONECYCLE_END)
    rise = ONECYCLE_RISE * total - 1
    if rise > 0 and step <= rise:
        return _cosine_between(low, 1.0, step / rise)
    return _cosine_between(1.0, end, min(1.0, (step - rise) / max(1e-9, total - 1 - rise)))


def factor_at(settings: argparse.Namespace, step: int, steps_per_epoch: int) -> float:
    """Share of `learning_rate` at a step counted from 0 over the whole training (num_epochs), without the plateau's halvings."""
    total = settings.num_epochs * steps_per_epoch
    if settings.schedule == "onecycle":
        return onecycle_factor(step, total)
    warmup = settings.warmup_epochs * steps_per_epoch if settings.schedule in ("cosine", "constant") else 0.0
    if step < warmup:
        return (step + 1) / (math.ceil(warmup) + 1)
    if settings.schedule == "cosine":
        return _cosine_between(1.0, 0.0, min(1.0, (step - warmup) / max(1.0, total - warmup)))
    return 1.0


@dataclass
class Plateau:
    """Halves the rate after more than five epochs in a row without a validation accuracy better than the best (relative 1e-4), as torch's does."""

    best: float = -math.inf
    flat_epochs: int = 0
    factor: float = 1.0

    def observe(self, accuracy: float) -> None:
        if accuracy > self.best * (1 + PLATEAU_THRESHOLD):
            self.best, self.flat_epochs = accuracy, 0
            return
        self.flat_epochs += 1
        if self.flat_epochs > PLATEAU_PATIENCE:
            self.factor, self.flat_epochs = self.factor * PLATEAU_FACTOR, 0


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
