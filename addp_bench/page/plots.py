"""The plots of a section: the metric along the trajectory over what was trained, what explains the result, and quality
against cost. A row is told by its number: everything drawn of row k carries `data-row="k"` and the colour of its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from addp_bench.page.svg import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Plot,
    Scale,
    bottom_axis,
    drawn,
    left_axis,
    linear,
    logarithmic,
    path,
    right_axis,
    tag,
    ticks,
    words,
)
from addp_bench.progress import duration
from addp_bench.records import Record, clean
from addp_bench.results import pareto
from addp_bench.results.rendering import points

COLOURS = 8  # rows with a colour of their own; the rest is grey until it is emphasised
_TIMES = [n * unit for unit in (1, 60, 3600) for n in (1, 2, 5, 10, 20, 30)] + [86400, 172800, 864000]


@dataclass(frozen=True)
class Charted:
    """A row as plots see it. place: its number in the section; said: its name; colour: class of its colour; on: whether
    it is emphasised before anybody chooses; row: as in `tables.leaderboard`."""

    place: int
    said: str
    colour: str
    on: bool
    row: Mapping[str, Any]
    records: Sequence[Record]

    def of(self, kind: str) -> dict[str, Any]:
        """Attributes of what is drawn of it."""
        return {"class_": f"{kind} {self.colour}" + " on" * self.on, "data_row": self.place}


def colours(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Class of the colour of every row: ranked ones first, grey when no more are left."""
    order = sorted(range(len(rows)), key=lambda k: (rows[k]["rank"] is None, k))
    return [f"c{order.index(k)}" if order.index(k) < COLOURS else "c-rest" for k in range(len(rows))]


def plots(rows: Sequence[Charted], metric: str, said: Mapping[str, Any], effects: Plot | None = None) -> list[Plot]:
    """Whatever the rows have something to draw for. metric: the headline; said: its label, unit and direction.
    effects: of their choices, drawn elsewhere."""
    made = [_curves(rows, metric, said), _costs(rows, metric, said), effects, *map(_contribution, rows)]
    return [plot for plot in made if plot is not None]


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*rows)]


def _scaled(said: Mapping[str, Any]) -> tuple[float, str]:
    """By what stored numbers are multiplied to be shown, and the axis title."""
    factor, unit = (100.0, "points") if said["unit"] == "points" else (1.0, str(said["unit"]))
    return factor, f"{said['label']}, {unit} {'↑' if said['higher_is_better'] else '↓'}"


def _heights(values: Sequence[float]) -> list[float]:
    """Round numbers for an axis that takes these in, and 0 with them unless all lie far above it."""
    low = min(values)
    return ticks(min(0.0, low) if low < 0.4 * max(values) else low, max(values))


# ------------------------------------------------------------------------------------------------- curves


def curve_of(row: Charted, metric: str) -> tuple[list[int], list[float | None]] | None:
    """Timesteps, noisiest first, and the metric there as the mean over seeds; None where a seed has none."""
    curves = [record.result["curve"] for record in row.records]
    if not curves or any(not c or metric not in c["metrics"] or c["t"] != curves[0]["t"] for c in curves):
        return None
    columns = zip(*(c["metrics"][metric] for c in curves))
    return curves[0]["t"], [None if None in column else sum(column) / len(column) for column in columns]


def mass_of(row: Charted) -> list[float] | None:
    """Share of the training of each part of the timesteps, cleanest first, as the mean over seeds."""
    masses = [record.result["timestep_mass"] for record in row.records]
    return _mean(masses) if masses and all(masses) and len({len(m) for m in masses}) == 1 else None


