"""Runs told to an experiment tracker through the hooks. One that fails is left out, and the run goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from addp_bench.cell import Cell
from addp_bench.hookspecs import hookimpl
from addp_bench.protocols import Tracker
from addp_bench.store import digest


class Tracking:
    """One tracker as a plugin of pluggy. say: where a failure is told, once.

    A cell is a run of the tracker's, named by what distinguishes it and by the beginning of a digest of all it is. A
    training that the cell rests on, such as the source of statistics, is a run of its own.
    """

    def __init__(self, name: str, tracker: Tracker, say: Callable[[str], None]) -> None:
        self.name, self.tracker, self.say = name, tracker, say
        self.begun: dict[str, None] = {}
        self.failed = False

    @hookimpl
    def addp_bench_run_started(self, cell: Cell) -> None:
        self._guarded(lambda: self._begin(cell))

    @hookimpl
    def addp_bench_train_step(self, cell: Cell, step: int, loss: float) -> None:
        self._guarded(lambda: self.tracker.log(self._begin(cell), step, {"train/loss": loss}))

    @hookimpl
    def addp_bench_run_finished(self, record: Mapping[str, Any]) -> None:
        self._guarded(lambda: self._end(self._begin(Cell.from_plain(record["provenance"]["cell"])), summary(record)))

    def close(self) -> None:
        """End what was begun and has no record: a source, a cell that failed, an interrupted run."""
        for run in list(self.begun):
            self._guarded(lambda run=run: self._end(run, {}))  # type: ignore[misc]

    def _begin(self, cell: Cell) -> str:
        """The name of the cell's run, which is begun unless it was."""
        plain = cell.plain()
        # its options are left out: a record does not keep them with the cell, and paths are nobody's business
        run = f"{dataclasses.replace(cell, options={}).describe()} · {digest(plain)[:8]}"
        if run not in self.begun:
            self.begun[run] = None
            self.tracker.begin(run, plain)
        return run

    def _end(self, run: str, values: Mapping[str, float]) -> None:
        self.begun.pop(run, None)
        self.tracker.end(run, values)

    def _guarded(self, do: Callable[[], object]) -> None:
        if self.failed:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # trackers greet people, and stdout is for the answer
                do()
        except Exception as wrong:
            self.failed = True
            self.say(
                f"tracker {self.name} is left out from here on, and the run goes on without it: "
                f"{type(wrong).__name__}: {wrong}"
            )


def summary(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record that a tracker shows: every metric that has a value, the curve, seconds and coverage."""
    result = record["result"]
    found = {f"eval/{name}": m["value"] for name, m in result["metrics"].items() if m["value"] is not None}
    headline = next(iter(result["metrics"]))
    curve = result["curve"] or {"t": [], "metrics": {headline: []}}
    for t, value in zip(curve["t"], curve["metrics"].get(headline, [])):
        if value is not None:
            found[f"curve/{headline}/t{t:04d}"] = value
    found["seconds"] = sum(s for s in record["provenance"]["seconds"].values() if s is not None)
    found["coverage"] = result["samples"]["scored"] / max(1, result["samples"]["asked"])
    return {name: float(value) for name, value in found.items()}
