"""Intervals cover, p values are right under no difference, and both agree with independent computations."""

import itertools
import time
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from addp_bench.errors import BadOption, NothingSelected
from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums
from addp_bench.results.uncertainty import Panel, Runs, difference, holm, interval, resample_counts
from addp_bench.results.variances import quantile, tails
from addp_bench.statistics import Statistics

MEAN = MeanOf(id="miou", label="mIoU", column="x")
OIOU = RatioOfSums(id="oiou", label="oIoU", numerator="i", denominator="u")


def run(x=(), images=None, prefix="", **columns):
    columns = {name: np.asarray(c, np.float64) for name, c in {"x": x, **columns}.items() if len(c)}
    n = len(next(iter(columns.values())))
    images = range(n) if images is None else images
    return Statistics(np.array([f"{prefix}{k}" for k in range(n)]), np.array([f"{c}" for c in images]), columns)


def one(*args, **kwargs):
    return Runs({0: run(*args, **kwargs)})


def clustered(generator, clusters=60):
    """Expressions of images: images differ in difficulty and size, so that samples of one are alike."""
    images = np.repeat(np.arange(clusters), 6)
    level = np.repeat(generator.beta(2, 2, clusters), 6)
    union = np.repeat(generator.uniform(10, 100, clusters), 6)
    return images, np.clip(level + generator.normal(0, 0.05, len(images)), 0, 1) * union, union


# ------------------------------------------------------------------------------------------------- one row


def test_a_mean_has_the_interval_that_scipy_gives_it():
    x = np.random.default_rng(0).gamma(2.0, size=60)
    found = interval(MEAN, one(x), resamples=20_000)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="percentile", random_state=1).confidence_interval
    assert found.value == pytest.approx(x.mean())
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02 * (theirs.high - theirs.low))
    assert (found.resamples, found.clusters, found.samples, found.seeds) == (20_000, 60, 60, 1)


def test_resampling_images_is_repeating_their_rows():
    images, i, u = clustered(np.random.default_rng(3), clusters=12)
    counts = resample_counts(12, seed=7, block=0)
    order = np.unique(images.astype(str), return_inverse=True)[1]  # clusters are numbered by the order of their names
    ratios = []
    for row in counts.astype(int):
        drawn = np.repeat(np.arange(len(images)), row[order])
        ratios.append(i[drawn].sum() / u[drawn].sum())
    found = interval(OIOU, one(images=images, i=i, u=u), resamples=250, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])), abs=1e-12)


def test_each_resample_draws_as_many_images_as_there_are():
    counts = resample_counts(40, seed=0, block=2)
    assert (counts.sum(axis=1) == 40).all()
    # each count is binomial(40, 1/40): variance 39/40
    assert counts.var() == pytest.approx(39 / 40, rel=0.05)
    assert not np.array_equal(counts, resample_counts(40, seed=0, block=3))
    assert not np.array_equal(counts, resample_counts(40, seed=1, block=2))


def test_the_interval_of_oiou_covers_on_clustered_samples():
    """Of 500 repetitions a true 95 % gives 93 to 97 %; 60 clusters cost a point or so. Without clusters: far less."""
    # E[i] / E[u]: level and size are independent, so the clipped level's mean, by a large sample
    images, i, u = clustered(np.random.default_rng(99), clusters=400_000)
    truth = i.sum() / u.sum()
    covered = naive = 0
    for repetition in range(500):
        images, i, u = clustered(np.random.default_rng(repetition))
        found = interval(OIOU, one(images=images, i=i, u=u), resamples=500, seed=repetition)
        covered += found.low <= truth <= found.high
        apart = interval(OIOU, one(i=i, u=u), resamples=250, seed=repetition)
        naive += apart.low <= truth <= apart.high
    assert 0.91 <= covered / 500 <= 0.97
    assert naive / 500 < 0.75


