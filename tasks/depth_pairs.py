"""Photographs with a depth map each, as the depth datasets lay them out: what they share.

Files come from a folder or from a tar (archives.py), by the layout of Marigold's evaluation bundle (prs-eth/Marigold).
A split is what its list names, where the list lies beside the files; else every photograph of the layout that is there.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from addp_bench.errors import BadData, BadOption, unknown
from addp_bench.types import About, Card, Sample

from .archives import Files, inside, open_files
from .decoding import depth_counts, photograph, same_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """A photograph and its truth, as names of files. key: the photograph, in ids. mask: "" where validity has none."""

    key: str
    photo: str
    depth: str
    mask: str = ""
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        return [name for name in (self.photo, self.depth, self.mask) if name]


@dataclass(frozen=True)
class Layout:
    """Where photographs lie, and where the truth of each lies.

    photo: pattern of a photograph's name. key, depth, mask: templates filled with its groups (`\\g<scene>`).
    example: a photograph's name, for messages.
    """

    photo: re.Pattern[str]
    key: str
    depth: str
    example: str
    mask: str = ""


class DepthPairs:
    """Base of the depth datasets. Truth is metres, 0 where unknown; one sample is one photograph.

    tars, lists: by split, the names that the community uses. judged: the protocol of
    task `depth`, "" for data that are for training. units: counts of a depth file that are one metre.
    """

    tasks: ClassVar[Sequence[str]] = ("depth",)
    name: ClassVar[str]
    about: About
    tars: ClassVar[Mapping[str, str]] = {}
    lists: ClassVar[Mapping[str, str]] = {}
    needs_list: ClassVar[bool] = False  # whether the layout alone does not tell what belongs to a split
    levels: ClassVar[Sequence[str]] = ("",)  # folders that may stand above what a list names
    defaults: ClassVar[Mapping[str, str]]
    judged: ClassVar[str] = ""
    units: ClassVar[float] = 1000.0
    prefix: ClassVar[str] = ""  # of a photograph's name, that of a prediction has `pred_` in its place

    def __init__(self, path: str) -> None:
        self.root = Path(path).expanduser()
        self._found: dict[str, Sequence[Pair]] = {}

    # ------------------------------------------------------------------------------------------- what a set says

    def layout(self, split: str) -> Layout:
        """Of a published split."""
        raise NotImplementedError

    def facts(self, match: re.Match[str]) -> dict[str, str | int]:
        """Attributes of a sample, from its photograph's name."""
        return dict(match.groupdict())

    def image(self, files: Files, pair: Pair) -> np.ndarray:
        """(H, W, 3) uint8 as stored."""
        return photograph(files, pair.photo)

    def depth(self, files: Files, pair: Pair) -> np.ndarray:
        """(H, W) float32 metres as stored, 0 where unknown."""
        return (depth_counts(files, pair.depth) / self.units).astype(np.float32)

    def cropped(self, values: np.ndarray, where: str) -> np.ndarray:
        """The part of a photograph or of its depth that is used. where: their name, for messages."""
        return values

    def prediction(self, pair: Pair) -> str:
        """What Marigold's programs call a prediction, without its ending: in the photograph's folder of the list."""
        level = next((level for level in self.levels if level and pair.photo.startswith(level)), "")
        photo = PurePosixPath(pair.photo.removeprefix(level))
        return str(photo.with_name(f"pred_{photo.stem.removeprefix(self.prefix)}"))

    # ------------------------------------------------------------------------------------------- Dataset

    def splits(self) -> Sequence[str]:
        """The published splits, whether their files are here or not."""
        return tuple(self.about.published)

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval". Raises BadOption for what this dataset is not for."""
        if purpose not in ("train", "stats", "eval"):
            raise unknown("purpose of a split", purpose, ("train", "stats", "eval"))
        if (split := self.split_for(purpose)) is None:
            use, other = ("judged on", "train") if purpose != "eval" else ("trained on", "judge")
            raise BadOption(
                f"dataset {self.name} is to be {use} and has no split for {purpose!r}; {other} on another dataset (a "
                f"request file names both), or name one of its splits: {', '.join(self.splits())}"
            )
        return split

    def protocol(self, task: str) -> str:
        """The protocol of task `depth` that published figures on it follow."""
        if not self.judged:
            raise BadOption(f"dataset {self.name} is for training: no published protocol judges on it; say --protocol")
        return self.judged

    def samples(self, split: str, task: str) -> PairSamples:
        """The photographs of a split. Files are looked for, and read when a sample is asked for.

        Raises UnknownName for the split or task, BadData for files that are missing and for a split of which nothing
        is here.
        """
        if task not in self.tasks:
            raise unknown(f"task of dataset {self.name}", task, self.tasks)
        pairs = self.pairs(split)
        files = self.files(split)
        if not pairs and self.needs_list and self._list(split) is None:
            raise BadData(
                f"{files.where}: which photographs are split {split!r} of {self.name} is told by a list, "
                f"data_split/{self.list_of(split)} of prs-eth/Marigold; put it into {self._beside()}."
            )
        if not pairs:
            tar = self.tar_of(split)
            raise BadData(
                f"{files.where} holds nothing of split {split!r} of {self.name}: expected photographs such as "
                f"{self.layout(self.part_of(split)).example}{f', or the tar {tar} in the folder' if tar else ''}."
            )
        for pair in pairs:
            for name in pair.files:
                if not files.has(name):
                    raise BadData(f"{files.where}: {name} is missing; it belongs to split {split!r} of {self.name}.")
        expected = self.about.published.get(split)
        if expected is not None and len(pairs) != expected:
            log.warning("%s %s: %d images; published are %d", self.name, split, len(pairs), expected)
        return PairSamples(self, split, pairs, files)

    def card(self) -> Card:
        """Counts of the splits that are here. The fingerprint covers names and sizes in bytes of all their files, and
        is the same for a folder and for a tar; a file that is missing is named by `samples`.
        """
        digest = hashlib.sha256(repr([self.name, *self.identity()]).encode())
        counts = {}
        for split in self.splits():
            if pairs := self.pairs(split):
                counts[split] = len(pairs)
                files = self.files(split)
                names = [name for pair in pairs for name in pair.files]
                digest.update(repr([split, [(name, _size(files, name)) for name in names]]).encode())
        if not counts:
            self.samples(self.splits()[0], "depth")  # says what is missing
        return self.about.card(self.name, counts, digest.hexdigest())

    # ------------------------------------------------------------------------------------------- its files

    def identity(self) -> Sequence[str]:
        """Options that choose other samples or other truths."""
        return ()

    def part_of(self, split: str) -> str:
        """The published split that a split is, or is a part of."""
        return split

    def tar_of(self, split: str) -> str:
        """Name of the tar that holds a split, "" for none."""
        return self.tars.get(self.part_of(split), "")

    def split_for(self, purpose: str) -> str | None:
        """The split for "train", "stats" or "eval"; None where there is none."""
        return self.defaults.get(purpose)

    def list_of(self, split: str) -> str:
        """Name of the list of a split in Marigold's `data_split`, "" for none."""
        return self.lists.get(split, "")

    def files(self, split: str) -> Files:
        """What holds a split: the tar that `path` is, the tar of the bundle in it, or the folder."""
        tar = self.root / self.tar_of(split)
        return open_files(tar if tar.is_file() else self.root)

    def pairs(self, split: str) -> Sequence[Pair]:
        """The pairs of a split in the order of its list, or of their names; empty where nothing of it is here."""
        if split not in self.splits():
            raise unknown(f"split of {self.name}", split, self.splits())
        if split not in self._found:
            self._found[split] = self.find(split)
        return self._found[split]

    def find(self, split: str) -> Sequence[Pair]:
        """What `pairs` keeps."""
        files, layout = self.files(split), self.layout(split)
        if (listed := self._list(split)) is not None:
            pairs = _listed(*listed, self, layout, files)
            return pairs if any(files.has(pair.photo) for pair in pairs) else []
        if self.needs_list:
            return []
        matches = filter(None, map(layout.photo.fullmatch, files.names()))
        return [self.pair(match, layout, match.expand(layout.depth)) for match in matches]

    def pair(self, match: re.Match[str], layout: Layout, depth: str) -> Pair:
        """The pair of a photograph."""
        mask = match.expand(layout.mask) if layout.mask else ""
        return Pair(match.expand(layout.key), match[0], depth, mask, self.facts(match))

    def _beside(self) -> Path:
        """The folder that lists lie in."""
        return self.root if self.root.is_dir() else self.root.parent

    def _list(self, split: str) -> tuple[Path, Sequence[str]] | None:
        """The list of a split and its lines; None where there is none."""
        folder, name = self._beside(), self.list_of(split)
        for place in (folder / name, folder / "data_split" / name, folder / Path(name).name):
            if name and place.is_file():
                try:
                    return place, place.read_text(encoding="utf-8").splitlines()
                except (OSError, UnicodeDecodeError) as broken:
                    raise BadData(f"{place} cannot be read as a list of names: {broken}.") from broken
        return None


