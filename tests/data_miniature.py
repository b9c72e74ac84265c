"""Miniatures of the real datasets in their exact layouts on disk, a few numbers planted in otherwise plain files.

PLANTED[row, column] of a depth is the count that its file holds there, in the dataset's own unit; everything else
holds PLAIN counts.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from addp_bench.tasks.diode import Diode
from addp_bench.tasks.kitti import Kitti
from addp_bench.tasks.nyuv2 import NyuV2
from addp_bench.tasks.scannet import ScanNet
from addp_bench.tasks.vkitti2 import VirtualKitti2

PLANTED = {
    (0, 0): 12345,
    (30, 40): 0,
    (200, 300): 65535,
    (31, 41): 8000,
    (32, 42): 65000,
    (33, 43): 64999,
    (-1, -1): 4321,
}
PLAIN = 2000


def scenery(height: int, width: int) -> np.ndarray:
    """A photograph whose pixels tell where they are: (row, column, row + column) modulo 256."""
    row, column = np.mgrid[:height, :width]
    return np.stack([row, column, row + column], -1).astype(np.uint8)


def counts(height: int, width: int) -> np.ndarray:
    """Depth as 16-bit counts."""
    values = np.full((height, width), PLAIN, np.uint16)
    for place, count in PLANTED.items():
        values[place] = count
    return values


def save(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file, quality=95) if file.suffix.lower() == ".jpg" else Image.fromarray(values).save(
        file
    )


def pack(folder: Path, file: Path) -> Path:
    """As `cd folder; tar -cf file .` does: every name begins with ./"""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        tar.add(folder, arcname=".")
    return file


def write_list(file: Path, lines: list[str]) -> None:
    """Without a newline at the end, as the published lists are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


# ------------------------------------------------------------------------------------------------ depth

NYU = {
    "test": ["kitchen_0004/0001", "kitchen_0004/0002", "living_room_0012/0007"],
    "train": ["cafe_0001/0003", "bedroom_0001/0004", "bedroom_0001/0005", "office_0002/0006"],
}


def nyuv2(root: Path) -> Path:
    for split, photos in NYU.items():
        for photo in photos:
            scene, number = photo.split("/")
            save(root / split / scene / f"rgb_{number}.png", scenery(480, 640))
            save(root / split / scene / f"depth_{number}.png", counts(480, 640))
            save(root / split / scene / f"filled_{number}.png", np.full((480, 640), 9000, np.uint16))
    return root


def nyuv2_bts(root: Path) -> Path:
    for kind, number in (("kitchen", "00000"), ("living_room", "00045")):
        save(root / "test" / kind / f"rgb_{number}.jpg", scenery(480, 640))
        save(root / "test" / kind / f"sync_depth_{number}.png", counts(480, 640))
    return root


KITTI_SIZES = {"0000000069": (375, 1242), "0000000054": (370, 1224), "0000000042": (376, 1241)}


def kitti(root: Path, below: str = "") -> Path:
    """below: what stands above the annotated depth, `train/` or `val/` in its archive."""
    drive, lines = "2011_09_26_drive_0002_sync", []
    for frame, (height, width) in KITTI_SIZES.items():
        photo, depth = (
            f"2011_09_26/{drive}/image_02/data/{frame}.png",
            f"{drive}/proj_depth/groundtruth/image_02/{frame}.png",
        )
        save(root / photo, scenery(height, width))
        if frame == "0000000042":
            lines.append(f"{photo} None 721.5377")
            continue
        save(root / below / depth, counts(height, width))
        lines.append(f"{photo} {depth} 721.5377")
    write_list(root / "kitti_depth" / "eigen_test_files_with_gt.txt", lines)
    return root