def _curves(rows: Sequence[Charted], metric: str, said: Mapping[str, Any]) -> Plot | None:
    found = {row.place: made for row in rows if (made := curve_of(row, metric))}
    if not any(len(t) > 1 for t, _ in found.values()):
        return None
    factor, title = _scaled(said)
    met = [v * factor for _, values in found.values() for v in values if v is not None]
    if not met:
        return None
    steps = max(1000, *(t + 1 for at, _ in found.values() for t in at))
    heights = _heights(met)
    x, y = linear(steps, 0, LEFT + 4, RIGHT - 4), linear(heights[0], heights[-1], BOTTOM, TOP)
    masses = {row.place: mass for row in rows if row.place in found and (mass := mass_of(row))}
    shares = ticks(0.0, max([20.0, *(100 * m for mass in masses.values() for m in mass)]))
    second = linear(0.0, shares[-1], BOTTOM, TOP)
    charted = [row for row in rows if row.place in found]
    bars = [_mass(row, masses[row.place], x, second, steps) for row in charted if row.place in masses]
    lines = [_curve(row, *found[row.place], x, y, factor, said["unit"]) for row in reversed(charted)]
    every = sorted({t for at, _ in found.values() for t in at}, reverse=True)
    at = [k * steps / 5 for k in range(6)]
    return Plot(
        f"{said['label']} at each timestep, over what was trained",
        "Lines: the answer read at each step, mean over seeds; a ring marks the step that is read. "
        f"Bars: share of the training of each part of the timesteps, of the emphasised row.{_begins(heights[0])}",
        drawn(
            f"{said['label']} against the timestep, {len(found)} rows; the numbers stand in the table below.",
            bottom_axis(x, at, [f"{v:g}" for v in at], "timestep: pure noise → clean, as sampled"),
            left_axis(y, heights, title),
            *([right_axis(second, shares, "share of training, %")] if bars else []),
            *bars,
            *lines,
        ),
        [row.place for row in charted],
        ["row", *(f"t = {t}" for t in every)],
        [[row.said, *_at(found[row.place], every, said["unit"])] for row in charted],
    )


def _begins(low: float) -> str:
    return f" The axis of the lines begins at {low:g}." if low else ""


def _at(curve: tuple[list[int], list[float | None]], every: Sequence[int], unit: str) -> list[str]:
    values = dict(zip(*curve))
    return [points(values.get(t), unit) for t in every]


def _mass(row: Charted, mass: Sequence[float], x: Scale, y: Scale, steps: int) -> Markup:
    """Bars behind the lines, one for each part of the timesteps."""
    wide = steps / len(mass)
    bars = [
        tag(
            "rect",
            tag("title", f"{row.said}: {share:.1%} of its training on t = {k * wide:g} to {(k + 1) * wide - 1:g}"),
            x=x((k + 1) * wide) + 1,
            y=y(share * 100),
            width=x(k * wide) - x((k + 1) * wide) - 2,
            height=BOTTOM - y(share * 100),
        )
        for k, share in enumerate(mass)
    ]
    return tag("g", *bars, **row.of("mass"))


def _curve(
    row: Charted, at: Sequence[int], values: Sequence[float | None], x: Scale, y: Scale, factor: float, unit: str
) -> Markup:
    placed = [(t, v, (x(t), y(v * factor))) for t, v in zip(at, values) if v is not None]
    dots = [
        tag("circle", tag("title", f"{row.said}: {points(v, unit)} at t = {t}"), cx=cx, cy=cy, r=2.6)
        for t, v, (cx, cy) in placed
    ]
    read = (row.records[0].result["read_at"] or {}).get("t")
    rings = [tag("circle", cx=cx, cy=cy, r=5.5, class_="ring") for t, _, (cx, cy) in placed if t == read]
    line = [path([place for *_, place in placed])] if len(placed) > 1 else []
    return tag("g", *line, *dots, *rings, **row.of("line"))


# ------------------------------------------------------------------------------------------- contributions


