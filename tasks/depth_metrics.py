"""Errors of a depth map, one number each for one image. Every mean is over the pixels that are judged.

p is what was predicted and g what is true, both in metres and above 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from addp_bench.metrics import MeanOf

# column -> (label, unit, whether more is better); the names of the columns are the metrics' ids
COLUMNS = {
    "absrel": ("AbsRel", "points", False),
    "delta1": ("δ1", "points", True),
    "delta2": ("δ2", "points", True),
    "delta3": ("δ3", "points", True),
    "rmse": ("RMSE", "m", False),
    "sqrel": ("SqRel", "m", False),
    "rmselog": ("RMSElog", "ln", False),
    "log10": ("log10", "dex", False),
    "irmse": ("iRMSE", "1/m", False),
    "silog": ("SILog", "points", False),
}
COMPAT = {
    "rmse_icv": ("RMSE (InstructCV)", "m", False),
    "absrel_icv": ("AbsRel (InstructCV)", "points", False),
    "delta1_icv": ("δ1 (InstructCV)", "points", True),
}
FLAGS = {
    # an inverted answer is righted by a negative scale, and its errors do not show it
    "negative_scale": ("negative scale", "points", False),
    "skipped": ("skipped", "points", False),
}
STEP = 1.25  # the k-th accuracy allows a ratio below STEP^k


def errors(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """p, g: (n,) float64 metres, above 0 -> every name of COLUMNS; nan where n is 0.

    silog is stored without its customary factor 100, which tables put before every metric in points.
    """
    if not len(g):
        return dict.fromkeys(COLUMNS, math.nan)
    off = p - g
    square = off * off
    log = np.log(p) - np.log(g)
    square_log = float((log * log).mean())
    ratio = np.maximum(p / g, g / p)
    return {
        "absrel": float((np.abs(off) / g).mean()),
        "delta1": float((ratio < STEP).mean()),
        "delta2": float((ratio < STEP**2).mean()),
        "delta3": float((ratio < STEP**3).mean()),
        "rmse": math.sqrt(square.mean()),
        "sqrel": float((square / g).mean()),
        "rmselog": math.sqrt(square_log),
        "log10": float(np.abs(log).mean()) / math.log(10.0),
        "irmse": math.sqrt(((1.0 / p - 1.0 / g) ** 2).mean()),
        "silog": math.sqrt(max(0.0, square_log - float(log.mean()) ** 2)),  # rounding may leave less than 0
    }


def instructcv_errors(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """What InstructCV's released script reports: p, g (H, W) metres, 0 where unknown -> every name of COMPAT.

    It keeps a pixel where the whole metres of both maps are odd (a bitwise and of 1 and both). All others count as
    pixels without error, so this is no RMSE; it is here to read the paper's figure.
    """
    kept = (1 & np.trunc(p).astype(np.int64) & np.trunc(g).astype(np.int64)) == 1
    p, g = p[kept], g[kept]
    missed = np.count_nonzero(~(np.maximum(p / g, g / p) < STEP))
    return {
        "rmse_icv": math.sqrt(((p - g) ** 2).sum() / kept.size),
        "absrel_icv": float((np.abs(p - g) / g).sum()) / kept.size,
        "delta1_icv": 1.0 - missed / kept.size,
    }


def metrics(columns: Sequence[str]) -> list[MeanOf]:
    """The mean over images of each of these columns, in this order."""
    return [
        MeanOf(id=name, label=label, unit=unit, higher_is_better=higher, column=name)
        for name in columns
        for label, unit, higher in [(COLUMNS | COMPAT | FLAGS)[name]]
    ]
