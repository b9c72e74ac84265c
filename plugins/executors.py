"""Executors: where jobs run. `local` runs them on this machine, one after another or several at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from addp_bench.jobs import Job, Made, Order, Outcome
    from addp_bench.registry import Registry


@dataclass(frozen=True)
class Local:
    """On this machine: one job after another in this process, or several at once in processes of their own.

    A process that dies takes its stage with it and nothing else: the stage is begun again, where its last checkpoint
    left it, up to `again` times.

    workers: processes at once on each device. 1 on one device computes in this process.

    devices: where, joined by +, such as cuda:0+cuda:1; the device of the run unless given.

    threads: of each process of its own; 0 shares the cores of this machine out among them.

    again: how often a stage is begun again whose process died.
    """

    workers: int = 1
    devices: str = ""
    threads: int = 0
    again: int = 2

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 0), ("again", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, got {getattr(self, name)}")
        if self.devices and not all(device.strip() for device in self.devices.split("+")):
            raise ValueError(f"devices are joined by +, such as cuda:0+cuda:1, got {self.devices!r}")

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs in their order; one whose needs failed is not begun and yields their failure."""
        from addp_bench.jobs import attempt, spread

        if self.workers == 1 and not self.devices and not self.threads:
            failed: dict[str, Exception] = {}
            for job in jobs:
                outcome = attempt(job, failed)
                if outcome.error is not None:
                    failed[job.name] = outcome.error
                yield outcome
            return
        devices = [device.strip() for device in self.devices.split("+")] * self.workers
        threads = self.threads or max(1, len(os.sched_getaffinity(0)) // len(devices))
        processes = _Processes(devices, threads, self.again)
        try:
            yield from spread(jobs, processes)
        except GeneratorExit:  # nobody asks for more: what was begun is finished, and kept
            processes.close()
            raise
        except BaseException:
            processes.kill()
            raise
        processes.close()


class _Processes:
    """As many processes as there are devices, a device named twice being two. "" is the device of the order."""

    def __init__(self, devices: Sequence[str], threads: int, again: int) -> None:
        self.devices, self.threads, self.again = devices, threads, again
        self._pools: dict[int, ProcessPoolExecutor] = {}
        self._busy: dict[int, tuple[Job, Order, Future[Made]]] = {}
        self._died: dict[str, int] = {}

    def free(self) -> bool:
        return len(self._busy) < len(self.devices)

    def begin(self, job: Job, order: Order) -> None:
        place = next(k for k in range(len(self.devices)) if k not in self._busy)
        if device := self.devices[place]:
            order = replace(order, where=replace(order.where, device=device))
        self._send(place, job, order)

    def ended(self) -> list[Outcome]:
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        from addp_bench.errors import BenchError
        from addp_bench.jobs import Outcome

        wait([future for _, _, future in self._busy.values()], return_when=FIRST_COMPLETED)
        found = []
        for place, (job, order, future) in list(self._busy.items()):
            if not future.done():
                continue
            del self._busy[place]
            error: Any = future.exception()
            if isinstance(error, BrokenProcessPool):
                self._pools.pop(place).shutdown(wait=False)
                self._died[job.name] = self._died.get(job.name, 0) + 1
                if self._died[job.name] <= self.again:
                    self._send(place, job, order)
                    continue
                error = BenchError(
                    f"the process that computed {job.name} died {self._died[job.name]} times, by a signal or for want "
                    "of memory. What was finished is kept; fewer workers need less memory"
                )
            found.append(Outcome(job, error, made=None if error else future.result()))
        return found

    def close(self) -> None:
        """End the processes once they have done what they are at."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def kill(self) -> None:
        """End the processes now; their stages keep their checkpoints."""
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()):  # the pool has no word for it before Python 3.14
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, place: int, job: Job, order: Order) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        from addp_bench.worker import begin, carry_out

        if place not in self._pools:
            # spawned, because a process that was forked cannot use cuda, nor threads that were
            context = multiprocessing.get_context("spawn")
            self._pools[place] = ProcessPoolExecutor(1, context, begin, (self.threads, os.getpid()))
        self._busy[place] = job, order, self._pools[place].submit(carry_out, order)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("executor", "local", Local)