def _contribution(row: Charted) -> Plot | None:
    """What Algorithm A measured in a row, where it did."""
    measured = [record.result["contribution"] for record in row.records]
    if not measured or not all(measured) or len({len(m["raw"]) for m in measured}) > 1:
        return None
    raw = [100 * v for v in _mean([m["raw"] for m in measured])]
    low, high, what = _spread(measured)
    trained = mass_of(row)
    if trained is None or len(trained) != len(raw):  # other groups than the tenths that are kept
        trained = _mean([m["group_probabilities"] for m in measured])
    shares = [100 * v for v in trained]
    groups = len(raw)
    heights = ticks(0.0, max(*raw, *shares, *high, 10.0))
    x, y = linear(groups - 0.5, -0.5, LEFT, RIGHT), linear(0.0, heights[-1], BOTTOM, TOP)
    half = (x(0) - x(1)) * 0.36
    bars, marks = [], []
    for k in range(groups):
        words_ = f"group {k}: newly explains {raw[k]:.1f} %, got {shares[k]:.1f} % of the training"
        bars.append(
            tag("rect", tag("title", words_), x=x(k) - half, y=y(raw[k]), width=2 * half, height=BOTTOM - y(raw[k]))
        )
        if high:
            bars.append(tag("line", x1=x(k), x2=x(k), y1=y(max(low[k], 0.0)), y2=y(high[k]), class_="whisker"))
        marks.append(tag("path", tag("title", words_), d=_diamond(x(k), y(shares[k]), 4.5), class_="diamond"))
    flags = sorted({clean(str(flag)) for m in measured for flag in m.get("flags") or ()})
    return Plot(
        f"What explains the result: {row.said}",
        f"Bars: what each group of timesteps newly explains of the final quality's variance{what}. "
        "Diamonds: its share of the training." + (f" Flags: {', '.join(flags)}." if flags else ""),
        drawn(
            f"Contribution of {groups} groups of timesteps and what was trained; the numbers stand in the table below.",
            bottom_axis(x, range(groups), [str(k) for k in range(groups)], "group: noisiest → cleanest"),
            left_axis(y, heights, "share, %"),
            tag("g", *bars, class_=f"bars {row.colour}"),
            tag("g", *marks),
        ),
        [row.place],
        ["", *(f"group {k}" for k in range(groups))],
        [
            ["newly explains, %", *(f"{v:.1f}" for v in raw)],
            ["training, %", *(f"{v:.1f}" for v in shares)],
        ],
    )


def _spread(measured: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float], str]:
    """Ends of the whiskers in percent, and what they are: of several seeds their range, of one its bootstrap sd."""
    if len(measured) > 1:
        columns = [[100 * v for v in column] for column in zip(*(m["raw"] for m in measured))]
        return [min(c) for c in columns], [max(c) for c in columns], f", mean and range of {len(measured)} seeds"
    raw, sd = measured[0]["raw"], measured[0].get("bootstrap_sd")
    if not sd:
        return [], [], ""
    return [100 * (r - s) for r, s in zip(raw, sd)], [100 * (r + s) for r, s in zip(raw, sd)], ", ± bootstrap sd"


def _diamond(x: float, y: float, r: float) -> str:
    return f"M{x:.1f},{y - r:.1f}l{r},{r}l{-r},{r}l{-r},{-r}z"


# --------------------------------------------------------------------------------------------------- cost


def _costs(rows: Sequence[Charted], metric: str, said: Mapping[str, Any]) -> Plot | None:
    ranked = [(row, pareto.cost_of(row.records)) for row in rows if row.row["rank"] is not None]
    known = [(row, cost) for row, cost in ranked if cost["seconds"] is not None and cost["machine"] is not None]
    found = [(row, cost["seconds"], row.row["metrics"][metric]) for row, cost in known]
    if len(found) < 2:
        return None
    factor, title = _scaled(said)
    better = factor if said["higher_is_better"] else -factor
    values, tiers = [better * entry["value"] for *_, entry in found], [row.row["tier"] for row, _ in known]
    marks = pareto.front(values, tiers, [cost for _, cost in known])
    machines = sorted({cost["machine"] for _, cost in known})
    fronts = [
        sorted((k for k, (_, cost) in enumerate(known) if cost["machine"] == one and _best(marks[k])), key=_by(found))
        for one in machines
    ]
    ends = [factor * v for *_, entry in found for v in (entry["low"], entry["value"], entry["high"]) if v is not None]
    heights = _heights(ends)
    low, high = min(spent for _, spent, _ in found) / 1.25, max(spent for _, spent, _ in found) * 1.25
    at = _clock(low, high)
    x, y = logarithmic(low, high, LEFT + 8, RIGHT - 8), linear(heights[0], heights[-1], BOTTOM, TOP)
    places = [(x(spent), y(factor * entry["value"])) for _, spent, entry in found]
    names = _names([str(row.row["rank"]) for row, *_ in found], places)
    dots = [
        tag(
            "g",
            *_dot(one, place, y, factor, said["unit"]),
            *name,
            **one[0].of("dot best" if _best(marks[k]) else "dot"),
        )
        for k, (one, place, name) in enumerate(zip(found, places, names))
    ]
    other = f" Only rows of one machine are compared: {'; '.join(machines)}." if len(machines) > 1 else ""
    return Plot(
        f"{said['label']} against cost",
        "Seconds of all stages behind a row, shared ones and its source's included, mean over seeds. "
        "Filled and joined: the Pareto set, which no other row beats in both by their values; a cheaper row of the "
        "same tier makes that unsure. Numbers are ranks, lines 95 % intervals."
        f"{_begins(heights[0])}{other}",
        drawn(
            f"{said['label']} against seconds, {len(found)} rows; the numbers stand in the table below.",
            bottom_axis(x, at, [_told(value) for value in at], "time of computing, logarithmic"),
            left_axis(y, heights, title),
            *(path(_stairs([places[k] for k in front]), class_="front") for front in fronts if front),
            *dots,
        ),
        [row.place for row, *_ in found],
        ["row", "seconds", said["label"], "Pareto set"],
        [
            [row.said, f"{spent:.1f}", points(entry["value"], said["unit"]), _IN_SET[marks[k] or ""]]
            for k, (row, spent, entry) in enumerate(found)
        ],
    )


