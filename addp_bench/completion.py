"""One combination of choices, completed into a cell or refused with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addp_bench import protocol_cards
from addp_bench.budgets import UNTRAINED, budget_of, budget_of_probe
from addp_bench.cell import Cell
from addp_bench.errors import BadOption, unknown
from addp_bench.legality import Illegal, check_choosing, check_judged, check_probe, check_sense, require_apart
from addp_bench.parts import corruptions_of, parts, train_splits
from addp_bench.spec import Choice, Request

if TYPE_CHECKING:
    from addp_bench.cards import Cards
    from addp_bench.registry import Registry

OWN = "own"  # of `noise`, `target`, `guidance`: what the model was made with


@dataclass(frozen=True)
class Combination:
    """One point of a grid, as it was asked for: what every kind of plugin is, and what else is varied.

    chosen: kind -> what was asked for. mixture: the tasks that are trained together, each by kind; none for one alone.
    corruption: None where nothing was said of it.
    """

    chosen: Mapping[str, Choice]
    mixture: Sequence[Mapping[str, Choice]]
    corruption: tuple[Choice, ...] | None
    transform: tuple[Choice, ...]
    seed: int


def complete(asked: Combination, request: Request, registry: Registry, cards: Cards) -> Cell:
    """Fill in what follows from the rest. Raises Illegal for what makes no sense, BenchError for what is a mistake."""
    draft = _Draft.of(asked, request, registry, cards)
    if not draft.model.denoises:
        return draft.answered()
    # asked last: a dataset that is only judged on has neither, and a model that learns nothing needs none
    draft.splits.update(train_splits(draft.source, draft.choices["task"], draft.request, registry, cards))
    return draft.probed() if draft.task.reads == "features" else draft.drawn()


@dataclass
class _Draft:
    """What every cell needs, whatever its model does.

    choices, splits: those of the cell, as far as they are known. model: its class. task: built. judge: of the protocol.
    trained_on: the dataset of all but the judged one, where it is another.
    """

    asked: Combination
    request: Request
    registry: Registry
    cards: Cards
    choices: dict[str, Choice]
    splits: dict[str, str]
    task: Any
    model: Any
    judge: Any
    trained_on: Choice | None

    @classmethod
    def of(cls, asked: Combination, request: Request, registry: Registry, cards: Cards) -> _Draft:
        task_choice = _choose("task", "ris", asked.chosen, registry)
        task = registry.build("task", task_choice)
        trained_on = registry.resolve("dataset", Choice.parse(request.trained_on)) if request.trained_on else None
        if asked.mixture:
            mine = [part for part in asked.mixture if part["task"] == task_choice]
            if not mine:
                tasks = ", ".join(str(part["task"]) for part in asked.mixture)
                raise BadOption(f"task {task_choice} is not among those that are trained together ({tasks})")
            chosen = {"dataset": mine[0]["dataset"], **asked.chosen, "encoding": mine[0]["encoding"]}
            trained_on = mine[0]["dataset"] if mine[0]["dataset"] != chosen["dataset"] else None
            asked = dataclasses.replace(asked, chosen=chosen)
        dataset_choice = _choose("dataset", "tabletop", asked.chosen, registry)
        if task_choice.name not in registry.get("dataset", dataset_choice.name).factory.tasks:
            raise Illegal(f"dataset {dataset_choice.name} has no truth for task {task_choice.name}")
        dataset = cards.dataset(dataset_choice)
        model_choice = _choose("model", "tiny", asked.chosen, registry)
        model = registry.get("model", model_choice.name).factory
        named = request.protocol or dataset.protocol(task_choice.name)
        judge = protocol_cards.named(task, task_choice.name, dataset_choice.name, named)
        request = protocol_cards.completed(request, judge)
        source = trained_on or dataset_choice
        if request.train_split is not None and request.train_split not in cards.dataset(source).splits():
            raise unknown(f"split of {source.name}", request.train_split, cards.dataset(source).splits())
        splits = {"eval": request.split if request.split is not None else dataset.default_split("eval")}
        if splits["eval"] not in dataset.splits():
            raise unknown(f"split of {dataset_choice.name}", splits["eval"], dataset.splits())
        choices = {"task": task_choice, "dataset": dataset_choice, "model": model_choice}
        return cls(asked, request, registry, cards, choices, splits, task, model, judge, trained_on)

    @property
    def source(self) -> Choice:
        """The dataset that is trained on."""
        return self.trained_on or self.choices["dataset"]

    @property
    def apart(self) -> bool:
        """Whether splits that somebody named must share no photograph."""
        return self.request.train_split is not None and not self.request.force

    def choose(self, kind: str, default: str, own: str = "") -> Choice:
        """What was chosen, or the default; own: what the model was made with, for kinds that may ask for it."""
        return _choose(kind, default, self.asked.chosen, self.registry, own)

    def answered(self) -> Cell:
        """Of a predictor that is neither trained nor sampled."""
        task, model, request, registry = self.choices["task"], self.choices["model"], self.request, self.registry
        if task.name not in getattr(self.model, "tasks", (task.name,)):
            answered = ", ".join(self.model.tasks)
            raise Illegal(f"model {model.name} has no answer for task {task.name}; it has for {answered}")
        if hasattr(self.model, "card"):
            self.cards.model(model)  # or says what is missing
        if self.task.reads == "features":  # whose options say how a network is read
            self.choices["task"] = registry.resolve("task", Choice(task.name))
        budget = dataclasses.replace(UNTRAINED, limit=request.overrides.get("limit"))
        seed = self.asked.seed if getattr(self.model, "random", True) else 0
        learns = hasattr(self.model, "learn")
        if learns:
            self.splits["train"] = train_splits(self.source, task, request, registry, self.cards)["train"]
        taught_on = self.trained_on if learns else None
        cell = Cell(self.choices, (), self.splits, self.judge.name, budget, seed, trained_on=taught_on, denoises=False)
        if learns and self.apart:
            require_apart(cell, "", self.cards)
        return cell

    def probed(self) -> Cell:
        """Of a network whose features are read."""
        task, model, request = self.choices["task"], self.choices["model"], self.request
        card, weights = self.cards.model(model), self.asked.chosen.get("weights")
        check_probe(
            self.choices, self.asked.transform, weights, self.task, card.layers, self.registry, force=request.force
        )
        reading = self.task.reading()
        cell = Cell(
            self.choices,
            (),
            self.splits,
            self.judge.name,
            budget_of_probe(request, model.name, self.model, reading),
            self.asked.seed,
            request.sampling_seed,
            self.trained_on,
            precision=request.precision,
            denoises=False,
            transform=self.asked.transform,
            probes=True,
        )
        if self.apart:
            several = len(reading.layers or card.layers) * len(reading.timesteps) > 1
            choosing = f"what layer and t of task {task.name} are chosen on"
            require_apart(cell, choosing if several else "", self.cards)
        return cell

    def drawn(self) -> Cell:
        """Of a network that is trained and sampled."""
        task, model, request, registry = self.choices["task"], self.choices["model"], self.request, self.registry
        card, ensemble = self.cards.model(model), request.ensemble or 1
        if ensemble > 1 and not hasattr(self.task, "ensemble"):
            raise Illegal(f"task {task.name} does not say how several answers become one; take --ensemble 1")
        budget = budget_of(request, model.name, self.model)
        aug = self.choose("aug", "none")
        corrupts = registry.get("aug", aug.name).factory.corrupts
        self.choices |= {
            "encoding": self.choose("encoding", self.task.encoding),
            "weights": self.choose("weights", "uniform"),
            "aug": aug,
            "exposure": self.choose("exposure", "none"),
            "target": self.choose("target", "x0" if corrupts else card.target, own=card.target),
            "objective": self.choose("objective", "mse"),
            "sampler": self.choose("sampler", "ddim"),
            "guidance": self.choose("guidance", card.guidance, own=card.guidance),
        }
        if self.asked.chosen.get("noise", Choice(OWN)).name != OWN:
            self.choices["noise"] = self.choose("noise", OWN)
        check_judged(self.choices, self.judge, self.task, registry)
        if request.tune_on is not None:
            self.splits["tune"] = request.tune_on
        alone = corrupts and not self.asked.mixture
        cell = Cell(
            self.choices,
            corruptions_of(task, self.asked.corruption, aug.name, registry) if alone else (),
            self.splits,
            self.judge.name,
            budget,
            self.asked.seed,
            request.sampling_seed,
            self.trained_on,
            request.read_at,
            request.precision,
            transform=self.asked.transform,
            ensemble=ensemble,
            mixture=parts(
                self.asked.mixture, self.asked.corruption, aug.name if corrupts else "", request, registry, self.cards
            ),
        )
        check_choosing(cell, registry, self.cards)
        for part in cell.parts():
            about = registry.build("task", part["task"])
            check_sense(
                part.choices, part.corruption, self.asked.transform, corrupts, about, registry, force=request.force
            )
            if self.apart:
                require_apart(part, _measured_on(cell, registry), self.cards)
            if self.asked.mixture and part["task"] == task:
                cell = dataclasses.replace(cell, corruption=part.corruption)
        return cell


def _choose(kind: str, default: str, chosen: Mapping[str, Choice], registry: Registry, own: str = "") -> Choice:
    choice = chosen.get(kind, Choice.parse(default))
    return registry.resolve(kind, Choice.parse(own) if own and choice.name == OWN else choice)


def _measured_on(cell: Cell, registry: Registry) -> str:
    """What the `stats` split decides of a cell that is sampled, "" for nothing."""
    weights = registry.build("weights", cell["weights"])
    if weights.needs_contribution and getattr(weights, "from_", None) is None:
        return f"what weights {cell.name('weights')} are measured on"
    return "what --read-at best_on_stats chooses on" if cell.read_at == "best_on_stats" else ""
