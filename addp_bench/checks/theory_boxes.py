"""What boxes must score, in COCO's average precision. Settings that are read: `max_dets`, `score_rule`, `crowds`,
`sizes` (as in `detection`; COCO's where a protocol has none).

In every photograph each of two classes has one object, and over the split as many of each size, so a number is the
same for every class and size. Of n detections of a class F false ones stand before n - F right ones: precision is best
at the end and is read there at each recall, so AP is 1 - F / n. Where only half of the objects are found, 51 of the 101
recalls are reached. Boxes of an IoU x to their objects count at the thresholds up to x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.types import Detections, Objects, Sample

from .planted import Case, Theory, sample

VOCABULARY = ("cone", "ball")
SIZE = 400, 500
SIDES = ((20, 24), (50, 60), (120, 150))  # width and height: small, medium, large
ELSEWHERE = 200  # pixels below each object, where nothing is
PRECISIONS = ("ap", "ap50", "ap75", "aps", "apm", "apl", "ap_low", "ap_high")
RECALLS = ("ars", "arm", "arl")
COUNTS = ("precision50", "recall50", "f50")


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    most = [int(n) for n in settings.get("max_dets", (1, 10, 100))]
    given = settings.get("score_rule", "given") == "given"
    truths = [_objects(k) for k in range(2 * len(SIDES))]
    split = [sample(f"boxes/{k}", truth, SIZE) for k, truth in enumerate(truths)]
    best = [0.9 - 0.01 * k for k in range(len(split))]  # no two photographs have one score

    def due(ap: float, ar: float, counts: Sequence[float], first: float | None = None) -> dict[str, float]:
        """first: AR of one detection a photograph and class, where it differs."""
        ars = {f"ar{n}": ar if first is None or n > 1 else first for n in most}
        return {**dict.fromkeys(PRECISIONS, ap), **dict.fromkeys(RECALLS, ar), **ars, **dict(zip(COUNTS, counts))}

    def of_each(name: str, said: Any, numbers: Mapping[str, float], costs: str = "") -> Case:
        """said: an object's photograph, boxes and labels -> its detections."""
        answers = [said(best[k], t.xyxy, t.labels) for k, t in enumerate(truths)]
        return Case(name, split, answers, numbers, costs=costs)

    yield of_each("the truth", lambda s, b, c: _found((b, c, s)), due(1, 1, (1, 1, 1)))
    yield of_each("nothing", lambda s, b, c: _found(), due(0, 0, (math.nan, 0, 0)))
    yield of_each("every box elsewhere", lambda s, b, c: _found((b + [0, ELSEWHERE] * 2, c, s)), due(0, 0, (0, 0, 0)))
    yield of_each("every class exchanged", lambda s, b, c: _found((b, 1 - c, s)), due(0, 0, (0, 0, 0)))
    yield of_each(
        "every box twice, the second time worse",
        lambda s, b, c: _found((b, c, s), (b, c, s - 0.5)),
        due(1, 1, (0.5, 1, 2 / 3)) if given else {},
    )
    yield of_each(
        "as many false alarms, which score higher",
        lambda s, b, c: _found((b, c, s - 0.5), (b + [0, ELSEWHERE] * 2, c, s)),
        due(0.5, 1, (0.5, 1, 2 / 3), first=0.0) if given else {},
        costs="a false alarm costs",
    )
    yield of_each(
        "as many false alarms, which score lower",
        lambda s, b, c: _found((b, c, s), (b + [0, ELSEWHERE] * 2, c, s - 0.5)),
        due(1, 1, (0.5, 1, 2 / 3)) if given else {},
    )
    half = [_found((t.xyxy, t.labels, best[k])) if k < 3 else _found() for k, t in enumerate(truths)]
    yield Case(
        "half of the objects: 51 / 101", split, half, due(51 / 101, 0.5, (1, 0.5, 2 / 3)), costs="a missed object costs"
    )
    for share, thresholds in ((0.5, 1), (0.64, 3)):
        numbers = {**due(thresholds / 10, thresholds / 10, (1, 1, 1)), "ap50": 1.0, "ap75": 0.0}
        yield of_each(
            f"boxes of which {share:g} is there: {thresholds} of 10 thresholds",
            lambda s, b, c, part=share: _found((_shortened(b, part), c, s)),
            numbers,
        )
    yield of_each(
        "boxes of which 0.4 is there", lambda s, b, c: _found((_shortened(b, 0.4), c, s)), due(0, 0, (0, 0, 0))
    )
    yield from _crowds(settings)
    yield Case(
        "an object of 32 x 32, which is small and medium",
        [sample("edge", edge := _single(32, 32.0**2), SIZE)],
        [_found((edge.xyxy, edge.labels, 0.9))],
        {"ap": 1.0, "aps": 1.0, "apm": 1.0, "apl": math.nan},
    )
    if settings.get("sizes", "object") == "object":
        there = _single(40, 300.0)
        yield Case(
            "a large box round a small object",
            [sample("thin", there, SIZE)],
            [_found((there.xyxy, there.labels, 0.9))],
            {"ap": 1.0, "aps": 1.0, "apm": math.nan, "apl": math.nan},
        )
    none = Objects(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0), SIZE)
    undefined = due(math.nan, math.nan, [math.nan] * 3)
    yield Case("nothing where nothing is", [sample("empty", none, SIZE)], [_found()], undefined)


