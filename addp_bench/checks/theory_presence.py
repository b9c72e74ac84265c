"""What questions about classes must score: which of them are in a photograph?

Every photograph holds half of the classes, so that "all" questions and "balanced" ones are the same. Half of all
answers are then yes, whoever says yes to everything is right half the time, and equal scores have the average
precision of chance, one half.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.randomness import numpy_generator
from addp_bench.types import Presence, Sample

from .planted import SURE, Case, Theory, sample

VOCABULARY = ("cat", "dog", "car", "cup", "key", "map", "oak", "sun")
C = len(VOCABULARY)
HALF = C // 2
SIZE = 8, 8


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    truths = _every(range(C))
    split = _samples("classes", truths)
    n = truths.size

    def said(name: str, scores: np.ndarray, recall: float, specificity: float, map_: float, **more: Any) -> Case:
        """By the shares of what is there, and of what is not, that are answered rightly; as many of each are asked."""
        yes = recall + 1.0 - specificity
        due = {
            "bacc": (recall + specificity) / 2,
            "acc": (recall + specificity) / 2,
            "recall": recall,
            "specificity": specificity,
            "precision": recall / yes if yes else math.nan,
            "f1": 2 * recall / (1 + yes),
            "map": map_,
            "unread": 0.0,
        }
        return Case(name, split, [_scored(row) for row in scores], due | more.pop("also", {}), **more)

    yield said("the truth", truths, 1.0, 1.0, 1.0, also={"mf1": 1.0})
    yield said("everything is there", np.ones_like(truths), 1.0, 0.0, 0.5, also={"mf1": 2 / 3})
    yield said("nothing is there", np.zeros_like(truths), 0.0, 1.0, 0.5, also={"mf1": 0.0})
    yield said("no for yes", 1.0 - truths, 0.0, 0.0, 0.5, also={"mf1": 0.0})
    yield said("0.75 for what is there, 0.25 for what is not", 0.25 + truths / 2, 1.0, 1.0, 1.0)
    halves = Case(
        "one half, which is no answer",
        split,
        [_scored(np.full(C, 0.5))] * len(split),
        {"bacc": 0.0, "acc": 0.0, "recall": 0.0, "precision": math.nan, "f1": 0.0, "map": 0.5, "unread": 1.0},
    )
    yield halves
    chance = numpy_generator("checks", "presence of theory").random(truths.shape)
    of_each = SURE * math.sqrt(0.25 / (n / 2))  # of a share of n / 2 answers
    near = {"bacc": of_each, "acc": of_each, "recall": of_each, "specificity": of_each}
    near |= {"precision": of_each, "f1": of_each}
    lucky = said("random scores", chance, 0.5, 0.5, 0.5, within=near)
    yield Case(lucky.name, split, lucky.answers, {k: lucky.due[k] for k in near}, near)
    missed, added = truths.copy(), truths.copy()
    every = np.arange(len(truths))
    missed[every, truths.argmax(1)] = 0.0
    added[every, truths.argmin(1)] = 1.0
    rest = 1 - 1 / HALF
    for name, scores, recall, specificity, costs in (
        ("one class less", missed, rest, 1.0, "a missed class costs"),
        ("one class too many", added, 1.0, rest, "a class that is not there costs"),
    ):
        case = said(name, scores, recall, specificity, 0.5, costs=costs)
        yield Case(name, split, case.answers, {k: v for k, v in case.due.items() if k != "map"}, costs=costs)
    seven = _every(range(1, C))
    few = _samples("nowhere", seven)
    yield Case("the truth where one class is nowhere", few, [_scored(row) for row in seven], {"map": 1.0, "mf1": 1.0})
    share = HALF / (C - 1)  # of the photographs that hold one of the others
    yes = {"map": share, "mf1": (C - 1) / C * 2 * share / (1 + share)}
    yield Case("everything is there, and one class is nowhere", few, [_scored(np.ones(C))] * len(few), yes)


def _every(classes: Sequence[int]) -> np.ndarray:
    """Every choice of half as many classes as there are, (choices, C) float64."""
    found = np.zeros((math.comb(len(classes), HALF), C))
    for row, chosen in zip(found, itertools.combinations(classes, HALF)):
        row[list(chosen)] = 1.0
    return found


def _samples(split: str, truths: np.ndarray) -> list[Sample]:
    return [sample(f"{split}/{i}", truth > 0, SIZE) for i, truth in enumerate(truths)]


def _scored(scores: np.ndarray) -> Presence:
    return Presence(np.arange(C), np.asarray(scores, np.float64), VOCABULARY)


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    one = sample("refused", np.arange(C) < HALF, SIZE)
    for name, bad in (("NaN", math.nan), ("infinity", math.inf), ("a score above 1", 1.5)):
        yield f"{name} as one score", one, _scored(np.where(np.arange(C) == 3, bad, 0.0))
    scores = np.zeros(C)
    yield "a class beyond the vocabulary", one, Presence(np.arange(1, C + 1), scores, VOCABULARY)
    yield "a class that is answered twice", one, Presence(np.zeros(C, np.int64), scores, VOCABULARY)
    yield "a question without an answer", one, Presence(np.arange(C - 1), scores[1:], VOCABULARY[1:])


THEORY = Theory(VOCABULARY, cases, refused)
