"""The graph of work behind a cell, and what names each piece of it.

    latents(train) ─ train ─┐
                            ├ predict(eval) ─ score = the cell
    latents(eval) ──────────┘
    perception statistics put before `train`:  source's train ─ predict(stats) ─ contribution
    an encoding whose decoder learns puts before each `predict`, which is read with it:  decoder
    beside the score, and no part of the cell's key:  ceiling, the best that any model could reach

A stage's key is the digest of its spec: the choices that matter to it, the data's and the model's fingerprints, the
digests of the code that computes it and of its plugins, and the keys of its inputs. So cells that agree share stages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from addp_bench import ceiling, decoders, probe_stages, protocol_cards
from addp_bench.cache import NO_IMAGE
from addp_bench.cards import Cards
from addp_bench.cell import Cell
from addp_bench.contribution import is_file, read_contribution, sources_of
from addp_bench.errors import BadOption
from addp_bench.evaluation import GROUPS
from addp_bench.facts import Facts, context
from addp_bench.finished import finished
from addp_bench.keys import KEY_SCHEMA, by_content, code_digest
from addp_bench.legality import Illegal
from addp_bench.protocol_cards import Protocol
from addp_bench.registry import Registry
from addp_bench.schedule import require_recoverable
from addp_bench.spec import Choice
from addp_bench.store import Stage, digest
from addp_bench.types import Sample
from addp_bench.visits import Visits

STATISTICS_STEPS = 20  # sampler steps of the statistics: two visits to each of ten groups


@dataclass(frozen=True)
class Plan:
    """A cell's stages. score: the last one; its key is the cell's. ceiling: of a cell that draws."""

    cell: Cell
    score: Stage
    ceiling: Stage | None = None

    @property
    def key(self) -> str:
        return self.score.key

    @property
    def id(self) -> str:
        """The first 12 digits of the key, as people write it."""
        return self.key[:12]

    def stages(self) -> list[Stage]:
        """All of them, inputs first, the score last."""
        found = {stage.key: stage for last in self.ends() for stage in last.walk()}
        return [*(stage for key, stage in found.items() if key != self.key), self.score]

    def ends(self) -> list[Stage]:
        """Those that no other rests on, the score first."""
        return [self.score, *([self.ceiling] if self.ceiling else [])]


class Planner:
    """Makes the stages of cells. cards: those that resolved them, so that each file is read once."""

    def __init__(self, registry: Registry, runs: Path, cards: Cards | None = None) -> None:
        self.registry = registry
        self.runs = runs
        self.cards = cards or Cards(registry)
        self.facts = Facts(registry, self.cards)
        self.visits = Visits(registry)
        self._protocols: dict[tuple[str, str, str], Protocol] = {}
        self._trainable: set[tuple[Any, ...]] = set()
        self._shared: dict[tuple[Any, ...], Stage] = {}  # latents, which many cells have in common

    def plan(self, cell: Cell) -> Plan:
        """The stage graph of a cell.

        Raises Illegal for a noise schedule that the target or the weights cannot be used with, BadOption for what would
        be found wrong only after a training: a timestep that is not visited.
        """
        if cell.probes:
            return Plan(cell, probe_stages.judged(self, cell))
        if not cell.denoises:
            return Plan(cell, self._score(cell, self._naive(cell)))
        self._require_trainable(cell)
        self.visits.require_reading(cell)
        self._class_list(cell)  # or refuses, before anything is trained
        train = self._train(cell)
        predicts = [self._own(cell, train, "eval", cell.budget.limit, member) for member in range(cell.ensemble)]
        return Plan(cell, self._score(cell, *predicts), ceiling.planned(self, cell, self._class_list(cell)))

    def _class_list(self, cell: Cell) -> str:
        """Which classes a sample is asked for when it is judged: "all", those "present" in its truth, or "balanced"."""
        asked = str(self.protocol(cell).settings.get("class_list", "all"))
        if asked != "all":
            sample = Sample("any", "any", NO_IMAGE, None)
            queries = self.registry.build("encoding", cell["encoding"]).queries(sample, ("one class", "another"))
            if any(query.label is None for query in queries):
                raise Illegal(
                    f"protocol {cell.protocol} asks for some of the classes alone, each in a drawing of its own, "
                    f"and encoding {cell.name('encoding')} draws all at once; take --encoding class_mask"
                )
        return asked

    def _unjudged_list(self, task: Choice) -> str:
        """Which classes a sample is asked for in training, and when statistics are measured."""
        return str(getattr(self.registry.build("task", task), "class_list", "all"))

    def _require_trainable(self, cell: Cell) -> None:
        kinds = ("model", "noise", "target", "weights")
        name = (*(str(cell.choices.get(kind)) for kind in kinds), cell.budget.batch_size)
        if name not in self._trainable:
            self._check_trainable(cell)
            self._trainable.add(name)

    def _check_trainable(self, cell: Cell) -> None:
        noise, target = self.visits.noise(cell), self.registry.build("target", cell["target"])
        weights = self.registry.build("weights", cell["weights"])
        try:
            require_recoverable(noise, target, cell.name("target"))
            if not weights.needs_contribution:
                draws = weights.bind(noise, target, None)
                draws.draw(torch.zeros(cell.budget.batch_size, dtype=torch.float64), 0)  # some refuse a batch's size
        except BadOption as wrong:
            raise Illegal(str(wrong)) from wrong

    # ------------------------------------------------------------------ the kinds of stage

    def _train(self, cell: Cell) -> Stage:
        weights = self.registry.build("weights", cell["weights"])
        latents = [
            self._latents(
                part, "train", cell.budget.train_samples, targets=True, class_list=self._unjudged_list(part["task"])
            )
            for part in cell.parts()
        ]
        inputs = [*latents]
        contribution: Any = None
        if weights.needs_contribution:
            found: list[Any] = []
            for source in sources_of(getattr(weights, "from_", None)) or (None,):
                if source is not None and is_file(source):
                    read = read_contribution(_existing(Path(source)))
                    target = self.registry.build("target", cell["target"])
                    weights.bind(self.visits.noise(cell), target, read)  # or refuses
                    found.append({"file": digest(read.to_json())})
                    continue
                measured, trained = self._twin(cell) if source is None else self._measured(source)
                samples = weights.samples if weights.samples is not None else cell.budget.stats_samples
                for part in measured.parts() if source is None else [measured]:
                    inputs.append(self._contribution(part, trained, weights, samples))
                    found.append(inputs[-1].key)
            contribution = found[0] if len(found) == 1 else found
        drawn = () if cell.mixture else ("task", "encoding")  # of a mixture, each of its parts has its own
        kinds = (*drawn, "weights", "aug", "exposure", "target", "objective", "noise")
        used = {k: cell[k] for k in kinds if k in cell.choices}
        if not getattr(self.registry.get("exposure", used["exposure"].name).factory, "trains", True):
            used["exposure"] = self.registry.resolve("exposure", Choice("none"))
        choices = {k: by_content(c) for k, c in used.items()}
        if weights.needs_contribution:
            choices["weights"]["options"].pop("from", None)  # what it names is `contribution`
        b = cell.budget
        corruptions = [c for part in cell.parts() for c in part.corruption]
        spec = {
            "schema": KEY_SCHEMA,
            "choices": choices,
            "corruption": [] if cell.mixture else [by_content(c) for c in cell.corruption],
            "transform": [by_content(c) for c in cell.transform],
            "model": self.facts.model(cell),
            "budget": {
                k: getattr(b, k) for k in ("train_steps", "extra_steps", "epochs", "batch_size", "lr", "warmup", "ema")
            },
            "seed": cell.seed,
            "precision": cell.precision,
            "contribution": contribution,
            **({"mixture": _mixed(cell, latents)} if cell.mixture else {"latents": latents[0].key}),
            "code": code_digest("train"),
            "plugins": self.facts.plugins(
                [
                    *used.items(),
                    *(("corruption", c) for c in corruptions),
                    *(("transform", c) for c in cell.transform),
                ]
            ),
        }
        return Stage("train", spec, tuple(inputs), context=context(cell))

    def _twin(self, cell: Cell) -> tuple[Cell, Stage]:
        """The source that statistics are measured on, and its train stage: equal in all but what ADDP adds."""
        plain = {
            kind: self.registry.resolve(kind, Choice(name))
            for kind, name in (("weights", "uniform"), ("aug", "none"), ("exposure", "none"))
        }
        mixture = tuple(dataclasses.replace(part, corruption=()) for part in cell.mixture)
        twin = dataclasses.replace(cell, choices={**cell.choices, **plain}, corruption=(), mixture=mixture)
        return twin, self._train(twin)

    def _contribution(self, source: Cell, train: Stage, weights: Any, samples: int) -> Stage:
        """Algorithm A on a trained source; unaffected by the evaluation's limit, steps, seed, sampler and guidance."""
        cell = dataclasses.replace(source, sampling_seed=0)
        steps = weights.steps if weights.steps is not None else STATISTICS_STEPS
        sampler = self.registry.resolve("sampler", Choice("ddim"))
        self.visits.require_groups(cell, weights, sampler, steps, self.facts.count(cell, "stats", samples))
        predict = self._predict(
            cell,
            train,
            purpose="stats",
            limit=samples,
            steps=steps,
            sampler=sampler,
            guidance=self.registry.resolve("guidance", Choice.parse(self.cards.model(cell["model"]).guidance)),
            exposure=self.registry.resolve("exposure", Choice("none")),
            groups=weights.groups,
            class_list=self._unjudged_list(cell["task"]),
        )
        settings = {k: getattr(weights, k) for k in ("groups", "floor", "floor_rule", "mode", "r2", "folds")}
        spec = {
            "predict": predict.key,
            "settings": settings,
            "code": code_digest("contribution"),
            "plugins": self.facts.plugins([("task", cell["task"])]),
        }
        return Stage("contribution", spec, (predict,), context=context(decoders.read_with(self, cell)))

    def _predict(
        self,
        cell: Cell,
        train: Stage,
        *,
        purpose: str,
        limit: int | None,
        steps: int,
        sampler: Choice,
        guidance: Choice,
        exposure: Choice,
        groups: int = GROUPS,
        member: int = 0,
        class_list: str = "all",
    ) -> Stage:
        """groups: equal blocks of timesteps, of each of which the last answer is kept. member: of an ensemble."""
        latents = self._latents(cell, purpose, limit, targets=False, class_list=class_list)
        chosen = {"sampler": sampler, "guidance": guidance, "exposure": exposure}
        decoder = decoders.planned(self, cell)
        spec = {
            "train": train.key,
            "latents": latents.key,
            "steps": steps,
            "groups": groups,
            "choices": {kind: by_content(choice) for kind, choice in chosen.items()},
            "sampling_seed": cell.sampling_seed,
            **({"decoder": decoder.key} if decoder else {}),
            **({"member": member} if member else {}),  # the first answer is that of a cell without an ensemble
            "code": code_digest("predict"),
            "plugins": self.facts.plugins(chosen.items()),
        }
        inputs = (train, latents, *([decoder] if decoder else []))
        return Stage("predict", spec, inputs, context=context(cell, purpose))

    def _naive(self, cell: Cell) -> Stage:
        carded = hasattr(self.registry.get("model", cell.name("model")).factory, "card")
        plugins = [(kind, cell[kind]) for kind in ("model", "task", "dataset")]
        task = by_content(cell["task"])
        if self.registry.get("task", cell.name("task")).factory.reads == "features":
            task["options"] = {}  # they say how a network is read, and here is none
        spec = {
            "task": task,
            "model": self.facts.model(cell) if carded else {"choice": by_content(cell["model"])},
            "data": self.facts.data(cell, "eval", cell.budget.limit),
            "seed": cell.seed,
            "code": code_digest("answers"),
            "plugins": self.facts.plugins(plugins),
        }
        if "train" in cell.splits:
            spec["train"] = self.facts.data(cell, "train", None)
            spec["plugins"] = self.facts.plugins([*plugins, ("dataset", cell.dataset("train"))])
        return Stage("answers", spec, context=context(cell))

    def _score(self, cell: Cell, *predicts: Stage) -> Stage:
        """predicts: the answers of every member of an ensemble."""
        inputs = [*predicts]
        if cell.read_at == "best_on_stats":
            # the cell's own predictions on the split that is kept for such choices, of one member
            inputs.append(self._own(cell, predicts[0].input("train"), "stats", cell.budget.stats_samples))
        reading, tuning = inputs[-1].key if cell.read_at == "best_on_stats" else None, {}
        if "tune" in cell.splits:  # the same, on the split that was named
            inputs.append(self._own(cell, predicts[0].input("train"), "tune", cell.budget.stats_samples))
            tuning = {"tuning": inputs[-1].key}
        spec = {
            "predict": predicts[0].key if len(predicts) == 1 else [predict.key for predict in predicts],
            "task": by_content(cell["task"]),
            "protocol": self.protocol(cell).plain(),
            "read_at": cell.read_at,
            "reading": reading,
            **tuning,
            "budget": cell.budget.name,
            "code": code_digest("score"),
            "plugins": self.facts.plugins([("task", cell["task"])]),
        }
        return Stage("score", spec, tuple(inputs), context=context(decoders.read_with(self, cell)))

    def _own(self, cell: Cell, train: Stage, purpose: str, limit: int | None, member: int = 0) -> Stage:
        """The cell's predictions as its evaluation samples them."""
        return self._predict(
            cell,
            train,
            purpose=purpose,
            limit=limit,
            steps=cell.budget.sampling_steps,
            sampler=cell["sampler"],
            guidance=cell["guidance"],
            exposure=cell["exposure"],
            member=member,
            class_list=self._class_list(cell),
        )

    def _latents(self, cell: Cell, purpose: str, limit: int | None, *, targets: bool, class_list: str = "all") -> Stage:
        chosen = (cell.dataset(purpose), *(cell[kind] for kind in ("model", "task", "encoding")))
        steps = (cell.budget.train_steps, cell.budget.epochs) if targets else ()
        name = (*map(str, chosen), purpose, cell.splits[purpose], limit, targets, class_list, *steps)
        if name not in self._shared:
            self._shared[name] = self._made_latents(cell, purpose, limit, targets, class_list)
        return self._shared[name]

    def _made_latents(self, cell: Cell, purpose: str, limit: int | None, targets: bool, class_list: str) -> Stage:
        spec = {
            **({} if class_list == "all" else {"class_list": class_list}),
            "data": self.facts.data(cell, purpose, limit),
            "task": by_content(cell["task"]),
            "encoding": by_content(cell["encoding"]),
            "targets": targets,
            "model": self.facts.model(cell),
            "code": code_digest("latents"),
            "plugins": self.facts.plugins(
                [("task", cell["task"]), ("dataset", cell.dataset(purpose)), ("encoding", cell["encoding"])]
            ),
        }
        needed = {
            **context(cell, purpose),
            "samples": self.facts.count(cell, purpose, limit),
            "photographs": self.facts.photographs(cell, limit) if targets else None,
        }
        return Stage("latents", spec, shared=True, context=needed)

    # ------------------------------------------------------------------ what names data, models and code

    def protocol(self, cell: Cell) -> Protocol:
        """How the cell is judged."""
        name = (str(cell["task"]), cell.name("dataset"), cell.protocol)
        if name not in self._protocols:
            task = self.registry.build("task", cell["task"])
            self._protocols[name] = protocol_cards.named(task, cell.name("task"), cell.name("dataset"), cell.protocol)
        return self._protocols[name]

    def deviates(self, cell: Cell) -> str | None:
        """What the cell does otherwise than its protocol's card asks, in words; None where nothing."""
        side = self.cards.model(cell["model"]).resolution if cell.denoises else None
        asks = self.protocol(cell).asks
        found = protocol_cards.deviations(asks, cell, self.facts.count(cell, "eval", None), side)
        return f"not as protocol {cell.protocol} asks (in brackets): {protocol_cards.told(found)}" if found else None

    def _measured(self, name: str) -> tuple[Cell, Stage]:
        """A finished cell on which statistics are measured, and its own train stage."""
        record, stage = finished(self.runs, name, "statistics can be measured on it")
        return Cell.from_plain(record.provenance["cell"]), stage


def _mixed(cell: Cell, latents: Sequence[Stage]) -> list[dict[str, Any]]:
    """What the parts of a mixture are, in order. latents: of each."""
    return [
        {
            "task": by_content(part.task),
            "encoding": by_content(part.encoding),
            "corruption": [by_content(c) for c in part.corruption],
            "share": part.share,
            "latents": stage.key,
        }
        for part, stage in zip(cell.mixture, latents)
    ]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BadOption(f"weights from={path}: no such file; give a cell's id, its record.json, or a contribution.json")
    return path
