"""Hypersim: rendered rooms, as they were published or as Marigold prepares them.

processed   <path>/hypersim_processed_train.tar, or unpacked:
            <path>/train/ai_001_001/rgb_cam_00_fr0000.png  depth_plane_cam_00_fr0000.png      also val/, test/
raw         <path>/metadata_images_split_scene_v1.csv
            <path>/ai_001_001/images/scene_cam_00_final_hdf5/frame.0000.color.hdf5
            <path>/ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5
                                                                   frame.0000.render_entity_id.hdf5
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import About

from .archives import Files, Folder, inside, open_files
from .decoding import dataset_of_hdf5
from .depth_pairs import DepthPairs, Layout, Pair

if TYPE_CHECKING:
    from addp_bench.registry import Registry

FOCAL = 886.81  # pixels at 1024 x 768; some scenes have tilted lenses, for which it is an approximation
GAMMA, PERCENTILE, BRIGHTNESS = 1 / 2.2, 90, 0.8  # Hypersim's own tone mapping
DARK = 1e-4  # a scene whose bright pixels are darker becomes black
NEAREST, FARTHEST = 1e-5, 65.0  # metres, both outside; 16 bits of millimetres end at 65.535
SPLIT_FILE = "metadata_images_split_scene_v1.csv"


class Hypersim(DepthPairs):
    """Hypersim: photorealistic renderings of 768 x 1024, for training; depth along the axis, 0.00001 to 65 m.

    The published files hold the distance to the camera's centre, which is not depth: z = d f / sqrt(x^2 + y^2 + f^2)
    with f = 886.81 pixels. Marigold's files hold millimetres of z, cut to whole ones. Splits: train, val (on which
    statistics are measured) and test, of Marigold's filtered lists (53885, 7370, 7682) or, raw, of the published split
    file (59543, 7386, 7690).

    path: folder that holds the tars, train/, val/ and test/, or the raw scenes and their split file.
    files: processed (Marigold's) or raw (as published, tone mapped here as Hypersim's tools do).

    Source: Roberts et al., Hypersim: A Photorealistic Synthetic Dataset, ICCV 2021.
    """

    name = "hypersim"
    prefix = "rgb_"
    about = About(
        licence="CC BY-SA 3.0",
        citation="Roberts et al., Hypersim: A Photorealistic Synthetic Dataset for Holistic Indoor Scene "
        "Understanding, ICCV 2021",
        access="the download script of apple/ml-hypersim; three files of each frame suffice; no registration",
        size="about 1.9 TB in full (as commonly stated)",
        published={"train": 53885, "val": 7370, "test": 7682},
    )
    tars: ClassVar = {split: f"hypersim_processed_{split}.tar" for split in ("train", "val", "test")}
    lists: ClassVar = {
        split: f"hypersim_depth/filename_list_{split}_filtered.txt" for split in ("train", "val", "test")
    }
    defaults: ClassVar = {"train": "train", "stats": "val"}

    def __init__(self, path: str, files: Literal["processed", "raw"] = "processed") -> None:
        super().__init__(path)
        self._files = files
        if files == "raw":
            self.about = replace(self.about, published={"train": 59543, "val": 7386, "test": 7690})

    def identity(self) -> Sequence[str]:
        return (self._files,)

    def layout(self, split: str) -> Layout:
        folder = f"{split}/" if self._files == "processed" else ""
        return Layout(
            re.compile(r"(?P<scene>ai_\d{3}_\d{3})/rgb_(?P<camera>cam_\d\d)_fr(?P<frame>\d{4})\.png"),
            key=r"\g<scene>/\g<camera>/\g<frame>",
            depth=r"\g<scene>/depth_plane_\g<camera>_fr\g<frame>.png",
            example=f"{folder}ai_001_001/rgb_cam_00_fr0000.png",
        )

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """scene, camera."""
        return {"scene": match["scene"], "camera": match["camera"]}

    def files(self, split: str) -> Files:
        if self._files == "raw":
            return open_files(self.root)
        if self.root.is_file() and self.root.name != self.tar_of(split):
            raise BadData(f"{self.root} is one split; give hypersim the folder that holds {self.tar_of(split)}.")
        tar, folder = self.root / self.tar_of(split), self.root / split
        if not tar.is_file() and folder.is_dir():
            return Folder(folder)
        return super().files(split)

    def find(self, split: str) -> Sequence[Pair]:
        return super().find(split) if self._files == "processed" else self._published(split)

    def image(self, files: Files, pair: Pair) -> np.ndarray:
        if self._files == "processed":
            return super().image(files, pair)
        colour = dataset_of_hdf5(files, pair.photo)
        entity = dataset_of_hdf5(files, pair.mask)
        if colour.ndim != 3 or colour.shape[2] != 3 or entity.shape != colour.shape[:2]:
            raise BadData(
                f"{files.where}: {pair.photo} has shape {colour.shape} and {pair.mask} {entity.shape}; expected "
                "(H, W, 3) and (H, W)."
            )
        return tone_mapped(colour, entity != -1)

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        if self._files == "processed":
            metres = super().depth(files, pair)
        else:
            distance = dataset_of_hdf5(files, pair.depth)
            if distance.ndim != 2:
                raise BadData(f"{files.where}: {pair.depth} has shape {distance.shape}; expected (H, W).")
            metres = depth_of(distance)
        return np.where((metres > NEAREST) & (metres < FARTHEST), metres, np.float32(0))

    def _published(self, split: str) -> Sequence[Pair]:
        """The frames that the published split file gives to a split and does not leave out."""
        files = open_files(self.root)
        if not files.has(SPLIT_FILE):
            raise BadData(f"{files.where}: {SPLIT_FILE} is missing; it tells the splits of the published files.")
        pairs = []
        for number, row in enumerate(csv.DictReader(io.StringIO(files.read(SPLIT_FILE).decode("utf-8", "replace"))), 2):
            where = f"{files.where}/{SPLIT_FILE}, line {number}"
            try:
                scene, camera, frame = row["scene_name"], row["camera_name"], int(row["frame_id"])
                wanted = row["split_partition_name"] == split and row["included_in_public_release"] == "True"
            except (KeyError, ValueError, TypeError) as broken:
                raise BadData(
                    f"{where}: expected scene_name, camera_name, frame_id and split_partition_name."
                ) from broken
            if wanted:
                folder, name = inside(f"{scene}/images/scene_{camera}", where), f"frame.{frame:04d}"
                pairs.append(
                    Pair(
                        f"{scene}/{camera}/{frame:04d}",
                        f"{folder}_final_hdf5/{name}.color.hdf5",
                        f"{folder}_geometry_hdf5/{name}.depth_meters.hdf5",
                        f"{folder}_geometry_hdf5/{name}.render_entity_id.hdf5",
                        {"scene": scene, "camera": camera},
                    )
                )
        return pairs


def depth_of(distance: np.ndarray) -> np.ndarray:
    """Distances (H, W) to the camera's centre in metres -> depths (H, W) float32 along its axis, 0 where unknown."""
    height, width = distance.shape
    y, x = np.mgrid[:height, :width]
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    metres = distance.astype(np.float64) * FOCAL / np.sqrt(x**2 + y**2 + FOCAL**2)
    return np.where(np.isfinite(metres), metres, 0).astype(np.float32)


def tone_mapped(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3) -> (H, W, 3) uint8, as Hypersim's tools show it.

    The 90th percentile of the brightness of `known` (H, W) pixels becomes 0.8 after gamma.
    """
    light = colour.astype(np.float64)
    bright = light @ (0.3, 0.59, 0.11)
    scale = 1.0
    if known.any():
        now = np.percentile(bright[known], PERCENTILE)
        scale = 0.0 if now < DARK else BRIGHTNESS ** (1 / GAMMA) / now
    return np.floor(255 * np.clip(np.maximum(scale * light, 0) ** GAMMA, 0, 1)).astype(np.uint8)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "hypersim", Hypersim)
