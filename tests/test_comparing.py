"""Answers are compared by value, shape and type, and the world's random states are put back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from addp_bench.checks.comparing import differ, flat, moved, row_of, states_kept, stir
from addp_bench.types import Boxes, Query


def boxes() -> Boxes:
    return Boxes(torch.zeros(3, 2, 4), torch.arange(6).view(3, 2), torch.ones(3, 2, dtype=torch.bool), (8, 8))


@pytest.mark.parametrize("one, other, told", [
    (np.ones(2), np.ones(2, np.float32), "it is float64 (2,), then float32 (2,)"),
    (np.ones(2), np.ones(3), "it is float64 (2,), then float64 (3,)"),
    ({"a": torch.tensor([1.0, np.nan])}, {"a": torch.tensor([1.5, np.nan])}, "a differs by 0.5"),
    ([1, "x"], [1, "y"], "1 is 'x', then 'y'"),
    ({"a": 1}, {"b": 1}, "a, b is in one alone"),
    ([True], [False], "0 is True, then False"),
    ([Query("a")], [Query("b")], "0.prompt is 'a', then 'b'"),
    (torch.tensor([True, False]), torch.tensor([True, True]), "it differs by 1"),
])  # fmt: skip
def test_what_differs_is_named(one, other, told):
    assert differ(one, one) is None
    assert differ(one, other) == told


def test_near_is_near_enough():
    assert differ(torch.ones(2), torch.ones(2) + 1e-4, 1e-3) is None
    assert differ(torch.ones(2), torch.ones(2) + 1e-2, 1e-3) is not None


def test_a_row_is_the_sample_s_part_of_everything_that_has_rows():
    row = row_of({"boxes": boxes(), "names": ["a", "b", "c"], "steps": [1, 2], "whole": torch.ones(5)}, 1, 3)
    assert row["boxes"].labels.tolist() == [[2, 3]]
    assert (row["boxes"].size, row["names"], row["steps"], len(row["whole"])) == ((8, 8), ["b"], [1, 2], 5)


def test_every_tensor_moves_and_a_copy_keeps_what_was():
    assert moved({"a": [boxes()]}, torch.device("meta"))["a"][0].xyxy.device.type == "meta"
    given = {"x": torch.zeros(2)}
    before = flat(given)
    given["x"] += 1
    assert differ(before, flat(given)) == "x differs by 1"


def test_random_states_are_watched_and_put_back():
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    with states_kept() as touched:
        stir(5)
        torch.rand(1)
    assert touched == ["python", "numpy", "torch"]
    with states_kept() as untouched:
        pass
    assert untouched == []
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
