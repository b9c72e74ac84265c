"""Contracts of executors and trackers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from addp_bench.errors import BenchError
from addp_bench.jobs import Job

from .common import Call
from .given import Finding, Subject, said


def no_calls(plugin: Any, subject: Subject) -> Iterator[Call]:
    """None: an executor's answers are what its jobs do, and a tracker might show a run to the world."""
    return iter(())


def executor(executor: Any, subject: Subject) -> Iterator[Finding]:
    done: list[str] = []

    def fails() -> None:
        raise BenchError("asked to")

    jobs = [
        Job("first", (), lambda: done.append("first")),
        Job("fails", (), fails),
        Job("needs it", ("fails",), lambda: done.append("needs it")),
        Job("last", ("first",), lambda: done.append("last")),
    ]
    outcomes = list(executor.run(jobs))
    ended = {outcome.job.name: outcome for outcome in outcomes}
    once = len(outcomes) == len(ended) and ended.keys() == {job.name for job in jobs}
    yield said("executor.ends", once, str([outcome.job.name for outcome in outcomes]))
    yield said("executor.order", [name for name in done if name != "needs it"] == ["first", "last"], str(done))
    begun = "needs it" in done or ("needs it" in ended and ended["needs it"].begun)
    yield said("executor.not_begun", not begun, "it was")
    told = {name: "asked to" in str(ended[name].error) for name in ("fails", "needs it") if name in ended}
    clean = all(ended[name].error is None for name in ("first", "last") if name in ended)
    yield said("executor.error", all(told.values()) and clean, f"met {[o.error for o in outcomes]}")


def tracker(tracker: Any, subject: Subject) -> Iterator[Finding]:
    calls: dict[str, tuple[Any, ...]] = {"begin": ("run", {}), "log": ("run", 1, {}), "end": ("run", {})}
    for name, given in calls.items():  # it is not called: that might show a run to the world
        method = getattr(tracker, name, None)
        try:
            inspect.signature(method).bind(*given)  # type: ignore[arg-type]  # None where it is missing, which raises
            wrong = None
        except TypeError as why:
            wrong = str(why)
        yield Finding(f"tracker.{name}", wrong)
