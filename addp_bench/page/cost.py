"""What rows cost, and which of them nothing beats in both quality and cost."""

from __future__ import annotations

from collections.abc import Sequence

from addp_bench.records import Record


def seconds(records: Sequence[Record]) -> float | None:
    """Seconds of every stage behind a record, shared ones included, as the mean over a row's seeds; None: not said."""
    spent = [sum(said.values()) for r in records if (said := r.provenance.get("seconds"))]
    return sum(spent) / len(spent) if len(spent) == len(records) and all(s > 0 for s in spent) else None


def devices(records: Sequence[Record]) -> list[str]:
    """On what these were computed; seconds of different devices say little of each other."""
    return sorted({str(r.provenance["device"]) for r in records if "device" in r.provenance})


def pareto(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """Indices of points to which no other is at least as good in both and better in one; cheapest first.

    costs: less is better. qualities: more is better. Equal points stand together.
    """
    found: list[int] = []
    for k in sorted(range(len(costs)), key=lambda k: (costs[k], -qualities[k])):
        last = found[-1] if found else k
        if not found or qualities[k] > qualities[last] or (costs[k], qualities[k]) == (costs[last], qualities[last]):
            found.append(k)
    return found
