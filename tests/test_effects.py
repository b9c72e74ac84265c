"""Effects: what least squares, analysis of variance and t tests say of the same numbers; none where there is none."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from real_runs import trained
from scipy import stats

from addp_bench.metrics import MeanOf, RatioOfSums
from addp_bench.results.effects import Factor, effects, shares
from addp_bench.results.factorial import largest, merged
from addp_bench.results.uncertainty import Panel, Runs, holm, resample_counts
from addp_bench.statistics import Statistics

MEAN = MeanOf(id="miou", label="mIoU", column="iou")
OIOU = RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union")
TWO = (Factor("weights", ("uniform", "p2")), Factor("aug", ("none", "linear")))


def run(images=None, **columns):
    n = len(next(iter(columns.values())))
    images = range(n) if images is None else images
    columns = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    return Statistics(np.array([f"e{k}" for k in range(n)]), np.array([f"p{k}" for k in images]), columns)


def flat(values):
    """A panel of rows (K, seeds) whose images all score alike, so that nothing but seeds varies."""
    return Panel(MEAN, [Runs({s: run(iou=np.full(8, v)) for s, v in enumerate(row)}) for row in values], resamples=50)


def coded(factors, some):
    """The column of the design matrix for one contrast of each of `some`: -1 and 1 for two levels, sum to zero else."""
    columns = []
    for combination in product(*(range(len(f.levels)) for f in factors)):
        level = dict(zip((f.name for f in factors), combination))
        value = 1.0
        for factor, which in some:
            last = len(factor.levels) - 1
            value *= (level[factor.name] == which) - (level[factor.name] == last)
        columns.append(value)
    return columns


# ------------------------------------------------------------------------------------------------- by hand


def test_two_by_two_by_hand():
    # rows: uniform none, uniform linear, p2 none, p2 linear; two seeds each
    panel = flat([[0.10, 0.12], [0.20, 0.18], [0.30, 0.34], [0.60, 0.56]])
    weights, aug, both = effects(panel, TWO)
    assert (weights.of, aug.of, both.of) == ("p2 − uniform", "linear − none", "(p2 − uniform) × (linear − none)")
    assert weights.difference.value == pytest.approx((0.32 + 0.58 - 0.11 - 0.19) / 2)
    assert aug.difference.value == pytest.approx((0.19 + 0.58 - 0.11 - 0.32) / 2)
    assert both.difference.value == pytest.approx((0.58 - 0.32) - (0.19 - 0.11))
    assert (both.factors, both.difference.seeds, both.difference.about) == (("weights", "aug"), 2, "checkpoint")


def test_an_effect_is_the_t_test_of_what_each_seed_says():
    values = np.random.default_rng(0).normal(0.5, 0.05, (4, 5))
    found = effects(flat(values), TWO)
    by_seed = [
        (values[2] + values[3] - values[0] - values[1]) / 2,
        (values[1] + values[3] - values[0] - values[2]) / 2,
        values[3] - values[2] - values[1] + values[0],
    ]
    for effect, said in zip(found, by_seed):
        test = stats.ttest_1samp(said, 0.0)
        assert effect.difference.p == pytest.approx(test.pvalue, rel=1e-9)
        interval = test.confidence_interval(0.95)
        assert (effect.difference.low, effect.difference.high) == pytest.approx((interval.low, interval.high))
    assert [e.p_holm for e in found] == holm([e.difference.p for e in found])


def test_levels_and_interactions_are_the_coefficients_of_least_squares():
    factors = (Factor("a", ("a0", "a1", "a2")), Factor("b", ("b0", "b1", "b2")), Factor("c", ("c0", "c1")))
    values = np.random.default_rng(1).normal(size=(18, 1))
    terms = [
        *([(f, k)] for f in factors for k in range(len(f.levels) - 1)),
        *([(f, i), (g, j)] for f, g in combinations(factors, 2) for i, j in product(range(2), range(2))),
    ]
    terms = [t for t in terms if all(k < len(f.levels) - 1 for f, k in t)]
    design = np.array([np.ones(18), *(coded(factors, term) for term in terms)]).T
    solved = np.linalg.lstsq(design, values[:, 0], rcond=None)[0]
    coefficients = {tuple((f.name, k) for f, k in term): c for term, c in zip(terms, solved[1:])}
    panel = Panel(MEAN, [Runs({0: run(iou=np.full(4, v))}) for (v,) in values], resamples=20)
    found = {(e.factors, e.of): e.difference.value for e in effects(panel, factors)}
    assert len(found) == 3 + 3 + 1 + 9 + 3 + 3
    assert found[("a",), "a1"] == pytest.approx(coefficients[("a", 1),])
    assert found[("c",), "c1 − c0"] == pytest.approx(-2 * coefficients[("c", 0),])  # b - a, not a - mean
    assert found[("a", "b"), "a0 × b1"] == pytest.approx(coefficients[("a", 0), ("b", 1)])
    assert found[("b", "c"), "b1 × (c1 − c0)"] == pytest.approx(-2 * coefficients[("b", 1), ("c", 0)])
    assert sum(v for (names, _), v in found.items() if names == ("a",)) == pytest.approx(0, abs=1e-12)


def test_an_effect_on_a_ratio_of_sums_is_made_of_the_ratios_of_each_resample():
    rng = np.random.default_rng(2)
    images, union = np.arange(30) // 3, rng.uniform(1, 100, 30)
    iou = rng.random((4, 30))
    panel = Panel(OIOU, [Runs({0: run(images, intersection=i * union, union=union)}) for i in iou], resamples=250)
    order = np.unique([f"p{k}" for k in images], return_inverse=True)[1]
    made = []
    for counts in resample_counts(10, 0, 0).astype(int):
        drawn = np.repeat(np.arange(30), counts[order])
        a, b, c, d = ((i * union)[drawn].sum() / union[drawn].sum() for i in iou)
        made.append((c + d - a - b) / 2)
    found = effects(panel, TWO)[0].difference
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(made, [0.025, 0.975])), abs=1e-12)
    assert found.clusters == 10


# -------------------------------------------------------------------------------------------------- shares


def test_the_share_of_one_factor_is_that_of_the_one_way_analysis_of_variance():
    groups = np.random.default_rng(3).normal(size=(4, 6)) + np.arange(4)[:, None]
    f = stats.f_oneway(*groups).statistic
    eta = f * 3 / (f * 3 + 20)  # F = (between / 3) / (within / 20)
    found = shares(groups, [Factor("w", tuple("abcd"))])
    assert found["w",] == pytest.approx(eta)
    assert found["seed",] + found["rest",] == pytest.approx(1 - eta)


def test_shares_are_the_sums_of_squares_by_which_nested_models_differ():
    factors = (Factor("a", ("0", "1")), Factor("b", ("0", "1", "2")), Factor("seed", ("0", "1", "2", "3")))
    values = np.random.default_rng(4).normal(size=24)

    def residual(*terms):
        columns = [np.ones(24)]
        for term in terms:
            columns += [
                coded(factors, list(zip(term, levels)))
                for levels in product(*(range(len(factor.levels) - 1) for factor in term))
            ]
        design = np.array(columns).T
        return float(((values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2).sum())

    a, b, seed = factors
    total, found = residual(), shares(values.reshape(2, 3, 4), [a, b])
    assert found["a",] == pytest.approx((total - residual([a])) / total)
    assert found["b",] == pytest.approx((residual([a]) - residual([a], [b])) / total)
    assert found["a", "b"] == pytest.approx((residual([a], [b]) - residual([a], [b], [a, b])) / total)
    assert found["seed",] == pytest.approx((total - residual([seed])) / total)
    assert sum(found.values()) == pytest.approx(1)


def test_equal_values_have_no_shares():
    assert all(np.isnan(share) for share in shares(np.full((2, 3), 0.4), [Factor("w", ("a", "b"))]).values())


# --------------------------------------------------------------------------------------------------- grids


def test_the_largest_grid_is_that_of_trying_them_all():
    rng = np.random.default_rng(0)

    def subsets(levels):
        return [c for size in range(1, len(levels) + 1) for c in combinations(levels, size)]

    for _ in range(60):
        shape = rng.integers(1, 4, 3)
        every = [tuple(map(str, at)) for at in product(*map(range, shape))]
        cells = {cell for cell in every if rng.random() < 0.7} or {every[0]}
        best = max(
            np.prod([len(levels) for levels in chosen])
            for chosen in product(*(subsets([str(k) for k in range(n)]) for n in shape))
            if set(product(*chosen)) <= cells
        )
        found = largest(cells)
        assert found.cells == best
        assert set(product(*found.levels)) <= cells


def test_a_missing_cell_takes_a_level_out_and_equals_prefer_more_factors():
    cells = set(product("ab", "xy", "01")) - {("b", "y", "0")}
    assert largest(cells).levels == (("a",), ("x", "y"), ("0", "1"))
    four = {("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("a", "y"), ("b", "y")}
    assert largest(four).levels == (("a", "b"), ("x", "y"))
    assert largest(four, varied=[0], fixed=[1]).levels == (("a", "b", "c", "d"), ("x",))
    assert largest({("a", "x"), ("b", "y")}, varied=[0, 1]) is None


def test_choices_that_always_go_together_are_one():
    assert merged([["x0", "x0", "eps"], ["3", "3", "7.5"], ["a", "b", "a"]]) == [[0, 1], [2]]


# ------------------------------------------------------------------------------------- planted, and nothing


def two_by_two(rng, planted, seeds=3, resamples=250):
    """A 2 x 2 of real runs that were given their places by lot, on resampled photographs.

    planted: for each of four rows, the share of what it missed of every union that is added to its intersection.
    """
    by_image = trained()
    drawn = rng.integers(0, by_image.shape[2], by_image.shape[2])
    places = rng.permutation(18)[: 4 * seeds].reshape(4, seeds)
    rows = []
    for share, runs in zip(planted, places):
        made = {}
        for seed, k in enumerate(runs):
            intersection, union = by_image[k][:, drawn]
            made[seed] = run(intersection=intersection + share * (union - intersection), union=union)
        rows.append(Runs(made))
    return effects(Panel(OIOU, rows, resamples=resamples, seed=int(rng.integers(1 << 30))), TWO)


@pytest.mark.slow
def test_where_nothing_differs_no_effect_is_found():
    """500 grids of runs whose places were drawn by lot: at most 37 rejections, the 99 % bound of a 5 % test, of each
    effect and of any after Holm."""
    rejected, any_left = np.zeros(3), 0
    for repetition in range(500):
        found = two_by_two(np.random.default_rng(repetition), [0.0] * 4)
        rejected += [e.difference.p <= 0.05 for e in found]
        any_left += any(e.p_holm <= 0.05 for e in found)
    assert (rejected <= 37).all(), rejected
    assert any_left <= 37
    assert rejected.sum() > 10  # nor does it never speak


@pytest.mark.slow
def test_planted_effects_are_recovered():
    """Truth: the same contrast of all 18 runs on all photographs. Intervals cover it; clear effects are seen."""
    planted = [0.0, 0.12, 0.12, 0.4]
    intersection, union = trained().sum(axis=2).T
    level = [np.mean((intersection + share * (union - intersection)) / union) for share in planted]
    a, b, c, d = level
    truth = [(c + d - a - b) / 2, (b + d - a - c) / 2, d - c - b + a]
    covered, seen, error = np.zeros(3), np.zeros(3), np.zeros(3)
    for repetition in range(300):
        found = two_by_two(np.random.default_rng(repetition), planted)
        covered += [e.difference.low <= t <= e.difference.high for e, t in zip(found, truth)]
        seen += [e.p_holm <= 0.05 and e.difference.value > 0 for e in found]
        error += [e.difference.value - t for e, t in zip(found, truth)]
    assert (covered / 300 >= 0.93).all(), covered
    assert (np.abs(error / 300) < 0.002).all(), error  # of effects of 9 points or more
    assert (seen[:2] / 300 > 0.9).all(), seen