def test_one_image_gives_no_interval():
    found = interval(MEAN, one([0.2, 0.4], images=["a", "a"]))
    assert found.value == pytest.approx(0.3)
    assert np.isnan([found.low, found.high]).all()


def test_resamples_without_a_value_are_left_out_and_counted():
    # only the first image has anything to score: it is missed by (2/3)^3 of the resamples
    found = interval(RatioOfSums(id="a", label="A", numerator="i", denominator="u"), one(i=[1, 0, 0], u=[2, 0, 0]))
    assert found.resamples / 5000 == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert (found.low, found.high) == (0.5, 0.5)


def test_a_metric_that_is_no_ratio_of_sums_is_resampled_by_its_samples():
    @dataclass(frozen=True)
    class RootMeanSquare:
        id, label, unit, higher_is_better, version = "rms", "RMS", "m", False, 1

        def value(self, statistics, counts=None):
            counts = np.ones((1, len(statistics["x"]))) if counts is None else counts
            return np.sqrt(counts @ statistics["x"] ** 2 / counts.sum(axis=1)).squeeze()

    generator = np.random.default_rng(0)
    x, images = generator.normal(size=90), np.arange(90) // 3
    found = interval(RootMeanSquare(), one(x, images))
    squared = interval(MEAN, one(x**2, images))
    assert (found.low, found.high) == pytest.approx(
        (squared.low**0.5, squared.high**0.5), rel=1e-6
    )  # quantiles interpolate


def test_a_mean_over_classes_is_resampled_as_its_samples_would_be():
    """The sums within clusters, of all runs at once, against the metric itself on every resample."""
    rng = np.random.default_rng(0)
    miou = MeanOfRatios(id="miou", label="mIoU", numerator="i", denominator="u")
    images = np.arange(60) // 3
    runs = []
    for _ in range(2):
        u = rng.integers(1, 9, (60, 5)) * (rng.random((60, 5)) < 0.3)
        i = (rng.random((60, 5)) * u).round()
        i[:, 4] = u[:, 4] = 0
        runs.append(one(images=images, **{f"{f}.{c}": v[:, c] for f, v in (("i", i), ("u", u)) for c in range(5)}))
    found = difference(miou, *runs, resamples=300)
    counts = np.concatenate([resample_counts(20, 0, block) for block in range(2)])[:300]
    names, cluster = np.unique([f"{k}" for k in images], return_inverse=True)
    each = [miou.value(run.by_seed[0].columns, counts[:, cluster]) for run in runs]
    assert len(names) == 20
    assert found.value == pytest.approx(
        float(miou.value(runs[0].by_seed[0].columns) - miou.value(runs[1].by_seed[0].columns))
    )
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(each[0] - each[1], [0.025, 0.975])), abs=1e-12)


def test_fewer_than_two_resamples_are_refused():
    with pytest.raises(BadOption, match="1 resamples"):
        interval(MEAN, one([1.0, 2.0]), resamples=1)


# ----------------------------------------------------------------------------------------------- differences


def test_the_p_value_is_the_exact_one_of_all_27_resamples_of_three_images():
    d = np.array([-0.1, 0.15, 0.3])
    ours, theirs = one(0.5 + d), one(np.full(3, 0.5))
    means = [d[list(drawn)].mean() for drawn in itertools.product(range(3), repeat=3)]
    exact = 2 * min(np.mean(np.less_equal(means, 1e-12)), np.mean(np.greater_equal(means, -1e-12)))
    assert exact == pytest.approx(8 / 27)  # d sums to <= 0 for (-,-,-), three of (-,-,+.15); nothing else
    assert difference(MEAN, ours, theirs).p == pytest.approx(exact, abs=0.03)


