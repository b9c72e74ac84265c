"""Numbers made of per-sample statistics, for any subset or resample of the samples.

Every metric here is one sum over samples divided by another, so that all resamples of a bootstrap are a single matrix
product. A sample whose statistic is nan is one that this metric does not score (the accuracy on no-target expressions,
say, at an expression that has a target): it leaves both sums, and `scored` tells how many stayed. A prediction that
*failed* never gets this far: evaluators raise BadPrediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Summed(ABC):
    """Sum of numerators / sum of denominators; protocols.Metric says what the fields are."""

    id: str
    label: str
    unit: str = "points"
    higher_is_better: bool = True
    version: int = 1

    @abstractmethod
    def terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What each sample adds to the numerator and to the denominator, (N,) each; nan in either: not scored."""

    def value(self, statistics: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> np.ndarray:
        """statistics: columns (N,). counts: (R, N), how often each sample stands in each of R resamples.

        Returns (R,) float64, or () without counts; nan where the denominator is 0. Integer counts are converted once
        for each call, so who asks for many metrics passes float64.
        """
        numerator, denominator = self.scored_terms(statistics)
        above, below = numerator.sum(), denominator.sum()
        if counts is not None:
            above, below = np.moveaxis(np.asarray(counts, np.float64) @ np.stack([numerator, denominator], 1), -1, 0)
        undefined = np.full(np.shape(below), np.nan)
        return np.divide(above, below, out=undefined, where=np.asarray(below != 0))

    def scored(self, statistics: Mapping[str, np.ndarray]) -> int:
        """How many samples this metric scores."""
        return int(np.count_nonzero(~np.isnan(np.add(*self.terms(statistics)))))

    def scored_terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same with 0 where a sample is not scored, so that they can be summed."""
        numerator, denominator = (np.asarray(term, np.float64) for term in self.terms(statistics))
        skipped = np.isnan(numerator) | np.isnan(denominator)
        return np.where(skipped, 0.0, numerator), np.where(skipped, 0.0, denominator)


@dataclass(frozen=True, kw_only=True)
class MeanOf(Summed):
    """Mean of a column over the samples where it is not nan."""

    column: str

    def terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        column = statistics[self.column]
        return column, np.ones(len(column))


@dataclass(frozen=True, kw_only=True)
class RatioOfSums(Summed):
    """Sum of one column / sum of another, so that large samples weigh more (oIoU)."""

    numerator: str
    denominator: str

    def terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return statistics[self.numerator], statistics[self.denominator]


@dataclass(frozen=True, kw_only=True)
class ShareAtLeast(Summed):
    """Share of samples whose column is at least `threshold` (above it, when not inclusive), where it is not nan."""

    column: str
    threshold: float
    inclusive: bool = True

    def terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        column = np.asarray(statistics[self.column], np.float64)
        passed = column >= self.threshold if self.inclusive else column > self.threshold
        return np.where(np.isnan(column), np.nan, passed), np.ones(len(column))
