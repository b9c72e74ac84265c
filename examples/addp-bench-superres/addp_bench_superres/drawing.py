"""How a picture is drawn as a picture: as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from addp_bench.types import Drawing, Query, to_uint8

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from addp_bench.types import Sample


class WholePicture:
    """The drawing is the large picture itself, every pixel of it.

    prompt: the words that ask for it, the same for every photograph.
    """

    truth: ClassVar[str] = "picture"

    def __init__(self, prompt: str = "a sharp photo") -> None:
        self.prompt = prompt

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One, whatever the photograph."""
        return [Query(self.prompt)]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], large pictures (B, 3, H, W) in [-1, 1] -> these, valid everywhere."""
        return Drawing(truth)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> np.ndarray:
        """One drawing (1, 3, H, W) -> the picture (H, W, 3) uint8."""
        return to_uint8(drawings)[0]
