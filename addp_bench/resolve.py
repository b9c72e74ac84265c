"""From a request to cells: every alternative of every axis, with every default filled in and every mistake named.

A cell is one resolved combination. What it is made of decides its result; where and how fast it runs is no part of it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from addp_bench import protocol_cards
from addp_bench.budgets import PROBED, UNTRAINED, budget_of, budget_of_probe, mistakes
from addp_bench.cards import Cards
from addp_bench.errors import BadOption, BadRequest, BenchError, unknown
from addp_bench.legality import Illegal, check_choosing, check_judged, check_probe, check_sense, require_apart
from addp_bench.mixture import Part
from addp_bench.mixture import said as mixture_said
from addp_bench.parts import corruptions_of, drafts, parts, train_splits
from addp_bench.registry import Registry
from addp_bench.spec import Choice, Request
from addp_bench.types import Budget

if TYPE_CHECKING:
    pass

OWN = "own"  # of `noise`, `target`, `guidance`: what the model was made with
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Cell:
    """One resolved combination.

    choices: kind -> choice, options complete; kinds that mean nothing to the model are absent. corruption and
    transform: in the order they are applied, empty when nothing is. protocol: its name; what it says is the task's.
    budget: resolved, with the caller's overrides. seed: of training. sampling_seed: of the noise that evaluation
    starts from. ensemble: how many answers, each from a start of its own, are made one. splits: by purpose
    ("train", "stats", "eval", and "tune" where a threshold is chosen). trained_on: the dataset of all but the judged
    one, where it is another. denoises: it is trained and sampled. probes: a network's features are read, and nothing is
    drawn. mixture: the tasks that are trained together, none for one alone; the judged one stands among `choices` too.
    options: which of all this was given and which defaulted (`origins`); says nothing of what the cell is.
    """

    choices: Mapping[str, Choice]
    corruption: tuple[Choice, ...]
    splits: Mapping[str, str]
    protocol: str
    budget: Budget
    seed: int
    sampling_seed: int = 0
    trained_on: Choice | None = None
    read_at: str = "final"
    precision: str = "fp32"
    denoises: bool = True
    transform: tuple[Choice, ...] = ()
    mixture: tuple[Part, ...] = ()
    ensemble: int = 1
    probes: bool = False
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def dataset(self, purpose: str) -> Choice:
        """The dataset that serves "train", "stats" or "eval"."""
        return self.trained_on if self.trained_on and purpose != "eval" else self.choices["dataset"]

    def parts(self) -> list[Cell]:
        """The cell as each task of its mixture sees it; itself where it trains one."""
        if not self.mixture:
            return [self]
        return [
            dataclasses.replace(
                self,
                choices={**self.choices, "task": part.task, "dataset": part.dataset, "encoding": part.encoding},
                corruption=part.corruption,
                splits={**self.splits, **part.splits},
                trained_on=None,
            )
            for part in self.mixture
        ]

    def __getitem__(self, kind: str) -> Choice:
        return self.choices[kind]

    def name(self, kind: str) -> str:
        return self.choices[kind].name

    def plain(self) -> dict[str, Any]:
        """For JSON; `from_plain` reads it back."""
        simple = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        return {
            **simple,
            "choices": {kind: c.plain() for kind, c in self.choices.items()},
            "corruption": [c.plain() for c in self.corruption],
            "transform": [c.plain() for c in self.transform],
            "mixture": [part.plain() for part in self.mixture],
            "splits": dict(self.splits),
            "trained_on": self.trained_on.plain() if self.trained_on else None,
            "budget": dataclasses.asdict(self.budget),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Cell:
        """What `plain` gave, as a record keeps it."""
        return cls(
            **{
                **plain,
                "choices": {kind: Choice(**c) for kind, c in plain["choices"].items()},
                "corruption": tuple(Choice(**c) for c in plain["corruption"]),
                "transform": tuple(Choice(**c) for c in plain.get("transform", ())),
                "mixture": tuple(Part.from_plain(p) for p in plain.get("mixture", ())),
                "budget": Budget(**plain["budget"]),
                "trained_on": Choice(**plain["trained_on"]) if plain["trained_on"] else None,
            }
        )

    def describe(self) -> str:
        """One line: what distinguishes cells in a listing; of the rest what was given."""
        if not self.denoises:
            parts = [(k, self.choices[k]) for k in ("task", "dataset", "model")]
        else:
            kinds = ("task", "dataset", "model", "weights", "aug", "target", "guidance")
            parts = [(k, self.choices[k]) for k in kinds]
        shown = {p for p, _ in parts} | {"seed", "budget"}
        given = self.options.get("given", {}).items()
        said = [f"{name}={value}" for name, value in given if name not in shown]
        return " · ".join([*(choice.name for _, choice in parts), self.budget.name, *said, f"seed {self.seed}"])


@dataclass(frozen=True)
class Resolution:
    """The legal cells, and each illegal one with its reason."""

    cells: list[Cell]
    impossible: list[tuple[str, str]] = field(default_factory=list)


def resolve(request: Request, registry: Registry, cards: Cards | None = None) -> Resolution:
    """Every combination of the request's alternatives. cards: shared with the planner, so that files are read once.

    Raises BadRequest holding every mistake at once (unknown names, options of the wrong type, values out of range).
    """
    cards = cards or Cards(registry)
    problems: list[str] = []
    if request.read_at not in ("final", "best_on_stats") and not re.fullmatch(r"t=\d+", request.read_at):
        problems.append(f"--read-at {request.read_at}: expected final, best_on_stats or t=NNN")
    if request.ensemble is not None and request.ensemble < 1:
        problems.append(f"--ensemble {request.ensemble}: expected 1 answer or more")
    if request.precision not in PRECISIONS:
        problems.append(f"--precision {request.precision}: expected {' or '.join(PRECISIONS)}")
    problems += mistakes(request)
    axes: dict[str, list[tuple[Choice, Collection[str]]]] = {}
    impossible: list[tuple[str, str]] = []
    asked_axes = dict(request.axes)
    mixture = drafts(request, registry, problems) if request.mixture else []
    if mixture:
        asked_axes = {"task": [wanted.task for wanted in request.mixture], **asked_axes}
        asked_axes.pop("encoding", None)  # each is its own task's
    for kind, given in asked_axes.items():
        axes[kind] = list(_axis(kind, given, registry, problems, impossible))
    corruptions, transforms = (
        [_set(kind, text, registry, problems) for text in texts]
        for kind, texts in (("corruption", request.corruption), ("transform", request.transform))
    )
    if problems:
        raise BadRequest(problems)

    cells: dict[str, Cell] = {}
    kinds = list(axes)
    for combination in itertools.product(*axes.values()):
        chosen = {kind: choice for kind, (choice, _) in zip(kinds, combination)}
        written = _written(request, {kind: names for kind, (_, names) in zip(kinds, combination)})
        asked: Sequence[tuple[Choice, ...] | None] = corruptions or [None]
        for corruption, transform, seed in itertools.product(asked, transforms or [()], request.seeds):
            try:
                cell = _cell(chosen, mixture, corruption, transform, seed, request, registry, cards)
            except Illegal as reason:
                asked_for = (Choice(c.name, {k: c.options[k] for k in names}) for c, names in combination)
                impossible.append((" · ".join(map(str, asked_for)), str(reason)))
                continue
            except BenchError as wrong:
                problems.append(str(wrong))
                continue
            said = written if cell.seed == seed else written - {"seed"}  # a seed that changes nothing was not taken
            cell = dataclasses.replace(cell, options=origins(cell, request.budget, said))
            cells.setdefault(repr(cell), cell)  # axes that mean nothing to a model collapse onto one cell
    unused = [text for text in request.corruption if text != "none"]
    if unused and cells and not any(cell.corruption for cell in cells.values()):
        problems.append(f"--corruption {unused[0]}: no --aug that was asked for corrupts targets; say --aug linear")
    if problems:
        raise BadRequest(list(dict.fromkeys(problems)))
    return Resolution(list(cells.values()), list(dict.fromkeys(impossible)))


def origins(cell: Cell, budget: str, written: Collection[str]) -> dict[str, dict[str, Any]]:
    """Every choice behind a cell by name (`weights`, `weights.groups`, `budget.lr`, `seed`): "given" and "defaulted".

    budget: the name that was asked for; a cell calls its own "custom" where a number was changed. written: names that
    somebody gave; others mean nothing to this cell.
    """
    found: dict[str, Any] = {}
    for kind, choice in cell.choices.items():
        found |= {kind: choice.name, **{f"{kind}.{name}": value for name, value in choice.options.items()}}
    found |= {"split": cell.splits["eval"], "protocol": cell.protocol, "seed": cell.seed}
    numbers = dataclasses.asdict(cell.budget)
    if cell.denoises or cell.probes:
        drawn = ("ensemble", "read_at") if cell.denoises else ()
        found |= {"tune_on": cell.splits.get("tune")} if cell.denoises else {}
        found |= {name: getattr(cell, name) for name in ("sampling_seed", "precision", *drawn)}
        for kind in ("corruption", "transform") if cell.denoises else ("transform",):
            found[kind] = "+".join(map(str, getattr(cell, kind))) or "none"
        if cell.mixture:
            found["mixture"] = mixture_said(cell.mixture)
        mattering = numbers if cell.denoises else {name: numbers[name] for name in PROBED}
        found |= {"budget": budget, **{f"budget.{name}": n for name, n in mattering.items() if name != "name"}}
    else:
        found["budget.limit"] = numbers["limit"]
    if "train" in cell.splits:
        found |= {"trained_on": str(cell.trained_on or cell["dataset"]), "train_split": cell.splits["train"]}
    return {
        "given": {name: value for name, value in found.items() if name in written},
        "defaulted": {name: value for name, value in found.items() if name not in written},
    }


def _written(request: Request, chosen: Mapping[str, Collection[str]]) -> set[str]:
    """Names of what somebody wrote, as `origins` names it. chosen: kind -> its options."""
    fields = {"seed" if name == "seeds" else name for name in request.given}
    plugins = {name for kind, names in chosen.items() for name in (kind, *(f"{kind}.{option}" for option in names))}
    return fields | plugins | {f"budget.{name}" for name, value in request.overrides.items() if value is not None}


def _axis(
    kind: str, given: Sequence[str], registry: Registry, problems: list[str], impossible: list[tuple[str, str]]
) -> Iterable[tuple[Choice, Collection[str]]]:
    """Each alternative of an axis, with the names of the options that were written.

    Of `all`, those that cannot be had without an option (a path) are impossible, and the others go on.
    """
    for text in given:
        if text == "all":
            for name in registry.names(kind):
                try:
                    registry.resolve(kind, Choice(name))
                except BenchError as wrong:
                    impossible.append((f"{kind} {name}", str(wrong)))
                else:
                    yield Choice(name), ()
            continue
        if text == OWN and kind in ("noise", "target", "guidance"):
            yield Choice(OWN), ()
            continue
        try:
            asked = Choice.parse(text)
            choice = registry.resolve(kind, asked)
            if kind not in ("model", "dataset"):  # those open files; they are met once the cells are made
                registry.build(kind, choice)  # a value out of range is the request's mistake, not a failed cell
            yield choice, asked.options.keys()
        except BenchError as wrong:
            problems.append(f"--{kind} {text}: {wrong}")


def _set(kind: str, text: str, registry: Registry, problems: list[str]) -> tuple[Choice, ...]:
    """Of corruptions: `location+shape:of=mask+color` -> three choices; `none` -> nothing."""
    if text == "none":
        return ()
    found = tuple(choice for choice, _ in _axis(kind, text.split("+"), registry, problems, []))
    names = [choice.name for choice in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"--{kind} {text}: {twice[0]} stands twice, and would draw the same numbers twice")
    return found


def _cell(
    chosen: Mapping[str, Choice],
    mixture: Sequence[Mapping[str, Choice]],
    corruption: tuple[Choice, ...] | None,
    transform: tuple[Choice, ...],
    seed: int,
    request: Request,
    registry: Registry,
    cards: Cards,
) -> Cell:
    """Fill in what follows from the rest, and refuse what makes no sense."""

    def choose(kind: str, default: str, own: str = "") -> Choice:
        """What was chosen, or the default; own: what the model was made with, for kinds that may ask for it."""
        choice = chosen.get(kind, Choice.parse(default))
        return registry.resolve(kind, Choice.parse(own) if own and choice.name == OWN else choice)

    task_choice = choose("task", "ris")
    task = registry.build("task", task_choice)
    trained_on = registry.resolve("dataset", Choice.parse(request.trained_on)) if request.trained_on else None
    if mixture:
        mine = [draft for draft in mixture if draft["task"] == task_choice]
        if not mine:
            tasks = ", ".join(str(draft["task"]) for draft in mixture)
            raise BadOption(f"task {task_choice} is not among those that are trained together ({tasks})")
        chosen = {"dataset": mine[0]["dataset"], **chosen, "encoding": mine[0]["encoding"]}
        trained_on = mine[0]["dataset"] if mine[0]["dataset"] != chosen["dataset"] else None
    dataset_choice = choose("dataset", "tabletop")
    if task_choice.name not in registry.get("dataset", dataset_choice.name).factory.tasks:
        raise Illegal(f"dataset {dataset_choice.name} has no truth for task {task_choice.name}")
    dataset = cards.dataset(dataset_choice)
    model_choice = choose("model", "tiny")
    model_class = registry.get("model", model_choice.name).factory
    choices = {"task": task_choice, "dataset": dataset_choice, "model": model_choice}

    judge = protocol_cards.named(
        task, task_choice.name, dataset_choice.name, request.protocol or dataset.protocol(task_choice.name)
    )
    protocol, request = judge.name, protocol_cards.completed(request, judge)
    ensemble = request.ensemble or 1

    source = trained_on or dataset_choice
    if request.train_split is not None and request.train_split not in cards.dataset(source).splits():
        raise unknown(f"split of {source.name}", request.train_split, cards.dataset(source).splits())
    splits = {"eval": request.split if request.split is not None else dataset.default_split("eval")}
    if splits["eval"] not in dataset.splits():
        raise unknown(f"split of {dataset_choice.name}", splits["eval"], dataset.splits())

    if not model_class.denoises:
        if task_choice.name not in getattr(model_class, "tasks", (task_choice.name,)):
            answered = ", ".join(model_class.tasks)
            raise Illegal(f"model {model_choice.name} has no answer for task {task_choice.name}; it has for {answered}")
        if hasattr(model_class, "card"):
            cards.model(model_choice)  # or says what is missing
        if task.reads == "features":  # whose options say how a network is read
            choices["task"] = registry.resolve("task", Choice(task_choice.name))
        budget = dataclasses.replace(UNTRAINED, limit=request.overrides.get("limit"))
        seed = seed if getattr(model_class, "random", True) else 0
        learns = hasattr(model_class, "learn")
        if learns:
            splits["train"] = train_splits(source, task_choice, request, registry, cards)["train"]
        taught_on = trained_on if learns else None
        cell = Cell(choices, (), splits, protocol, budget, seed, trained_on=taught_on, denoises=False)
        if learns and request.train_split is not None and not request.force:
            require_apart(cell, "", cards)
        return cell

    # asked last: a dataset that is only judged on has neither, and a model that learns nothing needs none
    splits |= train_splits(source, task_choice, request, registry, cards)
    card = cards.model(model_choice)
    if task.reads == "features":
        check_probe(choices, transform, chosen.get("weights"), task, card.layers, registry, force=request.force)
        reading = task.reading()
        budget = budget_of_probe(request, model_choice.name, model_class, reading)
        cell = Cell(choices, (), splits, protocol, budget, seed, request.sampling_seed, trained_on)
        cell = dataclasses.replace(cell, precision=request.precision, denoises=False, transform=transform, probes=True)
        if request.train_split is not None and not request.force:
            several = len(reading.layers or card.layers) * len(reading.timesteps) > 1
            choosing = f"what layer and t of task {task_choice.name} are chosen on"
            require_apart(cell, choosing if several else "", cards)
        return cell
    if ensemble > 1 and not hasattr(task, "ensemble"):
        raise Illegal(f"task {task_choice.name} does not say how several answers become one; take --ensemble 1")
    budget = budget_of(request, model_choice.name, model_class)
    aug = choose("aug", "none")
    corrupts = registry.get("aug", aug.name).factory.corrupts
    choices |= {
        "encoding": choose("encoding", task.encoding),
        "weights": choose("weights", "uniform"),
        "aug": aug,
        "exposure": choose("exposure", "none"),
        "target": choose("target", "x0" if corrupts else card.target, own=card.target),
        "objective": choose("objective", "mse"),
        "sampler": choose("sampler", "ddim"),
        "guidance": choose("guidance", card.guidance, own=card.guidance),
    }
    if chosen.get("noise", Choice(OWN)).name != OWN:
        choices["noise"] = choose("noise", OWN)
    check_judged(choices, judge, task, registry)
    if request.tune_on is not None:
        splits["tune"] = request.tune_on
    cell = Cell(
        choices,
        corruptions_of(task_choice, corruption, aug.name, registry) if corrupts and not mixture else (),
        splits,
        protocol,
        budget,
        seed,
        request.sampling_seed,
        trained_on,
        request.read_at,
        request.precision,
        transform=transform,
        ensemble=ensemble,
        mixture=parts(mixture, corruption, aug.name if corrupts else "", request, registry, cards),
    )
    check_choosing(cell, registry, cards)
    for part in cell.parts():
        about = registry.build("task", part["task"])
        check_sense(part.choices, part.corruption, transform, corrupts, about, registry, force=request.force)
        if request.train_split is not None and not request.force:
            weights = registry.build("weights", cell["weights"])
            measures = weights.needs_contribution and getattr(weights, "from_", None) is None
            chooses = "what --read-at best_on_stats chooses on" if cell.read_at == "best_on_stats" else ""
            measured = f"what weights {cell.name('weights')} are measured on" if measures else chooses
            require_apart(part, measured, cards)
        if mixture and part["task"] == task_choice:
            cell = dataclasses.replace(cell, corruption=part.corruption)
    return cell
