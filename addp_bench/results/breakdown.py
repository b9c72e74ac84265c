"""A table by parts of the data: the metric of every row within each value that an attribute of the samples takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from addp_bench.errors import BadRequest
from addp_bench.protocols import Metric
from addp_bench.records import clean
from addp_bench.statistics import Statistics

from .uncertainty import Panel, Runs, chosen, holm

MOST = 24  # values; more are no groups but samples by another name


def groups_of(attribute: str, statistics: Statistics, ids: np.ndarray) -> np.ndarray | None:
    """What an attribute says, as text, of the samples with these ids (N,), in their order; None where there is none.

    Raises BadRequest for one that takes more than 24 values.
    """
    if attribute not in statistics.attributes:
        return None
    said = dict(zip(statistics.ids.tolist(), statistics.attributes[attribute].astype(str).tolist()))
    values = np.array([said[i] for i in ids.tolist()])
    if (met := len(np.unique(values))) > MOST:
        raise BadRequest([f"{clean(attribute)}: takes {met} values, too many for groups (at most {MOST})"])
    return values


def broken_down(
    metric: Metric, rows: Sequence[Runs], groups: np.ndarray, reference: int | None, resamples: int
) -> list[dict[str, dict[str, Any]]]:
    """For each of K rows, group -> value, low, high, samples, and difference from the reference row.

    rows: judged on the same N samples in the same order. groups (N,): the group of each sample. Intervals are made
    within a group, with its clusters. A difference is value, low, high, p, and p_holm, which is corrected over all
    rows and groups; None for the reference itself and where there is none.
    """
    found: list[dict[str, dict[str, Any]]] = [{} for _ in rows]
    for group in np.unique(groups):
        at = groups == group
        parts = [Runs({seed: chosen(s, at) for seed, s in row.by_seed.items()}, row.trained) for row in rows]
        panel = Panel(metric, parts, resamples=resamples)
        for k, entries in enumerate(found):
            entries[str(group)] = {
                **_ends(panel.interval(k)),
                "samples": int(at.sum()),
                "difference": None if reference in (None, k) else _difference(panel, k, reference),
            }
    correct([entry["difference"] for entries in found for entry in entries.values() if entry["difference"]])
    return found


def _difference(panel: Panel, row: int, reference: int | None) -> dict[str, Any]:
    made = panel.difference(row, reference or 0)
    return {**_ends(made), "p": number(made.p)}


def correct(differences: Sequence[dict[str, Any]]) -> None:
    """Add p_holm to all; those without a p were no test and count for nothing."""
    tested = [d for d in differences if d["p"] is not None]
    for difference in differences:
        difference["p_holm"] = None
    for difference, corrected in zip(tested, holm([d["p"] for d in tested])):
        difference["p_holm"] = corrected


def silent(rows: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Groups in which every row has 0 or no value at all, so that they tell nothing of the rows."""
    names = rows[0] if rows else {}
    return [name for name in names if all(not row[name]["value"] for row in rows)]


def _ends(made: Any) -> dict[str, float | None]:
    return {end: number(getattr(made, end)) for end in ("value", "low", "high")}


def number(value: float) -> float | None:
    """A number as records hold it."""
    return None if math.isnan(value) else float(value)


def thirds(values: np.ndarray) -> np.ndarray:
    """Numbers (N,) as three groups of about as many each, named by their least and greatest: `0.0260 to 0.0583`.

    0 and nan stand apart as "none", for they say that there is nothing to measure: no object, say, whose size it is.
    """
    there = ~np.isnan(values) & (values != 0)
    named = np.full(len(values), "none", dtype="<U64")
    if there.any():
        which = np.searchsorted(np.quantile(values[there], [1 / 3, 2 / 3]), values)
        for k in np.unique(which[there]):
            members = there & (which == k)
            named[members] = f"{values[members].min():.4f} to {values[members].max():.4f}"
    return named
