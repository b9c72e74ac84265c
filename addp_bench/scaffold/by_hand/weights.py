"""The numbers of weights my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.schedule import TableNoise
from addp_bench.spec import Choice

REGISTRY = load().registry
NOISE = TableNoise(np.array([0.9, 0.7, 0.5, 0.3, 0.1]))  # five timesteps


def test_the_bump_by_hand() -> None:
    bump = REGISTRY.build("weights", Choice("my_idea", {"centre": 2, "width": 1, "floor": 0}))
    draws = bump.bind(NOISE, REGISTRY.build("target", "x0"), None)
    height = np.exp([-2.0, -0.5, 0.0, -0.5, -2.0])  # -(t - 2)^2 / 2
    assert draws.probabilities == pytest.approx(height / height.sum())
    t, weight = draws.draw(torch.tensor([0.0, 0.5, 0.999]), step=0)
    assert t.tolist() == [0, 2, 4]
    assert weight.tolist() == [1, 1, 1]


def test_a_centre_beyond_the_schedule_is_refused() -> None:
    bump = REGISTRY.build("weights", Choice("my_idea", {"centre": 5}))
    with pytest.raises(BadOption, match="ends at 4"):
        bump.bind(NOISE, REGISTRY.build("target", "x0"), None)


def test_a_bump_without_a_width_is_refused() -> None:
    with pytest.raises(BadOption, match="width"):
        REGISTRY.build("weights", Choice("my_idea", {"width": 0}))
