"""From the table of a leaderboard to the one that is shown: the order of its rows, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from addp_bench.cli.options import say
from addp_bench.errors import unknown
from addp_bench.results import published


def beside(table: Any, files: Sequence[Path]) -> Any:
    """The table with the published numbers that fit it; the others are named on stderr."""
    table, strangers = published.beside(table, published.read(files))
    for one in strangers:
        what = f"{one.method}, {one.metric} of {one.task} on {one.dataset} {one.split}"
        say(f"not shown: {what} ({one.place}) fits no table here", err=True)
    return table


def by_column(table: Any, column: str) -> Any:
    """The table with the rows of each section ordered by a metric, best first, or by a cost, least first; those without
    a value last."""
    metrics = {name for section in table.sections for name in section.metrics}
    costs = {name for s in table.sections for row in s.rows for name in row.get("cost", ()) if name != "machine"}
    if column not in metrics | costs:
        raise unknown("metric of these records", column, metrics | costs)

    def ordered(section: Any) -> Any:
        if column not in section.metrics and column not in costs:
            return section
        better = -1 if column in metrics and section.metrics[column]["higher_is_better"] else 1

        def place(row: Any) -> tuple[bool, float]:
            value = row["metrics"][column]["value"] if column in metrics else row["cost"][column]
            return value is None, better * (value or 0.0)

        return replace(section, rows=sorted(section.rows, key=place))

    return replace(table, sections=[ordered(section) for section in table.sections])
