"""Transforms: ordinary augmentation of the training data. A photograph and its truth change alike.

Which of them make sense hangs on the task: a mirrored photograph makes "on the left" wrong, a crop may remove the
object that another is compared with. Tasks say what they forbid, and why. Constants without a source are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.types import Boxes

from .corruptions import jitter

if TYPE_CHECKING:
    from torch import Tensor

MAPS = ("mask", "labels", "depth")  # truths (B, H, W) that lie over the photograph


@dataclass(frozen=True)
class Flip:
    """Mirror left and right.

    share: of the samples that are mirrored, 0 to 1 (InstructPix2Pix and Marigold: 0.5).
    """

    share: float = 0.5

    truths: ClassVar[Sequence[str]] = (*MAPS, "boxes", "class", "classes")
    draws: ClassVar[int] = 1
    changes: ClassVar[Sequence[str]] = ("mirror",)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is one of samples, 0 to 1, got {self.share}")

    def apply(self, photos: Tensor, truth: Any, u: Tensor) -> tuple[Tensor, Any]:
        """photos (B, 3, H, W), truth (B, H, W), (B,), (B, C) or Boxes, u (B, 1) -> the same, some mirrored."""
        chosen = u[:, 0] < self.share
        if isinstance(truth, Boxes):
            left, top, right, bottom = truth.xyxy.unbind(-1)
            width = truth.size[1]
            mirrored = torch.stack([width - right, top, width - left, bottom], dim=-1)
            truth = replace(truth, xyxy=_where(chosen, mirrored, truth.xyxy))
        elif truth.ndim > 2:
            truth = _where(chosen, truth.flip(-1), truth)
        return _where(chosen, photos.flip(-1), photos), truth


@dataclass(frozen=True)
class Crop:
    """Cut out a part of the same shape as the picture, anywhere in it, and enlarge it: bilinear, truths nearest.

    Boxes are cut off at its border, and one whose centre lies outside is gone (SSD; Liu et al., 2016).

    smallest: least side of the part, as a share of the picture's, above 0 and at most 1; uniform between it and 1.
    """

    smallest: float = 0.8

    truths: ClassVar[Sequence[str]] = (*MAPS, "boxes", "class", "classes")
    draws: ClassVar[int] = 3
    changes: ClassVar[Sequence[str]] = ("crop",)

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= 1:
            raise ValueError(f"smallest is a share of the picture's side, above 0 and at most 1, got {self.smallest}")

    def apply(self, photos: Tensor, truth: Any, u: Tensor) -> tuple[Tensor, Any]:
        """photos (B, 3, H, W), truth (B, H, W), (B,), (B, C) or Boxes, u (B, 3): size, row, column -> the same, cut."""
        side = self.smallest + (1.0 - self.smallest) * u[:, 0]
        rows = _places(side, u[:, 1], photos.shape[-2])
        columns = _places(side, u[:, 2], photos.shape[-1])
        if isinstance(truth, Boxes):
            truth = _cut(truth, side, u)
        elif truth.ndim > 2:
            at = torch.arange(len(truth), device=truth.device)[:, None, None]
            truth = truth[at, _nearest(rows)[:, :, None], _nearest(columns)[:, None, :]]
        height, width = photos.shape[-2:]
        x = (2.0 * columns + 1.0) / width - 1.0  # grid_sample's coordinates: -1 and 1 are the picture's edges
        y = (2.0 * rows + 1.0) / height - 1.0
        grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
        return functional.grid_sample(photos, grid, padding_mode="border", align_corners=False), truth


@dataclass(frozen=True)
class Photometric:
    """Jitter the photograph's brightness, contrast and saturation, as torchvision's ColorJitter; the truth stays.

    Hue is left alone: many words are about colours.

    brightness: largest change of the factor to either side of 1, up to 0.5. contrast: the same. saturation: the same.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    truths: ClassVar[Sequence[str]] = (*MAPS, "boxes", "class", "classes")
    draws: ClassVar[int] = 3
    changes: ClassVar[Sequence[str]] = ()

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"{name} changes a factor by 0 to 0.5, got {getattr(self, name)}")

    def apply(self, photos: Tensor, truth: Any, u: Tensor) -> tuple[Tensor, Any]:
        """photos (B, 3, H, W) in [-1, 1], any truth, u (B, 3) -> the same, the photographs jittered and clipped."""
        widths = torch.tensor([self.brightness, self.contrast, self.saturation], device=photos.device)
        factors = (1.0 + widths * (2.0 * u - 1.0))[:, :, None, None, None]
        everywhere = torch.ones_like(photos[:, 0], dtype=torch.bool)
        return 2.0 * jitter(0.5 * photos + 0.5, everywhere, factors, (0, 1, 2)) - 1.0, truth


def _where(chosen: Tensor, changed: Tensor, kept: Tensor) -> Tensor:
    """Rows of `changed` where chosen (B,), of `kept` elsewhere."""
    return torch.where(chosen.view(-1, *[1] * (kept.ndim - 1)), changed, kept)


def _places(share: Tensor, u: Tensor, size: int) -> Tensor:
    """Where the pixels (B, size) of an enlarged part lie in the whole, in pixels; share (B,) of the side is shown.

    Pixel centres are at whole numbers; the part begins anywhere that keeps it inside.
    """
    first = u * (1.0 - share) * size
    return first[:, None] + share[:, None] * (torch.arange(size, device=share.device) + 0.5) - 0.5


def _cut(boxes: Boxes, share: Tensor, u: Tensor) -> Boxes:
    """Boxes of the part of each picture that `_places` shows: share (B,) of the side, u (B, 3) its row and column."""
    height, width = boxes.size
    far = boxes.xyxy.new_tensor([width, height, width, height])
    begin = (u[:, [2, 1, 2, 1]] * (1.0 - share)[:, None] * far)[:, None]  # x, y, x, y of the part's corner
    moved = (boxes.xyxy - begin) / share[:, None, None]
    centre = 0.5 * (moved[..., :2] + moved[..., 2:])
    inside = ((centre >= 0) & (centre < far[:2])).all(dim=2)
    return replace(boxes, xyxy=moved.clamp(min=0.0).minimum(far), valid=boxes.valid & inside)


def _nearest(places: Tensor) -> Tensor:
    """The pixels (B, size) that lie nearest to places (B, size)."""
    return places.round().long().clamp(0, places.shape[1] - 1)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("transform", "flip", Flip)
    registry.add("transform", "crop", Crop)
    registry.add("transform", "photometric", Photometric)
