"""Photographs, truths, drawings and answers as data URIs, small enough that a page holds many."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.pictures.report import tiled
from addp_bench.records import Record, clean

if TYPE_CHECKING:
    from addp_bench.run import Bench

SIDE = 256  # pixels of the longer side, at most
TRUTH, ANSWER = (0, 114, 178), (230, 159, 0)  # Okabe and Ito (2008)
_LINE = 4  # a small mask is enlarged so often, so that its outline is thin


def of_cell(record: Record, bench: Bench, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Sample id -> photo (URI), text, truth and answer (layers), drawing (URI, None where nothing is drawn).

    A layer is {"kind": "mask", "src", "edge"}, to be laid over the photograph; {"kind": "picture", "src"}, or
    {"kind": "text", "text"}.

    Raises BenchError where the record, the runs folder or the data no longer have what is needed.
    """
    from addp_bench.reopen import Reopened

    reopened = Reopened(record, bench)
    if reopened.cell.denoises:
        reopened.members()  # so that what is gone is said before anything is loaded
    return {picture["id"]: shown(picture) for picture in reopened.pictures(ids)}


def shown(picture: Mapping[str, Any]) -> dict[str, Any]:
    """One of `reopen.Reopened.pictures`, as `of_cell` gives it."""
    drawing = picture["drawing"]
    return {
        "photo": encoded(picture["photo"]),
        "text": clean(str(picture["text"] or "")),
        "truth": layer(picture, "truth", TRUTH),
        "answer": layer(picture, "prediction", ANSWER),
        "drawing": None if drawing is None else encoded(tiled(np.asarray(drawing))),
    }


def layer(picture: Mapping[str, Any], part: str, colour: tuple[int, int, int]) -> dict[str, Any]:
    """The truth or the prediction of a picture as a layer. part: "truth" or "prediction"."""
    value = picture[part]
    if value is None:
        return {"kind": "text", "text": "no answer"}
    if "shown" in picture:
        return {"kind": "picture", "src": encoded(picture["shown"][part])}
    if isinstance(value, str):
        return {"kind": "text", "text": clean(value)}
    array = np.asarray(value)
    if array.dtype != bool:
        return {"kind": "picture", "src": encoded(_heat(array, np.asarray(picture["truth"])))}
    if not array.any():
        return {"kind": "text", "text": "nothing to find" if part == "truth" else "nothing found"}
    return {"kind": "mask", "src": painted(array, (*colour, 150)), "edge": painted(outline(array), (*colour, 255))}


def encoded(picture: np.ndarray) -> str:
    """(H, W, 3) uint8 as a WebP, made smaller where it is larger than SIDE."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((SIDE, SIDE))
    return _uri(image, "webp", quality=85, method=6)


def painted(mask: np.ndarray, rgba: tuple[int, int, int, int]) -> str:
    """A mask (H, W) bool as a PNG of one colour, transparent elsewhere."""
    from PIL import Image

    image = Image.fromarray(mask.astype(np.uint8))
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    image.putpalette([0, 0, 0, *rgba[:3]])  # what was grey is an index now
    return _uri(image, "png", optimize=True, bits=1, transparency=bytes([0, rgba[3]]))


def outline(mask: np.ndarray) -> np.ndarray:
    """The edge of a mask (H, W) bool, two pixels wide and within it; of a small one at a multiple of its size."""
    larger = max(1, min(_LINE, SIDE // max(mask.shape)))
    mask = mask.repeat(larger, axis=0).repeat(larger, axis=1)
    padded = np.pad(mask, 2)
    inner = np.ones_like(mask)
    for dy in range(5):
        for dx in range(5):
            inner &= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
    return mask & ~inner


def _heat(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Numbers (h, w) as colours (h, w, 3) on the range of the truth, so that cells can be told apart; nan is black."""
    from matplotlib import colormaps

    low, high = float(np.nanmin(truth)), float(np.nanmax(truth))
    scaled = np.clip((values.astype(np.float64) - low) / ((high - low) or 1.0), 0.0, 1.0)
    coloured = (colormaps["cividis"](np.nan_to_num(scaled))[..., :3] * 255).round().astype(np.uint8)
    coloured[np.isnan(values)] = 0
    return coloured


def _uri(image: Any, kind: str, **how: Any) -> str:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
