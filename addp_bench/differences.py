"""Why two cells are not one: the fields of their keys that differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Fields that hold the keys of earlier stages: they differ because something in those stages does, which is said there.
DERIVED = (
    "train",
    "latents",
    "predict",
    "contribution",
    "reading",
    "tuning",
    "features",
    "held_out",
    "probe",
    "network",
)


@dataclass(frozen=True)
class Difference:
    """place: such as `train.choices.weights.name`. here, there: the values; None where a cell has no such field."""

    place: str
    here: Any
    there: Any


def parts(stages: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """The stages of a cell's key (kind, key, spec), inputs first, by the part they play.

    The last of a kind is the cell's own (`train`); earlier ones belong to what it rests on (`source train`). What only
    the choice of the timestep that is read rests on is called `reading`, and `tuning` what that of a threshold does.
    """
    found: dict[str, Mapping[str, Any]] = {}
    chosen = {key: what for what in ("tuning", "reading") for key in _chosen(stages, what)}
    for kind, key, spec in reversed(stages):
        if kind == "ceiling":  # of which the key knows nothing
            continue
        name = f"{chosen[key]} {kind}" if key in chosen else kind
        if kind == "features":  # there is one of each split
            name = f"features {spec['data']['split']}"
        while name in found:
            name = f"source {name}"
        found[name] = {k: v for k, v in spec.items() if k not in DERIVED or not _is_key(v)}
    return found


def differences(here: Any, there: Any, place: str = "") -> list[Difference]:
    """Where two values differ, field by field, by place."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        inner = f"{place}." if place else ""
        return [d for k in sorted({*here, *there}) for d in differences(here.get(k), there.get(k), f"{inner}{k}")]
    return [] if here == there else [Difference(place, here, there)]


def changed_plugins(found: Sequence[Difference]) -> list[str]:
    """The plugins ("weights:band") that both cells use and whose code is not the same in both, each once."""
    both = (d.place for d in found if d.here is not None and d.there is not None)
    named = (re.search(r"(?:^|\.)plugins?\.([a-z_]+:[a-z0-9_]+)$", place) for place in both)
    return list(dict.fromkeys(match[1] for match in named if match))


def nearest(here: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[Difference]] | None:
    """Of several cells the one with the fewest differing fields, and those; None where there is none."""
    found = [(name, differences(here, there)) for name, there in others.items()]
    return min(found, key=lambda pair: len(pair[1])) if found else None


def _chosen(stages: Sequence[tuple[str, str, Mapping[str, Any]]], what: str) -> set[str]:
    """Keys of the predictions that a choice is made on, and of the latents that nothing else is drawn from."""
    specs = {key: spec for _, key, spec in stages}
    chosen = stages[-1][2].get(what)
    if chosen is None:
        return set()
    others = {spec.get("latents") for key, spec in specs.items() if key != chosen}
    return {chosen, specs[chosen]["latents"]} - others


def _is_key(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) == 64)
