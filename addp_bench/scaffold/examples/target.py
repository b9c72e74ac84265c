"""Target my_idea: what the network outputs, and what that says of x0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """What is left of x0 after the best linear guess from x_t, at unit variance (EDM; Karras et al., 2022).

    F = (x0 - skip x_t) / out, with skip = d^2 a / (s^2 + d^2 a^2) and out = d s / sqrt(s^2 + d^2 a^2), d for data. With
    data = 1 and a^2 + s^2 = 1 it is -v.

    data: standard deviation of clean latents, positive.
    """

    data: float = 1.0

    accepts_corruption: ClassVar[bool] = True  # the goal is made of x_t and the clean x0, whatever was noised

    def __post_init__(self) -> None:
        if not self.data > 0:
            raise ValueError(f"data is a standard deviation, positive, got {self.data}")

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """F (B, C, h, w), consistent with x_t and the clean x0. Needs s > 0."""
        skip, out = self._coefficients(a, s)
        return (x0 - skip * x_t) / out

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """skip x_t + out F; defined at a = 0 too."""
        skip, out = self._coefficients(a, s)
        return skip * x_t + out * output

    def error_scale(self, snr: Tensor) -> Tensor:
        """|F error|^2 = (SNR + 1 / data^2) |x0 error|^2, which is 1 / out^2 of it."""
        return snr + self.data**-2

    def _coefficients(self, a: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        variance = s.square() + (self.data * a).square()
        return self.data**2 * a / variance, self.data * s / variance.sqrt()


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("target", "my_idea", MyIdea)
