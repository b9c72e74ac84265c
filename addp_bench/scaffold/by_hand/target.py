"""The numbers of target my_idea, worked by hand."""

from __future__ import annotations

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_the_goal_by_hand() -> None:
    x0, eps, a, s = (torch.tensor(v).view(1, 1, 1, 1) for v in (2.0, 1.0, 0.8, 0.6))
    x_t = a * x0 + s * eps  # 2.2
    target = REGISTRY.build("target", Choice("my_idea", {"data": 0.75}))
    # s^2 + d^2 a^2 = 0.36 + 0.36 = 0.72; skip = 0.5625 x 0.8 / 0.72 = 0.625; out = 0.75 x 0.6 / sqrt(0.72)
    goal = (2.0 - 0.625 * 2.2) / (0.45 / 0.72**0.5)
    assert target.of(x0, x_t, eps, a, s).item() == pytest.approx(goal)
    assert target.to_x0(torch.tensor(goal), x_t, a, s).item() == pytest.approx(2.0)


def test_with_unit_data_it_is_minus_v() -> None:
    x0, eps = torch.rand(2, 4, 2, 2), torch.rand(2, 4, 2, 2)
    a, s = (torch.full((2, 1, 1, 1), v) for v in (0.8, 0.6))
    mine, v = (REGISTRY.build("target", name) for name in ("my_idea", "v"))
    given = (x0, a * x0 + s * eps, eps, a, s)
    assert torch.allclose(mine.of(*given), -v.of(*given), atol=1e-6)


def test_data_without_variance_is_refused() -> None:
    with pytest.raises(BadOption, match="data"):
        REGISTRY.build("target", Choice("my_idea", {"data": 0}))
