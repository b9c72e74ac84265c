"""Noise schedules: how much of the signal is left at each of 1000 timesteps."""

from __future__ import annotations

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


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("noise", "scaled_linear", ScaledLinear)
    registry.add("noise", "linear", Linear)
    registry.add("noise", "cosine", Cosine)
