"""Combinations that make no sense, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BadOption, unknown

if TYPE_CHECKING:
    from addp_bench.cards import Cards
    from addp_bench.cell import Cell
    from addp_bench.protocol_cards import Protocol
    from addp_bench.registry import Registry
    from addp_bench.spec import Choice


class Illegal(Exception):
    """A combination that makes no sense, and why; listed by `plan`, never counted as a failure."""


def check_sense(
    choices: Mapping[str, Choice],
    corruption: Sequence[Choice],
    transform: Sequence[Choice],
    corrupts: bool,
    task: Any,
    registry: Registry,
    force: bool,
) -> None:
    """Raises Illegal, with the reason, for choices that contradict each other.

    choices: kind -> choice, complete. corrupts: what the aug says of itself. force: let pass what can be run, though no
    sense is seen in it.
    """
    encoding = registry.get("encoding", choices["encoding"].name).factory
    drawn = getattr(encoding, "truth", None)
    if drawn != task.truth:
        raise Illegal(
            f"encoding {choices['encoding'].name} draws {drawn}, task {choices['task'].name} is about {task.truth}"
        )
    for c in corruption:
        understood = registry.get("corruption", c.name).factory.truth
        if understood not in ("any", task.truth):
            raise Illegal(
                f"corruption {c.name} damages {understood}, task {choices['task'].name} is about {task.truth}"
            )
    _check_transforms(transform, choices["task"].name, task, registry, force)
    guidance = registry.build("guidance", choices["guidance"])
    if any(text == "correction" for text, _ in guidance.coefficients()):
        raise Illegal(f"guidance {choices['guidance'].name} follows corrections in words, and a run is given none")
    objective = registry.get("objective", choices["objective"].name).factory
    if getattr(objective, "needs_valid", False) and not getattr(encoding, "partial", False):
        raise Illegal(
            f"objective {choices['objective'].name} leaves out what is not valid, and encoding "
            f"{choices['encoding'].name} draws every pixel; take --objective mse"
        )
    if not force:
        _check_goal({kind: choices[kind].name for kind in ("target", "aug", "exposure")}, corrupts, registry)


def check_judged(choices: Mapping[str, Choice], protocol: Protocol, task: Any, registry: Registry) -> None:
    """Raises Illegal, with the task's reason, where what is drawn cannot be judged under a protocol."""
    if not hasattr(task, "refuses"):
        return
    encoding = registry.build("encoding", choices["encoding"])
    if reason := task.refuses(protocol.settings, encoding):
        raise Illegal(f"encoding {choices['encoding'].name} under protocol {protocol.name}: {reason}")


def check_choosing(cell: Cell, registry: Registry, cards: Cards) -> None:
    """How a cell is read may be chosen, but not on what is judged.

    Raises Illegal and UnknownName where a threshold cannot be chosen, BadOption where what is judged would decide.
    """
    dataset, chosen = cell.dataset("stats"), {}
    if cell.read_at == "best_on_stats":
        chosen["stats"] = "--read-at best_on_stats"
    if (split := cell.splits.get("tune")) is not None:
        chosen["tune"] = f"--tune-on {split}"
        if getattr(registry.build("encoding", cell["encoding"]), "sweep", None) is None:
            raise Illegal(f"--tune-on {split}: encoding {cell['encoding']} is read by no threshold; leave it out")
        if split not in cards.dataset(dataset).splits():
            raise unknown(f"split of {dataset.name}", split, cards.dataset(dataset).splits())
    judged, task = cell.splits["eval"], cell.name("task")
    for purpose, flag in chosen.items():
        seen = cards.photographs(dataset, cell.splits[purpose], task)
        if shared := seen & cards.photographs(cell["dataset"], judged, task):
            raise BadOption(
                f"{flag}: {len(shared)} of the {len(seen)} photographs it chooses on are in split {judged}, which is "
                "judged, and nothing is chosen on what it is judged on; take another split for one of them"
            )


def require_apart(cell: Cell, stats: str, cards: Cards) -> None:
    """Raises BadOption when photographs that are trained on are also judged, or decide what is trained or read.

    stats: what the `stats` split decides, "" for nothing.
    """
    task = cell.name("task")
    trained = cards.photographs(cell.dataset("train"), cell.splits["train"], task)
    for purpose, use in {"eval": "judged", "stats": stats}.items():
        shared = trained & cards.photographs(cell.dataset(purpose), cell.splits[purpose], task) if use else ()
        if shared:
            raise BadOption(
                f"--train-split {cell.splits['train']}: {len(shared)} of its {len(trained)} photographs are in split "
                f"{cell.splits[purpose]}, which is {use}; train on another split, or say --force"
            )


def check_probe(
    choices: Mapping[str, Choice],
    transform: Sequence[Choice],
    weights: Choice | None,
    task: Any,
    layers: Sequence[str],
    registry: Registry,
    force: bool,
) -> None:
    """Raises Illegal, with the reason, for a probe that cannot be.

    weights: those that were asked for, None for none. layers: those of the model that can be read.
    """
    name, model = choices["task"].name, choices["model"].name
    if weights is not None and registry.get("weights", weights.name).factory.needs_contribution:
        raise Illegal(
            f"weights {weights.name} are measured on the quality of answers, and task {name} has none: it reads "
            "features"
        )
    if not layers:
        raise Illegal(f"task {name} reads features, and model {model} has none that can be read (`features`)")
    _check_transforms(transform, name, task, registry, force)


def _check_goal(name: Mapping[str, str], corrupts: bool, registry: Registry) -> None:
    """Whether the trained goal leads from what the network is shown to the clean target."""
    whole = registry.get("target", name["target"]).factory.accepts_corruption
    retargets = getattr(registry.get("exposure", name["exposure"]).factory, "retargets", False)
    if corrupts and not whole:
        raise Illegal(
            f"target {name['target']} with aug {name['aug']} trains the model to draw the corrupted "
            "answer; take --target x0 (the default there), or --force to see it fail (with --noise scaled_linear where "
            "the model's schedule ends without signal)"
        )
    if retargets and not whole:
        raise Illegal(
            f"target {name['target']} with exposure {name['exposure']} asks for the noise that was drawn, which is not "
            "in the input the network is shown; take --target x0, or --force to see it fail"
        )
    if retargets and corrupts:
        raise Illegal(
            f"aug {name['aug']} with exposure {name['exposure']}: the network is shown inputs of its own making, in "
            "which a corrupted target has no part; take --aug none, or --force to corrupt what is not replaced"
        )


def _check_transforms(transform: Sequence[Choice], name: str, task: Any, registry: Registry, force: bool) -> None:
    forbidden: Mapping[str, str] = getattr(task, "forbids", {})
    for choice in transform:
        built = registry.build("transform", choice)
        if task.truth not in built.truths:
            raise Illegal(f"transform {choice.name} cannot change {task.truth}, which task {name} is about")
        if reasons := [forbidden[change] for change in built.changes if change in forbidden and not force]:
            raise Illegal(f"transform {choice} and task {name}: {'; '.join(reasons)}")
