"""DenseNet-121 (Huang et al., 2017) with ImageNet's stem: 7 x 7 of stride 2 and max-pooling, so 32 x 32 images end as 1 x 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from payload.models.initialisation import initialise

GROWTH = 32
BLOCKS = (6, 12, 24, 16)


class _DenseLayer(nn.Module):
    """Adds `GROWTH` feature maps to those it was given."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, 4 * GROWTH, 1, bias=False),
            nn.BatchNorm2d(4 * GROWTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat((features, self.body(features)), 1)


def _transition(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, inputs // 2, 1, bias=False), nn.AvgPool2d(2))


def densenet121(classes: int, dropout_rate: float) -> nn.Module:
    features = 2 * GROWTH
    layers: list[nn.Module] = [nn.Conv2d(3, features, 7, 2, 3, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    for number, depth in enumerate(BLOCKS):
        for _ in range(depth):
            layers.append(_DenseLayer(features))
            features += GROWTH
        if number < len(BLOCKS) - 1:
            layers.append(_transition(features))
            features //= 2
    layers += [nn.BatchNorm2d(features), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = initialise(nn.Sequential(*layers, nn.Dropout(dropout_rate), nn.Linear(features, classes)), "fan_in", None)
    nn.init.zeros_(network[-1].bias)
    return network
