"""Which records belong together: conditions that select them, rows that differ in nothing but the seed, and the sets of
rows that may be ranked against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from addp_bench.errors import BadRequest, NothingSelected, unknown
from addp_bench.records import Record, clean
from addp_bench.spec import KINDS, Choice, tidy
from addp_bench.store import canonical

# What a condition may name beside kinds of plugins and `kind.option`.
FIELDS = (
    "cell",
    "split",
    "protocol",
    "budget",
    "seed",
    "sampling_steps",
    "ensemble",
    "read_at",
    "tuned_on",
    "precision",
    "train_steps",
)
TRAINED_ON = "trained_on"  # the dataset of the training, named and with options as kinds are
# Order of the columns that tell rows apart.
AXES = (
    "task",
    "model",
    "weights",
    "aug",
    "corruption",
    "transform",
    "target",
    "exposure",
    "noise",
    "objective",
    "encoding",
    "guidance",
    "agent",
    "sampler",
)
CUSTOM = "custom"  # the budget of a cell whose numbers were changed by hand


# ------------------------------------------------------------------------------------------------ conditions


def select(records: Sequence[Record], where: Sequence[str] = ()) -> list[Record]:
    """Records that meet every condition `field=value`.

    A field is a kind (`weights=min_snr`, `weights=min_snr:gamma=5`) or `trained_on`, an option of one
    (`weights.scaling=loss`) or one of FIELDS; `cell` takes the beginning of a key. Values after a comma, and repeated
    fields, are alternatives.

    Raises UnknownName for a field, BadRequest for a condition that cannot be read, NothingSelected when none is left.
    """
    if not records:
        raise NothingSelected("there is no record here yet; `addp-bench run` makes one (or name another --runs DIR)")
    found, conditions = list(records), _read(where)
    for name, values in conditions.items():
        if name not in (known := _known(records)):
            raise unknown("field of a record", name, known)
        left = [record for record in found if any(_meets(record, name, value) for value in values)]
        if not left:
            met = sorted({text for record in found for text in _texts(record, name)})
            seen = f"met {', '.join(met[:8])}" if met else "none has such a value"
            raise NothingSelected(f"no record has {name}={','.join(values)} ({len(found)} looked at; {seen})")
        found = left
    return found


def _read(where: Sequence[str]) -> dict[str, list[str]]:
    conditions: dict[str, list[str]] = {}
    for condition in where:
        name, equals, values = condition.partition("=")
        if not (name and equals and values):
            raise BadRequest([f"--where {condition!r}: a condition is field=value, such as weights=uniform"])
        conditions.setdefault(tidy(name), []).extend(value.strip() for value in values.split(","))
    return conditions


def _known(records: Sequence[Record]) -> set[str]:
    options = {f"{kind}.{option}" for r in records for kind, c in _choices(r) for option in c["options"]}
    return {*KINDS, TRAINED_ON, *FIELDS, *options} - {"executor", "tracker"}


def _meets(record: Record, name: str, value: str) -> bool:
    if name == "cell":
        return record.key.startswith(value.lower())
    if name not in (*KINDS, TRAINED_ON):
        return value in _texts(record, name)
    wanted = Choice.parse(value)
    return any(
        choice["name"] == wanted.name and all(_said(choice["options"].get(k)) == v for k, v in wanted.options.items())
        for kind, choice in _choices(record)
        if kind == name
    )


def _texts(record: Record, name: str) -> list[str]:
    """What a record says of a field, as text."""
    result = record.result
    if name == "cell":
        return [record.id]
    if "." in name:
        kind, option = name.split(".", 1)
        return [_said(c["options"][option]) for k, c in _choices(record) if k == kind and option in c["options"]]
    if name in (*KINDS, TRAINED_ON):
        return [c["name"] for k, c in _choices(record) if k == name]
    values = {
        "split": result["dataset"]["split"],
        "protocol": result["protocol"]["name"],
        "read_at": (result["read_at"] or {}).get("rule"),
        "tuned_on": result.get("tuning", {}).get("split"),
        "precision": (result["training"] or {}).get("precision"),
        "train_steps": (result["training"] or {}).get("steps"),
    }
    value = values.get(name, result.get(name))
    return [] if value is None else [_said(value)]


def _choices(record: Record) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(kind, choice) of everything chosen; corruptions and transforms one by one, of a training without any: none."""
    result = record.result
    if "task" not in result["choices"]:
        yield "task", {"name": result["task"], "options": {}}
    yield "dataset", result["dataset"]
    if isinstance(trained_on := (result["training"] or {}).get("dataset"), Mapping):
        yield TRAINED_ON, trained_on
    for kind, choice in result["choices"].items():
        for each in choice if isinstance(choice, list) else [choice]:
            yield kind, each
    if result["training"] and not result["choices"].get("transform"):
        yield "transform", {"name": "none", "options": {}}


