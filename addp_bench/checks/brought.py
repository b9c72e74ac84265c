"""Types of truth that a plugin brings: what is checked with the example that the type's own task gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from addp_bench.cache import photos, truth_of
from addp_bench.errors import BenchError
from addp_bench.randomness import numpy_generator
from addp_bench.registry import REQUIRED, Registry
from addp_bench.statistics import columns_of
from addp_bench.types import Query, Sample

from .given import SIDE, VOCABULARY, Finding, said, shaped
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


# ------------------------------------------------------------------------------------------------ what is promised


def task(brought: Brought) -> Iterator[Finding]:
    """That a task takes, ranks and collates its own examples."""
    task, first, answer, worse = brought.task, brought.samples[0], brought.answers[0], brought.worse[0]
    batch = brought.truths(range(COUNT))
    whole = not hasattr(batch, "__len__") or len(batch) == COUNT
    yield "collates B truths to B", said(whole, f"met a {type(batch).__name__} of another length")
    best, other = brought.quality(answer, 0), brought.quality(worse, 0)
    yield "quality is higher for a better answer", said(best > other, f"the truth {best:g}, a worse answer {other:g}")
    for name, settings in task.protocols().items():
        evaluator = task.evaluator(settings, VOCABULARY)
        headline, rows = evaluator.metrics[0], [evaluator.statistics(first, each) for each in (answer, worse)]
        full, less = (float(headline.value(columns_of([row]))) for row in rows)
        better = full > less if headline.higher_is_better else full < less
        yield (
            f"protocol {name} ranks the truth above a worse answer",
            said(better, f"the truth {full:g}, less {less:g}"),
        )
        if hasattr(evaluator, "statistics_batch"):
            several = evaluator.statistics_batch(first, [answer, worse])
            same = all(
                np.allclose(one[name], other[name], rtol=1e-12, atol=1e-12, equal_nan=True)
                for one, other in zip(rows, several, strict=True)
                for name in one.keys() | other.keys()
            )
            yield (
                f"protocol {name} judges several answers as each of them",
                said(same, "statistics_batch says otherwise"),
            )


def encoding(encoding: Any, brought: Brought) -> Iterator[Finding]:
    """That what is drawn of the examples is read back."""
    shown = photos(brought.samples, SIDE)
    asked = list(encoding.queries(replace(brought.samples[0], truth=None, hints={}), VOCABULARY))
    yield "asks without the truth", said(asked and all(isinstance(q, Query) for q in asked), f"met {asked!r}")
    k = len(asked)
    each = [i for i in range(COUNT) for _ in range(k)]
    drawn = encoding.encode(shown[each], brought.truths(each), asked * COUNT)
    yield shaped("a picture for every drawing", drawn.rgb, (COUNT * k, *shown.shape[1:]))
    yield "pictures lie in [-1, 1]", said(drawn.rgb.abs().max() <= 1, f"met {drawn.rgb.abs().max():.3g}")
    if drawn.valid is not None:
        yield "says that parts of it may mean nothing", said(getattr(encoding, "partial", False), "no `partial = True`")
    if getattr(encoding, "learns", 0):
        return
    read = [encoding.decode(drawings, shown[i], asked) for i, drawings in enumerate(drawn.rgb.split(k))]
    lost = [_lost(brought, answer, i) for i, answer in enumerate(read)]
    worst = max(lost)
    yield (
        "a drawing is read back as what was drawn",
        said(worst <= NEAR, f"{100 * worst:.0f} % of the way to a worse answer is lost"),
    )
    if k == 1 and hasattr(encoding, "decode_batch"):
        several = encoding.decode_batch(drawn.rgb, shown, asked * COUNT)
        same = len(several) == COUNT and all(_lost(brought, answer, i) == lost[i] for i, answer in enumerate(several))
        yield "several drawings are read as each of them", said(same, "decode_batch says something else than decode")


def _lost(brought: Brought, answer: Any, i: int) -> float:
    """How far an answer is from the truth's quality, as a share of the way to the worse answer's."""
    best, worse = (brought.quality(each[i], i) for each in (brought.answers, brought.worse))
    return (best - brought.quality(answer, i)) / (best - worse)


def answers(model: Any, brought: Brought) -> Iterator[Finding]:
    """That a predictor's answer to the first example can be judged, and repeats."""
    sample, (settings, *_) = brought.samples[0], brought.task.protocols().values()
    if hasattr(model, "learn"):
        model.learn(list(brought.samples), COUNT, brought.name)
    replies = [model.predict(sample, brought.name, numpy_generator("checks", 0)) for _ in range(2)]
    evaluator = brought.task.evaluator(settings, VOCABULARY)
    try:
        rows: list[Mapping[str, Any]] = [evaluator.statistics(sample, reply) for reply in replies]
    except BenchError as refused:
        yield f"an answer that task {brought.name} can judge", str(refused)
        return
    yield f"an answer that task {brought.name} can judge", None
    same = all(np.array_equal(rows[0][name], rows[1][name], equal_nan=True) for name in rows[0])
    yield "all randomness comes in", said(same, "two calls differ")


def theory(brought: Brought) -> Theory:
    """What every judge of such truths promises: the truth is best, and no answer at all is refused."""

    def cases(evaluator: Any, settings: Mapping[str, Any]) -> Iterator[Case]:
        yield Case("the truth", brought.samples, brought.answers)
        yield Case("worse answers", brought.samples, brought.worse, costs="a worse answer costs")

    def refused(evaluator: Any) -> Iterator[tuple[str, Sample, Any]]:
        yield "no answer at all", brought.samples[0], None

    return Theory(VOCABULARY, cases, refused)
