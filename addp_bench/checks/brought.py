"""Types of truth that a plugin brings: what is checked with the example that the type's own task gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from addp_bench.cache import photos, truth_of
from addp_bench.randomness import numpy_generator
from addp_bench.registry import REQUIRED, Registry
from addp_bench.types import Sample

from .given import SIDE, VOCABULARY
from .planted import Case, Theory

COUNT = 4
NEAR = 0.05  # of the way from the truth to a worse answer, that a drawing may lose by being read


@dataclass(frozen=True)
class Brought:
    """What one task gives as examples (`protocols.Task.example`): samples, the answers that are their truths, and worse
    ones. name: of the task."""

    name: str
    task: Any
    samples: Sequence[Sample]
    answers: Sequence[Any]
    worse: Sequence[Any]

    def truths(self, rows: Sequence[int]) -> Any:
        """A batch of the truths of these samples."""
        return self.task.collate([truth_of(self.samples[i], self.task, SIDE) for i in rows])

    def photos(self) -> Tensor:
        """Their photographs (COUNT, 3, SIDE, SIDE)."""
        return photos(self.samples, SIDE)

    def lost(self, answer: Any, i: int) -> float:
        """How far an answer is from the truth's quality, as a share of the way to the worse answer's."""
        best, worse = (self.quality(each[i], i) for each in (self.answers, self.worse))
        return (best - self.quality(answer, i)) / (best - worse)

    def quality(self, answer: Any, i: int) -> float:
        """Of an answer to sample i."""
        return float(self.task.quality(answer, truth_of(self.samples[i], self.task, SIDE)))


def of_task(name: str, task: Any) -> Brought | None:
    """The examples of a task, None where it gives none."""
    if not hasattr(task, "example"):
        return None
    made = [task.example(SIDE, numpy_generator("checks", "example", i)) for i in range(COUNT)]
    samples, answers, worse = zip(*made)
    named = [replace(s, id=f"checks/{i}", image_id=f"checks/{i}") for i, s in enumerate(samples)]
    return Brought(name, task, named, answers, worse)


def of_truth(registry: Registry, truth: str) -> Brought | None:
    """The examples of the first task about this type of truth that gives some."""
    for entry in registry.entries("task"):
        if entry.factory.truth == truth and all(option.default is not REQUIRED for option in entry.options):
            found = of_task(entry.name, registry.build("task", entry.name))
            if found is not None:
                return found
    return None


def batches(registry: Registry) -> dict[str, Any]:
    """A batch of COUNT truths of every type that a task brings, for those that can be told apart row by row."""
    kinds = {entry.factory.truth for entry in registry.entries("task")}
    found = {kind: brought for kind in sorted(kinds) if (brought := of_truth(registry, kind)) is not None}
    made = {kind: brought.truths(range(COUNT)) for kind, brought in found.items()}
    return {kind: batch for kind, batch in made.items() if isinstance(batch, torch.Tensor)}


def theory(brought: Brought) -> Theory:
    """What every judge of such truths promises: the truth is best, and no answer at all is refused."""

    def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
        yield Case("the truth", brought.samples, brought.answers)
        yield Case("worse answers", brought.samples, brought.worse, costs="a worse answer costs")

    def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
        yield "no answer at all", brought.samples[0], None

    return Theory(VOCABULARY, cases, refused)
