"""Protocols by name: who judges, and what is asked for where a figure is made as a publication makes it.

A task names its judges (`Task.protocols`), and by dataset the cards under which published figures are made
(`Task.cards`). A judge's name stands for the judge alone. A card's name stands for its judge and for the split, sampler
steps, answers and size at which the model sees photographs that were published with it. Where a request names a card,
these are the defaults of what the request leaves open; a record says what was done otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from addp_bench.errors import unknown
from addp_bench.store import digest

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.spec import Request
    from addp_bench.types import ProtocolCard

JUDGED = ("split", "limit")  # what a card can ask of any predictor; the rest is asked of those that draw


@dataclass(frozen=True)
class Protocol:
    """A protocol on one dataset.

    settings: of the judge. asks: what its card asks for, without what it leaves open; empty for a judge alone.
    """

    name: str
    settings: Mapping[str, Any]
    version: int = 1
    asks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of everything that it says."""
        return hash_of(self.plain())

    def plain(self) -> dict[str, Any]:
        """As keys and records hold it; `version` and `asks` of a card alone: a judge is known by its settings."""
        card = {"version": self.version, "asks": dict(self.asks)} if self.asks else {}
        return {"name": self.name, "settings": dict(self.settings), **card}


def hash_of(plain: Mapping[str, Any]) -> str:
    """Of what `plain` gave."""
    return digest({"version": 1, "asks": {}, **plain})


def known(task: Any, dataset: str) -> dict[str, Protocol]:
    """The protocols of a task on a dataset by name, its judges and the cards that were made for it."""
    judges = task.protocols()
    found = {name: Protocol(name, settings) for name, settings in judges.items()}
    for name, by_dataset in getattr(task, "cards", {}).items():
        if dataset in by_dataset:
            card = by_dataset[dataset]
            found[name] = Protocol(name, judges[card.judge], card.version, _asked(card))
    return found


def listed(task: Any) -> list[dict[str, Any]]:
    """Every protocol of a task as plain values: the judges for any dataset (""), the cards for theirs."""
    judges = [("", Protocol(name, settings)) for name, settings in task.protocols().items()]
    datasets = dict.fromkeys(dataset for cards in getattr(task, "cards", {}).values() for dataset in cards)
    cards = [(d, p) for d in datasets for p in known(task, d).values() if d in task.cards.get(p.name, ())]
    return [
        {"dataset": dataset, "hash": p.hash, **{f.name: getattr(p, f.name) for f in dataclasses.fields(p)}}
        for dataset, p in [*judges, *sorted(cards, key=lambda card: card[1].name)]
    ]


def named(task: Any, task_name: str, dataset: str, name: str) -> Protocol:
    """The protocol of that name. Raises UnknownName, saying for which datasets there is a card of that name."""
    protocols = known(task, dataset)
    if name in protocols:
        return protocols[name]
    elsewhere = getattr(task, "cards", {}).get(name, ())
    note = f"A card {name!r} is there for {', '.join(elsewhere)}." if elsewhere else ""
    raise unknown(f"protocol of {task_name} on {dataset}", name, protocols, note)


def completed(request: Request, protocol: Protocol) -> Request:
    """The request, with what the card that it names asks for where it leaves that open."""
    asks = protocol.asks if request.protocol is not None else {}
    numbers = dict(request.overrides)
    if numbers.get("sampling_steps") is None:
        numbers["sampling_steps"] = asks.get("steps")
    return dataclasses.replace(
        request,
        split=asks.get("split") if request.split is None else request.split,
        ensemble=asks.get("ensemble", 1) if request.ensemble is None else request.ensemble,
        overrides=numbers,
    )


def deviations(asks: Mapping[str, Any], cell: Cell, there: int | None, side: int | None) -> dict[str, dict[str, Any]]:
    """What a cell does otherwise than a card asks: name -> {"card": what it asks, "here": what is done}.

    there: samples of the judged split, None where nothing says. side: of the squares that the model draws, None for a
    predictor that draws nothing. A card asks for the whole split (`limit` None).
    """
    if not asks:
        return {}
    limit = cell.budget.limit
    here = {
        "split": cell.splits["eval"],
        "limit": None if limit is None or (there is not None and limit >= there) else limit,
        "steps": cell.budget.sampling_steps,
        "ensemble": cell.ensemble,
        "resolution": f"{side} x {side}",  # squares, whatever the photograph's shape
    }
    asked = {**asks, "limit": None}
    met = (name for name in here if name in asked and (name in JUDGED or side is not None))
    return {name: {"card": asked[name], "here": here[name]} for name in met if asked[name] != here[name]}


def told(deviating: Mapping[str, Mapping[str, Any]]) -> str:
    """Deviations in words: `steps 20 (50), ensemble 1 (10)`, the card's in brackets."""
    said = {None: "all", "native": "the photograph's own"}
    return ", ".join(
        f"{name} {said.get(d['here'], d['here'])} ({said.get(d['card'], d['card'])})" for name, d in deviating.items()
    )


def _asked(card: ProtocolCard) -> dict[str, Any]:
    fields = ("split", "steps", "ensemble", "resolution")
    return {name: value for name in fields if (value := getattr(card, name)) is not None}
