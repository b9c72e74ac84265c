"""What each kind of stage computes, and the parts it is computed with: plugins built as a cell chose them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from addp_bench import cache, ceiling, decoders, evaluation, outcome, probe_work, tuning
from addp_bench.batches import Batches, Recipe, Source
from addp_bench.cell import Cell
from addp_bench.contribution import Contribution, averaged, estimate, is_file, read_contribution, sources_of
from addp_bench.keys import by_content
from addp_bench.progress import Progress
from addp_bench.protocol_cards import deviations
from addp_bench.spec import Choice
from addp_bench.statistics import STATISTICS
from addp_bench.store import Stage, write_bytes, write_json
from addp_bench.timesteps import training_mass
from addp_bench.training import Trainer, train

if TYPE_CHECKING:
    import pluggy

    from addp_bench.protocols import DenoisingModel, Evaluator, Predictor, Samples
    from addp_bench.registry import Registry


@dataclass(frozen=True)
class Work:
    """Computes stages into folders. folder: where a finished stage lies. batch: answers that are drawn at once."""

    registry: Registry
    hooks: pluggy.PluginManager
    folder: Callable[[Stage], Path]
    device: torch.device
    batch: int
    progress: Progress

    def do(self, stage: Stage, folder: Path) -> None:
        """Fill `folder` with what the stage makes; its inputs are finished."""
        works: dict[str, Callable[[Stage, Cell, Path], None]] = {
            "latents": self._latents,
            "train": self._train,
            "decoder": partial(decoders.fit_stage, self),
            "predict": self._predict,
            "contribution": self._contribution,
            "answers": self._answers,
            "score": self._score,
            "ceiling": partial(ceiling.measure_stage, self),
            "features": partial(probe_work.features, self),
            "probe": partial(probe_work.head, self),
        }
        works[stage.kind](stage, stage.context["cell"], folder)

    # ------------------------------------------------------------------ parts of a cell

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

    def predictor(self, cell: Cell) -> Predictor:
        """A model that answers without being sampled, ready to be asked; one that learns has learnt."""
        built: Any = self.build("model", cell)
        predictor: Predictor = built
        if hasattr(built, "bind"):
            predictor = built.bind(self.build("task", cell), cell.name("task"))
        if hasattr(predictor, "expect"):
            predictor.expect(self.samples(cell, "eval", None)[0])
        if hasattr(predictor, "learn"):
            samples, count = self.samples(cell, "train", None)
            predictor.learn(samples, count, cell.name("task"))
        return predictor

    def noise(self, cell: Cell, model: DenoisingModel) -> Any:
        return self.build("noise", cell) if "noise" in cell.choices else model.noise

    def samples(self, cell: Cell, purpose: str, limit: int | None, class_list: str = "all") -> tuple[Samples, int]:
        """The split for "train", "stats" or "eval", and how many of its samples, from the first on, are used.

        class_list: "present" where they are asked only for the classes in their truth, "balanced" where for these and
        as many others.
        """
        dataset = self.registry.build("dataset", cell.dataset(purpose))
        samples: Samples = dataset.samples(cell.splits[purpose], cell.name("task"))
        if class_list != "all":
            task = self.build("task", cell)
            wanted = task.balanced if class_list == "balanced" else lambda sample: task.present(sample.truth)
            samples = cache.OnlySome(samples, wanted)
        return samples, len(samples) if limit is None else min(limit, len(samples))

    def recipe(self, cell: Cell, model: DenoisingModel, contribution: Contribution | None) -> Recipe:
        """Everything a training step is made of. Raises Degenerate or BadOption for weights."""
        noise, target = self.noise(cell, model), self.build("target", cell)
        objective = self.build("objective", cell)
        return Recipe(
            noise,
            target,
            self.build("weights", cell).bind(noise, target, contribution),
            self.build("aug", cell),
            self.build("exposure", cell),
            objective.bind(model) if hasattr(objective, "bind") else objective,
            [self.registry.build("transform", choice) for choice in cell.transform],
        )

    def sources(self, cell: Cell, stage: Stage) -> list[Source]:
        """What a train stage learns from: its one task, or each of its mixture."""
        found = []
        parts, latents = cell.parts(), [s for s in stage.inputs if s.kind == "latents"]
        for part, share, cached in zip(parts, [p.share for p in cell.mixture] or [1.0], latents):
            asked = cached.spec.get("class_list", "all")
            samples, _ = self.samples(part, "train", cell.budget.train_samples, asked)
            found.append(
                Source(
                    cache.Latents.open(self.folder(cached)),
                    samples,
                    self.build("task", part),
                    self.build("encoding", part),
                    [self.registry.build("corruption", choice) for choice in part.corruption],
                    share,
                    part.name("task") if cell.mixture else "",
                )
            )
        return found

    def drawn(self, predict: Stage) -> evaluation.Drawn:
        """What a finished predict stage holds."""
        return evaluation.Drawn.open(self.folder(predict))

    def encoding(self, cell: Cell, tuned: Mapping[str, Any] | None = None) -> Any:
        """The encoding as drawings are read. tuned: what a record's `tuning` says was chosen."""
        return self.registry.build("encoding", tuning.at(cell["encoding"], tuned))

    def answers(
        self, cell: Cell, predicts: Sequence[Stage], drawing_size: Callable, tuned: Mapping[str, Any] | None = None
    ) -> tuple[Sequence[int], Iterator]:
        """Timesteps of finished predictions, and an iterator over what they say. predicts: of each member."""
        several = [self.drawn(predict) for predict in predicts]
        asked = predicts[0].input("latents").spec.get("class_list", "all")
        samples, _ = self.samples(cell, predicts[0].context["purpose"], None, asked)
        encoding, model = self.encoding(cell, tuned), self.model(cell)
        found = [evaluation.answers(d, samples, encoding, model, self.device, drawing_size) for d in several]
        whole = found[0] if len(found) == 1 else evaluation.ensembled(found, self.build("task", cell))
        return several[0].timesteps, whole

    # ------------------------------------------------------------------ the kinds of stage, as the data travels

    def _latents(self, stage: Stage, cell: Cell, folder: Path) -> None:
        data = stage.spec["data"]
        asked = stage.spec.get("class_list", "all")
        samples, count = self.samples(cell, stage.context["purpose"], data["limit"], asked)
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
        sources = self.sources(cell, stage)
        model = self.model(cell)
        recipe = self.recipe(cell, model, self._measured(stage, cell))
        # an epoch is every photograph once for each task, whatever is said of it
        photographs = sum(len(set(source.latents.index.image_of)) for source in sources)
        budget = replace(cell.budget, train_steps=cell.budget.steps_for(photographs))
        batches = Batches(sources, model, recipe, budget.batch_size, cell.seed, self.device)
        label = f"training {cell.name('weights')} · {cell.name('aug')} · seed {cell.seed}"

        def logged(step: int, loss: float) -> None:
            self.hooks.hook.addp_bench_train_step(cell=cell, step=step, loss=loss)

        with self.progress.bar(label) as tell:
            train(folder, Trainer(model, recipe, budget, cell.precision), batches, tell, logged)
        write_json(folder / "timesteps.json", {"mass": _mass(recipe)})  # of a strategy that learns: what it learnt

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
            stage.spec["groups"],
            stage.spec.get("member", 0),
        )
        with self.progress.bar(f"sampling {len(latents)} answers in {stage.spec['steps']} steps") as tell:
            evaluation.predict(folder, latents, model, sampling, self.device, tell, self.batch)

    def _contribution(self, stage: Stage, cell: Cell, folder: Path) -> None:
        timesteps, found = self.answers(cell, [stage.input("predict")], lambda sample: None)
        task, side = self.build("task", cell), self.model(cell).resolution
        quality = evaluation.qualities(found, task, len(timesteps), side)
        steps = self.noise(cell, self.model(cell)).steps
        measured = estimate(quality, timesteps, steps=steps, **stage.spec["settings"])
        np.save(folder / "quality.npy", quality)
        write_json(folder / "contribution.json", measured.to_json())

    def _answers(self, stage: Stage, cell: Cell, folder: Path) -> None:
        """A predictor that is not sampled has nothing to keep: it is asked when it is judged."""

    def _score(self, stage: Stage, cell: Cell, folder: Path) -> None:
        task = self.build("task", cell)
        samples, count = self.samples(cell, "eval", cell.budget.limit)
        evaluator = task.evaluator(stage.spec["protocol"]["settings"], cache.vocabulary(samples))
        more: dict[str, Any] = {}
        if cell.probes:
            scores, more["probe"] = probe_work.score(self, stage, evaluator, samples)
        elif cell.denoises:
            members = stage.inputs[: cell.ensemble]
            read = self._reading(stage, cell, self.drawn(members[0]).timesteps, evaluator)
            if stage.spec.get("tuning"):
                more["tuning"] = self._tuned(stage, cell, read, evaluator)
            timesteps, found = self.answers(cell, members, evaluator.drawing_size, more.get("tuning"))
            scores = evaluation.score(found, evaluator, timesteps, read)
        else:
            predictor = self.predictor(cell)
            with self.progress.bar(f"asking {cell.name('model')}") as tell:
                scores = evaluation.score_naive(
                    predictor, samples, count, cell.name("task"), cell.seed, evaluator, tell
                )
        write_bytes(folder / STATISTICS, scores.statistics.packed())
        write_json(folder / "result.json", {**self._result(stage, cell, evaluator, scores, len(samples)), **more})

    def _reading(self, stage: Stage, cell: Cell, timesteps: Sequence[int], evaluator: Any) -> int:
        headline = evaluator.metrics[0]
        curve = None
        if cell.read_at == "best_on_stats":
            on_stats, found = self.answers(cell, [_input(stage, "reading")], evaluator.drawing_size)
            curve = evaluation.score(found, evaluator, on_stats, len(on_stats) - 1).curve[headline.id]
        return evaluation.reading(cell.read_at, timesteps, curve, headline.higher_is_better)

    def _tuned(self, stage: Stage, cell: Cell, read: int, evaluator: Evaluator) -> dict[str, Any]:
        """What is chosen on the tuning split, of one member, at the step that is read."""
        predict, encoding = _input(stage, "tuning"), self.encoding(cell)
        asked = predict.input("latents").spec.get("class_list", "all")
        samples, _ = self.samples(cell, "tune", None, asked)
        swept: Any = tuning.Swept(encoding, tuning.candidates(encoding.sweep))
        drawn = tuning.OneStep.of(self.drawn(predict), read)
        found = evaluation.answers(drawn, samples, swept, self.model(cell), self.device, evaluator.drawing_size)
        return tuning.chosen(found, evaluator, encoding.sweep).plain(cell.splits["tune"])

    # ------------------------------------------------------------------ what a finished stage says

    def _measured(self, stage: Stage, cell: Cell) -> Contribution | None:
        """The statistics a train stage rests on: of its contribution stages, and of the files that were named."""
        if stage.spec["contribution"] is None:
            return None
        measured = (self.folder(s) / "contribution.json" for s in stage.inputs if s.kind == "contribution")
        sources = sources_of(cell["weights"].options.get("from")) or [""] * max(1, len(cell.mixture))
        return averaged([read_contribution(Path(s) if is_file(s) else next(measured)) for s in sources])

    def _result(
        self, stage: Stage, cell: Cell, evaluator: Evaluator, scores: evaluation.Scores, there: int
    ) -> dict[str, Any]:
        """there: samples of the judged split."""
        answers = stage if cell.probes else stage.inputs[0]
        taught = self._taught(answers.input("train"), cell) if cell.denoises else None
        choices = _choices(cell, answers, taught)
        if cell.probes:
            taught = probe_work.taught(self, stage.input("probe"))
            choices["transform"] = [by_content(c) for c in cell.transform]
        return outcome.result(
            cell,
            choices,
            stage.spec["protocol"],
            self.build("dataset", cell).card().fingerprint,
            evaluator.metrics,
            scores,
            taught,
            self._truthful(cell, evaluator, stage.spec["protocol"]["settings"]),
            deviations(
                stage.spec["protocol"].get("asks", {}),
                cell,
                there,
                self.build("model", cell).resolution if cell.denoises else None,
            ),
        )

    def _taught(self, stage: Stage, cell: Cell) -> outcome.Taught:
        """What the record of a cell says of its train stage."""
        log, timesteps = (
            json.loads((self.folder(stage) / f"{name}.json").read_text()) for name in ("log", "timesteps")
        )
        measured = self._measured(stage, cell)
        latents = {s.spec["task"]["name"]: s for s in stage.inputs if s.kind == "latents"}
        fingerprint = latents[cell.name("task")].spec["data"]["fingerprint"]
        return outcome.Taught(
            log["samples"], log["steps"], fingerprint, timesteps["mass"], measured.to_json() if measured else None
        )

    def _truthful(self, cell: Cell, evaluator: Evaluator, protocol: Mapping[str, Any]) -> list[str]:
        """Kinds whose plugin looked at the truth, and "protocol" where it told which classes to ask for, or its judge
        lets the truth change what was predicted."""
        entries = ((kind, self.registry.get(kind, c.name)) for kind, c in cell.choices.items())
        found = [kind for kind, entry in entries if evaluation.looks(entry.factory, cell.name("task"))]
        told = cell.denoises and protocol.get("class_list") == "present"
        return found + ["protocol"] * (told or getattr(evaluator, "uses_truth", False))


