"""Numbers made of per-sample statistics, for any subset or resample of the samples.

Every metric here but LogOfPairs is made of sums over samples, most of them of one sum divided by another, so that all
resamples of a bootstrap are a single matrix product. A sample whose statistic is nan is one that this metric does not
score (the accuracy on no-target expressions, say, at an expression that has a target): it leaves both sums, and
`scored` tells how many stayed. A prediction that *failed* never gets this far: evaluators raise BadPrediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class OfSums(ABC):
    """A number made of sums over samples and of nothing else; protocols.Metric says what the fields are."""

    id: str
    label: str
    unit: str = "points"
    higher_is_better: bool = True
    version: int = 1

    @abstractmethod
    def addends(self, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
        """What each sample adds to each of S sums, (N, S) float64; 0 where it is not scored."""

    @abstractmethod
    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        """sums (..., S) -> the number (...); nan where nothing was scored."""

    def value(self, statistics: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> np.ndarray:
        """statistics: columns (N,). counts: (R, N), how often each sample stands in each of R resamples.

        Returns (R,) float64, or () without counts; nan where nothing was scored. Integer counts are converted once
        for each call, so who asks for many metrics passes float64.
        """
        addends = self.addends(statistics)
        if counts is None:
            return self.of_sums(np.ascontiguousarray(addends.T).sum(axis=1))  # along memory numpy sums in pairs
        return self.of_sums(np.asarray(counts, np.float64) @ addends)


@dataclass(frozen=True, kw_only=True)
class Summed(OfSums):
    """Sum of numerators / sum of denominators."""

    @abstractmethod
    def terms(self, statistics: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What each sample adds to the numerator and to the denominator, (N,) each; nan in either: not scored."""

    def addends(self, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.stack(self.scored_terms(statistics), axis=1)

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        return _ratio(sums[..., 0], sums[..., 1])

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
class LogOfPairs:
    """Logarithm of a mean over all pairs of samples, of which `column` holds each sample's mean over the others.

    A sample stands in its own pairs and in those of the others. Resampling it alone would give half the spread there
    is, so both places are resampled, to first order (Hoeffding, 1948): log(2 m - M), where m is the resample's mean of
    the column and M that of all samples. nan where the column is nan throughout, or that is not positive.
    """

    id: str
    label: str
    column: str
    unit: str = "nats"
    higher_is_better: bool = False
    version: int = 1

    def value(self, statistics: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> np.ndarray:
        """As `Summed.value`."""
        mean = MeanOf(id=self.id, label=self.label, column=self.column)
        pairs = whole = mean.value(statistics)
        if counts is not None:
            pairs = 2.0 * mean.value(statistics, counts) - whole
        return np.log(pairs, out=np.full(np.shape(pairs), np.nan), where=np.asarray(pairs > 0))


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


@dataclass(frozen=True, kw_only=True)
class MeanOfRatios(OfSums):
    """Mean over classes of: sum of the class's numerators / sum of its denominators (mIoU over a whole dataset).

    numerator, denominator, weight: what the columns of all classes begin with. The classes are what follows
    `numerator.` in the names of columns, so "intersection" stands for "intersection.cone" and its like. weight: columns
    whose sum weighs a class in the mean; None weighs all alike. empty: the ratio of a class whose denominators add up
    to 0; None leaves it out of the mean. The number is nan where that is so of every class.
    """

    numerator: str
    denominator: str
    weight: str | None = None
    empty: float | None = None

    def addends(self, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
        """(N, S): the numerators of K classes, then their denominators, then their weights where there are any."""
        classes = [name.removeprefix(self.numerator) for name in statistics if name.startswith(self.numerator + ".")]
        if not classes:
            raise KeyError(f"{self.numerator}.*")
        families = [self.numerator, self.denominator, *([self.weight] if self.weight else [])]
        return np.stack([np.asarray(statistics[f + c], np.float64) for f in families for c in classes], axis=1)

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        above, below, *weights = np.split(sums, 3 if self.weight else 2, axis=-1)
        ratio = _ratio(above, below)
        if self.empty is not None:
            ratio = np.where((below == 0) & (below != 0).any(axis=-1, keepdims=True), self.empty, ratio)
        weight = np.where(np.isnan(ratio), 0.0, weights[0] if weights else 1.0)
        return _ratio((weight * np.nan_to_num(ratio)).sum(axis=-1), weight.sum(axis=-1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, nan where below is 0."""
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below != 0))
