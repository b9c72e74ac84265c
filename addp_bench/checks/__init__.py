"""The contracts of plugins as programs, run by our tests, by other people's and by `addp-bench check plugin`.

A check yields a `Finding` for each clause (`clauses.CLAUSES`) that it looked at: kept, broken, or why it was not looked
at. What a contract says in words alone (that a docstring is true, that a result is right) is not checked here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from addp_bench.errors import BadOption, BadPlugin, BenchError
from addp_bench.registry import REQUIRED, Entry, Registry
from addp_bench.spec import Choice, tidy

from . import answering, changing, common, data, diffusion, drawing, judging, running, training
from .clauses import CLAUSES
from .common import Call
from .given import Finding, Subject

__all__ = ["CHECKS", "CLAUSES", "Finding", "cases", "check", "registered_by", "require", "seconds"]

Check = Callable[[Any, Subject], Iterator[Finding]]

CHECKS: dict[str, tuple[Callable[[Any, Subject], Iterator[Call]], Check]] = {
    "task": (judging.task_calls, judging.task),
    "dataset": (data.dataset_calls, data.dataset),
    "encoding": (drawing.encoding_calls, drawing.encoding),
    "weights": (training.weights_calls, training.weights),
    "aug": (changing.aug_calls, changing.aug),
    "corruption": (changing.corruption_calls, changing.corruption),
    "transform": (changing.transform_calls, changing.transform),
    "exposure": (diffusion.exposure_calls, diffusion.exposure),
    "target": (diffusion.target_calls, diffusion.target),
    "noise": (diffusion.noise_calls, diffusion.noise),
    "objective": (training.objective_calls, training.objective),
    "model": (answering.model_calls, answering.model),
    "sampler": (diffusion.sampler_calls, diffusion.sampler),
    "guidance": (diffusion.guidance_calls, diffusion.guidance),
    "agent": (answering.agent_calls, answering.agent),
    "executor": (running.no_calls, running.executor),
    "tracker": (running.no_calls, running.tracker),
}
"""Kind -> the calls that its plugins are asked, and what else its contract says."""


def check(registry: Registry, kind: str, choice: Choice) -> Iterator[Finding]:
    """Every promise of a plugin's kind, on small numbers.

    Raises UnknownName for a plugin that is not registered, BadOption for its options. An exception inside of the
    plugin breaks the clause `works`; promises that would have followed are then not looked at.
    """
    entry = registry.get(kind, choice.name)
    subject = Subject(registry, kind, registry.resolve(kind, choice))
    yield from common.options(entry, choice, registry)
    try:
        plugin = subject.build()
    except BenchError as refused:
        # its own defaults are its affair; options that were given, and a package that is missing, are the caller's
        if choice.options or not isinstance(refused.__cause__, ValueError) or _lacks_package(refused):
            raise
        yield Finding(f"{kind}.builds", str(refused))
        return
    except Exception as error:
        yield Finding(f"{kind}.builds", f"{type(error).__name__}: {error}")
        return
    yield Finding(f"{kind}.builds")
    calls, promises = CHECKS[kind]
    asked = (finding for call in calls(plugin, subject) for finding in common.calls(call, plugin, subject))
    problems: list[str] = []
    for part in (promises(plugin, subject), asked):
        yield from _until_it_fails(part, problems)
    yield Finding(f"{kind}.works", "; ".join(dict.fromkeys(problems)) or None)


def require(registry: Registry, kind: str, choice: Choice) -> None:
    """For tests: raises BadPlugin, which names every promise that is broken."""
    broken = [f"{f.clause} ({f.promise}): {f.problem}" for f in check(registry, kind, choice) if f.problem]
    if broken:
        raise BadPlugin(f"{kind} {choice}: " + "; ".join(broken))


def cases(registry: Registry, origin: str | Path | None = None) -> list[tuple[str, Choice]]:
    """What can be checked of what a distribution, or a file, registered: (kind, choice), for pytest's parametrize.

    origin: the distribution's name, or the file's path; None for everything. A plugin with an option that has no
    default is left out: `require` takes it with that option.
    """
    entries = registry.entries() if origin is None else registered_by(registry, origin)
    whole = (entry for entry in entries if all(option.default is not REQUIRED for option in entry.options))
    return [(entry.kind, Choice(entry.name)) for entry in whole]


def registered_by(registry: Registry, origin: str | Path) -> list[Entry]:
    """What a distribution, or a file, registered. Raises BadOption where it registered nothing."""
    name = str(origin)
    names = {tidy(name), tidy(str(Path(name).expanduser().resolve()))}
    found = [e for e in registry.entries() if {tidy(e.origin), tidy(e.origin.rpartition(" ")[0])} & names]
    if not found:
        known = sorted({e.origin for e in registry.entries()})
        raise BadOption(f"{name} has registered no plugin; what is loaded comes from {', '.join(known)}")
    return found


def seconds(registry: Registry, kind: str, choice: Choice) -> float | None:
    """The median time of a plugin's main call on small numbers, in seconds; None for a kind that is not called."""
    subject = Subject(registry, kind, registry.resolve(kind, choice))
    plugin = subject.build()
    call = next(CHECKS[kind][0](plugin, subject), None)
    return None if call is None else common.seconds(call, plugin)


def _lacks_package(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ImportError):
        error = error.__cause__ or error.__context__
    return error is not None


def _until_it_fails(promises: Iterable[Finding], problems: list[str]) -> Iterator[Finding]:
    try:
        yield from promises
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.name}, line {place.lineno} of {Path(place.filename).name}"
        problems.append(f"{type(error).__name__}: {error} (in {where})")
