"""Everything random about one epoch's batches, drawn at its start from (seed, epoch) alone: order, crops, flips, mixup.

So an epoch is the same whether or not the training was killed before or inside it, and no batch waits for a random number.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from payload.images import PADDING, ImageSet

SIZE = 32


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """(start, end) of each batch. A single image left over joins the batch before it: batch norm needs two."""
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count]))


@dataclass(frozen=True)
class EpochPlan:
    order: Tensor
    down: Tensor
    right: Tensor
    is_flipped: Tensor


def plan_epoch(seed: int, epoch: int, count: int, augment: bool, device: torch.device) -> EpochPlan:
    """epoch counts from 1; crops move the image by up to 4 pixels each way (offsets 0 to 8 in the padded image)."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(count, generator=generator)
    if augment:
        down, right = torch.randint(0, 2 * PADDING + 1, (2, count), generator=generator)
        is_flipped = torch.rand(count, generator=generator) < 0.5
    else:
        down = right = torch.full((count,), PADDING)
        is_flipped = torch.zeros(count, dtype=torch.bool)
    return EpochPlan(order.to(device), down.to(device), right.to(device), is_flipped.to(device))


def cut(images: ImageSet, plan: EpochPlan, start: int, end: int) -> tuple[Tensor, Tensor]:
    """Pixels (n, 32, 32, 3) and labels of one training batch, cropped and flipped where the images lie: one gather from all windows of the padded images."""
    index, down, right = plan.order[start:end], plan.down[start:end], plan.right[start:end]
    count, height, width, colours = images.pixels.shape
    row = width * colours
    windows = images.pixels.as_strided(
        (count, height - SIZE + 1, width - SIZE + 1, SIZE, SIZE, colours),
        (height * row, row, colours, row, colours, 1),
    )
    pixels = windows[index, down, right]
    flipped = plan.is_flipped[start:end, None, None, None]
    return torch.where(flipped, pixels.flip(2), pixels), images.labels[index]


def mixup_share(seed: int, epoch: int, batch: int, alpha: float) -> float:
    """Share of the first image in a mixed pair, from Beta(alpha, alpha) (Zhang et al., 2018)."""
    return random.Random(f"{seed}/{epoch}/{batch}").betavariate(alpha, alpha)
