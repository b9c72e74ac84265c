"""check encoding: the ceilings of encodings through a codec, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addp_bench.cli.options import answer, plain, say

if TYPE_CHECKING:
    from addp_bench.checks.ceilings import Ceiling, Judged
    from addp_bench.protocols import Dataset, Metric
    from addp_bench.registry import Registry


@dataclass(frozen=True)
class Asked:
    """The options of the command, as they were given."""

    encodings: str
    codec: str
    task: str | None
    dataset: str
    split: str | None
    protocol: str | None
    limit: int
    noise: float


def ceilings(registry: Registry, asked: Asked, style: str) -> None:
    """Measure and print. style: "table", "markdown" or "json"."""
    from addp_bench.checks import ceilings as measured
    from addp_bench.errors import unknown
    from addp_bench.progress import Progress

    dataset, codec = registry.build("dataset", asked.dataset), measured.through(registry, asked.codec)
    split = dataset.default_split("stats") if asked.split is None else asked.split
    if split not in dataset.splits():
        raise unknown(f"split of {asked.dataset}", split, dataset.splits())
    judged, refused = _judged(registry, dataset, asked)
    found = []
    for one in judged:
        with Progress().bar(f"truths of {one.task} as {one.encoding} through {asked.codec}") as tell:
            found.append(measured.measure(registry, one, dataset, split, asked.limit, codec, tell, asked.noise))
    if style == "json":
        rows = [_plain(one, asked, split) for one in found]
        answer(rows[0] if len(rows) == 1 else rows)
        return
    disturbed = f" with noise {asked.noise:g}" if asked.noise else ""
    say(
        f"ceilings through {asked.codec}{disturbed}: the first {asked.limit} samples of {asked.dataset} {split}, in "
        "points unless a unit is said\n"
    )
    say(_table(found, style))
    if len(found) == 1:
        say("\n" + "  ".join(f"{m.label} {_said(m, found[0].values[m.id])}" for m in found[0].metrics))
    for reason in refused:
        say(f"not measured: {reason}")


def _judged(registry: Registry, dataset: Dataset, asked: Asked) -> tuple[list[Judged], list[str]]:
    """What is measured, and of what was asked with others, why something is not.

    Of `all`, what draws other truths than are asked for is passed over. Raises what is wrong with an encoding that was
    asked for alone.
    """
    from addp_bench.checks.ceilings import ALL, Judged, choices, protocol_of, tasks_of
    from addp_bench.errors import BadOption, NothingSelected
    from addp_bench.spec import Choice

    found, refused, of = [], [], Choice.parse(asked.dataset)
    several, every = choices(registry, asked.encodings), ALL in asked.encodings.split("+")
    for encoding in several:
        fits = False
        try:
            tasks = tasks_of(registry, of, encoding, asked.task)
            fits = True
            found += [
                Judged(encoding, t, protocol_of(registry, t, of, dataset, encoding, asked.protocol)) for t in tasks
            ]
        except BadOption as wrong:
            if len(several) == 1:
                raise
            refused += [str(wrong)] if fits or not every else []
    if not found:
        raise NothingSelected("no encoding can be measured so: " + "; ".join(refused))
    return found, refused


def _plain(one: Ceiling, asked: Asked, split: str) -> dict[str, Any]:
    headline = one.metrics[0]
    return {
        "encoding": str(one.judged.encoding),
        "task": one.judged.task,
        "protocol": one.judged.protocol.name,
        "codec": asked.codec,
        "noise": asked.noise,
        "split": split,
        "samples": one.samples,
        "headline": headline.id,
        "kept": one.kept,
        "ceiling": {name: plain(value) for name, value in one.values.items()},
    }


def _table(found: Sequence[Ceiling], style: str) -> str:
    from tabulate import tabulate

    from addp_bench.checks.ceilings import ERROR

    rows = []
    for one in found:
        headline = one.metrics[0]
        judged, kept = one.judged, {True: "yes", False: "no", None: "-"}[one.kept]
        better = "↑" if headline.higher_is_better else "↓"
        value = _said(headline, one.values[headline.id])
        rows.append(
            [str(judged.encoding), judged.task, judged.protocol.name, f"{headline.label} {better}", value, kept]
        )
    headers = ["encoding", "task", "protocol", "metric", "ceiling", f"within {100 * ERROR:g} points"]
    return tabulate(rows, headers, "pipe" if style == "markdown" else "simple", disable_numparse=True)


def _said(metric: Metric, value: float) -> str:
    from addp_bench.results.rendering import points

    return points(value, metric.unit) + ("" if metric.unit == "points" else f" {metric.unit}")
