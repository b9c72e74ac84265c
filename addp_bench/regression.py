"""R^2 of a result regressed on one column after another: as it is, adjusted, or of samples that were not fitted."""

from __future__ import annotations

from typing import Literal

import numpy as np

R2 = Literal["plain", "adjusted", "cross_validated"]


def r2_of(kind: R2, columns: np.ndarray, predictors: int, fold: np.ndarray) -> np.ndarray | None:
    """R^2 (G,) of the kind, as `nested_r2` has it; fold (N,): each sample's, for "cross_validated"."""
    plain = nested_r2(columns, predictors)
    if plain is None or kind == "plain":
        return plain
    if kind == "cross_validated":
        return cross_validated_r2(columns, predictors, fold)
    n, m = len(columns), np.minimum(np.arange(1, columns.shape[1] + 1), predictors)
    return np.asarray(1.0 - (1.0 - plain) * (n - 1) / (n - m - 1))


def nested_r2(columns: np.ndarray, predictors: int) -> np.ndarray | None:
    """R^2 of the last of columns (N, G) regressed on an intercept and the first m, for m = 1 .. G: (G,) float64.

    Columns beyond the first `predictors` explain nothing: with G - 1 of them the last does not explain itself, and R^2
    ends where the one before left it. None when the last column is constant. R^2 cannot fall.
    """
    y = columns[:, -1] - columns[:, -1].mean()
    total = float(y @ y)
    if total <= 1e-12 * len(columns) * max(1.0, float(columns[:, -1].mean()) ** 2):
        return None
    gained = (_fits(columns, predictors, np.ones(len(columns), dtype=bool)) ** 2).sum(axis=1) / total
    return np.minimum(np.cumsum(gained), 1.0)


def cross_validated_r2(columns: np.ndarray, predictors: int, fold: np.ndarray) -> np.ndarray:
    """The same of samples that were not fitted: 1 - (squared error) / (squared error of the other folds' mean).

    fold (N,): each sample's, at least two in all. R^2 may fall, and be negative.
    """
    y = columns[:, -1]
    errors = np.zeros(columns.shape[1] + 1)  # with 0 .. G columns
    for f in np.unique(fold):
        held = fold == f
        rest = y[held] - y[~held].mean()
        left = rest - np.cumsum(_fits(columns, predictors, ~held)[:, held], axis=0)
        errors += [rest @ rest, *(left**2).sum(axis=1)]
    return np.asarray(1.0 - errors[1:] / errors[0])


def _fits(columns: np.ndarray, predictors: int, fitted: np.ndarray) -> np.ndarray:
    """What each next of columns (N, G) adds to the least-squares estimate of the last one: (G, N).

    fitted (N,) bool: the samples it is fitted to. An orthonormal basis is grown column by column, so the estimate is
    that of minimum norm; a column that the earlier ones already span (or a constant) adds nothing.
    """
    centred = columns - columns[fitted].mean(axis=0)
    tolerance = np.finfo(np.float64).eps * max(int(fitted.sum()), columns.shape[1])
    basis = np.empty((len(columns), 0))
    added = np.zeros(columns.T.shape)
    for m in range(predictors):
        rest = centred[:, m]
        for _ in range(2):  # twice is enough for orthogonality to working precision
            rest = rest - basis @ (basis[fitted].T @ rest[fitted])
        length = float(np.linalg.norm(rest[fitted]))
        if length > tolerance * float(np.linalg.norm(columns[fitted, m])):
            direction = rest / length
            added[m] = direction * (direction[fitted] @ centred[fitted, -1])
            basis = np.column_stack([basis, direction])
    return added
