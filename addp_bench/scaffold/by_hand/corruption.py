"""The numbers of corruption my_idea, worked by hand."""

from __future__ import annotations

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_a_square_grows_and_shrinks_by_whole_pixels() -> None:
    masks = torch.zeros(3, 20, 20, dtype=torch.bool)
    masks[:, 8:12, 8:12] = True  # 4 x 4 pixels
    corruption = REGISTRY.build("corruption", Choice("my_idea", {"most": 0.05}))  # 1 of 20
    u = torch.tensor([[1.0], [0.0], [0.5]])  # grow, shrink, neither
    areas = corruption.corrupt(masks, torch.ones(3), u).sum(dim=(1, 2))
    assert areas.tolist() == [6 * 6, 2 * 2, 4 * 4]
    twice = corruption.corrupt(masks, torch.full((3,), 2.0), u).sum(dim=(1, 2))
    assert twice.tolist() == [8 * 8, 2 * 2, 4 * 4]  # shrunk twice nothing would be left


def test_an_outline_that_moves_too_far_is_refused() -> None:
    with pytest.raises(BadOption, match="most"):
        REGISTRY.build("corruption", Choice("my_idea", {"most": 0.5}))
