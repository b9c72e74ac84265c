"""Samplers: from noise to an answer, keeping every step's estimate of x0.

All of them live in variance-preserving coordinates, x_t = a x0 + s eps with a^2 = alphas_cumprod and s^2 = 1 - a^2. On
a flow DDIM's step is then Euler's step of the flow's own equation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import normal
from addp_bench.registry import Registry
from addp_bench.types import Step

if TYPE_CHECKING:
    from diffusers import DPMSolverMultistepScheduler
    from torch import Tensor

    from addp_bench.protocols import Denoise, Noise

    Names = Sequence[tuple[str | int, ...]]

Spacing = Literal["trailing", "leading", "linspace"]
FEW = 10  # steps; with so few the first leading timestep is far from noise
# diffusers' stand-in for "no signal" where a solver would divide by it (its rescale_betas_zero_snr)
NEARLY_NO_SIGNAL = 2.0**-24


@dataclass(frozen=True)
class Spaced:
    """Which timesteps are visited; the members that all samplers here share."""

    spacing: Spacing = "trailing"
    steps_offset: int = 1
    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.steps_offset < 0:
            raise ValueError(f"steps_offset must be 0 or more, got {self.steps_offset}")
        if self.spacing != "leading" and self.steps_offset != Spaced.steps_offset:
            raise ValueError(f"steps_offset belongs to spacing=leading, and spacing is {self.spacing}")

    def timesteps(self, noise: Noise, steps: int) -> Sequence[int]:
        """The timesteps visited, noisiest first. Raises BadOption for a number of steps that does not fit."""
        if not 1 <= steps <= noise.steps:
            raise BadOption(f"sampler {self.name}: steps must lie between 1 and {noise.steps}, got {steps}")
        t: np.ndarray
        if self.spacing == "leading":
            t = np.arange(steps)[::-1] * (noise.steps // steps) + self.steps_offset
            if t[0] >= noise.steps:
                raise BadOption(
                    f"sampler {self.name}: {steps} leading steps with steps_offset={self.steps_offset} begin at "
                    f"t = {t[0]}, but the schedule ends at {noise.steps - 1}; use fewer steps or spacing=trailing"
                )
        elif self.spacing == "trailing":
            t = np.round(np.arange(noise.steps, 0, -noise.steps / steps))[:steps] - 1
        else:
            t = np.linspace(0, noise.steps - 1, steps).round()[::-1]
        return [int(x) for x in t]

    def warning(self, noise: Noise, steps: int) -> str | None:
        """What is wrong with so few steps of this spacing; None where nothing is."""
        first, last = self.timesteps(noise, steps)[0], noise.steps - 1
        if steps > FEW or first == last:
            return None
        signal = float(noise.alphas_cumprod[first])
        return (
            f"sampler {self.name}: with spacing={self.spacing}, {steps} step{'s begin' if steps > 1 else ' begins'} at "
            f"t = {first}, where the network expects {signal:.0%} of the variance to be signal, but it is shown pure "
            f"noise. Say --sampler {self.name}:spacing=trailing, which begins at t = {last}"
        )


@dataclass(frozen=True)
class DDIM(Spaced):
    """x_t' = a' x0 + sqrt(1 - a'^2 - sigma^2) eps + sigma z (Song et al., 2021).

    sigma^2 = eta^2 (s'^2 / s^2) (1 - a^2 / a'^2); a, s belong to t, and a', s' to t', the next and less noisy step.

    From t it goes to t' = t - T // steps, as diffusers' DDIMScheduler does: the next visited timestep, exactly, where
    `steps` divides T and spacing is no linspace; beside it otherwise (far beside it for a few linspace steps). From the
    last visited timestep it goes to the answer, where diffusers leaves noise in it if t' is still 0 or more.

    spacing: "trailing" starts at T - 1 and serves any number of steps; "leading" with few steps starts at a timestep
    that is not noise (as Stable Diffusion ships it); "linspace" has both ends.

    steps_offset: added to every timestep of "leading"; Stable Diffusion uses 1.

    eta: 0 is deterministic, 1 as noisy as DDPM.

    set_alpha_to_one: the answer is the last estimate of x0; false leaves the noise of t = 0 in it (of t', where that is
    0 or more), as pipelines that ship with Stable Diffusion's settings do.
    """

    eta: float = 0.0
    set_alpha_to_one: bool = True
    name: ClassVar[str] = "ddim"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta lies in [0, 1], got {self.eta}")

    def trajectory(self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Names) -> Sequence[Step]:
        """From start (B, C, h, w): every step's t and estimate of x0, noisiest first; the last one holds the answer.

        names: B streams; with eta > 0 row i draws its noise at timestep t from the stream (*names[i], "ddim", t).
        """
        signal = noise.alphas_cumprod
        visited = self.timesteps(noise, steps)
        moves = []
        for t in visited:
            now, then = float(signal[t]), float(signal[max(t - noise.steps // steps, 0)])
            if t == visited[-1] and self.set_alpha_to_one:
                then = 1.0
            variance = self.eta**2 * posterior_variance(now, then)
            moves.append((t, now, then, variance, variance))
        return walked(denoise, start, moves, names)


@dataclass(frozen=True)
class DDPM(Spaced):
    """Ancestral sampling: x_t' is drawn from the posterior q(x_t' | x_t, x0) at the estimate of x0 (Ho et al., 2020).

    With beta = 1 - a^2 / a'^2 between visited timesteps, its mean is (a' beta x0 + (a / a') s'^2 x_t) / s^2. Nothing
    is drawn at the last step, whose answer is the estimate itself.

    spacing: "trailing" starts at T - 1 and serves any number of steps; "leading" with few steps starts at a timestep
    that is not noise; "linspace" has both ends.

    steps_offset: added to every timestep of "leading"; Stable Diffusion uses 1.

    variance: "small" is the posterior's, beta s'^2 / s^2; "large" is beta, more noise than the step took away.
    """

    variance: Literal["small", "large"] = "small"
    name: ClassVar[str] = "ddpm"

    def trajectory(self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Names) -> Sequence[Step]:
        """As DDIM's, and with its streams of noise, so that samplers are compared on the same draws."""
        moves = []
        visited = self.timesteps(noise, steps)
        levels = [*(float(noise.alphas_cumprod[t]) for t in visited), 1.0]
        for t, now, then in zip(visited, levels, levels[1:]):
            small = posterior_variance(now, then)
            added = small if self.variance == "small" or then == 1.0 else 1.0 - now / then
            moves.append((t, now, then, small, added))
        return walked(denoise, start, moves, names)


