"""Which differences are real: intervals, paired comparisons and tiers, from sufficient statistics alone.

Images are resampled as wholes (clusters), because expressions of one photograph are not independent. All runs of a
panel are resampled alike, so their differences are paired. How seeds and images make one interval is said in
`variances`. Fewer than three seeds speak of checkpoints, not of a method. What all this covers is simulated by
benchmarks/intervals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from addp_bench.errors import BadOption, NothingSelected
from addp_bench.metrics import OfSums
from addp_bench.protocols import Metric
from addp_bench.randomness import numpy_generator
from addp_bench.statistics import Statistics

from .pairs import Spread
from .variances import Estimate, Variance

RESAMPLES = 5000
LEVEL = 0.95
SEEDS_OF_A_METHOD = 3
_BLOCK = 250  # resamples drawn at a time; part of the stream's name, so resample r is the same whatever their number


@dataclass(frozen=True)
class Runs:
    """The runs of one row of a table, equal in everything but their seed. trained: False where no seed was trained."""

    by_seed: Mapping[int, Statistics]
    trained: bool = True

    @property
    def about(self) -> Literal["method", "checkpoint"]:
        """What a verdict on them speaks of."""
        return about(len(self.by_seed), self.trained)


@dataclass(frozen=True)
class Interval:
    """value and its interval [low, high] at `level`, in the metric's stored unit; nan where there is no value.

    seeds, samples, clusters: what it rests on. resamples: those that gave a value.
    """

    value: float
    low: float
    high: float
    level: float
    seeds: int
    samples: int
    clusters: int
    resamples: int


@dataclass(frozen=True)
class Difference(Interval):
    """One row minus another on the samples both have. p: two-sided, uncorrected. about: what the verdict speaks of."""

    p: float
    about: Literal["method", "checkpoint"]


class Panel:
    """Rows judged by one metric on the samples that all of them have, under the same resamples.

    Raises NothingSelected when no sample is common to all runs, BadOption for fewer than two resamples.
    """

    def __init__(self, metric: Metric, rows: Sequence[Runs], *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        if resamples < 2:
            raise BadOption(f"{resamples} resamples cannot give an interval; use some hundreds at least")
        self.metric, self.rows, self.resamples, self.seed = metric, rows, resamples, seed
        columns, image_ids = _common([run for row in rows for run in row.by_seed.values()])
        names, cluster = np.unique(image_ids, return_inverse=True)
        self.samples, self.clusters = len(image_ids), len(names)
        ends = np.cumsum([len(row.by_seed) for row in rows])
        of_row = [slice(end - len(row.by_seed), end) for row, end in zip(rows, ends)]
        values = np.array([float(metric.value(run)) for run in columns])
        self._values = [dict(zip(row.by_seed, values[runs])) for row, runs in zip(rows, of_row)]
        self.means = np.array([values[runs].mean() for runs in of_row])  # (K,) mean over seeds
        self._of_row, self._resampled_value = of_row, _resampler(metric, columns, cluster, self.clusters)

    def interval(self, row: int, level: float = LEVEL) -> Interval:
        """The interval of one row: percentiles of the bootstrap for one seed, see the module for several."""
        return Interval(*self._interval([row], level))

    def difference(self, row: int, reference: int, level: float = LEVEL) -> Difference:
        """row minus reference, paired by sample, and by seed where both have the same seeds.

        p is two-sided: from the share of resamples beyond 0 for one seed (from the normal tail of the same bootstrap
        where none is), from the t distribution for several.
        """
        basis = self._interval([row, reference], level)
        about = min((self.rows[k].about for k in (row, reference)), key=("checkpoint", "method").index)
        return Difference(*basis, p=self._p(row, reference), about=about)

    def variance(self, row: int, reference: int | None = None) -> Variance:
        """Of a row, or of row minus reference: what seeds and images add to it."""
        return self._estimate([row] if reference is None else [row, reference]).variance

    def differences(self, reference: int) -> list[tuple[Difference, float] | None]:
        """Every row's difference from `reference` with its Holm-corrected p; None for the reference itself."""
        others = [k for k in range(len(self.rows)) if k != reference]
        found = {k: self.difference(k, reference) for k in others}
        corrected = dict(zip(others, holm([d.p for d in found.values()])))
        return [(found[k], corrected[k]) if k in found else None for k in range(len(self.rows))]

    def tiers(self, among: Sequence[int] | None = None, alpha: float = 1 - LEVEL) -> list[int | None]:
        """Tier of each row, 1 the best; None for rows that are not `among` those placed (all of them by default).

        Among the rows not yet placed the best opens a tier, is compared with all the others, and takes in those it is
        not separated from (Holm-corrected p > alpha).
        """
        better = 1 if self.metric.higher_is_better else -1
        tier: list[int | None] = [None] * len(self.rows)
        left = sorted(range(len(self.rows)) if among is None else among, key=lambda k: -better * self.means[k])
        number = 0
        while left:
            number += 1
            best, *others = left
            p = holm([self._p(k, best) for k in others])
            tier[best] = number
            for k, corrected in zip(others, p):
                if corrected > alpha:
                    tier[k] = number
            left = [k for k in others if tier[k] is None]
        return tier

    def ranks(self, among: Sequence[int] | None = None, alpha: float = 1 - LEVEL) -> list[tuple[int, int] | None]:
        """The first and the last rank, 1 the best, that each row may have; None for rows that are not `among` those
        ranked (all of them by default).

        Every row is tested against every other, Holm-corrected over the tests that it takes part in. Its rank lies
        between 1 + the better rows and K - the worse rows that it is separated from, with at least 1 - alpha, ties and
        all (the marginal sets of Mogstad, Romano, Shaikh and Wilhelm, 2024). Percentiles of the rank over resamples
        would be narrower, and wrong where rows are close: a resample adds noise to a table that has noise already.
        """
        placed = np.arange(len(self.rows)) if among is None else np.asarray(among, np.int64)
        if not len(placed):
            return [None] * len(self.rows)
        better = 1 if self.metric.higher_is_better else -1
        values = better * self.means[placed]
        resampled = [self._resampled[:, self._of_row[k]] for k in placed]
        tested = Spread(resampled, [self._values[k] for k in placed], self.clusters).p(values)
        ranks: list[tuple[int, int] | None] = [None] * len(self.rows)
        for at, k in enumerate(placed):
            others = np.delete(np.arange(len(placed)), at)
            apart = values[others[np.array(holm(tested[at, others])) <= alpha]]
            ranks[k] = 1 + int((apart > values[at]).sum()), len(placed) - int((apart < values[at]).sum())
        return ranks

    def contrast(self, weights: np.ndarray, level: float = LEVEL) -> Difference:
        """The sum of weights (K,) x rows, which add up to 0, with its interval and p, as for a difference.

        Paired by sample, and by seed: the rows that count have the same seeds (ValueError).
        """
        parts = [int(k) for k in np.flatnonzero(weights)]
        if len({tuple(sorted(self._values[k])) for k in parts}) > 1:
            raise ValueError("a contrast needs rows of the same seeds")
        seeds = list(self._values[parts[0]])
        values = np.zeros(len(seeds))
        resampled = np.zeros((self.resamples, len(seeds)))
        for k in parts:
            at = [list(self._values[k]).index(seed) for seed in seeds]
            values += weights[k] * np.array([self._values[k][seed] for seed in seeds])
            resampled += weights[k] * self._resampled[:, self._of_row[k]][:, at]
        found = Estimate([values], [resampled], self.clusters)
        about = min((self.rows[k].about for k in parts), key=("checkpoint", "method").index)
        return Difference(*self._basis(found, parts, level), p=found.p, about=about)

    @cached_property
    def _resampled(self) -> np.ndarray:
        """(R, M): each run in each resample."""
        values = np.empty((self.resamples, self._of_row[-1].stop), order="F")
        for block, start in enumerate(range(0, self.resamples, _BLOCK)):
            counts = resample_counts(self.clusters, self.seed, block)[: self.resamples - start]
            values[start : start + _BLOCK] = self._resampled_value(counts)
        return values

    def _estimate(self, rows: Sequence[int]) -> Estimate:
        """A row, or the first of two minus the second: seed by seed where they have the same."""
        values = [np.array(list(self._values[k].values())) for k in rows]
        resampled = [self._resampled[:, self._of_row[k]] for k in rows]
        if len(rows) == 1 or self._values[rows[0]].keys() != self._values[rows[1]].keys():
            return Estimate(values, resampled, self.clusters)
        return Estimate([values[0] - values[1]], [resampled[0] - resampled[1]], self.clusters)

    def _interval(self, rows: Sequence[int], level: float) -> tuple[float, float, float, float, int, int, int, int]:
        return self._basis(self._estimate(rows), rows, level)

    def _basis(
        self, found: Estimate, rows: Sequence[int], level: float
    ) -> tuple[float, float, float, float, int, int, int, int]:
        seeds = min(len(self.rows[k].by_seed) for k in rows)
        return (found.value, *found.ends(level), level, seeds, self.samples, self.clusters, len(found.resampled))

    def _p(self, row: int, reference: int) -> float:
        return self._estimate([row, reference]).p


