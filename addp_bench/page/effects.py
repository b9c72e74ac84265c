"""What each choice of a section does, drawn: effects with their intervals, the surest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from addp_bench.errors import BenchError
from addp_bench.page.svg import BOTTOM, LEFT, RIGHT, TOP, Plot, bottom_axis, drawn, linear, tag, ticks, words
from addp_bench.records import Record
from addp_bench.results.attribution import Attribution, attribute
from addp_bench.results.rendering import Section, points, probability, with_interval

MOST = 10  # effects that are drawn; all of them stand in the table below
SEPARATED = 0.05


def plot(section: Section, records: Mapping[str, Record]) -> Plot | None:
    """Effects over the largest complete grid of the rows that compete; None where they form none.

    records: by id, those of the section at least.
    """
    competing = [row for row in section.rows if row["rank"] is not None and all(c in records for c in row["cells"])]
    of = [records[cell] for row in competing for cell in row["cells"]]
    reference = [f"{axis}={c}" for row in competing if row["reference"] for axis, c in row["choices"].items()]
    for asked in (reference, ()):  # a choice of the reference may stand outside of the grid
        try:
            (found,) = attribute(of, reference=asked)
        except (BenchError, ValueError):  # no grid, or rows that are several tables when they stand by themselves
            continue
        return _drawn(found)
    return None


def _drawn(found: Attribution) -> Plot:
    factor, unit = (100.0, "points") if found.metric["unit"] == "points" else (1.0, str(found.metric["unit"]))
    known = [effect for effect in found.effects if effect["low"] is not None]
    shown = sorted(known, key=lambda effect: effect["p_holm"])[:MOST]
    ends = [factor * effect[end] for effect in shown for end in ("low", "high")] or [0.0]
    at = ticks(min(0.0, *ends), max(0.0, *ends))
    x = linear(at[0], at[-1], LEFT, RIGHT)
    step = (BOTTOM - TOP) / max(1, len(shown))
    lines = [_line(effect, x, factor, TOP + (k + 0.72) * step) for k, effect in enumerate(shown)]
    grid = " × ".join(f"{name} ({len(levels)})" for name, levels in found.factors.items())
    beside = f" Outside of the grid: {len(found.left_out)} rows." if found.left_out else ""
    return Plot(
        f"What each choice does to {found.metric['label']}",
        f"The complete grid {grid}, {len(found.seeds)} seeds; averages over the other choices, 95 % intervals. Filled: "
        f"separated from 0 after Holm's correction over all effects.{beside}",
        drawn(
            f"{len(shown)} effects on {found.metric['label']}; the numbers stand in the table below.",
            tag("line", x1=x(0.0), x2=x(0.0), y1=TOP, y2=BOTTOM, class_="grid"),
            *lines,
            bottom_axis(x, at, [f"{value:+g}" if value else "0" for value in at], f"effect, {unit}"),
        ),
        [],
        ["effect of", "levels", f"{found.metric['label']} [95 %]", "p (Holm)"],
        [
            [
                _name(effect),
                str(effect["of"]),
                with_interval(effect, found.metric["unit"], signed=True),
                probability(effect["p_holm"]),
            ]
            for effect in found.effects
        ],
    )


def _line(effect: Mapping[str, Any], x: Any, factor: float, y: float) -> Any:
    low, value, high = (x(factor * effect[name]) for name in ("low", "value", "high"))
    sure = effect["p_holm"] <= SEPARATED
    said = f"{_name(effect)}: {effect['of']}"
    told = f"{said}, {points(effect['value'], 'points' if factor == 100 else '', signed=True)}"
    return tag(
        "g",
        words(LEFT, y - 9, said if len(said) <= 78 else f"{said[:77]}…", "start"),
        tag("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"),
        tag("circle", tag("title", told), cx=value, cy=y, r=5.0),
        class_="dot c0" + " best" * sure,  # no row of the table, so it is never emphasised
    )


def _name(effect: Mapping[str, Any]) -> str:
    return " × ".join(effect["factors"])
