"""The numbers of task my_idea, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from addp_bench.errors import BadOption, BadPrediction
from addp_bench.loading import load
from addp_bench.statistics import columns_of
from addp_bench.types import Sample

REGISTRY = load().registry
TRUTH = np.zeros((4, 5), bool)
TRUTH[:2] = True  # 10 of 20 pixels


def sample_of(truth: np.ndarray) -> Sample:
    return Sample("id", "photograph", np.zeros((*truth.shape, 3), np.uint8), truth)


def test_two_samples_by_hand() -> None:
    answer = np.zeros((4, 5), bool)
    answer[1:3] = True  # 10 pixels, 5 of them right
    task = REGISTRY.build("task", "my_idea")
    judge = task.evaluator({"smallest": 0.01})
    rows = [judge.statistics(sample_of(TRUTH), answer), judge.statistics(sample_of(TRUTH), np.ones((4, 5), bool))]
    dice, area = judge.metrics
    assert float(dice.value(columns_of(rows))) == pytest.approx((2 * 5 + 2 * 10) / (20 + 30))
    assert float(area.value(columns_of(rows))) == pytest.approx((0 + 1) / 2)  # 10 for 10, 20 for 10
    assert task.quality(answer, TRUTH) == 0.5


def test_a_truth_that_is_too_small_says_nothing_of_the_area() -> None:
    judge = REGISTRY.build("task", "my_idea").evaluator({"smallest": 0.6})
    assert math.isnan(judge.statistics(sample_of(TRUTH), TRUTH)["area"])


def test_what_cannot_be_judged_is_refused() -> None:
    task = REGISTRY.build("task", "my_idea")
    judge = task.evaluator({"smallest": 0.01})
    for answer in (np.ones((2, 2), bool), np.full((4, 5), np.nan), np.full((4, 5), 0.5)):
        with pytest.raises(BadPrediction, match="sample id"):
            judge.statistics(sample_of(TRUTH), answer)
    with pytest.raises(BadOption, match="smallest"):
        task.evaluator({"smallest": 2})


def test_its_photographs_are_those_of_tabletop() -> None:
    mine, theirs = REGISTRY.build("dataset", "my_idea"), REGISTRY.build("dataset", "tabletop")
    sample, scene = mine.samples("val", "my_idea")[0], theirs.samples("val", "semantic")[0]
    assert (sample.image == scene.image).all()
    assert (sample.truth == (scene.truth > 0)).all()
    assert sample.truth.any()
