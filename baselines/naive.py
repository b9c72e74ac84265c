"""Predictors that know nothing, or everything: the floor and the ceiling of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, unknown
from addp_bench.hookspecs import hookimpl

from . import naive_semantic

if TYPE_CHECKING:
    from addp_bench.registry import Registry
    from addp_bench.types import Sample


class Constant:
    """Always the same answer, whatever is asked.

    value: of ris, empty, or everything for the whole photograph. label: of semantic, the class that every pixel gets.
    """

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __init__(self, value: Literal["empty", "everything"] = "empty", label: int = 0) -> None:
        if label < 0:
            raise ValueError(f"label is the index of a class, 0 the first, got {label}")
        self.value, self.label = value, label

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> np.ndarray:
        """Of the photograph's size: (H, W) bool of ris, int64 of semantic. Raises UnknownName for another task."""
        if task == "semantic":
            return naive_semantic.constant(sample, self.label)
        _only_masks("constant", task, "semantic")
        return np.full(sample.image.shape[:2], self.value == "everything")


class RandomObject:
    """What guessing gives when segmenting is solved.

    Of ris one of the photograph's objects, each equally likely; of semantic its regions, their classes exchanged.
    """

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> np.ndarray:
        """(H, W) bool, int64 of semantic. Raises UnknownName for another task, BadData without outlines (ris)."""
        if task == "semantic":
            return naive_semantic.exchanged(sample, generator)
        _only_masks("random", task, "semantic")
        instance, areas = _objects("random", sample)
        return instance == generator.choice(np.flatnonzero(areas))


class LargestObject:
    """The object of which most pixels are seen; of equals the first."""

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> np.ndarray:
        """(H, W) bool. Raises UnknownName for a task other than ris, BadData where the dataset has no outlines."""
        _only_masks("largest_object", task)
        instance, areas = _objects("largest_object", sample)
        return instance == areas.argmax()


class Truth:
    """The truth itself, for any task: what a metric gives to a perfect answer."""

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """sample.truth."""
        return sample.truth


def _only_masks(name: str, task: str, *also: str) -> None:
    if task != "ris":
        raise unknown(f"task of model {name}", task, ["ris", *also])


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
