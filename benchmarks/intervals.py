"""Do the intervals hold? What is true is known here, and the program's own intervals and tests are asked.

    python benchmarks/intervals.py [--repetitions 1000] [--resamples 1000] [--images 200] [--seeds 1 3 5]
        [--only mean oIoU mIoU AP50 A/A]

Photographs are drawn from a population, with one to four expressions each that share its difficulty. A run's ability
at a photograph is made of that difficulty, of what its seed does everywhere, and of what its seed does there (the
interaction). One seed speaks of a checkpoint: its interval must cover what that run would reach on all photographs.
Several speak of a method: theirs must cover the mean over all seeds too. What is true comes from 200 000 photographs
(AP: 100 000) and, over seeds, from Gauss-Hermite quadrature.

A/A comparisons are made of records/standard: photographs of one row are resampled, and each run takes its answers from
the row's seeds at random, so that nothing tells the sides apart. Of 500 tests at 5 %, 99 of 100 such series reject at
most 37.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.average_precision import IOUS, AveragePrecision
from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums
from addp_bench.protocols import Metric
from addp_bench.records import load_all, metric_of
from addp_bench.results.selection import rows_of
from addp_bench.results.uncertainty import Panel, Runs
from addp_bench.statistics import Ragged, Statistics

STANDARD = Path(__file__).parent / "records" / "standard"
Draw = Callable[[np.random.Generator, np.ndarray], Sequence[Statistics]]


@dataclass(frozen=True)
class World:
    """draw: ability (M, C) of M runs at C photographs, on the logit scale -> their statistics. large: photographs from
    which what is true is made."""

    name: str
    metric: Metric
    draw: Draw
    large: int = 200_000
    share: float = 1.0


@dataclass(frozen=True)
class Spread:
    """Standard deviations on the logit scale: of seeds everywhere, and of a seed at a photograph."""

    name: str
    seed: float
    there: float


SPREADS = (Spread("seeds alike", 0.0, 0.6), Spread("seeds differ", 0.3, 0.6), Spread("no interaction", 0.3, 0.0))
OF_PHOTOGRAPHS = 1.2
GAIN = 0.3  # of the second of two methods


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


# ------------------------------------------------------------------------------------------------------ worlds


def expressions(rng: np.random.Generator, ability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photograph of each expression (N,), and what part of its object each run finds there (M, N)."""
    of = np.repeat(np.arange(ability.shape[1]), rng.integers(1, 5, ability.shape[1]))
    hard, luck = rng.normal(0, 0.5, len(of)), rng.normal(0, 0.3, (len(ability), len(of)))
    return of, sigmoid(ability[:, of] + hard + luck)


def named(of: np.ndarray, columns: Sequence[Mapping[str, Any]]) -> list[Statistics]:
    ids, images = np.arange(len(of)).astype(np.str_), of.astype(np.str_)
    return [Statistics(ids, images, each) for each in columns]


def scores(rng: np.random.Generator, ability: np.ndarray) -> list[Statistics]:
    of, found = expressions(rng, ability)
    return named(of, [{"iou": each} for each in found])


def masks(rng: np.random.Generator, ability: np.ndarray) -> list[Statistics]:
    """Areas are lognormal, and alike within a photograph; what a run misses it paints elsewhere."""
    of, found = expressions(rng, ability)
    area = np.exp(rng.normal(0, 0.6, ability.shape[1])[of] + rng.normal(0, 0.3, len(of)))
    return named(of, [{"intersection": each * area, "union": (2 - each) * area} for each in found])


def maps(rng: np.random.Generator, ability: np.ndarray, classes: int = 6) -> list[Statistics]:
    """Each photograph has some of the classes; what is missed of one is taken for the next."""
    count = ability.shape[1]
    area = rng.gamma(0.7, size=(classes, count)) * (rng.random((classes, count)) < 0.5)
    area[0] += 0.1  # a photograph is not empty
    rows = []
    for run in ability:
        kept = area * sigmoid(run + rng.normal(0, 0.5, (classes, count)))
        union = area + np.roll(area - kept, 1, axis=0)
        families = (("intersection", kept), ("union", union))
        rows.append({f"{name}.{k}": part[k] for name, part in families for k in range(classes)})
    return named(np.arange(count), rows)


