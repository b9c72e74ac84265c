"""The numbers of model my_idea, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from addp_bench.errors import BadOption, UnknownName
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.types import Sample

REGISTRY = load().registry
IMAGE = np.array([[[200, 20, 20], [20, 20, 200], [90, 90, 90], [200, 180, 180]]], np.uint8)  # red, blue, grey, pale red
GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "words, found",
    [
        ("the red cup", [True, False, False, False]),  # hue 0, saturation 0.9; the pale red has 0.1
        ("the blue cup", [False, True, False, False]),  # hue 240, 8 from that of the word
        ("red or blue", [True, True, False, False]),
        ("the largest cup", [False, False, False, False]),
    ],
)
def test_a_colour_word_finds_the_pixels_of_that_colour(words: str, found: list[bool]) -> None:
    sample = Sample("id", "photograph", IMAGE, None, words)
    model = REGISTRY.build("model", "my_idea")
    assert model.predict(sample, "ris", GENERATOR).tolist() == [found]


def test_a_task_it_has_no_answer_for_is_refused() -> None:
    model = REGISTRY.build("model", "my_idea")
    with pytest.raises(UnknownName, match="depth"):
        model.predict(Sample("id", "photograph", IMAGE, None), "depth", GENERATOR)


def test_a_width_beyond_the_colour_circle_is_refused() -> None:
    with pytest.raises(BadOption, match="width"):
        REGISTRY.build("model", Choice("my_idea", {"width": 181}))
