"""Whether results got worse: every row of a baseline against the same row of today, metric by metric.

With the paired difference signed so that worse is negative, [low, high] its interval and t the tolerance:

    regressed     high < -t     the interval lies wholly beyond the tolerance, also after Holm's correction
    passed        low >= -t     shown to be within the tolerance
    improved      low > t
    inconclusive  else          shown to be neither

Holm's correction (1979) is over all comparisons of a gate but those of equal statistics, because one alarm stops
everything: uncorrected, forty rows of which nothing changed would raise one in most runs. It is stepped down on the
intervals: with m comparisons those whose interval at level 1 - 0.05 / m lies beyond fall first, then those of the
others at 1 - 0.05 / (m - fallen), and so on. `passed` and `improved` are claims about one row, and read its own 95 %
interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from addp_bench.differences import differences
from addp_bench.errors import BadOption, unknown
from addp_bench.gates.rows import Pair, pairs, told
from addp_bench.metrics import Summed
from addp_bench.protocols import Metric
from addp_bench.records import Record, clean, metric_of
from addp_bench.results.selection import Row
from addp_bench.results.uncertainty import LEVEL, RESAMPLES, Panel, Runs
from addp_bench.statistics import Statistics

Rebuild = Callable[[Record, str], Metric | None]
Word = Literal["passed", "improved", "inconclusive", "regressed", "new failure", "missing", "incomparable", "new"]
FAILING = ("regressed", "new failure", "missing", "incomparable")
ROUNDING = 1e-12  # of sums in another order, relative to the value
_NAMED = 5  # of samples that are gone, so many are named


@dataclass(frozen=True)
class Verdict:
    """One metric of one row. Numbers as stored: in [0, 1] for points, else in `unit`; None where there is none.

    reason: a sentence for whoever reads a failed gate, "" where numbers say all. baseline, value: means over seeds.
    difference, low, high: value minus baseline, paired, with its own 95 % interval. tolerance: what it may lose.
    about: what the verdict speaks of. cells: of today; those of the baseline are `before`.
    """

    row: str
    metric: str
    word: Word
    reason: str = ""
    label: str = ""
    unit: str = ""
    higher_is_better: bool = True
    baseline: float | None = None
    value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    about: Literal["method", "checkpoint"] | None = None
    seeds: int = 0
    cells: Sequence[str] = ()
    before: Sequence[str] = ()

    def fails(self, strict: bool) -> bool:
        """Whether it fails the gate; strict: what is inconclusive does too."""
        return self.word in FAILING or (strict and self.word == "inconclusive")


@dataclass(frozen=True)
class Gate:
    """All verdicts, in the order of the baseline's rows, new rows last. notes: what a reader must know."""

    verdicts: Sequence[Verdict]
    notes: Sequence[str]
    strict: bool = False

    @property
    def failed(self) -> bool:
        """Whether any verdict fails it."""
        return any(verdict.fails(self.strict) for verdict in self.verdicts)

    def count(self, word: str) -> int:
        """How many verdicts have this word."""
        return sum(verdict.word == word for verdict in self.verdicts)


def judge(
    before: Sequence[Record],
    now: Sequence[Record],
    tolerances: Mapping[str, float],
    *,
    strict: bool = False,
    resamples: int = RESAMPLES,
    rebuild: Rebuild = metric_of,
) -> Gate:
    """before: records of the baseline. now: those that are judged. tolerances: metric -> what it may lose, from 0 on,
    in points where the metric is in points, else in its unit.

    Gated are the headline of every row, at 0 where nothing is said, and every other metric that has a tolerance.
    rebuild: makes the metric of a record, to resample it. Raises UnknownName for a metric that no row of the baseline
    has, BadOption for a tolerance that is no number from 0 on.
    """
    metrics = {name for record in before for name in record.result["metrics"]}
    for name, tolerance in tolerances.items():
        if name not in metrics:
            raise unknown("metric of the baseline", name, metrics)
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise BadOption(f"--tolerance {name}={tolerance}: expected what may be lost, a number from 0 on")
    found = [each for pair in pairs(before, now) for each in _of_pair(pair, tolerances, resamples, rebuild)]
    # what is the baseline's own, bit for bit, is no test: it could not have come out otherwise
    tests = [each for each in found if isinstance(each, _Compared) and not each.same]
    fallen = _beyond(tests)
    verdicts = [each.verdict(id(each) in fallen, len(tests)) if isinstance(each, _Compared) else each for each in found]
    return Gate(verdicts, _notes(verdicts, len(tests)), strict)