def boxes(rng: np.random.Generator, ability: np.ndarray, classes: int = 3) -> list[Statistics]:
    """Objects of three classes that are found or not, how well (the IoUs that they pass), and false alarms."""
    count = ability.shape[1]
    there = rng.poisson(1.0, (count, classes))
    home, label = (np.repeat(axis.ravel(), there.ravel()) for axis in np.indices(there.shape))
    present = np.nonzero(there)
    truth = {
        "truth_class": ragged(present[0], present[1], count),
        "truth_all": ragged(present[0], there[present], count),
    }
    rows = []
    for run in ability:
        sure = run[home] + rng.normal(0, 0.7, len(home))
        passed = (sigmoid(sure)[:, None] + 0.35 > IOUS).sum(1)
        false = rng.poisson(1.0, count)
        image = np.concatenate([home, np.repeat(np.arange(count), false)])
        kind = np.concatenate([label, rng.integers(0, classes, false.sum())])
        score = sigmoid(np.concatenate([sure + rng.normal(0, 1, len(home)), rng.normal(-1, 1, false.sum())]))
        state = np.concatenate([(1 << passed) - 1, np.zeros(false.sum(), int)])
        order = np.lexsort((-score, kind, image))
        found = (("found_class", kind), ("found_score", score), ("found_all", state))
        rows.append({**truth, **{name: ragged(image[order], column[order], count) for name, column in found}})
    return named(np.arange(count), rows)


def ragged(image: np.ndarray, values: np.ndarray, count: int) -> Ragged:
    """Values (D,) that lie by photograph."""
    begin = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=count))]).astype(np.int64)
    return Ragged(values.astype(np.float64), begin)


