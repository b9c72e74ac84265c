"""Sections of a table as a page shows them: plain values, made from the table and the records behind it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from addp_bench.page import effects
from addp_bench.page.plots import Charted, colours, interval_bar, plots
from addp_bench.page.samples import MOST, Chosen, bar
from addp_bench.page.svg import Plot
from addp_bench.records import Record
from addp_bench.results.grid import Column
from addp_bench.results.rendering import Section, grid, points, published_of, same_in_all, title_of
from addp_bench.results.sheets import NOTHING, Sheet
from addp_bench.spec import KINDS

LESSER = 2  # further metrics that are shown before anybody asks for more
_ALWAYS = ("rank", "headline")  # columns that cannot be put away
_NAMED = ("model", "weights")  # axes that a row's name always holds
_DIGITS = 8  # of a cell's key; commands take six
_NARROW = ("rank", "name", "headline", "group")  # what a phone shows at first


@dataclass(frozen=True)
class Head:
    """A column. numeric: sorts as numbers. wide, narrow: whether it is shown at first on a desktop and on a phone."""

    role: str
    header: str
    numeric: bool
    wide: bool
    narrow: bool
    fixed: bool

    @property
    def end(self) -> bool:
        """Whether its cells stand at the right: numbers without an interval."""
        return self.numeric and self.role not in ("headline", "difference", "group")


@dataclass(frozen=True)
class Cell:
    """text, small: the number and its interval; bar: that interval drawn. sort: by what it sorts, None comes last."""

    text: Markup
    small: str
    bar: Markup | None
    sort: float | str | None


@dataclass(frozen=True)
class Line:
    """A row. place: its number in the section; find: all its words in lower case; choices: axis -> text."""

    place: int
    colour: str
    name: str
    cells: Sequence[Cell]
    find: str
    choices: Mapping[str, str]


@dataclass(frozen=True)
class Tier:
    """Rows that go together; number None: those that are not ranked."""

    number: int | None
    lines: Sequence[Line]


@dataclass(frozen=True)
class View:
    """A section. first: number of the row that is emphasised. filters: axis -> the choices met on it.

    samples: for the browser, see `browsed`; None where there are none, for the reason `missing`. published: what others
    say of the same data, None where nothing was named.
    """

    anchor: str
    title: str
    first: int
    notes: Sequence[str]
    heads: Sequence[Head]
    tiers: Sequence[Tier]
    filters: Mapping[str, Sequence[str]]
    plots: Sequence[Plot]
    samples: Mapping[str, Any] | None
    missing: str
    published: Sheet | None = None

    @property
    def lines(self) -> list[Line]:
        return [line for tier in self.tiers for line in tier.lines]

    @property
    def drawn(self) -> set[int]:
        """Numbers of the rows that stand in a plot."""
        return {place for plot in self.plots for place in plot.rows}


def view(
    number: int,
    section: Section,
    extra: Sequence[str],
    records: Mapping[str, Record],
    chosen: Chosen | None,
    pictures: Mapping[str, Any],
    missing: str,
) -> View:
    """A section as a page shows it.

    records: by id; a row of which one is not there has no plots. pictures: cell id -> sample id -> as
    `pictures.of_cell`, or the reason why there are none. missing: why the section has no samples, where chosen is None.
    """
    names = names_of(section)
    columns = grid(section, extra)
    heads, cells = _columns(section, columns, names)
    painted = colours(section.rows)
    first = next((place for place, row in enumerate(section.rows) if row["rank"] is not None), 0)
    lines = [
        Line(
            place,
            painted[place],
            names[place],
            [column[place] for column in cells],
            " ".join([*row["choices"].values(), *row["cells"], *row["extra"].values()]).lower(),
            row["choices"],
        )
        for place, row in enumerate(section.rows)
    ]
    charted = [
        Charted(place, names[place], painted[place], place == first, row, [records[cell] for cell in row["cells"]])
        for place, row in enumerate(section.rows)
        if all(cell in records for cell in row["cells"]) and not row["problem"]
    ]
    headline = next(iter(section.metrics))
    met = {axis: list(dict.fromkeys(r["choices"].get(axis, NOTHING) for r in section.rows)) for axis in section.axes}
    return View(
        anchor=f"table-{number}",
        title=title_of(section),
        first=first,
        notes=[*same_in_all(section), *section.notes],
        heads=heads,
        tiers=list(_tiers(section, lines)),
        filters={axis: sorted(choices) for axis, choices in met.items() if len(choices) > 1},
        plots=plots(charted, headline, section.metrics[headline], effects.plot(section, records)),
        samples=browsed(section, chosen, pictures, names) if chosen else None,
        missing=missing,
        published=published_of(section) if section.published else None,
    )


def names_of(section: Section) -> list[str]:
    """A name for every row: its model, and of the axes that tell rows apart what most others do not share."""
    axes = telling(section)
    common = {axis: _common([row["choices"][axis] for row in section.rows if axis in row["choices"]]) for axis in axes}

    def named(row: Mapping[str, Any]) -> str:
        choices = {axis: row["choices"][axis] for axis in axes if axis in row["choices"]}
        told = {axis: c for axis, c in choices.items() if axis in _NAMED or c != common[axis]}
        return " · ".join(choice if axis in KINDS else f"{axis} {choice}" for axis, choice in told.items())

    names = [named(row) for row in section.rows]
    return [n if n and names.count(n) == 1 else f"{n} {r['cells'][0]}".strip() for n, r in zip(names, section.rows)]


def _common(choices: Sequence[str]) -> str | None:
    """What more than half have chosen."""
    choice, count = Counter(choices).most_common(1)[0]
    return choice if count > len(choices) / 2 else None


def telling(section: Section) -> list[str]:
    """The axes that suffice to tell the rows apart: of those that say the same again, the first."""

    def told_apart(axes: Sequence[str]) -> int:
        return len({tuple(row["choices"].get(axis) for axis in axes) for row in section.rows})

    used: list[str] = []
    for axis in section.axes:
        if not used or told_apart([*used, axis]) > told_apart(used):
            used.append(axis)
    return used


def _tiers(section: Section, lines: Sequence[Line]) -> Iterator[Tier]:
    """Rows in the order of the table, cut where the tier changes; those without a tier stand last, by themselves."""
    numbers = [row["tier"] for row in section.rows]
    for number in sorted({n for n in numbers if n is not None}):
        yield Tier(number, [line for line, n in zip(lines, numbers) if n == number])
    if rest := [line for line, n in zip(lines, numbers) if n is None]:
        yield Tier(None, rest)


# ------------------------------------------------------------------------------------------------- columns


def _columns(section: Section, columns: Sequence[Column], names: Sequence[str]) -> tuple[list[Head], list[list[Cell]]]:
    """Heads, and the cells of each column. The rank comes first, and after it a name for those who see no axes."""
    rank, *others = columns
    named = Column("name", "row", [n + r["marks"] for n, r in zip(names, section.rows)])
    heads, cells = [], []
    shown = {column.name for column in [c for c in columns if c.role == "metric"][:LESSER]} | set(telling(section))
    for column in (rank, named, *others):
        wide = {
            "name": False,
            "metric": column.name in shown,
            "axis": column.name in shown,
            "samples": len(set(column.cells)) > 1,
        }.get(column.role, True)
        sorts = [_sort(section, column, k) for k in range(len(section.rows))]
        numeric = not any(isinstance(value, str) for value in sorts)
        heads.append(Head(column.role, column.header, numeric, wide, column.role in _NARROW, column.role in _ALWAYS))
        bars = _bars(section, column)
        cells.append([_cell(column, k, mark, value) for k, (mark, value) in enumerate(zip(bars, sorts))])
    return heads, cells


def _cell(column: Column, k: int, mark: Markup | None, sort: float | str | None) -> Cell:
    text, bracket, small = column.cells[k].partition(" [")
    text = text[:_DIGITS] if column.role == "cell" else text
    return Cell(_breakable(text), f"[{small}" if bracket else "", mark, sort)


def _breakable(text: str) -> Markup:
    """Text that may be broken between options and between tasks, where a name is longer than its column is wide."""
    return Markup("<wbr>").join(re.split(r"(?<=[:+])", text))


def _entry(section: Section, column: Column, k: int) -> Mapping[str, Any] | None:
    """The value, and perhaps an interval, behind a cell."""
    row = section.rows[k]
    if column.role == "difference":
        found: Mapping[str, Any] | None = row["difference"]
        return found
    if column.role in ("headline", "metric"):
        return dict(row["metrics"][column.name])
    group = row["groups"].get(column.name) if column.role == "group" else None
    return group and (group["difference"] or group)


def _sort(section: Section, column: Column, k: int) -> float | str | None:
    row = section.rows[k]
    if column.role in ("headline", "metric", "group", "difference"):
        entry = _entry(section, column, k)
        return 0.0 if column.role == "difference" and row["reference"] else entry["value"] if entry else None
    numbers = {
        "rank": row["rank"],
        "tier": row["tier"],
        "p": row["difference"] and row["difference"]["p_holm"],
        "seeds": len(row["seeds"]),
        "samples": row["samples"]["scored"],
    }
    return numbers[column.role] if column.role in numbers else column.cells[k]


def _bars(section: Section, column: Column) -> list[Markup | None]:
    """The intervals of a column, all drawn on one line from its least to its greatest end."""
    entries = [_entry(section, column, k) for k in range(len(section.rows))]
    drawable = [e if e and None not in (e["value"], e.get("low"), e.get("high")) else None for e in entries]
    ends = [e[end] for e in drawable if e for end in ("low", "high")]
    if not ends:
        return [None] * len(entries)
    if column.role == "difference":
        ends.append(0.0)
    zero = 0.0 if column.role == "difference" else None
    return [interval_bar(e, min(ends), max(ends), zero) if e else None for e in drawable]


# ------------------------------------------------------------------------------------------------- samples


def browsed(section: Section, chosen: Chosen, pictures: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """What the browser of samples reads, all of it JSON.

    metric: label, of points or another unit, the score that counts as right (or null). samples: id, group, note, text,
    photo, truth (null without pictures). cells: id, name, seed, why it has no pictures, and per sample: score, answer,
    drawing. all: ids and every cell's scores of all samples, null where these are too many.
    """
    said = section.metrics[chosen.metric]
    place = {sample: k for k, sample in enumerate(chosen.ids.tolist())}
    row_of = {cell: k for k, row in enumerate(section.rows) for cell in row["cells"]}
    factor = 100.0 if said["unit"] == "points" else 1.0
    made = {cell: found for cell, found in pictures.items() if not isinstance(found, str)}

    def shown(values: Sequence[float]) -> list[float | None]:
        return [None if math.isnan(v) else float(f"{v * factor:.4g}") for v in values]

    def of_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
        first: Mapping[str, Any] = next((found[sample["id"]] for found in made.values()), {})
        return {**sample, **{part: first.get(part) for part in ("text", "photo", "truth")}}

    def of_cell(record: Record) -> dict[str, Any]:
        scored = shown([float(chosen.scores[record.id][place[s["id"]]]) for s in chosen.shown])
        found = made.get(record.id)
        parts = [{p: found[s["id"]][p] for p in ("answer", "drawing")} if found else {} for s in chosen.shown]
        return {
            "id": record.id,
            "name": names[row_of[record.id]],
            "seed": record.result["seed"],
            "why": "" if found else str(pictures.get(record.id, "")),
            "shown": [{"score": score, **part} for score, part in zip(scored, parts)],
        }

    few = len(chosen.ids) * len(chosen.cells) <= MOST
    limit = bar(section, chosen.metric)
    return {
        "metric": {
            "label": "IoU" if said["label"].endswith("IoU") else said["label"],  # of one sample there is no mean
            "unit": said["unit"],
            "better": 1 if said["higher_is_better"] else -1,
            "right": None if limit is None else limit * factor,
            "bar": "" if limit is None else points(limit, said["unit"]),
        },
        "samples": [of_sample(sample) for sample in chosen.shown],
        "cells": [of_cell(record) for record in chosen.cells],
        "all": {"ids": chosen.ids.tolist(), "scores": [shown(chosen.scores[r.id].tolist()) for r in chosen.cells]}
        if few
        else None,
    }
