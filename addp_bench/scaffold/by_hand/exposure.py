"""The numbers of exposure my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.schedule import TableNoise
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_the_extra_noise_by_hand() -> None:
    noise = TableNoise(np.array([0.91, 0.64, 0.36, 0.19]))  # s = 0.3, 0.6, 0.8, 0.9
    cure = REGISTRY.build("exposure", Choice("my_idea", {"gamma": 0.5}))
    white = torch.ones(4, 1, 2, 2)
    shown = cure.train_input(torch.zeros(4, 1, 2, 2), torch.arange(4), noise, white, lambda x, t: x)
    expected = [0.5 * 0.3, 0.5 * 0.75 * 0.6, 0.5 * 0.5 * 0.8, 0.5 * 0.25 * 0.9]  # gamma (1 - t / 4) s
    assert shown[:, 0, 0, 0].tolist() == pytest.approx(expected)


def test_sampling_is_left_alone() -> None:
    eps = torch.rand(1, 4, 2, 2)
    assert torch.equal(REGISTRY.build("exposure", "my_idea").sampled(eps, 3), eps)


def test_less_than_no_noise_is_refused() -> None:
    with pytest.raises(BadOption, match="gamma"):
        REGISTRY.build("exposure", Choice("my_idea", {"gamma": -0.1}))
