"""COCO 2017: photographs with the boxes of 80 kinds of things.

<path>/annotations/instances_val2017.json    instances_train2017.json
<path>/val2017/000000000139.jpg              <path>/train2017/000000000009.jpg
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from addp_bench.errors import BadData, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.types import About, Card, Objects, Sample

from .archives import Folder, inside
from .decoding import field, photograph, reason
from .holding_out import held_out

if TYPE_CHECKING:
    from addp_bench.registry import Registry

log = logging.getLogger(__name__)

# Name -> id in the files; a label of ours is the rank of the id.
CATEGORIES: Mapping[str, int] = MappingProxyType(
    {
        "person": 1, "bicycle": 2, "car": 3, "motorcycle": 4, "airplane": 5, "bus": 6, "train": 7, "truck": 8,
        "boat": 9, "traffic light": 10, "fire hydrant": 11, "stop sign": 13, "parking meter": 14, "bench": 15,
        "bird": 16, "cat": 17, "dog": 18, "horse": 19, "sheep": 20, "cow": 21, "elephant": 22, "bear": 23, "zebra": 24,
        "giraffe": 25, "backpack": 27, "umbrella": 28, "handbag": 31, "tie": 32, "suitcase": 33, "frisbee": 34,
        "skis": 35, "snowboard": 36, "sports ball": 37, "kite": 38, "baseball bat": 39, "baseball glove": 40,
        "skateboard": 41, "surfboard": 42, "tennis racket": 43, "bottle": 44, "wine glass": 46, "cup": 47, "fork": 48,
        "knife": 49, "spoon": 50, "bowl": 51, "banana": 52, "apple": 53, "sandwich": 54, "orange": 55, "broccoli": 56,
        "carrot": 57, "hot dog": 58, "pizza": 59, "donut": 60, "cake": 61, "chair": 62, "couch": 63,
        "potted plant": 64, "bed": 65, "dining table": 67, "toilet": 70, "tv": 72, "laptop": 73, "mouse": 74,
        "remote": 75, "keyboard": 76, "cell phone": 77, "microwave": 78, "oven": 79, "toaster": 80, "sink": 81,
        "refrigerator": 82, "book": 84, "clock": 85, "vase": 86, "scissors": 87, "teddy bear": 88, "hair drier": 89,
        "toothbrush": 90,
    }
)  # fmt: skip
LABELS = {category: label for label, category in enumerate(CATEGORIES.values())}


@dataclass(frozen=True)
class Photograph:
    """A photograph as the annotations know it, with its objects."""

    id: int
    file_name: str
    height: int
    width: int
    objects: Objects


class Coco:
    """COCO 2017: every box of 80 kinds of things in photographs of everyday scenes, or which kinds there are.

    Photographs without a box count as the others: what is found in them is wrong. Labels are the ranks 0 to 79 of the
    category ids; the ids themselves are each split's `category_ids`, and a sample's hint of that name. Splits: val2017
    (5000), train2017 (118287), and two parts of it: `stats`, one photograph in twenty, and `train_fit`.

    path: folder that holds annotations/ and the folders of photographs.

    Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
    """

    tasks: ClassVar[Sequence[str]] = ("detection", "classification")
    about: ClassVar[About] = About(
        licence="annotations CC BY 4.0; photographs keep their Flickr licences, many of them non-commercial",
        citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        access="train2017.zip, val2017.zip, annotations_trainval2017.zip; no registration",
        published={"val2017": 5000, "train2017": 118287},
    )

    def __init__(self, path: str) -> None:
        self.root = Path(path).expanduser()

    def splits(self) -> Sequence[str]:
        """val2017, train2017, train_fit, stats."""
        return ("val2017", "train2017", "train_fit", "stats")

    def default_split(self, purpose: str) -> str:
        """`train_fit` to train on, `stats` to measure on, `val2017` to judge on."""
        defaults = {"train": "train_fit", "stats": "stats", "eval": "val2017"}
        if purpose not in defaults:
            raise unknown("purpose of a split", purpose, defaults)
        return defaults[purpose]

    def protocol(self, task: str) -> str:
        """`coco` of task `detection`, `balanced` of `classification`."""
        return "coco" if task == "detection" else "balanced"

    def samples(self, split: str, task: str) -> Boxed:
        """The photographs of a split in the order of their ids.

        Raises UnknownName for the split or task, BadData for files that are missing or broken and for an empty split.
        """
        if task not in self.tasks:
            raise unknown("task of dataset coco", task, self.tasks)
        photographs, folder = self._photographs(split), _part(split)
        if not photographs:
            raise BadData(f"{self._annotations(split)} names no photograph of split {split!r}.")
        if not (self.root / folder).is_dir():
            raise BadData(f"{self.root / folder} is missing; the photographs of {split} belong there.")
        files = Folder(self.root / folder)
        for photo in photographs:
            if not files.has(photo.file_name):
                raise BadData(f"{files.where}/{photo.file_name} is missing; it belongs to COCO's {folder}.")
        expected = self.about.published.get(split)
        if expected is not None and len(photographs) != expected:
            log.warning("coco %s: %d images; published are %d", split, len(photographs), expected)
        return Boxed(split, photographs, files, task)

    def card(self) -> Card:
        """Counts are photographs, of the splits whose annotations are here. The fingerprint covers the annotations, and
        names and sizes in bytes of the photographs.
        """
        if not self.root.is_dir():
            raise BadData(f"there is no folder {self.root}; give coco the folder that holds annotations/ and val2017/.")
        counts, digest = {}, hashlib.sha256(b"coco")
        for part in ("val2017", "train2017"):
            if not (file := self._annotations(part)).is_file():
                continue
            digest.update(hashlib.sha256(file.read_bytes()).digest())
            names = [photo.file_name for photo in self._photographs(part)]
            here = Folder(self.root / part) if (self.root / part).is_dir() else None
            sizes = [(name, here.size(name) if here and here.has(name) else None) for name in names]
            digest.update(repr([part, sizes]).encode())
            for split in ("train2017", "train_fit", "stats") if part == "train2017" else (part,):
                counts[split] = len(self._photographs(split))
        if not counts:
            self._photographs("val2017")  # says what is missing
        return self.about.card("coco", counts, digest.hexdigest())

    def _annotations(self, split: str) -> Path:
        return self.root / "annotations" / f"instances_{_part(split)}.json"

    def _photographs(self, split: str) -> Sequence[Photograph]:
        if split not in self.splits():
            raise unknown("split of coco", split, self.splits())
        photographs = read_instances(self._annotations(split))
        if split not in ("train_fit", "stats"):
            return photographs
        apart = held_out("coco stats", (photo.id for photo in photographs))
        return [photo for photo in photographs if (photo.id in apart) == (split == "stats")]


class Boxed:
    """The photographs of one split; see protocols.Samples. category_ids: COCO's id of each label, for result files."""

    vocabulary: Sequence[str] = tuple(CATEGORIES)
    category_ids: Sequence[int] = tuple(CATEGORIES.values())

    def __init__(self, split: str, photographs: Sequence[Photograph], files: Folder, task: str) -> None:
        self._photographs, self._files, self._task = photographs, files, task
        self.ids = [f"coco/{split}/{photo.id}" for photo in photographs]
        self.image_ids = [f"coco/{photo.id}" for photo in photographs]

    def __len__(self) -> int:
        return len(self._photographs)

    def text(self, index: int) -> str:
        """Nothing is asked in words."""
        return ""

    def __getitem__(self, index: int) -> Sample:
        """Opens the photograph. Raises BadData, naming the file."""
        photo = self._photographs[index]
        image = photograph(self._files, photo.file_name)
        if image.shape[:2] != (photo.height, photo.width):
            raise BadData(
                f"{self._files.where}/{photo.file_name} is {image.shape[1]} x {image.shape[0]} pixels, and its "
                f"annotations say {photo.width} x {photo.height}."
            )
        crowds = int(photo.objects.crowd.sum())
        return Sample(
            self.ids[index],
            self.image_ids[index],
            image,
            photo.objects if self._task == "detection" else kinds(photo.objects),
            hints={"category_ids": self.category_ids},
            attributes={"image": photo.id, "objects": len(photo.objects.labels) - crowds, "crowds": crowds},
        )


