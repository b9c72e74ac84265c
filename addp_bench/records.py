"""Records: what a finished cell leaves behind, as plain values that can be read without the code that made them.

A record is a folder `<runs>/records/<cell id>/` with two files. `record.json` has a `result` part, identical at equal
device, versions and thread count, and a `provenance` part; `statistics.npz` has one row for each scored sample. Folders
are renamed into place when whole, so a record either stands or does not.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import NotRequired, TypedDict

from addp_bench import archives
from addp_bench.average_precision import AveragePrecision, AverageRecall
from addp_bench.errors import BadData, BadRequest, NothingSelected
from addp_bench.metrics import LogOfPairs, MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast
from addp_bench.statistics import STATISTICS, Statistics, read_statistics
from addp_bench.store import storage_errors, sync

if TYPE_CHECKING:
    from addp_bench.protocols import Metric

SCHEMA = 1
RECORD = "record.json"

# ------------------------------------------------------------------------------------- the shape of record.json

_open = with_config(ConfigDict(extra="allow", strict=True))  # later versions may add fields; none may change its type


@_open
class _Choice(TypedDict):
    name: str
    options: dict[str, Any]


@_open
class _Metric(TypedDict):
    label: str
    value: float | None  # in [0, 1] for points, else in `unit`
    unit: str
    higher_is_better: bool
    version: int
    reason: str | None  # why there is no value
    formula: NotRequired[dict[str, Any]]  # how it is made of the statistics, where one of our sums says it


@_open
class _Slice(TypedDict):
    samples: int
    metrics: dict[str, float | None]


@_open
class _Curve(TypedDict):
    t: list[int]  # timesteps visited, noisiest first
    metrics: dict[str, list[float | None]]


@_open
class _Dataset(TypedDict):
    name: str
    options: dict[str, Any]
    split: str
    fingerprint: str


@_open
class _Protocol(TypedDict):
    name: str
    version: int | str
    settings: dict[str, Any]
    hash: NotRequired[str]
    asks: NotRequired[dict[str, Any]]  # what its card asks for beside the judge
    deviates: NotRequired[dict[str, dict[str, Any]]]  # name -> {"card": asked for, "here": done}


@_open
class _Samples(TypedDict):
    asked: int
    scored: int
    failed: int


@_open
class _Tuning(TypedDict):
    split: str
    samples: int
    option: str
    own: float
    value: float
    metric: str
    values: list[float]
    curve: list[float | None]


@_open
class _Ceiling(TypedDict):
    samples: int
    metrics: dict[str, float | None]


@_open
class _Statistics(TypedDict):
    sha256: str


@_open
class _Result(TypedDict):
    task: str
    dataset: _Dataset
    protocol: _Protocol
    budget: str
    choices: dict[str, _Choice | list[_Choice]]
    training: dict[str, Any] | None  # None where nothing was trained
    seed: int
    sampling_steps: int | None
    read_at: dict[str, Any] | None
    samples: _Samples
    metrics: dict[str, _Metric]  # the first is the headline
    slices: dict[str, dict[str, _Slice]]
    curve: _Curve | None
    contribution: dict[str, Any] | None
    timestep_mass: list[float] | None
    statistics: _Statistics
    tuning: NotRequired[_Tuning]  # of the threshold at which drawings were read, where it was chosen
    ceiling: NotRequired[_Ceiling]  # what the truth itself scores, drawn, through the codec and read back
    uses_truth: NotRequired[list[str]]  # kinds whose plugin looked at the truth: "model", "agent", ...


@_open
class _Body(TypedDict):
    schema: int
    cell: str
    id: str
    result: _Result
    provenance: dict[str, Any]


_BODY = TypeAdapter(_Body)
_SUMS = (LogOfPairs, MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast)
_FORMULAS = {kind.__name__: kind for kind in (*_SUMS, AveragePrecision, AverageRecall)}


# --------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True)
class Record:
    """A finished cell. body: record.json, validated. folder: where it lies, None before it is written."""

    body: Mapping[str, Any]
    folder: Path | None = None

    def __post_init__(self) -> None:
        _validate(self.body)

    @property
    def id(self) -> str:
        """First 12 hex digits of the key."""
        return str(self.body["id"])

    @property
    def key(self) -> str:
        """SHA-256 of everything that can change the result."""
        return str(self.body["cell"])

    @property
    def result(self) -> Mapping[str, Any]:
        """Identical at equal device, versions and thread count."""
        return self.body["result"]

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How it came about: seconds, memory, device, versions, options given and defaulted."""
        return self.body["provenance"]

    @property
    def headline(self) -> str:
        """Id of the metric that ranks it."""
        return next(iter(self.result["metrics"]))

    @property
    def coverage(self) -> float:
        """Share of the samples asked for that were scored, in [0, 1]."""
        asked = self.result["samples"]["asked"]
        return self.result["samples"]["scored"] / asked if asked else 0.0

    def value(self, metric: str) -> float | None:
        """A metric's value, None where there is none (its reason says why)."""
        return self.result["metrics"][metric]["value"]

    @cached_property
    def statistics(self) -> Statistics:
        """Rows of statistics.npz. Raises BadData when they are missing, damaged or not those of this record."""
        if self.folder is None:
            raise BadData(f"record {self.id} was not written yet; it has no statistics")
        return archives.read(self.folder / STATISTICS, self.result["statistics"]["sha256"])


