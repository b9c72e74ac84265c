"""Encoding my_idea: how a mask is drawn as a picture, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.types import Drawing, Query, Sample, pixels

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

requires_api = "1.0"

SCREENS = {"green": (0, 255, 0), "blue": (0, 0, 255), "magenta": (255, 0, 255)}


class MyIdea:
    """The object cut out: it keeps its own pixels, and everything else is a screen of one colour.

    The built-in red_mask does the reverse. A pixel of the object that has the screen's colour is lost.

    screen: colour of everything else. radius: a pixel farther than this from it reads as the object; Euclidean
    distance in 0..255 RGB, 0 or more.
    """

    truth: ClassVar[str] = "mask"

    def __init__(self, screen: Literal["green", "blue", "magenta"] = "green", radius: float = 100.0) -> None:
        if not 0 <= radius < 442:
            raise ValueError(f"radius is a distance in 0..255 RGB, 0 to below 442, got {radius}")
        self.colour, self.radius = SCREENS[screen], radius

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the words as they are; masks have no vocabulary."""
        return [Query(sample.text, self.colour)]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth (B, H, W) bool -> the image, the screen where truth is not."""
        screen = image.new_tensor(self.colour).view(3, 1, 1) / 127.5 - 1.0
        return Drawing(torch.where(truth[:, None], image, screen), painted=~truth)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) in [-1, 1] -> mask (H, W) bool. It is never shown the truth."""
        return self.decode_batch(drawings, image[None], queries)[0]

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """The same of B drawings (B, 3, H, W) at once -> masks (B, H, W) bool; may be left out."""
        away = pixels(drawings) - drawings.new_tensor(self.colour).view(3, 1, 1)
        return away.square().sum(1) > self.radius**2


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "my_idea", MyIdea)
