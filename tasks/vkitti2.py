"""Virtual KITTI 2: five drives of KITTI, rendered.

    <path>/vkitti.tar, or unpacked:
    <path>/rgb/Scene02/clone/frames/rgb/Camera_0/rgb_00001.jpg
    <path>/depth/Scene02/clone/frames/depth/Camera_0/depth_00001.png

The published archives hold no folders rgb/ and depth/: unpack each into the one of its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .archives import Files
from .depth_pairs import DepthPairs, Layout, Pair
from .driving import benchmark_crop

if TYPE_CHECKING:
    from addp_bench.registry import Registry

VARIANTS = ("15-deg-left", "15-deg-right", "clone", "morning", "overcast", "sunset")  # six of ten, as Marigold trains
SCENES = {"train": ("02", "06", "18", "20"), "val": ("01",)}
NEAREST, FARTHEST = 1e-5, 80.0  # metres, both outside; Marigold's range, beyond which is the sky at 655.35


class VirtualKitti2(DepthPairs):
    """Virtual KITTI 2: rendered roads with exact depth in centimetres, for training.

    Splits as Marigold's: train (scenes 02, 06, 18, 20; six weathers and turns, both cameras; 20148) and val (scene 01;
    5364), on which statistics are measured. Depth outside of 0.00001 to 80 m, and so the sky, is unknown.

    path: folder that holds rgb/ and depth/ or vkitti.tar, or the tar itself. crop: benchmark (the lowest 352 rows and
    the middle 1216 columns) or none.

    Source: Cabon et al., Virtual KITTI 2, 2020.
    """

    name = "vkitti2"
    about = About(
        licence="CC BY-NC-SA 3.0 (as commonly stated, not checked with its owners)",
        citation="Cabon et al., Virtual KITTI 2, arXiv 2001.10773, 2020",
        access="vkitti_2.0.3_rgb.tar and vkitti_2.0.3_depth.tar of Naver Labs Europe; no registration",
        published={"train": 20148, "val": 5364},
    )
    tars: ClassVar = dict.fromkeys(("train", "val"), "vkitti.tar")
    lists: ClassVar = {split: f"vkitti_depth/vkitti_{split}.txt" for split in ("train", "val")}
    defaults: ClassVar = {"train": "train", "stats": "val"}
    units = 100.0

    def __init__(self, path: str, crop: Literal["benchmark", "none"] = "benchmark") -> None:
        super().__init__(path)
        self._crop = crop

    def identity(self) -> Sequence[str]:
        return (self._crop,)

    def layout(self, split: str) -> Layout:
        place = rf"(?P<scene>Scene(?:{'|'.join(SCENES[split])}))/(?P<variant>{'|'.join(VARIANTS)})"
        return Layout(
            re.compile(rf"rgb/{place}/frames/rgb/(?P<camera>Camera_[01])/rgb_(?P<frame>\d{{5}})\.jpg"),
            key=r"\g<scene>/\g<variant>/\g<camera>/\g<frame>",
            depth=r"depth/\g<scene>/\g<variant>/frames/depth/\g<camera>/depth_\g<frame>.png",
            example=f"rgb/Scene{SCENES[split][0]}/clone/frames/rgb/Camera_0/rgb_00001.jpg",
        )

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene, variant, environment."""
        return {"scene": match["scene"], "variant": match["variant"], "environment": "outdoor"}

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        metres = super().depth(files, pair)
        return np.where((metres > NEAREST) & (metres < FARTHEST), metres, np.float32(0))

    def cropped(self, values: np.ndarray, where: str) -> np.ndarray:
        return benchmark_crop(values, where) if self._crop == "benchmark" else values


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "vkitti2", VirtualKitti2, ("virtual_kitti_2",))
