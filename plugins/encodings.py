"""Masks drawn as pictures: a colour painted over the object, or white on black."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from addp_bench.hookspecs import hookimpl
from addp_bench.types import Drawing, Query, Sample, Sweep, pixels

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

# Thresholds that are tried on a tuning split; ours
RADII = range(5, 205, 5)
BRIGHTNESSES = range(5, 255, 5)

# InstructDiffusion's colours for drawing masks, 0..255 RGB
COLOURS = {
    "red": (255, 0, 0),
    "purple": (128, 0, 128),
    "blue": (0, 0, 255),
    "green": (0, 128, 0),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
}


class SolidMask:
    """The photograph with the object painted in one colour (ADDP, appendix A.1.2, whose colour is red).

    A pixel reads as the object where it lies within `radius` of the colour. What was of that colour in the photograph
    reads as the object too; that is the encoding's own error, and its ceiling, unless `change` is asked for.

    color: red, purple, blue, green, yellow, white, black, gray, or r,g,b in 0..255.
    radius: Euclidean distance in 0..255 RGB; the boundary belongs to the mask.
    change: a pixel must also lie farther than this from the photograph, in 0..255 RGB; not given, it need not (ours).
    """

    truth: ClassVar[str] = "mask"

    def __init__(self, color: str = "red", radius: float = 50.0, change: float | None = None) -> None:
        if not 0 <= radius < math.inf:
            raise ValueError(f"radius is a distance in 0..255 RGB, at least 0, got {radius}")
        if change is not None and not 0 <= change < math.inf:
            raise ValueError(f"change is a distance in 0..255 RGB, at least 0, got {change}")
        self.colour = read_colour(color)
        self.radius, self.change = radius, change

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the expression as it is; masks have no vocabulary."""
        return [Query(sample.text, self.colour)]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth (B, H, W) bool -> the image, painted where truth is."""
        import torch

        paint = image.new_tensor(self.colour).view(3, 1, 1) / 127.5 - 1.0
        return Drawing(torch.where(truth[:, None], paint, image), painted=truth)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) in [-1, 1] -> mask (H, W) bool on their device."""
        return self.decode_batch(drawings, image[None], queries)[0]

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (B, 3, H, W) and images (B, 3, H, W) in [-1, 1] -> masks (B, H, W) bool on their device."""
        return self._read(drawings, image, [self.radius])[0]

    @property
    def sweep(self) -> Sweep:
        """The radius."""
        return Sweep("radius", self.radius, RADII)

    def decode_swept(
        self, drawings: Tensor, image: Tensor, queries: Sequence[Query], values: Sequence[float]
    ) -> Sequence[Tensor]:
        """drawings (1, 3, H, W) -> masks (V, H, W) bool, one for each radius."""
        return self._read(drawings, image[None], values)[:, 0]  # type: ignore[return-value]  # a tensor is a sequence

    def nearness(self, whole: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in whole numbers 0..255 -> minus the squared distance from the colour (B, H, W).

        Of whole numbers it is exact in float32, so the edge of the ball is too.
        """
        return -(whole - whole.new_tensor(self.colour).view(3, 1, 1)).square().sum(1)

    def claimed(self, nearness: Tensor, values: Sequence[float]) -> Tensor:
        """nearness (...) -> bool (V, ...), whether it is within each radius."""
        return nearness >= -over(nearness, [radius**2 for radius in values])

    def _read(self, drawings: Tensor, image: Tensor, radii: Sequence[float]) -> Tensor:
        whole = pixels(drawings)
        masks = self.claimed(self.nearness(whole), radii)
        if self.change is None:
            return masks
        return masks & ((whole - pixels(image)).square().sum(1) > self.change**2)


class RedMask(SolidMask):
    """The photograph with the object painted red, (255, 0, 0): ADDP's encoding (appendix A.1.2).

    radius: a pixel within this Euclidean distance of red, in 0..255 RGB, reads as the object; the boundary is in.
    change: it must also lie farther than this from the photograph, in 0..255 RGB; not given, it need not (ours).
    """

    def __init__(self, radius: float = 50.0, change: float | None = None) -> None:
        super().__init__("red", radius, change)


class BinaryMask:
    """White object on black, the photograph gone (InstructCV).

    threshold: a pixel brighter than this (0..255) reads as the object.
    reads: luminance (Rec. 601), or red for the first channel alone; InstructCV's released evaluation is
    `threshold=10:reads=red`.
    """

    truth: ClassVar[str] = "mask"

    def __init__(self, threshold: float = 127.0, reads: Literal["luminance", "red"] = "luminance") -> None:
        if not 0 <= threshold < 255:
            raise ValueError(f"threshold is a brightness from 0 to below 255, got {threshold}")
        self.threshold = threshold
        # in thousandths, so that brightness is a whole number and its comparison exact
        self.shares = (299, 587, 114) if reads == "luminance" else (1000, 0, 0)

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the expression as it is; masks have no vocabulary."""
        return [Query(sample.text, COLOURS["white"])]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W), truth (B, H, W) bool -> 1 where truth is and -1 elsewhere, shaped as the image."""
        return Drawing((truth[:, None].to(image.dtype) * 2.0 - 1.0).expand_as(image).contiguous())

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) in [-1, 1] -> mask (H, W) bool on their device."""
        return self.decode_batch(drawings, image, queries)[0]

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (B, 3, H, W) in [-1, 1] -> masks (B, H, W) bool on their device."""
        return self.claimed(self.nearness(pixels(drawings)), [self.threshold])[0]

    @property
    def sweep(self) -> Sweep:
        """The threshold."""
        return Sweep("threshold", self.threshold, BRIGHTNESSES)

    def decode_swept(
        self, drawings: Tensor, image: Tensor, queries: Sequence[Query], values: Sequence[float]
    ) -> Sequence[Tensor]:
        """drawings (1, 3, H, W) -> masks (V, H, W) bool, one for each threshold."""
        masks: Sequence[Tensor] = self.claimed(self.nearness(pixels(drawings))[0], values)  # type: ignore[assignment]
        return masks

    def nearness(self, whole: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in whole numbers 0..255 -> their brightness in thousandths (B, H, W), exact."""
        return (whole * whole.new_tensor(self.shares).view(3, 1, 1)).sum(1)

    def claimed(self, nearness: Tensor, values: Sequence[float]) -> Tensor:
        """nearness (...) -> bool (V, ...), whether it is above each threshold."""
        return nearness > over(nearness, [1000 * threshold for threshold in values])


def over(values: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Thresholds as (V, 1, ...), to be compared with values (...)."""
    return values.new_tensor(thresholds).view(-1, *[1] * values.ndim)


def read_colour(text: str) -> tuple[int, int, int]:
    """A named colour or `r,g,b` -> whole numbers 0..255. Raises ValueError."""
    if (name := text.strip().lower()) in COLOURS:
        return COLOURS[name]
    parts = text.split(",")
    if len(parts) != 3 or not all(p.strip().isdecimal() and int(p) <= 255 for p in parts):
        raise ValueError(f"color is {', '.join(COLOURS)} or three whole numbers r,g,b in 0..255, got {text!r}")
    r, g, b = (int(p) for p in parts)
    return r, g, b


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "red_mask", RedMask, ("red",))
    registry.add("encoding", "solid_mask", SolidMask)
    registry.add("encoding", "binary_mask", BinaryMask, ("binary",))
