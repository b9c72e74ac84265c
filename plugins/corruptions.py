"""Corruptions of masks and drawn colours: damage as the drift of sampling would leave it. The photograph never moves.

Batched on the device of the target, without a wait for it; all randomness comes in as u, so equal u is equal damage.
Constants and their ranges at strength 1 are ADDP's (appendix A.3); strength multiplies each of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.types import Drawing

if TYPE_CHECKING:
    from torch import Tensor

TRIES = 5  # redraws of a mask that was pushed out of the picture, then it stays where it is


@dataclass(frozen=True)
class Affine:
    """What corruptions that move a picture share: the largest turn, shift and change of size."""

    rotation: float = 10.0
    translation: float = 0.05
    scale: float = 0.05

    def __post_init__(self) -> None:
        if not (0 <= self.rotation <= 90 and 0 <= self.translation <= 0.5 and 0 <= self.scale < 0.5):
            raise ValueError(
                "an affine map takes rotation in [0, 90] degrees, translation in [0, 0.5] and scale in [0, 0.5), got "
                f"{self.rotation}, {self.translation} and {self.scale}"
            )

    def at_random(
        self, target: Tensor, strength: Tensor, u: Tensor, centre: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """`moved` by a random map; u (B, 4) in [0, 1): turn, right, down, size."""
        height, width = target.shape[1:]
        turn, right, down, size = (strength[:, None] * (2.0 * u - 1.0)).unbind(1)
        return moved(
            target,
            angle=turn * math.radians(self.rotation),
            shift=(down * self.translation * height, right * self.translation * width),
            scale=1.0 + size * self.scale,
            centre=centre,
        )


@dataclass(frozen=True)
class Location(Affine):
    """Turn, shift and scale a mask: a random affine map of the mask picture, nearest neighbour, as torchvision's.

    A map that leaves nothing of the mask is drawn again, up to 5 times in all, and then skipped; so is an empty mask.

    rotation: largest angle to either side, degrees. translation: largest shift along each axis, share of that side.

    scale: largest change of size to either side of 1.

    about: fixed point of turning and scaling: "image" its centre, as the usual random-affine operator, or "mask" the
    centroid of the mask, so that a mask far from the centre is not also carried away.

    scaled: whether the strength multiplies these; false keeps them as they are wherever there is any strength (the
    paper writes the factor t / T for colour alone).
    """

    about: Literal["image", "mask"] = "image"
    scaled: bool = True

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "mask"
    draws: ClassVar[int] = 4 * TRIES

    def corrupt(self, target: Tensor, strength: Tensor, u: Tensor) -> Tensor:
        """Masks (B, H, W) bool, strength (B,) in [0, 2], u (B, 20) in [0, 1) -> masks (B, H, W) bool."""
        centre = self._centre(target)
        strength = strength if self.scaled else (strength > 0).float()
        still, done = target, (strength == 0) | ~_any(target)
        for draw in u.unflatten(1, (TRIES, 4)).unbind(1):
            found, inside = self.at_random(target, strength, draw, centre)
            attempt = found & inside
            good = ~done & _any(attempt)
            still, done = torch.where(good[:, None, None], attempt, still), done | good
            if done.device.type == "cpu" and bool(done.all()):
                break  # only saves time; elsewhere asking would make the device wait
        return still

    def _centre(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column (B,) of the fixed point, pixel centres at whole numbers."""
        if self.about == "image":
            return middle(mask)
        height, width = mask.shape[1:]
        count = mask.sum(dim=(1, 2)).clamp(min=1)
        rows, columns = torch.arange(height, device=mask.device), torch.arange(width, device=mask.device)
        return (mask.sum(dim=2) * rows).sum(dim=1) / count, (mask.sum(dim=1) * columns).sum(dim=1) / count


