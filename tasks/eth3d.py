"""ETH3D: the high-resolution photographs of its multi-view training set, with laser depth.

    <path>/eth3d.tar, or unpacked:
    <path>/rgb/courtyard/images/dslr_images/DSC_0219.JPG
    <path>/depth/courtyard_dslr_depth/courtyard/ground_truth_depth/dslr_images/DSC_0219.JPG

The second is no JPEG: 4032 x 6048 little-endian float32 without a header.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .archives import Files
from .decoding import raw_floats
from .depth_pairs import DepthPairs, Layout, Pair

if TYPE_CHECKING:
    from addp_bench.registry import Registry

HEIGHT, WIDTH = 4032, 6048
LAYOUT = Layout(
    re.compile(r"rgb/(?P<scene>[^/]+)/images/dslr_images/(?P<file>[^/]+)\.JPG"),
    key=r"\g<scene>/\g<file>",
    depth=r"depth/\g<scene>_dslr_depth/\g<scene>/ground_truth_depth/dslr_images/\g<file>.JPG",
    example="rgb/courtyard/images/dslr_images/DSC_0219.JPG",
)


class Eth3d(DepthPairs):
    """ETH3D: 454 photographs of 13 places, 4032 x 6048, with the metres of a laser; infinite where it saw nothing.

    The depth belongs to the distorted JPEGs (`dslr_images`, not `dslr_images_undistorted`).

    path: folder that holds eth3d.tar or rgb/ and depth/, or the tar itself.

    Source: Schoeps et al., A Multi-View Stereo Benchmark with High-Resolution Images, CVPR 2017.
    """

    name = "eth3d"
    about = About(
        licence="CC BY-NC-SA 4.0 (as commonly stated, not checked with its owners)",
        citation="Schoeps et al., A Multi-View Stereo Benchmark with High-Resolution Images and Multi-Camera Videos, "
        "CVPR 2017",
        access="multi_view_training_dslr_jpg.7z and the depth archive of each scene; no registration",
        published={"test": 454},
    )
    tars: ClassVar = {"test": "eth3d.tar"}
    lists: ClassVar = {"test": "eth3d_depth/eth3d_filename_list.txt"}
    defaults: ClassVar = {"eval": "test"}
    judged = "eth3d"

    def __init__(self, path: str) -> None:
        super().__init__(path)

    def layout(self, split: str) -> Layout:
        return LAYOUT

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene."""
        return {"scene": match["scene"]}

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        metres = raw_floats(files, pair.depth, HEIGHT, WIDTH)
        return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "eth3d", Eth3d)
