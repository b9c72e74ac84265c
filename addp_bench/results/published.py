"""Numbers that others published, beside a table and never in it: each with its source, none with a rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml
from pydantic import ConfigDict, StringConstraints

from addp_bench.errors import BadRequest, unknown
from addp_bench.records import clean
from addp_bench.spec import tidy

from .rendering import Table

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Row(pydantic.BaseModel):
    """One number. value: as its table prints it, points from 0 to 100. source: where anybody can read it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    method: _Text
    task: _Text
    dataset: _Text
    split: _Text
    protocol: _Text
    metric: _Text
    value: float
    source: _Text
    notes: str = ""


_SAME = ("method", "task", "dataset", "split", "protocol", "metric")  # what tells one number from another


@dataclass(frozen=True)
class Published:
    """One number, where its file says it. value: as printed, points from 0 to 100."""

    method: str
    task: str
    dataset: str
    split: str
    protocol: str
    metric: str
    value: float
    source: str
    notes: str
    place: str


def read(files: Sequence[Path]) -> list[Published]:
    """The rows of YAML files, each a list of mappings with the fields of a Published but its place.

    Raises BadRequest with every mistake: a file that cannot be read, a field that is missing, unknown or of another
    type, a number that stands twice.
    """
    problems: list[str] = []
    found: list[Published] = []
    for file in files:
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as wrong:
            problems.append(f"{file}: cannot be read as YAML ({' '.join(str(wrong).split())})")
            continue
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            problems.append(f"{file}: expected a list of rows, each with {', '.join(_Row.model_fields)}")
            continue
        for k, row in enumerate(content, 1):
            place = f"{file}, row {k}"
            try:
                checked = _Row.model_validate(row)
            except pydantic.ValidationError as wrong:
                problems += [_said(place, one) for one in wrong.errors()]
                continue
            fields = checked.model_dump()
            said: dict[str, Any] = {name: clean(v) if isinstance(v, str) else v for name, v in fields.items()}
            found.append(Published(**said, place=place))
    first: dict[tuple[str, ...], str] = {}
    for one in found:
        key = tuple(tidy(getattr(one, name)) for name in _SAME)
        if (other := first.setdefault(key, one.place)) != one.place:
            problems.append(f"{one.place}: the same number as {other}; a method is told apart by its name")
    if problems:
        raise BadRequest(problems)
    return found


def _said(place: str, wrong: Any) -> str:
    name = ".".join(map(str, wrong["loc"]))
    if wrong["type"] == "extra_forbidden":
        return f"{place}: {unknown('field of a published row', name, _Row.model_fields)}"
    if wrong["type"] == "missing":
        return f"{place}: has no {name}; every number needs {', '.join(_SAME)}, value and source"
    return f"{place}: {name}: {wrong['msg']}, met {clean(repr(wrong['input']))[:60]}"


def beside(table: Table, rows: Sequence[Published]) -> tuple[Table, list[Published]]:
    """The table with the rows that fit below its sections (task, dataset and split equal, the metric known), and the
    rows that fit none.

    A section's published row: method, protocol, same_protocol, metrics (id -> value as records store it), source,
    notes. Raises BadRequest for points outside of 0 to 100.
    """
    problems: list[str] = []
    placed: set[str] = set()
    sections = []
    for section in table.sections:
        heading = section.heading
        shown: dict[tuple[str, ...], dict[str, Any]] = {}
        metrics = {tidy(name): name for name in section.metrics}
        for one in rows:
            where = (tidy(one.task), tidy(one.dataset), one.split)
            if where != (tidy(heading["task"]), tidy(heading["dataset"]), heading["split"]):
                continue
            if (metric := metrics.get(tidy(one.metric))) is None:
                continue
            points = section.metrics[metric]["unit"] == "points"
            if points and not 0 <= one.value <= 100:
                problems.append(f"{one.place}: {one.metric} is in points, from 0 to 100, met {one.value:g}")
            placed.add(one.place)
            key = (one.method, one.protocol, one.source, one.notes)
            entry = shown.setdefault(key, _entry(one, heading))
            entry["metrics"][metric] = one.value / 100 if points else one.value
        sections.append(replace(section, published=list(shown.values())))
    if problems:
        raise BadRequest(list(dict.fromkeys(problems)))
    return replace(table, sections=sections), [one for one in rows if one.place not in placed]


def _entry(one: Published, heading: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "method": one.method,
        "protocol": one.protocol,
        "same_protocol": tidy(one.protocol) == tidy(heading["protocol"]),
        "metrics": {},
        "source": one.source,
        "notes": one.notes,
    }