def _input(stage: Stage, name: str) -> Stage:
    """The input whose key a field of the spec holds."""
    return next(earlier for earlier in stage.inputs if earlier.key == stage.spec[name])


def _choices(cell: Cell, answers: Stage, taught: outcome.Taught | None) -> dict[str, Any]:
    """Kind -> choice as the keys of a cell's stages have it, models with their fingerprint; corruptions and
    transforms as lists.

    Of weights that were measured: on how many samples, and of what where a source was named. Of a predictor that
    learns: from what.
    """
    if taught is None:
        model = answers.spec["model"]
        choice = dict(model["choice"])
        if data := answers.spec.get("train"):
            said = f"{data['dataset']['name']} {data['split']} {data['fingerprint'][:12]}"
            choice["options"] = {**choice["options"], "learnt_from": said}
        return {"task": answers.spec["task"], "model": {**choice, "fingerprint": model.get("fingerprint")}}
    train = answers.input("train").spec
    model = {**train["model"]["choice"], "fingerprint": train["model"]["fingerprint"]}
    sets = {kind: train[kind] for kind in ("corruption", "transform")}
    for part in train.get("mixture", ()):  # of several tasks, the one that is judged
        if part["task"]["name"] == cell.name("task"):
            sets |= {kind: part[kind] for kind in ("task", "encoding", "corruption")}
    found = {"model": model, **train["choices"], **answers.spec["choices"], **sets}
    if taught.contribution is not None:
        sources = train["contribution"] if isinstance(train["contribution"], list) else [train["contribution"]]
        named = "+".join(s["file"] if isinstance(s, dict) else s for s in sources)
        measured = {
            "samples": taught.contribution["used"] + taught.contribution["dropped"],
            "from": named if cell["weights"].options.get("from") else None,
        }
        found["weights"] = {**found["weights"], "options": {**found["weights"]["options"], **measured}}
    return found


def _mass(recipe: Recipe) -> list[float] | None:
    """Share of the training that each tenth of the timesteps gets, cleanest first; None where weights say none."""
    mass = training_mass(recipe.draws, evaluation.GROUPS)
    return None if mass is None else [round(float(m), 9) for m in mass]