def _said(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


# ------------------------------------------------------------------------------------------------------ rows


@dataclass(frozen=True)
class Row:
    """Cells equal in everything but their seed. by_seed: the newest record of each; older: how many were left out."""

    by_seed: Mapping[int, Record]
    older: int = 0

    @property
    def records(self) -> list[Record]:
        return list(self.by_seed.values())

    @property
    def first(self) -> Record:
        """Any of them: they tell the same of everything but the seed."""
        return next(iter(self.by_seed.values()))

    @property
    def trained(self) -> bool:
        return self.first.result["training"] is not None

    @property
    def uses_truth(self) -> Sequence[str]:
        """Kinds whose plugin looked at the truth."""
        found: Sequence[str] = self.first.result.get("uses_truth", ())
        return found

    @property
    def complete(self) -> bool:
        """Every sample asked for was scored, in every seed."""
        return all(record.coverage == 1 for record in self.records)

    @cached_property
    def axes(self) -> dict[str, list[Mapping[str, Any]]]:
        """Axis -> the choices made on it, those of a set in their order, other numbers as choices without options."""
        result = self.first.result
        axes: dict[str, list[Mapping[str, Any]]] = {axis: [] for axis in AXES}
        for kind, choice in _choices(self.first):
            if kind in axes:
                axes[kind].append(_with_fingerprint(choice))
        numbers = {
            "sampling steps": result["sampling_steps"],
            "sampling seed": result.get("sampling_seed"),
            "ensemble": (result.get("ensemble") or 1) if result["sampling_steps"] else None,
            "read at": _read_at(result),
            **{f"train {name.replace('_', ' ')}": value for name, value in (result["training"] or {}).items()},
        }
        axes |= {name: [_as_choice(value)] for name, value in numbers.items() if value is not None}
        return {axis: made for axis, made in axes.items() if made}


def _as_choice(value: Any) -> Mapping[str, Any]:
    """A number as a choice without options; the dataset that was trained on is one already."""
    return _with_fingerprint(value) if isinstance(value, Mapping) else {"name": clean(_said(value)), "options": {}}


def _with_fingerprint(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The beginning of a fingerprint as an option, so that rows that differ in nothing else can be told apart."""
    if not choice.get("fingerprint"):
        return choice
    return {"name": choice["name"], "options": {**choice["options"], "fingerprint": choice["fingerprint"][:8]}}


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Records grouped into rows, in the order they come."""
    groups: dict[str, dict[int, list[Record]]] = {}
    for record in records:
        groups.setdefault(_row_key(record), {}).setdefault(record.result["seed"], []).append(record)
    found = []
    for by_seed in groups.values():
        newest = {
            seed: max(same, key=lambda r: str(r.provenance.get("finished", ""))) for seed, same in by_seed.items()
        }
        ordered = {seed: newest[seed] for seed in sorted(newest)}
        found.append(Row(ordered, sum(map(len, by_seed.values())) - len(newest)))
    return found


def _row_key(record: Record) -> str:
    result = record.result
    parts = {name: result.get(name) for name in ("choices", "training", "sampling_steps", "sampling_seed")}
    parts["ensemble"] = result.get("ensemble") or 1
    return canonical([_scored_as(record), result["budget"], result["samples"]["asked"], _read_at(result), parts])


def _read_at(result: Mapping[str, Any]) -> str | None:
    """By what rule answers are read, and how its threshold was chosen; not which: that differs by seed."""
    rule, tuned = (result["read_at"] or {}).get("rule"), result.get("tuning")
    return f"{rule}, {tuned['option']} tuned on {tuned['samples']} of {tuned['split']}" if tuned else rule


# ------------------------------------------------------------------------------------------------- comparable


@dataclass(frozen=True)
class Comparable:
    """Rows that may be ranked together: one task, data, protocol, metric version, budget and number of samples.

    budget: "" where nothing was trained, and only such rows are here.
    """

    rows: Sequence[Row]
    budget: str
    asked: int

    @property
    def result(self) -> Mapping[str, Any]:
        """Of any of them: what they have in common."""
        return self.rows[0].first.result

    @property
    def headline(self) -> str:
        return self.rows[0].first.headline

    @property
    def details(self) -> dict[str, str]:
        """What else is equal in all of them, as text: data, protocol, metric version, numbers of a custom budget."""
        result = self.result
        dataset, protocol = result["dataset"], result["protocol"]
        numbers = result["training"] if self.budget == CUSTOM else {}
        asks = {f"card's {name}": value for name, value in protocol.get("asks", {}).items()}
        found = {"fingerprint": dataset["fingerprint"], "protocol version": protocol["version"]}
        found |= {f"{self.headline} version": result["metrics"][self.headline]["version"]}
        return {
            name: _said(value)
            for name, value in {**found, **dataset["options"], **protocol["settings"], **asks, **numbers}.items()
        }


def comparable(rows: Sequence[Row]) -> list[Comparable]:
    """Sets of rows that may be ranked together, trained ones before others.

    A row that was not trained has no budget: it joins every set judged alike that asks for no more samples than it has.
    """
    trained: dict[str, list[Row]] = {}
    for row in rows:
        if row.trained:
            trained.setdefault(_set_key(row), []).append(row)
    sets: list[Comparable] = []
    placed: set[int] = set()
    for members in trained.values():
        first = members[0].first
        asked = first.result["samples"]["asked"]
        guests = [r for r in rows if not r.trained and _scored_as(r.first) == _scored_as(first) and _covers(r, first)]
        placed.update(id(guest) for guest in guests)
        sets.append(Comparable([*members, *guests], first.result["budget"], asked))
    alone: dict[str, list[Row]] = {}
    for row in rows:
        if not row.trained and id(row) not in placed:
            alone.setdefault(_set_key(row), []).append(row)
    return sets + [Comparable(members, "", members[0].first.result["samples"]["asked"]) for members in alone.values()]


def _covers(row: Row, record: Record) -> bool:
    """Whether a row was judged on as many samples. The samples themselves are compared where they are read."""
    return all(r.result["samples"]["asked"] >= record.result["samples"]["asked"] for r in row.records)


def _scored_as(record: Record) -> str:
    """Everything about judging that must be equal before two numbers may be compared."""
    result, headline = record.result, record.headline
    dataset = {**result["dataset"]}
    versions = {name: metric["version"] for name, metric in result["metrics"].items() if name == headline}
    # what deviates from a card stands in a row's own columns, and the hash says again what is compared here
    protocol = {name: said for name, said in result["protocol"].items() if name not in ("hash", "deviates")}
    return canonical([result["task"], dataset, protocol, versions])


def _set_key(row: Row) -> str:
    result = row.first.result
    numbers = result["training"] if result["budget"] == CUSTOM else None
    budget = result["budget"] if row.trained else None
    return canonical([_scored_as(row.first), budget, numbers, result["samples"]["asked"]])
