"""Seeds and images as two crossed samples: what each adds to the variance, against formulas worked out for means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from addp_bench.metrics import MeanOf
from addp_bench.results.uncertainty import Panel, Runs
from addp_bench.statistics import Statistics

MEAN = MeanOf(id="x", label="X", column="x")
C = 400  # images, one sample each


def runs(values, first=0):
    """values (n, C): a run for each row, with seeds from `first` on."""
    images = np.arange(C).astype(str)
    return Runs({first + k: Statistics(images, images, {"x": np.asarray(x)}) for k, x in enumerate(values)})


def crossed(n, seed=0, *, image=1.0, there=1.0, of_seed=0.05):
    """n runs at C images: what images, seeds, and a seed at an image do."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, image, C), rng.normal(0, of_seed, (n, 1)), rng.normal(0, there, (n, C))
    return parts[0] + parts[1] + parts[2]


def between(x):
    """s^2 / n of the runs' means."""
    return x.mean(axis=1).var(ddof=1) / len(x)


def covariance(x, y=None):
    """Of two different seeds' means over images; with y, of a seed of each: what a bootstrap over images gives."""
    if y is not None:
        return np.cov(x.mean(axis=0), y.mean(axis=0), ddof=0)[0, 1] / C
    among = np.cov(x, ddof=0) / C
    return among[~np.eye(len(x), dtype=bool)].mean()


def test_what_a_seed_does_at_single_images_is_counted_once():
    """Obuchowski and Rockette (1995): s^2 / n, and the covariance of two seeds; here a third of the bootstrap variance
    of the mean belongs to the interaction, and is left out."""
    x = crossed(3, image=0.7, of_seed=0.3)
    found = Panel(MEAN, [runs(x)], resamples=20_000).variance(0)
    assert found.seeds == pytest.approx(between(x))
    assert found.images == pytest.approx(covariance(x), rel=0.05)
    whole = x.mean(axis=0).var() / C
    assert found.images < 0.72 * whole
    assert found.both == pytest.approx(whole - covariance(x), rel=0.05)
    assert found.total == pytest.approx(found.seeds + found.images)


def test_the_interval_of_several_seeds_by_hand():
    x = crossed(4, of_seed=0.1)
    found = Panel(MEAN, [runs(x)], resamples=20_000).interval(0)
    seeds, images = between(x), covariance(x)
    half = (found.high - found.low) / 2
    t = half / (seeds + images) ** 0.5
    outside = 2 * (seeds * stats.t.sf(t, 3) + images * stats.t.sf(t, C - 1)) / (seeds + images)
    assert found.value == pytest.approx(x.mean())
    assert outside == pytest.approx(0.05, rel=0.08)  # of 20 000 resamples
    assert found.value == pytest.approx((found.high + found.low) / 2)


def test_rows_of_the_same_seeds_differ_by_the_differences_of_their_runs():
    x, y = crossed(3, seed=1), crossed(3, seed=2)
    shared = np.random.default_rng(3).normal(0, 2, C)
    panel = Panel(MEAN, [runs(x + shared), runs(y + shared)], resamples=20_000)
    found, d = panel.variance(0, 1), x - y
    assert found.seeds == pytest.approx(between(d))
    assert found.images == pytest.approx(covariance(d), rel=0.07)
    t = abs(d.mean()) / found.total**0.5
    both = found.seeds * stats.t.sf(t, 2) + found.images * stats.t.sf(t, C - 1)
    assert panel.difference(0, 1).p == pytest.approx(2 * both / found.total, rel=1e-6)


def test_rows_of_other_seeds_are_paired_by_image_alone():
    x, y = crossed(3, seed=1), crossed(4, seed=2)
    shared = np.random.default_rng(3).normal(0, 2, C)
    x, y = x + shared, y + shared
    found = Panel(MEAN, [runs(x), runs(y, first=7)], resamples=20_000).variance(0, 1)
    assert found.seeds == pytest.approx(between(x) + between(y))
    expected = covariance(x) + covariance(y) - 2 * covariance(x, y)
    assert found.images == pytest.approx(expected, rel=0.07)
    a, b = between(x), between(y)
    assert found.freedoms[0] == pytest.approx((a + b) ** 2 / (a**2 / 2 + b**2 / 3))  # Welch (1947)


def test_beside_a_single_run_its_whole_variance_over_images_counts():
    x, y = crossed(3, seed=1), crossed(1, seed=2)
    found = Panel(MEAN, [runs(x), runs(y)], resamples=20_000).variance(0, 1)
    assert found.seeds == pytest.approx(between(x))
    expected = covariance(x) + y[0].var() / C - 2 * covariance(x, y)
    assert found.images == pytest.approx(expected, rel=0.05)


def test_images_that_seeds_disagree_on_never_make_a_variance_negative():
    rng = np.random.default_rng(0)
    x = rng.normal(size=C) * np.array([[1], [-1]])  # two seeds that are wrong where the other is right
    found = Panel(MEAN, [runs(x + np.array([[0.0], [0.3]]))])
    assert found.interval(0).low < found.interval(0).high
    variance = found.variance(0)
    assert variance.images == 0.0
    assert variance.both <= variance.seeds


def test_a_single_run_tells_nothing_of_seeds():
    x = crossed(1)
    found = Panel(MEAN, [runs(x), runs(x - 1)]).variance(0, 1)
    assert (found.seeds, found.both) == (0.0, 0.0)
    assert found.total == pytest.approx(0.0, abs=1e-25)  # nor of images: the runs differ by the same everywhere
