"""Dataset my_idea: where samples come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from addp_bench.errors import unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.types import Card, Sample

requires_api = "1.0"

VERSION = 1  # goes up when a sample changes; it is part of the fingerprint, by which results are told apart
PHOTOGRAPHS: Mapping[str, int] = {"train": 512, "stats": 64, "val": 128}
COLOURS: Mapping[str, tuple[int, int, int]] = {"orange": (205, 120, 50), "green": (60, 150, 70), "blue": (60, 80, 190)}


class MyIdea:
    """Discs of two colours on grey, each asked for by its colour, drawn when it is asked for.

    A set on disk looks the same: `ids` from a list of files, `__getitem__` opens one of them.

    size: side of the photographs, pixels, 16 to 512.
    """

    tasks: ClassVar[Sequence[str]] = ("ris",)  # whose truth is a mask

    def __init__(self, size: int = 64) -> None:
        if not 16 <= size <= 512:
            raise ValueError(f"size is a side in pixels, 16 to 512, got {size}")
        self.size = size

    def splits(self) -> Sequence[str]:
        """Names of the splits, which share no photograph."""
        return tuple(PHOTOGRAPHS)

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval"."""
        return {"train": "train", "stats": "stats", "eval": "val"}[purpose]

    def samples(self, split: str, task: str) -> Discs:
        """A split's samples. Raises UnknownName for a split or a task that is not here."""
        if split not in PHOTOGRAPHS:
            raise unknown("split of my_idea", split, PHOTOGRAPHS)
        if task not in self.tasks:
            raise unknown("task of dataset my_idea", task, self.tasks)
        return Discs(split, self.size)

    def protocol(self, task: str) -> str:
        """How it is judged unless asked otherwise; a protocol of the task."""
        return "tabletop_ris"

    def card(self) -> Card:
        """What a person should know before quoting a number; counts are of samples, two for each photograph."""
        return Card(
            name="my_idea",
            licence="CC0-1.0",
            citation="none yet",
            access="made on the spot; nothing is downloaded",
            counts={name: 2 * count for name, count in PHOTOGRAPHS.items()},
            fingerprint=f"my_idea {VERSION}, {self.size} px",
        )


class Discs:
    """A split: it knows its ids without drawing a photograph, and two samples share one."""

    def __init__(self, split: str, size: int) -> None:
        self.split, self.size = split, size

    @cached_property
    def ids(self) -> Sequence[str]:
        """Unique, and the same every time: results of single samples are kept by them."""
        return [f"{name}/{k % 2}" for k, name in enumerate(self.image_ids)]

    @cached_property
    def image_ids(self) -> Sequence[str]:
        """The photograph of each sample; intervals are made over photographs."""
        return [f"my_idea/{self.split}/{k // 2:04d}" for k in range(2 * PHOTOGRAPHS[self.split])]

    def __len__(self) -> int:
        return len(self.ids)

    def text(self, index: int) -> str:
        """The words of a sample, without its photograph."""
        return f"the {self._colours(index)[index % 2]} disc"

    def __getitem__(self, index: int) -> Sample:
        random = numpy_generator("my_idea discs", self.image_ids[index])
        radius = random.uniform(0.12, 0.2, 2) * self.size
        x = random.uniform((0.22, 0.72), (0.28, 0.78)) * self.size  # one left, one right, so that they do not touch
        y = random.uniform(0.25, 0.75, 2) * self.size
        row, column = np.mgrid[: self.size, : self.size]
        image = np.full((self.size, self.size, 3), random.integers(100, 160), np.uint8)
        inside = [(row - y[k]) ** 2 + (column - x[k]) ** 2 <= radius[k] ** 2 for k in range(2)]
        for mask, colour in zip(inside, self._colours(index)):
            image[mask] = COLOURS[colour]
        truth = inside[index % 2]
        attributes = {"side": ("left", "right")[index % 2], "share": float(truth.mean())}
        return Sample(self.ids[index], self.image_ids[index], image, truth, self.text(index), {}, attributes)

    def _colours(self, index: int) -> list[str]:
        """Of the left and the right disc; two different ones."""
        random = numpy_generator("my_idea colours", self.image_ids[index])
        return [list(COLOURS)[k] for k in random.permutation(len(COLOURS))[:2]]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "my_idea", MyIdea)
