"""Which row of today is which of a baseline: told by what was asked for, never by the code that did it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from addp_bench.differences import Difference, nearest
from addp_bench.records import Record, clean
from addp_bench.results.axes import axes_of
from addp_bench.results.selection import Row, rows_of
from addp_bench.store import canonical, digest

_NAMED = 5  # of fields that differ, so many are named


@dataclass(frozen=True)
class Pair:
    """A row of the baseline and that of today. old: None for one that the baseline does not have.

    new: None for one that is missing. differs: why the two cannot be compared, or what the nearest of today's rows is;
    "" where there is nothing to say.
    """

    name: str
    old: Row | None
    new: Row | None
    differs: str = ""


def identity_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a row, seeds aside, in plain values: all that was asked for, and what it was judged on.

    result: of any of its records. Digests of code are no part of it, nor are contents of model files and of the data
    that were trained on: those are what changes between two versions of one thing.
    """
    choices = {kind: _without(made, "fingerprint") for kind, made in result["choices"].items()}
    training = result["training"]
    if training is not None:
        training = {name: _without(value, "fingerprint") for name, value in training.items()}
    return {
        "task": result["task"],
        "dataset": dict(result["dataset"]),
        "protocol": _without(result["protocol"], "hash", "deviates"),
        "budget": result["budget"],
        "choices": choices,
        "training": training,
        **{name: result.get(name) for name in ("sampling_steps", "sampling_seed")},
        "ensemble": result.get("ensemble") or 1,
        "read_at": (result["read_at"] or {}).get("rule"),
        "tuned_on": {n: result["tuning"][n] for n in ("split", "samples", "option")} if "tuning" in result else None,
        "samples": result["samples"]["asked"],
    }


def rows(records: Iterable[Record]) -> list[Row]:
    """The rows that a gate reads: of those with one identity the newest, and in it the newest record of every seed."""
    return list(_by_identity(records).values())


def pairs(before: Iterable[Record], now: Iterable[Record]) -> Iterator[Pair]:
    """Every row of the baseline (`before`) in its order, then the rows of today that it does not have."""
    olds, news = _by_identity(before), _by_identity(now)
    names = _names([*olds.values(), *(row for key, row in news.items() if key not in olds)])
    left = {key: row for key, row in news.items() if key not in olds}
    for key, old in olds.items():
        name = names[id(old)]
        if key in news:
            yield Pair(name, old, news[key])
        elif (found := _nearest(old, left, choices=True)) is not None:
            other, fields = found
            yield Pair(name, old, left.pop(other), f"differs in {told(fields)}")
        elif (found := _nearest(old, left, choices=False)) is not None and len(found[1]) <= _NAMED:
            cell = left[found[0]].first.id
            yield Pair(name, old, None, f"no run has it; the nearest, cell {cell}, differs in {told(found[1])}")
        else:
            yield Pair(name, old, None, "no run has it")
    for row in left.values():
        yield Pair(names[id(row)], None, row)


def told(fields: Sequence[Difference]) -> str:
    """Fields that differ in words: `budget (quick → standard)`, the baseline's value first."""

    def short(value: Any) -> str:
        text = value if isinstance(value, str) else canonical(value)
        return clean(text if len(text) <= 24 else text[:12] + "…")

    said = [f"{clean(d.place)} ({short(d.here)} → {short(d.there)})" for d in fields[:_NAMED]]
    return ", ".join(said) + (f" and {len(fields) - _NAMED} more" if len(fields) > _NAMED else "")


def _by_identity(records: Iterable[Record]) -> dict[str, Row]:
    """Rows by their identity; of several that differ in contents of files alone, the one that was finished last."""
    found: dict[str, Row] = {}
    for row in sorted(
        rows_of(records), key=lambda row: max(str(r.provenance.get("finished", "")) for r in row.records)
    ):
        found[canonical(identity_of(row.first.result))] = row
    return dict(sorted(found.items(), key=lambda item: item[1].first.id))


def _nearest(old: Row, others: Mapping[str, Row], *, choices: bool) -> tuple[str, list[Difference]] | None:
    """Of rows of one task, data and model the one that differs in the fewest fields, and these; None without any.

    choices: only rows whose choices are all equal, so that how they were judged is what differs.
    """
    here = identity_of(old.first.result)

    def alike(there: Mapping[str, Any]) -> bool:
        data = all(there["dataset"][field] == here["dataset"][field] for field in ("name", "split"))
        models = [one["choices"].get("model", {}).get("name") for one in (here, there)]
        same = here["choices"] == there["choices"] if choices else models[0] == models[1]
        return bool(data and same and here["task"] == there["task"])

    identities = {key: identity_of(row.first.result) for key, row in others.items()}
    return nearest(here, {key: there for key, there in identities.items() if alike(there)})


def _without(value: Any, *names: str) -> Any:
    if isinstance(value, list):
        return [_without(each, *names) for each in value]
    return {k: v for k, v in value.items() if k not in names} if isinstance(value, Mapping) else value


def _names(rows: Sequence[Row]) -> dict[int, str]:
    """A name for each row, by id(row): its task and data, and the choices that tell it from the others."""
    _, axes, choices = axes_of(rows)
    names = []
    for row, made in zip(rows, choices):
        result = row.first.result
        said = [f"{axis} {made[axis]}" for axis in axes if axis in made and axis != "task"]
        names.append(", ".join([f"{result['task']} {result['dataset']['name']} {result['dataset']['split']}", *said]))
    for further in (
        lambda result: f"protocol {result['protocol']['name']}",
        lambda result: f"budget {result['budget']}",
        lambda result: f"row {digest(identity_of(result))[:8]}",
    ):
        often = Counter(names)
        names = [f"{name}, {further(row.first.result)}" if often[name] > 1 else name for name, row in zip(names, rows)]
    return {id(row): clean(name) for name, row in zip(names, rows)}
