"""Cures for exposure bias: what the network is shown in training, or what is made of its output in sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Denoise, Noise


class NoExposure:
    """Train on x_t as it is, sample with the noise estimate as it is."""

    perturbs: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    def train_input(self, x_t: Tensor, t: Tensor, noise: Noise, white: Tensor | None, denoise: Denoise) -> Tensor:
        """x_t (B, C, h, w)."""
        return x_t

    def sampled(self, eps: Tensor, index: int) -> Tensor:
        """eps (B, C, h, w)."""
        return eps


@dataclass(frozen=True)
class InputPerturbation(NoExposure):
    """More noise in the network's input than in its target, as sampling's drift has (DDPM-IP; Ning et al., ICML 2023).

    gamma: standard deviation of the extra noise in units of s(t), 0 or more; the authors take 0.1 (CIFAR-10: 0.15).
    """

    gamma: float = 0.1
    perturbs: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma is a standard deviation, 0 or more, got {self.gamma}")

    def train_input(self, x_t: Tensor, t: Tensor, noise: Noise, white: Tensor | None, denoise: Denoise) -> Tensor:
        """x_t + s gamma white; targets stay those of x_t."""
        assert white is not None, "who perturbs is given noise"
        return x_t + self.gamma * _each(noise.s(t)) * white


@dataclass(frozen=True)
class EpsilonScaling(NoExposure):
    """Divide the noise estimate by k i + b at the sampler's i-th step from the least noisy (Ning et al., ICLR 2024).

    Acts in sampling only, and not at a timestep without signal, where the estimate is x_t itself. No value was
    published for perception models; b from 1.000 to 1.010 is worth a sweep.

    k: slope, 0 or more. b: divisor at the least noisy step, positive; 1 with k = 0 changes nothing.
    """

    k: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.k < math.inf and 0 < self.b < math.inf):
            raise ValueError(f"the divisor k i + b must be positive at every step, got k={self.k}, b={self.b}")

    def sampled(self, eps: Tensor, index: int) -> Tensor:
        """eps / (k index + b); eps itself where the divisor is 1."""
        divisor = self.k * index + self.b
        return eps if divisor == 1.0 else eps / divisor


@dataclass(frozen=True)
class Rollout(NoExposure):
    """Train on inputs of the model's own trajectories, which ADDP calls ideal and too dear; augmentation imitates them.

    From fresh noise at T - 1 the network as it is now goes down to each sample's own t by DDIM, in equal steps rounded
    to whole timesteps, under the conditioning that the batch has (dropout included) and without guidance. Where it
    arrives is the input, and the goal is what leads from there to the clean x0. A sample at T - 1 is shown the fresh
    noise itself; one close to it goes as many steps as there are timesteps, and stands still in the others.

    Every training step asks the network `steps` times more, without gradient. What is sampled in the evaluation is not
    quite this: that has guidance, more steps, and the averaged weights.

    steps: DDIM steps from T - 1 to t, 1 or more; ours. share: chance of a sample to be rolled out, above 0 and up to 1;
    the others keep x_t; ours.
    """

    steps: int = 4
    share: float = 1.0
    perturbs: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    retargets: ClassVar[bool] = True
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps lead from noise to an input, 1 or more, got {self.steps}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is a chance above 0 and up to 1, got {self.share}")

    def train_input(
        self, x_t: Tensor, t: Tensor, noise: Noise, white: Tensor | None, denoise: Denoise, u: Tensor | None = None
    ) -> Tensor:
        """Where DDIM arrives at t (B,) from noise made of white; x_t (B, C, h, w) where u (B, 1) is not below share."""
        assert white is not None, "who perturbs is given noise"
        assert u is not None, "who draws is given numbers"
        last = noise.steps - 1
        x, now = noise.start(white), torch.full_like(t, last)
        for k in range(1, self.steps + 1):
            then = last - ((last - t) * k / self.steps).round().long()
            x0 = denoise(x, now)
            eps = (x - _each(noise.a(now)) * x0) / _each(noise.s(now))  # whatever a^2 + s^2 is
            x = torch.where(_each(then == now), x, _each(noise.a(then)) * x0 + _each(noise.s(then)) * eps)
            now = then
        return x if self.share == 1 else torch.where(_each(u[:, 0] < self.share), x, x_t)


def _each(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("exposure", "none", NoExposure)
    registry.add("exposure", "input_perturbation", InputPerturbation, aliases=("ddpm_ip",))
    registry.add("exposure", "epsilon_scaling", EpsilonScaling)
    registry.add("exposure", "rollout", Rollout)
