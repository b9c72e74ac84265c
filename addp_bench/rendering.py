"""How a table of results is shown. The table itself is plain values, made by `tables`."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from addp_bench.errors import unknown

NOTHING = "–"
NOT_TRAINED, SEES_TRUTH, FEW_SEEDS, INCOMPLETE = "°", "‡", "*", "!"


@dataclass(frozen=True)
class Section:
    """Rows that may be compared with each other.

    heading: what they have in common of task, data, protocol and budget. same: the choices in which no row differs.
    axes: those in which rows differ, in order. metrics: id -> label, unit and direction, the headline first.
    rows: see `tables.leaderboard`. notes: what a reader must know, one sentence each.
    """

    heading: Mapping[str, Any]
    same: Mapping[str, str]
    axes: Sequence[str]
    metrics: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Sections are never ranked against each other. extra: headers of columns that plugins added."""

    sections: Sequence[Section]
    extra: Sequence[str] = field(default_factory=tuple)


def render(table: Table, style: str) -> str:
    """A table as text. style: table, markdown, latex, html, csv or json. Raises UnknownName for another."""
    if style not in _STYLES:
        raise unknown("style of table", style, _STYLES)
    return _STYLES[style](table)


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


def _grid(section: Section, extra: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells, all text."""
    headline, *others = section.metrics
    shown = [name for name in others if any(row["metrics"][name]["value"] is not None for row in section.rows)]
    compared = any(row["difference"] for row in section.rows)
    headers = ["#", "tier", *section.axes, _arrow(section.metrics[headline]) + " [95 %]"]
    headers += ["difference [95 %]", "p"] if compared else []
    headers += [_arrow(section.metrics[name]) for name in shown] + ["seeds", "N", "cell", *extra]
    grid = []
    for row in section.rows:
        unit = section.metrics[headline]["unit"]
        cells = [_or_nothing(row["rank"]), _or_nothing(row["tier"])]
        cells += [row["choices"].get(axis, NOTHING) for axis in section.axes]
        cells[2] += row["marks"]
        cells.append(with_interval(row["metrics"][headline], unit))
        if compared:
            cells += _difference(row, unit)
        cells += [points(row["metrics"][name]["value"], section.metrics[name]["unit"]) for name in shown]
        cells += [_seeds(row), _samples(row), row["cells"][0] + ("…" if len(row["cells"]) > 1 else "")]
        grid.append(cells + [row["extra"].get(name, "") for name in extra])
    return headers, grid


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


def _or_nothing(number: int | None) -> str:
    return NOTHING if number is None else str(number)


def _title(section: Section) -> str:
    heading = section.heading
    parts = [heading["task"], f"{heading['dataset']} {heading['split']}", f"protocol {heading['protocol']}"]
    parts.append(f"budget {heading['budget']}" if heading["budget"] else "not trained here")
    return " · ".join([*parts, f"{heading['samples']} samples"])


def _same(section: Section) -> list[str]:
    said = ", ".join(f"{axis} {choice}" for axis, choice in section.same.items())
    return [f"The same in all rows: {said}."] if said else []


# ------------------------------------------------------------------------------------------------ styles


def _tabulated(table: Table, style: str, title: Callable[[str], str], note: Callable[[str], str]) -> str:
    from tabulate import tabulate

    blocks = []
    for section in table.sections:
        headers, grid = _grid(section, table.extra)
        body = tabulate(grid, headers, style, disable_numparse=True)
        notes = [note(line) for line in (*_same(section), *section.notes)]
        blocks.append("\n".join([title(_title(section)), "", body, *([""] if notes else []), *notes]))
    return "\n\n\n".join(blocks)


def _table(table: Table) -> str:
    return _tabulated(table, "simple", str, lambda line: f"  {line}")


def _markdown(table: Table) -> str:
    escaped = _escaped(table, lambda text: text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;"))
    return _tabulated(escaped, "pipe", lambda text: f"### {text}", lambda line: f"- {line.replace('* ', '&ast; ')}")


def _latex(table: Table) -> str:
    # tabulate escapes cells itself, but knows no arrows
    body = _tabulated(table, "latex_booktabs", lambda text: f"% {text}", lambda line: f"% {line}")
    for sign, command in (("↑", r"$\uparrow$"), ("↓", r"$\downarrow$"), (NOTHING, "--"), ("‡", r"$\ddagger$")):
        body = body.replace(sign, command)
    return body.replace("°", r"$^\circ$").replace("…", r"\ldots")


def _html(table: Table) -> str:
    return _tabulated(  # tabulate escapes cells itself
        table,
        "html",
        lambda text: f"<h3>{html.escape(text)}</h3>",
        lambda line: f"<p>{html.escape(line)}</p>",
    )


def _escaped(table: Table, escape: Callable[[str], str]) -> Table:
    def choices(row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            **row,
            "choices": {axis: escape(text) for axis, text in row["choices"].items()},
            "extra": {name: escape(text) for name, text in row["extra"].items()},
        }

    return Table(
        [Section(**{**vars(s), "rows": [choices(row) for row in s.rows]}) for s in table.sections], table.extra
    )


def _csv(table: Table) -> str:
    """One line for each row of every section, numbers as stored."""
    axes = list(dict.fromkeys(axis for s in table.sections for axis in (*s.axes, *s.same)))
    metrics = list(dict.fromkeys(name for s in table.sections for name in s.metrics))
    common = list(table.sections[0].heading) if table.sections else []
    ends = ["headline", "low", "high", "difference", "difference_low", "difference_high", "p", "p_holm"]
    fixed = ["rank", "tier", "about", "seeds", "scored", "asked", "cells"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*common, *axes, *metrics, *ends, *fixed, *table.extra])
    for section in table.sections:
        for row in section.rows:
            headline = next(iter(section.metrics))
            value, difference = row["metrics"][headline], row["difference"] or {}
            line = [section.heading[name] for name in common]
            line += [row["choices"].get(axis, section.same.get(axis, "")) for axis in axes]
            line += [row["metrics"].get(name, {}).get("value") for name in metrics]
            line += [headline, value["low"], value["high"]]
            line += [difference.get(name) for name in ("value", "low", "high", "p", "p_holm")]
            line += [row["rank"], row["tier"], row["about"], " ".join(map(str, row["seeds"]))]
            line += [row["samples"]["scored"], row["samples"]["asked"], " ".join(row["cells"])]
            writer.writerow([*line, *(row["extra"].get(name, "") for name in table.extra)])
    return out.getvalue().rstrip("\n")


def _json(table: Table) -> str:
    return json.dumps(asdict(table), indent=1, allow_nan=False, ensure_ascii=False)


_STYLES: Mapping[str, Callable[[Table], str]] = {
    "table": _table,
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "csv": _csv,
    "json": _json,
}