def kinds(objects: Objects) -> np.ndarray:
    """Which of the 80 kinds there are, (80,) bool; a crowd counts."""
    found = np.zeros(len(CATEGORIES), bool)
    found[objects.labels] = True
    return found


def read_instances(file: Path) -> Sequence[Photograph]:
    """The photographs of an instances_*.json in the order of their ids. Raises BadData, naming the file."""
    try:
        found = file.stat()
    except OSError as missing:
        raise BadData(f"{file} is missing; it belongs to annotations_trainval2017.zip.") from missing
    return _read(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=2)  # every stage of a run asks again; train2017 is large
def _read(file: Path, size: int, changed: int) -> Sequence[Photograph]:
    try:
        values = json.loads(file.read_bytes(), object_hook=_without_outline)
    except (ValueError, RecursionError, OSError) as broken:
        raise BadData(f"{file} cannot be read as JSON: {reason(broken)}. Get it again.") from broken
    where = str(file)
    _require_categories(field(values, "categories", list, where), where)
    rows: dict[int, list[tuple[float, ...]]] = {}
    for value in field(values, "annotations", list, where):
        rows.setdefault(field(value, "image_id", int, where), []).append(_box(value, where))
    photographs = []
    for value in field(values, "images", list, where):
        number, name = field(value, "id", int, where), field(value, "file_name", str, where)
        if "/" in inside(name, f"{where}, image {number}"):
            raise BadData(f"{where}: image {number} is called {name!r}; expected a file name without folders.")
        height, width = field(value, "height", int, where), field(value, "width", int, where)
        photographs.append(Photograph(number, name, height, width, _objects(rows.pop(number, []), (height, width))))
    if rows:
        raise BadData(f"{where}: an annotation belongs to image {min(rows)}, which the file does not have.")
    photographs.sort(key=lambda photo: photo.id)
    for one, other in itertools.pairwise(photographs):
        if one.id == other.id:
            raise BadData(f"{where}: two images have the id {one.id}.")
    return photographs