def metric_entry(metric: Metric, value: float, reason: str = "") -> dict[str, Any]:
    """A metric as records hold it: nan becomes null with `reason`, which may then not be empty (BadData).

    Metrics of addp_bench.metrics and average_precision leave their formula: tables make intervals without the task.
    """
    absent = math.isnan(value)
    if absent and not reason:
        raise BadData(f"metric {metric.id} has no value; a record must say why")
    said = {name: getattr(metric, name) for name in ("label", "unit", "higher_is_better", "version")}
    entry = {**said, "value": None if absent else float(value), "reason": reason if absent else None}
    if type(metric) in _FORMULAS.values():
        entry["formula"] = {  # a formula's class is a dataclass, which the contract cannot say to mypy
            "kind": type(metric).__name__,
            **{f.name: getattr(metric, f.name) for f in fields(metric) if f.name not in (*said, "id")},  # type: ignore[arg-type]
        }
    return entry


def metric_of(record: Record, name: str) -> Metric | None:
    """The metric of a record, made again from its formula; None where it has none or one of another version of ours."""
    entry = record.result["metrics"][name]
    formula = dict(entry.get("formula", {}))
    kind = _FORMULAS.get(formula.pop("kind", ""))
    said = {key: entry[key] for key in ("label", "unit", "higher_is_better", "version")}
    try:
        return kind(id=name, **said, **formula) if kind else None
    except TypeError:
        return None