def about(seeds: int, trained: bool) -> Literal["method", "checkpoint"]:
    """What a verdict speaks of: a method needs three seeds, unless nothing was trained."""
    return "method" if seeds >= SEEDS_OF_A_METHOD or not trained else "checkpoint"


def interval(
    metric: Metric, runs: Runs, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of one row."""
    return Panel(metric, [runs], resamples=resamples, seed=seed).interval(0, level)


def difference(
    metric: Metric, ours: Runs, theirs: Runs, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """ours minus theirs on the samples both have. Raises NothingSelected when they have none."""
    return Panel(metric, [ours, theirs], resamples=resamples, seed=seed).difference(0, 1, level)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction (1979): p of m hypotheses, each as if it were the only one, in their order. nan counts as 1."""
    values = np.nan_to_num(np.asarray(p, np.float64), nan=1.0)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(c) for c in corrected]


def resample_counts(clusters: int, seed: int, block: int) -> np.ndarray:
    """How often each of C clusters stands in each of the resamples of a block: (250, C) float64, rows add up to C.

    The same for all cells with as many clusters, which is what pairs them.
    """
    stream = numpy_generator("bootstrap", seed, clusters, block)
    drawn = stream.integers(0, clusters, size=(_BLOCK, clusters), dtype=np.int32).astype(np.int64)
    drawn += np.arange(_BLOCK)[:, None] * clusters
    counted = np.bincount(drawn.ravel(), minlength=_BLOCK * clusters)
    return counted.reshape(_BLOCK, clusters).astype(np.float64)