def _objects(k: int) -> Objects:
    """The k-th photograph: a cone of one size and a ball of the next."""
    sides = [SIDES[(k + c) % len(SIDES)] for c in range(2)]
    boxes = [[10 + 250 * c, 10 + k, 10 + 250 * c + w, 10 + k + h] for c, (w, h) in enumerate(sides)]
    area = [float(w * h) for w, h in sides]
    return Objects(np.array(boxes, float), np.arange(2), np.zeros(2, bool), np.array(area), SIZE)


def _single(side: float, area: float) -> Objects:
    boxes = np.array([[10, 10, 10 + side, 10 + side]], float)
    return Objects(boxes, np.array([0]), np.array([False]), np.array([area]), SIZE)


def _crowds(settings: Mapping[str, Any]) -> Iterator[Case]:
    """An object that is found, and a box inside of a crowd, which scores higher: it counts for nothing."""
    if settings.get("crowds", "ignored") != "ignored":
        return
    boxes = np.array([[10.0, 10, 30, 30], [50, 50, 90, 90]])
    there = Objects(boxes, np.zeros(2, np.int64), np.array([False, True]), np.array([400.0, 1600]), SIZE)
    inside = np.array([[55.0, 55, 65, 65]])
    answer = _found((boxes[:1], np.array([0]), 0.5), (inside, np.array([0]), 0.9))
    yield Case("a box inside of a crowd", [sample("crowd", there, SIZE)], [answer], {"ap": 1.0, "precision50": 1.0})


def _found(*parts: tuple[np.ndarray, np.ndarray, float]) -> Detections:
    """Detections of (boxes, labels, score)."""
    if not parts:
        return Detections(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    boxes, labels, scores = zip(*((b, c, np.full(len(c), s)) for b, c, s in parts))
    return Detections(*(np.concatenate(each) for each in (boxes, labels, scores)))


def _shortened(boxes: np.ndarray, share: float) -> np.ndarray:
    """The upper part of every box, so that its IoU is that share."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([low, low + (high - low) * [1.0, share]], axis=1)


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    there = _objects(0)
    one = sample("refused", there, SIZE)
    for name, bad in (("NaN", math.nan), ("infinity", math.inf)):
        yield f"{name} in a box", one, _found((np.where(np.eye(2, 4), bad, there.xyxy), there.labels, 0.5))
        yield f"{name} as a score", one, _found((there.xyxy, there.labels, bad))
    yield "boxes inside out", one, _found((there.xyxy[:, [2, 3, 0, 1]], there.labels, 0.5))
    yield "a class beyond the vocabulary", one, _found((there.xyxy, there.labels + 1, 0.5))
    yield "an array", one, there.xyxy


THEORY = Theory(VOCABULARY, cases, refused)
