"""What class maps must score. Settings that are read: `eval_size`, `absent_class` (as in `semantic`; photographs' own
size and "nan", which leaves a class that is nowhere out of means, where a protocol has none).

Numbers come from a confusion counted here, or by hand: one class said everywhere has as its IoU the share f of its
pixels, all others have none, so mIoU is f / C; a random class is right at 1 / C of the pixels and its IoU is
(f / C) / (f + 1 / C - f / C).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.randomness import numpy_generator
from addp_bench.types import UNLABELLED, Sample

from .planted import SIZES, SURE, Case, Theory, judged_sizes, sample, samples_of, swapped

VOCABULARY = ("wall", "floor", "bed", "sky", "lamp")
C = len(VOCABULARY)
SHARES = (0.35, 0.3, 0.2, 0.1, 0.05)  # of the classes, in truths
MEANS = ("miou", "macc", "aacc", "fwiou", "miou_images")
EACH = tuple(f"iou_{name}" for name in VOCABULARY)


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    sizes = judged_sizes(evaluator, settings, lambda size: np.zeros(size, np.int64))
    rng = numpy_generator("checks", "labels of theory")
    truths = [rng.choice(C, size, p=SHARES) for _ in range(3) for size in sizes for _ in range(2)]
    for k, truth in enumerate(truths):  # photographs differ in how much is known, and in what is there
        truth[: k * 5] = UNLABELLED
        truth[truth == k % C] = (k + 1) % C
    split = samples_of("labels", truths)

    def against(name: str, answers: Sequence[np.ndarray], costs: str = "") -> Case:
        return Case(name, split, answers, _numbers(list(zip(truths, answers)), settings), costs=costs)

    known = [t != UNLABELLED for t in truths]
    yield Case("the truth", split, truths, dict.fromkeys((*MEANS, *EACH), 1.0))
    yield Case(
        "no class anywhere",
        split,
        [np.full_like(t, UNLABELLED) for t in truths],
        dict.fromkeys((*MEANS, *EACH), 0.0),
    )
    yield Case(
        "the class after the true one", split, [(t + 1) % C for t in truths], dict.fromkeys((*MEANS, *EACH), 0.0)
    )
    f = sum(int((t == 1).sum()) for t in truths) / sum(int(k.sum()) for k in known)
    constant = {"miou": f / C, "macc": 1 / C, "aacc": f, "fwiou": f * f, **dict.fromkeys(EACH, 0.0), EACH[1]: f}
    yield Case("one class everywhere", split, [np.ones_like(t) for t in truths], constant)
    yield against("a random class", [rng.integers(0, C, t.shape) for t in truths])
    yield against("another sample's truth", [np.where(t == UNLABELLED, 0, t) for t in swapped(truths)])
    rubbish = [np.where(k, t, rng.integers(0, C, t.shape)) for k, t in zip(known, truths)]
    yield Case("the truth, and something where nobody knows", split, rubbish, dict.fromkeys((*MEANS, *EACH), 1.0))
    worse = [np.where(np.indices(t.shape).sum(0) % 2, t, np.where(t == UNLABELLED, t, (t + 1) % C)) for t in truths]
    yield against("a wrong class at every other pixel", worse, "a wrong class costs")

    size = sizes[0]
    yield _absent(rng.choice(C - 1, size), settings)
    yield _false(rng.choice(C - 1, size), settings)
    yield _random(size, rng)
    nobody = np.full(size, UNLABELLED)
    yield Case(
        "photographs of which nobody knows a class",
        samples_of("unknown", [nobody]),
        [np.zeros(size, np.int64)],
        dict.fromkeys((*MEANS, *EACH), math.nan),
    )
    yield _resized(settings)


def _numbers(pairs: Sequence[tuple[np.ndarray, np.ndarray]], settings: Mapping[str, Any]) -> dict[str, float]:
    """Of (truth, answer) class maps."""
    each = [_confusion(g, p) for g, p in pairs]
    whole = np.sum(each, axis=0)
    ious = _ious(whole)
    true = whole.sum(1)
    accuracies = [whole[c, c] / true[c] if true[c] else math.nan for c in range(C)]
    images = [np.mean([iou for c, iou in enumerate(_ious(one)) if one[c].sum()]) for one in each]
    return {
        "miou": _mean(ious, settings),
        "macc": _mean(accuracies, settings),
        "aacc": float(np.trace(whole[:, :C]) / true.sum()),
        "fwiou": float(sum(t * iou for t, iou in zip(true, ious) if t) / true.sum()),
        "miou_images": float(np.mean(images)),
        **dict(zip(EACH, ious)),
    }


def _confusion(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(C, C + 1): pixels of a true class, by the class that was said; the last column for what is no class."""
    found = np.zeros((C, C + 1))
    for c in range(C):
        said = answer[truth == c]
        found[c] = [*((said == k).sum() for k in range(C)), ((said < 0) | (said >= C)).sum()]
    return found


