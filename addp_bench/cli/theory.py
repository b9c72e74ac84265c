"""check metric: what planted answers score, beside what theory says they must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from addp_bench.cli.options import answer, plain, say, table

if TYPE_CHECKING:
    from addp_bench.checks.metric import Line
    from addp_bench.registry import Registry


def metrics(registry: Registry, name: str, json: bool) -> bool:
    """Print every line of one metric; of `all` a count for each metric, and what is broken or declared to be. Returns
    whether all is kept. Raises UnknownName."""
    from addp_bench.checks import metric

    lines = list(metric.check(registry, name))
    if json:
        fields = ("task", "protocol", "metric", "promise", "expected", "ok", "declared")
        answer([{**{f: getattr(line, f) for f in fields}, "measured": plain(line.measured)} for line in lines])
    else:
        whole = name == "all" or name.endswith(".all")
        shown = [line for line in lines if not whole or not line.ok or line.declared or line.measured is None]
        rows = [(metric.title(line), metric.said(line), line.expected, line.ok) for line in shown]
        say(table([*(_counts(lines) if whole else []), *rows]))
    return all(line.ok for line in lines)


def _counts(lines: Sequence[Line]) -> list[tuple[str, str, str, bool]]:
    """How many numbers of each metric, over its protocols, are as they must be; what concerns a judge as a whole comes
    under the name of its task."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(f"{line.task}.{line.metric}" if line.metric else line.task, []).append(line)
    rows = []
    for name, its in sorted(found.items()):
        kept, declared = (sum(line.ok and line.declared is way for line in its) for way in (False, True))
        protocols = len({line.protocol for line in its})
        met = f"{kept} as theory says" + (f", {declared} declared" if declared else "")
        expected = f"{len(its)}, in {protocols} protocol{'s' * (protocols != 1)}"
        rows.append((name, met, expected, kept + declared == len(its)))
    return rows
