"""Cells side by side, from records alone: every metric's difference, how sure it is, where it lies, and what would make
it sure.

The first side is the reference. A difference is another side minus it, as in a leaderboard: above 0 the other's number
is higher, which is better or worse by the direction of the metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from addp_bench.errors import BadRequest, Incomparable, NothingSelected, unknown
from addp_bench.protocols import Metric
from addp_bench.records import Record, clean, metric_of
from addp_bench.statistics import Statistics

from .axes import axes_of
from .breakdown import MOST, broken_down, correct, groups_of, number, thirds
from .flips import flips
from .power import detectable, images_needed, seeds_needed
from .selection import CUSTOM, Comparable, Row, comparable, rows_of, select
from .uncertainty import LEVEL, RESAMPLES, Difference, Panel, Runs, about, only
from .variances import Variance

SIZE = "size"  # short for thirds of the attribute below
SHARE = "share"  # of the picture that the object covers; 0 where there is none


@dataclass(frozen=True)
class Side:
    """One of those compared. name: A, B, ... asked: the words that selected it. runs: on the samples all sides have."""

    name: str
    asked: str
    row: Row
    runs: Runs


def compare(
    records: Sequence[Record],
    asked: Sequence[str],
    where: Sequence[str] = (),
    *,
    metrics: Sequence[str] = (),
    by: str = "",
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare rows of a leaderboard, each with all its seeds, with the first of them.

    asked: what selects each side, see `conditions`. where: conditions on all of them, as in `selection.select`.
    metrics: ids of those compared, all by default. by: an attribute of the samples whose values part them, or "size",
    thirds of the share of the picture that the object covers.

    Returns plain values.
    heading: what the sides have in common, with `samples` and `images`. same: choices in which no side differs.
    sides: name, asked, cells, seeds, choices, about, trained, uses_truth, deviates, older.
    metrics: id -> label, unit, higher_is_better, version · values, one for each side (value, low, high) · differences,
    one for each side but the first: side, value, low, high, p, p_holm, about, seeds · better, the name of a side, None
    where they are not separated · variance, detectable, see `power` · needed, images and seeds, None where no number is
    enough, {} where p is at most 5 % or the difference 0 · flips, see `flips.flips`.
    groups: id -> one mapping for each side, see `breakdown.broken_down`; of the metrics asked for, else of the first.
    left_out: metric -> why. tests: how many differences Holm's correction is over.

    Raises BadRequest for a side that cannot be read or fits several rows; UnknownName for a field, a metric or an
    attribute; NothingSelected for a side that fits none; Incomparable for sides that were not judged alike or on other
    samples; BadData for damaged statistics.
    """
    if len(asked) < 2:
        raise BadRequest(["compare takes two sides at least, such as weights=uniform weights=min_snr"])
    found = select(records, where)
    rows = [_row(found, words) for words in asked]
    _all_different(asked, rows)
    members = _judged_alike(rows)
    sides, samples = _on_common_samples(asked, rows)
    rebuilt, left_out = _metrics(rows, metrics)
    answer = {name: _compared(name, metric, sides, resamples) for name, metric in rebuilt.items()}
    tested = [difference for entry in answer.values() for difference in entry["differences"]]
    correct(tested)
    for name, entry in answer.items():
        for difference, side in zip(entry["differences"], sides[1:]):
            difference["better"] = _better(difference, side.name, entry["higher_is_better"])
            difference["flips"] = flips(rebuilt[name], sides[0].runs, side.runs)
    groups = {}
    if by:
        parts = _parts(by, samples)
        broken = [name for name in answer if name in (metrics or list(answer)[:1])]
        groups = {n: broken_down(rebuilt[n], [s.runs for s in sides], parts, 0, resamples) for n in broken}
    return {
        "heading": _heading(members, samples),
        **_said_of(sides),
        "metrics": answer,
        "by": by,
        "groups": groups,
        "left_out": left_out,
        "tests": sum(difference["p"] is not None for difference in tested),
        "level": LEVEL,
        "resamples": resamples,
    }


# --------------------------------------------------------------------------------------------------------- sides


def conditions(words: str) -> tuple[str, list[str]]:
    """What selects a side: the beginning of a cell's key, conditions as `--where` has them joined by commas, or both.

    `4b7c` · `weights=uniform,aug=none` · `4b7c,seed=0`. What follows a comma and holds no `field=` is an alternative
    value of the field before it, as in `--where`. Returns the key's beginning ("" for none) and the conditions.
    """
    key, read = "", list[str]()
    for k, piece in enumerate(part.strip() for part in words.split(",")):
        field, equals, _ = piece.partition("=")
        if equals and field and ":" not in field:  # min_snr:gamma=5 is a value
            read.append(piece)
        elif read and piece:
            read[-1] += f",{piece}"
        elif k == 0 and piece and set(piece.lower()) <= set("0123456789abcdef"):
            key = piece.lower()
        else:
            said = f"{clean(words)!r} is neither the beginning of a cell's key nor FIELD=VALUE,FIELD=VALUE"
            raise BadRequest([f"{said}; `addp-bench leaderboard` shows keys and fields"])
    cells = [condition.partition("=")[2] for condition in read if condition.startswith("cell=")]
    return (cells[-1].lower() if cells else key), [c for c in read if not c.startswith("cell=")]


