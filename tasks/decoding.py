"""From the bytes of a dataset's file to numbers: photographs, 16-bit depth, class maps, arrays.

Every reader names the file in its error, and says what was expected of it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from addp_bench.errors import BadData

from .archives import Files


def photograph(files: Files, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB as stored; gray becomes RGB, a rotation noted in EXIF is not applied. Raises BadData."""
    return np.array(_opened(files, name).convert("RGB"))  # a copy, since tensors want to be writable


def depth_counts(files: Files, name: str) -> np.ndarray:
    """(H, W) uint16 of a 16-bit gray PNG. Raises BadData for anything else, and so for a depth saved in 8 bits."""
    image = _opened(files, name)
    if image.mode not in ("I;16", "I;16B", "I"):  # Pillow's names for it; "I" before its version 11
        raise BadData(f"{files.where}: {name} is a picture of mode {image.mode}; expected a 16-bit gray PNG.")
    return np.asarray(image).astype(np.uint16)


def class_map(files: Files, name: str) -> np.ndarray:
    """(H, W) uint8 of an 8-bit PNG of one channel; of a palette the indices. Raises BadData for anything else."""
    image = _opened(files, name)
    if image.mode not in ("L", "P"):
        raise BadData(f"{files.where}: {name} is a picture of mode {image.mode}; expected an 8-bit PNG of one channel.")
    return np.asarray(image)


def array(files: Files, name: str) -> np.ndarray:
    """What a .npy holds; Python objects in it are refused. Raises BadData."""
    try:
        return np.asarray(np.load(io.BytesIO(files.read(name)), allow_pickle=False))
    except (ValueError, EOFError, OSError) as broken:
        raise BadData(f"{files.where}: {name} cannot be read as a .npy of numbers: {reason(broken)}.") from broken


def dataset_of_hdf5(files: Files, name: str) -> np.ndarray:
    """The array `dataset` of an HDF5 file, as Hypersim publishes each. Raises BadData."""
    import h5py

    try:
        with h5py.File(io.BytesIO(files.read(name)), "r") as stored:
            return np.asarray(stored["dataset"][()])
    except (OSError, KeyError, AttributeError, RuntimeError) as broken:
        raise BadData(
            f"{files.where}: {name} cannot be read as HDF5 with one array `dataset`: {reason(broken)}."
        ) from broken


def raw_floats(files: Files, name: str, height: int, width: int) -> np.ndarray:
    """(height, width) float32 of a headerless little-endian file, row after row. Raises BadData for another size."""
    expected = 4 * height * width
    if (size := files.size(name)) != expected:
        raise BadData(
            f"{files.where}: {name} has {size} bytes; expected {expected}, which are {height} x {width} float32 values "
            "without a header."
        )
    return np.frombuffer(files.read(name), "<f4").reshape(height, width)


def same_size(files: Files, photo: str, image: np.ndarray, truth: str, values: np.ndarray) -> None:
    """Raises BadData, naming both files, when a truth is not of its photograph's size."""
    if values.shape != image.shape[:2]:
        height, width = image.shape[:2]
        raise BadData(
            f"{files.where}: {truth} is {_extent(values.shape)} pixels and its photograph {photo} is {width} x "
            f"{height}; they must be of one size."
        )


def _extent(shape: tuple[int, ...]) -> str:
    """Width x height, as people say it; an array that is no picture is told as it is."""
    return f"{shape[1]} x {shape[0]}" if len(shape) == 2 else str(shape)


def _opened(files: Files, name: str) -> Any:
    """A Pillow image, decoded."""
    from PIL import Image

    content = files.read(name)
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as broken:
        raise BadData(f"{files.where}: {name} cannot be read as an image: {reason(broken)}. Get it again.") from broken
    return image


def field(value: Any, name: str, expected: type, where: str) -> Any:
    """A member of a JSON object or of a dict. Raises BadData, beginning with `where`, for one of another type."""
    if not isinstance(value, dict):
        raise BadData(f"{where}: expected fields by name, met a {type(value).__name__}.")
    if name not in value:
        raise BadData(f"{where}: the field {name!r} is missing.")
    if not isinstance(value[name], expected):
        raise BadData(f"{where}: {name!r} is a {type(value[name]).__name__}; expected {expected.__name__}.")
    return value[name]


def reason(error: BaseException) -> str:
    """What a library said, in one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200].rstrip(".")
