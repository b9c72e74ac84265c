"""Masks drawn as a tint: the object mixed with a colour, so that the photograph stays visible beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl
from addp_bench.types import Drawing, Query, Sample, Sweep, pixels

from .encodings import over, read_colour

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry


class TransparentMask:
    """The photograph with the object mixed with a colour: alpha photograph + (1 - alpha) colour (InstructDiffusion).

    The released repository has no decoder, its paper a separately trained network. This one solves for the share of the
    colour in each pixel, s = <drawing - photograph, colour - photograph> / |colour - photograph|^2, and needs no
    training. ADDP notes that plain thresholding is noisy here: the photograph must be known to the bit, and where it is
    of nearly that colour nothing can be told.

    color: red, purple, blue, green, yellow, white, black, gray, or r,g,b in 0..255.

    alpha: share of the photograph that stays, from 0 to below 1.

    threshold: a pixel whose share of the colour is above this reads as the object; below 1 - alpha (0.25 is ours).

    contrast: where the photograph is nearer to the colour than this, or as near, nothing is read; Euclidean distance
    in 0..255 RGB (30 is ours).
    """

    truth: ClassVar[str] = "mask"

    def __init__(self, color: str = "red", alpha: float = 0.5, threshold: float = 0.25, contrast: float = 30.0) -> None:
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha is the photograph's share, from 0 to below 1, got {alpha}")
        if not 0 < threshold < 1 - alpha:
            raise ValueError(f"threshold is a share above 0 and below 1 - alpha = {1 - alpha:g}, got {threshold}")
        if not contrast >= 0:
            raise ValueError(f"contrast is a distance in 0..255 RGB, at least 0, got {contrast}")
        self.colour = read_colour(color)
        self.alpha, self.threshold, self.contrast = alpha, threshold, contrast

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the expression as it is; masks have no vocabulary."""
        return [Query(sample.text, self.colour)]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth (B, H, W) bool -> the image, mixed with the colour where truth is."""
        import torch

        paint = image.new_tensor(self.colour).view(3, 1, 1) / 127.5 - 1.0
        mixed = self.alpha * image + (1.0 - self.alpha) * paint
        return Drawing(torch.where(truth[:, None], mixed, image), painted=truth)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) and image (3, H, W) in [-1, 1] -> mask (H, W) bool on their device."""
        return self.decode_batch(drawings, image[None], queries)[0]

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (B, 3, H, W) and images (B, 3, H, W) in [-1, 1] -> masks (B, H, W) bool on their device."""
        return self._read(drawings, image, [self.threshold])[0]

    @property
    def sweep(self) -> Sweep:
        """The threshold: nineteen shares of 1 - alpha (ours)."""
        return Sweep("threshold", self.threshold, [(1 - self.alpha) * k / 20 for k in range(1, 20)])

    def decode_swept(
        self, drawings: Tensor, image: Tensor, queries: Sequence[Query], values: Sequence[float]
    ) -> Sequence[Tensor]:
        """drawings (1, 3, H, W) and image (3, H, W) -> masks (V, H, W) bool, one for each threshold."""
        return self._read(drawings, image[None], values)[:, 0]  # type: ignore[return-value]  # a tensor is a sequence

    def _read(self, drawings: Tensor, image: Tensor, thresholds: Sequence[float]) -> Tensor:
        drawn, photo = pixels(drawings).double(), pixels(image).double()
        towards = photo.new_tensor(self.colour).view(3, 1, 1) - photo
        length = towards.square().sum(1)
        # share > threshold, multiplied by |colour - photograph|^2, which may be 0
        along = ((drawn - photo) * towards).sum(1)
        return (along > over(along, thresholds) * length) & (length > self.contrast**2)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "transparent_mask", TransparentMask, ("transparent",))
