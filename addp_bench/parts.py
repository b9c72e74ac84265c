"""What the tasks of one training are made of: data, splits, encodings and the corruptions that each understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from addp_bench.cards import Cards
from addp_bench.errors import BadOption, BenchError, unknown
from addp_bench.legality import Illegal
from addp_bench.mixture import Part
from addp_bench.registry import Registry
from addp_bench.spec import Choice, Request, shares


def drafts(request: Request, registry: Registry, problems: list[str]) -> list[dict[str, Choice]]:
    """Task, dataset and encoding of each task of a mixture. An encoding on the command line is of the task it draws."""
    found: list[dict[str, Choice]] = []
    try:
        shares(request.mixture)
        given = [registry.resolve("encoding", Choice.parse(text)) for text in request.axes.get("encoding", ())]
        here = request.trained_on or next(iter(request.axes.get("dataset", ())), "tabletop")
        for wanted in request.mixture:
            choice = registry.resolve("task", Choice.parse(wanted.task))
            task = registry.build("task", choice)
            if task.reads != "drawing":
                raise BadOption(f"task {choice.name} reads {task.reads}: nothing is trained for it")
            fitting = [c for c in given if registry.get("encoding", c.name).factory.truth == task.truth]
            if len(fitting) > 1:
                raise BadOption(f"two encodings for task {choice.name} of one mixture: {', '.join(map(str, fitting))}")
            encoding = Choice.parse(wanted.encoding) if wanted.encoding else (fitting or [Choice(task.encoding)])[0]
            dataset = registry.resolve("dataset", Choice.parse(wanted.dataset or here))
            found.append({"task": choice, "dataset": dataset, "encoding": registry.resolve("encoding", encoding)})
        drawn = {registry.get("encoding", draft["encoding"].name).factory.truth for draft in found}
        for choice in given:
            if registry.get("encoding", choice.name).factory.truth not in drawn:
                raise BadOption(f"encoding {choice} draws what no task of the mixture is about")
    except BenchError as wrong:
        problems.append(f"--train: {wrong}")
    return found


def parts(
    mixture: Sequence[Mapping[str, Choice]],
    corruption: tuple[Choice, ...] | None,
    aug: str,
    request: Request,
    registry: Registry,
    cards: Cards,
) -> tuple[Part, ...]:
    """The tasks of a mixture, each with the corruptions that it understands. aug: by name, "" where none corrupts."""
    found = []
    for draft, share in zip(mixture, shares(request.mixture) if mixture else ()):
        truth = registry.build("task", draft["task"]).truth
        fitting = corruption
        if corruption is not None:
            fitting = tuple(c for c in corruption if registry.get("corruption", c.name).factory.truth in ("any", truth))
        damaging = corruptions_of(draft["task"], fitting, aug, registry) if aug else ()
        splits = train_splits(draft["dataset"], draft["task"], request, registry, cards)
        found.append(Part(draft["task"], draft["dataset"], draft["encoding"], splits, share, damaging))
    return tuple(found)


def corruptions_of(task: Choice, asked: tuple[Choice, ...] | None, aug: str, registry: Registry) -> tuple[Choice, ...]:
    """What damages the targets of a task: what was asked for, or its own. aug: which corrupts, by name."""
    own = registry.build("task", task).corruptions
    found = tuple(registry.resolve("corruption", Choice(name)) for name in own) if asked is None else asked
    if not found:
        raise Illegal(f"aug {aug} corrupts targets, and --corruption leaves it nothing to do for task {task.name}")
    return found


def train_splits(choice: Choice, task: Choice, request: Request, registry: Registry, cards: Cards) -> dict[str, str]:
    """The splits of a dataset for "train" and "stats"."""
    if task.name not in registry.get("dataset", choice.name).factory.tasks:
        raise Illegal(f"dataset {choice.name} has no truth for task {task.name}")
    dataset = cards.dataset(choice)
    train = request.train_split or dataset.default_split("train")
    if train not in dataset.splits():
        raise unknown(f"split of {choice.name}", train, dataset.splits())
    return {"train": train, "stats": dataset.default_split("stats")}
