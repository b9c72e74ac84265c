"""The little of SVG that our plots need: elements with everything escaped, and axes with round numbers on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Scale = Callable[[float], float]  # a value -> a coordinate

WIDTH, HEIGHT = 520.0, 350.0  # units of a plot; a phone shows them at about 0.65 px each, with larger letters
LEFT, RIGHT, TOP, BOTTOM = 56.0, 466.0, 14.0, 294.0  # the frame that data lies in


def tag(name: str, *children: str, **attributes: Any) -> Markup:
    """An element. Attributes that are None are left out, `_` stands for `-`, numbers get two decimals."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{said}>{Markup().join(children)}</{name}>")  # children that are no Markup are escaped


def _short(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def linear(low: float, high: float, first: float, last: float) -> Scale:
    """Values low .. high onto coordinates first .. last, in either direction."""
    span = (high - low) or 1.0
    return lambda value: first + (value - low) / span * (last - first)


def logarithmic(low: float, high: float, first: float, last: float) -> Scale:
    """As `linear`, by the logarithm; values are positive."""
    inner = linear(math.log(low), math.log(high), first, last)
    return lambda value: inner(math.log(value))


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that take in low .. high, the ends included."""
    if not high > low:
        low, high = (low - 0.5, low + 0.5) if low else (0.0, 1.0)
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def words(x: float, y: float, text: str, anchor: str = "middle", **attributes: Any) -> Markup:
    """One line of text. anchor: start, middle or end."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, **attributes)


def path(points: Sequence[tuple[float, float]], **attributes: Any) -> Markup:
    """Straight lines through points."""
    return tag("path", d="M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points), fill="none", **attributes)


@dataclass(frozen=True)
class Plot:
    """A plot and its words. rows: numbers of those it draws. headers, lines: the same numbers as a table, for those who
    cannot see or want to copy."""

    title: str
    caption: str
    svg: Markup
    rows: Sequence[int]
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]


def drawn(alt: str, *children: Markup) -> Markup:
    """A plot of the common size; alt says what is seen."""
    return tag("svg", *children, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=alt, class_="plot")


def bottom_axis(scale: Scale, at: Sequence[float], said: Sequence[str], title: str) -> Markup:
    """Ticks with their words below the frame, and what they measure."""
    parts = [tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")]
    for value, text in zip(at, said):
        x = scale(value)
        parts += [tag("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"), words(x, BOTTOM + 20, text)]
    return tag("g", *parts, words((LEFT + RIGHT) / 2, HEIGHT - 10, title, class_="what"))


def left_axis(scale: Scale, at: Sequence[float], title: str) -> Markup:
    """Lines across the frame with their numbers at the left, and what they measure along the edge."""
    parts = []
    for value in at:
        y = scale(value)
        parts += [
            tag("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"),
            words(LEFT - 6, y + 4, f"{value:g}", "end"),
        ]
    return tag("g", *parts, _along(14.0, title))


def right_axis(scale: Scale, at: Sequence[float], title: str) -> Markup:
    """Numbers at the right, without lines."""
    parts = [words(RIGHT + 6, scale(value) + 4, f"{value:g}", "start") for value in at]
    return tag("g", *parts, _along(WIDTH - 6, title), class_="second")


def _along(x: float, title: str) -> Markup:
    y = (TOP + BOTTOM) / 2
    return words(x, y, title, transform=f"rotate(-90 {x:g} {y:g})", class_="what")
