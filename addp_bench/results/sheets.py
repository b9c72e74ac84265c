"""Tables of any kind as text: a title, columns and notes, in the styles that people read."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addp_bench.errors import unknown

from .grid import SEPARATED, Column, narrowed

NOTHING = "–"
_GAP = "\n\n\n"  # between two tables


@dataclass(frozen=True)
class Sheet:
    """One table with what stands above and below it. notes: one sentence each."""

    title: str
    columns: Sequence[Column]
    notes: Sequence[str] = ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """What stands in each line."""
        return list(zip(*(column.cells for column in self.columns)))


def written(
    style: str,
    made: Callable[[], Sequence[Sheet]],
    lines: Callable[[], Sequence[Sequence[Any]]],
    plain: Callable[[], Any],
    width: int | None = None,
    others: Sequence[str] = (),
) -> str:
    """A table in a style: table, markdown or latex of `made`, csv of `lines` (the header first), json of `plain`.

    Raises UnknownName for another style. others: those that are made elsewhere, to be suggested.
    """
    if style == "table":
        return table(made(), width)
    if style == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(lines())
        return out.getvalue().rstrip("\n")
    if style == "json":
        return json.dumps(plain(), indent=1, allow_nan=False, ensure_ascii=False)
    styles = {"markdown": markdown, "latex": latex}
    if style not in styles:
        raise unknown("style of table", style, ["table", *styles, "csv", "json", *others])
    return styles[style](made())


def table(sheets: Sequence[Sheet], width: int | None = None) -> str:
    """For a terminal. width: characters that lines are kept within, as far as that is possible; None for any."""
    if width is None:
        return _tabulated(sheets, "simple", str, lambda line: f"  {line}")
    blocks = []
    for sheet in sheets:
        columns, hidden = narrowed(sheet.columns, width)
        notes = list(sheet.notes)
        if hidden:
            notes.append(f"Left out to fit {width} characters: {', '.join(hidden)}. --format csv and json hold all.")
        wrapped = [textwrap.fill(line, width, initial_indent="  ", subsequent_indent="    ") for line in notes]
        title = textwrap.fill(sheet.title, width)
        blocks.append("\n".join([title, "", _body(columns, "simple"), *([""] if notes else []), *wrapped]))
    return _GAP.join(blocks)


def markdown(sheets: Sequence[Sheet]) -> str:
    """As GitHub shows it."""

    def escaped(column: Column) -> Column:
        if column.role not in ("axis", "extra"):
            return column
        cells = [text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for text in column.cells]
        return replace(column, cells=cells)

    plain = [replace(sheet, columns=[escaped(column) for column in sheet.columns]) for sheet in sheets]
    return _tabulated(plain, "pipe", lambda text: f"### {text}", lambda line: f"- {line.replace('* ', '&ast; ')}")


def latex(sheets: Sequence[Sheet]) -> str:
    """With booktabs; titles and notes are comments."""
    # tabulate escapes cells itself, but knows no arrows
    body = _tabulated(sheets, "latex_booktabs", lambda text: f"% {text}", lambda line: f"% {line}")
    for sign, command in _LATEX.items():
        body = body.replace(sign, command)
    return body


_LATEX: Mapping[str, str] = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    NOTHING: "--",
    "‡": r"$\ddagger$",
    SEPARATED: r"$\dagger$",
    "°": r"$^\circ$",
    "…": r"\ldots",
    "−": "$-$",
    "×": r"$\times$",
    "◆": r"$\bullet$",
    "◇": r"$\circ$",
}


def _tabulated(sheets: Sequence[Sheet], style: str, title: Callable[[str], str], note: Callable[[str], str]) -> str:
    blocks = []
    for sheet in sheets:
        notes = [note(line) for line in sheet.notes]
        blocks.append(
            "\n".join([title(sheet.title), "", _body(sheet.columns, style), *([""] if notes else []), *notes])
        )
    return _GAP.join(blocks)


def _body(columns: Sequence[Column], style: str) -> str:
    from tabulate import tabulate

    grid = [list(cells) for cells in zip(*(column.cells for column in columns))]
    return tabulate(grid, [column.header for column in columns], style, disable_numparse=True)
