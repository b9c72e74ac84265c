"""What the predictors that know nothing answer in semantic segmentation, and what that scores."""

import numpy as np
import pytest

from addp_bench.baselines.naive import Constant, LargestObject, RandomObject, Truth
from addp_bench.baselines.naive_probe import MostFrequentClass
from addp_bench.baselines.naive_semantic import MostFrequentLabels
from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.loading import load
from addp_bench.tasks.semantic import Semantic
from addp_bench.types import UNLABELLED, Sample

REGIONS = np.array([[0, 0, 0, 4], [0, 2, 2, 4], [0, 2, 255, 255]])
SAMPLE = Sample("a", "a", np.zeros((3, 4, 3), np.uint8), REGIONS)
RNG = np.random.default_rng(0)


def test_a_constant_is_one_class_everywhere():
    assert Constant().predict(SAMPLE, "semantic", RNG).tolist() == [[0] * 4] * 3
    answer = Constant(label=4).predict(Sample("a", "a", SAMPLE.image, None), "semantic", RNG)
    assert (answer.dtype, answer.tolist()) == (np.int64, [[4] * 4] * 3)


def test_random_exchanges_the_classes_of_the_truths_regions_each_order_equally_often():
    orders = {}
    for seed in range(1200):
        answer = RandomObject().predict(SAMPLE, "semantic", np.random.default_rng(seed))
        assert (answer[REGIONS == 255] == UNLABELLED).all()
        said = tuple(int(answer[label == REGIONS][0]) for label in (0, 2, 4))
        assert sorted(said) == [0, 2, 4]
        assert all((answer[label == REGIONS] == now).all() for label, now in zip((0, 2, 4), said))
        orders[said] = orders.get(said, 0) + 1
    assert len(orders) == 6
    assert max(abs(times - 200) for times in orders.values()) < 65  # five standard deviations


def test_a_photograph_that_nobody_labelled_has_nothing_to_exchange():
    nothing = Sample("a", "a", SAMPLE.image, np.full((3, 4), UNLABELLED))
    assert (RandomObject().predict(nothing, "semantic", RNG) == UNLABELLED).all()


def test_they_stand_in_the_order_of_what_they_know():
    judge = Semantic().evaluator(Semantic().protocols()["ade20k"], [f"class {k}" for k in range(5)])
    scores = []
    for predictor in (Constant(), Truth()):
        row = judge.statistics(SAMPLE, predictor.predict(SAMPLE, "semantic", RNG))
        columns = {name: np.array([value]) for name, value in row.items()}
        scores.append({metric.id: float(metric.value(columns)) for metric in judge.metrics})
    assert scores[0]["aacc"] == 0.5
    assert scores[0]["miou"] == pytest.approx(5 / 10 / 3)
    assert scores[1]["miou"] == scores[1]["aacc"] == 1.0


def test_what_cannot_be_is_refused():
    with pytest.raises(UnknownName, match="semantic"):
        LargestObject().predict(SAMPLE, "semantic", RNG)
    with pytest.raises(BadOption, match="index of a class"):
        load().registry.build("model", "constant:label=-1")


class Split:
    def __init__(self, *truths):
        self.samples = [Sample(str(i), str(i), np.zeros((2, 2, 3), np.uint8), t) for i, t in enumerate(truths)]

    def __getitem__(self, i):
        return self.samples[i]


def test_each_pixel_gets_its_most_frequent_class_and_what_has_none_the_most_frequent_of_all():
    maps = [[[1, 2], [255, 3]], [[1, 3], [255, 3]], [[0, 2], [255, 2]]]
    learnt = MostFrequentLabels(Split(*(np.array(m) for m in maps)), 3)
    assert learnt(Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None)).tolist() == [[1, 2], [2, 3]]
    large = learnt(Sample("a", "a", np.zeros((4, 2, 3), np.uint8), None))
    assert large.tolist() == [[1, 2], [1, 2], [2, 3], [2, 3]]
    assert (
        MostFrequentLabels(Split(np.array([[4, 4], [4, 4]]), *(np.array(m) for m in maps)), 1).map.tolist()
        == [[4, 4]] * 2
    )


def test_maps_of_other_sizes_vote_by_the_nearest_pixel_and_none_at_all_is_an_error():
    learnt = MostFrequentLabels(Split(np.array([[5]]), np.array([[1, 1], [1, 7]])), 2)
    assert learnt.map.tolist() == [[5]]  # of 5 and 7 the first
    with pytest.raises(BadData, match="no pixel of the first 1 training samples is labelled"):
        MostFrequentLabels(Split(np.array([[255]])), 1)


def test_of_classes_the_most_frequent_is_said_and_of_equals_the_first():
    assert MostFrequentClass(Split(2, 1, 2, 1, 0), 5)(SAMPLE) == 1
    assert MostFrequentClass(Split(2, 1, 2, 1, 0), 3)(SAMPLE) == 2
