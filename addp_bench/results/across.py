"""Methods by their average rank over several tables: only over tables that all of them stand in.

A method is what is left of a row without its task: everything chosen but the task, its data, its encoding and its
corruptions, with its budget; models that learnt each task alone are one method, those that learnt a mixture another.
Ranks are made again among the methods that every table has; one that is missing somewhere has no average, and takes no
place from the others. Equal values share the mean of their ranks.

Friedman's test (1937) asks whether ranks differ more than they would if every table had drawn them by lot. Its p comes
from such draws, because chi squared is too far off for a few tables. It takes tables to be independent, and is left out
where two are of one task and dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from addp_bench.errors import BadRequest, NothingSelected
from addp_bench.randomness import numpy_generator
from addp_bench.records import Record, clean
from addp_bench.store import canonical

from . import sheets
from .axes import axes_of
from .grid import Column
from .rendering import Section, Table, points, probability
from .selection import Row

_OF_A_TASK = ("task", "dataset", "encoding", "corruption")
_OF_ITS_TRAINING = ("dataset", "split", "samples", "tasks")  # which differ because the task does
_AXES_OF_A_TASK = (*_OF_A_TASK, "read at", *(f"train {name}" for name in _OF_ITS_TRAINING))
_LEARNT = "tasks learnt"
DRAWS = 9999


@dataclass(frozen=True)
class Method:
    """choices: axis -> text, those in which methods differ. places: title of a table -> rank (None where the method
    takes none), value, unit, cells. tables: in how many it is ranked. average: None until that is all of them."""

    choices: Mapping[str, str]
    places: Mapping[str, Mapping[str, Any]]
    tables: int
    average: float | None


@dataclass(frozen=True)
class Average:
    """Methods of one budget, the best average first. tables: titles of all. friedman: statistic and p, None where it
    would not be right. notes: one sentence each."""

    budget: str
    axes: Sequence[str]
    tables: Sequence[str]
    methods: Sequence[Method]
    friedman: Mapping[str, float] | None
    notes: Sequence[str]


def average_ranks(table: Table, records: Sequence[Record]) -> list[Average]:
    """For each budget of a leaderboard, its methods by their average rank over the budget's tables.

    Raises NothingSelected where no budget has two tables, BadRequest where two rows of a table are one method.
    """
    by_id = {record.id: record for record in records}
    budgets: dict[str, list[Section]] = {}
    for section in table.sections:
        budgets.setdefault(section.heading["budget"], []).append(section)
    several = {budget: sections for budget, sections in budgets.items() if len(sections) > 1}
    if not several:
        raise NothingSelected("an average rank needs two tables of one budget at least; there is one of each here")
    return [_average(budget, sections, by_id) for budget, sections in several.items()]


def _average(budget: str, sections: Sequence[Section], by_id: Mapping[str, Record]) -> Average:
    titles = _titles(sections)
    rows: dict[str, Row] = {}
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for title, section in zip(titles, sections):
        for plain in section.rows:
            row = Row({by_id[cell].result["seed"]: by_id[cell] for cell in plain["cells"]})
            key = _method(row.first)
            rows.setdefault(key, row)
            if title in (places := found.setdefault(key, {})):
                two = f"{places[title]['cells'][0]} and {plain['cells'][0]}"
                raise BadRequest([f"{title}: {two} differ in their encoding or data alone; choose with --where"])
            places[title] = plain
    keys = list(found)
    complete = [k for k in keys if all(t in found[k] and found[k][t]["rank"] for t in titles)]
    ranks = np.array([_ranks([_value(found[k][t], s) for k in complete]) for t, s in zip(titles, sections)])
    average = dict(zip(complete, ranks.mean(axis=0))) if complete else {}
    ranked = {key: dict(zip(titles, ranks[:, k])) for k, key in enumerate(complete)}
    _, axes, choices = axes_of([rows[key] for key in keys])
    axes = [axis for axis in axes if axis not in _AXES_OF_A_TASK]
    learnt = [_mixture(rows[key].first) for key in keys]
    if len(set(learnt)) > 1:
        axes.append(_LEARNT)
        choices = [{**made, _LEARNT: said or sheets.NOTHING} for made, said in zip(choices, learnt)]
    methods = []
    for key, made in zip(keys, choices):
        own = [(title, section) for title, section in zip(titles, sections) if title in found[key]]
        places = {t: _place(found[key][t], section, ranked.get(key, {}).get(t)) for t, section in own}
        shown = {axis: made[axis] for axis in axes if axis in made}
        stands_in = sum(found[key][title]["rank"] is not None for title, _ in own)
        methods.append(Method(shown, places, stands_in, average.get(key)))
    methods.sort(key=lambda m: (m.average is None, m.average or 0.0, -m.tables))
    independent = len({(s.heading["task"], s.heading["dataset"]) for s in sections}) == len(sections)
    friedman = None
    if len(complete) > 2 and independent:
        statistic, p = friedman_test(ranks)
        friedman = {"statistic": statistic, "p": p} if statistic is not None else None
    return Average(budget, axes, titles, methods, friedman, _notes(titles, methods, friedman, independent))


def _titles(sections: Sequence[Section]) -> list[str]:
    """Task, dataset and split of each, numbered where they are the same."""
    plain = [f"{s.heading['task']} {s.heading['dataset']} {s.heading['split']}" for s in sections]
    made = []
    for k, title in enumerate(plain):
        same = plain[:k].count(title) + 1
        made.append(f"{title} ({same})" if plain.count(title) > 1 else title)
    return made


def _method(record: Record) -> str:
    """What is equal in all rows of a method."""
    result = record.result
    choices = {kind: choice for kind, choice in result["choices"].items() if kind not in _OF_A_TASK}
    training = {n: v for n, v in (result["training"] or {}).items() if n not in _OF_ITS_TRAINING}
    training |= {_LEARNT: _mixture(record)}
    numbers = [result["sampling_steps"], result.get("sampling_seed"), result.get("ensemble") or 1]
    return canonical([choices, training, numbers])


def _mixture(record: Record) -> str | None:
    """The tasks that were learnt together, "each alone" for one; None where nothing was."""
    training = record.result["training"]
    if training is None:
        return None
    tasks = str(training.get("tasks", record.result["task"]))
    return "each alone" if tasks == record.result["task"] else clean(tasks)


def _value(plain: Mapping[str, Any], section: Section) -> float:
    """Of the headline; larger is better."""
    headline = next(iter(section.metrics))
    value: float = plain["metrics"][headline]["value"]
    return value if section.metrics[headline]["higher_is_better"] else -value


def _place(plain: Mapping[str, Any], section: Section, rank: float | None) -> dict[str, Any]:
    headline = next(iter(section.metrics))
    return {
        "rank": None if rank is None else float(rank),
        "metric": headline,
        "value": plain["metrics"][headline]["value"],
        "unit": section.metrics[headline]["unit"],
        "cells": plain["cells"],
    }


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks of (K,), 1 for the largest; equals share the mean of theirs."""
    them = np.asarray(values, np.float64)
    return np.asarray((them > them[:, None]).sum(1) + ((them == them[:, None]).sum(1) + 1) / 2, np.float64)


