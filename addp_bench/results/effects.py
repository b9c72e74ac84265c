"""What each choice does, over a complete grid of rows: main effects, interactions of two, shares of the variance.

An effect is a contrast: weights that add up to 0, on the rows of the grid. It is made of the metric itself in each
resample, so that it is exact for ratios of sums, and has the interval and p of any difference (`uncertainty`), paired
by sample and by seed. With averages over the levels of all other factors, a main effect is

    level - mean of all levels      of each level, where a factor has three or more
    b - a                           where it has two

and an interaction is the product of two such contrasts: of two factors with two levels, by how much b - a of the one
differs between the two levels of the other. All tests of a grid are Holm-corrected together.

The share of a factor is its part of the sum of squares of all values of the grid, with the seed as a factor of its own
(eta squared); what three factors or a factor and the seed make together is left as the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .uncertainty import Difference, Panel, holm

SEED, REST = "seed", "rest"


@dataclass(frozen=True)
class Factor:
    """A choice and its levels, two at least; of two, the first is what the second is compared with."""

    name: str
    levels: Sequence[str]

    def contrasts(self) -> list[tuple[str, np.ndarray]]:
        """(what is compared, weights of the levels)."""
        if len(self.levels) == 2:
            return [(f"{self.levels[1]} − {self.levels[0]}", np.array([-1.0, 1.0]))]
        weights = np.eye(len(self.levels)) - 1 / len(self.levels)
        return list(zip(self.levels, weights))


@dataclass(frozen=True)
class Effect:
    """factors: one, or the two that act together. of: which levels are compared. p_holm: over all of the grid."""

    factors: tuple[str, ...]
    of: str
    difference: Difference
    p_holm: float


def effects(panel: Panel, factors: Sequence[Factor]) -> list[Effect]:
    """Main effects, then interactions of two.

    panel: a row for each combination of levels, in the order of itertools.product; all rows with the same seeds.
    """
    made = []
    chosen = [*((f,) for f in factors), *combinations(factors, 2)]
    for some in chosen:
        for labels, weights in _products(some, factors):
            made.append((tuple(f.name for f in some), " × ".join(labels), panel.contrast(weights)))
    corrected = holm([difference.p for _, _, difference in made])
    return [Effect(*parts, p_holm) for parts, p_holm in zip(made, corrected)]


def _products(some: Sequence[Factor], factors: Sequence[Factor]) -> list[tuple[list[str], np.ndarray]]:
    """Every product of one contrast of each of `some`, as weights of the rows, with its labels."""
    found: list[tuple[list[str], np.ndarray]] = [([], np.ones(1))]
    for factor in factors:
        mean = [(None, np.full(len(factor.levels), 1 / len(factor.levels)))]
        parts: Sequence[tuple[str | None, np.ndarray]] = factor.contrasts() if factor in some else mean
        several = len(some) > 1
        found = [
            (
                [*labels, f"({label})" if several and "−" in label else label] if label else labels,
                np.kron(weights, part),
            )
            for labels, weights in found
            for label, part in parts
        ]
    return found


def shares(values: np.ndarray, factors: Sequence[Factor]) -> dict[tuple[str, ...], float]:
    """Share of the variance of values (levels of the first factor, ..., seeds) due to each factor, to each two of them,
    to the seed and to the rest; they add up to 1. nan where all values are equal.
    """
    total = float(((values - values.mean()) ** 2).sum())
    if total <= values.size * (8 * np.finfo(float).eps * np.abs(values).max()) ** 2:  # equal, but for rounding
        total = 0.0
    names = [f.name for f in factors] + [SEED] * (values.shape[-1] > 1)
    found: dict[tuple[str, ...], float] = {}
    own: Mapping[int, np.ndarray] = {k: _mean(values, [k]) - values.mean() for k in range(len(names))}
    for k, name in enumerate(names):
        found[name,] = float((own[k] ** 2).sum()) * values.size / own[k].size
    for i, j in combinations(range(len(factors)), 2):
        both = _mean(values, [i, j]) - own[i] - own[j] - values.mean()
        found[names[i], names[j]] = float((both**2).sum()) * values.size / both.size
    found[REST,] = total - math.fsum(found.values())
    return {name: max(0.0, part) / total if total > 0 else math.nan for name, part in found.items()}


def _mean(values: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Mean over all axes but those kept, which stay in place."""
    return np.asarray(values.mean(axis=tuple(k for k in range(values.ndim) if k not in kept), keepdims=True))
