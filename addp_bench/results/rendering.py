"""How a table of results is shown. The table itself is plain values, made by `tables`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from addp_bench.errors import unknown

from . import sheets
from .grid import SEPARATED, Column
from .sheets import NOTHING, Sheet

PAGE = "html"
NOT_TRAINED, SEES_TRUTH, FEW_SEEDS, INCOMPLETE = "°", "‡", "*", "!"
ON_FRONT, UNSURE = "◆", "◇"
COSTS = {
    "seconds": "alone [s]",
    "train_seconds": "train [s]",
    "evaluate_seconds": "evaluate [s]",
    "memory_mb": "memory [MB]",
    "gpu_memory_mb": "GPU memory [MB]",
}


@dataclass(frozen=True)
class Section:
    """Rows that may be compared with each other.

    heading: what they have in common of task, data, protocol and budget. same: the choices in which no row differs.
    axes: those in which rows differ, in order. metrics: id -> label, unit and direction, the headline first.
    rows: see `tables.leaderboard`. notes: what a reader must know, one sentence each. by, of, groups: in a table by
    parts of the data the attribute, the metric, and how many samples have each value; else empty. ceiling: whether rows
    show what the truth itself scores. published: see `published.beside`.
    """

    heading: Mapping[str, Any]
    same: Mapping[str, str]
    axes: Sequence[str]
    metrics: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    by: str = ""
    of: str = ""
    groups: Mapping[str, int] = field(default_factory=dict)
    ceiling: bool = False
    published: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Table:
    """Sections are never ranked against each other. extra: headers of columns that plugins added. columns: the only
    ones that are shown beside what tells rows apart, in their order; all where it is empty."""

    sections: Sequence[Section]
    extra: Sequence[str] = field(default_factory=tuple)
    columns: Sequence[str] = ()


def render(table: Table, style: str, width: int | None = None) -> str:
    """A table as text. style: table, markdown, latex, csv or json. Raises UnknownName for another.

    The style html is a page, which wants the records as well: see `addp_bench.page`.

    width: characters of the terminal, which the style table tries to keep within: it leaves out what is wanted least,
    and says what. None where a line may be as long as it has to be.
    """
    return sheets.written(style, lambda: _sheets(table), lambda: _lines(table), lambda: asdict(table), width, [PAGE])


def points(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number as tables show it: points times 100 with one decimal, other units with four digits."""
    if value is None or math.isnan(value):
        return NOTHING
    sign = "+" if signed else ""
    return f"{value * 100:{sign}.1f}" if unit == "points" else f"{value:{sign}.4g}"


def with_interval(entry: Mapping[str, Any], unit: str, *, signed: bool = False) -> str:
    """`57.3 [55.1, 59.4]`, without brackets where there is no interval."""
    said = points(entry["value"], unit, signed=signed)
    if entry.get("low") is None:
        return said
    low, high = (points(entry[end], unit, signed=signed) for end in ("low", "high"))
    return f"{said} [{low}, {high}]"


