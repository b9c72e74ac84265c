"""pycocotools as the reference for detection: the same photographs, judged by COCOeval."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from addp_bench.types import Detections, Objects

NAMES = ("ap", "ap50", "ap75", "aps", "apm", "apl", "ar1", "ar10", "ar100", "ars", "arm", "arl")  # COCOeval.stats
Photograph = tuple[Objects, Detections]


def corners(xywh: Sequence[Sequence[float]]) -> np.ndarray:
    box = np.array(xywh, np.float64).reshape(-1, 4)
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)


def objects(*xywh, labels=None, crowd=(), area=None, size=(100, 100)) -> Objects:
    """crowd: places of those that are one."""
    boxes, n = corners(xywh), len(xywh)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) if area is None else np.array(area, np.float64)
    return Objects(boxes, np.array(labels or [0] * n, np.int64), np.isin(np.arange(n), crowd), area, size)


def detections(*scored, labels=None) -> Detections:
    """Of (xywh, score) pairs."""
    labels = np.array(labels or [0] * len(scored), np.int64)
    return Detections(corners([box for box, _ in scored]), labels, np.array([score for _, score in scored], np.float64))


def evaluated(
    photographs: Sequence[Photograph],
    classes: int = 1,
    most: Sequence[int] = (1, 10, 100),
    first_id: int = 1,
    first_class: int = 1,
) -> COCOeval:
    """COCOeval after evaluate(); ids of photographs, classes, objects and detections count from 1.

    An object or a detection with the id 0 is matched and taken for unmatched: COCOeval asks whether the id is 0.
    first_id of objects, first_class of detections: others than 1 to show such faults.
    """
    truths, found = [], []
    for i, (there, seen) in enumerate(photographs, 1):
        for box, label, crowd, area in zip(_xywh(there.xyxy), there.labels, there.crowd, there.area):
            truth = {"id": len(truths) + first_id, "image_id": i, "category_id": int(label) + 1, "bbox": box}
            truths.append({**truth, "area": float(area), "iscrowd": int(crowd)})
        for box, label, score in zip(_xywh(seen.xyxy), seen.labels, seen.scores):
            one = {"image_id": i, "category_id": int(label) + first_class, "bbox": box}
            found.append({**one, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(1, len(photographs) + 1)],
            "categories": [{"id": k} for k in range(1, classes + 1)],
            "annotations": truths,
        }
        coco.createIndex()
        if found:
            results = coco.loadRes(found)
        else:  # loadRes asks what the first detection is
            results = COCO()
            results.dataset = {**coco.dataset, "annotations": []}
            results.createIndex()
        judge = COCOeval(coco, results, "bbox")
        judge.params.maxDets = list(most)
        judge.evaluate()
    return judge


def reference(
    photographs: Sequence[Photograph], classes: int = 1, most: Sequence[int] = (1, 10, 100), **ids: int
) -> np.ndarray:
    """The twelve numbers, nan for COCO's -1. ids: as in `evaluated`."""
    judge = evaluated(photographs, classes, most, **ids)
    with contextlib.redirect_stdout(io.StringIO()):
        judge.accumulate()
        judge.summarize()
    return np.where(judge.stats == -1, np.nan, judge.stats)


def _xywh(xyxy: np.ndarray) -> list[list[float]]:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).tolist()


def photograph(rng: np.random.Generator, classes: int = 2, tied: bool = True) -> Photograph:
    """Random objects and detections near them: crowds, equal IoUs, IoUs on a threshold, areas on COCO's limits.

    tied: several detections of a photograph and class may have one score.
    """
    n, m = rng.integers(0, 5), rng.integers(0, 7)
    sides = rng.choice([4, 10, 20, 32, 40, 96, 100], (n, 2))
    there = np.concatenate([rng.choice([0, 2, 10, 20], (n, 2)), sides], axis=1).astype(float)
    area = np.where(rng.random(n) < 0.5, sides.prod(1), rng.choice([100, 1023, 1024, 1025, 9216, 9217, 20000], n))
    seen = np.concatenate([rng.choice([0, 2, 10, 20], (m, 2)), rng.choice([4, 10, 20, 32, 96], (m, 2))], axis=1)
    seen = seen.astype(float)
    for k in range(m if n else 0):
        if rng.random() < 0.8:  # part of an object: its IoU is a tenth, or a random number
            seen[k] = there[rng.integers(n)]
            seen[k, rng.integers(2, 4)] *= rng.choice([0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 1.0, rng.uniform(0.4, 1.0)])
    scores = rng.integers(0, 4, m) / 4 if tied else rng.permutation(20)[:m] / 20
    return (
        objects(
            *there.tolist(),
            labels=rng.integers(0, classes, n).tolist(),
            crowd=np.flatnonzero(rng.random(n) < 0.2),
            area=area,
        ),
        detections(*zip(seen.tolist(), scores.tolist()), labels=rng.integers(0, classes, m).tolist()),
    )
