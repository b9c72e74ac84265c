"""What a judge is tried with: small splits, answers whose numbers anybody can work out, and answers it must refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.types import Sample

SIZES = ((48, 64), (480, 640), (375, 1242))  # protocols may be made for the photographs of one dataset
SURE = 5.0  # standard errors that a number may lie from its expectation


@dataclass(frozen=True)
class Case:
    """A split, what somebody says to it, and what must come of that.

    name: who speaks. samples, answers: N each. due: metric id -> its number, nan where nothing can be scored. within:
    metric id -> how far from it the number may lie, where chance or a protocol's crop has a say; rounding elsewhere.
    costs: the promise that this answer, the truth but for errors of one kind, is worse than the truth; "" for none.
    """

    name: str
    samples: Sequence[Sample]
    answers: Sequence[Any]
    due: Mapping[str, float] = field(default_factory=dict)
    within: Mapping[str, float] = field(default_factory=dict)
    costs: str = ""


@dataclass(frozen=True)
class Theory:
    """What is known of every judge of one type of truth.

    vocabulary: names of the classes. cases(evaluator, settings): the first is the truth; those with its samples are
    compared with it. settings: of the protocol; those that theory reads are named in its module, others are ignored.
    refused(evaluator): a sample, and answers to it, by name, that are none.
    """

    vocabulary: tuple[str, ...]
    cases: Callable[[Any, Mapping[str, Any]], Iterator[Case]]
    refused: Callable[[Any], Iterator[tuple[str, Sample, Any]]]


def sample(name: str, truth: Any, size: tuple[int, int]) -> Sample:
    """A black photograph of that size (H, W) with its truth."""
    return Sample(f"planted/{name}", f"planted/{name}", np.zeros((*size, 3), np.uint8), truth, "the red cup")


def samples_of(split: str, truths: Sequence[np.ndarray]) -> list[Sample]:
    """Of truths (H, W)."""
    return [sample(f"{split}/{i}", truth, truth.shape) for i, truth in enumerate(truths)]


def judged_sizes(
    evaluator: Any, settings: Mapping[str, Any], blank: Callable[[tuple[int, int]], Any]
) -> list[tuple[int, int]]:
    """Sizes (H, W) of photographs that are judged pixel by pixel, without resizing: one, or one lying and one standing.

    blank: a truth of a size, which also answers for itself. Reads the setting `eval_size` where the judge does not say
    to which size it brings a drawing. Raises BadData where photographs of no size that is tried here can be judged.
    """
    refused = ""
    for size in SIZES:
        one = sample("size", blank(size), size)
        try:
            evaluator.statistics(one, blank(size))
        except BadData as other:
            refused = str(other)
            continue
        asked = evaluator.drawing_size(one)
        if asked is None and (side := settings.get("eval_size", "original")) != "original":
            asked = side, side
        if asked not in (None, size):
            return [tuple(asked)]
        return [size] if size != SIZES[0] else [size, size[::-1]]
    raise BadData(refused)


def swapped(values: Sequence[Any]) -> list[Any]:
    """Of pairs the second first: each sample is given the truth of another of its size."""
    return [values[i ^ 1] for i in range(len(values))]
