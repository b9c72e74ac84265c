"""Augmentation schedules: how strongly targets are corrupted at each timestep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Noise

STRONGEST = 2.0  # what corruptions accept; ADDP's intensity study ends there (its figure 8)


@dataclass(frozen=True)
class NoAug:
    """No corruption at any timestep."""

    corrupts: ClassVar[bool] = False

    def strength(self, t: Tensor, noise: Noise) -> Tensor:
        """0 (B,) float32 for timesteps t (B,)."""
        return torch.zeros_like(t, dtype=torch.float32)


@dataclass(frozen=True)
class _Scaled:
    intensity: float = 1.0
    corrupts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.intensity <= STRONGEST:
            raise ValueError(f"intensity multiplies the strength, 0 to {STRONGEST:g}, got {self.intensity}")

    def strength(self, t: Tensor, noise: Noise) -> Tensor:
        """Strength (B,) float32 in [0, 2] for timesteps t (B,) in 0 .. T - 1."""
        return (self.intensity * self.relative(t, noise)).float()

    def relative(self, t: Tensor, noise: Noise) -> Tensor:
        """m(t) in [0, 1], before intensity (B,)."""
        raise NotImplementedError  # each schedule says its own m(t); this class is not registered


@dataclass(frozen=True)
class Constant(_Scaled):
    """The same strength at every timestep (ADDP, table D, "static").

    intensity: the strength itself, 0 to 2.
    """

    def relative(self, t: Tensor, noise: Noise) -> Tensor:
        """1 everywhere."""
        return torch.ones_like(t, dtype=torch.float64)


@dataclass(frozen=True)
class Linear(_Scaled):
    """Strength t / T: 0 for the cleanest step, just under 1 for the noisiest (ADDP, appendix A.3).

    intensity: factor on the strength, 0 to 2.
    """

    def relative(self, t: Tensor, noise: Noise) -> Tensor:
        """t / T in [0, 1)."""
        return t.double() / noise.steps


@dataclass(frozen=True)
class Tada(_Scaled):
    """Strong at nearly clean and at very noisy steps, weak in a band between (TADA; Park et al., 2023).

    m = clip(kappa (r - rough)(r - fine) + delta, 0, 1) with r = ln SNR(t).

    intensity: factor on the strength, 0 to 2.

    rough: ln SNR at the noisy end of the band, where m is delta.

    fine: ln SNR at the clean end of the band, where m is delta.

    delta: strength at both ends of the band, 0 to 1.

    kappa: steepness; not given, it is chosen so that m just reaches 0 in the middle of the band (the paper's own
    value is not recoverable).

    side: latent side for the resolution calibration SNR / (side / 64)^2 of Hoogeboom et al. (2023); none without it.
    """

    rough: float = -3.0
    fine: float = 0.0
    delta: float = 0.1
    kappa: float | None = None
    side: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rough < self.fine:
            raise ValueError(f"the band needs rough < fine, got {self.rough} and {self.fine}")
        if not 0 <= self.delta <= 1:
            raise ValueError(f"delta is a strength in [0, 1], got {self.delta}")
        if self.kappa is not None and not self.kappa > 0:
            raise ValueError(f"kappa must be positive, got {self.kappa}")
        if self.side is not None and self.side < 1:
            raise ValueError(f"side is a latent's side in pixels, got {self.side}")

    def relative(self, t: Tensor, noise: Noise) -> Tensor:
        """m(t) in [0, 1]; 1 where the SNR is 0."""
        kappa = 4 * self.delta / (self.fine - self.rough) ** 2 if self.kappa is None else self.kappa
        r = torch.log(noise.snr(t) / ((self.side or 64) / 64) ** 2)
        return (kappa * (r - self.rough) * (r - self.fine) + self.delta).clamp(0.0, 1.0)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("aug", "none", NoAug)
    registry.add("aug", "constant", Constant)
    registry.add("aug", "linear", Linear)
    registry.add("aug", "tada", Tada)
