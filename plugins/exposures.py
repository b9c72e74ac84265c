"""Cures for exposure bias: what the network is shown in training, or what is made of its output in sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
        return x_t + self.gamma * noise.s(t)[:, None, None, None] * white


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


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("exposure", "none", NoExposure)
    registry.add("exposure", "input_perturbation", InputPerturbation, aliases=("ddpm_ip",))
    registry.add("exposure", "epsilon_scaling", EpsilonScaling)
