"""Tracker my_idea: shows runs elsewhere, as they go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.registry import Registry

requires_api = "1.0"


class MyIdea:
    """One line of JSON for everything that happens, at the end of a file: `tail -f` shows it.

    file: where the lines go; its folder is made.
    """

    def __init__(self, file: str = "my_idea.jsonl") -> None:
        self.file = Path(file)
        if self.file.is_dir():
            raise ValueError(f"file is written to, and {file} is a folder")

    def begin(self, run: str, config: Mapping[str, Any]) -> None:
        """A run begins; config: its choices, budget and seeds, as plain values."""
        self._write({"run": run, "begins": dict(config)})

    def log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a training step, counted from 1."""
        self._write({"run": run, "step": step, **values})

    def end(self, run: str, values: Mapping[str, float]) -> None:
        """The run ended; values: its metrics, none where there is no result."""
        self._write({"run": run, "ended": dict(values)})

    def _write(self, what: Mapping[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            print(json.dumps(what, ensure_ascii=False), file=lines)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("tracker", "my_idea", MyIdea)
