"""What datasets of labelled photographs share: samples opened one by one, and the part of `train` kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from addp_bench.errors import unknown
from addp_bench.randomness import seed_of
from addp_bench.types import Sample

HELD_OUT = 0.05  # share of the training photographs that `stats` gets; ours, as for RefCOCO
TASKS = ("probe",)


class Labelled:
    """Photographs with one class each; every photograph is a sample and a cluster of its own.

    ids: unique. classes: of each, indices into `vocabulary`. photograph: number -> (H, W, 3) uint8.
    """

    def __init__(
        self,
        ids: Sequence[str],
        classes: Sequence[int],
        vocabulary: Sequence[str],
        photograph: Callable[[int], np.ndarray],
    ) -> None:
        self.ids, self.image_ids = ids, ids
        self.classes, self.vocabulary, self._photograph = classes, vocabulary, photograph

    def __len__(self) -> int:
        return len(self.ids)

    def text(self, index: int) -> str:
        """Nothing is asked."""
        return ""

    def __getitem__(self, index: int) -> Sample:
        """Opens the photograph. Raises BadData, naming the file."""
        truth, name = self.classes[index], self.ids[index]
        attributes = {"class": self.vocabulary[truth]}
        return Sample(name, name, self._photograph(index), truth, attributes=attributes)

    def chosen(self, rows: Sequence[int]) -> Labelled:
        """Some of them, by number."""
        ids, classes = [self.ids[i] for i in rows], [self.classes[i] for i in rows]
        return Labelled(ids, classes, self.vocabulary, lambda index: self._photograph(rows[index]))


def part(train: Labelled, split: str) -> Labelled:
    """`train` itself, or `stats`, one photograph in twenty chosen by a hash of its id, or `train_fit`, the rest."""
    if split == "train":
        return train
    order = sorted(range(len(train)), key=lambda i: seed_of("labelled stats", train.ids[i]))
    cut = max(1, round(HELD_OUT * len(train)))
    return train.chosen(sorted(order[:cut] if split == "stats" else order[cut:]))


def sizes(train: int) -> dict[str, int]:
    """Samples of `train` and of its two parts."""
    cut = max(1, round(HELD_OUT * train))
    return {"train": train, "train_fit": train - cut, "stats": cut}


def require(dataset: str, split: str, known: Sequence[str], task: str) -> None:
    """Raises UnknownName for a split or a task that the dataset does not have."""
    if split not in known:
        raise unknown(f"split of {dataset}", split, known)
    if task not in TASKS:
        raise unknown(f"task of dataset {dataset}", task, TASKS)


def default_split(purpose: str, judged: str) -> str:
    """`train_fit` to train on, `stats` to choose on, `judged` to judge on."""
    defaults = {"train": "train_fit", "stats": "stats", "eval": judged}
    if purpose not in defaults:
        raise unknown("purpose of a split", purpose, defaults)
    return defaults[purpose]