_IN_SET = {"front": "yes", "unsure": "unsure", "dominated": "no", "": "no"}


def _best(mark: str | None) -> bool:
    return mark in ("front", "unsure")


def _by(found: Sequence[tuple[Charted, float, Any]]) -> Callable[[int], float]:
    """What sorts places in `found` by their seconds."""
    return lambda k: found[k][1]


def _clock(low: float, high: float) -> list[float]:
    """At most six round times between two, evenly chosen; of a range that holds none its ends."""
    found = [float(value) for value in _TIMES if low <= value <= high]
    return found[:: math.ceil(len(found) / 6)] if len(found) > 1 else [low, high]


def _told(seconds: float) -> str:
    """A round time in its largest unit."""
    unit, said = next((u, s) for u, s in ((86400, "d"), (3600, "h"), (60, "min"), (0, "s")) if seconds >= u)
    return f"{seconds / (unit or 1):.2g} {said}"


def _dot(
    one: tuple[Charted, float, Mapping[str, Any]], place: tuple[float, float], y: Scale, factor: float, unit: str
) -> list[Markup]:
    """A point over its interval. one: the row, its seconds, its value with its ends."""
    row, spent, entry = one
    told = tag("title", f"{row.said}: {points(entry['value'], unit)}, {duration(spent)}")
    dot = tag("circle", told, cx=place[0], cy=place[1], r=5.0)
    if entry["low"] is None:
        return [dot]
    low, high = (y(factor * entry[end]) for end in ("low", "high"))
    return [tag("line", x1=place[0], x2=place[0], y1=low, y2=high, class_="whisker"), dot]


def _stairs(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What can be had for at most so much: level until the next point, then up to it."""
    found = list(places[:1])
    for x, y in places[1:]:
        found += [(x, found[-1][1]), (x, y)]
    return [*found, (RIGHT, found[-1][1])]


def _names(said: Sequence[str], places: Sequence[tuple[float, float]]) -> list[list[Markup]]:
    """A word beside each point, on the side where it covers neither a point nor an earlier word; else none."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    found: list[list[Markup]] = []
    for text, (x, y) in zip(said, places):
        wide = 7.0 * len(text)
        sides = [(x + dx, y + dy) for dx in (9, -9 - wide) for dy in (-6, 14)]
        boxes = [(left, low - 9, left + wide, low) for left, low in sides]
        free = [b for b in boxes if all(b[2] < o[0] or b[0] > o[2] or b[3] < o[1] or b[1] > o[3] for o in taken)]
        taken += free[:1]
        found.append([words(b[0], b[3], text, "start", class_="name") for b in free[:1]])
    return found


# ------------------------------------------------------------------------------------------- in the table


def interval_bar(entry: Mapping[str, Any], low: float, high: float, mark: float | None) -> Markup:
    """A value and its interval on a line from low to high, for a cell of the table; with a mark at a value."""
    x = linear(low, high, 4.0, 116.0)
    parts = [tag("line", x1=4.0, x2=116.0, y1=6.0, y2=6.0, class_="rail")]
    if mark is not None:
        parts.append(tag("line", x1=x(mark), x2=x(mark), y1=0.0, y2=12.0, class_="zero"))
    parts.append(tag("line", x1=x(entry["low"]), x2=x(entry["high"]), y1=6.0, y2=6.0, class_="reach"))
    parts.append(tag("circle", cx=x(entry["value"]), cy=6.0, r=3.2))
    return tag("svg", *parts, viewBox="0 0 120 12", class_="interval", aria_hidden="true", focusable="false")
