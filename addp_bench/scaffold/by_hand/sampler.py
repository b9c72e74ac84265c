"""The numbers of sampler my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.schedule import TableNoise
from addp_bench.spec import Choice

REGISTRY = load().registry
NOISE = TableNoise(np.array([0.96, 0.91, 0.64, 0.36, 0.19]))


def test_timesteps_are_denser_near_the_clean_end_and_never_twice_the_same() -> None:
    sampler = REGISTRY.build("sampler", "my_idea")
    assert sampler.timesteps(REGISTRY.build("noise", "scaled_linear"), 4) == [999, 562, 250, 62]  # 999 (1 - i / 4)^2
    assert sampler.timesteps(NOISE, 5) == [4, 3, 2, 1, 0]
    with pytest.raises(BadOption, match="1 to 5 steps"):
        sampler.timesteps(NOISE, 6)


def test_one_step_by_hand() -> None:
    shown: list[float] = []

    def says_half(x: torch.Tensor, t: int) -> torch.Tensor:
        shown.append(x.item())
        return torch.full_like(x, 0.5)

    start = torch.ones(1, 1, 1, 1)
    sampler = REGISTRY.build("sampler", Choice("my_idea", {"power": 1}))
    seen = sampler.trajectory(says_half, start, NOISE, 2, [("x",)])
    assert [step.t for step in seen] == [4, 2]
    eps = (1.0 - 0.19**0.5 * 0.5) / 0.9  # (x - a x0) / s at t = 4
    assert shown == pytest.approx([1.0, 0.8 * 0.5 + 0.6 * eps])  # a' x0 + s' eps at t = 2
    assert seen[-1].x0.item() == 0.5
