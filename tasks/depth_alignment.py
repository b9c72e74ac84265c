"""What a prediction leaves open, scale and shift, solved for by the truth; and the pixels on which it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

Alignment = Literal["least_square", "least_square_disparity", "median", "none"]
Space = Literal["metric", "affine", "disparity"]
Subsampling = Literal["both", "width"]

LEAST = 1e-6  # metres; no depth is smaller once it is judged (Marigold)
LEAST_DISPARITY = 1e-3  # 1 / metres; the same for an aligned disparity (Marigold)

# space of a prediction -> alignments by which it can be judged
MEANT: Mapping[Space, tuple[Alignment, ...]] = {
    "metric": ("least_square", "least_square_disparity", "median", "none"),
    "affine": ("least_square",),
    "disparity": ("least_square_disparity",),
}


def least_squares(p: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """The s, t that minimise sum (s p + t - g)^2 for p, g (n,) float64; of many the one of least s^2 + t^2.

    So a constant p, a single pixel, and none at all have an answer. It is that of numpy.linalg.lstsq on [p, 1], whose
    rule of when p counts as constant it takes over. The scale may be negative: nothing forbids it in Marigold.
    """
    n = len(p)
    if n == 0:
        return 0.0, 0.0
    mean_p, mean_g = float(p.mean()), float(g.mean())
    off = p - mean_p
    spread = float(off @ off)
    total = n * (mean_p * mean_p + 1.0) + spread  # the sum of both squared singular values of [p, 1]
    largest = 0.5 * (total + math.sqrt(max(0.0, total * total - 4.0 * n * spread)))
    if math.sqrt(n * spread) <= np.finfo(np.float64).eps * max(n, 2) * largest:
        share = mean_g / (mean_p * mean_p + 1.0)
        return share * mean_p, share
    scale = float(off @ (g - mean_g)) / spread
    return scale, mean_g - scale * mean_p


def solved(p: np.ndarray, g: np.ndarray, alignment: Alignment) -> tuple[float, float]:
    """Scale and shift of p (n,), in the space in which it is aligned, by the depths g (n,) in metres, above 0.

    p is a disparity for "least_square_disparity", which is fitted where it is above 0, and a depth otherwise. "median"
    has the scale median(g) / median(p), 0 where that is no number, and no shift.
    """
    if alignment == "least_square":
        return least_squares(p, g)
    if alignment == "least_square_disparity":
        seen = p > 0
        return least_squares(p[seen], 1.0 / g[seen])
    if alignment == "median":
        middle = float(np.median(p)) if len(p) else 0.0
        return (float(np.median(g)) / middle if middle else 0.0), 0.0
    return 1.0, 0.0


def aligned(p: np.ndarray, scale: float, shift: float, alignment: Alignment) -> np.ndarray:
    """Depths in metres of p, which is a disparity for "least_square_disparity"."""
    found = scale * p + shift
    return 1.0 / np.maximum(found, LEAST_DISPARITY) if alignment == "least_square_disparity" else found


def disparity(p: np.ndarray) -> np.ndarray:
    """Metres -> 1 / metres; what is no distance (0 or less) has none, and 0 says so."""
    return np.divide(1.0, p, out=np.zeros_like(p), where=p >= LEAST)


def subsampled(maps: np.ndarray, largest: int | None, how: Subsampling) -> np.ndarray:
    """maps (..., H, W), every so-manieth row and column of them, so that the longer side is `largest`; None: all.

    Row j of H' is row floor(j H / H') of H, columns alike. how "width" thins out the columns alone, by the same factor,
    as Marigold's evaluation does: it means to shrink both sides and hands a 3-D array to a function of 1-D data.
    """
    height, width = maps.shape[-2:]
    if largest is None or max(height, width) <= largest:
        return maps
    longer = max(height, width)
    maps = maps[..., _every(width, width * largest // longer)]
    return maps[..., _every(height, height * largest // longer), :] if how == "both" else maps


def _every(old: int, new: int) -> np.ndarray:
    return np.arange(max(new, 1)) * old // max(new, 1)
