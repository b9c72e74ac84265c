"""Samplers: from noise to an answer, keeping every step's estimate of x0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import normal
from addp_bench.registry import Registry
from addp_bench.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Denoise, Noise


@dataclass(frozen=True)
class DDIM:
    """x_t' = a' x0 + sqrt(1 - a'^2 - sigma^2) eps + sigma z (Song et al., 2021).

    sigma^2 = eta^2 (s'^2 / s^2) (1 - a^2 / a'^2); a, s belong to t, and a', s' to t', the next and less noisy step.

    From t it goes to t' = t - T // steps, as diffusers' DDIMScheduler does: the next visited timestep, exactly, where
    `steps` divides T and spacing is no linspace; beside it otherwise (far beside it for a few linspace steps).

    eta: 0 is deterministic, 1 as noisy as DDPM.

    spacing: "trailing" starts at T - 1 and serves any number of steps; "leading" with few steps starts at a timestep
    that is not noise (as Stable Diffusion ships it); "linspace" has both ends.

    steps_offset: added to every timestep of "leading"; Stable Diffusion uses 1.

    set_alpha_to_one: the answer is the last estimate of x0; false leaves the noise of t = 0 in it, as pipelines that
    ship with Stable Diffusion's settings do.
    """

    eta: float = 0.0
    spacing: Literal["trailing", "leading", "linspace"] = "trailing"
    steps_offset: int = 1
    set_alpha_to_one: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta lies in [0, 1], got {self.eta}")
        if self.steps_offset < 0:
            raise ValueError(f"steps_offset must be 0 or more, got {self.steps_offset}")

    def timesteps(self, noise: Noise, steps: int) -> Sequence[int]:
        """The timesteps visited, noisiest first. Raises BadOption for a number of steps that does not fit."""
        if not 1 <= steps <= noise.steps:
            raise BadOption(f"sampler ddim: steps must lie between 1 and {noise.steps}, got {steps}")
        t: np.ndarray
        if self.spacing == "leading":
            t = np.arange(steps)[::-1] * (noise.steps // steps) + self.steps_offset
            if t[0] >= noise.steps:
                raise BadOption(
                    f"sampler ddim: {steps} leading steps with steps_offset={self.steps_offset} begin at t = {t[0]}, "
                    f"but the schedule ends at {noise.steps - 1}; use fewer steps or spacing=trailing"
                )
        elif self.spacing == "trailing":
            t = np.round(np.arange(noise.steps, 0, -noise.steps / steps))[:steps] - 1
        else:
            t = np.linspace(0, noise.steps - 1, steps).round()[::-1]
        return [int(x) for x in t]

    def trajectory(
        self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Sequence[tuple[str | int, ...]]
    ) -> Sequence[Step]:
        """From start (B, C, h, w): every step's t and estimate of x0, noisiest first; the last one holds the answer.

        names: B streams; with eta > 0 row i draws its noise at timestep t from the stream (*names[i], "ddim", t).
        """
        signal = noise.alphas_cumprod
        final = 1.0 if self.set_alpha_to_one else float(signal[0])
        visited = []
        x_t = start
        for t in self.timesteps(noise, steps):
            now, before = float(signal[t]), t - noise.steps // steps
            then = float(signal[before]) if before >= 0 else final
            x0 = denoise(x_t, t)
            visited.append(Step(t, x0))
            eps = (x_t - now**0.5 * x0) / (1.0 - now) ** 0.5
            variance = self.eta**2 * (1.0 - then) / (1.0 - now) * (1.0 - now / then) if then else 0.0
            x_t = then**0.5 * x0 + max(1.0 - then - variance, 0.0) ** 0.5 * eps
            if variance > 0:
                white = normal(x_t.shape[1:], [(*name, "ddim", t) for name in names])
                x_t = x_t + variance**0.5 * white.to(x_t)
        visited[-1] = Step(visited[-1].t, x_t)  # where a' = 1 this is the last x0 itself
        return visited


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("sampler", "ddim", DDIM)