def _row(records: Sequence[Record], words: str) -> Row:
    """The one row that a side asks for, with the seeds it asks for."""
    key, others = conditions(words)
    if key:
        named = select(records, [f"cell={key}"])
        whole = [row.records for row in rows_of(records) if any(record in named for record in row.records)]
        # an older record that its row leaves out can still be asked for by its own key
        records = [record for members in whole for record in members] or named
    rows = rows_of(select(records, others))
    if len(rows) > 1:
        _, _, choices = axes_of(rows)
        several = [f"{r.first.id} ({', '.join(f'{a} {c}' for a, c in said.items())})" for r, said in zip(rows, choices)]
        budgets = {row.first.result["budget"] for row in rows}
        more = f"; budgets {', '.join(sorted(budgets))}" if len(budgets) > 1 else ""
        told = "; ".join(several[:4]) + (" ..." if len(several) > 4 else "")
        raise BadRequest([f"{clean(words)!r} fits {len(rows)} rows, say more: {told}{more}"])
    return rows[0]


def _all_different(asked: Sequence[str], rows: Sequence[Row]) -> None:
    cells = [{record.id for record in row.records} for row in rows]
    for k, these in enumerate(cells):
        for j in range(k):
            if these & cells[j]:
                one = ", ".join(sorted(these & cells[j]))
                raise BadRequest([f"{clean(asked[j])!r} and {clean(asked[k])!r} both hold {one}: nothing to compare"])


def _judged_alike(rows: Sequence[Row]) -> Comparable:
    """The set in which these rows may stand together. Raises Incomparable, naming what differs."""
    for row in rows:
        if not row.complete:
            scored = min(record.coverage for record in row.records)
            raise Incomparable(
                f"cell {row.first.id}: only {scored:.1%} of its samples were scored, and what is missing would flatter "
                "it; run it again"
            )
    sets = [members for members in comparable(rows) if len(members.rows) == len(rows)]
    if sets:
        return sets[0]
    for one, other in combinations(rows, 2):
        first, second = _judged_as(one), _judged_as(other)
        names = [name for name in first if name in second and first[name] != second[name]]
        if names:
            said = "; ".join(f"{name} {first[name]} and {second[name]}" for name in names[:5])
            raise Incomparable(
                f"{one.first.id} and {other.first.id} were not judged alike, so their difference would mean nothing: "
                f"{said}. No table holds both"
            )
    raise Incomparable(
        f"{', '.join(row.first.id for row in rows)} stand in no table together: a row without training needs the "
        "samples of the others, and a protocol's settings must be equal"
    )


def _judged_as(row: Row) -> dict[str, str]:
    """What must be equal before two rows may be compared, as text; a budget only where something was trained."""
    result, headline = row.first.result, row.first.headline
    dataset, protocol = result["dataset"], result["protocol"]
    said: dict[str, Any] = {"task": result["task"], "dataset": dataset["name"], "split": dataset["split"]}
    said |= {f"{dataset['name']}'s {name}": value for name, value in dataset["options"].items()}
    said |= {"data fingerprint": dataset["fingerprint"][:12], "protocol": protocol["name"]}
    said |= {"protocol version": protocol["version"], **protocol["settings"]}
    said |= {"headline": headline, f"version of {headline}": result["metrics"][headline]["version"]}
    said |= {f"card's {name}": value for name, value in protocol.get("asks", {}).items()}
    if row.trained:
        said |= {"budget": result["budget"], **(result["training"] if result["budget"] == CUSTOM else {})}
    said |= {"samples asked for": result["samples"]["asked"]}
    return {name: clean(str(value)) for name, value in said.items()}


def _on_common_samples(asked: Sequence[str], rows: Sequence[Row]) -> tuple[list[Side], Statistics]:
    """The sides on the samples of the one that has fewest, and these samples with their attributes."""
    stored = [{seed: record.statistics for seed, record in row.by_seed.items()} for row in rows]
    fewest = min((s for by_seed in stored for s in by_seed.values()), key=len)
    wanted = set(fewest.ids.tolist())
    sides = []
    for k, (words, row, by_seed) in enumerate(zip(asked, rows, stored)):
        for seed, statistics in by_seed.items():
            if missing := wanted - set(statistics.ids.tolist()):
                raise Incomparable(
                    f"cell {row.by_seed[seed].id} was judged on other samples: it has {len(wanted) - len(missing)} of "
                    f"the {len(wanted)} of the others"
                )
        same = {s: x if np.array_equal(x.ids, fewest.ids) else only(x, fewest.ids) for s, x in by_seed.items()}
        sides.append(Side(chr(ord("A") + k), words, row, Runs(same, row.trained)))
    return sides, fewest


