"""Exposure my_idea: a cure for exposure bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Denoise, Noise
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """More noise in the network's input than in its target, less and less of it towards the noisiest step.

    Sampling's errors add up from T - 1 down, so the extra noise is gamma (1 - t / T) in units of s(t): none where
    sampling begins. The built-in input_perturbation adds the same at every timestep.

    gamma: standard deviation of the extra noise at t = 0 in units of s(t), 0 or more.
    """

    gamma: float = 0.2

    perturbs: ClassVar[bool] = True  # train_input is given fresh noise
    trains: ClassVar[bool] = True  # False for a cure that acts in `sampled` alone

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"gamma is a standard deviation, 0 or more, got {self.gamma}")

    def train_input(self, x_t: Tensor, t: Tensor, noise: Noise, white: Tensor | None, denoise: Denoise) -> Tensor:
        """x_t + s gamma (1 - t / T) white, all (B, C, h, w), t (B,); the goal stays that of x_t."""
        assert white is not None, "who perturbs is given noise"
        extra = self.gamma * (1.0 - t / noise.steps) * noise.s(t)
        return x_t + extra[:, None, None, None] * white

    def sampled(self, eps: Tensor, index: int) -> Tensor:
        """The noise estimate (B, C, h, w) to go on with, at the sampler's index-th step from the least noisy, 0."""
        return eps


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("exposure", "my_idea", MyIdea)
