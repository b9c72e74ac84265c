"""Several depth maps of one photograph, aligned and compared with its truth at once, on the device they are on.

What depth_alignment and depth_metrics say of one map with numpy, which is the reference, said of a stack with torch.
Everything is float64, and nothing waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vecdot

from addp_bench.pixelwise import alike, count, together
from addp_bench.types import Depth

from .depth_alignment import LEAST, LEAST_DISPARITY, Alignment, Space
from .depth_metrics import COLUMNS, STEP

Marked = tuple[np.ndarray, np.ndarray, np.ndarray]  # places of pixels, their depth in metres, and whether they count


@dataclass(frozen=True)
class Pixels:
    """Some pixels of one photograph: their places (n,) int64 in its flattened maps, and their depth (n,) metres."""

    places: Tensor
    depth: Tensor

    @cached_property
    def log(self) -> Tensor:
        return self.depth.log()

    @cached_property
    def inverse(self) -> Tensor:
        return 1.0 / self.depth

    @cached_property
    def mean(self) -> Tensor:
        return self.depth.mean()

    @cached_property
    def off(self) -> Tensor:
        return self.depth - self.mean

    @classmethod
    def of(cls, places: np.ndarray, depth: np.ndarray, counts: np.ndarray, device: torch.device) -> Pixels:
        """Those that count, of arrays of one shape."""
        which = np.flatnonzero(counts)
        return cls(*(torch.from_numpy(values.ravel().take(which)).to(device) for values in (places, depth)))

    def read(self, maps: Tensor, inverse: bool) -> Tensor:
        """Their values in maps (S, H, W): (S, n). inverse: as 1 / value, 0 for what is no distance."""
        found = maps.flatten(1).index_select(1, self.places).double()
        return torch.where(found >= LEAST, 1.0 / found, 0.0) if inverse else found


def solved(p: Tensor, truth: Pixels, alignment: Alignment) -> tuple[Tensor, Tensor]:
    """Scale and shift (S,) of p (S, n) by the truth: depth_alignment.solved of each row, for all but "median"."""
    if alignment == "none":
        return p.new_ones(len(p)), p.new_zeros(len(p))
    if alignment == "least_square":
        mean_p = p.mean(1)
        off = p - mean_p[:, None]
        return _line(p.new_full((len(p),), p.shape[1]), mean_p, truth.mean, vecdot(off, off), off @ truth.off)
    seen = p > 0
    g = truth.inverse.where(seen, 0.0)
    n = count(seen).double()
    mean_p, mean_g = p.where(seen, 0.0).sum(1) / n, g.sum(1) / n
    off = (p - mean_p[:, None]).where(seen, 0.0)
    scale, shift = _line(n, mean_p, mean_g, vecdot(off, off), vecdot(off, g - mean_g[:, None]))
    return scale.where(n > 0, 0.0), shift.where(n > 0, 0.0)


def _line(n: Tensor, mean_p: Tensor, mean_g: Tensor, spread: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """depth_alignment.least_squares (S,), from how many points there are, their means and centred sums of products."""
    total = n * (mean_p * mean_p + 1.0) + spread
    largest = 0.5 * (total + (total * total - 4.0 * n * spread).clamp(min=0.0).sqrt())
    constant = (n * spread).sqrt() <= np.finfo(np.float64).eps * n.clamp(min=2.0) * largest
    share = mean_g / (mean_p * mean_p + 1.0)
    scale = torch.where(constant, share * mean_p, shared / spread)
    return scale, torch.where(constant, share, mean_g - scale * mean_p)


def aligned(
    p: Tensor, scale: Tensor, shift: Tensor, alignment: Alignment, low: float | None, high: float | None
) -> Tensor:
    """Depths in metres (S, n) of p, clipped to low and high where they are given, and at least LEAST."""
    found = scale[:, None] * p + shift[:, None]
    if alignment == "least_square_disparity":
        found = 1.0 / found.clamp(min=LEAST_DISPARITY)
    if low is not None or high is not None:
        found = found.clamp(low, high)
    return found.clamp(min=LEAST)


def errors(p: Tensor, truth: Pixels) -> Tensor:
    """p (S, n) metres above 0, of one pixel or more -> depth_metrics.errors of each row, (S, columns) as COLUMNS."""
    g = truth.depth
    off = p - g
    square = off * off
    log = p.log() - truth.log
    square_log = (log * log).mean(1)
    ratio = torch.maximum(p / g, g / p)
    below = [count(ratio < STEP**k).double() / len(g) for k in (1, 2, 3)]
    found = {
        "absrel": (off.abs() / g).mean(1),
        **dict(zip(("delta1", "delta2", "delta3"), below)),
        "rmse": square.mean(1).sqrt(),
        "sqrel": (square / g).mean(1),
        "rmselog": square_log.sqrt(),
        "log10": log.abs().mean(1) / math.log(10.0),
        "irmse": (1.0 / p - truth.inverse).square_().mean(1).sqrt(),
        "silog": (square_log - log.mean(1).square()).clamp(min=0.0).sqrt(),
    }
    return torch.stack([found[name] for name in COLUMNS], 1)


def regular(predictions: Sequence[Any], size: tuple[int, int]) -> tuple[list[Tensor] | None, Space | None]:
    """The maps and the space of predictions that are tensors (H, W) float32 of this size in one space; else None twice.

    What is no types.Depth is metres.
    """
    said = [p if isinstance(p, Depth) else Depth(p, "metric") for p in predictions]
    maps, spaces = alike([one.values for one in said]), {one.space for one in said}
    if maps is None or len(spaces) != 1 or maps[0].dtype != torch.float32 or maps[0].shape != size:
        return None, None
    return maps, said[0].space


def compared(
    maps: list[Tensor],
    space: Space,
    judged: Marked,
    fitted: Marked,
    alignment: Alignment,
    clip: tuple[float | None, float | None],
) -> list[tuple[dict[str, float], float, float]] | None:
    """The errors of each map (H, W), and the scale and the shift it was aligned by.

    judged: the pixels that are, fitted: those by which scale and shift are solved for. None where no pixel is judged,
    or a map holds what is not finite.
    """
    if not judged[2].any():
        return None
    pixels = Pixels.of(*judged, maps[0].device)
    these = pixels if fitted[0] is judged[0] else Pixels.of(*fitted, maps[0].device)
    inverse = alignment == "least_square_disparity" and space == "metric"
    rows = [row for some in together(maps) for row in numbers(some, pixels, these, inverse, alignment, clip).tolist()]
    if not all(math.isfinite(row[-1]) for row in rows):
        return None
    return [(dict(zip(COLUMNS, row)), row[-3], row[-2]) for row in rows]


def numbers(
    maps: Tensor,
    judged: Pixels,
    fitted: Pixels,
    inverse: bool,
    alignment: Alignment,
    clip: tuple[float | None, float | None],
) -> Tensor:
    """maps (S, H, W) -> (S, columns + 3): errors, scale, shift, and the largest magnitude in the whole map, which is
    finite where all of it is. inverse: maps are depths of which 1 / depth is aligned."""
    p = judged.read(maps, inverse)
    scale, shift = solved(p if fitted is judged else fitted.read(maps, inverse), fitted, alignment)
    made = errors(aligned(p, scale, shift, alignment, *clip), judged)
    largest = maps.flatten(1).abs().amax(1).double()
    return torch.cat([made, torch.stack([scale, shift, largest], 1)], 1)
