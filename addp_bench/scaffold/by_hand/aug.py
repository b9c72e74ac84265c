"""The numbers of aug my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.schedule import TableNoise
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_the_strength_by_hand() -> None:
    noise = TableNoise(np.array([0.9, 0.7, 0.5, 0.3]))  # T = 4
    aug = REGISTRY.build("aug", Choice("my_idea", {"power": 2, "intensity": 1.6}))
    assert aug.strength(torch.arange(4), noise).tolist() == pytest.approx([0, 0.1, 0.4, 0.9])  # 1.6 (t / 4)^2


def test_an_intensity_that_corruptions_do_not_take_is_refused() -> None:
    with pytest.raises(BadOption, match="intensity"):
        REGISTRY.build("aug", Choice("my_idea", {"intensity": 2.1}))
