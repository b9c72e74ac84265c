"""Noise schedules: how much of the signal is left at each of 1000 timesteps."""

from __future__ import annotations

import numpy as np

from addp_bench import schedule
from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.schedule import TableNoise


class ScaledLinear(TableNoise):
    """Stable Diffusion's schedule: sqrt(beta) linear from sqrt(0.00085) to sqrt(0.012) (SD 1.x, 2.x, InstructPix2Pix).

    zero_snr: rescale so that the last step is pure noise (Lin et al., 2024; Marigold v1.1).

    shift: factor on the SNR at every t, positive; below 1 for latents smaller than 32 x 32.
    """

    def __init__(self, zero_snr: bool = False, shift: float = 1.0) -> None:
        super().__init__(schedule.from_betas(schedule.scaled_linear(), zero_snr, shift))


class Linear(TableNoise):
    """DDPM's schedule: beta linear from 0.0001 to 0.02 (Ho et al., 2020).

    zero_snr: rescale so that the last step is pure noise (Lin et al., 2024).

    shift: factor on the SNR at every t, positive.
    """

    def __init__(self, zero_snr: bool = False, shift: float = 1.0) -> None:
        super().__init__(schedule.from_betas(schedule.linear(), zero_snr, shift))


class Cosine(TableNoise):
    """Squared-cosine schedule with beta at most 0.999 (Nichol and Dhariwal, 2021).

    zero_snr: rescale so that the last step is pure noise (Lin et al., 2024).

    shift: factor on the SNR at every t, positive.
    """

    def __init__(self, zero_snr: bool = False, shift: float = 1.0) -> None:
        super().__init__(schedule.from_betas(schedule.cosine(), zero_snr, shift))


class Flow(TableNoise):
    """A straight path from data to noise: x_t = (1 - sigma) x0 + sigma eps, sigma = (t + 1) / 1000 (Liu et al., 2023).

    The last timestep is pure noise, so the target must be flow, v or x0. It is a variance-preserving process up to a
    scale, and samplers see it as one.

    shift: sigma becomes shift sigma / (1 + (shift - 1) sigma), which divides the SNR by shift^2 (Esser et al., 2024;
    diffusers); above 1 for more noise. The other schedules' shift is a factor on the SNR itself.
    """

    def __init__(self, shift: float = 1.0) -> None:
        a, s = schedule.flow(shift=shift)
        square = a**2 + s**2
        super().__init__(a**2 / square, np.sqrt(square))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("noise", "scaled_linear", ScaledLinear)
    registry.add("noise", "linear", Linear)
    registry.add("noise", "cosine", Cosine)
    registry.add("noise", "flow", Flow)