def test_pairing_takes_out_what_both_runs_find_hard():
    generator = np.random.default_rng(1)
    difficulty = generator.normal(size=200)
    ours, theirs = one(difficulty + 0.1), one(difficulty + generator.normal(0, 0.05, 200))
    found = difference(MEAN, ours, theirs)
    assert found.high - found.low < 0.1 * (interval(MEAN, ours).high - interval(MEAN, ours).low)
    assert found.low < 0.1 < found.high
    assert found.p < 1e-6  # past 2/5001: the normal tail
    assert difference(MEAN, theirs, ours).value == -found.value


def test_no_difference_is_called_one_in_twenty_times():
    found = []
    for repetition in range(500):
        generator = np.random.default_rng(repetition)
        images = np.arange(240) // 4
        shared = np.repeat(generator.normal(size=60), 4)
        noisy = (one(shared + np.repeat(generator.normal(size=60), 4), images) for _ in range(2))
        found.append(difference(MEAN, *noisy, resamples=500, seed=repetition))
    assert 0.03 <= np.mean([d.p <= 0.05 for d in found]) <= 0.08
    # the interval and p say the same, but for the finite number of resamples
    assert np.mean([(d.low > 0 or d.high < 0) != (d.p <= 0.05) for d in found]) < 0.01


def test_runs_that_agree_everywhere_do_not_differ():
    x = np.random.default_rng(0).random(30)
    found = difference(MEAN, one(x), one(x))
    assert (found.value, found.p) == (0.0, 1.0)
    assert (found.low, found.high) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_only_common_samples_are_compared_in_whatever_order_they_lie():
    x = np.random.default_rng(0).random(50)
    full, images = run(x, images=np.arange(50) // 2), np.arange(50) // 2
    keep = np.random.default_rng(1).permutation(50)[:40]
    part = Statistics(full.ids[keep], full.image_ids[keep], {"x": full.columns["x"][keep] + 0.25})
    found = difference(MEAN, Runs({0: part}), Runs({0: full}))
    assert found.samples == 40
    assert found.value == pytest.approx(0.25)
    assert found.clusters == len(set(images[keep]))
    with pytest.raises(NothingSelected, match="no sample in common"):
        difference(MEAN, one(x), one(x, prefix="other"))
    with pytest.raises(NothingSelected, match="no sample was scored"):
        interval(MEAN, Runs({0: Statistics(full.ids[:0], full.ids[:0], {"x": np.zeros(0)})}))


def test_asking_for_more_resamples_keeps_the_first_ones():
    x = np.random.default_rng(0).random(30)
    few, many = Panel(MEAN, [one(x)], resamples=300), Panel(MEAN, [one(x)], resamples=1000)
    assert np.array_equal(few._resampled, many._resampled[:300])
    assert interval(MEAN, one(x), seed=0) == interval(MEAN, one(x), seed=0)
    assert interval(MEAN, one(x), seed=0) != interval(MEAN, one(x), seed=1)


# ----------------------------------------------------------------------------------------------------- seeds


def flat(values, seeds=None, **more):
    """Runs whose images all score alike, so that nothing but seeds varies."""
    seeds = range(len(values)) if seeds is None else seeds
    return Runs({seed: run(np.full(20, value)) for seed, value in zip(seeds, values)}, **more)


def test_seeds_alone_give_the_t_interval():
    values = [0.61, 0.58, 0.66, 0.60]
    found = interval(MEAN, flat(values))
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-6)
    assert (found.value, found.seeds) == (pytest.approx(np.mean(values)), 4)


