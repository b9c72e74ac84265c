"""Scenes to pixels by analytic ray casting.

Geometry is float64 and made of +, -, *, / and square roots only, which IEEE arithmetic fixes to the last bit, so the
same scene gives the same bytes on any machine. A ray's direction has length 1 along the optical axis: its parameter
t is therefore the z-depth itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import casting
from .shading import Samples, background_colour, shade_solids, shadowed, to_bytes
from .solids import Scene

CHUNK = 16  # scenes rendered together; keeps the working set in the cache and does not change a byte


@dataclass(frozen=True)
class Rendering:
    """images (N, H, W, 3) uint8 · depth (N, H, W) float32 metres along the optical axis, everywhere > 0 ·
    instance (N, H, W) uint8, 0 background, k for solids[k - 1] · visible and silhouette (N, K) int32 pixels of each
    solid at pixel centres, as seen and as if nothing stood before it (inside the frame); 0 beyond a scene's count.
    """

    images: np.ndarray
    depth: np.ndarray
    instance: np.ndarray
    visible: np.ndarray
    silhouette: np.ndarray


def render(scenes: Sequence[Scene], size: int = 64) -> Rendering:
    """Photographs (2 x 2 samples a pixel) with depth and instance ids taken at pixel centres."""
    images = np.zeros((len(scenes), size, size, 3), np.uint8)
    for start in range(0, len(scenes), CHUNK):
        images[start : start + CHUNK] = _photograph(scenes[start : start + CHUNK], size)
    return Rendering(images, *survey(scenes, size))


def survey(scenes: Sequence[Scene], size: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rendering's depth, instance, visible and silhouette without the photographs (about five times as fast)."""
    count = len(scenes)
    most = max((len(scene.solids) for scene in scenes), default=0)
    depth = np.zeros((count, size, size), np.float32)
    instance = np.zeros((count, size, size), np.uint8)
    silhouette = np.zeros((count, most), np.int32)
    visible = np.zeros((count, most), np.int32)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        bundle = casting.bundle(scenes[part], size)
        hits = casting.cast(bundle)
        number = part.stop - part.start
        depth[part] = hits.depth.reshape(number, size, size)
        instance[part] = hits.instance.reshape(number, size, size)
        silhouette[part, : hits.silhouette.shape[1]] = hits.silhouette
        for k in range(most):
            visible[part, k] = (hits.instance == k + 1).sum(1)
    return depth, instance, visible, silhouette


def _photograph(scenes: Sequence[Scene], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: four samples a pixel, averaged."""
    bundle = casting.bundle(scenes, 2 * size)
    hits = casting.cast(bundle)
    samples = Samples.of(bundle, hits)
    dark = shadowed(samples, bundle)
    colour = background_colour(samples, bundle, dark)
    shade_solids(colour, samples, bundle, dark)
    values = to_bytes(colour, samples, bundle)  # (N, 2 size x 2 size, 3) float32 in [0, 255]
    grid = values.reshape(len(scenes), size, 2, size, 2, 3)
    mean = (grid[:, :, 0, :, 0] + grid[:, :, 0, :, 1] + grid[:, :, 1, :, 0] + grid[:, :, 1, :, 1]) * np.float32(0.25)
    return (mean + np.float32(0.5)).astype(np.uint8)