def _of_pair(
    pair: Pair, tolerances: Mapping[str, float], resamples: int, rebuild: Rebuild
) -> list[Verdict | _Compared]:
    """Every gated metric of a row, or why there is none."""
    old, new = pair.old, pair.new
    if old is None:
        assert new is not None
        return [Verdict(pair.name, clean(new.first.headline), "new", cells=_ids(new))]
    entry = _entry(old, old.first.headline)
    if new is None:
        return [Verdict(pair.name, word="missing", reason=pair.differs, **entry)]
    entry["cells"] = _ids(new)
    if pair.differs:
        return [Verdict(pair.name, word="incomparable", reason=pair.differs, **entry)]
    if len(new.by_seed) < len(old.by_seed):
        gone = ", ".join(str(seed) for seed in old.by_seed if seed not in new.by_seed)
        why = f"the baseline has {len(old.by_seed)} seeds, the runs {len(new.by_seed)}; not there: {gone}"
        return [Verdict(pair.name, word="missing", reason=why, **entry)]
    if old.by_seed.keys() <= new.by_seed.keys():  # then seeds are paired, and further ones would undo that
        new = replace(new, by_seed={seed: new.by_seed[seed] for seed in old.by_seed})
    gated = [metric for metric in old.first.result["metrics"] if metric == old.first.headline or metric in tolerances]
    return [_of_metric(pair.name, m, old, new, tolerances.get(m, 0.0), resamples, rebuild) for m in gated]


def _ids(row: Row) -> list[str]:
    return [record.id for record in row.records]


def _entry(old: Row, metric: str) -> dict[str, Any]:
    """What a verdict says of a metric, as the baseline has it."""
    said = old.first.result["metrics"][metric]
    values = [record.value(metric) for record in old.records]
    return {
        "metric": metric,
        "label": clean(said["label"]),
        "unit": clean(said["unit"]),
        "higher_is_better": said["higher_is_better"],
        "baseline": None if None in values else sum(v for v in values if v is not None) / len(values),
        "before": _ids(old),
    }


# ------------------------------------------------------------------------------------------------ comparisons


@dataclass(frozen=True, eq=False)
class _Compared:
    """A comparison that has an interval. partly: the verdict, but for what the interval says.

    better: 1 where higher is, else -1. same: the statistics of every seed are the baseline's, bit for bit.
    """

    partly: Verdict
    panel: Panel
    better: int
    same: bool

    def ends(self, level: float) -> tuple[float, float]:
        """The interval at a level, signed so that worse is negative."""
        found = self.panel.difference(0, 1, level)
        low, high = (self.better * end for end in (found.low, found.high))
        return (low, high) if self.better > 0 else (high, low)

    def beyond(self, level: float) -> bool:
        """Whether the interval lies wholly beyond the tolerance."""
        return self.ends(level)[1] < self.least - self.rounding

    @property
    def least(self) -> float:
        return -(self.partly.tolerance or 0.0)

    @property
    def rounding(self) -> float:
        return ROUNDING * max(1.0, abs(self.partly.baseline or 0.0))

    def verdict(self, fell: bool, comparisons: int) -> Verdict:
        """The word for it. fell: beyond the tolerance after the correction over so many comparisons."""
        found = self.panel.difference(0, 1, LEVEL)
        told = (self.panel.means[0], found.value, found.low, found.high)
        value, difference, least, most = (None if math.isnan(number) else float(number) for number in told)
        said = replace(self.partly, value=value, difference=difference, low=least, high=most)
        said = replace(said, about=found.about, seeds=found.seeds)
        if said.word == "new failure":
            return said
        low, high = self.ends(LEVEL)
        if fell:
            return replace(said, word="regressed")
        if math.isnan(low):
            if self.same:
                return replace(said, word="passed")
            return replace(said, word="inconclusive", reason="no interval can be made of these samples")
        if high < self.least - self.rounding:
            why = f"its own interval lies beyond the tolerance, but not corrected over {comparisons} comparisons"
            return replace(said, word="inconclusive", reason=why)
        if low > -self.least + self.rounding:
            return replace(said, word="improved")
        return replace(said, word="passed" if low >= self.least - self.rounding else "inconclusive")


def _beyond(compared: Sequence[_Compared]) -> set[int]:
    """Which lie beyond their tolerance after Holm's correction, by id."""
    fallen: set[int] = set()
    while left := [each for each in compared if id(each) not in fallen]:
        more = {id(each) for each in left if each.beyond(1 - (1 - LEVEL) / len(left))}
        if not more:
            break
        fallen |= more
    return fallen