def vkitti2(root: Path) -> Path:
    for scene, variant, camera in (
        ("Scene01", "clone", 0), ("Scene02", "clone", 0), ("Scene02", "sunset", 1), ("Scene20", "15-deg-left", 1),
        ("Scene18", "rain", 0),  # a variant that is not trained on
    ):  # fmt: skip
        place = f"{scene}/{variant}/frames"
        save(root / "rgb" / place / "rgb" / f"Camera_{camera}" / "rgb_00001.jpg", scenery(375, 1242))
        save(root / "depth" / place / "depth" / f"Camera_{camera}" / "depth_00001.png", counts(375, 1242))
    return root


def scannet(root: Path) -> Path:
    for scan, frame in (("scene0011_00", "000300"), ("scene0011_01", "000000"), ("scene0700_02", "001200")):
        save(root / scan / "color" / f"{frame}.jpg", scenery(480, 640))
        save(root / scan / "depth" / f"{frame}.png", counts(480, 640))
    return root


ETH3D = {(0, 0): 1.5, (0, 1): np.inf, (0, 2): 0.0, (4031, 6047): 2.0}


def eth3d(root: Path) -> Path:
    """One photograph of the true size, since size is what its depth is known by."""
    save(root / "rgb" / "courtyard" / "images" / "dslr_images" / "DSC_0219.JPG", np.full((4032, 6048), 90, np.uint8))
    values = np.full((4032, 6048), np.inf, "<f4")
    for place, metres in ETH3D.items():
        values[place] = metres
    folder = root / "depth" / "courtyard_dslr_depth" / "courtyard" / "ground_truth_depth" / "dslr_images"
    folder.mkdir(parents=True)
    (folder / "DSC_0219.JPG").write_bytes(values.tobytes())
    return root


DIODE = (
    "indoors/scene_00019/scan_00183/00019_00183_indoors_000_010",
    "indoors/scene_00020/scan_00185/00020_00185_indoors_010_010",
    "outdoor/scene_00022/scan_00193/00022_00193_outdoor_000_010",
)


def diode(root: Path) -> Path:
    for number, stem in enumerate(DIODE):
        save(root / f"{stem}.png", scenery(768, 1024))
        depth = np.full((768, 1024), 3.25, np.float32)
        depth[0, 0], depth[0, 1], depth[0, 2], depth[5, 6] = 300.5, 7.0, np.nan, 0.0
        mask = np.ones((768, 1024), np.float32)
        mask[0, 1] = 0
        np.save(root / f"{stem}_depth.npy", depth[..., None] if number == 0 else depth)
        np.save(root / f"{stem}_depth_mask.npy", mask)
    return root


HYPERSIM = {"train": ["ai_001_002/cam_00/0000", "ai_001_002/cam_01/0017"], "val": ["ai_003_004/cam_00/0003"]}


def hypersim(root: Path) -> Path:
    for split, photos in HYPERSIM.items():
        for photo in photos:
            scene, camera, frame = photo.split("/")
            save(root / split / scene / f"rgb_{camera}_fr{frame}.png", scenery(768, 1024))
            save(root / split / scene / f"depth_plane_{camera}_fr{frame}.png", counts(768, 1024))
    return root