@dataclass(frozen=True)
class Rectangles:
    """What corruptions of one rectangle share: its area, as a share, and its aspect."""

    smallest: float = 0.01
    largest: float = 0.05
    narrowest: float = 0.3
    tallest: float = 3.3

    def __post_init__(self) -> None:
        if not 0 <= self.smallest <= self.largest <= 0.5:
            raise ValueError(f"a rectangle needs 0 <= smallest <= largest <= 0.5, got {self.smallest}, {self.largest}")
        if not 0 < self.narrowest <= self.tallest:
            raise ValueError(f"a rectangle needs 0 < narrowest <= tallest, got {self.narrowest} and {self.tallest}")

    def rectangle(self, centre: Tensor, strength: Tensor, u: Tensor, whole: Tensor, size: tuple[int, int]) -> Tensor:
        """Pixels (B, H, W) bool of a rectangle round `centre` (B,), a flat index, in pictures of `size` (H, W).

        u (B, 2) in [0, 1): area, aspect. whole (B,): pixels that the area is a share of. Without strength it is empty.
        """
        height, width = size
        area = strength * (self.smallest + u[:, 0] * (self.largest - self.smallest)) * whole
        low, high = math.log(self.narrowest), math.log(self.tallest)
        root = torch.exp(0.5 * (low + u[:, 1] * (high - low)))
        rows = _span(centre // width, area.sqrt() * root, height)
        columns = _span(centre % width, area.sqrt() / root, width)
        return rows[:, :, None] & columns[:, None, :]


@dataclass(frozen=True)
class Shape(Rectangles):
    """Erase a rectangle from a mask, centred on one of its pixels, so that it always hits. An empty mask stays empty.

    smallest: least erased area, share. largest: greatest erased area, share. of: what the area is a share of: the
    "image", as in the usual random-erasing operator, or the "mask".

    narrowest: least height / width. tallest: greatest; the logarithm is uniform between the two.

    scaled: whether the strength multiplies the area; false keeps it as it is wherever there is any strength.
    """

    of: Literal["image", "mask"] = "image"
    scaled: bool = True

    acts_on: ClassVar[str] = "truth"
    truth: ClassVar[str] = "mask"
    draws: ClassVar[int] = 3

    def corrupt(self, target: Tensor, strength: Tensor, u: Tensor) -> Tensor:
        """Masks (B, H, W) bool, strength (B,) in [0, 2], u (B, 3) in [0, 1): area, aspect, centre -> masks."""
        _, height, width = target.shape
        strength = strength if self.scaled else (strength > 0).float()
        whole = target.sum(dim=(1, 2)) if self.of == "mask" else torch.full_like(u[:, 0], height * width)
        return target & ~self.rectangle(one_of(target, u[:, 2]), strength, u, whole, (height, width))


@dataclass(frozen=True)
class Color:
    """Jitter brightness, contrast and saturation of the drawn colour, as torchvision's ColorJitter, clipped.

    Acts on painted pixels only. Contrast blends with the mean gray of the painted pixels, which is the colour's own
    gray where one flat colour was painted. An encoding that blends its colour with the photograph is jittered as
    blended.

    brightness: largest change of the factor to either side of 1. contrast: the same. saturation: the same.

    order: "fixed" is brightness, contrast, saturation; "random" draws one of the six orders, as torchvision does.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    order: Literal["fixed", "random"] = "fixed"

    acts_on: ClassVar[str] = "drawing"
    truth: ClassVar[str] = "any"
    draws: ClassVar[int] = 4  # three factors and the order, so that asking for another order leaves factors as they are

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"{name} changes a factor by 0 to 0.5 at strength 1, got {getattr(self, name)}")

    def corrupt(self, target: Drawing, strength: Tensor, u: Tensor) -> Drawing:
        """A Drawing of B pictures, strength (B,) in [0, 2], u (B, 4) in [0, 1) -> the Drawing with other colours."""
        rgb = target.rgb
        painted = torch.ones_like(rgb[:, 0], dtype=torch.bool) if target.painted is None else target.painted
        widths = torch.tensor([self.brightness, self.contrast, self.saturation], device=rgb.device)
        factors = (1.0 + strength[:, None] * widths * (2.0 * u[:, :3] - 1.0))[:, :, None, None, None]
        jittered = jitter(0.5 * rgb + 0.5, painted, factors, (0, 1, 2))
        if self.order == "random":
            orders = list(itertools.permutations(range(3)))
            picked = (u[:, 3] * len(orders)).long().clamp(max=len(orders) - 1)
            for i, order in enumerate(orders[1:], start=1):
                other = jitter(0.5 * rgb + 0.5, painted, factors, order)
                jittered = torch.where((picked == i)[:, None, None, None], other, jittered)
        changed = (painted & (strength > 0)[:, None, None])[:, None]
        return dataclasses.replace(target, rgb=torch.where(changed, 2.0 * jittered - 1.0, rgb))


def moved(
    picture: Tensor, angle: Tensor, shift: tuple[Tensor, Tensor], scale: Tensor, centre: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Turn and scale pictures (B, H, W) about `centre`, then shift them: what each pixel then shows, by nearest
    neighbour, and whether that came from inside (B, H, W) bool. Pixels from outside show the nearest border pixel.

    angle (B,) radians, clockwise as seen; shift and centre are rows and columns (B,) in pixels; scale (B,) positive.
    """
    _, height, width = picture.shape
    rows = torch.arange(height, device=picture.device) - (centre[0] + shift[0])[:, None]  # (B, H) from the moved centre
    columns = torch.arange(width, device=picture.device) - (centre[1] + shift[1])[:, None]
    cos, sin = (torch.cos(angle) / scale)[:, None], (torch.sin(angle) / scale)[:, None]
    # where each pixel came from; a map of rows and columns is the sum of one term of each
    from_row = ((cos * rows + centre[0][:, None])[:, :, None] - (sin * columns)[:, None, :]).round().long()
    from_column = ((sin * rows + centre[1][:, None])[:, :, None] + (cos * columns)[:, None, :]).round().long()
    inside = (from_row >= 0) & (from_row < height) & (from_column >= 0) & (from_column < width)
    index = from_row.clamp(0, height - 1) * width + from_column.clamp(0, width - 1)
    return picture.flatten(1).gather(1, index.flatten(1)).view_as(picture), inside


def middle(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (B,) of the centre of pictures (B, H, W), pixel centres at whole numbers."""
    ones = torch.ones(len(picture), device=picture.device)
    return ones * (picture.shape[1] - 1) / 2, ones * (picture.shape[2] - 1) / 2


def one_of(mask: Tensor, u: Tensor) -> Tensor:
    """Flat index (B,) of a random pixel of each mask (B, H, W) bool, u (B,) in [0, 1); of an empty one the last."""
    seen = mask.flatten(1).cumsum(dim=1)
    count = seen[:, -1]
    # the k-th pixel of the mask is where the running count first reaches k + 1; past the end when there is none
    k = (u * count).long().clamp(max=count - 1)
    return torch.searchsorted(seen, (k + 1)[:, None])[:, 0].clamp(max=seen.shape[1] - 1)


def jitter(rgb: Tensor, painted: Tensor, factors: Tensor, order: tuple[int, ...]) -> Tensor:
    """rgb (B, 3, H, W) in [0, 1], painted (B, H, W) bool, factors (B, 3, 1, 1, 1) of brightness, contrast, saturation.

    Each operation is clipped to [0, 1], in the given order; only painted pixels of the result (B, 3, H, W) mean
    something.
    """
    count = painted.sum(dim=(1, 2)).clamp(min=1)
    for operation in order:
        factor = factors[:, operation]
        if operation == 0:
            other = torch.zeros_like(rgb[:, :1])
        else:
            other = gray(rgb)
            if operation == 1:
                mean = (other[:, 0] * painted).sum(dim=(1, 2)) / count
                other = mean[:, None, None, None]
        rgb = (factor * rgb + (1.0 - factor) * other).clamp(0.0, 1.0)
    return rgb


def gray(rgb: Tensor) -> Tensor:
    """Luma of rgb (B, 3, H, W) with torchvision's coefficients: (B, 1, H, W)."""
    return (rgb * rgb.new_tensor((0.2989, 0.587, 0.114)).view(3, 1, 1)).sum(dim=1, keepdim=True)


def _any(mask: Tensor) -> Tensor:
    """Which of masks (B, H, W) hold a pixel: (B,) bool."""
    return mask.flatten(1).any(dim=1)


def _span(centre: Tensor, length: Tensor, side: int) -> Tensor:
    """The pixels (B, side) bool of an interval of this length (B,) round centre (B,); none when it has no length."""
    offset = torch.arange(side, device=centre.device) - centre[:, None]
    return (offset >= -length[:, None] / 2) & (offset < length[:, None] / 2)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("corruption", "location", Location)
    registry.add("corruption", "shape", Shape)
    registry.add("corruption", "color", Color, aliases=("colour",))
