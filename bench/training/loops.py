"""The loops that are compared: a plain PyTorch DataLoader loop and the trainer's own steps, in several forms; and the batches of each alone."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "remote", "training", "cifar100"))

import torch
from torch.utils.data import DataLoader, Dataset

from payload import devices, images, synthetic
from payload.epoch_plan import batch_bounds, cut, plan_epoch
from payload.learner import make_learner, train_batch
from payload.models.factory import ModelShape, create_model
from payload.optimisation import make_optimizer
from payload.options import read_settings

# What a form may say after its precision, and how a reader is told.
VARIANTS = {"compile": "compiled", "plain-layout": "plain layout", "no-tf32": "no TF32"}
BATCHES_ALONE = "batches alone"


@dataclass(frozen=True)
class Form:
    """How a loop calculates: `bf16`, `bf16+compile`, `off+no-tf32`, …"""

    amp: str
    variants: tuple[str, ...]

    @staticmethod
    def read(text: str) -> Form:
        amp, *variants = text.split("+")
        if amp not in ("off", "bf16", "fp16") or not set(variants) <= set(VARIANTS):
            raise argparse.ArgumentTypeError(f"{text!r} is no form: off, bf16 or fp16, then any of {', '.join('+' + name for name in VARIANTS)}")
        return Form(amp, tuple(variants))

    def __str__(self) -> str:
        return "+".join((self.amp, *self.variants))

    @property
    def words(self) -> str:
        return ", ".join((self.amp, *(VARIANTS[name] for name in self.variants)))


@dataclass(frozen=True)
class Loop:
    """One contender. A plain loop has loader processes; the trainer has none. Without a form only its batches are made."""

    kind: str
    form: Form | None
    workers: int = 0

    @property
    def name(self) -> str:
        who = f"plain, {self.workers} loader processes" if self.kind == "plain" else "trainer"
        if self.form is None:
            return f"{BATCHES_ALONE}: {who}"
        # The plain loop in float32 is the one that tutorials write: it needs no more words.
        return who if self.kind == "plain" and str(self.form) == "off" else f"{who}, {self.form.words}"

    @staticmethod
    def read(text: str) -> Loop:
        kind, workers, form = text.split("/")
        return Loop(kind, Form.read(form) if form else None, int(workers))

    def __str__(self) -> str:
        return f"{self.kind}/{self.workers}/{self.form or ''}"


class PlainImages(Dataset):
    """What tutorials write: one image at a time, cropped, flipped, scaled and normalised in the loader's processes."""

    def __init__(self, count: int) -> None:
        entry = synthetic.entries(count, 100)["train"]
        self.pixels = torch.from_numpy(entry["data"]).view(-1, 3, 32, 32)
        self.labels = entry["fine_labels"]
        self.mean = torch.tensor(images.MEAN).view(3, 1, 1)
        self.deviation = torch.tensor(images.DEVIATION).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        padded = torch.nn.functional.pad(self.pixels[index], (4, 4, 4, 4))
        down, right = (int(offset) for offset in torch.randint(0, 9, (2,)))
        image = padded[:, down : down + 32, right : right + 32]
        if torch.rand(1) < 0.5:
            image = image.flip(2)
        return (image.float() / 255 - self.mean) / self.deviation, self.labels[index]


def settings_for(options: argparse.Namespace, form: Form) -> argparse.Namespace:
    words = ["--model_type", options.model, "--batch_size", str(options.batch_size), "--require_device", options.device, "--amp", form.amp]
    words += ["--compile", str("compile" in form.variants), "--channels_last", "off" if "plain-layout" in form.variants else "auto"]
    return read_settings([*words, "--width_factor", str(options.width_factor)], None)


def network_of(options: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model(ModelShape(options.model, width_factor=options.width_factor))


def plain_loader(options: argparse.Namespace, workers: int) -> Any:
    return DataLoader(
        PlainImages(options.images),
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=options.device == "cuda",
    )


def plain_batches(options: argparse.Namespace, loop: Loop) -> Iterator[int]:
    """Endless training steps of the plain loop; yields the images of each step. In a mixed precision it has the trainer's layout too (fp16: and a scaler)."""
    form, device = loop.form or Form("off", ()), torch.device(options.device)
    loader = plain_loader(options, loop.workers)
    network = network_of(options).to(device)
    in_layout = form.amp != "off" and "plain-layout" not in form.variants
    if in_layout:
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    scaler = devices.make_scaler(options.device, form.amp)
    forward = torch.compile(network) if "compile" in form.variants else network
    running, correct = 0.0, 0
    yield 0
    while True:
        for batch, labels in loader:
            batch, labels = batch.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            if in_layout:
                batch = batch.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            with devices.precision(options.device, form.amp):
                outputs = forward(batch)
                loss = criterion(outputs, labels)
            if scaler:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            else:
                loss.backward()
                optimizer.step()
            running += loss.item() * len(labels)
            correct += (outputs.argmax(1) == labels).sum().item()
            yield len(labels)


def trainer_batches(options: argparse.Namespace, loop: Loop) -> Iterator[int]:
    """Endless training steps of ours, with what the trainer does between them."""
    settings = settings_for(options, loop.form or Form("off", ()))
    device = devices.choose_device(settings)
    if device.kind == "cuda":
        # As the trainer sets it.
        torch.backends.cudnn.benchmark = True
    learner = make_learner(network_of(options), lambda made: make_optimizer(settings, made), device, settings)
    loss = torch.zeros((), device=device.torch_device)
    learner.network.train()
    training = images.make_synthetic(options.images * 10 // 9, device.torch_device).training
    yield 0
    for number, (pixels, labels) in enumerate(trainer_pixels(options, training)):
        batch_loss, _ = train_batch(learner, pixels, labels, 1.0)
        loss += batch_loss
        if options.device == "cpu" or number % 16 == 0:
            loss.item()
        yield len(labels)


def trainer_pixels(options: argparse.Namespace, data: images.ImageSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The trainer's batches of bytes, cropped and flipped on the device, epoch after epoch."""
    bounds = [bound for bound in batch_bounds(len(data), options.batch_size) if bound[1] - bound[0] == options.batch_size]
    for epoch in range(1, 1 << 30):
        plan = plan_epoch(1, epoch, len(data), True, data.pixels.device)
        for start, end in bounds:
            yield cut(data, plan, start, end)


def batches_alone(options: argparse.Namespace, loop: Loop) -> Iterator[int]:
    """What a network would get, normalised floats on the device, with no network behind it."""
    device = torch.device(options.device)
    if loop.kind == "plain":
        loader = plain_loader(options, loop.workers)
        yield 0
        while True:
            for batch, labels in loader:
                batch, labels = batch.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                yield len(labels)
    normalise = images.Normaliser(device, channels_last=True)
    training = images.make_synthetic(options.images * 10 // 9, device).training
    yield 0
    for pixels, labels in trainer_pixels(options, training):
        normalise(pixels)
        yield len(labels)


def batches_of(options: argparse.Namespace, loop: Loop) -> Iterator[int]:
    """The loop's steps, each giving the number of its images; before the first it gives 0, once everything is made."""
    if loop.form is None:
        return batches_alone(options, loop)
    if "no-tf32" in loop.form.variants:
        with contextlib.suppress(AttributeError):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return (plain_batches if loop.kind == "plain" else trainer_batches)(options, loop)
