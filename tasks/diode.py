"""DIODE's validation set: indoor and outdoor photographs with dense laser depth.

<path>/diode_val.tar, or <path>/ or <path>/val/ with
indoors/scene_00019/scan_00183/00019_00183_indoors_000_010.png  ..._depth.npy  ..._depth_mask.npy
outdoor/scene_00022/scan_00193/00022_00193_outdoor_000_010.png  ...            ("indoors", but "outdoor")
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .archives import Files
from .decoding import array
from .depth_pairs import DepthPairs, Layout, Pair

if TYPE_CHECKING:
    from addp_bench.registry import Registry

WHERE = {"val": "indoors|outdoor", "indoors": "indoors", "outdoor": "outdoor"}


class Diode(DepthPairs):
    """DIODE: 771 validation photographs, 325 indoors and 446 outdoor, 768 x 1024, depth in metres.

    A depth is known where its mask is 1, at any distance, as in Marigold's evaluation; one that is not a number above 0
    is unknown even there. Splits: val, and its parts indoors and outdoor, which behave very differently. Enumerate
    files or use the list of 771 lines: the devkit's `diode_meta.json` names 612 of them.

    path: folder that holds diode_val.tar, val/ or indoors/ and outdoor/, or the tar itself.

    Source: Vasiljevic et al., DIODE: A Dense Indoor and Outdoor DEpth Dataset, 2019.
    """

    name = "diode"
    about = About(
        licence="MIT",
        citation="Vasiljevic et al., DIODE: A Dense Indoor and Outdoor DEpth Dataset, arXiv 1908.00463, 2019",
        access="val.tar.gz (2.6 GB, to be unpacked); no registration",
        size="2.6 GB",
        published={"val": 771, "indoors": 325, "outdoor": 446},
        archives={"val.tar.gz": "5c895d09201b88973c8fe4552a67dd85"},
    )
    tars: ClassVar = dict.fromkeys(WHERE, "diode_val.tar")
    lists: ClassVar = {
        split: f"diode_depth/diode_val_{name}_filename_list.txt"
        for split, name in {"val": "all", "indoors": "indoor", "outdoor": "outdoor"}.items()
    }
    levels = ("", "val/")
    defaults: ClassVar = {"eval": "val"}
    judged = "diode"

    def __init__(self, path: str) -> None:
        super().__init__(path)

    def layout(self, split: str) -> Layout:
        name = rf"(?P<stem>(?P<where>{WHERE[split]})/(?P<scene>scene_\d{{5}})/(?P<scan>scan_\d{{5}})/(?P<file>[^/]+))"
        return Layout(
            re.compile(rf"(?P<level>(?:val/)?){name}\.png"),
            key=r"\g<stem>",
            depth=r"\g<level>\g<stem>_depth.npy",
            mask=r"\g<level>\g<stem>_depth_mask.npy",
            example="indoors/scene_00019/scan_00183/00019_00183_indoors_000_010.png",
        )

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene, environment."""
        return {"scene": match["scene"], "environment": "indoor" if match["where"] == "indoors" else "outdoor"}

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        metres, mask = _plane(files, pair.depth), _plane(files, pair.mask)
        if metres.shape != mask.shape:
            raise BadData(
                f"{files.where}: {pair.mask} has shape {mask.shape} and {pair.depth} {metres.shape}; they must be "
                "equal."
            )
        known = mask.astype(bool) & np.isfinite(metres) & (metres > 0)
        return np.where(known, metres, 0).astype(np.float32)


def _plane(files: Files, name: str) -> np.ndarray:
    """(H, W) numbers; a trailing axis of one is dropped."""
    values = array(files, name)
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise BadData(
            f"{files.where}: {name} holds {values.dtype} of shape {values.shape}; expected numbers (H, W) or (H, W, 1)."
        )
    return values


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "diode", Diode)
