"""Metrics of per-sample statistics, against hand-worked numbers and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast

OIOU = RatioOfSums(id="oiou", label="oIoU", numerator="i", denominator="u")
MEAN = MeanOf(id="m", label="m", column="x")


def columns(**values):
    return {name: np.array(column, float) for name, column in values.items()}


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    assert OIOU.value(columns(i=[900, 5], u=[1000, 50])) == pytest.approx(0.861905, abs=1e-6)


def test_a_resample_that_counts_a_sample_twice_weighs_it_twice():
    resamples = np.array([[1, 1], [2, 0], [0, 2], [3, 1]])
    value = OIOU.value(columns(i=[8, 1], u=[10, 100]), resamples)
    assert value == pytest.approx([9 / 110, 0.8, 0.01, 25 / 130])


def test_nothing_scored_is_nan_and_raises_no_warning():
    assert math.isnan(OIOU.value(columns(i=[0.0], u=[0.0])))
    assert math.isnan(MEAN.value(columns(x=[])))
    assert math.isnan(MEAN.value(columns(x=[np.nan])))
    resampled = MEAN.value(columns(x=[np.nan, 3.0]), np.array([[2, 0], [1, 1]]))
    assert np.isnan(resampled[0])
    assert resampled[1] == 3.0


def test_a_sample_that_is_not_scored_leaves_both_sums_and_is_counted():
    statistics = columns(x=[1.0, np.nan, 0.0], i=[1, 1, 1], u=[2, np.nan, 2])
    assert MEAN.value(statistics) == 0.5
    assert MEAN.scored(statistics) == 2
    assert OIOU.value(statistics) == 0.5
    assert OIOU.scored(statistics) == 2


def test_the_threshold_itself_counts_only_when_inclusive():
    statistics = columns(x=[90 / 100, 90 / 110, 0.0, np.nan])
    at_least = ShareAtLeast(id="p", label="p", column="x", threshold=0.9)
    above = ShareAtLeast(id="p", label="p", column="x", threshold=0.9, inclusive=False)
    assert at_least.value(statistics) == pytest.approx(1 / 3)
    assert above.value(statistics) == 0.0
    assert at_least.scored(statistics) == 3


def test_without_counts_the_answer_has_no_axis_and_with_them_one():
    statistics = columns(x=[1.0, 2.0])
    assert MEAN.value(statistics).shape == ()
    assert MEAN.value(statistics, np.ones((4, 2))).shape == (4,)


VALUES = st.one_of(st.just(math.nan), st.integers(0, 4).map(float))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_metric_agrees_with_a_loop_over_the_resampled_list(data):
    n = data.draw(st.integers(1, 6))
    statistics = {name: data.draw(hnp.arrays(float, n, elements=VALUES)) for name in ("x", "i", "u")}
    counts = data.draw(hnp.arrays(int, (3, n), elements=st.integers(0, 3)))
    share = ShareAtLeast(id="p", label="p", column="x", threshold=2)
    for row, mean, ratio, part in zip(
        counts, MEAN.value(statistics, counts), OIOU.value(statistics, counts), share.value(statistics, counts)
    ):
        drawn = [k for k in range(n) for _ in range(row[k])]
        x = [statistics["x"][k] for k in drawn if not math.isnan(statistics["x"][k])]
        pairs = [(statistics["i"][k], statistics["u"][k]) for k in drawn]
        pairs = [pair for pair in pairs if not any(map(math.isnan, pair))]
        below = sum(u for _, u in pairs)
        np.testing.assert_allclose(mean, sum(x) / len(x) if x else math.nan)
        np.testing.assert_allclose(part, sum(value >= 2 for value in x) / len(x) if x else math.nan)
        np.testing.assert_allclose(ratio, sum(i for i, _ in pairs) / below if below else math.nan)


# ------------------------------------------------------------------------------------------ means of ratios of sums

MIOU = MeanOfRatios(id="miou", label="mIoU", numerator="i", denominator="u")
BY_CLASS = {"i.a": [1, 2, 0], "u.a": [2, 2, 0], "i.b": [0, 0, 3], "u.b": [0, 0, 4], "i.c": [0, 0, 0], "u.c": [0, 0, 0]}


def test_a_mean_of_ratios_leaves_out_or_counts_what_is_nowhere():
    there = columns(**BY_CLASS, union=[9, 9, 9])  # another column that begins alike
    assert MIOU.value(there) == pytest.approx((3 / 4 + 3 / 4) / 2)
    counting = MeanOfRatios(id="m", label="m", numerator="i", denominator="u", empty=0.0)
    assert counting.value(there) == pytest.approx((3 / 4 + 3 / 4 + 0) / 3)
    weighed = MeanOfRatios(id="m", label="m", numerator="i", denominator="u", weight="w")
    weights = columns(**{"w.a": [1, 0, 0], "w.b": [2, 2, 1], "w.c": [0, 0, 9]})
    assert weighed.value({**there, **weights}) == pytest.approx((1 * 3 / 4 + 5 * 3 / 4) / 6), "c has no ratio to weigh"
    # b is in the last sample alone: without it there is one class
    resampled = MIOU.value(there, np.array([[1, 1, 0], [2, 1, 0], [0, 0, 1], [0, 0, 0]]))
    assert resampled == pytest.approx([3 / 4, 4 / 6, 3 / 4, math.nan], nan_ok=True)


def test_nothing_anywhere_is_no_number_even_where_absence_counts():
    nothing = columns(**{"i.a": [0], "u.a": [0]})
    assert math.isnan(MIOU.value(nothing))
    assert math.isnan(MeanOfRatios(id="m", label="m", numerator="i", denominator="u", empty=0.0).value(nothing))
    with pytest.raises(KeyError, match="i"):
        MIOU.value(columns(x=[1.0]))


@pytest.mark.parametrize("seed", range(20))
def test_a_mean_of_ratios_is_what_adding_each_resample_up_says(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    below = rng.integers(0, 9, (n, k)) * (rng.random((n, k)) < 0.5)
    above, weight = (rng.random((n, k)) * below).round(), rng.integers(0, 5, (n, k))
    families = {"i": above, "u": below, "w": weight}
    statistics = columns(**{f"{f}.{c}": values[:, c] for f, values in families.items() for c in range(k)})
    counts = rng.multinomial(n, np.full(n, 1 / n), 8)
    for heavy in (None, "w"):
        metric = MeanOfRatios(id="m", label="m", numerator="i", denominator="u", weight=heavy)
        for row, found in zip(counts, metric.value(statistics, counts)):
            drawn = np.repeat(np.arange(n), row)
            ratios, weights = [], []
            for c in range(k):
                if below[drawn, c].sum():
                    ratios.append(above[drawn, c].sum() / below[drawn, c].sum())
                    weights.append(weight[drawn, c].sum() if heavy else 1)
            expected = np.dot(ratios, weights) / sum(weights) if sum(weights) else math.nan
            assert found == pytest.approx(expected, nan_ok=True)