def _resampler(
    metric: Metric, runs: Sequence[Mapping[str, np.ndarray]], cluster: np.ndarray, clusters: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Cluster counts (B, C) -> the metric of each of M runs (B, M).

    A metric that is made of sums is summed within clusters first, and all runs are then one matrix product. Any other
    is asked with the counts of its samples.
    """
    if not isinstance(metric, OfSums):
        return lambda counts: np.stack([metric.value(run, counts[:, cluster]) for run in runs], axis=1)
    parts = [[np.bincount(cluster, part, clusters) for part in metric.addends(run).T] for run in runs]
    sums = np.array(parts)  # (M, S, C)
    each = np.ascontiguousarray(sums.reshape(-1, clusters).T)
    return lambda counts: metric.of_sums((counts @ each).reshape(len(counts), len(runs), -1))


def chosen(statistics: Statistics, rows: np.ndarray) -> Statistics:
    """Some samples of all: rows (N,) bool, or their numbers in the order wanted. Attributes are left behind."""
    columns = {name: column[rows] for name, column in statistics.columns.items()}
    return Statistics(statistics.ids[rows], statistics.image_ids[rows], columns)


def only(statistics: Statistics, ids: np.ndarray) -> Statistics:
    """The samples of these ids, in their order. Raises KeyError where one is missing."""
    place = {sample: i for i, sample in enumerate(statistics.ids.tolist())}
    return chosen(statistics, np.array([place[sample] for sample in ids.tolist()]))


def _common(runs: Sequence[Statistics]) -> tuple[list[Mapping[str, np.ndarray]], np.ndarray]:
    """Columns of each run on the samples all of them have, in one order, and the image ids of these (N,)."""
    first = runs[0]
    if all(run.ids is first.ids or np.array_equal(run.ids, first.ids) for run in runs[1:]):
        if not len(first):
            raise NothingSelected("no sample was scored, so there is nothing to resample")
        return [run.columns for run in runs], first.image_ids
    shared = set(first.ids.tolist()).intersection(*(run.ids.tolist() for run in runs[1:]))
    if not shared:
        raise NothingSelected(f"the {len(runs)} runs have no sample in common; compare cells of one dataset and split")
    ordered = sorted(shared)
    rows = []
    for run in runs:
        place = {sample: i for i, sample in enumerate(run.ids.tolist())}
        rows.append(np.array([place[sample] for sample in ordered]))
    columns: list[Mapping[str, np.ndarray]] = [
        {name: column[at] for name, column in run.columns.items()} for run, at in zip(runs, rows)
    ]
    return columns, first.image_ids[rows[0]]
