"""Depth by those who see nothing of the photograph: a plane, noise, and the mean of the training photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.errors import BadData
from addp_bench.types import Depth

if TYPE_CHECKING:
    from addp_bench.protocols import Samples
    from addp_bench.types import Sample

FARTHEST = 10.0  # metres, InstructCV's range; what stands for no knowledge of depth at all


def plane(sample: Sample) -> Depth:
    """The middle of the range at every pixel of the photograph."""
    return Depth(np.full(sample.image.shape[:2], FARTHEST / 2, np.float32), "metric")


def noise(sample: Sample, generator: np.random.Generator) -> Depth:
    """Any depth of the range at each pixel, each as likely."""
    return Depth(generator.uniform(0.0, FARTHEST, sample.image.shape[:2]).astype(np.float32), "metric")


class MeanDepth:
    """The mean depth of each pixel over photographs, at any photograph's size.

    Pixels without a depth leave the mean. Maps of another size than the first are brought to it by the nearest pixel; a
    pixel that has a depth nowhere takes the mean of all others.
    """

    def __init__(self, samples: Samples, count: int) -> None:
        """Of the first `count` samples. Raises BadData where no pixel of any has a depth."""
        total = known = np.zeros((1, 1))
        for i in range(count):
            truth = np.asarray(samples[i].truth, np.float64)
            if i == 0:
                total, known = np.zeros(truth.shape), np.zeros(truth.shape)
            truth = _resized(truth, total.shape, "nearest")
            total += truth
            known += truth > 0
        if not known.any():
            raise BadData(
                f"no pixel of the first {count} training samples has a depth: there is no mean to answer with"
            )
        self.map = np.divide(total, known, out=np.full(total.shape, total.sum() / known.sum()), where=known > 0)

    def __call__(self, sample: Sample) -> Depth:
        """The map (H, W) of the photograph's size, resized bilinearly."""
        return Depth(_resized(self.map, sample.image.shape[:2], "bilinear").astype(np.float32), "metric")


def _resized(values: np.ndarray, size: tuple[int, ...], how: str) -> np.ndarray:
    from PIL import Image

    if values.shape == size:
        return values
    way = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}[how]
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((size[1], size[0]), way), np.float64)
