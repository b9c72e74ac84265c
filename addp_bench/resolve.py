"""From a request to cells: every alternative of every axis, with every default filled in and every mistake named."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from addp_bench.budgets import PROBED, mistakes
from addp_bench.cards import Cards
from addp_bench.cell import Cell
from addp_bench.completion import OWN, Combination, complete
from addp_bench.errors import BadRequest, BenchError
from addp_bench.legality import Illegal
from addp_bench.mixture import said as mixture_said
from addp_bench.parts import drafts
from addp_bench.registry import Registry
from addp_bench.spec import Choice, Request

PRECISIONS = ("fp32", "bf16")
ANY_SEED = -1  # which nobody can ask for: where a completed cell still has it, seeds matter to it


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
        for corruption, transform in itertools.product(asked, transforms or [()]):
            try:
                whole = Combination(chosen, mixture, corruption, transform, ANY_SEED)
                of_any = complete(whole, request, registry, cards)
            except Illegal as reason:
                asked_for = (Choice(c.name, {k: c.options[k] for k in names}) for c, names in combination)
                impossible.append((" · ".join(map(str, asked_for)), str(reason)))
                continue
            except BenchError as wrong:
                problems.append(str(wrong))
                continue
            seeds = request.seeds if of_any.seed == ANY_SEED else (of_any.seed,)  # or no seed changes anything
            for seed in seeds:
                said = written if seed in request.seeds else written - {"seed"}  # one that was not taken
                cell = dataclasses.replace(of_any, seed=seed)
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
    numbers = vars(cell.budget)
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
            problems.append(f"--{kind} {text}: {wrong}{_rather(kind, text)}")


def _rather(kind: str, text: str) -> str:
    """How a mistake that many make is written, "" for others."""
    name, *options = text.split(":")
    several = [part for part in re.split(r"[,\s]+", name) if part]
    if len(several) > 1:
        return f" Several are written {' '.join(f'--{kind} {part}' for part in several)}."
    if kind == "sampler" and any(option.startswith("steps=") for option in options):
        return " Sampling steps are --steps N, for they belong to the evaluation."
    return ""


def _set(kind: str, text: str, registry: Registry, problems: list[str]) -> tuple[Choice, ...]:
    """Of corruptions: `location+shape:of=mask+color` -> three choices; `none` -> nothing."""
    if text == "none":
        return ()
    found = tuple(choice for choice, _ in _axis(kind, text.split("+"), registry, problems, []))
    names = [choice.name for choice in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"--{kind} {text}: {twice[0]} stands twice, and would draw the same numbers twice")
    return found
