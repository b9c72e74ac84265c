"""What the rows of a table have in common, and the choices that tell them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from addp_bench.records import clean

from .selection import AXES, Row


def axes_of(rows: Sequence[Row]) -> tuple[dict[str, str], list[str], list[dict[str, str]]]:
    """What is the same in all rows, the axes in which they differ, and each row's choices on these.

    An axis that a row does not have does not make it differ. Numbers of the training count among rows of one model.
    """
    axes = list(dict.fromkeys([*AXES, *(axis for row in rows for axis in row.axes)]))
    texts = {axis: _texts(rows, axis) for axis in axes}
    same, differing = {}, []
    for axis in axes:
        present = [text for text in texts[axis] if text is not None]
        if axis == "model" or _differs(rows, axis, texts[axis]):
            differing.append(axis)
        elif len(set(present)) == 1 and axis != "task" and (axis, present[0]) != ("transform", "none"):
            same[axis] = present[0]  # the heading says the task; no transform is nothing to say
    choices = [{axis: text for axis in differing if (text := texts[axis][k]) is not None} for k in range(len(rows))]
    return same, differing, choices


def _differs(rows: Sequence[Row], axis: str, texts: Sequence[str | None]) -> bool:
    if not axis.startswith("train "):
        return len({text for text in texts if text is not None}) > 1
    by_model: dict[str, set[str]] = {}
    for row, text in zip(rows, texts):
        if text is not None:
            by_model.setdefault(row.axes["model"][0]["name"], set()).add(text)
    return any(len(met) > 1 for met in by_model.values())


def _texts(rows: Sequence[Row], axis: str) -> list[str | None]:
    """Each row's choice on an axis; options are said where rows with the same plugin differ in them."""
    options: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        for choice in row.axes.get(axis, ()):
            for option, value in choice["options"].items():
                options.setdefault((choice["name"], option), Counter())[repr(value)] += 1
    telling = {key for key, met in options.items() if len(met) > 1}

    def short(value: Any) -> Any:
        """The beginning of a SHA-256."""
        return value[:8] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else value

    def said(choice: Mapping[str, Any]) -> str:
        shown = [f"{o}={short(v)}" for o, v in choice["options"].items() if (choice["name"], o) in telling]
        return clean(":".join([choice["name"], *shown]))

    return ["+".join(map(said, row.axes[axis])) if axis in row.axes else None for row in rows]