# ------------------------------------------------------------------------------------------------------- metrics


def _metrics(rows: Sequence[Row], wanted: Sequence[str]) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics that all rows have and that can be made again; and why others are left out."""
    of_all = [record.result["metrics"] for row in rows for record in row.records]
    known = list(dict.fromkeys(name for metrics in of_all for name in metrics))
    if strange := [name for name in wanted if name not in known]:
        raise unknown("metric of these records", strange[0], known)
    found: dict[str, Metric] = {}
    left_out: dict[str, str] = {}
    for name in known:
        if wanted and name not in wanted:
            continue
        entries = [metrics.get(name) for metrics in of_all]
        if any(entry is None for entry in entries):
            left_out[name] = "not every side has it"
        elif absent := next((entry for entry in entries if entry and entry["value"] is None), None):
            left_out[name] = clean(absent["reason"])
        elif any(entry["version"] != entries[0]["version"] for entry in entries if entry and entries[0]):
            left_out[name] = "its version differs"
        elif (metric := metric_of(rows[0].first, name)) is None:
            left_out[name] = "its formula is not among its record's"
        elif any(metric_of(row.first, name) != metric for row in rows):
            left_out[name] = "its formula differs"
        else:
            found[name] = metric
    if not found:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise NothingSelected(f"no metric of these records can be compared ({told})")
    return found, left_out


def _compared(name: str, metric: Metric, sides: Sequence[Side], resamples: int) -> dict[str, Any]:
    panel = Panel(metric, [side.runs for side in sides], resamples=resamples)
    values = [panel.interval(k) for k in range(len(sides))]
    said = {key: getattr(metric, key) for key in ("unit", "higher_is_better", "version")}
    return {
        "label": clean(metric.label),
        **said,
        "values": [{end: number(getattr(made, end)) for end in ("value", "low", "high")} for made in values],
        "differences": [
            {"side": side.name, **_difference(panel.difference(k, 0), panel.variance(k, 0), panel)}
            for k, side in enumerate(sides)
            if k
        ],
    }


def _difference(made: Difference, variance: Variance, panel: Panel) -> dict[str, Any]:
    plain = {key: number(getattr(made, key)) for key in ("value", "low", "high", "p")}
    tested = plain["p"] is not None
    return {
        **plain,
        "about": made.about,
        "seeds": made.seeds,
        "variance": {key: number(getattr(variance, key)) for key in ("seeds", "both", "images")} if tested else None,
        "detectable": number(detectable(variance)) if tested else None,
        "needed": _needed(made, variance, panel.clusters) if tested and made.p > 1 - LEVEL and made.value else {},
    }


def _needed(made: Difference, variance: Variance, images: int) -> dict[str, int | None]:
    return {
        "images": images_needed(made.value, variance, images),
        "seeds": seeds_needed(made.value, variance, made.seeds),
    }


def _better(difference: Mapping[str, Any], side: str, higher_is_better: bool) -> str | None:
    """The side that a separated difference favours."""
    if difference["p_holm"] is None or difference["p_holm"] > 1 - LEVEL or not difference["value"]:
        return None
    return side if (difference["value"] > 0) == higher_is_better else "A"


# --------------------------------------------------------------------------------------------------- what is said


def _parts(by: str, samples: Statistics) -> np.ndarray:
    """The group (N,) of each sample; numbers of many values in thirds."""
    attribute = SHARE if by == SIZE and SIZE not in samples.attributes else by
    if attribute not in samples.attributes:
        note = f"size needs the attribute {SHARE}." if by == SIZE else ""
        raise unknown("attribute of these samples", by, samples.attributes, note)
    values = samples.attributes[attribute]
    if values.dtype.kind in "iuf" and len(np.unique(values)) > MOST:
        return thirds(values.astype(np.float64))
    groups = groups_of(attribute, samples, samples.ids)
    assert groups is not None
    return groups


def _heading(members: Comparable, samples: Statistics) -> dict[str, Any]:
    result = members.result
    named = {name: clean(result[name]["name"]) for name in ("dataset", "protocol")}
    said = {"task": clean(result["task"]), **named, "split": clean(result["dataset"]["split"])}
    counted = {"samples": len(samples), "images": len(np.unique(samples.image_ids))}
    return {**said, "budget": clean(members.budget), **counted, "details": members.details}


def _said_of(sides: Sequence[Side]) -> dict[str, Any]:
    same, _, choices = axes_of([side.row for side in sides])
    told = [
        {
            "name": side.name,
            "asked": clean(side.asked),
            "cells": [record.id for record in side.row.records],
            "seeds": list(side.row.by_seed),
            "choices": said,
            "about": about(len(side.runs.by_seed), side.row.trained),
            "trained": side.row.trained,
            "uses_truth": list(side.row.uses_truth),
            "deviates": dict(side.row.first.result["protocol"].get("deviates", {})),
            "older": side.row.older,
        }
        for side, said in zip(sides, choices)
    ]
    return {"same": same, "sides": told}
