"""How many images, or seeds, it would take to separate a difference that was not separated.

A difference d is separated at 5 %, two-sided, in 80 % of repetitions when

    |d| >= (t_0.975 + t_0.8) * sqrt(variance)      t: Student's quantiles, as in `variances`

(Chow, Shao and Wang, Sample Size Calculations in Clinical Research, 2008, chapter 3; t as in their approximation for an
unknown variance.) What seeds add to the variance falls with their number, what images add with theirs, and what a seed
does at single images with both. Two things are assumed: that the true difference is the one that was measured, which
the luck of a small experiment makes too large as often as too small, and that more of the same would be drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .variances import Variance, quantile

LEVEL = 0.05
POWER = 0.8
MOST_IMAGES, MOST_SEEDS = 10_000_000, 1000  # beyond these "more of them" is no advice


def detectable(variance: Variance) -> float:
    """The smallest true difference that would be separated at LEVEL in POWER of repetitions; in the metric's unit."""
    tested, found = (quantile(level, variance.parts) for level in (1 - LEVEL, 2 * POWER - 1))
    return (tested + found) * variance.total**0.5


def images_needed(difference: float, variance: Variance, images: int) -> int | None:
    """Images with which `difference` would be separated, seeds as they are; None where seeds alone hide it.

    images: on which `variance` rests.
    """

    def enough(count: int) -> bool:
        return detectable(with_images(variance, images, count)) <= abs(difference)

    below, count = 1, 2
    while count < MOST_IMAGES and not enough(count):
        below, count = count, 2 * count
    return _first(enough, below, count) if enough(count) else None


def seeds_needed(difference: float, variance: Variance, seeds: int) -> int | None:
    """Seeds of each side with which `difference` would be separated on the same images; None where images alone hide
    it, or where there is one seed, which does not tell how they vary."""
    if seeds < 2:
        return None

    def enough(count: int) -> bool:
        return detectable(with_seeds(variance, seeds, count)) <= abs(difference)

    return next((count for count in range(2, MOST_SEEDS + 1) if enough(count)), None)


def with_images(variance: Variance, images: int, count: int) -> Variance:
    """The variance that `count` images would have, by that of `images`."""
    share = images / count
    everywhere = variance.seeds - variance.both
    of_seeds, _ = variance.freedoms
    return Variance(
        everywhere + share * variance.both,
        share * variance.both,
        share * variance.images,
        (of_seeds, max(1, count - 1)),
    )


def with_seeds(variance: Variance, seeds: int, count: int) -> Variance:
    """The variance that `count` seeds would have, by that of `seeds`, at least 2."""
    share = seeds / count
    of_seeds, of_images = variance.freedoms
    freedoms = (of_seeds * (count - 1) / (seeds - 1), of_images)
    return replace(variance, seeds=share * variance.seeds, both=share * variance.both, freedoms=freedoms)


def _first(enough: Callable[[int], bool], below: int, count: int) -> int:
    """The first number above `below` that is enough, where `count` is."""
    while count - below > 1:
        middle = (below + count) // 2
        below, count = (below, middle) if enough(middle) else (middle, count)
    return count
