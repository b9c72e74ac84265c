"""The contracts of plugins as programs, run by our tests, by other people's and by `addp-bench check plugin`.

A check yields (promise, problem) pairs, problem None where the promise is kept. What a contract says in words alone
(that a docstring is true, that a result is right) is not checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from addp_bench.errors import BadPlugin
from addp_bench.registry import Registry
from addp_bench.spec import Choice

from . import changing, diffusion, drawing, perception
from .given import Finding

__all__ = ["CHECKS", "Finding", "check", "require"]

CHECKS: dict[str, Callable[[Any, Registry], Iterator[Finding]]] = {
    "task": perception.task,
    "dataset": perception.dataset,
    "encoding": drawing.encoding,
    "weights": diffusion.weights,
    "aug": changing.aug,
    "corruption": changing.corruption,
    "transform": changing.transform,
    "exposure": diffusion.exposure,
    "target": diffusion.target,
    "noise": diffusion.noise,
    "objective": diffusion.objective,
    "model": perception.model,
    "sampler": diffusion.sampler,
    "guidance": diffusion.guidance,
    "agent": perception.agent,
    "executor": perception.executor,
    "tracker": perception.tracker,
}


def check(registry: Registry, kind: str, choice: Choice) -> Iterator[Finding]:
    """Every promise of a plugin's kind, on small numbers.

    Raises UnknownName for a plugin that is not registered, BadOption for its options. An exception inside of the
    plugin breaks the promise that was being looked at, and ends the check.
    """
    plugin = registry.build(kind, registry.resolve(kind, choice))
    promises = CHECKS[kind](plugin, registry)
    while True:
        try:
            yield next(promises)
        except StopIteration:
            return
        except Exception as error:
            yield "does what it is asked", f"{type(error).__name__}: {error}"
            return


def require(registry: Registry, kind: str, choice: Choice) -> None:
    """For tests: raises BadPlugin, which names every promise that is broken."""
    if broken := [f"{promise}: {problem}" for promise, problem in check(registry, kind, choice) if problem]:
        raise BadPlugin(f"{kind} {choice}: " + "; ".join(broken))
