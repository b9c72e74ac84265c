"""Executors: where jobs run. `local` runs them one after another in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.jobs import Job, Outcome
    from addp_bench.registry import Registry


class Local:
    """One job after another, in this process and on its device."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs in their order; one whose needs failed is not begun and yields their failure."""
        from addp_bench.jobs import attempt

        failed: dict[str, Exception] = {}
        for job in jobs:
            outcome = attempt(job, failed)
            if outcome.error is not None:
                failed[job.name] = outcome.error
            yield outcome


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("executor", "local", Local)
