"""What naive predictors answer in semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.errors import BadData
from addp_bench.types import UNLABELLED

if TYPE_CHECKING:
    from addp_bench.protocols import Samples
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


class MostFrequentLabels:
    """The class that each pixel has most often over photographs, of equals the first, at any photograph's size.

    Maps of another size than the first are brought to it by the nearest pixel; a pixel that is labelled nowhere takes
    the class that is most frequent over all.
    """

    def __init__(self, samples: Samples, count: int) -> None:
        """Of the first `count` samples. Raises BadData where no pixel of any is labelled."""
        votes = np.zeros((UNLABELLED, 1, 1), np.int64)
        for i in range(count):
            truth = np.asarray(samples[i].truth, np.int64)
            if i == 0:
                votes = np.zeros((UNLABELLED, *truth.shape), np.int64)
            rows, columns = (
                (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(votes.shape[1:], truth.shape)
            )
            truth = truth[rows][:, columns]
            y, x = np.nonzero(truth != UNLABELLED)
            votes[truth[y, x], y, x] += 1
        if not votes.any():
            raise BadData(f"no pixel of the first {count} training samples is labelled: nothing is most frequent")
        self.map = np.where(votes.any(axis=0), votes.argmax(axis=0), votes.sum(axis=(1, 2)).argmax())

    def __call__(self, sample: Sample) -> np.ndarray:
        """The map (H, W) int64 of the photograph's size, by the nearest pixel."""
        rows, columns = (
            (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(sample.image.shape[:2], self.map.shape)
        )
        found: np.ndarray = self.map[rows][:, columns]
        return found
