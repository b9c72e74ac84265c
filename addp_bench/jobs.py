"""What executors run: a piece of work with the names of those it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from addp_bench.errors import StorageProblem


@dataclass(frozen=True)
class Job:
    """name: unique in a run. needs: names of jobs that must have succeeded before. run: does it, once."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """How a job ended. error: None when it succeeded; for a job that was not begun, the error of what it needed."""

    job: Job
    error: Exception | None
    begun: bool = True


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
