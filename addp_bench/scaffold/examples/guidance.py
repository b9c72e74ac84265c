"""Guidance my_idea: how the network's outputs under different conditionings are combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """e(0, 0) + scale [e(D, I) - e(0, 0)]: words D and photograph I pull together (Ho and Salimans, 2022).

    It takes two passes of the network for each step, where the built-in image_text takes three.

    scale: weight of both; 1 is the network as it is, in one pass.
    """

    scale: float = 2.0

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """Of each (text, image), each "full" or "null"; they sum to 1."""
        return {("null", "null"): 1.0 - self.scale, ("full", "full"): self.scale}


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("guidance", "my_idea", MyIdea)
