"""The hooks a plugin may implement; their words are the agreement. Names begin with `addp_bench_`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.registry import Registry

API_VERSION = "1.0"  # of the hooks and of the contracts in `protocols`: MAJOR.MINOR; see `addp_bench.api`

hookspec = pluggy.HookspecMarker("addp_bench")
hookimpl = pluggy.HookimplMarker("addp_bench")


@hookspec
def addp_bench_register(registry: Registry) -> None:
    """Announce plugins with `registry.add(kind, name, factory)`.

    Called once for each plugin module, when it is loaded. What it raises sets this one module aside, with its reason.
    """


@hookspec
def addp_bench_cells(cells: list[Cell]) -> None:
    """Drop or reorder, in place, the cells about to be run.

    Called once, after impossible ones were removed. Adding cells is not allowed.
    """


@hookspec
def addp_bench_run_started(cell: Cell) -> None:
    """A cell is about to begin; it is not called for a cell whose record already stands.

    What it raises fails this cell and no other; a stage that another cell needs is made for that one.
    """


@hookspec
def addp_bench_train_step(cell: Cell, step: int, loss: float) -> None:
    """A training step ended; step counts from 1. Called at the steps whose loss is logged, not at each."""


@hookspec
def addp_bench_run_finished(record: Mapping[str, Any]) -> None:
    """A record was written. It must not be changed."""


@hookspec  # a specification has no body, whatever it says it returns
def addp_bench_columns(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[str]]:  # type: ignore[empty-body]
    """Extra leaderboard columns: header -> one cell of text for each record, in their order."""


@hookspec(firstresult=True)
def addp_bench_render(rows: Sequence[Mapping[str, Any]], style: str) -> str | None:
    """Render a leaderboard in a style of your own; None for styles you do not know. The first answer wins."""