def friedman_test(ranks: np.ndarray) -> tuple[float | None, float]:
    """Friedman's statistic of ranks (tables, methods), corrected for ties, and its p from draws within tables; None and
    1 where all methods are equal in all tables."""
    tables, methods = ranks.shape
    squares = float((ranks**2).sum()) - tables * methods * (methods + 1) ** 2 / 4  # 0 where all are tied
    if squares <= 0:
        return None, 1.0

    def statistic(of: np.ndarray) -> Any:
        away = of.sum(axis=-2) - tables * (methods + 1) / 2
        return (methods - 1) * (away**2).sum(axis=-1) / squares

    stream = numpy_generator("friedman", tables, methods)
    order = stream.random((DRAWS, tables, methods)).argsort(axis=-1)
    drawn = np.take_along_axis(np.broadcast_to(ranks, order.shape), order, axis=-1)
    met = float(statistic(ranks))
    beyond = int((statistic(drawn) >= met - 1e-9).sum())
    return met, (beyond + 1) / (DRAWS + 1)


def _notes(
    titles: Sequence[str], methods: Sequence[Method], friedman: Mapping[str, float] | None, independent: bool
) -> list[str]:
    complete = sum(method.average is not None for method in methods)
    notes = [
        "A method is a row but for its task, data, encoding and corruptions. Ranks are among the "
        f"{complete} methods that all {len(titles)} tables rank, each table counting once; the value is in brackets."
    ]
    if missing := len(methods) - complete:
        notes.append(f"{missing} methods are not ranked in every table, have no average and take no place from others.")
    if friedman:
        notes.append(
            f"Friedman's test, by {DRAWS} draws: {friedman['statistic']:.2f}, p {probability(friedman['p'])}; it takes "
            "the tables to be independent."
        )
    elif not independent:
        notes.append("No test: tables of one task and dataset are not independent.")
    return notes


# ------------------------------------------------------------------------------------------------ as text


def render(found: Sequence[Average], style: str, width: int | None = None) -> str:
    """Average ranks as text. style and width as in `rendering.render`. Raises UnknownName for another style."""
    return sheets.written(style, lambda: _sheets(found), lambda: _lines(found), lambda: _plain(found), width)


def _sheets(found: Sequence[Average]) -> list[sheets.Sheet]:
    made = []
    for one in found:
        columns = [
            Column("axis", axis, [m.choices.get(axis, sheets.NOTHING) for m in one.methods]) for axis in one.axes
        ]
        columns.append(Column("headline", "average rank", [_said(m.average) for m in one.methods]))
        columns.append(Column("seeds", "tables", [f"{m.tables} of {len(one.tables)}" for m in one.methods]))
        for title in one.tables:
            columns.append(Column("group", title, [_in_table(m.places.get(title)) for m in one.methods]))
        title = f"average rank over {len(one.tables)} tables"
        made.append(sheets.Sheet(f"{title} · budget {one.budget}" if one.budget else title, columns, one.notes))
    return made


def _said(rank: float | None) -> str:
    return sheets.NOTHING if rank is None else f"{rank:.2f}".rstrip("0").rstrip(".")


def _in_table(place: Mapping[str, Any] | None) -> str:
    if place is None:
        return sheets.NOTHING
    return f"{_said(place['rank'])} ({points(place['value'], place['unit'])})"


def _lines(found: Sequence[Average]) -> list[list[Any]]:
    """Of a CSV: one for each method and table, ranks and values as stored."""
    axes = list(dict.fromkeys(axis for one in found for axis in one.axes))
    lines: list[list[Any]] = [["budget", *axes, "average_rank", "tables", "table", "rank", "metric", "value", "cells"]]
    for one in found:
        for m in one.methods:
            common = [one.budget, *(m.choices.get(axis, "") for axis in axes), m.average, m.tables]
            for title, place in m.places.items():
                own = [place["rank"], place["metric"], place["value"], " ".join(place["cells"])]
                lines.append([*common, title, *own])
    return lines


def _plain(found: Sequence[Average]) -> dict[str, Any]:
    return {"averages": [asdict(one) for one in found]}
