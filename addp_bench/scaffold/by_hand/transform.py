"""The numbers of transform my_idea, worked by hand."""

from __future__ import annotations

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_gamma_by_hand() -> None:
    transform = REGISTRY.build("transform", Choice("my_idea", {"strongest": 2}))
    photos = torch.zeros(3, 3, 2, 2)  # half bright
    truth = torch.ones(3, 2, 2, dtype=torch.bool)
    changed, same = transform.apply(photos, truth, torch.tensor([[0.0], [0.5], [1.0]]))  # gamma 1/2, 1, 2
    brightness = 0.5 * changed[:, 0, 0, 0] + 0.5
    assert brightness.tolist() == pytest.approx([0.5**0.5, 0.5, 0.25], abs=1e-6)
    assert torch.equal(same, truth)


def test_a_gamma_that_changes_nothing_is_refused() -> None:
    with pytest.raises(BadOption, match="strongest"):
        REGISTRY.build("transform", Choice("my_idea", {"strongest": 1}))
