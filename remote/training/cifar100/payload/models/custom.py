"""The project's own small network: three blocks of two convolutions, then `num_layers` linear layers."""

from __future__ import annotations

from torch import nn

from payload.models.initialisation import initialise


def custom(classes: int, dropout_rate: float, hidden_size: int, num_layers: int, width_factor: float) -> nn.Module:
    """`num_layers` counts the linear layers, the output among them; `width_factor` scales the 64, 128 and 256 channels (at least 4)."""
    layers: list[nn.Module] = []
    features = 3
    for channels in (64, 128, 256):
        width = max(4, round(channels * width_factor))
        for _ in range(2):
            layers += [nn.Conv2d(features, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            features = width
        layers += [nn.MaxPool2d(2), nn.Dropout2d(dropout_rate)]
    layers.append(nn.Flatten())
    features *= 16
    for _ in range(num_layers - 1):
        layers += [nn.Linear(features, hidden_size), nn.BatchNorm1d(hidden_size), nn.ReLU(inplace=True), nn.Dropout(dropout_rate)]
        features = hidden_size
    return initialise(nn.Sequential(*layers, nn.Linear(features, classes)), "fan_out", 0.01)
