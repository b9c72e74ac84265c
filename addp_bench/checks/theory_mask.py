"""What masks must score. Settings that are read: `eval_size`, `pr_comparator`, `empty_empty`, `no_target` (as in `ris`;
photographs' own size, ">=", 0 and the same where a protocol has none).

Numbers come from counting pixels here, or by hand: a random mask of density q against a random truth of density p
meets it in p q of the pixels and together they cover p + q - p q of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.randomness import numpy_generator
from addp_bench.types import Sample

from .planted import SIZES, SURE, Case, Theory, judged_sizes, sample, samples_of, swapped

TENTHS = range(5, 10)  # of an IoU, from which an answer counts as precise


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    sizes = judged_sizes(evaluator, settings, lambda size: np.zeros(size, bool))
    rng = numpy_generator("checks", "masks of theory")
    truths = [rng.random(size) < p for density in (0.1, 0.3, 0.2) for size in sizes for p in (density, 0.8 - density)]
    split = samples_of("masks", truths)

    def against(name: str, answers: Sequence[np.ndarray], costs: str = "") -> Case:
        return Case(name, split, answers, _numbers(list(zip(truths, answers)), settings), costs=costs)

    nothing, everything = [np.zeros_like(t) for t in truths], [np.ones_like(t) for t in truths]
    ids = ["oiou", "miou", *(f"pr{tenth}0" for tenth in TENTHS)]
    yield Case("the truth", split, truths, dict.fromkeys(ids, 1.0))
    yield Case("an empty mask", split, nothing, dict.fromkeys(ids, 0.0))
    yield Case("the truth inverted", split, [~t for t in truths], dict.fromkeys(ids, 0.0))
    yield against("the whole photograph", everything)
    yield against("a random mask", [rng.random(t.shape) < 0.3 for t in truths])
    yield against("another sample's truth", swapped(truths))
    half = [k % 2 == 0 for k in range(len(truths))]
    yield against("nothing for half of them", _mixed(half, nothing, truths), "a missed object costs")
    low = [bool(t.mean() < 0.5) for t in truths]
    yield against("everything for half of them", _mixed(low, everything, truths), "a mask too large costs")

    size = sizes[0]
    block = np.zeros(size, bool)
    block[2:12, 3:13] = True
    yield _thresholds(block, settings)
    yield _large_and_small(block)
    yield _random(size, rng)
    yield from _without_target(block, settings)
    yield _resized()


def _mixed(rows: Sequence[bool], one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return [a if row else b for row, a, b in zip(rows, one, other)]


def _numbers(pairs: Sequence[tuple[np.ndarray, np.ndarray]], settings: Mapping[str, Any]) -> dict[str, float]:
    """Of (truth, answer) masks, each truth with a target."""
    counts = [(int((g * p).sum()), int(np.maximum(g, p).sum())) for g, p in pairs]
    ious = [i / u for i, u in counts]
    return {
        "oiou": sum(i for i, _ in counts) / sum(u for _, u in counts),
        "miou": sum(ious) / len(ious),
        **_precise(ious, settings),
    }


def _precise(ious: Sequence[float], settings: Mapping[str, Any]) -> dict[str, float]:
    """Share of IoUs from each tenth on, the tenth itself counted or not as the protocol says."""
    above = settings.get("pr_comparator", ">=") == ">="
    passed = {t: [iou > t / 10 or (above and iou == t / 10) for iou in ious] for t in TENTHS}
    return {f"pr{t}0": sum(each) / len(ious) for t, each in passed.items()}


def _thresholds(block: np.ndarray, settings: Mapping[str, Any]) -> Case:
    """A block of ten rows, of which five to nine are found: IoUs of exactly 0.5 to 0.9."""
    answers = []
    for rows in TENTHS:
        part = block.copy()
        part[2 + rows :] = False
        answers.append(part)
    ious = [rows / 10 for rows in TENTHS]
    return Case(
        "IoUs of exactly 0.5, 0.6, 0.7, 0.8 and 0.9",
        samples_of("tenths", [block] * len(answers)),
        answers,
        {"oiou": 0.7, "miou": 0.7, **_precise(ious, settings)},
    )


def _large_and_small(block: np.ndarray) -> Case:
    """Half of a block of 100 pixels, and all of half a photograph."""
    large = np.zeros_like(block)
    large[: len(large) // 2] = True
    part, area = block.copy(), int(large.sum())
    part[7:] = False
    due = {"oiou": (50 + area) / (100 + area), "miou": 0.75}
    return Case("half of a small object, all of a large one", samples_of("unequal", [block, large]), [part, large], due)


def _random(size: tuple[int, int], rng: np.random.Generator) -> Case:
    p, q, count = 0.4, 0.3, 8
    truths, answers = (list(rng.random((count, *size)) < density) for density in (p, q))
    union = p + q - p * q
    iou = p * q / union
    error = SURE * math.sqrt(iou * (1 - iou) / (count * size[0] * size[1] * union))
    due = {"oiou": iou, "miou": iou}
    name = "a random mask of density 0.3 against truths of density 0.4: p q / (p + q - p q)"
    return Case(name, samples_of("random", truths), answers, due, dict.fromkeys(due, error))


def _without_target(block: np.ndarray, settings: Mapping[str, Any]) -> Iterator[Case]:
    """An object that is found; no object, and none found; no object, and everything found."""
    none, every = np.zeros_like(block), np.ones_like(block)
    rule = settings.get("empty_empty", 0) if settings.get("no_target") is None else settings["no_target"]
    silence = [] if rule == "skip" else [float(rule)]
    for name, answers, ious, n_acc in (
        ("silence", [none, none], 2 * silence, 1.0),
        ("noise", [every, every], [0.0, 0.0], 0.0),
        ("silence and noise", [none, every], [*silence, 0.0], 0.5),
    ):
        false = sum(int(answer.sum()) for answer in answers)
        due = {"oiou": 100 / (100 + false), "miou": (1 + sum(ious)) / (1 + len(ious)), "n_acc": n_acc}
        split = samples_of("targets", [block, none, none])
        yield Case(f"{name} where there is no object", split, [block, *answers], due)


def _resized() -> Case:
    """The left half for the upper half of photographs that a protocol may resize: a quarter of three."""
    size = 2 * SIZES[0][0], 2 * SIZES[0][1]
    rows, columns = np.indices(size)
    truth, answer = rows < size[0] // 2, columns < size[1] // 2
    split = [sample("resized", truth, size)]
    return Case("the left half for the upper half, at another size", split, [answer], {"oiou": 1 / 3, "miou": 1 / 3})


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    size = SIZES[0]
    one = sample("refused", np.ones(size, bool), size)
    yield "NaN at one pixel", one, np.where(np.eye(*size), np.nan, 1.0)
    yield "probabilities", one, np.full(size, 0.5)
    yield "three axes", one, np.ones((1, *size), bool)
    if evaluator.drawing_size(one) is not None:
        yield "height and width exchanged", one, np.ones(size[::-1], bool)


THEORY = Theory((), cases, refused)
