"""Tiny-ImageNet: 200 classes, 64 x 64 pixels, in the layout of tiny-imagenet-200.zip.

Nothing is downloaded:

    <path>/tiny-imagenet-200/   wnids.txt  words.txt  train/<wnid>/images/<wnid>_0.JPEG ..
                                val/images/val_0.JPEG ..  val/val_annotations.txt

The photographs of `test` have no published classes.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Card

from . import labelled

if TYPE_CHECKING:
    from addp_bench.registry import Registry

log = logging.getLogger(__name__)

FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"
PUBLISHED = {"train": 100_000, "val": 10_000}


class TinyImageNet:
    """Tiny-ImageNet (Le and Yang, 2015): 200 classes, 100 000 photographs to learn from, 10 000 to judge on, 64 x 64.

    A class is the rank of its WordNet id among the sorted ones; wnids.txt has another order, and who mixes the two gets
    chance. Splits are `train` and `val` as published, and two parts of `train`: `stats`, one photograph in twenty
    chosen by a hash of its id, and `train_fit`, the rest.

    path: the folder tiny-imagenet-200, or one that holds it.
    """

    tasks: ClassVar[Sequence[str]] = labelled.TASKS

    def __init__(self, path: str) -> None:
        root = Path(path).expanduser()
        self.root = root / FOLDER if (root / FOLDER).is_dir() else root

    def splits(self) -> Sequence[str]:
        """The published ones that have classes, and the two parts of `train`."""
        return ("train", "val", "train_fit", "stats")

    def default_split(self, purpose: str) -> str:
        """`train_fit` to train on, `stats` to choose on, `val` to judge on."""
        return labelled.default_split(purpose, "val")

    def samples(self, split: str, task: str) -> labelled.Labelled:
        """The photographs of a split.

        Raises UnknownName for the split or task, BadData for files that are missing or broken.
        """
        labelled.require("tiny_imagenet", split, self.splits(), task)
        files = self._files["val" if split == "val" else "train"]
        ids = [f"tiny_imagenet/{file.stem}" for file, _ in files]

        def photograph(index: int) -> np.ndarray:
            return read_photograph(files[index][0])

        every = labelled.Labelled(ids, [rank for _, rank in files], self._names, photograph)
        return every if split == "val" else labelled.part(every, split)

    def card(self) -> Card:
        """The fingerprint covers wnids.txt, words.txt, val's classes, and names and sizes in bytes of photographs."""
        counts = {name: len(files) for name, files in self._files.items()}
        digest = hashlib.sha256()
        for name in ("wnids.txt", "words.txt", f"val/{ANNOTATIONS}"):
            digest.update(hashlib.sha256((self.root / name).read_bytes()).digest())
        for files in self._files.values():
            digest.update(repr([(file.name, file.stat().st_size) for file, _ in files]).encode())
        return Card(
            name="tiny_imagenet",
            licence="ImageNet's terms: research and education, not commercial",
            citation="Le and Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N, 2015",
            access=f"{FOLDER}.zip, unpacked",
            counts={**labelled.sizes(counts["train"]), "val": counts["val"]},
            fingerprint=digest.hexdigest(),
        )

    def protocol(self, task: str) -> str:
        """Accuracy over the whole split, as DDAE counts it."""
        return "ddae"

    @cached_property
    def _wnids(self) -> Sequence[str]:
        """Ids of the classes, sorted: a class is the rank of its id."""
        found = sorted(_lines(self.root / "wnids.txt"))
        if not found or len(set(found)) < len(found) or not all(re.fullmatch(r"n\d{8}", wnid) for wnid in found):
            raise BadData(
                f"{self.root / 'wnids.txt'}: expected WordNet ids such as n01443537, one in a line, each once"
            )
        return found

    @cached_property
    def _names(self) -> Sequence[str]:
        """The first word for each class, with its id where two classes share it."""
        file = self.root / "words.txt"
        said = dict(line.split("\t", 1) for line in _lines(file) if "\t" in line)
        if missing := [wnid for wnid in self._wnids if wnid not in said]:
            raise BadData(f"{file} says no word for {missing[0]}, and {len(missing) - 1} others")
        first = [said[wnid].split(",")[0].strip() for wnid in self._wnids]
        met = Counter(first)
        return [word if met[word] == 1 else f"{word} ({wnid})" for word, wnid in zip(first, self._wnids)]

    @cached_property
    def _files(self) -> Mapping[str, Sequence[tuple[Path, int]]]:
        """Photographs and classes of both splits."""
        found = {"train": self._train(), "val": self._val()}
        for split, files in found.items():
            if len(files) != PUBLISHED[split]:
                met, published = len(files), PUBLISHED[split]
                log.warning("%s: %s holds %d photographs, the published one %d", self.root, split, met, published)
        return found

    def _train(self) -> list[tuple[Path, int]]:
        found = []
        for rank, wnid in enumerate(self._wnids):
            folder = self.root / "train" / wnid / "images"
            names = sorted(_photographs(folder), key=lambda name: (len(name), name))  # _2 before _10
            if not names:
                raise BadData(f"{folder} holds no photograph; expected {wnid}_0.JPEG and others")
            found += [(folder / name, rank) for name in names]
        return found

    def _val(self) -> list[tuple[Path, int]]:
        file, folder = self.root / "val" / ANNOTATIONS, self.root / "val" / "images"
        rank = {wnid: k for k, wnid in enumerate(self._wnids)}
        there = set(_photographs(folder))
        found = []
        for number, line in enumerate(_lines(file), 1):
            name, _, rest = line.partition("\t")
            wnid = rest.partition("\t")[0]
            if wnid not in rank:
                raise BadData(f"{file}, line {number}: {wnid!r} is none of the {len(rank)} classes of wnids.txt")
            if name not in there:
                raise BadData(f"{file}, line {number}: {folder / name} is missing")
            found.append((folder / name, rank[wnid]))
        if not found:
            raise BadData(f"{file} names no photograph")
        return found


def read_photograph(file: Path) -> np.ndarray:
    """(H, W, 3) uint8; grey ones become RGB. Raises BadData, naming the file."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as broken:
        raise BadData(f"{file} cannot be read as an image: {broken}. Unpack {FOLDER}.zip again.") from broken


def _photographs(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise BadData(f"{folder} is missing; give dataset tiny_imagenet the folder that {FOLDER}.zip unpacks to")
    return [file.name for file in folder.iterdir() if file.name.endswith(".JPEG")]


def _lines(file: Path) -> list[str]:
    """Lines of a text file, blank ones left out. Raises BadData, naming the file."""
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError as missing:
        raise BadData(
            f"{file} is missing; give dataset tiny_imagenet the folder that {FOLDER}.zip unpacks to"
        ) from missing
    except (OSError, ValueError) as broken:
        raise BadData(f"{file} cannot be read: {broken}. Unpack {FOLDER}.zip again.") from broken


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "tiny_imagenet", TinyImageNet)
