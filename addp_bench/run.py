"""One run, from planned cells to records. Each kind of stage is a method; they stand in the order the data travels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from addp_bench import cache, estimates, evaluation, outcome, provenance, records
from addp_bench.contribution import Contribution, estimate
from addp_bench.errors import BadData
from addp_bench.home import home
from addp_bench.jobs import Job
from addp_bench.progress import Progress, duration
from addp_bench.resolve import Cell
from addp_bench.spec import Choice
from addp_bench.stages import Plan
from addp_bench.statistics import STATISTICS, read_statistics
from addp_bench.store import Stage, Store, write_bytes, write_json
from addp_bench.timesteps import group_mass
from addp_bench.training import Batches, Recipe, Trainer, train

if TYPE_CHECKING:
    import pluggy

    from addp_bench.protocols import DenoisingModel, Metric, Samples
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
        self.batch = batch
        self.progress = progress or Progress()
        self.given = dict(given or {})
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

        visit(plan.score)
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
            if self.store(stage).ensure(stage, lambda folder: self._work(stage, folder), waiting):
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

    def _work(self, stage: Stage, folder: Path) -> None:
        works = {
            "latents": self._latents,
            "train": self._train,
            "predict": self._predict,
            "contribution": self._contribution,
            "answers": self._answers,
            "score": self._score,
        }
        works[stage.kind](stage, stage.context["cell"], folder)

    # ------------------------------------------------------------------ the kinds of stage

    def _latents(self, stage: Stage, cell: Cell, folder: Path) -> None:
        data = stage.spec["data"]
        samples, count = self.samples(cell, stage.context["purpose"], data["limit"])
        with self.progress.bar(f"encoding {count} samples of {data['split']}") as tell:
            cache.make(
                folder,
                samples,
                count,
                self.build("task", cell),
                self.build("encoding", cell),
                self.model(cell),
                stage.spec["targets"],
                self.device,
                tell,
            )

    def _train(self, stage: Stage, cell: Cell, folder: Path) -> None:
        latents = cache.Latents.open(self.folder(stage.input("latents")))
        samples, _ = self.samples(cell, "train", cell.budget.train_samples)
        model = self.model(cell)
        recipe = self.recipe(cell, model, self._measured(stage, cell))
        budget = replace(cell.budget, train_steps=cell.budget.steps_for(len(latents)))
        batches = Batches(
            latents,
            samples,
            self.build("task", cell),
            self.build("encoding", cell),
            model,
            recipe,
            budget.batch_size,
            cell.seed,
            self.device,
        )
        write_json(folder / "timesteps.json", {"mass": _mass(recipe)})
        label = f"training {cell.name('weights')} · {cell.name('aug')} · seed {cell.seed}"

        def logged(step: int, loss: float) -> None:
            self.hooks.hook.addp_bench_train_step(cell=cell, step=step, loss=loss)

        with self.progress.bar(label) as tell:
            train(folder, Trainer(model, recipe, budget, cell.precision), batches, tell, logged)

    def _predict(self, stage: Stage, cell: Cell, folder: Path) -> None:
        latents = cache.Latents.open(self.folder(stage.input("latents")))
        model = self.trained(cell, stage.input("train"))
        chosen = {k: Choice(c["name"], c["options"]) for k, c in stage.spec["choices"].items()}
        sampling = evaluation.Sampling(
            self.noise(cell, model),
            self.build("target", cell),
            self.registry.build("sampler", chosen["sampler"]),
            stage.spec["steps"],
            self.registry.build("guidance", chosen["guidance"]),
            self.registry.build("exposure", chosen["exposure"]),
            stage.spec["sampling_seed"],
            cell.precision,
        )
        with self.progress.bar(f"sampling {len(latents)} answers in {stage.spec['steps']} steps") as tell:
            evaluation.predict(folder, latents, model, sampling, self.device, tell, self.batch)

    def _contribution(self, stage: Stage, cell: Cell, folder: Path) -> None:
        predict = stage.input("predict")
        drawn, found = self.answers(cell, predict, lambda sample: None)
        task, side = self.build("task", cell), self.model(cell).resolution
        quality = evaluation.qualities(found, task, len(drawn.timesteps), side)
        steps = self.noise(cell, self.model(cell)).steps
        measured = estimate(quality, drawn.timesteps, steps=steps, **stage.spec["settings"])
        np.save(folder / "quality.npy", quality)
        write_json(folder / "contribution.json", measured.to_json())

    def _answers(self, stage: Stage, cell: Cell, folder: Path) -> None:
        """A predictor that is not sampled has nothing to keep: it is asked when it is judged."""

    def _score(self, stage: Stage, cell: Cell, folder: Path) -> None:
        task = self.build("task", cell)
        evaluator = task.evaluator(stage.spec["protocol"]["settings"])
        if cell.denoises:
            predict = stage.inputs[0]
            drawn, found = self.answers(cell, predict, evaluator.drawing_size)
            read = self._reading(stage, cell, drawn, evaluator)
            scores = evaluation.score(found, evaluator, drawn.timesteps, read)
        else:
            samples, count = self.samples(cell, "eval", cell.budget.limit)
            predictor = self.registry.build("model", cell["model"])
            with self.progress.bar(f"asking {cell.name('model')}") as tell:
                scores = evaluation.score_naive(
                    predictor, samples, count, cell.name("task"), cell.seed, evaluator, tell
                )
        write_bytes(folder / STATISTICS, scores.statistics.packed())
        write_json(folder / "result.json", self._result(stage, cell, evaluator.metrics, scores))

    def _reading(self, stage: Stage, cell: Cell, drawn: evaluation.Drawn, evaluator: Any) -> int:
        headline = evaluator.metrics[0]
        curve = None
        if cell.read_at == "best_on_stats":
            on_stats, found = self.answers(cell, stage.inputs[1], evaluator.drawing_size)
            last = len(on_stats.timesteps) - 1
            curve = evaluation.score(found, evaluator, on_stats.timesteps, last).curve[headline.id]
        return evaluation.reading(cell.read_at, drawn.timesteps, curve, headline.higher_is_better)

    # ------------------------------------------------------------------ parts

    def build(self, kind: str, cell: Cell) -> Any:
        return self.registry.build(kind, cell[kind])

    def model(self, cell: Cell) -> DenoisingModel:
        """The model as it was published, on the device."""
        return self.build("model", cell).to(self.device)

    def trained(self, cell: Cell, stage: Stage) -> DenoisingModel:
        """The model with the averaged weights of a finished train stage."""
        model = self.model(cell)
        model.network.load_state_dict(load_file(self.folder(stage) / "denoiser.safetensors"))
        model.network.eval()
        return model

    def noise(self, cell: Cell, model: DenoisingModel) -> Any:
        return self.build("noise", cell) if "noise" in cell.choices else model.noise

    def samples(self, cell: Cell, purpose: str, limit: int | None) -> tuple[Samples, int]:
        """The split for "train", "stats" or "eval", and how many of its samples, from the first on, are used."""
        dataset = self.registry.build("dataset", cell.dataset(purpose))
        samples = dataset.samples(cell.splits[purpose], cell.name("task"))
        return samples, len(samples) if limit is None else min(limit, len(samples))

    def recipe(self, cell: Cell, model: DenoisingModel, contribution: Contribution | None) -> Recipe:
        """Everything a training step is made of. Raises Degenerate or BadOption for weights."""
        noise, target = self.noise(cell, model), self.build("target", cell)
        corruptions = [self.registry.build("corruption", c) for c in cell.corruption]
        return Recipe(
            noise,
            target,
            self.build("weights", cell).bind(noise, target, contribution),
            self.build("aug", cell),
            corruptions,
            self.build("exposure", cell),
            self.build("objective", cell),
        )

    def answers(self, cell: Cell, predict: Stage, drawing_size: Callable) -> tuple[evaluation.Drawn, Iterator]:
        """Finished predictions and an iterator over what they say."""
        drawn = evaluation.Drawn.open(self.folder(predict))
        samples, _ = self.samples(cell, predict.context["purpose"], None)
        found = evaluation.answers(
            drawn, samples, self.build("encoding", cell), self.model(cell), self.device, drawing_size
        )
        return drawn, found

    def _measured(self, stage: Stage, cell: Cell) -> Contribution | None:
        """The statistics a train stage rests on: of its contribution stage, or of the file that was named."""
        for earlier in stage.inputs:
            if earlier.kind == "contribution":
                return Contribution.from_json(json.loads((self.folder(earlier) / "contribution.json").read_text()))
        if (file := cell["weights"].options.get("from")) and stage.spec["contribution"]:
            return Contribution.from_json(json.loads(Path(file).read_text()))
        return None

    # ------------------------------------------------------------------ records

    def _result(self, stage: Stage, cell: Cell, metrics: Sequence[Metric], scores: evaluation.Scores) -> dict[str, Any]:
        return outcome.result(
            cell,
            stage.spec["protocol"],
            self.build("dataset", cell).card().fingerprint,
            metrics,
            scores,
            self._taught(stage.inputs[0].input("train"), cell) if cell.denoises else None,
            self._truthful(cell),
        )

    def _taught(self, stage: Stage, cell: Cell) -> outcome.Taught:
        """What the record of a cell says of its train stage."""
        log, timesteps = (
            json.loads((self.folder(stage) / f"{name}.json").read_text()) for name in ("log", "timesteps")
        )
        measured = self._measured(stage, cell)
        return outcome.Taught(log["samples"], log["steps"], timesteps["mass"], measured.to_json() if measured else None)

    def _truthful(self, cell: Cell) -> list[str]:
        """Kinds whose plugin looked at the truth."""
        entries = ((kind, self.registry.get(kind, c.name)) for kind, c in cell.choices.items())
        return [kind for kind, entry in entries if getattr(entry.factory, "uses_truth", False)]

    def _record(self, plan: Plan) -> Record:
        folder = self.folder(plan.score)
        result = json.loads((folder / "result.json").read_text())
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


def _mass(recipe: Recipe) -> list[float] | None:
    """Share of the training that each tenth of the timesteps gets, cleanest first; None for strategies that change."""
    probabilities = getattr(recipe.draws, "probabilities", None)
    if probabilities is None:
        return None
    effective = probabilities * recipe.draws.loss_weights  # type: ignore[attr-defined]  # a VectorDraws has both
    return [round(float(m), 9) for m in group_mass(effective / effective.sum(), evaluation.GROUPS)]