def _of_metric(
    name: str,
    metric: str,
    old: Row,
    new: Row,
    tolerance: float,
    resamples: int,
    rebuild: Rebuild,
) -> Verdict | _Compared:
    said = _entry(old, metric)
    stored = tolerance / 100 if said["unit"] == "points" else tolerance
    plain = Verdict(name, word="inconclusive", tolerance=stored, cells=_ids(new), **said)
    if metric not in new.first.result["metrics"]:
        return replace(plain, word="missing", reason="the runs do not have this metric")
    made = rebuild(old.first, metric)
    if changed := _changed(old, new, metric, made, rebuild):
        return replace(plain, word="incomparable", reason=f"the metric differs in {changed}")
    values = [record.value(metric) for record in new.records]
    if plain.baseline is None:  # nothing can be lost
        return replace(plain, reason="the baseline has no value for it")
    if None in values:
        why = next(r.result["metrics"][metric]["reason"] for r in new.records if r.value(metric) is None)
        return replace(plain, word="new failure", reason=f"it has no value any more: {clean(why)}")
    if made is None:
        return _without_interval(plain, old, new, metric)
    before, now = (Runs({s: r.statistics for s, r in row.by_seed.items()}, row.trained) for row in (old, new))
    if lost := sorted(_scored(made, before) - _scored(made, now)):
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        named = ", ".join(map(clean, lost[:_NAMED])) + more
        plain = replace(plain, word="new failure", reason=f"{len(lost)} samples are no longer scored: {named}")
        if not _scored(made, now):
            return plain
    better = 1 if said["higher_is_better"] else -1
    return _Compared(plain, Panel(made, [now, before], resamples=resamples), better, _digests(old) == _digests(new))


def _digests(row: Row) -> dict[int, str]:
    return {seed: record.result["statistics"]["sha256"] for seed, record in row.by_seed.items()}


def _changed(old: Row, new: Row, metric: str, made: Metric | None, rebuild: Rebuild) -> str:
    """In what a metric is another one than in the baseline, "" where in nothing. Its label may change."""
    here, there = (row.first.result["metrics"][metric] for row in (old, new))
    fields = ("version", "unit", "higher_is_better")
    found = differences({f: here[f] for f in fields}, {f: there[f] for f in fields})
    if not found and made is not None:
        again = rebuild(new.first, metric)  # formulas are compared with their defaults: later versions may say more
        if again is None or {**vars(made), "label": ""} != {**vars(again), "label": ""}:
            found = differences({"formula": here.get("formula")}, {"formula": there.get("formula")})
    return told(found)


def _without_interval(plain: Verdict, old: Row, new: Row, metric: str) -> Verdict:
    """A metric of a making of its own: equal values pass, others are beyond what can be told."""
    value = sum(record.value(metric) or 0.0 for record in new.records) / len(new.records)
    same = [r.value(metric) for r in old.records] == [r.value(metric) for r in new.records]
    reason = "" if same else "no interval: nothing says how this metric is made of the samples"
    base = plain.baseline or 0.0
    return replace(
        plain, word="passed" if same else "inconclusive", reason=reason, value=value, difference=value - base
    )


def _scored(metric: Metric, runs: Runs) -> set[str]:
    """Ids of the samples that the metric scores in every seed."""
    return set.intersection(*(_scored_once(metric, statistics) for statistics in runs.by_seed.values()))


def _scored_once(metric: Metric, statistics: Statistics) -> set[str]:
    if not isinstance(metric, Summed):
        return set(statistics.ids.tolist())
    return set(statistics.ids[~np.isnan(np.add(*metric.terms(statistics.columns)))].tolist())


def _notes(verdicts: Sequence[Verdict], tests: int) -> list[str]:
    notes = []
    if tests:
        of = "1 comparison" if tests == 1 else f"{tests} comparisons, Holm-corrected"
        notes.append(f"Differences are paired by sample, with 95 % intervals; {of}.")
    if few := len({verdict.row for verdict in verdicts if verdict.about == "checkpoint"}):
        notes.append(
            f"{few} rows have fewer than 3 seeds: their verdicts speak of these checkpoints, and another seed could "
            "come out otherwise."
        )
    if same := len({v.row for v in verdicts if v.cells and list(v.cells) == list(v.before)}):
        notes.append(f"{same} rows are the very cells of the baseline: nothing in them was run again.")
    return notes
