"""What the naive predictors answer where boxes are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.errors import BadData
from addp_bench.types import Detections, Objects

if TYPE_CHECKING:
    from addp_bench.protocols import Samples
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


class MeanBoxes:
    """Of each class one box, whatever the photograph: the mean of its objects' corners, as shares of the photograph.

    Its score is the share of photographs that hold the class. Crowds count for nothing.
    """

    def __init__(self, samples: Samples, count: int) -> None:
        """Of the first `count` samples. Raises BadData where they hold no object."""
        corners: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        held: list[np.ndarray] = []
        for i in range(count):
            sample = samples[i]
            every = perfect(sample.truth)
            height, width = sample.image.shape[:2]
            corners.append(every.xyxy / (width, height, width, height))
            labels.append(every.labels)
            held.append(np.unique(every.labels))
        label = np.concatenate(labels) if labels else np.zeros(0, np.int64)
        if not len(label):
            raise BadData(f"model mean: the first {count} samples of the training split hold no object")
        self.labels = np.unique(label)
        self.corners = np.stack([np.concatenate(corners)[label == c].mean(0) for c in self.labels])
        self.scores = np.array([(np.concatenate(held) == c).sum() for c in self.labels]) / count

    def __call__(self, sample: Sample) -> Detections:
        """The boxes at the photograph's size."""
        height, width = sample.image.shape[:2]
        return Detections(self.corners * (width, height, width, height), self.labels, self.scores)


def perfect(truth: Objects) -> Detections:
    """Every object that is not a crowd, with score 1."""
    alone = ~truth.crowd
    return Detections(truth.xyxy[alone], truth.labels[alone], np.ones(int(alone.sum())))
