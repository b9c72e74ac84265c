"""plan: what a run would do, and what it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addp_bench.cli.options import answer, json_option, plugin_options, say
from addp_bench.cli.running import place_options, prepare, request_options

if TYPE_CHECKING:
    from addp_bench.run import Bench
    from addp_bench.store import Stage


@click.command()
@click.argument("spec", required=False, type=click.Path(path_type=Path, dir_okay=False))
@request_options
@place_options
@json_option
@plugin_options
def plan(**given: Any) -> None:
    """Say what `run` with the same options would do: cells done, to do, shared stages, impossible ones. Does nothing.

    \b
    Example:
      addp-bench plan --task ris --weights all --aug none --aug linear
    """
    bench, plans, impossible = prepare(given)
    from addp_bench import estimates

    rates = estimates.read()
    rows = []
    claimed: set[str] = set()
    for one in plans:
        needed = [] if bench.done(one) else bench.needed(one)
        fresh = [s for s in needed if s.key not in claimed]
        shared = [s for s in needed if s.key in claimed]
        claimed |= {s.key for s in fresh}
        rows.append(
            {
                "cell": one.id,
                "what": one.cell.describe(),
                "state": "done" if bench.done(one) else "to do",
                "damaged": bench.damage(one),
                "stages": [s.name for s in fresh],
                "shared": [s.name for s in shared],
                **_estimates(bench, fresh, rates),
            }
        )
    if given["json"]:
        answer({"cells": rows, "impossible": [{"what": w, "why": y} for w, y in impossible]})
        return
    _show_plan(rows, impossible)


def _estimates(bench: Bench, stages: Sequence[Stage], rates: Mapping[str, float]) -> dict[str, float | None]:
    """What these stages take, from what such stages took here before; None where one was never met.

    seconds; disk_bytes they leave; memory_bytes_at_least that a training among them needs.
    """
    from addp_bench import estimates

    def total(found: Sequence[float | None]) -> float | None:
        known = [f for f in found if f is not None]
        return round(sum(known), 1) if len(known) == len(found) else None

    trained = [estimates.memory(stage, rates) for stage in stages if stage.kind == "train"]
    return {
        "seconds": total([estimates.seconds(stage, bench.device, rates) for stage in stages]),
        "disk_bytes": total([estimates.disk(stage, rates) for stage in stages]),
        "memory_bytes_at_least": max((m for m in trained if m is not None), default=None),
    }


def _show_plan(rows: Sequence[Mapping[str, Any]], impossible: Sequence[tuple[str, str]]) -> None:
    from tabulate import tabulate

    from addp_bench.progress import duration, size

    def said(row: Mapping[str, Any], what: str, words: Callable[[float], str]) -> str:
        return "-" if not row["stages"] else words(row[what]) if row[what] is not None else "not known yet"

    table = [
        [
            r["cell"],
            r["what"],
            r["state"],
            " ".join(r["stages"]) or "-",
            len(r["shared"]),
            said(r, "seconds", duration),
            said(r, "disk_bytes", size),
        ]
        for r in rows
    ]
    headers = ["cell", "what", "state", "stages to compute", "shared", "time", "disk"]
    say(tabulate(table, headers, "simple", maxcolwidths=[None, 50, None, 40, None, None, None]))
    todo = [r for r in rows if r["state"] == "to do"]
    total = ""
    for what, words in (("seconds", duration), ("disk_bytes", lambda n: f"{size(n)} of disk")):
        known = [r[what] for r in todo if r[what] is not None]
        total += f", about {words(sum(known))}" if len(known) == len(todo) and todo else ""
    say(f"\n{len(rows) - len(todo)} done, {len(todo)} to do{total}, {len(impossible)} impossible")
    if memory := [r["memory_bytes_at_least"] for r in todo if r["memory_bytes_at_least"] is not None]:
        say(
            f"memory: training needs at least {size(max(memory))} for weights, gradients, averages and moments; "
            "frozen parts and activations come on top"
        )
    for row in rows:
        if row["damaged"]:
            say(f"damaged, to be made again: the record of {row['cell']}: {row['damaged']}")
    for what, why in impossible:
        say(f"impossible: {what}\n  {why}")
