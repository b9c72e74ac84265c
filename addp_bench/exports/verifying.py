"""Whether a record says what its samples say: every number that the stored sums give again is compared with theirs.

What cannot is named: values at timesteps other than the one that is read, what was measured while training, and
metrics without a formula. For those a digest says that nobody changed them since they were packed, and no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.protocol_cards import hash_of
from addp_bench.protocols import Metric
from addp_bench.records import Record, clean, load, metric_of
from addp_bench.statistics import Statistics
from addp_bench.store import digest

EXACT = 1e-12  # sums in another order differ by as much, relative to their size


@dataclass(frozen=True)
class Checked:
    """One record. numbers: how many were made again. wrong: what differs, and where. beyond: what cannot be made."""

    cell: str
    numbers: int
    wrong: Sequence[str]
    beyond: Sequence[str]


@dataclass(frozen=True)
class _Number:
    place: str
    said: float | None
    found: float | None

    @property
    def wrong(self) -> bool:
        if self.said is None or self.found is None:
            return self.said is not self.found
        return not math.isclose(self.said, self.found, rel_tol=EXACT, abs_tol=EXACT)


def check(folder: Path) -> Checked:
    """Check the record in a folder. One that cannot be read, or whose statistics are not its own, is wrong in that."""
    try:
        record = load(folder)
        statistics = record.statistics
        numbers = list(_numbers(record, statistics))
    except BadData as broken:
        return Checked(folder.name, 0, [str(broken)], [])
    wrong = [f"{n.place}: says {n.said!r}, the stored sums give {n.found!r}" for n in numbers if n.wrong]
    wrong += _names(record, folder)
    return Checked(record.id, len(numbers), wrong, list(_beyond(record)))


def _numbers(record: Record, statistics: Statistics) -> Iterator[_Number]:
    """Every number that the statistics hold again."""
    result, samples = record.result, record.result["samples"]
    yield _Number("samples.scored", samples["scored"], len(statistics))
    yield _Number("samples.failed", samples["failed"], samples["asked"] - len(statistics))
    metrics = {name: made for name in result["metrics"] if (made := metric_of(record, name)) is not None}
    for name, metric in metrics.items():
        yield _Number(f"metrics.{name}.value", record.value(name), _value(metric, statistics.columns))
    for attribute, slices in result["slices"].items():
        if attribute not in statistics.attributes:
            raise BadData(f"{record.folder}: slices by {clean(attribute)}, which no sample has")
        column = statistics.attributes[attribute].astype(str)
        for value, said in slices.items():
            place, at = f"slices.{clean(attribute)}.{clean(value)}", column == value
            yield _Number(f"{place}.samples", said["samples"], int(at.sum()))
            part = {name: each[at] for name, each in statistics.columns.items()}
            for name, number in said["metrics"].items():
                if name in metrics:
                    yield _Number(f"{place}.{name}", number, _value(metrics[name], part))
    if result["curve"] and result["read_at"]:
        index = result["read_at"]["index"]
        yield _Number("read_at.t", result["read_at"]["t"], _at(result["curve"]["t"], index))
        for name, values in result["curve"]["metrics"].items():
            if name in metrics:
                yield _Number(f"curve.{name}.{index}", _at(values, index), _value(metrics[name], statistics.columns))


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if 0 <= index < len(values) else None


def _value(metric: Metric, columns: Mapping[str, Any]) -> float | None:
    """The metric, None where it has no value. Raises BadData where a statistic is missing."""
    try:
        value = float(np.asarray(metric.value(columns)))
    except KeyError as missing:
        raise BadData(f"metric {metric.id} is made of the statistic {missing}, which was not stored") from missing
    except (TypeError, ValueError, AttributeError, IndexError) as unfit:
        raise BadData(f"metric {metric.id} cannot be made of its statistics ({unfit})") from unfit
    return None if math.isnan(value) else value


def _names(record: Record, folder: Path) -> Iterator[str]:
    """Names that are made of contents: the folder's, the protocol's hash, and the key with those of all stages."""
    if folder.name != record.id:
        yield f"the folder is called {folder.name}, the record {record.id}"
    protocol = record.result["protocol"]
    asked = {name: protocol[name] for name in ("name", "settings", "version", "asks") if name in protocol}
    if "hash" in protocol and protocol["hash"] != hash_of(asked):
        yield f"protocol.hash: says {protocol['hash'][:12]}, the settings give {hash_of(asked)[:12]}"
    specs = record.provenance.get("spec") or {}
    if not isinstance(specs, Mapping) or not all(isinstance(spec, Mapping) for spec in specs.values()):
        yield "provenance.spec: does not hold the fields of each stage"
        return
    keys = {name: digest({"kind": name.partition("/")[0], **spec}) for name, spec in specs.items()}
    for name, key in keys.items():
        if name.partition("/")[2] != key[:16]:
            yield f"provenance.spec.{clean(name)}: gives the key {key[:16]}"
    if keys and record.key not in keys.values():
        yield f"cell: {record.id} is the key of none of its stages"
    own: Mapping[str, Any] = next((specs[name] for name, key in keys.items() if key == record.key), {})
    said = {"budget": record.result["budget"], "protocol": protocol}
    for field in said.keys() & own.keys():
        here, there = (dict(v) if isinstance(v, Mapping) else {"": v} for v in (said[field], own[field]))
        for part in sorted(name for name in there if here.get(name) != there[name]):
            yield f"{field}{'.' * bool(part)}{clean(part)}: is not what the key is made of"
    seeds = {spec["seed"] for spec in specs.values() if "seed" in spec}
    if seeds and record.result["seed"] not in seeds:
        yield f"seed: says {record.result['seed']}, the key is made of {', '.join(map(str, sorted(seeds)))}"


def _beyond(record: Record) -> Iterator[str]:
    """What the stored sums do not hold."""
    result = record.result
    if unknown := [clean(name) for name in result["metrics"] if metric_of(record, name) is None]:
        yield f"metrics without a formula: {', '.join(unknown)}"
    if result["curve"] and len(result["curve"]["t"]) > 1:
        yield f"metrics at the {len(result['curve']['t']) - 1} timesteps that are not read"
    for field, words in (
        ("contribution", "the contribution of timesteps"),
        ("timestep_mass", "the share of training of timesteps"),
        ("tuning", "the curve of the threshold's choice"),
    ):
        if result.get(field):
            yield words
    if not record.provenance.get("spec"):
        yield "its key: the record does not hold what it is made of"
