"""Augmentation my_idea: how strongly targets are corrupted at each timestep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Noise
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """Strength intensity (t / T)^power: 0 for the cleanest step, just under intensity for the noisiest.

    power: 1 is the built-in linear; above 1 the clean half of the trajectory is spared, below 1 it is not; positive.

    intensity: factor on the strength, 0 to 2.
    """

    power: float = 2.0
    intensity: float = 1.0
    corrupts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"power is an exponent, positive, got {self.power}")
        if not 0 <= self.intensity <= 2:
            raise ValueError(f"intensity multiplies the strength, 0 to 2, got {self.intensity}")

    def strength(self, t: Tensor, noise: Noise) -> Tensor:
        """Strength (B,) float32 in [0, 2] for timesteps t (B,) in 0 .. T - 1."""
        return (self.intensity * (t.double() / noise.steps) ** self.power).float()


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("aug", "my_idea", MyIdea)
