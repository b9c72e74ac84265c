"""KITTI, Eigen's split: roads seen from a car, with the accumulated laser depth of the KITTI depth benchmark.

    <path>/kitti_eigen_split_test.tar and kitti_sampled_val_800.tar (prs-eth/Marigold's bundle), or both unpacked:
    <path>/2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png                          KITTI raw
    <path>/2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png                   annotated depth

The second may keep the `train/` and `val/` of its archive above it. The lists that name a split lie beside these, or in
<path>/data_split/kitti_depth/, or in <path>/kitti_depth/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .depth_pairs import DepthPairs, Layout
from .driving import benchmark_crop

if TYPE_CHECKING:
    from addp_bench.registry import Registry

LAYOUT = Layout(
    re.compile(r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>[^/]+)/image_02/data/(?P<frame>\d{10})\.png"),
    key=r"\g<drive>/\g<frame>",
    depth=r"\g<drive>/proj_depth/groundtruth/image_02/\g<frame>.png",
    example="2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png",
)


class Kitti(DepthPairs):
    """KITTI, Eigen's split: roads, sparse depth of a laser in 16 bits of 1/256 metre.

    The list of 697 photographs names `None` as the depth of 45; they are left out, and 652 remain. Splits: test (652)
    and val (800 photographs of training drives).

    path: folder that holds the tars, or the unpacked files, and the list of the split. crop: benchmark (the lowest 352
    rows and the middle 1216 columns of photograph and depth, before anything else) or none.

    Source: Geiger et al., Are We Ready for Autonomous Driving?, CVPR 2012; Uhrig et al., Sparsity Invariant CNNs,
    3DV 2017.
    """

    name = "kitti"
    about = About(
        licence="CC BY-NC-SA 3.0 (as commonly stated, not checked with its owners)",
        citation="Geiger et al., Are We Ready for Autonomous Driving?, CVPR 2012; Eigen et al., Depth Map Prediction "
        "from a Single Image, NIPS 2014; Uhrig et al., Sparsity Invariant CNNs, 3DV 2017",
        access="KITTI raw and data_depth_annotated.zip: registration by e-mail, by yourself",
        published={"test": 652, "val": 800},
    )
    tars: ClassVar = {"test": "kitti_eigen_split_test.tar", "val": "kitti_sampled_val_800.tar"}
    lists: ClassVar = {
        "test": "kitti_depth/eigen_test_files_with_gt.txt",
        "val": "kitti_depth/eigen_val_from_train_800.txt",
    }
    needs_list = True  # the archives hold many times as many photographs
    levels = ("", "train/", "val/")
    defaults: ClassVar = {"eval": "test"}
    judged = "kitti"
    units = 256.0

    def __init__(self, path: str, crop: Literal["benchmark", "none"] = "benchmark") -> None:
        super().__init__(path)
        self._crop = crop

    def identity(self) -> Sequence[str]:
        return (self._crop,)

    def layout(self, split: str) -> Layout:
        return LAYOUT

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene (the drive), environment."""
        return {"scene": match["drive"], "environment": "outdoor"}

    def cropped(self, values: np.ndarray, where: str) -> np.ndarray:
        return benchmark_crop(values, where) if self._crop == "benchmark" else values


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "kitti", Kitti)
