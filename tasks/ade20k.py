"""ADE20K in the form of SceneParse150: photographs with a map of 150 classes each.

    <path>/images/training/ADE_train_00000001.jpg     <path>/annotations/training/ADE_train_00000001.png
    <path>/images/validation/ADE_val_00000001.jpg     <path>/annotations/validation/ADE_val_00000001.png

<path> is the folder ADEChallengeData2016, or an uncompressed tar of what is in it. The full ADE20K is another product.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadData, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.types import UNLABELLED, About, Card, Sample

from .archives import Files, open_files
from .decoding import class_map, photograph, same_size
from .holding_out import held_out

if TYPE_CHECKING:
    from addp_bench.registry import Registry

log = logging.getLogger(__name__)

# In the order of the annotations' values 1 to 150; the community's short names.
CLASSES: Sequence[str] = tuple(
    """wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
    seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
    counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table,
    pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
    countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel,
    light, truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel,
    pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt,
    canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball,
    food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
    sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator,
    glass, clock, flag""".replace("\n", " ")
    .replace("    ", "")
    .split(", ")
)
OTHER = 0  # in an annotation: none of the classes, or nobody said


class Ade20k:
    """ADE20K, SceneParse150: photographs of places, every pixel one of 150 classes or unlabelled; or which there are.

    Annotations hold 0 for what is unlabelled and 1 to 150 for classes; the truth holds 0 to 149 and 255. Splits:
    training (20210), validation (2000), and two parts of training: `stats`, one photograph in twenty, and `train_fit`.

    path: folder ADEChallengeData2016 (images/, annotations/), or a tar of what is in it.

    Source: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017.
    """

    tasks: ClassVar[Sequence[str]] = ("semantic", "classification")
    about: ClassVar[About] = About(
        licence="annotations BSD-3; photographs for non-commercial research (as commonly stated, not checked)",
        citation="Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017",
        access="ADEChallengeData2016.zip; no registration",
        published={"training": 20210, "validation": 2000},
    )

    def __init__(self, path: str) -> None:
        self.root = Path(path).expanduser()
        self._found: dict[str, Sequence[str]] = {}

    def splits(self) -> Sequence[str]:
        """training, validation, train_fit, stats."""
        return ("training", "validation", "train_fit", "stats")

    def default_split(self, purpose: str) -> str:
        """`train_fit` to train on, `stats` to measure on, `validation` to judge on."""
        defaults = {"train": "train_fit", "stats": "stats", "eval": "validation"}
        if purpose not in defaults:
            raise unknown("purpose of a split", purpose, defaults)
        return defaults[purpose]

    def protocol(self, task: str) -> str:
        """`ade20k` of task `semantic`, `balanced` of `classification`."""
        return "ade20k" if task == "semantic" else "balanced"

    def samples(self, split: str, task: str) -> ClassMaps:
        """The photographs of a split; each must have its annotation, and an annotation its photograph.

        Raises UnknownName for the split or task, BadData for files that are missing and for an empty split.
        """
        if task not in self.tasks:
            raise unknown("task of dataset ade20k", task, self.tasks)
        files, stems = self._files(), self._stems(split)
        if not stems:
            folder = _folder(split)
            raise BadData(f"{files.where} holds nothing of split {split!r}: expected images/{folder}/*.jpg.")
        for name in (name for stem in stems for name in _names(split, stem)):
            if not files.has(name):
                raise BadData(f"{files.where}: {name} is missing; every photograph of ade20k has an annotation.")
        expected = self.about.published.get(split)
        if expected is not None and len(stems) != expected:
            log.warning("ade20k %s: %d images; published are %d", split, len(stems), expected)
        return ClassMaps(split, stems, files, task)

    def card(self) -> Card:
        """Counts of the splits that are here; the fingerprint covers names and sizes in bytes of all their files."""
        counts, digest, files = {}, hashlib.sha256(b"ade20k"), self._files()
        for split in self.splits():
            if stems := self._stems(split):
                counts[split] = len(stems)
                names = [name for stem in stems for name in _names(split, stem)]
                sizes = [(name, files.size(name) if files.has(name) else None) for name in names]
                digest.update(repr([split, sizes]).encode())
        if not counts:
            self.samples("validation", "semantic")  # says what is missing
        return self.about.card("ade20k", counts, digest.hexdigest())

    def _files(self) -> Files:
        return open_files(self.root)

    def _stems(self, split: str) -> Sequence[str]:
        """Names without ending of the photographs of a split, sorted; empty where there are none."""
        if split not in self.splits():
            raise unknown("split of ade20k", split, self.splits())
        if not self._found:
            names = [Path(name) for name in self._files().names()]
            for part in ("training", "validation"):
                folder = Path("images") / part
                self._found[part] = [p.stem for p in names if p.parent == folder and p.suffix == ".jpg"]
            apart = held_out("ade20k stats", self._found["training"])
            self._found["train_fit"] = [stem for stem in self._found["training"] if stem not in apart]
            self._found["stats"] = [stem for stem in self._found["training"] if stem in apart]
        return self._found[split]


class ClassMaps:
    """The photographs of one split; see protocols.Samples."""

    vocabulary: Sequence[str] = CLASSES

    def __init__(self, split: str, stems: Sequence[str], files: Files, task: str) -> None:
        self._split, self._stems, self._files, self._task = split, stems, files, task
        self.ids = [f"ade20k/{split}/{stem}" for stem in stems]
        self.image_ids = [f"ade20k/{stem}" for stem in stems]

    def __len__(self) -> int:
        return len(self._stems)

    def text(self, index: int) -> str:
        """Nothing is asked in words."""
        return ""

    def __getitem__(self, index: int) -> Sample:
        """Reads both files. Raises BadData, naming the one that is not what it should be."""
        photo, annotation = _names(self._split, self._stems[index])
        image, values = photograph(self._files, photo), class_map(self._files, annotation)
        same_size(self._files, photo, image, annotation, values)
        if values.max() > len(CLASSES):
            raise BadData(
                f"{self._files.where}: {annotation} holds the value {values.max()}; expected 0 (unlabelled) to "
                f"{len(CLASSES)}. The maps of the full ADE20K are another product."
            )
        truth = np.where(values == OTHER, UNLABELLED, values.astype(np.int64) - 1)
        attributes = {
            "classes": len(np.unique(truth[truth != UNLABELLED])),
            "known": float((truth != UNLABELLED).mean()),
        }
        if self._task == "classification":
            truth = np.isin(np.arange(len(CLASSES)), truth)
        return Sample(self.ids[index], self.image_ids[index], image, truth, attributes=attributes)


def _folder(split: str) -> str:
    return "validation" if split == "validation" else "training"


def _names(split: str, stem: str) -> tuple[str, str]:
    """The photograph and its annotation."""
    folder = _folder(split)
    return f"images/{folder}/{stem}.jpg", f"annotations/{folder}/{stem}.png"


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "ade20k", Ade20k, ("scene_parse_150",))
