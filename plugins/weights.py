"""Weights: which timesteps are trained, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.timesteps import Scaling, VectorDraws, group_mass, spread

if TYPE_CHECKING:
    from addp_bench.contribution import Contribution

    from addp_bench.protocols import Noise, Target


@dataclass(frozen=True)
class Uniform:
    """Every timestep alike (Ho et al., 2020).

    scaling: "prob" or "loss"; for a uniform strategy they are the same.
    """

    scaling: Scaling = "prob"
    needs_contribution: ClassVar[bool] = False

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Draws with p = 1 / T and weight 1."""
        return VectorDraws("uniform", np.ones(noise.steps), "probability", self.scaling, noise, target)


@dataclass(frozen=True)
class Diffusion:
    """c^2 proportional to 1 / SNR(t): how strongly the noise estimate at t enters x0 (ADDP, section 4).

    As a probability it is drawn as it is, whatever the network predicts. As a loss weight it is said for epsilon's
    error and converted: on x0's error it is constant, on v's 1 / (1 + SNR).

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    grouped: share the mass of each of ten groups evenly among its timesteps.

    snr_min: SNR counts as at least this; needed on schedules that end near pure noise (0.0047 is where Stable
    Diffusion's ends).
    """

    scaling: Scaling = "prob"
    grouped: bool = False
    snr_min: float | None = None
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.snr_min is not None and not self.snr_min > 0:
            raise ValueError(f"snr_min must be positive, got {self.snr_min}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Raises BadOption on a schedule that ends in pure noise, unless snr_min is given."""
        signal = noise.alphas_cumprod
        if self.snr_min is None and signal.min() < 1e-8:
            raise BadOption(
                "weights diffusion: the schedule ends in pure noise, and 1 / SNR would give nearly all weight to its "
                "last steps. Say diffusion:snr_min=0.0047 (Stable Diffusion's schedule ends there), or change --noise."
            )
        c2 = 1.0 / np.maximum(signal / (1.0 - signal), self.snr_min or 0.0)
        if self.grouped:
            c2 = spread(group_mass(c2), noise.steps)
        native = "probability" if self.scaling == "prob" else "epsilon"
        return VectorDraws("diffusion", c2, native, self.scaling, noise, target)  # type: ignore[arg-type]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "uniform", Uniform)
    registry.add("weights", "diffusion", Diffusion, aliases=("diffusion_c2",))
