"""Objective my_idea: the loss of a batch, per sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry
    from addp_bench.types import Attempt

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """Pseudo-Huber: squared for small errors, linear for large ones (Charbonnier et al., 1997).

    2 c^2 (sqrt(1 + (e / c)^2) - 1) of each element's error e, averaged over channels and pixels; e^2 for e far below c.

    c: error at which it turns from squared to linear, in units of the target, positive.
    """

    c: float = 0.3

    def __post_init__(self) -> None:
        if not self.c > 0:
            raise ValueError(f"c is an error in units of the target, positive, got {self.c}")

    def losses(self, attempt: Attempt) -> Tensor:
        """(B,) float32."""
        error = (attempt.output.float() - attempt.goal.float()) / self.c
        return 2.0 * self.c**2 * ((1.0 + error.square()).sqrt() - 1.0).mean(dim=(1, 2, 3))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("objective", "my_idea", MyIdea)
