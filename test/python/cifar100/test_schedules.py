"""Schedules against torch's own, and the plateau rule of row T7."""

from __future__ import annotations

import argparse

import pytest
import torch

from payload.optimisation import Plateau, factor_at, make_optimizer


def settings(**values: object) -> argparse.Namespace:
    defaults = {
        "num_epochs": 10,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "learning_rate": 0.1,
        "weight_decay": 0.01,
        "optimizer": "adam",
        "momentum": 0.9,
    }
    return argparse.Namespace(**{**defaults, **values})


def parameter_and_optimizer() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    return parameter, torch.optim.SGD([parameter], lr=0.1)


@pytest.mark.parametrize(("epochs", "steps"), [(10, 7), (3, 4), (50, 352)])
def test_one_cycle_is_torchs(epochs: int, steps: int) -> None:
    _, optimizer = parameter_and_optimizer()
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * steps, cycle_momentum=False)
    chosen = settings(schedule="onecycle", num_epochs=epochs)
    for step in range(epochs * steps):
        assert 0.1 * factor_at(chosen, step, steps) == pytest.approx(reference.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step + 1 < epochs * steps:
            reference.step()


def test_cosine_is_torchs_and_moves_with_every_batch() -> None:
    _, optimizer = parameter_and_optimizer()
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(40):
        assert 0.1 * factor_at(settings(schedule="cosine"), step, 4) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        reference.step()


def test_warm_up_rises_in_a_line_to_the_full_rate() -> None:
    chosen = settings(schedule="constant", warmup_epochs=2.0)
    factors = [factor_at(chosen, step, 2) for step in range(6)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_rate_halves_after_six_flat_epochs_as_torchs_does() -> None:
    _, optimizer = parameter_and_optimizer()
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=5)
    plateau = Plateau()
    accuracies = [0.1, 0.2] + [0.2] * 7 + [0.3] + [0.25] * 13 + [0.3, 0.31]
    halved_at = []
    for epoch, accuracy in enumerate(accuracies):
        before = plateau.factor
        plateau.observe(accuracy)
        reference.step(accuracy)
        assert 0.1 * plateau.factor == pytest.approx(optimizer.param_groups[0]["lr"])
        if plateau.factor < before:
            halved_at.append(epoch)
    assert halved_at[0] == 7
    assert plateau.factor == 0.125


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_optimisers_take_rate_and_decay(name: str, kind: type) -> None:
    network = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(settings(optimizer=name), network)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
    if name == "sgd":
        assert optimizer.param_groups[0]["nesterov"] is True
