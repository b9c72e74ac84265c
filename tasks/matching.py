"""Boxes beside boxes: overlap, COCO's matching in one photograph, the best assignment, what several agree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from addp_bench.average_precision import IOUS
from addp_bench.types import Detections, Objects

_AT_LEAST = np.minimum(IOUS, 1.0 - 1e-10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # closed


def xywh(xyxy: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) as corners -> as corner, width and height, float64."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def overlaps(found: np.ndarray, there: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """IoU (n, m) of boxes (n, 4) and (m, 4); with a crowd (m,) bool the intersection's share of the found box."""
    if not (len(found) and len(there)):
        return np.zeros((len(found), len(there)))
    crowd = np.zeros(len(there), bool) if crowd is None else crowd
    return np.asarray(coco.iou(xywh(found), xywh(there), crowd.astype(np.uint8)))


def area(xyxy: np.ndarray) -> np.ndarray:
    """Width x height (n,) float64 of boxes (n, 4)."""
    width, height = xywh(xyxy)[:, 2:].T
    return width * height


def chosen(found: Detections, rows: np.ndarray) -> Detections:
    """Some of them, by bools (n,) or by their numbers, in that order."""
    return Detections(found.xyxy[rows], found.labels[rows], found.scores[rows])


def ranked(found: Detections, most: int) -> Detections:
    """By class, the best of each first, equals as they came; at most so many of a class."""
    found = chosen(found, np.lexsort((-found.scores, found.labels)))
    first = np.searchsorted(found.labels, found.labels, side="left")
    return chosen(found, np.arange(len(found.labels)) - first < most)


def matched(found: Detections, there: Objects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COCO's matching of ranked detections (D) with the objects (G) of their photograph.

    Returns hit and skip, (areas, IoUs, D) bool: whether it found an object, and whether it counts for nothing; and
    ignored (areas, G) bool: objects that need not be found. A detection takes, of the objects of its class that are
    left and overlap enough, that with the largest IoU; those to be ignored (crowds, or outside of the area range)
    only where there is no other. The last of equals is taken. A crowd is never used up.
    """
    low, high = np.array([*AREAS.values()]).T[..., None]
    ignored = there.crowd | (there.area < low) | (there.area > high)  # (A, G)
    iou = np.where(found.labels[:, None] == there.labels, overlaps(found.xyxy, there.xyxy, there.crowd), -1.0)
    hit = np.zeros((len(AREAS), len(IOUS), len(found.labels)), bool)
    skip, used = np.zeros_like(hit), np.zeros((len(AREAS), len(IOUS), len(there.labels)), bool)
    ranges, levels = np.arange(len(AREAS))[:, None], np.arange(len(IOUS))
    for d in np.flatnonzero((iou >= _AT_LEAST[0]).any(axis=1)):
        open_ = (iou[d] >= _AT_LEAST[:, None]) & (there.crowd | ~used)  # (A, T, G)
        wanted = open_ & ~ignored[:, None]
        open_ = np.where(wanted.any(axis=2, keepdims=True), wanted, open_)
        took = len(there.labels) - 1 - np.where(open_, iou[d], -1.0)[..., ::-1].argmax(axis=2)  # (A, T), last of equals
        some, free = open_.any(axis=2), ignored[ranges, took]
        used[ranges, levels, took] |= some
        hit[..., d], skip[..., d] = some & ~free, some & free
    size = area(found.xyxy)
    skip |= ~hit & ((size < low) | (size > high))[:, None]
    return hit, skip, ignored


def agreement(found: Detections, there: Objects) -> float:
    """2 x IoU summed over the best one-to-one assignment of boxes of a class / (boxes found + boxes there), in [0, 1].

    1 where there is nothing and nothing was found. Crowds need not be found, and what overlaps one by half or more is
    not counted where it stands for no object.
    """
    single = ~there.crowd
    same = found.labels[:, None] == there.labels
    iou = np.where(same, overlaps(found.xyxy, there.xyxy, there.crowd), 0.0)
    rows, columns = linear_sum_assignment(iou[:, single], maximize=True)
    shared = iou[:, single][rows, columns]
    alone = np.ones(len(found.labels), bool)
    alone[rows[shared > 0]] = False
    in_crowd = alone & (iou[:, ~single] >= 0.5).any(axis=1)
    boxes = len(found.labels) - int(in_crowd.sum()) + int(single.sum())
    return float(2.0 * shared.sum() / boxes) if boxes else 1.0


def suppressed(found: Detections, iou: float) -> Detections:
    """Non-maximum suppression: the best first, equals as they came; what overlaps a kept box of its class more goes."""
    near = (overlaps(found.xyxy, found.xyxy) > iou) & (found.labels[:, None] == found.labels)
    return chosen(found, _apart(np.argsort(-found.scores, kind="stable"), near))


def voted(answers: Sequence[Detections]) -> Detections:
    """What several answers (one at least) agree on: a box's score is the share of the answers that hold it.

    An answer holds a box that it has one of the same class with IoU >= 0.5 for. Of boxes that are one by that measure
    the one with most votes stays, of these the one of the higher score, of these the first.
    """
    every = joined(answers)
    holds = (overlaps(every.xyxy, every.xyxy) >= 0.5) & (every.labels[:, None] == every.labels)
    of = np.repeat(np.arange(len(answers)), [len(a.labels) for a in answers])
    votes = np.stack([holds[:, of == k].any(axis=1) for k in range(len(answers))]).mean(axis=0)
    best_first = np.lexsort((-every.scores, -votes))
    return chosen(Detections(every.xyxy, every.labels, votes), _apart(best_first, holds))


def joined(several: Sequence[Detections]) -> Detections:
    """All boxes of one or more answers, in their order."""
    return Detections(*(np.concatenate([getattr(d, part) for d in several]) for part in ("xyxy", "labels", "scores")))


def _apart(order: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Those of `order`, in it, that are near (n, n) none of those before them that stay."""
    kept: list[int] = []
    for k in order:
        if not near[k, kept].any():
            kept.append(int(k))
    return np.array(kept, np.int64)
