"""Predictors that know nothing, or everything: the floor and the ceiling of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Objects

from . import naive_classification, naive_depth, naive_detection, naive_probe, naive_semantic

if TYPE_CHECKING:
    from collections.abc import Callable

    from addp_bench.protocols import Samples
    from addp_bench.registry import Registry
    from addp_bench.types import Sample


class Constant:
    """Always the same answer, whatever is asked: one mask, one class, a plane 5 m away, boxes, yes or no.

    value: of masks and boxes: empty, or everything for the whole photograph (one box of the first class); of questions:
    no, or yes.

    label: of class maps, and of classes: the one that is said.
    """

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = ("ris", "depth", "semantic", "detection", "classification", "probe")
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __init__(self, value: Literal["empty", "everything"] = "empty", label: int = 0) -> None:
        if label < 0:
            raise ValueError(f"label is the index of a class, 0 the first, got {label}")
        self.value, self.label = value, label

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """Of the photograph's size: (H, W) bool for ris, int64 for semantic, Depth, Detections; for probe an index, for
        classification (C,) bool.

        Raises UnknownName for other tasks.
        """
        answers = {
            "ris": lambda: np.full(sample.image.shape[:2], self.value == "everything"),
            "semantic": lambda: naive_semantic.constant(sample, self.label),
            "depth": lambda: naive_depth.plane(sample),
            "detection": lambda: naive_detection.constant(self.value, sample),
            "classification": lambda: naive_classification.constant(self.value, sample),
            "probe": lambda: self.label,
        }
        return _of_task("constant", task, answers)()


class RandomObject:
    """A guess: of masks, one of the photograph's objects, each equally likely, which is what guessing gives when
    segmenting is solved; of class maps, the true regions with their classes exchanged; of boxes, the true ones, each
    with the class of one of the photograph's objects; of depths, any below 10 m at each pixel, of classes any of the
    names, and of questions yes or no, where nothing is looked at."""

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = ("ris", "depth", "semantic", "detection", "classification", "probe")
    uses_truth: ClassVar[Collection[str]] = ("ris", "semantic", "detection")
    random: ClassVar[bool] = True

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """(H, W) bool for ris, int64 for semantic, types.Depth for depth, Detections, an index for probe, (C,) scores
        for classification.

        Raises UnknownName for other tasks, BadData where the dataset has no outlines, or names no classes.
        """
        answers = {
            "ris": lambda: self._object(sample, generator),
            "semantic": lambda: naive_semantic.exchanged(sample, generator),
            "depth": lambda: naive_depth.noise(sample, generator),
            "detection": lambda: naive_detection.guessed(sample.truth, generator),
            "classification": lambda: naive_classification.guessed(sample, generator),
            "probe": lambda: naive_probe.guess(sample, generator),
        }
        return _of_task("random", task, answers)()

    @staticmethod
    def _object(sample: Sample, generator: np.random.Generator) -> np.ndarray:
        instance, areas = _objects("random", sample)
        return instance == generator.choice(np.flatnonzero(areas))


class LargestObject:
    """The object of which most pixels are seen; of equals the first."""

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = ("ris", "detection")
    uses_truth: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """(H, W) bool, or Detections of one box. Raises UnknownName for a task without objects, BadData where the
        dataset has no outlines."""
        answers = {"ris": lambda: self._object(sample), "detection": lambda: naive_detection.largest(sample.truth)}
        return _of_task("largest_object", task, answers)()

    @staticmethod
    def _object(sample: Sample) -> np.ndarray:
        instance, areas = _objects("largest_object", sample)
        return instance == areas.argmax()


class Truth:
    """The truth itself, for any task: what a metric gives to a perfect answer."""

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """sample.truth; of boxes what a detector would say, with score 1 and without the crowds."""
        return naive_detection.perfect(sample.truth) if isinstance(sample.truth, Objects) else sample.truth


# task -> what is learnt of (samples, count), and asked with a sample
LEARNT: Mapping[str, Callable[[Samples, int], Callable[[Sample], Any]]] = {
    "depth": naive_depth.MeanDepth,
    "semantic": naive_semantic.MostFrequentLabels,
    "detection": naive_detection.MeanBoxes,
    "classification": naive_classification.ShareOfPhotographs,
    "probe": naive_probe.MostFrequentClass,
}


class Mean:
    """What the training split answers on average, whatever is asked: the best that can be said without looking.

    Depth: the mean map over the pixels that have one. Class maps: each pixel's most frequent class. Classes: the most
    frequent one. Questions: the share of photographs that hold the class. Boxes: one for each class, the
    mean of its objects'.

    samples: how many samples of the training split are averaged, from the first on. Ours.
    """

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = tuple(LEARNT)
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __init__(self, samples: int = 1000) -> None:
        if samples < 1:
            raise ValueError(f"samples is how many are averaged, 1 or more, got {samples}")
        self.samples = samples

    def learn(self, samples: Samples, count: int, task: str) -> None:
        """Read the first samples of a split of `count`. Raises UnknownName for a task that has no mean here."""
        self._learnt = _of_task("mean", task, LEARNT)(samples, min(count, self.samples))

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """What was learnt, at the photograph's size."""
        return self._learnt(sample)


def _of_task(name: str, task: str, answers: Mapping[str, Any]) -> Any:
    if task not in answers:
        raise unknown(f"task of model {name}", task, answers)
    return answers[task]


def _objects(name: str, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The hint `instance` (H, W), 0 background, and the pixels of each number in it, 0 for the background."""
    try:
        instance = sample.hints["instance"]
    except KeyError:
        raise BadData(
            f"model {name} chooses among the objects of a photograph, and sample {sample.id} comes without the hint "
            "'instance'; use a dataset that outlines its objects, such as tabletop or refcoco."
        ) from None
    areas = np.bincount(instance.ravel())
    areas[0] = 0
    if not areas.any():
        raise BadData(f"model {name}: sample {sample.id} has no object to choose.")
    return instance, areas


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "constant", Constant)
    registry.add("model", "random", RandomObject)
    registry.add("model", "largest_object", LargestObject)
    registry.add("model", "truth", Truth)
    registry.add("model", "mean", Mean)