@dataclass(frozen=True)
class EulerAncestral(Spaced):
    """Euler-ancestral steps of k-diffusion, which InstructPix2Pix's and InstructCV's own programs take (100 of them).

    sigma = s / a goes down to sigma_down = sigma'^2 / sigma, and noise of variance sigma'^2 - sigma_down^2 is added. In
    variance-preserving coordinates that is the posterior's step, ddpm with variance=small between the same timesteps,
    and it is computed as such; so it is defined at SNR 0 too. What is its own is where it goes: from T - 1 to 0.
    Timesteps are whole numbers, where k-diffusion interpolates between them.

    spacing: "linspace" has both ends, as k-diffusion; "trailing" starts at T - 1 and serves any number of steps;
    "leading" with few steps starts at a timestep that is not noise.

    steps_offset: added to every timestep of "leading"; Stable Diffusion uses 1.
    """

    spacing: Spacing = "linspace"
    name: ClassVar[str] = "euler_ancestral"

    def trajectory(self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Names) -> Sequence[Step]:
        """DDPM's, at these timesteps."""
        return DDPM(self.spacing, self.steps_offset).trajectory(denoise, start, noise, steps, names)


@dataclass(frozen=True)
class DPMSolver(Spaced):
    """DPM-Solver++ (Lu et al., 2022), multistep, as diffusers' DPMSolverMultistepScheduler computes it (midpoint).

    It integrates the estimate of x0 over the logarithm of a / s; the answer is the last estimate. A schedule that ends
    without signal has no such logarithm there: its last alphas_cumprod counts as 2^-24, as in diffusers.

    spacing: "trailing" starts at T - 1 and serves any number of steps; "leading" with few steps starts at a timestep
    that is not noise; "linspace" has both ends.

    steps_offset: added to every timestep of "leading"; Stable Diffusion uses 1.

    order: 1 is DDIM's step to the next visited timestep; 2 is recommended with guidance, 3 without. The last step is of
    order 1, and with fewer than 15 steps the one before it of order 2 at most.
    """

    order: int = 2
    name: ClassVar[str] = "dpm_solver"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2, 3):
            raise ValueError(f"order is 1, 2 or 3, got {self.order}")

    def trajectory(self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Names) -> Sequence[Step]:
        """From start (B, C, h, w): every step's t and estimate of x0, noisiest first. Nothing is drawn."""
        scheduler = self._scheduler(noise, self.timesteps(noise, steps))
        visited, x_t = [], start
        for t in scheduler.timesteps:
            x0 = denoise(x_t, int(t))
            visited.append(Step(int(t), x0))
            x_t = scheduler.step(x0, t, x_t).prev_sample
        visited[-1] = Step(visited[-1].t, x_t)
        return visited

    def _scheduler(self, noise: Noise, timesteps: Sequence[int]) -> DPMSolverMultistepScheduler:
        import torch
        from diffusers import DPMSolverMultistepScheduler

        scheduler = DPMSolverMultistepScheduler(
            num_train_timesteps=noise.steps, solver_order=self.order, prediction_type="sample"
        )
        signal = np.array(noise.alphas_cumprod)
        if signal[-1] == 0:
            signal[-1] = min([2 * NEARLY_NO_SIGNAL, *signal[-2:-1]]) / 2  # below its neighbour in every table
        # not through trained_betas: a table made of them again would be float32, and could not end at 0
        scheduler.alphas_cumprod = torch.from_numpy(signal)
        scheduler.set_timesteps(timesteps=list(timesteps))
        scheduler.set_begin_index(0)  # else the first step searches for its index
        return scheduler


