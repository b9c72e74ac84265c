"""Corruptions of boxes. Ours: ADDP gives no constants for detection, so these follow the ones for masks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.types import Boxes

if TYPE_CHECKING:
    from torch import Tensor

DRAWN = 128  # boxes of a picture that have numbers of their own; the 129th shares those of the first


@dataclass(frozen=True)
class JitterBoxes:
    """Shift and resize each box by shares of itself, cut off at the picture's border: `location` for boxes. Ours.

    A box that nothing would be left of stays as it is.

    translation: largest shift of the centre along each axis, share of the box's side.

    scale: largest change of width and of height, to either side of 1.
    """

    translation: float = 0.05
    scale: float = 0.05

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "boxes"
    draws: ClassVar[int] = 4 * DRAWN

    def __post_init__(self) -> None:
        if not (0 <= self.translation <= 0.5 and 0 <= self.scale < 0.5):
            raise ValueError(
                f"boxes take translation in [0, 0.5] and scale in [0, 0.5), got {self.translation} and {self.scale}"
            )

    def corrupt(self, target: Boxes, strength: Tensor, u: Tensor) -> Boxes:
        """Boxes, strength (B,) in [0, 2], u (B, 512) in [0, 1): for each right, down, wider, higher -> Boxes."""
        change = strength[:, None, None] * (2.0 * _of_each(u.unflatten(1, (DRAWN, 4)), target) - 1.0)  # (B, N, 4)
        near, far = target.xyxy.split(2, dim=2)
        side = far - near
        shift, growth = change[..., :2] * self.translation * side, 0.5 * change[..., 2:] * self.scale * side
        height, width = target.size
        border = torch.tensor([width, height], dtype=near.dtype, device=near.device)
        made = torch.cat([(near + shift - growth), (far + shift + growth)], dim=2)
        made = made.clamp(min=0.0).minimum(border.repeat(2))
        left = (made[..., 2:] > made[..., :2]).all(dim=2) & target.valid & (strength > 0)[:, None]
        return dataclasses.replace(target, xyxy=torch.where(left[..., None], made, target.xyxy))


@dataclass(frozen=True)
class DropBoxes:
    """Leave out boxes, as a model that has not drawn all of them yet would. Never the last one of a picture. Ours.

    share: chance of each box at strength 1.
    """

    share: float = 0.1

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "boxes"
    draws: ClassVar[int] = DRAWN

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.5:
            raise ValueError(f"share is a chance at strength 1, 0 to 0.5, got {self.share}")

    def corrupt(self, target: Boxes, strength: Tensor, u: Tensor) -> Boxes:
        """Boxes, strength (B,) in [0, 2], u (B, 128) in [0, 1) -> the Boxes, some no longer valid."""
        number = _of_each(u, target)
        ranked = torch.where(target.valid, number, -1.0).argsort(dim=1, descending=True, stable=True)
        last = torch.zeros_like(target.valid).scatter(1, ranked[:, :1], True)  # to go: that with the largest number
        stays = (number >= strength[:, None] * self.share) | last
        return dataclasses.replace(target, valid=target.valid & stays)


def _of_each(u: Tensor, boxes: Boxes) -> Tensor:
    """The numbers u (B, DRAWN, ...) of each box: (B, N, ...)."""
    return u[:, torch.arange(boxes.valid.shape[1], device=u.device) % DRAWN]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("corruption", "jitter_boxes", JitterBoxes)
    registry.add("corruption", "drop_boxes", DropBoxes)
