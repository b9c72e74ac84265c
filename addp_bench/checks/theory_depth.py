"""What depth maps must score. The setting that is read: `alignment` (as in `depth`; "none" where a protocol has none).

A photograph's depth has two levels that alternate from row to row, so its numbers are those of two pixels, whatever
rows a protocol cuts off; how much of it is known differs, so that a mean over pixels is another number than one over
photographs. Two levels are fitted by any scale and shift. Where these are solved for, a third number comes of errors +e
and -e from column to column: least squares then shrink by v / (v + e^2), v the variance of the levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from addp_bench.randomness import numpy_generator
from addp_bench.types import Depth, Sample

from .planted import SURE, Case, Theory, judged_sizes, sample

LEVELS = ((1.25, 2.625), (2.25, 3.75), (1.5, 4.375), (3.125, 1.875))  # metres, binary fractions; a photograph's two
UNKNOWN = (0.0, 0.25, 0.5, 0.125)  # share of its columns, from the left, of which nothing is known
LOW, HIGH = 0.5, 8.0  # metres between which random depths lie; inside of what any protocol clips
LEFT = 0.4  # share of the known pixels that a crop leaves, at least
CUT = 0.005  # what a crop may change where numbers differ from column to column
Pair = tuple[float, float]  # predicted, true


def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
    alignment = settings.get("alignment", "none")
    sizes = judged_sizes(evaluator, settings, lambda size: np.ones(size, np.float32))
    planted = _Split([sizes[k % len(sizes)] for k in range(len(LEVELS))])
    spaces = {"least_square": ("affine", "metric"), "least_square_disparity": ("disparity", "metric")}
    if alignment == "none":
        yield from _metric(planted)
    for space in spaces.get(alignment, ()):
        yield from _aligned(planted, alignment, space)
    if alignment == "median":
        yield planted.case("the truth", lambda g: g, "metric", _perfect())
        yield planted.case("the truth, twice as far", lambda g: 2 * g, "metric", _perfect())
    yield from planted.unknown(alignment)


class _Split:
    """Photographs of two levels, and answers to them that are functions of the level."""

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self.levels: list[np.ndarray] = []
        self.samples: list[Sample] = []
        for k, (size, (a, b), unknown) in enumerate(zip(sizes, LEVELS, UNKNOWN)):
            level = np.where(np.arange(size[0]) % 2, b, a)[:, None].repeat(size[1], 1).astype(np.float32)
            truth = level.copy()
            truth[:, : int(unknown * size[1])] = 0.0
            self.levels.append(level)
            self.samples.append(sample(f"levels/{k}", truth, size))

    def case(
        self, name: str, said: Callable[[np.ndarray], np.ndarray], space: Any, due: Mapping[str, float], costs: str = ""
    ) -> Case:
        """said: level (H, W) -> what is predicted there, also where the truth is not known."""
        maps = [np.broadcast_to(np.asarray(said(level), np.float32), level.shape) for level in self.levels]
        return self.answered(name, maps, space, due, costs=costs)

    def answered(
        self,
        name: str,
        maps: Sequence[np.ndarray],
        space: Any,
        due: Mapping[str, float],
        within: float = 1e-6,
        costs: str = "",
    ) -> Case:
        return Case(name, self.samples, [Depth(m, space) for m in maps], due, dict.fromkeys(due, within), costs)

    def unknown(self, alignment: str) -> Iterator[Case]:
        """One photograph more of which nothing is known, and it alone: it is in no mean."""
        size = self.levels[0].shape
        nothing = sample("unknown", np.zeros(size, np.float32), (size[0], size[1]))
        ones = np.ones(size, np.float32)
        due = {**dict.fromkeys([*_errors([(1.0, 1.0)]), "negative_scale"], math.nan), "skipped": 1.0}
        yield Case("a photograph of which nothing is known", [nothing], [Depth(ones, "metric")], due)
        several = [*self.samples, nothing]
        answers = [Depth(np.asarray(m), "metric") for m in (*self.levels, ones)]
        mean = {**_perfect(), "skipped": 1 / len(several)}
        yield Case(
            "the truth, and one photograph of which nothing is known", several, answers, mean, dict.fromkeys(mean, 1e-6)
        )


def _metric(split: _Split) -> Iterator[Case]:
    """Nothing is solved for: every number follows from the levels."""

    def of_levels(name: str, said: Sequence[Pair], costs: str = "") -> Case:
        """said: for each photograph what is predicted for its two levels."""
        maps = [
            np.where(level == a, p, q).astype(np.float32) for level, (a, _), (p, q) in zip(split.levels, LEVELS, said)
        ]
        due = _numbers([list(zip(said[k], pair)) for k, pair in enumerate(LEVELS)])
        return split.answered(name, maps, "metric", due, costs=costs)

    yield split.case("the truth", lambda g: g, "metric", _perfect())
    for constant in (2.0, 3.0, 5.0):
        yield of_levels(f"{constant:g} m everywhere", [(constant, constant)] * len(LEVELS))
    mean = float(np.mean(LEVELS))
    yield of_levels("the mean depth everywhere", [(mean, mean)] * len(LEVELS))
    rng = numpy_generator("checks", "depths of theory")
    for k in range(3):
        drawn = rng.uniform(LOW, HIGH, (len(LEVELS), 2)).astype(np.float32).astype(float)
        yield of_levels(f"random depths of each level, {k + 1}", [(p, q) for p, q in drawn.tolist()])
    yield of_levels("near and far exchanged", [(b, a) for a, b in LEVELS])
    yield of_levels("the next photograph's depths", [*LEVELS[1:], LEVELS[0]])
    yield of_levels("all twice as far", [(2 * a, 2 * b) for a, b in LEVELS])
    yield split.case("0 m everywhere", lambda g: 0 * g, "metric", dict.fromkeys(("delta1", "delta2", "delta3"), 0.0))
    for level in chain(*LEVELS):
        wrong = [(2.25 * a if a == level else a, 2.25 * b if b == level else b) for a, b in LEVELS]
        yield of_levels(f"{level:g} m taken for {2.25 * level:g}", wrong, "an error at any depth costs")
    yield _ratios(split.levels[0].shape)
    yield _uniform(split, rng)


def _aligned(split: _Split, alignment: str, space: str) -> Iterator[Case]:
    """Scale and shift are solved for, in depth or in 1 / depth: what they can right counts as right."""
    disparity = alignment == "least_square_disparity"
    named = f" ({'disparity' if disparity else 'depth'}, said as {space})"

    def seen(level: Any) -> Any:
        """In what scale and shift are solved for."""
        return 1 / level if disparity else level

    def given(values: Any) -> Any:
        """The answer that means these values, up to a scale and a shift where the space leaves them open."""
        return seen(values) if space == "metric" else 0.25 * values + 0.125

    straight = {**_perfect(), "negative_scale": 0.0}
    yield split.case("the truth" + named, lambda g: given(seen(g)), space, straight)
    turned = {**straight, "negative_scale": 1.0}
    if space != "metric":
        yield split.case("the truth inverted" + named, lambda g: 3 - given(seen(g)), space, turned)
    means = [0.5 * (seen(a) + seen(b)) for a, b in LEVELS]
    constant = _numbers([[(seen(m), a), (seen(m), b)] for m, (a, b) in zip(means, LEVELS)])
    yield split.case("one depth everywhere" + named, lambda g: 0 * g + 2, space, constant)
    share = 0.4  # of the distance of the levels
    maps, pairs = [], []
    for level, (a, b), mean in zip(split.levels, LEVELS, means):
        off = share * abs(seen(a) - seen(b))
        columns = np.where(np.arange(level.shape[1]) % 2, off, -off)
        maps.append(given(seen(level.astype(float)) + columns).astype(np.float32))
        shrink = (seen(a) - mean) ** 2 / ((seen(a) - mean) ** 2 + off**2)
        pairs.append([(seen(mean + shrink * (seen(g) + e - mean)), g) for g in (a, b) for e in (off, -off)])
    yield split.answered("errors from column to column" + named, maps, space, _numbers(pairs), CUT)


def _numbers(photographs: Sequence[Sequence[Pair]]) -> dict[str, float]:
    """Means over photographs, each of pixels that stand for equally many."""
    each = [_errors(pixels) for pixels in photographs]
    return {**{name: sum(one[name] for one in each) / len(each) for name in each[0]}, "skipped": 0.0}


def _errors(pixels: Sequence[Pair]) -> dict[str, float]:
    n = len(pixels)
    logs = [math.log(p / g) for p, g in pixels]
    square_log = sum(e * e for e in logs) / n
    return {
        "absrel": sum(abs(p - g) / g for p, g in pixels) / n,
        "sqrel": sum((p - g) ** 2 / g for p, g in pixels) / n,
        "rmse": math.sqrt(sum((p - g) ** 2 for p, g in pixels) / n),
        "rmselog": math.sqrt(square_log),
        "log10": sum(abs(math.log10(p / g)) for p, g in pixels) / n,
        "irmse": math.sqrt(sum((1 / p - 1 / g) ** 2 for p, g in pixels) / n),
        "silog": math.sqrt(max(0.0, square_log - (sum(logs) / n) ** 2)),
        **{f"delta{k}": sum(max(p / g, g / p) < 1.25**k for p, g in pixels) / n for k in (1, 2, 3)},
    }


def _perfect() -> dict[str, float]:
    return {**_errors([(1.0, 1.0)]), "skipped": 0.0}


def _ratios(size: Sequence[int]) -> Case:
    """Ratios of exactly 1.25, 1.25^2 and 1.25^3, which are binary fractions: none is below its limit."""
    ratios = [1.25, 1.25**2, 1.25**3]
    truths = [np.full(size, 2.0, np.float32) for _ in ratios]
    split = [sample(f"ratios/{k}", t, (size[0], size[1])) for k, t in enumerate(truths)]
    answers = [Depth(t * np.float32(r), "metric") for t, r in zip(truths, ratios)]
    due = {"delta1": 0.0, "delta2": 1 / 3, "delta3": 2 / 3, "absrel": sum(ratios) / 3 - 1}
    return Case("ratios of exactly 1.25, 1.25² and 1.25³", split, answers, due)


def _uniform(split: _Split, rng: np.random.Generator) -> Case:
    """Any depth from LOW to HIGH at each pixel, each as likely."""
    span = HIGH - LOW
    maps = [rng.uniform(LOW, HIGH, level.shape) for level in split.levels]
    levels = list(chain(*LEVELS))
    # the mean over both sides of g: (g - LOW)^2 / 2 and (HIGH - g)^2 / 2, over span and g
    absrel = [((g - LOW) ** 2 + (HIGH - g) ** 2) / (2 * span * g) for g in levels]
    delta = {k: [(1.25**k * g - g / 1.25**k) / span for g in levels] for k in (1, 2, 3)}
    due = {"absrel": float(np.mean(absrel)), **{f"delta{k}": float(np.mean(v)) for k, v in delta.items()}}
    square = [((g - LOW) ** 3 + (HIGH - g) ** 3) / (3 * span * g * g) for g in levels]
    spread = {"absrel": float(np.mean(np.array(square) - np.square(absrel)))}
    spread |= {f"delta{k}": float(np.mean(np.array(v) * (1 - np.array(v)))) for k, v in delta.items()}
    least = [LEFT * np.count_nonzero(s.truth) for s in split.samples]
    within = {name: SURE * math.sqrt(v * np.mean(1 / np.array(least)) / len(least)) for name, v in spread.items()}
    answers = [Depth(m.astype(np.float32), "metric") for m in maps]
    return Case("any depth at each pixel: ((g - a)² + (b - g)²) / 2 (b - a) g", split.samples, answers, due, within)


def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
    (size, *_) = judged_sizes(evaluator, {}, lambda size: np.ones(size, np.float32))
    one = sample("refused", np.full(size, 2.0, np.float32), size)
    middle = np.indices(size).sum(0) == sum(size) // 2
    for name, bad in (("NaN", np.nan), ("infinity", np.inf)):
        yield f"{name} at some pixels", one, Depth(np.where(middle, bad, 2.0), "metric")
    yield "height and width exchanged", one, Depth(np.full(size[::-1], 2.0), "metric")
    yield "three axes", one, Depth(np.full((1, *size), 2.0), "metric")


THEORY = Theory((), cases, refused)