def test_seeds_and_images_add_their_variances():
    generator = np.random.default_rng(0)
    image = generator.normal(size=500)
    runs = Runs({seed: run(image + shift) for seed, shift in enumerate((-0.1, 0.0, 0.1))})
    found = interval(MEAN, runs, resamples=20_000)
    seeds, images = 0.01 / 3, image.var() / 500  # s^2 / n by hand; variance of a mean of 500
    half = (found.high - found.low) / 2
    t = half / (seeds + images) ** 0.5
    outside = 2 * (seeds * stats.t.sf(t, 2) + images * stats.t.sf(t, 499)) / (seeds + images)
    assert outside == pytest.approx(0.05, rel=0.03)
    assert stats.t.ppf(0.975, 499) < t < stats.t.ppf(0.975, 2)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_three_seeds_are_not_too_sure_at_any_level_that_a_correction_asks_for(share, alpha):
    """A true difference of 0, `share` of whose variance is due to images: how often p is at most alpha, of 200 000.
    Degrees of freedom of the sum (Satterthwaite) would be 2 to 5 times as often wrong at 0.005."""
    rng = np.random.default_rng(0)
    between = (1 - share) * rng.chisquare(2, 200_000) / 2
    distance = np.abs(rng.normal(size=200_000)) / np.sqrt(between + share)
    part = between / (between + share)
    p = tails(distance, ((part, 2), (1 - part, 499)))
    assert 0.3 * alpha < (p <= alpha).mean() < 1.1 * alpha
    k = rng.integers(200_000)
    edge = quantile(1 - alpha, ((part[k], 2), (1 - part[k], 499)))
    assert tails(edge, ((part[k], 2), (1 - part[k], 499))) == pytest.approx(alpha)
    freedom = (between + share) ** 2 / (between**2 / 2 + share**2 / 499)
    if share < 0.5 and alpha < 0.05:
        assert (2 * stats.t.sf(distance, freedom) <= alpha).mean() > 2 * alpha


def test_equal_seeds_are_paired_and_others_are_not():
    a, b = [0.61, 0.58, 0.66], [0.57, 0.55, 0.61]
    assert difference(MEAN, flat(a), flat(b)).p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert difference(MEAN, flat(a), flat(b, seeds=(7, 8, 9))).p == pytest.approx(welch.pvalue, rel=1e-6)


def test_a_method_needs_three_seeds():
    x = [0.5, 0.6, 0.7]
    assert difference(MEAN, flat(x), flat(x[::-1])).about == "method"
    assert difference(MEAN, flat(x), flat(x[:2])).about == "checkpoint"
    assert difference(MEAN, flat(x), flat(x[:1], trained=False)).about == "method"
    assert difference(MEAN, flat(x), flat(x[:2])).seeds == 2


# ------------------------------------------------------------------------------------------ several rows


def test_holm_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; none may be smaller than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.01, float("nan")]) == pytest.approx([0.02, 1.0])
    assert holm([]) == []


def test_differences_from_a_reference_are_corrected():
    generator = np.random.default_rng(0)
    base = generator.random(400)
    rows = [one(base + shift + generator.normal(0, 0.1, 400)) for shift in (0.0, 0.012, 0.1)]
    panel = Panel(MEAN, rows)
    found = panel.differences(reference=0)
    assert found[0] is None
    raw = [panel.difference(k, 0).p for k in (1, 2)]
    assert [p for _, p in found[1:]] == holm(raw)
    assert found[2][1] < 0.001


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_tier_holds_the_rows_not_separated_from_its_best(higher_is_better):
    generator = np.random.default_rng(0)
    base = generator.random(400)
    sign = 1 if higher_is_better else -1
    noise = generator.normal(0, 0.1, (4, 400))
    noise -= noise.mean(axis=1, keepdims=True)  # standard error of a difference: 0.007
    rows = [one(base + sign * (shift + noise[k])) for k, shift in enumerate((0.0, 0.1, 0.2, 0.201))]
    metric = MeanOf(id="x", label="X", column="x", higher_is_better=higher_is_better)
    assert Panel(metric, rows).tiers() == [3, 2, 1, 1]


def test_two_runs_of_10_834_expressions_take_less_than_two_seconds():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 1500, 10_834)
    runs = [one(images=images, i=generator.random(10_834), u=generator.random(10_834) + 1) for _ in range(2)]
    start = time.process_time()
    assert difference(OIOU, *runs).resamples == 5000
    assert time.process_time() - start < 2.0
