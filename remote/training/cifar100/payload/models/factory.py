"""Which networks there are (row T2), how to make one, and what one image costs it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from torch import nn

from payload.errors import ConfigurationError
from payload.models.custom import custom
from payload.models.densenet import densenet121
from payload.models.resnet import DEPTHS, resnet
from payload.models.vgg import vgg16

MODEL_TYPES = ("resnet18", "resnet34", "resnet50", "vgg16", "densenet121", "custom")
CLASSES = 100


@dataclass(frozen=True)
class ModelShape:
    """What decides a network's shape. The last three matter to `custom` only."""

    model_type: str
    dropout_rate: float = 0.2
    hidden_size: int = 1024
    num_layers: int = 3
    width_factor: float = 1.0


def create_model(shape: ModelShape, classes: int = CLASSES) -> nn.Module:
    """A new network with weights drawn from torch's global generator. Raises ConfigurationError for a model that does not exist."""
    if shape.model_type in DEPTHS:
        return resnet(shape.model_type, classes, shape.dropout_rate)
    if shape.model_type == "vgg16":
        return vgg16(classes, shape.dropout_rate)
    if shape.model_type == "densenet121":
        return densenet121(classes, shape.dropout_rate)
    if shape.model_type == "custom":
        return custom(classes, shape.dropout_rate, shape.hidden_size, shape.num_layers, shape.width_factor)
    near = difflib.get_close_matches(shape.model_type, MODEL_TYPES, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigurationError(f"model_type {shape.model_type} does not exist. Take one of {', '.join(MODEL_TYPES)}.{hint}")


def count_parameters(network: nn.Module) -> tuple[int, int]:
    """(all parameters, trainable ones)."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)


def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of one image's forward pass in convolutions and linear layers; a training step costs about three times as many.

    Looks with one black image in evaluation mode; weights, statistics and random state stay as they are.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32, device=device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
