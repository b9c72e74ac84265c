"""Corruptions of class maps. Ours: ADDP gives constants for masks and depth alone; these follow the ones for masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

from .corruptions import Affine, Rectangles, middle, one_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ShiftLabels(Affine):
    """Turn, shift and scale a class map about its centre, nearest neighbour: `location` for labels. Ours.

    What comes in from outside has the class of the nearest border pixel. Unlabelled pixels stay where they are: they
    are covered by nothing and cover nothing.

    rotation: largest angle to either side, degrees. translation: largest shift along each axis, share of that side.

    scale: largest change of size to either side of 1. ignore: the label of unlabelled pixels.
    """

    ignore: int = 255

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "labels"
    draws: ClassVar[int] = 4

    def corrupt(self, target: Tensor, strength: Tensor, u: Tensor) -> Tensor:
        """Class maps (B, H, W) int64, strength (B,) in [0, 2], u (B, 4) in [0, 1) -> class maps."""
        found, _ = self.at_random(target, strength, u, middle(target))
        return torch.where((target == self.ignore) | (found == self.ignore), target, found)


@dataclass(frozen=True)
class Relabel(Rectangles):
    """Give a rectangle of a class map another class that the map holds: `shape` for labels. Ours.

    The rectangle is centred on a random labelled pixel, and takes the label of a random pixel of another class, so that
    something changes wherever a map holds two classes. A map of one class stays as it is; unlabelled pixels do.

    smallest: least area, share of the picture. largest: greatest area, share of the picture.

    narrowest: least height / width. tallest: greatest; the logarithm is uniform between the two.

    ignore: the label of unlabelled pixels.
    """

    ignore: int = 255

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "labels"
    draws: ClassVar[int] = 4

    def corrupt(self, target: Tensor, strength: Tensor, u: Tensor) -> Tensor:
        """Class maps (B, H, W) int64, strength (B,) in [0, 2], u (B, 4) in [0, 1): area, aspect, centre, class."""
        size = (target.shape[1], target.shape[2])
        labelled = target != self.ignore
        centre = one_of(labelled, u[:, 2])
        here = target.flatten(1).gather(1, centre[:, None])  # (B, 1)
        others = labelled & (target != here[:, :, None])
        label = target.flatten(1).gather(1, one_of(others, u[:, 3])[:, None])
        whole = torch.full_like(u[:, 0], size[0] * size[1]) * others.flatten(1).any(dim=1)
        covered = self.rectangle(centre, strength, u[:, :2], whole, size)
        return torch.where(covered & labelled, label[:, :, None], target)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("corruption", "relabel", Relabel)
    registry.add("corruption", "shift_labels", ShiftLabels)
