"""Executor my_idea: where and how the stages of a run are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.jobs import Job, Outcome
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """One job after another in this process, as the built-in local; a job that fails is tried again.

    Stages are written whole or not at all, so trying again is safe: for a file system that hiccups, or a device that
    was full for a moment.

    again: how often a job that failed is tried again, 0 to 10.
    """

    again: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.again <= 10:
            raise ValueError(f"again is how often a job is tried again, 0 to 10, got {self.again}")

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs in their order, in which none comes before one it needs; yields each once, as it ends."""
        from addp_bench.jobs import attempt

        failed: dict[str, Exception] = {}
        for job in jobs:
            outcome = attempt(job, failed)
            for _ in range(self.again):
                if outcome.error is None:
                    break
                outcome = attempt(job, failed)
            if outcome.error is not None:
                failed[job.name] = outcome.error
            yield outcome


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("executor", "my_idea", MyIdea)