def clean(text: str) -> str:
    """Text from data as it may reach a terminal: no control, format (bidi) or unassigned characters; one line."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c)[0] != "C")


# ------------------------------------------------------------------------------------------------- on disk


def folder_of(runs: Path, cell_id: str) -> Path:
    """Where the record of a cell lies under a runs folder."""
    return runs / "records" / cell_id


def write(folder: Path, body: Mapping[str, Any], statistics: Statistics) -> Record:
    """Write a record whole or not at all, flushed to disk; one that stood in `folder` is replaced.

    body: as record.json; `result.statistics` is filled in here. Raises BadData for a body that breaks the schema or
    holds NaN, StorageProblem when the folder cannot be written.
    """
    packed = statistics.packed()
    result = {**body["result"], "statistics": {"sha256": hashlib.sha256(packed).hexdigest()}}
    body = {**body, "result": result}
    record = Record(body, folder)
    try:
        content = json.dumps(body, indent=1, allow_nan=False).encode()
    except ValueError as wrong:
        raise BadData(f"record {record.id}: {wrong}; a value that does not exist is null, with its reason") from wrong
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    old = scratch.with_name(scratch.name + ".old")
    try:
        with storage_errors(folder.parent):
            scratch.mkdir(parents=True)
            (scratch / RECORD).write_bytes(content)
            (scratch / STATISTICS).write_bytes(packed)
            for written in (scratch / RECORD, scratch / STATISTICS, scratch):
                sync(written)
            _put(scratch, folder, old)
            sync(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return record


def load(path: Path) -> Record:
    """Read a record from its folder or its record.json. Raises BadData, naming the file and what is wrong with it."""
    file = path if path.name == RECORD else path / RECORD
    try:
        body = json.loads(file.read_bytes(), parse_constant=_no_constant)
        return Record(body, file.parent)
    except OSError as missing:
        raise BadData(f"{file}: cannot be read ({missing.strerror})") from missing
    except (ValueError, RecursionError) as broken:
        raise BadData(f"{file}: is not a record: {broken}") from broken
    except BadData as wrong:
        raise BadData(f"{file}: {wrong}") from wrong


def require_whole(folder: Path, key: str) -> None:
    """Raises BadData unless a folder holds the record of this key, readable, and the statistics that belong to it."""
    record = load(folder)
    if record.key != key:
        raise BadData(f"{folder / RECORD}: is the record of another cell, {record.id}")
    read_statistics(folder / STATISTICS, record.result["statistics"]["sha256"])


@dataclass(frozen=True)
class Loaded:
    """All that lies under a runs folder. broken: folder name -> why it was left out."""

    records: Sequence[Record]
    broken: Mapping[str, str]


def load_all(runs: Path) -> Loaded:
    """Every record under a runs folder, ordered by id; a broken one is reported, not fatal. No folder, no records."""
    home = runs / "records"
    names = sorted(entry.name for entry in os.scandir(home) if entry.is_dir()) if home.is_dir() else []
    records, broken = [], {}
    for name in names:
        if name.startswith("."):  # being written, or left by a run that was killed
            continue
        try:
            record = load(home / name)
        except BadData as why:
            broken[name] = str(why)
            continue
        if record.id == name:
            records.append(record)
        else:
            broken[name] = f"{home / name}: holds record {record.id}; a record's folder is named by its id"
    return Loaded(records, broken)


def find(records: Iterable[Record], prefix: str) -> Record:
    """The one record whose key begins with `prefix`. Raises NothingSelected for none, BadRequest for several."""
    wanted = prefix.strip().lower()
    found = [record for record in records if wanted and record.key.startswith(wanted)]
    if not found:
        raise NothingSelected(f"no record's key begins with {clean(prefix)!r}; `leaderboard` lists the cells there are")
    if len(found) > 1:
        several = ", ".join(sorted(record.id for record in found)[:5])
        raise BadRequest([f"cell {clean(prefix)!r} is ambiguous: {several}; give more digits"])
    return found[0]


# ---------------------------------------------------------------------------------------------- small steps


def _put(scratch: Path, folder: Path, old: Path) -> None:
    """Rename scratch to folder; what stood there, even since a moment ago, becomes old."""
    while True:
        try:
            scratch.rename(folder)
            return
        except OSError as full:  # a folder cannot be renamed over a full one
            if full.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):  # another writer of the same record was quicker
            folder.rename(old)


def _validate(body: Any) -> None:
    if not isinstance(body, Mapping):
        raise BadData(f"a record is a JSON object, met {type(body).__name__}")
    if body.get("schema") != SCHEMA:
        raise BadData(f"has schema {body.get('schema')!r}, this version reads {SCHEMA}")
    try:
        _BODY.validate_python(body)
    except pydantic.ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadData(f"field {where}: {first['msg']}, met {clean(repr(first['input']))[:80]}") from wrong
    if not (len(body["cell"]) == 64 and set(body["cell"]) <= set("0123456789abcdef")):
        raise BadData(f"field cell: a key is 64 hex digits, met {clean(body['cell'])[:80]!r}")
    if body["id"] != body["cell"][:12]:
        raise BadData(f"field id: {clean(body['id'])!r} is not the beginning of key {body['cell'][:12]}")
    metrics = body["result"]["metrics"]
    if not metrics:
        raise BadData("field result.metrics: a record has at least one metric")
    for name, metric in metrics.items():
        if metric["value"] is None and not metric["reason"]:
            raise BadData(f"field result.metrics.{clean(name)}: null without a reason")


def _no_constant(literal: str) -> None:
    raise ValueError(f"holds {literal}, which is not JSON")
