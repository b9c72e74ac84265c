"""The numbers of noise my_idea, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_ln_snr_falls_evenly_between_its_ends() -> None:
    noise = REGISTRY.build("noise", Choice("my_idea", {"clean": 6, "noisy": -3.99}))
    snr = noise.snr(torch.tensor([0, 600, 999]))
    assert [math.log(v) for v in snr.tolist()] == pytest.approx([6.0, 0.0, -3.99], abs=1e-9)  # 0.01 for each timestep
    assert noise.a(torch.tensor([600])).item() == pytest.approx(0.5**0.5)  # as much signal as noise


def test_a_schedule_that_runs_backwards_is_refused() -> None:
    with pytest.raises(BadOption, match="below clean"):
        REGISTRY.build("noise", Choice("my_idea", {"clean": -1, "noisy": 1}))
