"""Executor `slurm`: stages as jobs of a Slurm cluster, through submitit."""

from __future__ import annotations

import getpass
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.errors import BenchError
    from addp_bench.jobs import Job, Made, Order, Outcome
    from addp_bench.registry import Registry


@dataclass(frozen=True)
class Slurm:
    """A Slurm job for each stage; what is ready at the same time is submitted as one job array.

    Nodes see the folders of results and of caches at the same paths, and use this Python. A job that reaches its time
    limit or is preempted is put into the queue again, and goes on from its last checkpoint. The command itself stays
    where it was started, and may be killed: the same command goes on.

    partition: as sbatch takes it; the cluster's own unless given.

    account: as sbatch takes it; the user's own unless given.

    cpus: of each job, which are its threads too.

    gpus: of each job, a whole number. Above 0 the stage computes on cuda.

    memory_gb: of each job; the partition's default unless given.

    minutes: time limit of each job.

    at_once: the most jobs in the queue at once.

    again: how often a job goes into the queue again, after its time limit, a preemption or its death.

    poll: seconds between two looks at the queue.
    """

    partition: str = ""
    account: str = ""
    cpus: int = 2
    gpus: int = 0
    memory_gb: float = 0.0
    minutes: int = 240
    at_once: int = 100
    again: int = 2
    poll: float = 5.0

    def __post_init__(self) -> None:
        for name, least in (("cpus", 1), ("gpus", 0), ("memory_gb", 0), ("minutes", 1), ("at_once", 1), ("again", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, got {getattr(self, name)}")
        if not self.poll > 0:
            raise ValueError(f"poll is a number of seconds above 0, got {self.poll}")

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Raises BadOption where submitit or Slurm is not installed."""
        from addp_bench.jobs import spread

        queue = _Queue(self)
        try:
            yield from spread(jobs, queue)
        finally:
            queue.end()


class _Queue:
    """Jobs that were submitted and have not ended, and orders that wait to be submitted together."""

    def __init__(self, asked: Slurm) -> None:
        self.asked = asked
        self._waiting: list[tuple[Job, Order]] = []
        self._running: dict[str, tuple[Job, Order, Any]] = {}
        self._missed: dict[str, int] = {}
        self._died: dict[str, int] = {}

    def free(self) -> bool:
        return len(self._waiting) + len(self._running) < self.asked.at_once

    def begin(self, job: Job, order: Order) -> None:
        if self.asked.gpus:
            order = replace(order, where=replace(order.where, device="cuda"))  # which it is, Slurm says
        self._waiting.append((job, order))

    def ended(self) -> list[Outcome]:
        while True:
            self._submit()
            if found := self._look():
                return found
            time.sleep(self.asked.poll)

    def end(self) -> None:
        """Jobs that are not wanted any more leave the queue."""
        for _, _, submitted in self._running.values():
            submitted.cancel(check=False)

    def _submit(self) -> None:
        if not self._waiting:
            return
        executor = _executor(self.asked, self._waiting[0][1])
        with executor.batch():
            submitted = [executor.submit(_Task(order, self.asked.cpus)) for _, order in self._waiting]
        for (job, order), one in zip(self._waiting, submitted):
            self._running[one.job_id] = job, order, one
        self._waiting = []

    def _look(self) -> list[Outcome]:
        from addp_bench.errors import BenchError
        from addp_bench.jobs import Outcome

        queued = _queued()
        found = []
        for number, (job, order, submitted) in list(self._running.items()):
            if submitted.paths.result_pickle.exists():
                del self._running[number]
                found.append(_outcome(job, submitted))
            elif queued is not None and number not in queued:
                # its result may lie on a file system that shows it late
                self._missed[number] = self._missed.get(number, 0) + 1
                if self._missed[number] < 3:
                    continue
                del self._running[number]
                self._died[job.name] = self._died.get(job.name, 0) + 1
                if self._died[job.name] <= self.asked.again:
                    self._waiting.append((job, order))
                    continue
                error = BenchError(
                    f"{job.name} left Slurm's queue {self._died[job.name]} times without a result (cancelled, killed "
                    f"or out of memory); its last words are in {submitted.paths.stderr}. What was finished is kept"
                )
                found.append(Outcome(job, error))
        return found


@dataclass(frozen=True)
class _Task:
    """An order as submitit carries it to a node."""

    order: Order
    threads: int

    def __call__(self) -> Made | BenchError:
        from addp_bench.errors import BenchError
        from addp_bench.worker import begin, carry_out

        begin(self.threads, None)
        try:
            return carry_out(self.order)
        except BenchError as wrong:  # as it is; of anything else submitit keeps the traceback alone
            return wrong

    def checkpoint(self) -> Any:
        """Before its time is over, or it must make room: the same again, which finds the checkpoints of this one."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _outcome(job: Job, submitted: Any) -> Outcome:
    from addp_bench.errors import BenchError
    from addp_bench.jobs import Outcome

    if (failed := submitted.exception()) is not None:
        return Outcome(job, failed)
    result = submitted.result()
    return Outcome(job, result) if isinstance(result, BenchError) else Outcome(job, None, made=result)


def _executor(asked: Slurm, order: Order) -> Any:
    from addp_bench.errors import BadOption

    try:
        from submitit import SlurmExecutor
    except ImportError as missing:
        raise BadOption(
            "executor slurm needs submitit, which is not installed; `pip install addp-bench[slurm]` installs it"
        ) from missing
    try:
        executor = SlurmExecutor(folder=order.where.runs / "slurm" / "%j", max_num_timeout=asked.again)
    except RuntimeError as absent:
        raise BadOption(f"executor slurm: {absent}; run it where sbatch is") from absent
    wanted = {"partition": asked.partition, "account": asked.account}
    numbers = {"gpus_per_node": asked.gpus, "mem": f"{round(1024 * asked.memory_gb)}M" if asked.memory_gb else ""}
    executor.update_parameters(
        job_name="addp-bench",
        time=asked.minutes,
        cpus_per_task=asked.cpus,
        array_parallelism=asked.at_once,
        **{name: value for name, value in {**wanted, **numbers}.items() if value},
    )
    return executor


def _queued() -> set[str] | None:
    """Numbers of this user's jobs that wait or run, arrays one by one; None where Slurm gives no answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    except (OSError, subprocess.SubprocessError):  # a controller that is restarted; jobs go on without it
        return None


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("executor", "slurm", Slurm)
