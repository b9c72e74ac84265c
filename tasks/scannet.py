"""ScanNet: 800 frames of rooms, sampled for evaluation.

<path>/scannet_val_sampled_800_1.tar, or unpacked:
<path>/scene0011_00/color/000300.jpg  <path>/scene0011_00/depth/000300.png
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .depth_pairs import DepthPairs, Layout

if TYPE_CHECKING:
    from addp_bench.registry import Registry

LAYOUT = Layout(
    re.compile(r"(?P<scan>(?P<place>scene\d{4})_\d\d)/color/(?P<frame>\d+)\.jpg"),
    key=r"\g<scan>/\g<frame>",
    depth=r"\g<scan>/depth/\g<frame>.png",
    example="scene0011_00/color/000300.jpg",
)


class ScanNet(DepthPairs):
    """ScanNet: rooms seen by a depth sensor, 800 frames to judge on; millimetres in 16 bits, 0 unknown.

    Photographs must have the size of their depth. The original ones are 1296 x 968 against 640 x 480: resize the
    photographs and say how; the filter of the bundle that circulates is not known.

    path: folder that holds the tar or the scenes, or the tar itself.

    Source: Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017.
    """

    name = "scannet"
    about = About(
        licence="ScanNet's terms of use: non-commercial research, signed",
        citation="Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017",
        access="a signed form by e-mail from an institution, by yourself; the terms hold for sampled bundles too",
        published={"val": 800},
    )
    tars: ClassVar = {"val": "scannet_val_sampled_800_1.tar"}
    lists: ClassVar = {"val": "scannet_depth/scannet_val_sampled_list_800_1.txt"}
    defaults: ClassVar = {"eval": "val"}
    judged = "scannet"

    def __init__(self, path: str) -> None:
        super().__init__(path)

    def layout(self, split: str) -> Layout:
        return LAYOUT

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene (the scan), place (scans of one place share it), environment."""
        return {"scene": match["scan"], "place": match["place"], "environment": "indoor"}


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "scannet", ScanNet)
