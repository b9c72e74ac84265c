"""What `list` and `show` say of protocols, which are no plugins: the judges of tasks, and the cards of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addp_bench.catalogue import Catalogue
from addp_bench.errors import unknown
from addp_bench.spec import tidy

KIND = "protocol"


def found(catalogue: Catalogue, name: str) -> list[dict[str, Any]]:
    """The protocols of that name, of any task and for any dataset. Raises UnknownName."""
    every = catalogue.protocols()
    met = [protocol for protocol in every if tidy(name) == protocol["name"]]
    if not met:
        raise unknown(KIND, name, {protocol["name"] for protocol in every})
    return met


def table(protocols: Sequence[Mapping[str, Any]]) -> str:
    """One line for each."""
    from tabulate import tabulate

    rows = [
        [p["task"], p["name"], p["dataset"] or "any", str(p["version"]), p["hash"][:12], _pairs(p["asks"])]
        for p in protocols
    ]
    return tabulate(rows, ["task", KIND, "dataset", "version", "hash", "asks for"], "simple", disable_numparse=True)


def full(protocols: Sequence[Mapping[str, Any]]) -> str:
    """Everything they say: what judges, and what a card asks for where a request leaves it open."""
    parts = []
    for p in protocols:
        where = f" on {p['dataset']}" if p["dataset"] else ", on any dataset"
        parts.append(f"{KIND} {p['name']} of task {p['task']}{where}: version {p['version']}, hash {p['hash']}")
        parts.append(f"  judge     {_pairs(p['settings'])}")
        parts.append(f"  asks for  {_pairs(p['asks']) or 'nothing else'}\n")
    return "\n".join(parts).rstrip("\n")


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
