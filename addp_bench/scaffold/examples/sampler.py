"""Sampler my_idea: from noise to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Denoise, Noise
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """Euler's step along the straight line through x_t and the estimate, at timesteps (T - 1) (1 - i / steps)^power.

    In variance-preserving coordinates, x_t = a x0 + s eps, that is x_t' = a' x0 + s' eps: DDIM without its own noise
    (Song et al., 2021), which proposes power = 2 for some data.

    power: 1 is even in t; above 1 more of the steps are spent near the clean end; positive.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"power is an exponent, positive, got {self.power}")

    def timesteps(self, noise: Noise, steps: int) -> Sequence[int]:
        """The timesteps visited, noisiest first, each once. Raises BadOption for more steps than timesteps."""
        if not 1 <= steps <= noise.steps:
            raise BadOption(f"sampler my_idea takes 1 to {noise.steps} steps, got {steps}")
        last = noise.steps - 1
        visited: list[int] = []
        for i in reversed(range(steps)):  # from the cleanest: rounding may not let two fall on one timestep
            t = round(last * (1 - i / steps) ** self.power)
            least = visited[-1] + 1 if visited else 0
            visited.append(min(max(t, least), last - i))
        return visited[::-1]

    def trajectory(
        self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Sequence[tuple[str | int, ...]]
    ) -> Sequence[Step]:
        """From start (B, C, h, w): every step's t and estimate of x0, noisiest first; the last one is the answer.

        names: the stream of each sample, for `addp_bench.randomness.normal`; nothing is drawn here.
        """
        visited = self.timesteps(noise, steps)
        x, seen = start, []
        for t, then in zip(visited, [*visited[1:], None]):
            x0 = denoise(x, t)
            seen.append(Step(t, x0))
            if then is not None:
                (a, s), (a_then, s_then) = _coefficients(noise, t), _coefficients(noise, then)
                x = a_then * x0 + s_then * (x - a * x0) / s
        return seen


def _coefficients(noise: Noise, t: int) -> tuple[float, float]:
    signal = float(noise.alphas_cumprod[t])
    return signal**0.5, (1.0 - signal) ** 0.5


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("sampler", "my_idea", MyIdea)