def _ious(confusion: np.ndarray) -> list[float]:
    """Of each class; nan for one that is neither there nor said."""
    unions = [confusion[c].sum() + confusion[:, c].sum() - confusion[c, c] for c in range(C)]
    return [float(confusion[c, c] / union) if union else math.nan for c, union in enumerate(unions)]


def _mean(values: Sequence[float], settings: Mapping[str, Any]) -> float:
    """Over classes: those that are 0 / 0 left out, or counted as 0."""
    zero = settings.get("absent_class", "nan") == "zero"
    counted = [0.0 if math.isnan(v) else v for v in values if zero or not math.isnan(v)]
    return sum(counted) / len(counted)


def _absent(truth: np.ndarray, settings: Mapping[str, Any]) -> Case:
    mean = (C - 1) / C if settings.get("absent_class", "nan") == "zero" else 1.0
    due = {**dict.fromkeys((*MEANS, *EACH), 1.0), "miou": mean, "macc": mean, EACH[-1]: math.nan}
    return Case("the truth where one class is nowhere", samples_of("absent", [truth]), [truth], due)


def _false(truth: np.ndarray, settings: Mapping[str, Any]) -> Case:
    """A class that is nowhere, said at half of the pixels: an IoU of 0 that counts, and no accuracy."""
    answer = np.where(np.indices(truth.shape).sum(0) % 2, truth, C - 1)
    due = _numbers([(truth, answer)], settings)
    return Case("a class that is nowhere at half the pixels", samples_of("false", [truth]), [answer], due)


def _random(size: tuple[int, int], rng: np.random.Generator) -> Case:
    count = 8
    truths, answers = list(rng.choice(C, (count, *size), p=SHARES)), list(rng.integers(0, C, (count, *size)))
    n = count * size[0] * size[1]
    unions = [f + 1 / C - f / C for f in SHARES]
    ious = [f / C / union for f, union in zip(SHARES, unions)]
    errors = [SURE * math.sqrt(iou * (1 - iou) / (n * union)) for iou, union in zip(ious, unions)]
    accuracy = [SURE * math.sqrt((1 / C) * (1 - 1 / C) / (n * f)) for f in (1.0, *SHARES)]
    return Case(
        "a random class: accuracy 1 / C, IoU (f / C) / (f + 1 / C - f / C)",
        samples_of("random", truths),
        answers,
        {"aacc": 1 / C, "macc": 1 / C, "miou": sum(ious) / C, **dict(zip(EACH, ious))},
        {"aacc": accuracy[0], "macc": sum(accuracy[1:]) / C, "miou": sum(errors) / C, **dict(zip(EACH, errors))},
    )


def _resized(settings: Mapping[str, Any]) -> Case:
    """Two halves crosswise, of photographs that a protocol may resize: each class has a quarter of three."""
    size = 2 * SIZES[0][0], 2 * SIZES[0][1]
    rows, columns = np.indices(size)
    truth, answer = (rows < size[0] // 2).astype(np.int64), (columns < size[1] // 2).astype(np.int64)
    iou, half = [1 / 3, 1 / 3, *[math.nan] * (C - 2)], [0.5, 0.5, *[math.nan] * (C - 2)]
    due = {
        "miou": _mean(iou, settings),
        "macc": _mean(half, settings),
        "aacc": 0.5,
        "fwiou": 1 / 3,
        "miou_images": 1 / 3,
    }
    return Case("two halves crosswise, at another size", [sample("resized", truth, size)], [answer], due)


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    size = SIZES[0]
    one = sample("refused", np.zeros(size, np.int64), size)
    yield "NaN at one pixel", one, np.where(np.eye(*size), np.nan, 1.0)
    yield "a score at every pixel", one, np.full(size, 0.5)
    yield "three axes", one, np.zeros((1, *size), np.int64)
    if evaluator.drawing_size(one) is not None:
        yield "height and width exchanged", one, np.zeros(size[::-1], np.int64)


THEORY = Theory(VOCABULARY, cases, refused)
