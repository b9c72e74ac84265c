"""COCO's average precision and recall, from what was matched in each photograph, for any resample of photographs.

A split's detections of a class are ranked once. A resample only changes how often each of them counts: its precision
and recall are ratios of cumulative sums of these counts, for all resamples at once. Precision has to be known at hits
alone, since between two of them it falls and recall stands still.

The columns, all Ragged. For each detection of a sample, by class and the best first: `found_class`, `found_score` and,
for each area range (`found_all`, ...), a whole number whose bit k says that at IOUS[k] it found an object of that size,
and whose bit 10 + k that it counts for nothing. For each class of which a sample has an object: `truth_class` and, for
each area range (`truth_all`, ...), the objects to be found.

A photograph that a resample holds n times counts n times where it stands: each of its detections n times in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

IOUS = np.linspace(0.5, 0.95, 10)  # as in pycocotools, to the last bit
RECALLS = np.linspace(0.0, 1.0, 101)  # at which COCO reads precision
_ROOM = 1 << 19  # numbers held at a time: detections of a class x resamples


@dataclass(frozen=True)
class Ranked:
    """Detections of one class, the best first, in R resamples of N photographs.

    image (D,): the photograph of each. score (D,). hit, skip (10, D) bool: at each IoU of IOUS whether it found an
    object, and whether it counts for nothing. objects (R,): how many there are to find.
    """

    image: np.ndarray
    score: np.ndarray
    hit: np.ndarray
    skip: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Detected:
    """area: "all", "small", "medium" or "large". most: detections of a photograph and class that count, the best."""

    id: str
    label: str
    unit: str = "points"
    higher_is_better: bool = True
    version: int = 1
    area: str = "all"
    most: int = 100

    def value(self, statistics: Mapping[str, Any], counts: np.ndarray | None = None) -> np.ndarray:
        """statistics: columns as above. counts: (R, N), how often each sample stands in each resample.

        Mean over the classes of which there is an object to find, and over IoUs. Returns (R,) float64, or () without
        counts; nan where there is nothing to find.
        """
        photographs = len(statistics["truth_class"])
        times = np.ones((photographs, 1)) if counts is None else np.asarray(counts, np.float64).T
        total, terms = np.zeros(times.shape[1]), np.zeros(times.shape[1])
        for ranked in classes(statistics, self.area, self.most, times):
            step = max(32, _ROOM // max(1, len(ranked.image)))
            for first in range(0, times.shape[1], step):
                some = slice(first, first + step)
                there = ranked.objects[some] > 0
                made = self._of_class(ranked, times[:, some][ranked.image], np.where(there, ranked.objects[some], 1.0))
                total[some] += np.where(there, made.sum(0), 0.0)
                terms[some] += there * len(made)
        found = np.divide(total, terms, out=np.full(len(total), np.nan), where=terms > 0)
        return found if counts is not None else found[0]

    def _of_class(self, ranked: Ranked, weight: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """weight (D, R): how often each detection counts. objects (R,), above 0. Returns (IoUs, R)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class AverageRecall(_Detected):
    """Share of the objects that are found, mean over the ten IoUs (COCO's AR)."""

    def _of_class(self, ranked: Ranked, weight: np.ndarray, objects: np.ndarray) -> np.ndarray:
        return ranked.hit.astype(np.float64) @ weight / objects


@dataclass(frozen=True, kw_only=True)
class AveragePrecision(_Detected):
    """Precision at 101 recalls, where precision is the best at this or a higher recall (COCO's AP).

    iou: index in IOUS, None for the mean over the ten. ties: how detections of a class that have one score are ranked:
    "given" by photograph, and in it as they came; "best" with all hits before all others; "worst" the other way.
    """

    iou: int | None = None
    ties: Literal["given", "best", "worst"] = "given"

    def _of_class(self, ranked: Ranked, weight: np.ndarray, objects: np.ndarray) -> np.ndarray:
        levels = range(len(IOUS)) if self.iou is None else [self.iou]
        made, every = np.zeros((len(levels), weight.shape[1])), _from_zero(weight)
        for row, k in enumerate(levels):
            hits, skips = np.flatnonzero(ranked.hit[k]), np.flatnonzero(ranked.skip[k])
            found, skipped = _from_zero(weight[hits]), _from_zero(weight[skips])
            if self.ties == "given":
                last, missed = hits + 1, 0.0
            else:  # where the equals of each hit begin, or end; between there and it are hits alone
                last = np.searchsorted(-ranked.score, -ranked.score[hits], "left" if self.ties == "best" else "right")
                missed = found[1:] - found[np.searchsorted(hits, last)]
            down_to = every[last] - skipped[np.searchsorted(skips, last)] + missed  # (H, R) detections that count
            precision = found[1:] / (down_to + np.spacing(1))  # as pycocotools, to the last bit
            best = np.maximum.accumulate(precision[::-1])[::-1]
            made[row] = (best * np.diff(recalls_reached(found[1:] / objects), axis=0, prepend=0)).sum(0) / len(RECALLS)
        return made


def classes(statistics: Mapping[str, Any], area: str, most: int, times: np.ndarray) -> Iterator[Ranked]:
    """Every class that has an object in this area range in some photograph. times (N, R): how often each counts."""
    image, label, score, state = _detections(statistics, area, most)
    bits = 1 << np.arange(len(IOUS))[:, None]
    there, objects = statistics["truth_class"], statistics[f"truth_{area}"].values
    home = np.repeat(np.arange(len(there)), there.lengths)
    for name in np.unique(there.values[objects > 0]):
        its = there.values == name
        first, last = np.searchsorted(label, [name, name + 1])
        of = slice(first, last)
        hit, skip = (state[of] & bits) > 0, (state[of] >> len(IOUS) & bits) > 0
        yield Ranked(image[of], score[of], hit, skip, objects[its] @ times[home[its]])


def _detections(statistics: Mapping[str, Any], area: str, most: int) -> tuple[np.ndarray, ...]:
    """Photograph, class, score and state of all detections: by class, then the best first, then by photograph."""
    found = statistics["found_class"]
    image = np.repeat(np.arange(len(found)), found.lengths)
    label, score = found.values, statistics["found_score"].values
    new = np.ones(len(label), bool)
    new[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    rank = np.arange(len(label)) - np.flatnonzero(new)[np.cumsum(new) - 1]  # in its photograph and class
    order = np.lexsort((-score, label))
    order = order[rank[order] < most]
    state = statistics[f"found_{area}"].values.astype(np.int64)
    return image[order], label[order], score[order], state[order]


def recalls_reached(recall: np.ndarray) -> np.ndarray:
    """How many of RECALLS are at most so much: as searchsorted(side="right"), in a tenth of its time."""
    near = (recall * 100.0 + 1e-6).astype(np.int64)  # the last of them, or one too far
    return near + (RECALLS[near] <= recall)


def _from_zero(counts: np.ndarray) -> np.ndarray:
    """Cumulative sums of counts (D, R) down the ranking, beginning with 0: (D + 1, R)."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]))
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums
