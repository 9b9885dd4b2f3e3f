"""One network on one device: a training step, an evaluation. What happens between epochs is in trainer.py."""

from __future__ import annotations

import argparse
import logging
import math
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from payload import devices
from payload.devices import ChosenDevice
from payload.errors import ConfigurationError, NotFiniteError, is_out_of_memory
from payload.images import ImageSet, Normaliser

logger = logging.getLogger("cifar100")
EVALUATION_BATCH = {"cpu": 256, "cuda": 2048, "xpu": 2048}


@dataclass
class Learner:
    network: nn.Module
    forward: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    scaler: Any
    device: ChosenDevice
    settings: argparse.Namespace
    normalise: Normaliser
    # Parts a batch is cut into; doubled when the device's memory does not hold it (halve_batch_on_oom).
    micro_batches: int = 1


def make_learner(network: nn.Module, optimizer_of: Callable[[nn.Module], torch.optim.Optimizer], device: ChosenDevice, settings: argparse.Namespace) -> Learner:
    """Moves the network to the device in its layout; compiles it, or hands it to Intel's extension, where asked. Raises ConfigurationError."""
    channels_last = settings.channels_last != "off"
    network.to(device.torch_device)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(network)
    if device.ipex is not None:
        network.train()
        dtype = devices.DTYPES["bf16"] if settings.amp == "bf16" else None
        network, optimizer = device.ipex.optimize(network, optimizer=optimizer, dtype=dtype)
    forward: Callable[[Tensor], Tensor] = network
    if settings.compile:
        if not hasattr(torch, "compile"):
            raise ConfigurationError(f"compile needs torch 2 or newer, this is {torch.__version__}. Drop --compile.")
        forward = torch.compile(network)
    scaler = devices.make_scaler(device.kind, settings.amp)
    return Learner(network, forward, optimizer, scaler, device, settings, Normaliser(device.torch_device, channels_last))


def _loss(learner: Learner, logits: Tensor, labels: Tensor, share: float, others: Tensor) -> Tensor:
    smoothing = learner.settings.label_smoothing
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    return loss if share == 1.0 else share * loss + (1 - share) * functional.cross_entropy(logits.float(), others, label_smoothing=smoothing)


def _hits(logits: Tensor, labels: Tensor, share: float, others: Tensor) -> Tensor:
    found = logits.argmax(1)
    hits = (found == labels).sum().float()
    return hits if share == 1.0 else share * hits + (1 - share) * (found == others).sum().float()


def _gradients(learner: Learner, images: Tensor, labels: Tensor, share: float, others: Tensor) -> tuple[Tensor, Tensor]:
    """Sets the gradients of the whole batch's mean loss; returns (sum of losses, hits) on the device."""
    learner.optimizer.zero_grad(set_to_none=True)
    count = len(labels)
    # Even parts of at least two images each: batch norm cannot train on one.
    parts = max(1, min(learner.micro_batches, count // 2))
    bounds = [count * number // parts for number in range(parts + 1)]
    total_loss = torch.zeros((), device=images.device)
    total_hits = torch.zeros((), device=images.device)
    for start, end in zip(bounds, bounds[1:]):
        part = slice(start, end)
        with devices.precision(learner.device.kind, learner.settings.amp):
            logits = learner.forward(images[part])
        loss = _loss(learner, logits, labels[part], share, others[part])
        weighted = loss * (len(labels[part]) / count)
        (learner.scaler.scale(weighted) if learner.scaler else weighted).backward()
        total_loss += loss.detach() * len(labels[part])
        total_hits += _hits(logits.detach(), labels[part], share, others[part])
    return total_loss, total_hits


def _gradients_in_memory(learner: Learner, images: Tensor, labels: Tensor, share: float, others: Tensor) -> tuple[Tensor, Tensor]:
    """As `_gradients`; with halve_batch_on_oom, halves the parts until they fit (at least two images each, for batch norm)."""
    while True:
        try:
            return _gradients(learner, images, labels, share, others)
        except (RuntimeError, MemoryError) as error:
            fits_no_more = len(labels) // (2 * learner.micro_batches) < 2
            if not learner.settings.halve_batch_on_oom or not is_out_of_memory(error) or fits_no_more:
                raise
        learner.optimizer.zero_grad(set_to_none=True)
        devices.release_cache(learner.device.kind)
        learner.micro_batches *= 2
        logger.warning("out of memory: batches now go through the network in %d parts", learner.micro_batches)


def train_batch(learner: Learner, pixels: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """One step. `share` below 1 mixes each image with its neighbour in the (shuffled) batch. Returns (sum of losses, hits), still on the device."""
    images = learner.normalise(pixels)
    labels = labels.to(images.device)
    others = labels
    if share != 1.0:
        images = share * images + (1 - share) * images.roll(1, 0)
        others = labels.roll(1, 0)
    loss, hits = _gradients_in_memory(learner, images, labels, share, others)
    if learner.settings.clip_grad_norm > 0:
        if learner.scaler:
            learner.scaler.unscale_(learner.optimizer)
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), learner.settings.clip_grad_norm)
    if learner.scaler:
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
    else:
        learner.optimizer.step()
    return loss, hits


@dataclass(frozen=True)
class Evaluation:
    loss: float
    accuracy: float
    # (n, classes) on the CPU, only when asked for.
    probabilities: Tensor | None


def _evaluate_batch(learner: Learner, images: ImageSet, part: slice) -> tuple[Tensor, Tensor, Tensor]:
    """(sum of losses, hits, logits) of one part of a set, on the device."""
    labels = images.labels[part].to(learner.device.torch_device)
    with devices.precision(learner.device.kind, learner.settings.amp):
        logits = learner.forward(learner.normalise(images.pixels[part]))
    logits = logits.float()
    return functional.cross_entropy(logits, labels, reduction="sum"), (logits.argmax(1) == labels).sum(), logits


def evaluate(learner: Learner, images: ImageSet, check: Callable[[], None], keep_probabilities: bool = False) -> Evaluation:
    """Loss and accuracy of a set, with no random operation of any kind. `check` runs before each batch and may raise. Raises NotFiniteError.

    With halve_batch_on_oom, batches that memory does not hold are halved until they fit.
    """
    learner.network.eval()
    size, start = EVALUATION_BATCH[learner.device.kind], 0
    loss = torch.zeros((), device=learner.device.torch_device)
    hits = torch.zeros((), device=learner.device.torch_device)
    kept: list[Tensor] = []
    try:
        with torch.no_grad():
            while start < len(images):
                check()
                try:
                    found = _evaluate_batch(learner, images, slice(start, start + size))
                except (RuntimeError, MemoryError) as error:
                    if not learner.settings.halve_batch_on_oom or not is_out_of_memory(error) or size < 2:
                        raise
                    found = None
                # Not inside the except: there the error still holds what the batch had taken.
                if found is None:
                    size //= 2
                    devices.release_cache(learner.device.kind)
                    logger.warning("out of memory: evaluating %d images at a time", size)
                    continue
                batch_loss, batch_hits, logits = found
                loss += batch_loss
                hits += batch_hits
                start += size
                if keep_probabilities:
                    kept.append(logits.softmax(1).cpu())
    finally:
        learner.network.train()
    mean = loss.item() / len(images)
    if not math.isfinite(mean):
        raise NotFiniteError(f"The loss on held-out images is {mean}: the network has diverged. Lower the learning rate.")
    return Evaluation(mean, hits.item() / len(images), torch.cat(kept) if kept else None)
