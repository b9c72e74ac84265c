"""The numbers of objective my_idea, worked by hand."""

from __future__ import annotations

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.types import Attempt

REGISTRY = load().registry


def test_the_loss_by_hand() -> None:
    goal = torch.zeros(3, 1, 1, 2)
    output = torch.tensor([[0.0, 0.0], [0.375, 0.375], [0.0, 0.375]]).view(3, 1, 1, 2)  # (0.375 / 0.5)^2 = 0.5625
    attempt = Attempt(output, goal, goal, torch.arange(3), None, {}, lambda: output, lambda latents: latents)
    losses = REGISTRY.build("objective", Choice("my_idea", {"c": 0.5})).losses(attempt)
    each = 2 * 0.25 * (1.25 - 1)  # 2 c^2 (sqrt(1 + 0.5625) - 1)
    assert losses.tolist() == pytest.approx([0, each, each / 2])


def test_a_turn_at_no_error_is_refused() -> None:
    with pytest.raises(BadOption, match="c is an error"):
        REGISTRY.build("objective", Choice("my_idea", {"c": 0}))