def _without_outline(value: dict[str, Any]) -> dict[str, Any]:
    """Boxes are all that is wanted; the outlines of train2017 would fill gigabytes."""
    value.pop("segmentation", None)
    return value


def _require_categories(values: Sequence[Any], where: str) -> None:
    found = {field(value, "name", str, where): field(value, "id", int, where) for value in values}
    if found != CATEGORIES:
        odd = sorted(found.items() ^ CATEGORIES.items(), key=lambda pair: (pair[1], pair[0]))
        raise BadData(
            f"{where}: its categories are not COCO's 80 (the first that differs: {odd[0][0]!r}, id {odd[0][1]}); "
            "expected the published file."
        )


def _box(value: Any, where: str) -> tuple[float, ...]:
    """x0, y0, x1, y1, label, crowd, area."""
    number = field(value, "id", int, where)
    where = f"{where}, annotation {number}"
    category = field(value, "category_id", int, where)
    if category not in LABELS:
        raise BadData(f"{where}: category {category} is none of COCO's 80.")
    box, area = field(value, "bbox", list, where), value.get("area")
    numbers = [*box, area]
    if (
        len(box) != 4
        or not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers)
        or min(numbers[2:]) < 0
    ):
        raise BadData(f"{where}: bbox {box} and area {area}; expected x, y, width >= 0, height >= 0 and area >= 0.")
    x, y, width, height = box
    return x, y, x + width, y + height, LABELS[category], field(value, "iscrowd", int, where), area


def _objects(rows: Sequence[tuple[float, ...]], size: tuple[int, int]) -> Objects:
    table = np.array(rows, np.float64).reshape(-1, 7)
    boxes, labels, crowd = table[:, :4].astype(np.float32), table[:, 4].astype(np.int64), table[:, 5].astype(bool)
    return Objects(boxes, labels, crowd, table[:, 6].copy(), size)


def _part(split: str) -> str:
    """The published split that a split is, or is a part of."""
    return "val2017" if split == "val2017" else "train2017"


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "coco", Coco, ("coco2017",))
