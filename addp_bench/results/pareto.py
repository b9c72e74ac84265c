"""Quality against cost: what a row takes on its machine, and which rows are the best for what they take.

The seconds of a row are those of all its stages as if nothing were shared: what the cell would take alone, with empty
caches. Sharing makes a grid cheaper, not one of its cells. Training is everything up to the last stage that trains, so
that the source and the statistics of a measured weighting are counted; the rest is evaluation. Seconds are those of the
clock, over every attempt; memory is the peak of the process that finished the cell, which may have done more before.

Rows are compared on one machine only: device, and threads where that is the processor. A row is on the front if no row
that costs no more is as good or better, by the values themselves. It is on it for sure where every cheaper row stands
in a lower tier; a cheaper row of its own tier is not known to be worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from addp_bench.records import Record, clean

from .rendering import ON_FRONT, UNSURE, Section, Table

_TRAINS = ("train", "probe")  # kinds of stages after which nothing is trained any more


def with_costs(table: Table, records: Sequence[Record]) -> Table:
    """The table with `cost` and `pareto` in every row, and what a reader must know of them.

    cost: train_seconds, evaluate_seconds, seconds (both), memory_mb, gpu_memory_mb and machine, means over seeds and
    the largest memory; None where it was not kept. pareto: "front", "unsure" (on it, but a cheaper row is in its tier),
    "dominated", or None where it is not compared.
    """
    by_id = {record.id: record for record in records}
    return replace(table, sections=[_section(section, by_id) for section in table.sections])


def _section(section: Section, by_id: Mapping[str, Record]) -> Section:
    costs = [cost_of([by_id[cell] for cell in row["cells"]]) for row in section.rows]
    headline = next(iter(section.metrics))
    better = 1 if section.metrics[headline]["higher_is_better"] else -1
    values = [better * row["metrics"][headline]["value"] if row["rank"] else None for row in section.rows]
    marks = front(values, [row["tier"] for row in section.rows], costs)
    rows = [{**row, "cost": cost, "pareto": mark} for row, cost, mark in zip(section.rows, costs, marks)]
    return replace(section, rows=rows, notes=[*section.notes, *_notes(rows)])


def cost_of(records: Sequence[Record]) -> dict[str, Any]:
    """What a row takes, from the records of its seeds; see `with_costs`."""
    made = [_seconds(record) for record in records]
    machines = {machine(record) for record in records}

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    def most(name: str) -> float | None:
        known = [record.provenance[name] for record in records if record.provenance.get(name) is not None]
        return max(known) if len(known) == len(records) else None

    train, evaluate = mean([one for one, _ in made]), mean([two for _, two in made])
    return {
        "train_seconds": train,
        "evaluate_seconds": evaluate,
        "seconds": None if train is None or evaluate is None else train + evaluate,
        "memory_mb": most("peak_memory_mb"),
        "gpu_memory_mb": most("peak_gpu_memory_mb"),
        "machine": machines.pop() if len(machines) == 1 else None,
    }


def machine(record: Record) -> str | None:
    """On what its seconds were taken, None where that is not said."""
    device, threads = record.provenance.get("device"), record.provenance.get("threads")
    if device is None:
        return None
    return clean(f"{device}, {threads} used" if device.startswith("cpu") else device)


def _seconds(record: Record) -> tuple[float | None, float | None]:
    """Of training and of evaluation; None where a stage did not keep them. A row that was not trained here took no
    training that is known."""
    took = record.provenance.get("seconds")
    if not took:
        return None, None
    kinds = [name.partition("/")[0] for name in took]
    trained = max((k + 1 for k, kind in enumerate(kinds) if kind in _TRAINS), default=0)
    seconds = list(took.values())
    parts = seconds[:trained], seconds[trained:]
    train, evaluate = (None if None in part else float(sum(part)) for part in parts)
    return (train if record.result["training"] is not None else None), evaluate


def front(
    values: Sequence[float | None], tiers: Sequence[int | None], costs: Sequence[Mapping[str, Any]]
) -> list[str | None]:
    """Where each row stands among those of its machine. values: larger is better, None where it is not ranked."""
    compared = [
        value is not None and cost["seconds"] is not None and cost["machine"] is not None
        for value, cost in zip(values, costs)
    ]

    def mark(k: int) -> str | None:
        if not compared[k]:
            return None
        here = [i for i in range(len(values)) if compared[i] and costs[i]["machine"] == costs[k]["machine"]]
        mine = (values[k], -costs[k]["seconds"])
        for i in here:
            theirs = (values[i], -costs[i]["seconds"])
            if theirs != mine and all(a >= b for a, b in zip(theirs, mine)):
                return "dominated"
        cheaper = [i for i in here if costs[i]["seconds"] < costs[k]["seconds"]]
        return "unsure" if any((tiers[i] or 0) <= (tiers[k] or 0) for i in cheaper) else "front"

    return [mark(k) for k in range(len(values))]


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    machines = sorted({row["cost"]["machine"] for row in rows if row["pareto"]})
    notes = [
        "Seconds are those of all stages of a cell, as if it shared none, by the clock; memory is the peak of the "
        "process. Means over seeds."
    ]
    if machines:
        notes.append(
            f"{ON_FRONT} no row on the same machine is as good for less ({'; '.join(machines)}). {UNSURE} the same, "
            "but a cheaper row is in its tier, so that it is not known to be better."
        )
    if mixed := [row["cells"][0] for row in rows if row["rank"] and row["cost"]["machine"] is None]:
        notes.append(f"Not compared by cost, because their seeds ran on several machines: {', '.join(mixed)}.")
    if unknown := [row["cells"][0] for row in rows if row["rank"] and row["cost"]["seconds"] is None]:
        notes.append(f"Not compared by cost, because that of their training is not known: {', '.join(unknown)}.")
    return notes
