"""A dataset small enough for any test: one square of each of two colours on grey, and words that name one of them.

Loaded as a plugin file (`--plugin tests/dots.py`), as any stranger's dataset would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from addp_bench.errors import unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.types import Card, Sample

COLOURS: Mapping[str, tuple[int, int, int]] = {"green": (60, 180, 75), "blue": (70, 90, 200), "yellow": (200, 190, 60)}
COUNTS = {"train": 24, "stats": 14, "val": 12, "empty": 0}


class Dots:
    """Squares on grey.

    size: side of the photographs, pixels.
    """

    tasks = ("ris",)

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def splits(self) -> Sequence[str]:
        return tuple(COUNTS)

    def default_split(self, purpose: str) -> str:
        return {"train": "train", "stats": "stats", "eval": "val"}[purpose]

    def samples(self, split: str, task: str) -> DotSamples:
        if split not in COUNTS:
            raise unknown("split of dots", split, COUNTS)
        return DotSamples(split, COUNTS[split], self.size)

    def card(self) -> Card:
        return Card("dots", "CC0", "none", "made on the spot", COUNTS, f"dots-1-{self.size}")

    def protocol(self, task: str) -> str:
        return "tabletop_ris"


class DotSamples:
    def __init__(self, split: str, count: int, size: int) -> None:
        self.split, self.count, self.size = split, count, size

    @cached_property
    def ids(self) -> Sequence[str]:
        return [f"dots/{self.split}/{i}" for i in range(self.count)]

    @cached_property
    def image_ids(self) -> Sequence[str]:
        return [f"dots/{self.split}/{i // 2}" for i in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def text(self, index: int) -> str:
        names = numpy_generator("dots", self.image_ids[index]).permutation(list(COLOURS))
        return f"the {names[index % 2]} square"

    def __getitem__(self, index: int) -> Sample:
        rng = numpy_generator("dots", self.image_ids[index])
        names = rng.permutation(list(COLOURS))[:2]
        quarter = self.size // 4
        places = rng.permutation(4)[:2]
        photo = np.full((self.size, self.size, 3), 128, np.uint8)
        instances = np.zeros((self.size, self.size), np.uint8)
        for k, (name, place) in enumerate(zip(names, places)):
            row, column = divmod(int(place), 2)
            top, left = 2 * quarter * row + quarter // 2, 2 * quarter * column + quarter // 2
            box = np.s_[top : top + quarter, left : left + quarter]
            photo[box] = COLOURS[str(name)]
            instances[box] = k + 1
        asked = index % 2
        return Sample(
            self.ids[index],
            self.image_ids[index],
            photo,
            instances == asked + 1,
            self.text(index),
            {"instances": instances},
            {"level": "L0", "share": float((instances == asked + 1).mean())},
        )


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "dots", Dots)
