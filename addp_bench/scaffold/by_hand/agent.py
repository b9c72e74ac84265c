"""The words of agent my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry
IMAGE = np.zeros((8, 8, 3), np.uint8)


def test_every_round_goes_on_where_the_last_one_stopped() -> None:
    agent = REGISTRY.build("agent", Choice("my_idea", {"also": "the other one"}))
    first = agent.propose(IMAGE, "the cup", [], 4)  # of six: one and five places
    assert first == [f"the cup, {w}" for w in ("the other one", "on the left", "on the right", "at the front")]
    second = agent.propose(IMAGE, "the cup", [{}], 4)
    assert second == [f"the cup, {w}" for w in ("at the back", "in the middle", "the other one", "on the left")]
    assert len(agent.propose(IMAGE, "the cup", [], 40)) == 6  # each once


def test_empty_words_are_refused() -> None:
    with pytest.raises(BadOption, match="also"):
        REGISTRY.build("agent", Choice("my_idea", {"also": "here++there"}))