WORLDS = (
    World("mean", MeanOf(id="miou", label="mIoU", column="iou"), scores),
    World("oIoU", RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union"), masks),
    World("mIoU", MeanOfRatios(id="miou", label="mIoU", numerator="intersection", denominator="union"), maps),
    World("AP50", AveragePrecision(id="ap50", label="AP50", iou=0), boxes, large=100_000, share=0.25),
)


# ---------------------------------------------------------------------------------------------------- coverage


def runs(rng: np.random.Generator, world: World, seeds: int, images: int, spread: Spread) -> list[Runs]:
    """Two methods on the same photographs, the second better by GAIN. One seed is a checkpoint: its own effect is 0."""
    image = rng.normal(0, OF_PHOTOGRAPHS, images)
    effect = rng.normal(0, spread.seed, (2, seeds, 1)) * (seeds > 1)
    ability = image + effect + rng.normal(0, spread.there, (2, seeds, images)) + np.array([0, GAIN])[:, None, None]
    made = world.draw(rng, ability.reshape(2 * seeds, images))
    return [Runs(dict(enumerate(made[k * seeds : (k + 1) * seeds]))) for k in range(2)]


@cache
def truth(world: World, spread: Spread, several: bool) -> tuple[float, float]:
    """What each of the two methods reaches on all photographs, in the mean over seeds where there are several."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    if not several or not spread.seed:
        nodes, weights = np.zeros(1), np.ones(1)
    found = []
    for gain in (0.0, GAIN):
        values = []
        for node in nodes:
            rng = np.random.default_rng(1)  # the same photographs for both, or their difference would be less sure
            ability = rng.normal(0, np.hypot(OF_PHOTOGRAPHS, spread.there), world.large) + spread.seed * node + gain
            values.append(float(world.metric.value(world.draw(rng, ability[None])[0].columns)))
        found.append(float(np.average(values, weights=weights)))
    return found[0], found[1]


@dataclass(frozen=True)
class Coverage:
    """Shares of repetitions in which the interval of a row, and that of a difference, held what is true."""

    row: float
    difference: float


def coverage(
    world: World, seeds: int, spread: Spread, *, images: int = 200, repetitions: int = 1000, resamples: int = 1000
) -> Coverage:
    """Ask the program for its intervals, again and again."""
    first, second = truth(world, spread, seeds > 1)
    held = np.zeros(2)
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, seeds, images])
        panel = Panel(world.metric, runs(rng, world, seeds, images, spread), resamples=resamples, seed=repetition)
        row, difference = panel.interval(0), panel.difference(1, 0)
        held += [row.low <= first <= row.high, difference.low <= second - first <= difference.high]
    return Coverage(*(float(share) for share in held / repetitions))


# --------------------------------------------------------------------------------------------------------- A/A


def alike(rng: np.random.Generator, row: Sequence[Statistics], groups: int, seeds: int) -> list[Runs]:
    """Groups of runs that nothing tells apart, of real answers.

    Photographs are drawn with replacement from those of a record. A run has a home among the row's seeds, drawn at
    random; at each photograph it answers as its home does, or, every other time, as any of them. A single run of a
    group has no home and answers as any of them: two seeds are two checkpoints, which do differ.
    """
    names, cluster = np.unique(row[0].image_ids, return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    begin = np.searchsorted(cluster[order], np.arange(len(names) + 1))
    picked = rng.integers(0, len(names), len(names))
    rows = np.concatenate([order[begin[k] : begin[k + 1]] for k in picked])
    of = np.repeat(np.arange(len(picked)), np.diff(begin)[picked])
    columns = {name: np.stack([run.columns[name] for run in row])[:, rows] for name in row[0].columns}

    def one() -> dict[str, np.ndarray]:
        home, strays = rng.integers(len(row)), rng.random(len(picked)) < (0.5 if seeds > 1 else 1.0)
        source = np.where(strays, rng.integers(0, len(row), len(picked)), home)[of]
        return {name: column[source, np.arange(len(of))] for name, column in columns.items()}

    made = named(of, [one() for _ in range(groups * seeds)])
    return [Runs(dict(enumerate(made[k * seeds : (k + 1) * seeds]))) for k in range(groups)]


@dataclass(frozen=True)
class Alarms:
    """Of `repetitions`: two of a kind told apart, any of five from a sixth (Holm), two of a kind in two tiers."""

    pair: int
    family: int
    tiers: int
    repetitions: int


def alarms(metric: str, seeds: int, *, repetitions: int = 500, resamples: int = 1000, others: int = 5) -> Alarms:
    """Comparisons in which there is nothing to find."""
    rows = [row for row in rows_of(load_all(STANDARD).records) if len(row.by_seed) == 3]
    counted = np.zeros(3, int)
    for repetition in range(repetitions):
        row = rows[repetition % len(rows)]
        rebuilt = metric_of(row.first, metric)
        assert rebuilt is not None
        rng = np.random.default_rng([repetition, seeds])
        made = alike(rng, [record.statistics for record in row.records], others + 1, seeds)
        family = Panel(rebuilt, made, resamples=resamples, seed=repetition)
        pair = Panel(rebuilt, made[:2], resamples=resamples, seed=repetition)
        tested = [found[1] for found in family.differences(0) if found]
        counted += [pair.difference(1, 0).p <= 0.05, min(tested) <= 0.05, pair.tiers() != [1, 1]]
    return Alarms(*(int(count) for count in counted), repetitions=repetitions)


# --------------------------------------------------------------------------------------------------------- tables


def main() -> None:
    asked = argparse.ArgumentParser(description="Do the intervals hold? See the head of this file.")
    asked.add_argument("--repetitions", type=int, default=1000, help="of each coverage; A/A takes half as many")
    asked.add_argument("--resamples", type=int, default=1000, help="of each interval")
    asked.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 5], help="of each side")
    asked.add_argument("--images", type=int, default=200, help="photographs of each experiment")
    asked.add_argument("--only", nargs="+", default=[*(world.name for world in WORLDS), "A/A"], help="some of the rows")
    given = asked.parse_args()
    print("| metric | seeds | | repetitions | covered: a row | a difference |\n|---|---|---|---|---|---|")
    for world in (world for world in WORLDS if world.name in given.only):
        for seeds in given.seeds:
            for spread in SPREADS if seeds > 1 else SPREADS[:1]:
                found = coverage(
                    world,
                    seeds,
                    spread,
                    images=given.images,
                    repetitions=(many := round(given.repetitions * world.share)),
                    resamples=given.resamples,
                )
                name = spread.name if seeds > 1 else "one checkpoint"
                print(
                    f"| {world.name} | {seeds} | {name} | {many} | {found.row:.1%} | {found.difference:.1%} |",
                    flush=True,
                )
    if "A/A" not in given.only:
        return
    print("\n| A/A, of real answers | seeds | pairs told apart | one of five told apart | in two tiers |")
    print("|---|---|---|---|---|")
    for metric in ("oiou", "miou", "pr50"):
        for seeds in given.seeds:
            met = alarms(metric, seeds, repetitions=given.repetitions // 2, resamples=given.resamples)
            of = f"of {met.repetitions}"
            print(f"| {metric} | {seeds} | {met.pair} {of} | {met.family} {of} | {met.tiers} {of} |", flush=True)


if __name__ == "__main__":
    main()
