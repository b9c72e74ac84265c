"""Effects of choices, from records alone: the largest complete grid of each table, and what its factors do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from addp_bench.errors import BadData, BadRequest, NothingSelected, unknown
from addp_bench.records import Record, clean, metric_of

from . import sheets
from .axes import axes_of
from .breakdown import number
from .effects import Factor, effects, shares
from .factorial import Grid, largest, merged
from .grid import Column
from .rendering import points, probability, with_interval
from .selection import Comparable, Row, comparable, rows_of, select
from .uncertainty import RESAMPLES, SEEDS_OF_A_METHOD, Panel, Runs


@dataclass(frozen=True)
class Attribution:
    """What the choices of one table do.

    heading: as in a leaderboard's section. metric: id, label, unit, higher_is_better. factors: name -> levels, of two
    the one first that the other is compared with. rows, seeds: of the grid. effects: see `effects.Effect`, as plain
    values: factors, of, value, low, high, p, p_holm, about. shares: factors joined by " × " -> share of the variance,
    None where there is none. left_out: what stands outside of the grid, and why. notes: one sentence each.
    """

    heading: Mapping[str, Any]
    metric: Mapping[str, Any]
    factors: Mapping[str, Sequence[str]]
    rows: int
    seeds: Sequence[int]
    effects: Sequence[Mapping[str, Any]]
    shares: Mapping[str, float | None]
    left_out: Sequence[str]
    notes: Sequence[str]


def attribute(
    records: Sequence[Record],
    where: Sequence[str] = (),
    factors: Sequence[str] = (),
    reference: Sequence[str] = (),
    metric: str = "",
    resamples: int = RESAMPLES,
) -> list[Attribution]:
    """The effects of every table of records that meet `where`, where its rows form a grid.

    factors: the axes that may vary, all of them by default. reference: `axis=level`, with which the other of two levels
    is compared. metric: the headline by default.

    Raises NothingSelected where no table has two rows of a grid, with the reason of each; UnknownName for a factor, a
    level or a metric that no table has.
    """
    asked = _references(reference)
    tables = [_Candidates(members, metric) for members in comparable(rows_of(select(records, where)))]
    if metric and not any(table.knows_metric for table in tables):
        raise unknown("metric of these records", metric, {name for t in tables for name in t.members.result["metrics"]})
    known = {axis for table in tables for axis in table.axes}
    for axis in [*factors, *asked]:
        if axis not in known:
            raise unknown("choice in which these rows differ", axis, known)
    for axis, level in asked.items():
        levels = {text for table in tables for text in table.levels(axis)}
        if level not in levels:
            raise unknown(f"level of {axis}", level, levels)
    found, reasons = [], []
    for table in tables:
        if why := table.refused:
            reasons.append(f"{table.title}: {why}")
        elif made := table.grid(factors):
            found.append(table.attributed(made, asked, resamples))
        else:
            wanted = f" in which {', '.join(factors)} vary" if factors else ""
            reasons.append(f"{table.title}: no two of its {len(table.rows)} rows form a complete grid{wanted}")
    if not found:
        raise NothingSelected("no effects to tell: " + "; ".join(reasons))
    return found


def _references(reference: Sequence[str]) -> dict[str, str]:
    found = {}
    for condition in reference:
        axis, equals, level = condition.partition("=")
        if not (axis and equals and level):
            raise BadRequest([f"--reference {condition!r}: expected axis=level, such as aug=none"])
        found[axis] = level
    return found


class _Candidates:
    """The rows of one table that may stand in a grid."""

    def __init__(self, members: Comparable, metric: str) -> None:
        self.members, self.name = members, metric or members.headline
        self.knows_metric = self.name in members.result["metrics"]
        self.metric = metric_of(members.rows[0].first, self.name) if self.knows_metric else None
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        for row in members.rows if self.metric else ():
            if why := self._unfit(row):
                self.left_out.append(f"{row.first.id}: {why}")
            else:
                self.rows.append(row)
        _, axes, self.choices = axes_of(self.rows) if self.rows else ({}, [], [])
        groups = merged([[made.get(axis, sheets.NOTHING) for made in self.choices] for axis in axes])
        together = [[axes[k] for k in group] for group in groups]
        varying = [group for group in together if len({self._level(k, group) for k in range(len(self.rows))}) > 1]
        self.groups = {" = ".join(group): group for group in varying}
        self.axes = {axis: name for name, group in self.groups.items() for axis in (name, *group)}
        self._drop_namesakes()
        dataset, protocol = members.result["dataset"], members.result["protocol"]
        self.heading = {
            "task": clean(members.result["task"]),
            "dataset": clean(dataset["name"]),
            "split": clean(dataset["split"]),
            "protocol": clean(protocol["name"]),
            "budget": clean(members.budget),
            "samples": members.asked,
        }
        self.title = " · ".join(str(said) for said in list(self.heading.values())[:5] if said)

    def _drop_namesakes(self) -> None:
        """Leave out rows that no choice tells apart: neither has a better right to the place of both."""
        met = Counter(tuple(self._choices(k).values()) for k in range(len(self.rows)))
        alike = [k for k in range(len(self.rows)) if met[tuple(self._choices(k).values())] > 1]
        self.left_out += [f"{self.rows[k].first.id}: no choice tells it from another row" for k in alike]
        self.rows = [row for k, row in enumerate(self.rows) if k not in alike]
        self.choices = [made for k, made in enumerate(self.choices) if k not in alike]

    @property
    def refused(self) -> str | None:
        """Why no grid of these rows can be resampled."""
        if not self.knows_metric:
            return f"has no metric {self.name}"
        return None if self.metric else f"this version cannot make {self.name} again from the records"

    def levels(self, axis: str) -> set[str]:
        """What the rows chose on an axis."""
        group = self.groups.get(self.axes.get(axis, ""), ())
        return {self._level(k, group) for k in range(len(self.rows))} if group else set()

    def grid(self, factors: Sequence[str]) -> Grid | None:
        """The largest complete grid, seeds as its last factor. None where nothing but seeds would vary."""
        names = list(self.groups)
        if not names or not set(factors) <= self.axes.keys():
            return None
        cells = [
            (*(self._level(k, group) for group in self.groups.values()), str(seed))
            for k, row in enumerate(self.rows)
            for seed in row.by_seed
        ]
        if factors:
            wanted = {names.index(self.axes[axis]) for axis in factors}
            return largest(cells, wanted, set(range(len(names))) - wanted)
        each = [largest(cells, [k]) for k in range(len(names))]
        return max((g for g in each if g), key=lambda g: (g.cells, g.varied), default=None)

    def attributed(self, grid: Grid, reference: Mapping[str, str], resamples: int) -> Attribution:
        at = dict(zip(self.groups, grid.levels))
        seeds = sorted(map(int, grid.levels[-1]))
        # an axis that varies in another table alone says nothing here
        wanted = {self.axes[axis]: level for axis, level in reference.items() if axis in self.axes}
        factors = [Factor(n, self._ordered(n, levels, wanted)) for n, levels in at.items() if len(levels) > 1]
        fixed = {name: levels[0] for name, levels in at.items() if len(levels) == 1}
        chosen = []
        for combination in product(*(factor.levels for factor in factors)):
            choices = {**fixed, **{f.name: level for f, level in zip(factors, combination)}}
            (row,) = (r for k, r in enumerate(self.rows) if choices == self._choices(k))
            chosen.append(row)
        runs = [Runs({s: row.by_seed[s].statistics for s in seeds}, row.trained) for row in chosen]
        assert self.metric is not None
        panel = Panel(self.metric, runs, resamples=resamples)
        values = np.array([[row.by_seed[s].value(self.name) for s in seeds] for row in chosen], np.float64)
        parts = shares(values.reshape(*(len(f.levels) for f in factors), len(seeds)), factors)
        entry = self.members.result["metrics"][self.name]
        said = {key: entry[key] for key in ("unit", "higher_is_better")}
        return Attribution(
            heading=self.heading,
            metric={"id": self.name, "label": clean(entry["label"]), **said},
            factors={f.name: list(f.levels) for f in factors},
            rows=len(chosen),
            seeds=seeds,
            effects=[
                {
                    "factors": list(e.factors),
                    "of": e.of,
                    **{end: number(getattr(e.difference, end)) for end in ("value", "low", "high", "p")},
                    "p_holm": e.p_holm,
                    "about": e.difference.about,
                }
                for e in effects(panel, factors)
            ],
            shares={" × ".join(names): number(share) for names, share in parts.items()},
            left_out=[*self._outside(at, seeds), *self.left_out],
            notes=_notes(panel, factors, fixed, len(chosen), seeds, trained=any(row.trained for row in chosen)),
        )

    def _ordered(self, name: str, levels: Sequence[str], reference: Mapping[str, str]) -> list[str]:
        """The level that was asked for first, else the one that most rows of the table have; the rest by name."""
        met = Counter(self._level(k, self.groups[name]) for k in range(len(self.rows)))
        return sorted(levels, key=lambda level: (level != reference.get(name), -met[level], level))

    def _outside(self, at: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> list[str]:
        found = []
        for k, row in enumerate(self.rows):
            strange = [f"{n} {level}" for n, level in self._choices(k).items() if level not in at[n]]
            if strange:
                found.append(f"{row.first.id}: {', '.join(strange)}")
            elif extra := [seed for seed in row.by_seed if seed not in seeds]:
                found.append(f"{row.first.id}: seeds {', '.join(map(str, extra))}")
        return found

    def _choices(self, k: int) -> dict[str, str]:
        return {name: self._level(k, group) for name, group in self.groups.items()}

    def _level(self, k: int, group: Sequence[str]) -> str:
        return ", ".join(self.choices[k].get(axis, sheets.NOTHING) for axis in group)

    def _unfit(self, row: Row) -> str | None:
        """Why a row cannot stand in a grid."""
        if row.uses_truth:
            return "looks at the truth"
        if not row.complete:
            return "some of its samples were not scored"
        if any(record.value(self.name) is None for record in row.records):
            return f"has no {self.name}"
        try:
            for record in row.records:
                record.statistics  # noqa: B018  read here, so that a damaged one is left out and the rest told
        except BadData as damaged:
            return str(damaged)
        return None


def _notes(
    panel: Panel, factors: Sequence[Factor], fixed: Mapping[str, str], rows: int, seeds: Sequence[int], trained: bool
) -> list[str]:
    several = ", with a t interval over seeds" if len(seeds) > 1 else ""
    notes = [
        f"A complete grid of {rows} rows x {len(seeds)} seeds; averages are over all levels of the other choices.",
        f"[95 %]: {panel.resamples} resamples of {panel.clusters} images{several}; paired by sample and seed; p is "
        "two-sided and Holm-corrected over all effects of the table.",
    ]
    if any(len(f.levels) > 2 for f in factors):
        notes.append("Where a choice has three levels or more, an effect is a level against the mean of all of them.")
    if len(factors) > 1:
        notes.append("An interaction says by how much the effect of one choice differs between levels of the other.")
    if fixed:
        notes.append(f"Held at: {', '.join(f'{name} {level}' for name, level in fixed.items())}.")
    if trained and len(seeds) < SEEDS_OF_A_METHOD:
        notes.append(f"Fewer than {SEEDS_OF_A_METHOD} seeds: this speaks of these checkpoints, not of a method.")
    return notes


# ------------------------------------------------------------------------------------------------ as text


def render(found: Sequence[Attribution], style: str, width: int | None = None) -> str:
    """Effects as text. style and width as in `rendering.render`. Raises UnknownName for another style."""
    return sheets.written(style, lambda: _sheets(found), lambda: _lines(found), lambda: _plain(found), width)


def _sheets(found: Sequence[Attribution]) -> list[sheets.Sheet]:
    made = []
    for one in found:
        heading, metric, rows = one.heading, one.metric, one.effects
        title = [heading["task"], f"{heading['dataset']} {heading['split']}", f"protocol {heading['protocol']}"]
        title += [f"budget {heading['budget']}"] if heading["budget"] else []
        arrow = "↑" if metric["higher_is_better"] else "↓"
        unit = "" if metric["unit"] == "points" else f" ({metric['unit']})"
        shared = [one.shares.get(" × ".join(row["factors"])) for row in rows]
        first = [k == 0 or rows[k - 1]["factors"] != row["factors"] for k, row in enumerate(rows)]
        columns = [
            Column("axis", "effect of", [" × ".join(row["factors"]) for row in rows]),
            Column("axis", "levels", [row["of"] for row in rows]),
            Column(
                "difference",
                f"{metric['label']}{unit} {arrow} [95 %]",
                [with_interval(row, metric["unit"], signed=True) for row in rows],
            ),
            Column("p", "p", [probability(row["p_holm"]) for row in rows]),
            Column("metric", "share", [points(s, "points") + " %" if f else "" for s, f in zip(shared, first)]),
        ]
        rest = ", ".join(
            f"{name} {points(share, 'points')} %"
            for name, share in one.shares.items()
            if name not in {" × ".join(row["factors"]) for row in rows}
        )
        notes = [*one.notes, f"Share: of the variance between all values of the grid; besides, {rest}."]
        if one.left_out:
            notes.append(f"Outside of the grid: {'; '.join(one.left_out)}.")
        made.append(sheets.Sheet(" · ".join([*title, f"effects on {metric['label']}"]), columns, notes))
    return made


def _lines(found: Sequence[Attribution]) -> list[list[Any]]:
    """Of a CSV: one for each effect, then for each share, numbers as stored."""
    ends = ["value", "low", "high", "p", "p_holm", "about"]
    heading = list(found[0].heading)
    lines: list[list[Any]] = [[*heading, "metric", "factors", "of", *ends, "share"]]
    for one in found:
        common = [*(one.heading[name] for name in heading), one.metric["id"]]
        lines += [[*common, " × ".join(row["factors"]), row["of"], *(row[e] for e in ends), ""] for row in one.effects]
        lines += [[*common, n, "share of the variance", *("" for _ in ends), share] for n, share in one.shares.items()]
    return lines


def _plain(found: Sequence[Attribution]) -> dict[str, Any]:
    return {"sections": [asdict(one) for one in found]}
