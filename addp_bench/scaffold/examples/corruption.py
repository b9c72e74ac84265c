"""Corruption my_idea: damage to the masks that a model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """Grow or shrink a mask by a few pixels, as one that was drawn too fat or too thin.

    most: largest change of the outline at strength 1, share of the picture's shorter side, above 0 to 0.25.
    """

    most: float = 0.05

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "mask"
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.most <= 0.25:
            raise ValueError(f"most is a share of the picture's side, above 0 to 0.25, got {self.most}")

    def corrupt(self, target: Tensor, strength: Tensor, u: Tensor) -> Tensor:
        """Masks (B, H, W) bool, strength (B,) in [0, 2], u (B, 1) in [0, 1) -> masks (B, H, W) bool.

        u = 0 shrinks most and 1 grows most. A mask of which nothing would be left is not shrunk further.
        """
        side = min(target.shape[1:])
        signed = (strength * (2.0 * u[:, 0] - 1.0) * self.most * side).round()
        for step in range(int(2 * self.most * side) + 1):  # the most that strength 2 asks for
            grown, shrunk = thicker(target), ~thicker(~target)
            shrunk = torch.where(shrunk.flatten(1).any(1)[:, None, None], shrunk, target)
            target = torch.where((signed > step)[:, None, None], grown, target)
            target = torch.where((signed < -step)[:, None, None], shrunk, target)
        return target


def thicker(masks: Tensor) -> Tensor:
    """Masks (B, H, W) bool, and the eight neighbours of each of their pixels."""
    return functional.max_pool2d(masks[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("corruption", "my_idea", MyIdea)
