"""Learning is real: on generated images the networks find out far more than chance. Figures are printed (pytest -s); nothing is asserted to a decimal."""

from __future__ import annotations

import pytest

from conftest import Training

CHANCE = 0.01
SMALL_NETWORK = ("--model_type", "custom", "--width_factor", "0.25", "--hidden_size", "128", "--num_layers", "2", "--dropout_rate", "0.1")


def tell(name: str, training: Training) -> float:
    record = training.results
    best, test = record["metrics"]["best_val_accuracy"], record["metrics"]["test_accuracy"]
    seconds = record["timing"]["seconds"]
    print(f"{name}: best validation {best:.1%}, test {test:.1%} after {record['metrics']['epochs']} epochs, {seconds:.0f} s; chance is 1 %")
    return test


def test_a_small_network_beats_ten_times_chance_on_images_it_never_saw(start) -> None:
    flags = ("--synthetic_images", "500", "--num_epochs", "6", "--schedule", "onecycle", "--learning_rate", "0.01", "--batch_size", "32")
    training = start("a", *SMALL_NETWORK, *flags, small=False)
    assert training.end() == 0, training.log
    assert tell("custom x 0.25", training) > 10 * CHANCE


def test_resnet18_beats_ten_times_chance_on_images_it_never_saw(start) -> None:
    """300 images, 5 epochs: ten to twenty seconds on a quiet core. Few steps want little averaging by batch norm, so no augmentation and no dropout here."""
    flags = ("--model_type", "resnet18", "--synthetic_images", "300", "--num_epochs", "5", "--batch_size", "30", "--dropout_rate", "0", "--augment", "false")
    training = start("a", *flags, "--schedule", "onecycle", "--learning_rate", "0.003", "--amp", "auto", small=False)
    assert training.end(1500) == 0, training.log
    assert tell("resnet18", training) > 10 * CHANCE


@pytest.mark.slow
def test_augmentation_and_mixup_do_not_prevent_learning(start) -> None:
    flags = ("--synthetic_images", "1000", "--num_epochs", "10", "--schedule", "onecycle", "--learning_rate", "0.01", "--mixup_alpha", "0.2")
    training = start("a", *SMALL_NETWORK, *flags, "--label_smoothing", "0.1", "--clip_grad_norm", "1", small=False)
    assert training.end() == 0, training.log
    assert tell("custom x 0.25 with mixup", training) > 10 * CHANCE
