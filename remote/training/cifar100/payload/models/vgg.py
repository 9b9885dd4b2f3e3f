"""VGG-16 (Simonyan and Zisserman, 2015) without batch norm, ImageNet's classifier kept: 7 x 7 pooling and two layers of 4,096."""

from __future__ import annotations

from torch import nn

from payload.models.initialisation import initialise

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16(classes: int, dropout_rate: float) -> nn.Module:
    """The dropouts inside the classifier stay at 0.5; `dropout_rate` is that of the last layer."""
    layers: list[nn.Module] = []
    features = 3
    for stage in STAGES:
        for width in stage:
            layers += [nn.Conv2d(features, width, 3, padding=1), nn.ReLU(inplace=True)]
            features = width
        layers.append(nn.MaxPool2d(2))
    classifier: list[nn.Module] = [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
    for inputs in (features * 49, 4096):
        classifier += [nn.Linear(inputs, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)]
    return initialise(nn.Sequential(*layers, *classifier, nn.Dropout(dropout_rate), nn.Linear(4096, classes)), "fan_out", 0.01)
