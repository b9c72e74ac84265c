"""Depth maps as people and other programs see them: colours, .npy, and .png of millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from addp_bench.errors import BadData, BadPrediction
from addp_bench.types import Depth

from .depth_alignment import Space

if TYPE_CHECKING:
    from addp_bench.types import Sample

COLOURS = "Spectral"  # of matplotlib, as Marigold's pictures: 0 is red, 1 violet
MILLIMETRES = 1000.0
MOST = np.iinfo(np.uint16).max


def picture(depth: Depth) -> np.ndarray:
    """(H, W, 3) uint8: the nearest pixel of the map red, the farthest violet; metric depth of 0 or less is black."""
    import matplotlib

    values = np.asarray(depth.values, np.float64)
    known = values > 0 if depth.space == "metric" else np.ones(values.shape, bool)
    found = np.zeros((*values.shape, 3), np.uint8)
    if known.any():
        near, far = float(values[known].min()), float(values[known].max())
        share = (values[known] - near) / max(far - near, np.finfo(np.float64).tiny)
        share = 1.0 - share if depth.space == "disparity" else share
        found[known] = matplotlib.colormaps[COLOURS](share, bytes=True)[:, :3]
    return found


def write(depth: Depth, path: Path) -> None:
    """float32 .npy, as Marigold's programs leave them, or metric depth as 16-bit .png of millimetres, 0 unknown."""
    values = np.asarray(depth.values, np.float32)
    if path.suffix == ".npy":
        np.save(path, values, allow_pickle=False)
        return
    if path.suffix != ".png" or depth.space != "metric":
        raise BadPrediction(f"{path}: {depth.space} depth is written as .npy, metric depth also as .png of millimetres")
    from PIL import Image

    whole = np.rint(values.astype(np.float64) * MILLIMETRES)
    if whole.min() < 0 or whole.max() > MOST:
        raise BadPrediction(
            f"{path}: a .png holds 0 to {MOST / MILLIMETRES} m, met {values.min():g} to {values.max():g}"
        )
    Image.fromarray(whole.astype(np.uint16)).save(path)


def read(path: Path, sample: Sample, space: Space) -> Depth:
    """What `write` wrote, of the photograph's size. space: of a .npy. Raises BadData, naming the file."""
    size = sample.image.shape[:2]
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _millimetres(path)
    except (OSError, ValueError, EOFError, SyntaxError) as broken:  # Pillow calls a broken PNG a SyntaxError
        raise BadData(f"{path}: cannot be read as a depth map ({broken})") from broken
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fui" or values.squeeze().shape != size:
        met = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise BadData(f"{path}: holds {met}; expected numbers of the photograph's size {size}, of sample {sample.id}")
    return Depth(values.squeeze().astype(np.float32), space if path.suffix == ".npy" else "metric")


def _millimetres(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as opened:
        if not opened.mode.startswith("I"):  # others hold 8 bits a channel
            raise ValueError(f"its mode is {opened.mode}, not 16-bit grey")
        return np.asarray(opened, np.float64) / MILLIMETRES
