"""What naive predictors answer in semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.types import UNLABELLED

if TYPE_CHECKING:
    from addp_bench.types import Sample


def constant(sample: Sample, label: int) -> np.ndarray:
    """(H, W) int64 of the photograph's size, one class everywhere."""
    return np.full(sample.image.shape[:2], label, np.int64)


def exchanged(sample: Sample, generator: np.random.Generator) -> np.ndarray:
    """The truth (H, W) with its classes in a random order, each order equally likely; unlabelled pixels stay."""
    truth = np.asarray(sample.truth, np.int64)
    present = np.setdiff1d(truth, UNLABELLED)
    as_said = np.arange(UNLABELLED + 1)
    as_said[present] = generator.permutation(present)
    answer: np.ndarray = as_said[truth]
    return answer