class PairSamples:
    """The photographs of one split; see protocols.Samples. predictions: as Marigold's programs call them."""

    def __init__(self, dataset: DepthPairs, split: str, pairs: Sequence[Pair], files: Files) -> None:
        self._dataset, self._pairs, self._files = dataset, pairs, files
        self.ids = [f"{dataset.name}/{split}/{pair.key}" for pair in pairs]
        self.image_ids = [f"{dataset.name}/{pair.key}" for pair in pairs]
        self.predictions = [dataset.prediction(pair) for pair in pairs]
        if len(set(self.ids)) < len(pairs):
            twice = next(name for name in self.ids if self.ids.count(name) > 1)
            raise BadData(f"{files.where}: two photographs would be sample {twice}.")

    def __len__(self) -> int:
        return len(self._pairs)

    def text(self, index: int) -> str:
        """Nothing is asked in words."""
        return ""

    def __getitem__(self, index: int) -> Sample:
        """Reads the files. Raises BadData, naming the one that is not what it should be."""
        pair, files = self._pairs[index], self._files
        image, depth = self._dataset.image(files, pair), self._dataset.depth(files, pair)
        same_size(files, pair.photo, image, pair.depth, depth)
        where = f"{files.where}: {pair.photo}"
        image, depth = self._dataset.cropped(image, where), self._dataset.cropped(depth, where)
        known = float((depth > 0).mean())
        return Sample(self.ids[index], self.image_ids[index], image, depth, attributes={**pair.facts, "known": known})


def _listed(file: Path, lines: Sequence[str], dataset: DepthPairs, layout: Layout, files: Files) -> list[Pair]:
    """The pairs that the lines of a list name: photograph, depth and perhaps more, between blanks."""
    pairs = []
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns:
            continue
        where = f"{file}, line {number}"
        if len(columns) < 2:
            raise BadData(f"{where}: {line!r} names no depth; expected a photograph's name and its depth's.")
        photo, depth = columns[:2]
        if depth == "None":  # of KITTI: nobody measured there
            continue
        photo, depth = (_at_level(inside(name, where), dataset.levels, files) for name in (photo, depth))
        if (match := layout.photo.fullmatch(photo)) is None:
            raise BadData(
                f"{where}: {photo} is not where {dataset.name} has its photographs, such as {layout.example}."
            )
        pairs.append(dataset.pair(match, layout, depth))
    return pairs


def _at_level(name: str, levels: Sequence[str], files: Files) -> str:
    """The name below the first of the levels at which there is such a file; as it is where there is none."""
    return next((level + name for level in levels if files.has(level + name)), name)


def _size(files: Files, name: str) -> int | None:
    return files.size(name) if files.has(name) else None
