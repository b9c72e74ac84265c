"""What it would take to separate a difference: against formulas by hand, and against experiments of that size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from addp_bench.metrics import MeanOf
from addp_bench.results.power import detectable, images_needed, seeds_needed, with_images, with_seeds
from addp_bench.results.uncertainty import Runs, difference
from addp_bench.results.variances import Variance
from addp_bench.statistics import Statistics

MANY = 1e9  # degrees of freedom at which t is normal


def test_one_seed_needs_the_images_of_the_textbook():
    """n = (1.960 + 0.842)^2 s^2 / d^2 = 7.849 s^2 / d^2, with s^2 of one image: here 4 / 100 of a mean of 100."""
    variance = Variance(seeds=0.0, both=0.0, images=0.04, freedoms=(1.0, MANY))
    assert detectable(variance) == pytest.approx((1.959964 + 0.841621) * 0.2, rel=1e-6)
    # 7.849 x 4 / 0.1^2 = 3139.6; t of 3139 degrees of freedom asks for a little more
    assert images_needed(0.1, variance, 100) == pytest.approx(3141.5, abs=1)
    assert images_needed(-0.1, variance, 100) == images_needed(0.1, variance, 100)
    assert seeds_needed(0.1, variance, 1) is None


def test_the_number_found_is_the_first_that_is_enough():
    variance = Variance(seeds=0.0, both=0.0, images=0.04, freedoms=(1.0, 99))
    count = images_needed(0.1, variance, 100)
    assert detectable(with_images(variance, 100, count)) <= 0.1 < detectable(with_images(variance, 100, count - 1))
    seeds = Variance(seeds=0.03, both=0.01, images=0.001, freedoms=(2.0, 99))
    count = seeds_needed(0.25, seeds, 3)
    assert detectable(with_seeds(seeds, 3, count)) <= 0.25 < detectable(with_seeds(seeds, 3, count - 1))


def test_seeds_need_what_students_t_asks_of_them():
    """Without images: (t_0.975 + t_0.8) s / sqrt n of n - 1 degrees of freedom, s = 1, d = 1, by scipy."""
    variance = Variance(seeds=1 / 3, both=0.0, images=0.0, freedoms=(2.0, MANY))
    by_hand = [n for n in range(2, 40) if (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) / n**0.5 <= 1]
    assert seeds_needed(1.0, variance, 3) == by_hand[0] == 10  # as of the noncentral t


def test_images_cannot_make_up_for_seeds_that_differ_nor_seeds_for_few_images():
    seeds_hide = Variance(seeds=0.04, both=0.01, images=0.01, freedoms=(2.0, 99))
    assert images_needed(0.3, seeds_hide, 100) is None
    # 2.83^2 (0.12 / n + 0.01) = 0.09, where 2.83 = t_0.975 + t_0.8 of 98 degrees of freedom: n = 96.8
    assert seeds_needed(0.3, seeds_hide, 3) == 97
    images_hide = Variance(seeds=0.0001, both=0.0001, images=0.04, freedoms=(2.0, 99))
    assert seeds_needed(0.3, images_hide, 3) is None
    assert images_needed(0.3, images_hide, 100) > 100
    assert images_needed(0.1, Variance(0.04, 0.0, 0.04, (2.0, 99)), 100) is None
    assert seeds_needed(0.1, Variance(0.04, 0.0, 0.04, (2.0, 99)), 3) is None


def test_what_seeds_do_at_single_images_falls_with_both():
    variance = Variance(seeds=0.09, both=0.06, images=0.02, freedoms=(2.0, 99))
    of_images = with_images(variance, 100, 400)
    assert (of_images.seeds, of_images.both, of_images.images) == pytest.approx((0.045, 0.015, 0.005))
    assert of_images.freedoms == (2.0, 399)
    of_seeds = with_seeds(variance, 3, 9)
    assert (of_seeds.seeds, of_seeds.both, of_seeds.images) == pytest.approx((0.03, 0.02, 0.02))
    assert of_seeds.freedoms == (8.0, 99)


def test_with_as_many_images_four_of_five_experiments_separate_it():
    """A difference of 0.1 at a standard deviation of 0.5 for each image."""
    images = images_needed(0.1, Variance(0.0, 0.0, 0.25 / 50, (1.0, 49)), 50)
    assert images == pytest.approx(198, abs=1)
    names = np.arange(images).astype(str)
    found = []
    for repetition in range(300):
        x = np.random.default_rng(repetition).normal(0.1, 0.5, images)
        sides = [Runs({0: Statistics(names, names, {"x": values})}) for values in (x, np.zeros(images))]
        found.append(difference(MeanOf(id="x", label="X", column="x"), *sides, resamples=500).p <= 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)
