"""Which samples one side gets right and the other does not: by hand, and McNemar's test by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from addp_bench.average_precision import AveragePrecision
from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast
from addp_bench.results.flips import binomial, flips
from addp_bench.results.uncertainty import Runs
from addp_bench.statistics import Statistics

IOU = MeanOf(id="miou", label="mIoU", column="iou")


def runs(*seeds, images=None):
    """Each seed: column -> values."""
    n = len(next(iter(seeds[0].values())))
    ids = np.array([f"e{k}" for k in range(n)])
    of = ids if images is None else np.array(images)
    columns = [{name: np.asarray(values, np.float64) for name, values in seed.items()} for seed in seeds]
    return Runs({k: Statistics(ids, of, each) for k, each in enumerate(columns)})


def ids(entries):
    return [entry["id"] for entry in entries]


def test_a_sample_flips_where_one_side_reaches_a_half_and_the_other_does_not():
    before, after = [0.2, 0.5, 0.9, 0.49, 0.1], [0.5, 0.499, 0.8, 0.98, 0.2]
    found = flips(IOU, runs({"iou": before}), runs({"iou": after}))
    assert found["rule"] == "right"
    assert ids(found["gained"]) == ["e3", "e0"]  # by 0.49, by 0.3
    assert ids(found["lost"]) == ["e1"]
    assert (found["n01"], found["n10"]) == (2, 1)
    assert found["gained"][0] == {"id": "e3", "image_id": "e3", "reference": 0.49, "other": 0.98}


def test_a_ratio_is_read_of_each_sample_alone_and_a_sample_without_one_cannot_flip():
    """The ratio of all, 0.9, is not that of the samples; the third has no pixel on either side."""
    oiou = RatioOfSums(id="oiou", label="oIoU", numerator="i", denominator="u")
    before = runs({"i": [900, 0, 0, 3], "u": [900, 100, 0, 10]})
    after = runs({"i": [900, 60, 0, 3], "u": [900, 100, 5, 10]})
    found = flips(oiou, before, after)
    assert ids(found["gained"]) == ["e1"]
    assert found["n10"] == 0


def test_seeds_are_averaged_before_a_sample_is_right_or_wrong():
    before = runs({"iou": [0.9, 0.3]}, {"iou": [0.2, 0.3]}, {"iou": [0.1, 0.3]})
    after = runs({"iou": [0.9, 0.9]}, {"iou": [0.9, 0.1]}, {"iou": [0.0, 0.4]})
    found = flips(IOU, before, after)
    assert ids(found["gained"]) == ["e0"]  # 0.4 to 0.6; the other, 0.3 to 0.467
    assert found["gained"][0]["other"] == pytest.approx(0.6)


def test_a_threshold_is_passed_or_not():
    at_70 = ShareAtLeast(id="pr70", label="Pr@0.7", column="iou", threshold=0.7)
    found = flips(at_70, runs({"iou": [0.69, 0.7]}), runs({"iou": [0.7, 0.69]}))
    assert (ids(found["gained"]), ids(found["lost"])) == (["e0"], ["e1"])


def test_a_class_map_has_the_mean_over_its_own_classes():
    miou = MeanOfRatios(id="miou", label="mIoU", numerator="i", denominator="u")
    before = runs({"i.a": [1, 2], "u.a": [10, 10], "i.b": [8, 0], "u.b": [10, 0]})
    after = runs({"i.a": [3, 9], "u.a": [10, 10], "i.b": [8, 0], "u.b": [10, 0]})
    found = flips(miou, before, after)
    assert found["gained"][0]["other"] == pytest.approx(0.9)  # class b is not there
    assert found["gained"][1]["reference"] == pytest.approx(0.45)  # of 0.1 and 0.8
    assert found["n01"] == 2


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_of_errors_the_largest_changes_are_listed_in_the_direction_of_the_metric(higher_is_better):
    error = MeanOf(id="rmse", label="RMSE", unit="m", higher_is_better=higher_is_better, column="x")
    found = flips(error, runs({"x": [1.0, 2.0, 3.0, 4.0]}), runs({"x": [1.5, 1.9, 0.5, 4.0]}))
    down, up = ["e2", "e1"], ["e0"]
    assert found["rule"] == "changed"
    assert ids(found["gained"]) == (up if higher_is_better else down)
    assert ids(found["lost"]) == (down if higher_is_better else up)
    assert found["p"] is None


def test_a_metric_that_no_sample_has_alone_has_no_flips():
    assert flips(AveragePrecision(id="ap", label="AP"), runs({"iou": [0.0]}), runs({"iou": [1.0]})) is None


def test_with_one_sample_an_image_p_is_mcnemars():
    """scipy 1.17: the exact binomial test of 9 against 3."""
    rng = np.random.default_rng(0)
    before, after = np.r_[np.zeros(9), np.ones(3), np.ones(20)], np.r_[np.ones(9), np.zeros(3), np.ones(20)]
    mixed = rng.permutation(32)
    found = flips(IOU, runs({"iou": before[mixed]}), runs({"iou": after[mixed]}))
    assert (found["n01"], found["n10"]) == (9, 3)
    assert found["p"] == pytest.approx(stats.binomtest(3, 12).pvalue, rel=1e-12)
    for ones, others in ((0, 5), (5, 0), (4, 4), (1, 30)):
        assert binomial(ones, others) == pytest.approx(stats.binomtest(ones, ones + others).pvalue, rel=1e-12)
    assert binomial(0, 0) is None


def test_expressions_of_one_image_count_once():
    """Six gained expressions of two images are two gains; an image that gains one and loses one is neither."""
    images = ["a", "a", "a", "b", "b", "b", "c", "c", "d"]
    before, after = [0, 0, 0, 0, 0, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1, 0, 1, 0]
    found = flips(IOU, runs({"iou": before}, images=images), runs({"iou": after}, images=images))
    assert (found["n01"], found["n10"]) == (7, 2)
    assert found["images"] == {"gained": 2, "lost": 1}
    assert found["p"] == pytest.approx(1.0)


def test_p_over_images_is_right_under_no_difference():
    """Four expressions an image that flip together: over samples McNemar rejects far too often, over images it does
    not."""
    rejected = naive = 0
    for repetition in range(400):
        rng = np.random.default_rng(repetition)
        side = rng.integers(0, 2, 60).repeat(4)
        images = np.arange(60).repeat(4).astype(str)
        found = flips(IOU, runs({"iou": side}, images=images), runs({"iou": 1 - side}, images=images))
        rejected += found["p"] <= 0.05
        naive += binomial(found["n01"], found["n10"]) <= 0.05
    assert rejected <= 31  # the 99.5 % bound of 400 at 5 %
    assert naive > 100
