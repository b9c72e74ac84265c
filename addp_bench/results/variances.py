"""A number from several seeds and resamples of its images: what it varies by, its interval, its p.

Seeds and images are two crossed samples (Obuchowski and Rockette, 1995, where seeds are readers). The variance of a
mean over n seeds is taken as

    s^2 / n  +  c      s^2: variance between seeds on the same images; c: bootstrap covariance of two seeds, 0 at least

What a seed does at single images is in s^2 already and is no part of c; a bootstrap variance of the mean would count it
twice. Each part keeps the t of its own degrees of freedom: the chance of a distance of t standard errors is the mean of
the two tails, weighted by the parts. (Two rows whose seeds are not paired have Welch's degrees of freedom.) One set of
degrees of freedom for the sum (Satterthwaite, 1946) is too sure with few seeds: where three of them happen to agree, it
takes s^2 for well known, and at the levels that a Holm correction asks for it rejects several times too often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy import special

# (share of the variance, degrees of freedom) of each source of it; the shares add up to 1
Parts: TypeAlias = Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Variance:
    """What a mean over seeds, or a difference of two, varies by, in the metric's stored unit squared.

    seeds: from seed to seed on the same images, s^2 / n; 0 for one seed, which cannot tell. both: the part of it that
    lies at single images, and would vanish with many. images: what all seeds have in common there. freedoms: degrees of
    freedom of the first and of the last.
    """

    seeds: float
    both: float
    images: float
    freedoms: tuple[float, float]

    @property
    def total(self) -> float:
        return self.seeds + self.images

    @property
    def parts(self) -> Parts:
        """Shares of the total and their degrees of freedom: of seeds, and of images."""
        share = self.seeds / self.total if self.total else 0.0
        return (share, self.freedoms[0]), (1 - share, self.freedoms[1])


class Estimate:
    """A number, and how sure it is. values: parts, of which the second is subtracted, of (n,) seeds; resampled: the
    same in R resamples, (R, n)."""

    def __init__(self, values: Sequence[np.ndarray], resampled: Sequence[np.ndarray], clusters: int) -> None:
        self.values, self.clusters = values, clusters
        self.value = float(np.subtract.reduce([part.mean() for part in values]))
        whole = np.subtract.reduce([part.mean(axis=1) for part in resampled])
        usable = ~np.isnan(whole)
        self.resampled = whole if usable.all() else whole[usable]  # (R,)
        self.parts = resampled if usable.all() else [part[usable] for part in resampled]
        self.known = len(self.resampled) > 1 and clusters > 1
        self.several = any(len(part) > 1 for part in values)

    @cached_property
    def variance(self) -> Variance:
        """What it varies by, and why; nan where resamples do not tell."""
        if not self.known:
            return Variance(np.nan, np.nan, np.nan, (1.0, 1.0))
        several = [(part, again) for part, again in zip(self.values, self.parts) if len(part) > 1]
        of_seeds = [(float(part.var(ddof=1)) / len(part), len(part) - 1) for part, _ in several]
        there = [np.var(again - again.mean(axis=1, keepdims=True), axis=0, ddof=1).mean() for _, again in several]
        both = sum(float(v) / (len(part) - 1) for v, (part, _) in zip(there, several))
        seeds = sum(v for v, _ in of_seeds)
        # of two rows that are not paired by seed: Welch (1947)
        welch = seeds**2 / sum(v * v / n for v, n in of_seeds) if seeds else 1.0
        images = max(0.0, float(self.resampled.var(ddof=1)) - both)
        return Variance(seeds, min(both, seeds), images, (welch, max(1, self.clusters - 1)))

    def ends(self, level: float) -> tuple[float, float]:
        """Its interval."""
        if not self.known:
            return np.nan, np.nan
        if self.several:
            half = quantile(level, self.variance.parts) * self.variance.total**0.5
            return self.value - half, self.value + half
        low, high = np.quantile(self.resampled, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Two-sided, that it is 0."""
        if not self.known:
            return float("nan")
        error = self.variance.total**0.5
        if error == 0:  # runs that differ by the same in every resample
            return float(self.value == 0)
        if self.several:
            return float(tails(abs(self.value) / error, self.variance.parts))
        count = len(self.resampled)
        beyond = int(min(np.count_nonzero(self.resampled <= 0), np.count_nonzero(self.resampled >= 0)))
        if beyond:
            return min(1.0, 2 * (beyond + 1) / (count + 1))
        # past the resolution of the resamples, which a Holm correction over hundreds of rows would need
        return min(2 / (count + 1), 2 * float(special.ndtr(-abs(self.value) / error)))


def tails(distance: Any, parts: Parts) -> Any:
    """Chance that a true mean lies `distance` standard errors away or further, to either side: the mean over the parts
    of Student's t, weighted by their shares."""
    return sum(share * 2 * special.stdtr(freedom, -distance) for share, freedom in parts)


def quantile(level: float, parts: Parts) -> float:
    """How many standard errors an interval at this level reaches to either side."""
    ends = [float(special.stdtrit(freedom, (1 + level) / 2)) for _, freedom in parts]
    low, high = min(ends), max(ends)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if tails(middle, parts) > 1 - level else (low, middle)
    return (low + high) / 2
