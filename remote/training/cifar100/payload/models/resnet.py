"""Residual networks (He et al., 2016) for 32 x 32 images: a 3 x 3 stem of stride 1 and no max-pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from payload.models.initialisation import initialise


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class _Residual(nn.Module):
    """The common part: a body, a shortcut that is a projection where the shape changes, their sum through a ReLU."""

    def __init__(self, body: nn.Sequential, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = body
        self.projects = stride != 1 or inputs != outputs
        self.shortcut: nn.Module = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if self.projects else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu_(self.body(images).add_(self.shortcut(images)))


def _basic(inputs: int, width: int, stride: int) -> tuple[_Residual, int]:
    body = nn.Sequential(
        _conv(inputs, width, 3, stride),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, width, 3),
        nn.BatchNorm2d(width),
    )
    return _Residual(body, inputs, width, stride), width


def _bottleneck(inputs: int, width: int, stride: int) -> tuple[_Residual, int]:
    body = nn.Sequential(
        _conv(inputs, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, width, 3, stride),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, 4 * width, 1),
        nn.BatchNorm2d(4 * width),
    )
    return _Residual(body, inputs, 4 * width, stride), 4 * width


# name: (block, blocks in each of the four stages)
DEPTHS = {"resnet18": (_basic, (2, 2, 2, 2)), "resnet34": (_basic, (3, 4, 6, 3)), "resnet50": (_bottleneck, (3, 4, 6, 3))}


def resnet(name: str, classes: int, dropout_rate: float) -> nn.Module:
    """ResNet-18, -34 or -50 with dropout before the linear head."""
    block, depths = DEPTHS[name]
    layers: list[nn.Module] = [_conv(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    features = 64
    for stage, depth in enumerate(depths):
        for position in range(depth):
            made, features = block(features, 64 * 2**stage, 2 if stage > 0 and position == 0 else 1)
            layers.append(made)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout_rate), nn.Linear(features, classes)]
    return initialise(nn.Sequential(*layers, *head), "fan_out", None)
