"""What classes of photographs must score. Settings that are read: `top` (as in `probe`; 5 where a protocol has none).

A random class is right once in C times. Uniformity and alignment speak of features, of which a prediction brings its
distances: features that are all one point have alignment 0 and uniformity log 1 = 0, those of C orthogonal directions,
as many of each, lie at squared distances of 0 and 2 from one another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.randomness import numpy_generator
from addp_bench.types import Classified, Sample

from .planted import SURE, Case, Theory, sample

VOCABULARY = ("cat", "dog", "car", "cup", "key", "map", "oak", "sun")
C = len(VOCABULARY)
EACH = 100  # photographs of a class
PAIR = math.exp(-4.0)  # exp(-2 d^2) of two orthogonal directions
SIZE = 8, 8


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    top = f"top{int(settings.get('top', 5))}"
    place = int(settings.get("top", 5))
    truths = [c for _ in range(EACH) for c in range(C)]
    split = _samples("classes", truths)
    apart, point = (EACH - 1 + (C - 1) * EACH * PAIR) / (C * EACH - 1), 1.0  # mean over the others of exp(-2 d^2)
    away = math.log(apart)
    features = {"alignment": 0.0, "uniformity": away}

    yield Case(
        "the truth",
        split,
        [_scored(np.eye(C)[t], 0.0, apart) for t in truths],
        {"top1": 1.0, top: 1.0, **features},
    )
    collapsed = {"top1": 1 / C, top: min(1.0, place / C), "alignment": 0.0, "uniformity": 0.0}
    yield Case(
        "equal scores, and features that are one point",
        split,
        [_scored(np.ones(C), 0.0, point)] * len(split),
        collapsed,
    )
    yield Case(
        "the true class last, and features that noise turns round",
        split,
        [_scored(-np.eye(C)[t], 2.0, apart) for t in truths],
        {"top1": 0.0, top: float(place >= C), "alignment": 2.0, "uniformity": away},
    )
    first = _samples("first", [0, 0, 1])
    yield Case(
        "equal scores: of equals the first class",
        first,
        [_scored(np.ones(C), 0.0, point)] * 3,
        {"top1": 2 / 3, top: 1.0},
    )
    yield Case("one class, named", split, [3] * len(split), {"top1": 1 / C, top: 1 / C})
    yield Case("the truth, named", split, truths, {"top1": 1.0, top: 1.0})
    yield Case("another sample's truth", split, [*truths[1:], truths[0]], {"top1": 0.0, top: 0.0})
    rng = numpy_generator("checks", "classes of theory")
    n = len(split)
    error = SURE * math.sqrt((1 / C) * (1 - 1 / C) / n)
    yield Case("a random class: 1 / C", split, rng.integers(0, C, n).tolist(), {"top1": 1 / C}, {"top1": error})
    near = min(1.0, place / C)
    yield Case(
        "random scores: 1 / C, and k / C among k",
        split,
        [_scored(row, 0.0, apart) for row in rng.random((n, C))],
        {"top1": 1 / C, top: near},
        {"top1": error, top: SURE * math.sqrt(near * (1 - near) / n)},
    )
    wrong = [_scored(np.eye(C)[t if k % 2 else (t + 1) % C], 0.0, apart) for k, t in enumerate(truths)]
    yield Case("every other one wrong", split, wrong, {"top1": 0.5}, costs="a wrong class costs")
    yield Case(
        "right at one of four draws of noise",
        split[:C],
        [Classified(np.eye(C)[[t, *([(t + 1) % C] * 3)]], 0.0, apart) for t in truths[:C]],
        {"top1": 0.25},
    )
    yield Case(
        "the true class at the last place that counts",
        split[:C],
        [_at(t, place - 1) for t in truths[:C]],
        {"top1": 0.0, top: 1.0},
    )
    if place < C:
        yield Case(
            "the true class one place after", split[:C], [_at(t, place) for t in truths[:C]], {"top1": 0.0, top: 0.0}
        )


def _samples(split: str, truths: Sequence[int]) -> list[Sample]:
    return [sample(f"{split}/{i}", truth, SIZE) for i, truth in enumerate(truths)]


def _scored(scores: np.ndarray, alignment: float, closeness: float) -> Classified:
    return Classified(scores[None], alignment, closeness)


def _at(truth: int, place: int) -> Classified:
    """Falling scores with the true class at a place, 0 the first."""
    order = [c for c in range(C) if c != truth]
    order.insert(place, truth)
    scores = np.empty(C)
    scores[order] = np.arange(C, 0, -1)
    return _scored(scores, 0.0, 1.0)


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    one = sample("refused", 2, SIZE)
    for name, bad in (("NaN", math.nan), ("infinity", math.inf)):
        yield f"{name} as one score", one, _scored(np.where(np.eye(C)[3], bad, 0.0), math.nan, math.nan)
    yield "NaN for a class", one, math.nan
    yield "a class beyond the vocabulary", one, C
    yield "too few scores", one, _scored(np.ones(C - 1), math.nan, math.nan)


THEORY = Theory(VOCABULARY, cases, refused)
