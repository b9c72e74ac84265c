"""What executors run: a piece of work with the names of those it needs, and how several are done at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from addp_bench.errors import StorageProblem


@dataclass(frozen=True)
class Where:
    """What a process needs to see what another sees.

    runs, home: folders of results and of caches. plugins: files loaded beside what is installed. blocked: entry points
    and distributions that are left out. batch: answers drawn at once.
    """

    runs: Path
    home: Path
    device: str
    batch: int
    plugins: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """A stage to be made. cell: as `Cell.plain` gives it. stage: `Stage.name`. where: with what."""

    cell: Mapping[str, Any]
    stage: str
    where: Where


@dataclass(frozen=True)
class Made:
    """computed: whether this process did it, rather than find it done. steps: training steps whose loss was logged, as
    (cell, step, loss)."""

    computed: bool
    steps: Sequence[tuple[Mapping[str, Any], int, float]] = ()


@dataclass(frozen=True)
class Job:
    """name: unique in a run. needs: names of jobs that must have succeeded before. run: does it, once, in this process.

    order: what another process is told so that it does the same, asked when the job's turn has come; what asking raises
    is the job's failure. None for a job that only this process can do, which is quick.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[], None]
    order: Callable[[], Order] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended. error: None when it succeeded; for a job that was not begun, the error of what it needed.

    made: what the process that did it instead of `run` has to say of it.
    """

    job: Job
    error: Exception | None
    begun: bool = True
    made: Made | None = None


class Places(Protocol):
    """Where several jobs are done at once."""

    def free(self) -> bool:
        """Whether another order can be taken."""

    def begin(self, job: Job, order: Order) -> None:
        """Take an order; it is done elsewhere while this returns."""

    def ended(self) -> Sequence[Outcome]:
        """Jobs that ended since this was last asked; waits for the first of them."""


def attempt(job: Job, failed: Mapping[str, Exception]) -> Outcome:
    """Run a job unless something it needs is among `failed` (name -> error).

    Raises StorageProblem: a disk that cannot be written ends all.
    """
    for need in job.needs:
        if need in failed:
            return Outcome(job, failed[need], begun=False)
    try:
        job.run()
    except StorageProblem:
        raise
    except Exception as error:  # a cell that fails must not take the others with it
        return Outcome(job, error)
    return Outcome(job, None)


def spread(jobs: Sequence[Job], places: Places) -> Iterator[Outcome]:
    """Run jobs, in which none comes before one it needs, at several places at once; yields each as it ends.

    Whoever is first in the list begins first. A job without an order is done here: at once where it needs others, as
    the record of a cell does; in its turn where it needs none, as the beginning of a cell does.

    Raises StorageProblem, as `attempt` does.
    """
    waiting = {job.name: job for job in jobs}
    failed: dict[str, Exception] = {}
    running: set[str] = set()

    def pending(job: Job) -> bool:
        return any(need in waiting or need in running for need in job.needs) and not failed.keys() & set(job.needs)

    while waiting or running:
        outcomes: list[Outcome] = []
        for job in list(waiting.values()):
            doomed = any(need in failed for need in job.needs)
            if pending(job) or not (places.free() or doomed or (job.order is None and job.needs)):
                continue
            del waiting[job.name]
            if doomed or job.order is None:
                outcomes.append(attempt(job, failed))
            else:
                try:
                    order = job.order()
                except Exception as error:
                    outcomes.append(Outcome(job, error))
                else:
                    places.begin(job, order)
                    running.add(job.name)
                    continue
            if (failure := outcomes[-1].error) is not None:
                failed[job.name] = failure
        if not outcomes:
            outcomes = list(places.ended())
            running -= {outcome.job.name for outcome in outcomes}
            failed |= {outcome.job.name: outcome.error for outcome in outcomes if outcome.error is not None}
            for outcome in outcomes:
                if isinstance(outcome.error, StorageProblem):
                    raise outcome.error
        yield from outcomes
