"""One run, from planned cells to records: which stages are missing, in what order they are computed, what is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from addp_bench import estimates, evaluation, facts, provenance, records
from addp_bench.ceiling import RESULT
from addp_bench.cell import Cell
from addp_bench.errors import BadData
from addp_bench.home import home
from addp_bench.jobs import Job, Made, Order, Where
from addp_bench.progress import Progress, duration
from addp_bench.stages import Plan
from addp_bench.statistics import STATISTICS, read_statistics
from addp_bench.store import Stage, Store, write_json
from addp_bench.work import Work

if TYPE_CHECKING:
    import pluggy

    from addp_bench.records import Record
    from addp_bench.registry import Registry


MACHINE = "machine.json"  # of a stage: where it was made


@dataclass(frozen=True)
class Finished:
    """What a run leaves: records and failures by cell id, and how many stages were computed."""

    records: Mapping[str, Record]
    failures: Mapping[str, Exception]
    computed: int


class Bench:
    """Where and with what stages are computed; nothing here changes a result."""

    def __init__(
        self,
        registry: Registry,
        hooks: pluggy.PluginManager,
        runs: Path,
        *,
        device: str = "cpu",
        batch: int = evaluation.SHARD,
        progress: Progress | None = None,
        given: Mapping[str, Any] | None = None,
        plugins: Sequence[Path] = (),
        blocked: Sequence[str] = (),
    ) -> None:
        self.registry, self.hooks = registry, hooks
        self.runs = Store(runs)
        self.shared = Store(home() / "cache")
        self.device = torch.device(device)
        self.progress = progress or Progress()
        self.given = dict(given or {})
        self.work = Work(registry, hooks, self.folder, self.device, batch, self.progress)
        self.where = Where(runs, home(), device, batch, tuple(map(str, plugins)), tuple(blocked))
        self.followers: list[Any] = []  # hear of training steps wherever they are done
        self.computed: set[str] = set()  # names of stages that were finished for this bench
        self._standing: set[str] = set()  # cells whose record was read and found whole

    # ------------------------------------------------------------------ the graph

    def store(self, stage: Stage) -> Store:
        """Caches lie in the cache folder, results under the runs folder."""
        return self.shared if stage.shared else self.runs

    def folder(self, stage: Stage) -> Path:
        return self.store(stage).folder(stage)

    def record_folder(self, plan: Plan) -> Path:
        return records.folder_of(self.runs.root, plan.id)

    def done(self, plan: Plan) -> bool:
        """Whether the cell's record stands, whole."""
        return plan.id in self._standing or (self.record_folder(plan).exists() and self.damage(plan) is None)

    def damage(self, plan: Plan) -> str | None:
        """What is wrong with the cell's record, None where it is whole or there is none."""
        folder = self.record_folder(plan)
        if plan.id in self._standing or not folder.exists():
            return None
        try:
            records.require_whole(folder, plan.key)
        except BadData as wrong:
            return str(wrong)
        self._standing.add(plan.id)
        return None

    def needed(self, plan: Plan) -> list[Stage]:
        """The stages still to be computed for a cell, inputs first; finished ones need no inputs any more."""
        found: dict[str, Stage] = {}

        def visit(stage: Stage) -> None:
            if stage.key in found or self.store(stage).done(stage):
                return
            for earlier in stage.inputs:
                visit(earlier)
            found[stage.key] = stage

        for last in plan.ends():
            visit(last)
        return list(found.values())

    def run(self, plans: Sequence[Plan], executor: Any, stop: bool = False) -> Finished:
        """Compute what is missing and write the records.

        Cells that fail are collected and the rest goes on; stop: begin nothing more after the first failure.
        """
        failures: dict[str, Exception] = {}
        before = len(self.computed)
        jobs: dict[str, Job] = {}
        waiting = [plan for plan in plans if not self.done(plan)]
        wanted_by: dict[str, list[str]] = {}  # stage -> cells
        refused: dict[str, Exception] = {}  # cell -> what its hook raised as it was about to begin
        for plan in waiting:
            if why := self.damage(plan):
                self.progress.say(f"the record of {plan.id} is damaged and is made again: {why}")
            begin = f"begin/{plan.id}"
            jobs[begin] = Job(begin, (), self._beginning(plan, refused))
            needs = [begin]
            for stage in self.needed(plan):
                wanted = tuple(s.name for s in stage.inputs if s.name in jobs)
                wanted_by.setdefault(stage.name, []).append(plan.id)
                jobs.setdefault(stage.name, self._job(plan, stage, wanted, wanted_by, refused))
                needs.append(stage.name)
            jobs[plan.id] = Job(plan.id, tuple(needs), self._closing(plan))
        cells = {plan.id for plan in waiting}
        for ended in executor.run(list(jobs.values())):
            if ended.made is not None:
                self._heard(ended.made)
                self.computed |= {ended.job.name} if ended.made.computed else set()
            if ended.error is not None and ended.job.name in cells:
                failures[ended.job.name] = ended.error
                if stop:
                    break
        found = {plan.id: records.load(self.record_folder(plan)) for plan in plans if self.done(plan)}
        return Finished(found, failures, computed=len(self.computed) - before)

    def _beginning(self, plan: Plan, refused: dict[str, Exception]) -> Callable[[], None]:
        def run() -> None:
            try:
                self.hooks.hook.addp_bench_run_started(cell=plan.cell)
            except Exception as error:
                refused[plan.id] = error
                raise

        return run

    def _job(
        self,
        plan: Plan,
        stage: Stage,
        needs: tuple[str, ...],
        wanted_by: Mapping[str, Sequence[str]],
        refused: Mapping[str, Exception],
    ) -> Job:
        def require() -> None:
            if all(cell in refused for cell in wanted_by[stage.name]):  # a stage that others share is still made
                raise refused[wanted_by[stage.name][0]]

        def run() -> None:
            require()
            self.make(stage)

        def order() -> Order:
            require()
            return Order(plan.cell.plain(), stage.name, self.where)

        return Job(stage.name, needs, run, order)

    def make(self, stage: Stage) -> bool:
        """Make a stage whose inputs are done, unless it stands; True when this call did the work."""

        def waiting() -> None:
            self.progress.say(f"  {stage.name} is being computed by another process; waiting for it")

        def work(folder: Path) -> None:
            self.work.do(stage, folder)
            write_json(folder / MACHINE, provenance.machine(self.device))

        begun = time.monotonic()
        if not self.store(stage).ensure(stage, work, waiting):
            return False
        self.computed.add(stage.name)
        took = time.monotonic() - begun
        estimates.learn(stage, self.device, took, self.folder(stage))
        self.progress.say(f"  {stage.name} done in {duration(took)}")
        return True

    def _heard(self, made: Made) -> None:
        """Tell those who follow trainings of steps that another process did."""
        for plain, step, loss in made.steps:
            cell = Cell.from_plain(plain)
            for follower in self.followers:
                follower.addp_bench_train_step(cell=cell, step=step, loss=loss)

    def _closing(self, plan: Plan) -> Callable[[], None]:
        def run() -> None:
            record = self._record(plan)
            self.hooks.hook.addp_bench_run_finished(record=record.body)

        return run

    def _record(self, plan: Plan) -> Record:
        folder = self.folder(plan.score)
        result = json.loads((folder / "result.json").read_text())
        if plan.ceiling:
            result["ceiling"] = json.loads((self.folder(plan.ceiling) / RESULT).read_text())
        statistics = read_statistics(folder / STATISTICS)
        stages = plan.stages()
        used = facts.used(plan, self.registry, self.hooks)
        body = {
            "schema": records.SCHEMA,
            "cell": plan.key,
            "id": plan.id,
            "result": result,
            "provenance": {
                **provenance.here(self.device),
                **self._machine(plan),
                "seconds": {s.name: self.store(s).seconds(s) for s in stages},
                "attempts": {s.name: self.store(s).attempts(s) for s in stages},
                "stages": [[s.kind, s.key] for s in stages],
                "plugins": {name: code["origin"] for name, code in used.items()},
                "sources": used,
                "given": self.given,
                "options": plan.cell.options,
                "cell": plan.cell.plain(),
                "spec": {s.name: dict(s.spec) for s in stages},
            },
        }
        record = records.write(self.record_folder(plan), body, statistics)
        self._standing.add(plan.id)
        return record

    def _machine(self, plan: Plan) -> dict[str, Any]:
        """Device and threads of the process that trained the cell, or answered; the most memory that any took.

        Nothing of stages that were made before that was kept.
        """
        told = {}
        for stage in plan.stages():
            with suppress(FileNotFoundError, ValueError):
                told[stage.key] = json.loads((self.folder(stage) / MACHINE).read_text())
        if plan.key not in told:
            return {}
        own = told.get(next((s.key for s in reversed(plan.stages()) if s.kind == "train"), plan.key), told[plan.key])
        peaks = ("peak_memory_mb", "peak_gpu_memory_mb")
        most = {name: max((t[name] for t in told.values() if t[name] is not None), default=None) for name in peaks}
        return {**own, **most}