def posterior_variance(now: float, then: float) -> float:
    """Variance of q(x_t' | x_t, x0), from alphas_cumprod at t and at the less noisy t'."""
    return (1.0 - then) / (1.0 - now) * (1.0 - now / then) if then else 0.0


def walked(
    denoise: Denoise, start: Tensor, moves: Iterable[tuple[int, float, float, float, float]], names: Names
) -> Sequence[Step]:
    """Every step of x_t' = a' x0 + sqrt(1 - a'^2 - renewed) eps + sqrt(added) z.

    moves: t, alphas_cumprod there and at t', the variance of the noise that is renewed, and of what takes its place.
    """
    visited, x_t = [], start
    for t, now, then, renewed, added in moves:
        x0 = denoise(x_t, t)
        visited.append(Step(t, x0))
        eps = (x_t - now**0.5 * x0) / (1.0 - now) ** 0.5
        x_t = then**0.5 * x0 + max(1.0 - then - renewed, 0.0) ** 0.5 * eps
        if added > 0:
            # one stream for all samplers that draw, so that they are compared on the same noise
            white = normal(x_t.shape[1:], [(*name, "ddim", t) for name in names])
            x_t = x_t + added**0.5 * white.to(x_t)
    visited[-1] = Step(visited[-1].t, x_t)  # where a' = 1 this is the last x0 itself
    return visited


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("sampler", "ddim", DDIM)
    registry.add("sampler", "ddpm", DDPM)
    registry.add("sampler", "euler_ancestral", EulerAncestral)
    registry.add("sampler", "dpm_solver", DPMSolver)
