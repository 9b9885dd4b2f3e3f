"""Initial weights, as torchvision draws them for each family (rows T3, T4)."""

from __future__ import annotations

from torch import nn


def initialise(network: nn.Module, conv_mode: str, linear_std: float | None) -> nn.Module:
    """Kaiming-normal convolutions (`fan_in` or `fan_out`), batch norm 1 and 0, biases 0; linear layers N(0, linear_std), or PyTorch's own for None."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=conv_mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, 0.0, linear_std)
            nn.init.zeros_(module.bias)
    return network
