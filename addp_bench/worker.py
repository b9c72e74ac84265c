"""A process that makes stages for another one.

An order names a cell and a stage of it. Whoever carries it out plans the cell anew from the same folders, plugins and
data; where that leads to another stage than the one that was ordered, code or data differ there, and nothing is made.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BenchError
from addp_bench.hookspecs import hookimpl
from addp_bench.jobs import Made, Order, Where

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.run import Bench

_WATCH_SECONDS = 0.5


class MadeElsewhere(BenchError):
    """An order leads to another stage in the process that carries it out: code, plugins or data differ there."""

    exit_code = 3


def carry_out(order: Order) -> Made:
    """Make the stage of an order, unless it stands.

    Raises MadeElsewhere, and whatever the stage fails with.
    """
    from addp_bench.cell import Cell
    from addp_bench.stages import Planner

    bench, steps = _bench(order.where)
    plan = Planner(bench.registry, order.where.runs).plan(Cell.from_plain(order.cell))
    stage = next((stage for stage in plan.stages() if stage.name == order.stage), None)
    if stage is None:
        raise MadeElsewhere(
            f"{order.stage} of cell {plan.cell.describe()} was asked for, and process {os.getpid()} plans "
            f"{', '.join(s.name for s in plan.stages())}: its code, plugins or data are others"
        )
    steps.seen.clear()
    computed = bench.make(stage)
    return Made(computed, list(steps.seen))


def begin(threads: int, parent: int | None) -> None:
    """Make this process one that carries out orders: call it once, before anything heavy is imported.

    threads: for computing. parent: the process that gives orders, with which this one ends; None for nobody.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.dup2(2, 1)  # answers are the other process's; here all words go to stderr
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and ends this one
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _end_with(parent: int) -> None:
    """A stage that is being made keeps its checkpoints, and its lock is released."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


@dataclass(frozen=True)
class _Steps:
    """Keeps what a training says, for whoever gave the order."""

    seen: list[tuple[Mapping[str, Any], int, float]] = field(default_factory=list)

    @hookimpl
    def addp_bench_train_step(self, cell: Cell, step: int, loss: float) -> None:
        self.seen.append((cell.plain(), step, float(loss)))


@functools.cache
def _bench(where: Where) -> tuple[Bench, _Steps]:
    """Plugins and folders, loaded once for each process."""
    os.environ["ADDP_HOME"] = str(where.home)
    from addp_bench.loading import load
    from addp_bench.progress import Progress
    from addp_bench.run import Bench

    loaded = load(where.plugins, where.blocked)
    steps = _Steps()
    loaded.hooks.register(steps)
    progress = Progress(lines=True)
    return Bench(
        loaded.registry, loaded.hooks, where.runs, device=where.device, batch=where.batch, progress=progress
    ), steps
