"""Executor `ray`: stages as tasks of a Ray cluster, whose nodes see the same folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.jobs import Job, Made, Order, Outcome
    from addp_bench.registry import Registry


@dataclass(frozen=True)
class Ray:
    """A task for each stage, wherever the cluster has room.

    Nodes need this program with the same plugins, and the folders of results and of caches at the same paths. A node or
    a process that dies costs its stages an attempt: they are begun again elsewhere, where their checkpoints left them.

    address: of the cluster: auto, or ray://HOST:10001; unless given, one is started on this machine for the run.

    cpus: of each task, which are its threads too.

    gpus: of each task; a part of one, such as 0.25, puts several on it. Above 0 the stage computes on cuda.

    memory_gb: of each task, which keeps it from nodes that have less; 0 says nothing of it.

    at_once: the most tasks asked for at once; 0 is twice what the cluster has room for, so that one that grows with its
    load sees what waits.

    again: how often a stage is begun again whose node or process died.
    """

    address: str = ""
    cpus: int = 1
    gpus: float = 0.0
    memory_gb: float = 0.0
    at_once: int = 0
    again: int = 2

    def __post_init__(self) -> None:
        for name, least in (("cpus", 1), ("gpus", 0), ("memory_gb", 0), ("at_once", 0), ("again", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, got {getattr(self, name)}")

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Raises BadOption where Ray is not installed, or no cluster answers."""
        from addp_bench.jobs import spread

        tasks = _Tasks(self)
        try:
            yield from spread(jobs, tasks)
        finally:
            tasks.end()


class _Tasks:
    """What is asked of the cluster and has not ended."""

    def __init__(self, asked: Ray) -> None:
        self.asked = asked
        self.ray: Any = None  # until something is asked of it
        self._begun_here = False
        self._running: dict[Any, Job] = {}

    def free(self) -> bool:
        return self.ray is None or len(self._running) < (self.asked.at_once or 2 * self._room())

    def begin(self, job: Job, order: Order) -> None:
        if self.ray is None:
            self._join()
        if self.asked.gpus:
            order = replace(order, where=replace(order.where, device="cuda"))  # which it is, Ray says
        self._running[self._task.remote(order, self.asked.cpus)] = job

    def ended(self) -> list[Outcome]:
        from addp_bench.errors import BenchError
        from addp_bench.jobs import Outcome

        ready, _ = self.ray.wait(list(self._running), num_returns=1)
        found = []
        for reference in ready:
            job = self._running.pop(reference)
            try:
                found.append(Outcome(job, None, made=self.ray.get(reference)))
            except self.ray.exceptions.RayTaskError as failed:
                cause = failed.cause
                found.append(Outcome(job, cause if isinstance(cause, Exception) else failed))
            except self.ray.exceptions.RayError as lost:
                why = str(lost).partition("\n")[0]
                died = (
                    f"{job.name} was begun {self.asked.again + 1} times and each time its process or node died: {why}"
                )
                found.append(Outcome(job, BenchError(f"{died}. What was finished is kept")))
        return found

    def end(self) -> None:
        """Nothing more is asked for. Tasks that were begun and are not wanted any more are cancelled."""
        for reference in self._running:
            self.ray.cancel(reference, force=True)
        if self._begun_here:
            self.ray.shutdown()

    def _join(self) -> None:
        from addp_bench.errors import BadOption

        self.ray = _ray()
        self._begun_here = not self.ray.is_initialized()
        if self._begun_here:
            try:
                self.ray.init(address=self.asked.address or "local", log_to_driver=True, include_dashboard=False)
            except (ConnectionError, ValueError, RuntimeError) as refused:
                place = self.asked.address or "this machine"
                raise BadOption(f"executor ray: no cluster at {place}: {refused}") from refused
        resources = {"num_cpus": self.asked.cpus, "num_gpus": self.asked.gpus, "max_retries": self.asked.again}
        if self.asked.memory_gb:
            resources["memory"] = int(self.asked.memory_gb * 2**30)
        self._task = self.ray.remote(**resources)(_task)

    def _room(self) -> int:
        there = self.ray.cluster_resources()
        rooms = [there.get("CPU", 0) / self.asked.cpus]
        if self.asked.gpus:
            rooms.append(there.get("GPU", 0) / self.asked.gpus)
        return max(1, int(min(rooms)))


def _task(order: Order, threads: int) -> Made:
    from addp_bench.worker import begin, carry_out

    begin(threads, None)
    return carry_out(order)


def _ray() -> Any:
    from addp_bench.errors import BadOption

    try:
        import ray
    except ImportError as missing:
        raise BadOption(
            "executor ray needs Ray, which is not installed; `pip install addp-bench[ray]` installs it"
        ) from missing
    return ray


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("executor", "ray", Ray)
