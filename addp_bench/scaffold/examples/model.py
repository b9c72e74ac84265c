"""Model my_idea: answers without being trained, a row that trained models have to beat."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from addp_bench.errors import unknown
from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.registry import Registry
    from addp_bench.types import Sample

requires_api = "1.0"

# hue of the words for colours, in degrees round the colour circle
HUES = {"red": 0, "orange": 28, "yellow": 58, "green": 124, "cyan": 184, "blue": 232, "purple": 275, "pink": 325}


class MyIdea:
    """The pixels that have the colour which the words name; none where they name no colour.

    width: a hue this far from the word's, in degrees, still has its colour; 0 to 180. saturation: least saturation of a
    pixel that has a colour at all, 0 to 1.
    """

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = ("ris",)
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False  # the generator changes no answer, so seeds are not multiplied

    def __init__(self, width: float = 15.0, saturation: float = 0.4) -> None:
        if not 0 <= width <= 180:
            raise ValueError(f"width is a difference of hues in degrees, 0 to 180, got {width}")
        if not 0 <= saturation <= 1:
            raise ValueError(f"saturation lies in 0 to 1, got {saturation}")
        self.width, self.saturation = width, saturation

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """A mask (H, W) bool of the photograph (H, W, 3) uint8. Raises UnknownName for a task other than ris."""
        if task not in self.tasks:
            raise unknown("task of model my_idea", task, self.tasks)
        hue, saturation = hues(sample.image)
        found = np.zeros(hue.shape, bool)
        for word in re.findall(r"\w+", sample.text.lower()):
            if word in HUES:
                apart = np.abs((hue - HUES[word] + 180) % 360 - 180)
                found |= (apart <= self.width) & (saturation >= self.saturation)
        return found


def hues(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 -> hue (H, W) in degrees, 0 for red, and saturation (H, W) in [0, 1], as in HSV."""
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    largest, smallest = image.max(-1).astype(np.float64), image.min(-1).astype(np.float64)
    spread = np.maximum(largest - smallest, 1.0)  # a grey pixel has no hue, and a saturation of 0
    hue = np.select(
        [largest == red, largest == green],
        [(green - blue) / spread, 2.0 + (blue - red) / spread],
        4.0 + (red - green) / spread,
    )
    return 60.0 * hue % 360.0, (largest - smallest) / np.maximum(largest, 1.0)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "my_idea", MyIdea)
