"""What the naive predictors answer where boxes are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.types import Detections, Objects

if TYPE_CHECKING:
    from addp_bench.types import Sample


def constant(value: str, sample: Sample) -> Detections:
    """No box, or with "everything" the whole photograph as one box of the first class."""
    height, width = sample.image.shape[:2]
    boxes = np.array([[0, 0, width, height]], np.float64)[: value == "everything"]
    return Detections(boxes, np.zeros(len(boxes), np.int64), np.ones(len(boxes)))


def guessed(truth: Objects, generator: np.random.Generator) -> Detections:
    """Every box, its class that of an object of the photograph, each equally likely; scores are random."""
    every = perfect(truth)
    count = len(every.labels)
    labels = generator.choice(every.labels, count) if count else every.labels
    return Detections(every.xyxy, labels, generator.random(count))


def largest(truth: Objects) -> Detections:
    """The object of which most is seen, of equals the first; none where there is none."""
    every = perfect(truth)
    one = np.argsort(-truth.area[~truth.crowd], kind="stable")[:1]
    return Detections(every.xyxy[one], every.labels[one], every.scores[one])


def perfect(truth: Objects) -> Detections:
    """Every object that is not a crowd, with score 1."""
    alone = ~truth.crowd
    return Detections(truth.xyxy[alone], truth.labels[alone], np.ones(int(alone.sum())))
