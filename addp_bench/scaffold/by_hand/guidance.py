"""The numbers of guidance my_idea, worked by hand."""

from __future__ import annotations

import pytest

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_the_coefficients_by_hand() -> None:
    guidance = REGISTRY.build("guidance", Choice("my_idea", {"scale": 3.5}))
    assert guidance.coefficients() == {("null", "null"): -2.5, ("full", "full"): 3.5}


def test_a_scale_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadOption, match="scale"):
        REGISTRY.build("guidance", Choice("my_idea", {"scale": "much"}))
