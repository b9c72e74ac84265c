"""One run, from planned cells to records: which stages are missing, in what order they are computed, what is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from addp_bench import estimates, evaluation, provenance, records
from addp_bench.ceiling import RESULT
from addp_bench.errors import BadData
from addp_bench.home import home
from addp_bench.jobs import Job
from addp_bench.progress import Progress, duration
from addp_bench.stages import Plan
from addp_bench.statistics import STATISTICS, read_statistics
from addp_bench.store import Stage, Store
from addp_bench.work import Work

if TYPE_CHECKING:
    import pluggy

    from addp_bench.records import Record
    from addp_bench.registry import Registry


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
    ) -> None:
        self.registry, self.hooks = registry, hooks
        self.runs = Store(runs)
        self.shared = Store(home() / "cache")
        self.device = torch.device(device)
        self.progress = progress or Progress()
        self.given = dict(given or {})
        self.work = Work(registry, hooks, self.folder, self.device, batch, self.progress)
        self.computed: set[str] = set()  # names of stages that this bench finished
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
                jobs.setdefault(stage.name, Job(stage.name, wanted, self._job(stage, wanted_by, refused)))
                needs.append(stage.name)
            jobs[plan.id] = Job(plan.id, tuple(needs), self._closing(plan))
        cells = {plan.id for plan in waiting}
        for ended in executor.run(list(jobs.values())):
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
        self, stage: Stage, wanted_by: Mapping[str, Sequence[str]], refused: Mapping[str, Exception]
    ) -> Callable[[], None]:
        def run() -> None:
            if all(cell in refused for cell in wanted_by[stage.name]):  # a stage that others share is still made
                raise refused[wanted_by[stage.name][0]]

            def waiting() -> None:
                self.progress.say(f"  {stage.name} is being computed by another process; waiting for it")

            begun = time.monotonic()
            if self.store(stage).ensure(stage, lambda folder: self.work.do(stage, folder), waiting):
                self.computed.add(stage.name)
                took = time.monotonic() - begun
                estimates.learn(stage, self.device, took, self.folder(stage))
                self.progress.say(f"  {stage.name} done in {duration(took)}")

        return run

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
        body = {
            "schema": records.SCHEMA,
            "cell": plan.key,
            "id": plan.id,
            "result": result,
            "provenance": {
                **provenance.here(self.device),
                "seconds": {s.name: self.store(s).seconds(s) for s in stages},
                "attempts": {s.name: self.store(s).attempts(s) for s in stages},
                "stages": [[s.kind, s.key] for s in stages],
                "plugins": {
                    f"{kind}:{c.name}": self.registry.get(kind, c.name).origin for kind, c in plan.cell.choices.items()
                },
                "given": self.given,
                "options": plan.cell.options,
                "cell": plan.cell.plain(),
                "spec": {s.name: dict(s.spec) for s in stages},
            },
        }
        record = records.write(self.record_folder(plan), body, statistics)
        self._standing.add(plan.id)
        return record
