"""A dataset small enough for any test, of class maps or of which colours are there: one or two coloured squares on
grey, and a strip nobody labelled.

Loaded as a plugin file (`--plugin tests/patches.py`), as any stranger's dataset would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.types import UNLABELLED, Card, Sample

CLASSES: Mapping[str, tuple[int, int, int]] = {
    "background": (128, 128, 128), "green": (60, 180, 75), "blue": (70, 90, 200), "yellow": (200, 190, 60)
}  # fmt: skip
COUNTS = {"train": 12, "stats": 14, "val": 6}


class Patches:
    """Squares on grey."""

    tasks = ("semantic", "classification")

    def splits(self) -> Sequence[str]:
        return tuple(COUNTS)

    def default_split(self, purpose: str) -> str:
        return {"train": "train", "stats": "stats", "eval": "val"}[purpose]

    def samples(self, split: str, task: str) -> PatchSamples:
        return PatchSamples(split, task)

    def card(self) -> Card:
        return Card("patches", "CC0", "none", "made on the spot", COUNTS, "patches-1")

    def protocol(self, task: str) -> str:
        return f"tabletop_{task}"


class PatchSamples:
    def __init__(self, split: str, task: str) -> None:
        self.split, self.task = split, task
        self.vocabulary = tuple(CLASSES)[task == "classification" :]  # the background is nothing to ask about

    @cached_property
    def ids(self) -> Sequence[str]:
        return [f"patches/{self.split}/{i}" for i in range(COUNTS[self.split])]

    @property
    def image_ids(self) -> Sequence[str]:
        return self.ids

    def __len__(self) -> int:
        return COUNTS[self.split]

    def text(self, index: int) -> str:
        return ""

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = numpy_generator("patches", self.split, index)
        labels = np.zeros((32, 32), np.int64)
        for label, left in zip(rng.permutation([1, 2, 3])[: 1 + index % 2], (3, 18)):
            top = int(rng.integers(4, 20))
            labels[top : top + 10, left : left + 10] = label
        image = np.array([*CLASSES.values()], np.uint8)[labels]
        if self.task == "classification":
            return Sample(self.ids[index], self.ids[index], image, np.isin([1, 2, 3], labels))
        labels[:2] = UNLABELLED
        return Sample(self.ids[index], self.ids[index], image, labels)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "patches", Patches)
