"""Every pair of rows of a table, tested at once.

A pair is tested as in `variances`, which says why: what seeds and images add to it, paired by seed where both rows have
the same, each with the t of its own degrees of freedom. That holds for one seed too, whose p elsewhere is the share of
the resamples themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .variances import tails


@dataclass(frozen=True)
class Spread:
    """What the error of every difference between K rows is made of.

    resampled: of each row (R, n), the value of each of its seeds in each resample; nan where it has none. by_seed: of
    each row, seed -> value, in that order. clusters: how many were resampled.
    """

    resampled: Sequence[np.ndarray]
    by_seed: Sequence[Mapping[int, float]]
    clusters: int

    def p(self, values: np.ndarray) -> np.ndarray:
        """Two-sided p (K, K) of the differences between values (K,); 1 where rows do not differ, nan without error."""
        seeds, uncertain, both = self._seeds()
        means = np.stack([drawn.mean(axis=1) for drawn in self.resampled], axis=1)
        images = np.maximum(_of_differences(means) - both, 0.0)
        variance = seeds + images
        distance = np.abs(values[:, None] - values)
        with np.errstate(divide="ignore", invalid="ignore"):
            welch = np.where(uncertain > 0, seeds**2 / uncertain, 1.0)
            share = seeds / variance
            parts = ((share, welch), (1 - share, max(1, self.clusters - 1)))
            p = tails(distance / np.sqrt(variance), parts)
        p[variance == 0] = distance[variance == 0] == 0
        return p if self.clusters > 1 else np.full_like(p, np.nan)

    def _seeds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(K, K): the variance of each difference that is due to seeds, its square over its degrees of freedom, and
        what of it lies at single images, which the variance of the resampled means holds too."""
        count = np.array([len(values) for values in self.by_seed])
        own = np.array([np.var(list(v.values()), ddof=1) / len(v) if len(v) > 1 else 0.0 for v in self.by_seed])
        unsure = own**2 / np.maximum(count - 1, 1)
        there = np.array(
            [np.nanvar(a, axis=0, ddof=1).mean() / (a.shape[1] - 1) if a.shape[1] > 1 else 0.0 for a in self._apart]
        )
        variance, uncertain, both = (each[:, None] + each for each in (own, unsure, there))
        alike: dict[tuple[int, ...], list[int]] = {}
        for k, values in enumerate(self.by_seed):
            alike.setdefault(tuple(sorted(values)), []).append(k)
        for seeds, rows in alike.items():
            if len(seeds) > 1:
                paired = _of_differences(np.array([[self.by_seed[k][s] for k in rows] for s in seeds])) / len(seeds)
                at = np.ix_(rows, rows)
                variance[at], uncertain[at] = paired, paired**2 / (len(seeds) - 1)
                of = {k: list(self.by_seed[k]) for k in rows}
                each = [np.stack([self._apart[k][:, of[k].index(s)] for k in rows], 1) for s in seeds]
                both[at] = np.mean([_of_differences(drawn) for drawn in each], axis=0) / (len(seeds) - 1)
        return variance, uncertain, both

    @cached_property
    def _apart(self) -> list[np.ndarray]:
        """Of each row (R, n): what each seed is above the mean of the row's seeds, in each resample."""
        return [drawn - drawn.mean(axis=1, keepdims=True) for drawn in self.resampled]


def _of_differences(drawn: np.ndarray) -> np.ndarray:
    """Sample variance (K, K) of the difference between any two columns of (R, K), of the rows where both are known."""
    missing = np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        centre = np.nansum(drawn, axis=0) / np.maximum(len(drawn) - missing.sum(axis=0), 1)
    away = np.where(missing, 0.0, drawn - centre)  # near 0, so that the squares below cancel without loss
    if not missing.any():
        products = away.T @ away
        squares, sums, pairs = (
            np.diag(products)[:, None] + np.diag(products) - 2 * products,
            0.0,
            np.float64(len(drawn)),
        )
    else:
        there = (~missing).astype(np.float64)
        once = (away**2).T @ there
        squares, sums, pairs = once + once.T - 2 * away.T @ away, away.T @ there - there.T @ away, there.T @ there
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (squares - sums**2 / pairs) / (pairs - 1)
    return np.asarray(np.where(pairs > 1, np.maximum(found, 0.0), np.nan))
