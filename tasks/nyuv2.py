"""NYU Depth v2: rooms seen by a Kinect, 654 photographs to judge on and 795 to train on.

Two communities hold other files of the same photographs, which must not be mixed:

    marigold   <path>/nyu_labeled_extracted.tar, or unpacked <path>/test/kitchen_0004/rgb_0001.png  depth_0001.png
    bts        <path>/test/kitchen/rgb_00045.jpg  sync_depth_00045.png    a black border painted round the photographs

Numbers in the names count from 1 (marigold) or 0 (bts). `filled_*.png` beside the first are depths with their holes
painted in, and are no truth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .archives import Files
from .depth_pairs import DepthPairs, Layout, Pair
from .holding_out import held_out

if TYPE_CHECKING:
    from addp_bench.registry import Registry

SIZE = (480, 640)  # height, width; Eigen's crop is in pixels of it


class NyuV2(DepthPairs):
    """NYU Depth v2: indoor photographs of 480 x 640 with the depth that the sensor gave, holes unknown.

    Truth is millimetres in 16 bits. Splits: test (654), train (795) and two parts of it, apart by scene: `stats`, one
    scene in twenty, and `train_fit`. The Eigen crop is a mask of the protocol; photographs are not cropped.

    path: folder that holds nyu_labeled_extracted.tar or test/, or the tar itself. files: marigold (prs-eth/Marigold's
    bundle) or bts (layout of BTS and GLPDepth, test alone); the same photographs, other pixels.

    Source: Silberman et al., Indoor Segmentation and Support Inference from RGBD Images, ECCV 2012.
    """

    name = "nyuv2"
    prefix = "rgb_"
    about = About(
        licence="no explicit licence; research use, cite (as commonly stated, not checked with its owners)",
        citation="Silberman et al., Indoor Segmentation and Support Inference from RGBD Images, ECCV 2012",
        access="nyu_depth_v2_labeled.mat and splits.mat, or prs-eth/Marigold's evaluation bundle; no registration",
        published={"test": 654, "train": 795},
    )
    defaults: ClassVar = {"train": "train_fit", "stats": "stats", "eval": "test"}
    judged = "nyuv2"

    def __init__(self, path: str, files: Literal["marigold", "bts"] = "marigold") -> None:
        super().__init__(path)
        self._files = files

    def splits(self) -> Sequence[str]:
        """test, train, train_fit and stats; of `bts` test alone."""
        return ("test",) if self._files == "bts" else ("test", "train", "train_fit", "stats")

    def part_of(self, split: str) -> str:
        return "train" if split in ("train_fit", "stats") else split

    def tar_of(self, split: str) -> str:
        return "nyu_labeled_extracted.tar" if self._files == "marigold" else ""

    def split_for(self, purpose: str) -> str | None:
        return super().split_for(purpose) if self._files == "marigold" or purpose == "eval" else None

    def list_of(self, split: str) -> str:
        return f"nyu_depth/labeled/filename_list_{split}.txt" if self._files == "marigold" else ""

    def identity(self) -> Sequence[str]:
        return (self._files,)

    def layout(self, split: str) -> Layout:
        if self._files == "bts":
            photo = re.compile(rf"{split}/(?P<kind>[^/]+)/rgb_(?P<number>\d{{5}})\.jpg")
            depth = rf"{split}/\g<kind>/sync_depth_\g<number>.png"
            return Layout(photo, r"bts/\g<kind>/\g<number>", depth, f"{split}/kitchen/rgb_00045.jpg")
        photo = re.compile(rf"{split}/(?P<scene>[^/]+)/rgb_(?P<number>\d{{4}})\.png")
        depth = rf"{split}/\g<scene>/depth_\g<number>.png"
        return Layout(photo, r"\g<scene>/\g<number>", depth, f"{split}/kitchen_0004/rgb_0001.png")

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene (marigold alone), kind of room, environment."""
        said = match.groupdict()
        scene = {"scene": said["scene"]} if "scene" in said else {}
        kind = said.get("kind") or re.sub(r"_\d+$", "", said["scene"])
        return {**scene, "kind": kind, "environment": "indoor"}

    def find(self, split: str) -> Sequence[Pair]:
        if (whole := self.part_of(split)) == split:
            return super().find(split)
        pairs = self.pairs(whole)
        apart = held_out("nyuv2 stats", (str(pair.facts["scene"]) for pair in pairs))
        return [pair for pair in pairs if (pair.facts["scene"] in apart) == (split == "stats")]

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        metres = super().depth(files, pair)
        if metres.shape != SIZE:
            raise BadData(
                f"{files.where}: {pair.depth} is {metres.shape[1]} x {metres.shape[0]} pixels; expected {SIZE[1]} x "
                f"{SIZE[0]}, in which the crops of its protocols are given."
            )
        return metres


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "nyuv2", NyuV2, ("nyu", "nyu_depth_v2"))