def probability(p: float | None) -> str:
    """A p value to the digits that matter."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


# ------------------------------------------------------------------------------------------------ as a grid


def grid(section: Section, extra: Sequence[str]) -> list[Column]:
    """The columns of a section, from left to right."""
    rows = section.rows
    spans = any(row["rank_interval"] for row in rows)
    columns = [Column("rank", "# [95 %]" if spans else "#", [_rank(row) for row in rows])]
    if not section.groups:
        columns.append(Column("tier", "tier", [_or_nothing(row["tier"]) for row in rows]))
    for axis in section.axes:
        marks = [row["marks"] if axis == section.axes[0] else "" for row in rows]
        columns.append(Column("axis", axis, [r["choices"].get(axis, NOTHING) + m for r, m in zip(rows, marks)], axis))
    columns += _by_group(section) if section.groups else _overall(section)
    columns.append(Column("seeds", "seeds", [_seeds(row) for row in rows]))
    columns.append(Column("samples", "N", [_samples(row) for row in rows]))
    cells = [row["cells"][0] + ("…" if len(row["cells"]) > 1 else "") for row in rows]
    columns.append(Column("cell", "cell", cells))
    return columns + [Column("extra", name, [row["extra"].get(name, "") for row in rows], name) for name in extra]


def _overall(section: Section) -> list[Column]:
    """The headline with its interval, the difference from the reference, and the other metrics."""
    rows, (headline, *others) = section.rows, section.metrics
    unit = section.metrics[headline]["unit"]
    said = [with_interval(row["metrics"][headline], unit) for row in rows]
    columns = [Column("headline", _arrow(section.metrics[headline]) + " [95 %]", said, headline)]
    if any(row["difference"] for row in rows):
        differences, p = zip(*(_difference(row, unit) for row in rows))
        columns += [Column("difference", "difference [95 %]", differences), Column("p", "p", p)]
    if section.ceiling:
        said = [_ceiling(row, section.metrics[headline]) for row in rows]
        columns.append(Column("ceiling", "ceiling", said))
    for name in others:
        if any(row["metrics"][name]["value"] is not None for row in rows):
            said = [points(row["metrics"][name]["value"], section.metrics[name]["unit"]) for row in rows]
            columns.append(Column("metric", _arrow(section.metrics[name]), said, name))
    return columns + (_costs(rows) if "cost" in rows[0] else [])


def _costs(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    marks = {"front": ON_FRONT, "unsure": UNSURE}
    columns = [Column("cost", "Pareto", [marks.get(row["pareto"], "") for row in rows], "pareto")]
    for name, header in COSTS.items():
        values = [row["cost"][name] for row in rows]
        if any(value is not None for value in values):
            said = [NOTHING if v is None else f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in values]
            columns.append(Column("cost", header, said, name))
    return columns


def _ceiling(row: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    """`97.3 (52 %)`: the ceiling, and the share of it that is reached where more is better."""
    ceiling, value = row["ceiling"], next(iter(row["metrics"].values()))["value"]
    said = points(ceiling, metric["unit"])
    return f"{said} ({value / ceiling:.0%})" if ceiling and value is not None and metric["higher_is_better"] else said


def _by_group(section: Section) -> list[Column]:
    """The metric over all samples, and in each group its value or its difference from the reference."""
    rows, metric = section.rows, section.metrics[section.of]
    whole = [with_interval({"low": None, **row["metrics"][section.of]}, metric["unit"]) for row in rows]
    columns = [Column("headline", _arrow(metric), whole, section.of)]
    for name, samples in section.groups.items():
        said = [_in_group(row["groups"].get(name), metric["unit"]) for row in rows]
        columns.append(Column("group", f"{name} (n = {samples})", said, name))
    return columns


def _in_group(entry: Mapping[str, Any] | None, unit: str) -> str:
    if entry is None:
        return NOTHING
    if (difference := entry["difference"]) is None:
        return with_interval(entry, unit)
    separated = difference["p_holm"] is not None and difference["p_holm"] <= 0.05
    return with_interval(difference, unit, signed=True) + separated * SEPARATED


def _arrow(metric: Mapping[str, Any]) -> str:
    unit = "" if metric["unit"] == "points" else f" ({metric['unit']})"
    return f"{metric['label']}{unit} {'↑' if metric['higher_is_better'] else '↓'}"


def _difference(row: Mapping[str, Any], unit: str) -> list[str]:
    if row["reference"]:
        return ["reference", ""]
    if not row["difference"]:
        return [NOTHING, NOTHING]
    return [with_interval(row["difference"], unit, signed=True), probability(row["difference"]["p_holm"])]


def _seeds(row: Mapping[str, Any]) -> str:
    few = FEW_SEEDS if row["about"] == "checkpoint" else ""
    missing = f" of {len(row['seeds']) + len(row['missing_seeds'])}" if row["missing_seeds"] else ""
    return f"{len(row['seeds'])}{missing}{few}"


def _samples(row: Mapping[str, Any]) -> str:
    scored, asked = row["samples"]["scored"], row["samples"]["asked"]
    return str(scored) if scored == asked else f"{scored} of {asked}"


def _rank(row: Mapping[str, Any]) -> str:
    """`2 [1, 3]`, without brackets where no other rank is possible."""
    span = row["rank_interval"]
    if span is None or span["low"] == span["high"]:
        return _or_nothing(row["rank"])
    return f"{row['rank']} [{span['low']}, {span['high']}]"


def _or_nothing(number: int | None) -> str:
    return NOTHING if number is None else str(number)


def title_of(section: Section) -> str:
    heading = section.heading
    parts = [heading["task"], f"{heading['dataset']} {heading['split']}", f"protocol {heading['protocol']}"]
    parts.append(f"budget {heading['budget']}" if heading["budget"] else "not trained here")
    return " · ".join([*parts, f"{heading['samples']} samples"])


def same_in_all(section: Section) -> list[str]:
    said = ", ".join(f"{axis} {choice}" for axis, choice in section.same.items())
    return [f"The same in all rows: {said}."] if said else []


# ------------------------------------------------------------------------------------------------ styles


def chosen(table: Table, names: Sequence[str]) -> Table:
    """The table with only these columns beside what tells rows apart. Raises UnknownName for one that it lacks."""
    known = {c.name or c.role for s in table.sections for c in grid(s, table.extra) if c.role != "axis"}
    for name in names:
        if name not in known:
            raise unknown("column of this table", name, known, "Costs need --cost, a difference needs --reference.")
    return replace(table, columns=tuple(names))


def _shown(section: Section, table: Table) -> list[Column]:
    columns = grid(section, table.extra)
    if not table.columns:
        return columns
    named = {column.name or column.role: column for column in columns}
    told_by = [column for column in columns if column.role == "axis"]
    return told_by + [named[name] for name in table.columns if name in named]


def _sheets(table: Table) -> list[Sheet]:
    made = []
    for section in table.sections:
        made.append(Sheet(title_of(section), _shown(section, table), [*same_in_all(section), *section.notes]))
        if section.published:
            made.append(published_of(section))
    return made


def published_of(section: Section) -> Sheet:
    """What others published of the same task, dataset and split."""
    rows = section.published
    columns = [Column("axis", "published", [row["method"] for row in rows])]
    for name, metric in section.metrics.items():
        if any(name in row["metrics"] for row in rows):
            said = [points(row["metrics"].get(name), metric["unit"]) for row in rows]
            columns.append(Column("headline", _arrow(metric), said, name))
    marks = [row["protocol"] + INCOMPLETE * (not row["same_protocol"]) for row in rows]
    columns += [Column("extra", "protocol", marks), Column("extra", "source", [row["source"] for row in rows])]
    if any(row["notes"] for row in rows):
        columns.append(Column("extra", "notes", [row["notes"] for row in rows]))
    notes = ["Numbers of others, as their source prints them: not measured here, not ranked, not compared."]
    if not all(row["same_protocol"] for row in rows):
        notes.append(f"{INCOMPLETE} judged by another protocol than the table above.")
    return Sheet(f"Published: {title_of(section)}", columns, notes)


def _lines(table: Table) -> list[list[Any]]:
    """The lines of a CSV: one for each row of every section, numbers as stored; published numbers below them."""
    axes = list(dict.fromkeys(axis for s in table.sections for axis in (*s.axes, *s.same)))
    metrics = list(dict.fromkeys(name for s in table.sections for name in s.metrics))
    common = list(table.sections[0].heading) if table.sections else []
    ends = ["headline", "low", "high", "ceiling", "difference", "difference_low", "difference_high", "p", "p_holm"]
    fixed = ["rank", "rank_low", "rank_high", "tier", "about", "seeds", "scored", "asked", "cells"]
    groups = list(dict.fromkeys((s.by, name) for s in table.sections for name in s.groups))
    by_group = [f"{by}={name}{end}" for by, name in groups for end in ("", " low", " high", " difference", " p_holm")]
    costs = [*COSTS, "machine", "pareto"] if any("cost" in row for s in table.sections for row in s.rows) else []
    others = ["method", "source", "notes"] if any(s.published for s in table.sections) else []
    header = [*common, *axes, *metrics, *ends, *fixed, *by_group, *costs, *table.extra, *others]
    lines: list[list[Any]] = []
    for section in table.sections:
        for row in section.rows:
            headline = next(iter(section.metrics))
            value, difference = row["metrics"][headline], row["difference"] or {}
            line = [section.heading[name] for name in common]
            line += [row["choices"].get(axis, section.same.get(axis, "")) for axis in axes]
            line += [row["metrics"].get(name, {}).get("value") for name in metrics]
            line += [headline, value["low"], value["high"], row["ceiling"]]
            line += [difference.get(name) for name in ("value", "low", "high", "p", "p_holm")]
            span = row["rank_interval"] or {"low": None, "high": None}
            line += [
                row["rank"],
                span["low"],
                span["high"],
                row["tier"],
                row["about"],
                " ".join(map(str, row["seeds"])),
            ]
            line += [row["samples"]["scored"], row["samples"]["asked"], " ".join(row["cells"])]
            for _, name in groups:
                entry = row["groups"].get(name, {})
                line += [entry.get(end) for end in ("value", "low", "high")]
                line += [(entry.get("difference") or {}).get(end) for end in ("value", "p_holm")]
            line += [{**row["cost"], "pareto": row["pareto"]}[name] for name in costs]
            lines.append([*line, *(row["extra"].get(name, "") for name in table.extra), *("" for _ in others)])
    for section in table.sections:
        for row in section.published:
            heading = {name: section.heading[name] for name in ("task", "dataset", "split")}
            said = {
                **heading,
                **{name: row[name] for name in ("protocol", "method", "source", "notes")},
                **row["metrics"],
            }
            lines.append([said.get(name, "") for name in header])
    kept = [k for k, name in enumerate(header) if name in (*common, *axes, *others) or _wanted(name, table)]
    return [[line[k] for k in kept] for line in [header, *lines]]


_CSV_OF = {  # columns of a CSV by the column that holds them elsewhere
    **dict.fromkeys(("rank_low", "rank_high"), "rank"),
    **dict.fromkeys(("difference_low", "difference_high"), "difference"),
    **dict.fromkeys(("scored", "asked"), "samples"),
    "p_holm": "p",
    "about": "seeds",
    "cells": "cell",
    "machine": "pareto",
}


def _wanted(name: str, table: Table) -> bool:
    """Whether a column of a CSV is among those chosen."""
    if not table.columns:
        return True
    if name in ("headline", "low", "high"):
        return any(next(iter(s.metrics)) in table.columns for s in table.sections)
    return _CSV_OF.get(name, name) in table.columns
