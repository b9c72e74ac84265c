"""Noise my_idea: how much of the signal is left at each timestep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.hookspecs import hookimpl
from addp_bench.schedule import TableNoise

if TYPE_CHECKING:
    from addp_bench.registry import Registry

requires_api = "1.0"

STEPS = 1000  # T, as in every schedule that comes along


class MyIdea(TableNoise):
    """The logarithm of the SNR falls evenly with t, so every factor of noise has as many timesteps.

    alphas_cumprod = SNR / (1 + SNR), a^2 + s^2 = 1 (the fixed schedule of VDM; Kingma et al., 2021).

    clean: ln SNR at t = 0. noisy: ln SNR at t = T - 1, below clean.
    """

    def __init__(self, clean: float = 7.0, noisy: float = -7.0) -> None:
        if not noisy < clean:
            raise ValueError(f"the SNR falls with t, so noisy is below clean, got {noisy} and {clean}")
        super().__init__(1.0 / (1.0 + np.exp(-np.linspace(clean, noisy, STEPS))))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("noise", "my_idea", MyIdea)