def hypersim_raw(root: Path) -> Path:
    """Distances of 10 m; light that doubles from the left half to the right one; a band that is no object."""
    rows = []
    for scene, camera, frame, public, split in (
        ("ai_001_001", "cam_00", 0, "True", "train"), ("ai_001_001", "cam_00", 1, "False", "train"),
        ("ai_003_004", "cam_01", 12, "True", "val"),
    ):  # fmt: skip
        rows.append([scene, camera, frame, public, "" if public == "True" else "bad", split])
        if public == "False":
            continue
        distance = np.full((768, 1024), 10, np.float16)
        distance[100, 100], distance[101, 100] = np.nan, np.inf
        entity = np.ones((768, 1024), np.int32)
        entity[:200] = -1
        colour = np.zeros((768, 1024, 3), np.float16)
        colour[:, :512], colour[:, 512:], colour[:200] = 0.5, 1.0, 1000
        folder = root / scene / "images"
        for name, values in (
            (f"scene_{camera}_final_hdf5/frame.{frame:04d}.color.hdf5", colour),
            (f"scene_{camera}_geometry_hdf5/frame.{frame:04d}.depth_meters.hdf5", distance),
            (f"scene_{camera}_geometry_hdf5/frame.{frame:04d}.render_entity_id.hdf5", entity),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(folder / name, "w") as stored:
                stored["dataset"] = values
    table = io.StringIO()
    header = ["scene_name", "camera_name", "frame_id", "included_in_public_release", "exclude_reason"]
    csv.writer(table).writerows([[*header, "split_partition_name"], *rows])
    (root / "metadata_images_split_scene_v1.csv").write_text(table.getvalue())
    return root


# name -> class, maker, its tar, the split it is judged on (or trained on), how many are there
DEPTH = {
    "nyuv2": (NyuV2, nyuv2, "nyu_labeled_extracted.tar", "test", 3),
    "kitti": (Kitti, kitti, "kitti_eigen_split_test.tar", "test", 2),
    "scannet": (ScanNet, scannet, "scannet_val_sampled_800_1.tar", "val", 3),
    "diode": (Diode, diode, "diode_val.tar", "val", 3),
    "vkitti2": (VirtualKitti2, vkitti2, "vkitti.tar", "train", 3),
}


def depth_sets(root: Path) -> dict[str, Path]:
    """All of DEPTH below `root`: name -> folder."""
    return {name: maker(root / name) for name, (_, maker, *_) in DEPTH.items()}


# ------------------------------------------------------------------------------------------------ classes and boxes


def ade20k(root: Path) -> Path:
    """Annotations of 2 x 3 patches; the first photograph is gray."""
    patches = np.array([[0, 1, 2], [150, 7, 7]], np.uint8)
    for folder, stem, number in (("training", "ADE_train", 23), ("validation", "ADE_val", 3)):
        for k in range(1, number + 1):
            height, width = 20 + k, 30
            photo = scenery(height, width)
            save(root / "images" / folder / f"{stem}_{k:08d}.jpg", photo[..., 0] if k == 1 else photo)
            rows, columns = np.arange(height) * 2 // height, np.arange(width) * 3 // width
            save(root / "annotations" / folder / f"{stem}_{k:08d}.png", patches[rows][:, columns])
    return root


def coco(root: Path, categories: dict[str, int]) -> Path:
    """val2017: three photographs, the second without a box. train2017: 21 with a box each."""
    (root / "annotations").mkdir(parents=True)
    three: list[dict[str, Any]] = [
        # out of order; category 90 is the last label, 13 the first after a gap
        {"id": 7, "image_id": 139, "category_id": 90, "bbox": [10.5, 20, 30.25, 5], "area": 77.5, "iscrowd": 0},
        {"id": 8, "image_id": 139, "category_id": 1, "bbox": [0, 0, 60, 50], "area": 1500, "iscrowd": 1},
        {"id": 9, "image_id": 785, "category_id": 13, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
    ]
    for value in three:
        crowd = {"size": [50, 60], "counts": [0, 3000]}
        value["segmentation"] = crowd if value["iscrowd"] else [[1, 1, 4, 1, 4, 3]]
    _coco_part(root, "val2017", [785, 139, 632], three, categories)
    boxes = [
        {"id": k, "image_id": k, "category_id": 2, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0, "segmentation": []}
        for k in range(1, 22)
    ]
    _coco_part(root, "train2017", list(range(1, 22)), boxes, categories)
    return root


def _coco_part(root: Path, part: str, ids: list[int], boxes: list[dict[str, Any]], categories: dict[str, int]) -> None:
    images = [{"id": k, "file_name": f"{k:012d}.jpg", "height": 50, "width": 60} for k in ids]
    for image in images:
        save(root / part / image["file_name"], scenery(50, 60))
    kinds = [{"id": id, "name": name, "supercategory": "thing"} for name, id in categories.items()]
    value = {"images": images, "annotations": boxes, "categories": kinds}
    (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(value))
