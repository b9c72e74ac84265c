"""Tables as columns of text, and how they are made to fit a narrow terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

SEPARATED = "†"  # marks a difference that is separated from 0
_DROPPED_FIRST = ("metric", "samples")  # what a narrow terminal loses before anything is squeezed
_DROPPED_LAST = ("cost", "rank", "seeds", "p", "tier")
_BETWEEN = _PADDING = 2  # characters that tabulate puts between columns, and adds to the longest line of a header


@dataclass(frozen=True)
class Column:
    """One column of a grid, all text. role: rank, tier, axis, headline, group, difference, p, ceiling, metric, cost,
    seeds, samples, cell or extra; by it a narrow terminal decides what to leave out. name: by which it is chosen, the
    role where it has none of its own."""

    role: str
    header: str
    cells: Sequence[str]
    name: str = ""

    @property
    def width(self) -> int:
        def longest(text: str) -> int:
            return max(map(len, text.split("\n")))

        return max(longest(self.header) + _PADDING, *map(longest, self.cells)) + _BETWEEN

    def changed(self, change: Callable[[str], str]) -> Column:
        """The column with every text of it changed."""
        return replace(self, header=change(self.header), cells=[change(text) for text in self.cells])


def narrowed(columns: Sequence[Column], width: int) -> tuple[list[Column], list[str]]:
    """Columns that fit a width, in steps of rising cost, and what was left out on the way.

    First the lesser metrics go, from the right; then intervals move to a second line, names are broken, and cells keep
    six digits, which commands take as well; then further columns go, and what has room again comes back. The headline,
    its difference, what tells rows apart, and the cell always stay: where they do not fit, lines are longer than the
    terminal.
    """
    left = dict(enumerate(columns))
    hidden: dict[int, Column] = {}

    def spare() -> int:
        return width + _BETWEEN - sum(column.width for column in left.values())

    def drop(role: str) -> None:
        for k in sorted((k for k, column in left.items() if column.role == role), reverse=True):
            if spare() < 0:
                hidden[k] = left.pop(k)

    def change(roles: Sequence[str], how: Callable[[str], str]) -> None:
        if spare() < 0:
            left.update({k: column.changed(how) for k, column in left.items() if column.role in roles})

    for role in _DROPPED_FIRST:
        drop(role)
    change(
        ("rank", "headline", "difference", "group"), lambda text: text.replace(" [", "\n[").replace(" (n = ", "\n(n = ")
    )
    for room in (24, 16, 12):  # mypy cannot infer a lambda with a default
        change(("axis", "extra"), lambda text, room=room: broken(text.replace("\n", ""), room))  # type: ignore[misc]
    change(("cell",), lambda text: text[:6])
    for role in _DROPPED_LAST:
        drop(role)
    bare = spare() < 0 and any(column.role == "group" for column in left.values())
    if bare:
        change(("headline", "group"), _without_interval)
    for k in sorted(hidden):
        if hidden[k].width <= spare():
            left[k] = hidden.pop(k)
    said = [hidden[k].header for k in sorted(hidden)] + ["intervals"] * bare
    return [left[k] for k in sorted(left)], said


def _without_interval(text: str) -> str:
    first, _, rest = text.partition("\n")
    mark = SEPARATED * text.endswith(SEPARATED)
    return first + mark if rest.startswith("[") else text.replace("(n = ", "n=").rstrip(")")


def broken(text: str, room: int) -> str:
    """Text in lines of at most `room` characters, broken after punctuation where that is possible."""
    lines = [""]
    for part in re.split(r"(?<=[:_+=, ])", text):
        while len(part) > room:
            lines[-1:] = [lines[-1], part[:room]] if lines[-1] else [part[:room]]
            part = part[room:]
        if len(lines[-1]) + len(part) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
