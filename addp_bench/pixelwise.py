"""Pixels of several pictures at once, on the device they are on: in what portions, and how they are counted.

Nothing here waits for a device: numbers stay on it, and who wants them fetches all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

CACHED, HELD = 1 << 18, 1 << 24  # pixels at once: what a processor's cache holds, and what fills an accelerator


def portions(count: int, pixels: int, device: torch.device) -> Iterator[slice]:
    """Which of `count` pictures of so many pixels each are handled together on a device; one at least."""
    together = max(1, (CACHED if device.type == "cpu" else HELD) // max(1, pixels))
    for first in range(0, count, together):
        yield slice(first, min(first + together, count))


def alike(maps: Sequence[Any]) -> list[Tensor] | None:
    """The same as a list where all are tensors (H, W) of one size, type and device; None where they are not."""
    if not maps or not all(isinstance(m, Tensor) for m in maps):
        return None
    first = maps[0]
    same = all((m.shape, m.dtype, m.device) == (first.shape, first.dtype, first.device) for m in maps)
    return list(maps) if same and first.ndim == 2 else None


def together(maps: list[Tensor]) -> Iterator[Tensor]:
    """Maps (H, W), alike, as stacks (S, H, W) of a portion each."""
    for some in portions(len(maps), maps[0].numel(), maps[0].device):
        stack = maps[some]
        yield torch.stack(stack) if len(stack) > 1 else stack[0][None]


def count(masks: Tensor) -> Tensor:
    """How many pixels are True in each mask of (S, H, W) bool: (S,) int64."""
    if masks.device.type == "cpu":  # where torch converts every pixel to a whole number before it adds them
        return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)
    return masks.flatten(1).sum(1)


def tally(codes: Tensor, bins: int) -> Tensor:
    """How often each code 0..bins-1 stands in each row of (S, N) whole numbers: (S, bins) int64."""
    if codes.device.type != "cpu":
        return scattered(codes, bins)
    return torch.stack([torch.bincount(row, minlength=bins) for row in codes])


def scattered(codes: Tensor, bins: int) -> Tensor:
    """`tally` without bincount, which would wait for the device to say its largest code."""
    codes = codes.long()
    return codes.new_zeros(len(codes), bins).scatter_add_(1, codes, codes.new_ones(()).expand_as(codes))
