"""Average precision of classes over photographs, from one score for each question, for any resample of photographs.

The columns, all Ragged, a number for each question of a sample: `question_class`, `question_score`, `question_true` 1
where the class is there and 0 where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_ROOM = 1 << 21  # numbers held at a time: questions about a class x resamples


@dataclass(frozen=True, kw_only=True)
class MeanAveragePrecision:
    """Mean over classes of the average precision of their questions, the highest score first.

    Average precision is the sum over distinct scores of precision there x the recall it adds, no point interpolated
    (scikit-learn's): questions of one score count together, so no order of theirs matters. Classes that are nowhere
    leave the mean.
    """

    id: str = "map"
    label: str = "mAP"
    unit: str = "points"
    higher_is_better: bool = True
    version: int = 1

    def value(self, statistics: Mapping[str, Any], counts: np.ndarray | None = None) -> np.ndarray:
        """statistics: columns as above. counts: (R, N), how often each sample stands in each resample.

        Returns (R,) float64, or () without counts; nan where no class is anywhere.
        """
        asked = statistics["question_class"]
        times = np.ones((len(asked), 1)) if counts is None else np.asarray(counts, np.float64).T
        sample = np.repeat(np.arange(len(asked)), asked.lengths)
        score, true = statistics["question_score"].values, statistics["question_true"].values
        total, classes = np.zeros(times.shape[1]), np.zeros(times.shape[1])
        for label in np.unique(asked.values):
            mine = np.flatnonzero(asked.values == label)
            mine = mine[np.argsort(-score[mine], kind="stable")]
            last = np.flatnonzero(np.diff(score[mine], append=np.inf))  # where a score ends
            step = max(1, _ROOM // len(mine))
            for first in range(0, times.shape[1], step):
                some = slice(first, first + step)
                weight = times[:, some][sample[mine]]  # (questions, resamples)
                there = np.cumsum(weight * true[mine, None], axis=0)[last]
                down_to = np.cumsum(weight, axis=0)[last]
                precision = np.divide(there, down_to, out=np.zeros_like(there), where=down_to > 0)
                found = (precision * np.diff(there, axis=0, prepend=0)).sum(0)
                held = there[-1] > 0
                total[some] += np.divide(found, there[-1], out=np.zeros_like(found), where=held)
                classes[some] += held
        made = np.divide(total, classes, out=np.full(len(total), np.nan), where=classes > 0)
        return made if counts is not None else made[0]
