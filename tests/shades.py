"""Photographs with one class each, a grey of one of three shades, and a model of two layers whose features can be read.

A plugin file, as a stranger's would be, loaded with `--plugin tests/shades.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from point import Point
from torch import Tensor, nn

from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.types import Card, ModelCard, Sample

NAMES = ("dark", "middle", "light")
COUNTS = {"train": 48, "stats": 15, "val": 12}


class Shades:
    """Grey photographs.

    told: whose class each photograph is given: its own, or that of another drawn at random.
    """

    tasks: ClassVar[Sequence[str]] = ("probe",)

    def __init__(self, told: str = "own") -> None:
        self.told = told

    def splits(self) -> Sequence[str]:
        return tuple(COUNTS)

    def default_split(self, purpose: str) -> str:
        return {"train": "train", "stats": "stats", "eval": "val"}[purpose]

    def samples(self, split: str, task: str) -> ShadeSamples:
        return ShadeSamples(split, self.told)

    def card(self) -> Card:
        return Card("shades", "CC0", "none", "made on the spot", COUNTS, f"shades-1-{self.told}")

    def protocol(self, task: str) -> str:
        return "ddae"


class ShadeSamples:
    vocabulary = NAMES

    def __init__(self, split: str, told: str) -> None:
        self.split, self.told = split, told

    def __len__(self) -> int:
        return COUNTS[self.split]

    @cached_property
    def ids(self) -> Sequence[str]:
        return [f"shades/{self.split}/{i}" for i in range(len(self))]

    @property
    def image_ids(self) -> Sequence[str]:
        return self.ids

    def text(self, index: int) -> str:
        return ""

    def __getitem__(self, index: int) -> Sample:
        rng = numpy_generator("shades", self.ids[index])
        shade = index % 3
        photo = rng.integers(0, 20, (32, 32, 3)) + 30 + 90 * shade
        truth = shade if self.told == "own" else int(rng.integers(3))
        attributes = {"class": NAMES[truth]}
        return Sample(self.ids[index], self.ids[index], photo.astype(np.uint8), truth, attributes=attributes)


class Prism(Point):
    """Two layers on pictures that are their own latents."""

    layers = ("out_1", "out_2")

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Conv2d(6, 5, 1), nn.Conv2d(5, 3, 1))

    @torch.no_grad()
    def features(
        self, x_t: Tensor, t: Tensor, image: Tensor, text: Tensor, layers: Sequence[str]
    ) -> Mapping[str, Tensor]:
        first = self.network[0](torch.cat([x_t, image], dim=1))
        return {"out_1": first, "out_2": self.network[1](first)}

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        return ModelCard("prism", cls.target, cls.resolution, "none", cls.layers)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "shades", Shades)
    registry.add("model", "prism", Prism)
