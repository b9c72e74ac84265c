"""The result part of a record: what is identical at equal device, versions and thread count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.keys import placeless
from addp_bench.mixture import said
from addp_bench.protocol_cards import hash_of
from addp_bench.records import metric_entry

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.evaluation import Scores
    from addp_bench.protocols import Metric
    from addp_bench.statistics import Statistics


@dataclass(frozen=True)
class Taught:
    """What training leaves in a record.

    samples, steps: that were used and made. fingerprint: of the data. mass: share of the training of each tenth of the
    timesteps, cleanest first, as it stood at the end; None for a strategy that says none. contribution: the perception
    statistics it rested on, as JSON.
    """

    samples: int
    steps: int
    fingerprint: str
    mass: list[float] | None
    contribution: Mapping[str, Any] | None


def result(
    cell: Cell,
    choices: Mapping[str, Any],
    protocol: Mapping[str, Any],
    fingerprint: str,
    metrics: Sequence[Metric],
    scores: Scores,
    taught: Taught | None,
    uses_truth: Sequence[str],
    deviates: Mapping[str, Any],
) -> dict[str, Any]:
    """As `records` holds it.

    choices: kind -> what was chosen, told by its contents. fingerprint: of the judged data. taught: None where nothing
    was trained. deviates: what is done otherwise than the protocol's card asks.
    """
    statistics = scores.statistics
    count = len(statistics.ids)
    return {
        "task": cell.name("task"),
        "dataset": {**placeless(cell["dataset"]), "split": cell.splits["eval"], "fingerprint": fingerprint},
        "protocol": {
            "version": 1,
            **protocol,
            "hash": hash_of(protocol),
            **({"deviates": deviates} if deviates else {}),
        },
        "budget": cell.budget.name,
        "choices": dict(choices),
        "training": _training(cell, taught) if taught else None,
        "seed": cell.seed,
        "sampling_steps": cell.budget.sampling_steps if cell.denoises else None,
        "sampling_seed": cell.sampling_seed if cell.denoises or cell.probes else None,
        "ensemble": cell.ensemble if cell.denoises else None,
        "read_at": _read_at(cell, scores),
        "samples": {"asked": count, "scored": count, "failed": 0},
        "metrics": {m.id: _entry(m, statistics, np.ones((1, count))) for m in metrics},
        "slices": _slices(metrics, statistics),
        "curve": {"t": list(scores.timesteps), "metrics": _plain(scores.curve)} if scores.timesteps else None,
        "contribution": taught.contribution if taught else None,
        "timestep_mass": taught.mass if taught else None,
        "uses_truth": list(uses_truth),
    }


def _training(cell: Cell, taught: Taught) -> dict[str, Any]:
    budget = cell.budget
    return {
        "tasks": said(cell.mixture) if cell.mixture else cell.name("task"),
        "dataset": {**placeless(cell.dataset("train")), "fingerprint": taught.fingerprint},
        "split": cell.splits["train"],
        "samples": taught.samples,
        "steps": taught.steps,
        "batch_size": budget.batch_size,
        "lr": budget.lr,
        "warmup": budget.warmup,
        "ema": budget.ema,
        "precision": cell.precision,
    }


def _entry(metric: Metric, statistics: Statistics, counts: np.ndarray) -> dict[str, Any]:
    value = float(metric.value(statistics.columns, counts)[0])
    return metric_entry(metric, value, reason="no sample could be scored" if np.isnan(value) else "")


def _slices(metrics: Sequence[Metric], statistics: Statistics) -> dict[str, Any]:
    """Metrics by every attribute that takes between two and twelve values and is no number."""
    found: dict[str, Any] = {}
    for name, column in statistics.attributes.items():
        values = np.unique(column)
        if column.dtype.kind in "iuf" or not 2 <= len(values) <= 12:
            continue
        found[name] = {}
        for value in values:
            chosen = {k: c[column == value] for k, c in statistics.columns.items()}
            found[name][str(value)] = {
                "samples": int((column == value).sum()),
                "metrics": _plain({m.id: float(m.value(chosen)) for m in metrics}),
            }
    return found


def _plain(values: Any) -> Any:
    """NaN as null, all the way down."""
    if isinstance(values, Mapping):
        return {k: _plain(v) for k, v in values.items()}
    if isinstance(values, Iterable) and not isinstance(values, str):
        return [_plain(v) for v in values]
    return None if isinstance(values, float) and np.isnan(values) else values


def _read_at(cell: Cell, scores: Scores) -> dict[str, Any] | None:
    if not cell.denoises:
        return None
    return {"rule": cell.read_at, "index": scores.read, "t": scores.timesteps[scores.read]}
