"""Weights my_idea: most of the training goes to timesteps near one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.timesteps import Scaling, VectorDraws

if TYPE_CHECKING:
    from addp_bench.contribution import Contribution
    from addp_bench.protocols import Noise, Target
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """A bump over the timesteps: floor + exp(-(t - centre)^2 / (2 width^2)), divided by its sum.

    centre: timestep that is trained most, 0 (the cleanest) to T - 1. width: standard deviation of the bump in
    timesteps, positive. floor: what every timestep has beside the bump, whose height is 1; 0 or more.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.
    """

    centre: int = 700
    width: float = 150.0
    floor: float = 0.1
    scaling: Scaling = "prob"
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.centre < 0:
            raise ValueError(f"centre is a timestep, 0 or more, got {self.centre}")
        if not self.width > 0:
            raise ValueError(f"width is a number of timesteps, positive, got {self.width}")
        if not self.floor >= 0:
            raise ValueError(f"floor is a share of the bump's height, 0 or more, got {self.floor}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Raises BadOption for a centre beyond the schedule, whose length is known only here."""
        if self.centre >= noise.steps:
            raise BadOption(f"centre={self.centre}, but the schedule ends at {noise.steps - 1}; take a smaller one")
        t = np.arange(noise.steps)
        bump = self.floor + np.exp(-((t - self.centre) ** 2) / (2 * self.width**2))
        return VectorDraws("my_idea", bump, "probability", self.scaling, noise, target)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "my_idea", MyIdea)
