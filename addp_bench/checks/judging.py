"""The contract of tasks: what the truth is, and that it is judged best."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from addp_bench.errors import BadData, BadPrediction
from addp_bench.statistics import columns_of
from addp_bench.types import Boxes, Sample

from . import brought
from .common import Call
from .comparing import differ
from .given import SIDE, VOCABULARY, Finding, Subject, answers_of, said, truths_of, unseen

MAPS = ("mask", "labels", "depth")  # truths (H, W) that lie over the photograph
KNOWN = (*MAPS, "boxes", "class", "classes")
SIZES = ((SIDE, SIDE), (480, 640), (375, 1242))  # protocols may be made for the photographs of one dataset
TWO = 2


class Example(NamedTuple):
    """A photograph with its truth, a perfect answer, and one that is wrong."""

    sample: Sample
    perfect: Any
    wrong: Any


def examples_of(task: Any, size: tuple[int, int] = SIZES[0]) -> list[Example]:
    """Two examples of a task's type of truth on photographs (height, width).

    Of a type that is not known here they are those that the task brings, or none.
    """
    truth, found = task.truth, list[tuple[Any, Any, Any]]()
    if truth not in KNOWN:
        own = brought.of_task("", task)
        return [Example(*row) for row in zip(own.samples, own.answers, own.worse)][:TWO] if own else []
    for i in range(TWO):
        if truth in MAPS:
            small = truths_of(TWO)[truth][i].numpy()
            whole = np.tile(small, (-(-size[0] // SIDE), -(-size[1] // SIDE)))[: size[0], : size[1]]
            found.append((whole, whole.copy(), np.zeros_like(whole)))
        elif truth == "class":
            found.append((1, 1, 0))
        elif (answers := answers_of(truth)) is not None:
            found.append(answers)
    black = np.zeros((*size, 3), np.uint8)
    return [
        Example(Sample(f"checks/{i}", f"checks/{i}", black, true, "the red cup"), perfect, wrong)
        for i, (true, perfect, wrong) in enumerate(found)
    ]


def task_calls(task: Any, subject: Subject) -> Iterator[Call]:
    if not (examples := _judgeable(task, next(iter(task.protocols().values())))):
        return
    settings = next(iter(task.protocols().values()))

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        sample, perfect = given["sample"], given["perfect"]
        row = plugin.evaluator(settings, VOCABULARY).statistics(sample, perfect)
        quality = {"quality": plugin.quality(perfect, sample.truth)} if hasattr(plugin, "quality") else {}
        return {"batch": plugin.collate([sample.truth] * TWO), "statistics": dict(row), **quality}

    size = examples[0].sample.image.shape[:2]
    yield Call(lambda: examples_of(task, size)[0]._asdict(), asked)


def task(task: Any, subject: Subject) -> Iterator[Finding]:
    known = isinstance(task.truth, str) and task.truth and task.reads in ("drawing", "features")
    yield said("task.truth", known, f"truth {task.truth!r}, reads {task.reads!r}")
    names = {kind: subject.registry.names(kind) for kind in ("encoding", "corruption")}
    drawn = task.reads == "features" or task.encoding in names["encoding"]
    named = drawn and set(task.corruptions) <= set(names["corruption"])
    yield said("task.named", named, f"{task.encoding}, {list(task.corruptions)}")
    protocols = task.protocols()
    yield Finding("task.protocols", _plain(protocols))
    for name, settings in protocols.items():
        yield Finding("task.metrics", _metrics(task.evaluator(settings, VOCABULARY).metrics), f"protocol {name}")
    judges = {card.judge for cards in getattr(task, "cards", {}).values() for card in cards.values()}
    yield said("task.cards", judges <= set(protocols), f"{', '.join(sorted(judges - set(protocols)))} is none")
    if not examples_of(task):
        for clause in ("collates", "resizes", "takes_truth", "full_marks", "statistics", "refuses", "quality"):
            yield unseen(f"task.{clause}", f"there is no example of {task.truth} here")
        return
    yield from _truths(task)
    for name, settings in protocols.items():
        yield from _judged(task, settings, f"protocol {name}")


def _plain(protocols: Mapping[str, Mapping[str, Any]]) -> str | None:
    if not protocols:
        return "it has none"
    try:
        json.dumps({name: dict(settings) for name, settings in protocols.items()}, allow_nan=False)
    except (TypeError, ValueError) as refused:
        return str(refused)
    return None


def _metrics(metrics: Sequence[Any]) -> str | None:
    ids = [m.id for m in metrics]
    if not ids or len(set(ids)) < len(ids):
        return f"met {ids}"
    for m in metrics:
        told = isinstance(m.label, str) and m.label and isinstance(m.unit, str) and isinstance(m.higher_is_better, bool)
        if not (told and isinstance(m.version, int) and m.version >= 1):
            return f"{m.id}: label {m.label!r}, unit {m.unit!r}, {m.higher_is_better!r}, version {m.version!r}"
    return None


def _truths(task: Any) -> Iterator[Finding]:
    """Truths taken, collated, made larger, and what answers to them are worth."""
    (one, *_), examples = examples_of(task), examples_of(task)
    truth = one.sample.truth
    batch = task.collate([example.sample.truth for example in examples])
    parts = [batch.xyxy, batch.labels, batch.valid] if isinstance(batch, Boxes) else [batch]
    rows = all(isinstance(part, torch.Tensor) and len(part) == TWO for part in parts)
    if task.truth not in KNOWN:  # a batch of its own making
        rows = not hasattr(batch, "__len__") or len(batch) == TWO
    expected = truths_of(TWO).get(task.truth)
    same = expected is None or isinstance(expected, Boxes) or getattr(batch, "dtype", None) == expected.dtype
    whole = isinstance(expected, Boxes) == isinstance(batch, Boxes)
    yield said("task.collates", rows and same and whole, f"met {type(batch).__name__} of {_kinds(parts)}")
    large = task.resize(truth, 2 * SIDE, 3 * SIDE)
    problem = differ(task.resize(truth, SIDE, SIDE), truth, 1e-6)
    if task.truth in MAPS and (np.shape(large), large.dtype) != ((2 * SIDE, 3 * SIDE), truth.dtype):
        problem = f"met {large.dtype} {np.shape(large)}"
    if task.truth == "boxes" and tuple(large.size) != (2 * SIDE, 3 * SIDE):
        problem = f"met boxes in {large.size}"
    yield Finding("task.resizes", problem)
    if hasattr(task, "require"):
        yield Finding("task.takes_truth", _refusal(task, one.sample))
    else:
        yield unseen("task.takes_truth", "it has no `require`")
    if hasattr(task, "quality"):
        best, worse = (float(task.quality(answer, truth)) for answer in (one.perfect, one.wrong))
        kept = math.isfinite(best) and best > worse
        yield said("task.quality", kept, f"the truth has {best:g}, a wrong answer {worse:g}")
        if hasattr(task, "ensemble"):
            joined = float(task.quality(task.ensemble([one.perfect, one.perfect]), truth))
            yield said("task.ensemble", abs(joined - best) < 1e-6, f"its quality is {joined:g}, not {best:g}")
        else:
            yield unseen("task.ensemble", "it has none")
    elif task.reads == "features":
        yield unseen("task.quality", "a task that reads features has none")
    else:
        yield unseen("task.quality", "it has none, so perception statistics cannot be measured with it")


def _kinds(parts: Sequence[Any]) -> str:
    return ", ".join(f"{getattr(part, 'dtype', type(part).__name__)} {tuple(np.shape(part))}" for part in parts)


def _refusal(task: Any, sample: Sample) -> str | None:
    try:
        task.require(sample)
    except BadData as refused:
        return str(refused)
    return None


def _judgeable(task: Any, settings: Mapping[str, Any]) -> list[Example]:
    """Examples of a size that this judge takes; of the first where it takes none."""
    evaluator = task.evaluator(settings, VOCABULARY)
    for size in SIZES if task.truth in MAPS else SIZES[:1]:
        examples = examples_of(task, size)
        try:
            for example in examples:
                evaluator.statistics(example.sample, example.perfect)
            return examples
        except BadData:
            continue
    return examples_of(task)


def _judged(task: Any, settings: Mapping[str, Any], of: str) -> Iterator[Finding]:
    """What one protocol says of perfect answers, wrong ones, and what is no answer."""
    evaluator, examples = task.evaluator(settings, VOCABULARY), _judgeable(task, settings)
    rows = [evaluator.statistics(example.sample, example.perfect) for example in examples]
    wrong = [evaluator.statistics(example.sample, example.wrong) for example in examples]
    yield Finding("task.statistics", _statistics([*rows, *wrong]), of)
    headline = evaluator.metrics[0]
    value, worse = (float(headline.value(columns_of(kind))) for kind in (rows, wrong))
    yield said("task.full_marks", _best(headline, value, worse), f"met {value:g}, of wrong answers {worse:g}", of)
    yield Finding("task.resamples", _resampled(evaluator.metrics, columns_of([*rows, *wrong])), of)
    nonsense = np.full((2, 3, 4), np.nan) if task.truth in KNOWN else None
    yield Finding("task.refuses", _accepts(evaluator, examples[0].sample, nonsense), of)
    if hasattr(evaluator, "statistics_batch"):
        yield Finding("task.batch", _judged_apart(evaluator, examples[0]), of)
    else:
        yield unseen("task.batch", "it has no statistics_batch", of)


def _best(headline: Any, value: float, worse: float) -> bool:
    """Points end at 1 or 0, and an error at 0; a figure such as decibels has no end, and is worse of a wrong answer."""
    if headline.unit == "points" or not headline.higher_is_better:
        return abs(value - float(headline.higher_is_better)) < 1e-6
    return value > worse


def _statistics(rows: Sequence[Mapping[str, Any]]) -> str | None:
    for row in rows:
        if row.keys() != rows[0].keys():
            return f"one has {sorted(row)}, another {sorted(rows[0])}"
        for name, value in row.items():
            if np.ndim(value) > 1 or np.asarray(value).dtype.kind not in "fiub":
                return f"{name} is {np.asarray(value).dtype} {np.shape(value)}"
    return None


def _resampled(metrics: Sequence[Any], columns: Mapping[str, Any]) -> str | None:
    for metric in metrics:
        count = len(next(iter(columns.values())))
        whole, once = metric.value(columns), metric.value(columns, np.ones((3, count)))
        if np.shape(whole) != () or np.shape(once) != (3,):
            return f"{metric.id}: {np.shape(whole)} without counts, {np.shape(once)} for 3 resamples"
        if not np.allclose(once, whole, equal_nan=True):
            return f"{metric.id}: {once[0]:g} of each sample once, {float(whole):g} of the samples"
    return None


def _accepts(evaluator: Any, sample: Sample, nonsense: Any) -> str | None:
    """Where what is no answer is scored, or ends in another error."""
    try:
        evaluator.statistics(sample, nonsense)
    except BadPrediction as refused:
        return None if sample.id in str(refused) else f"it does not name the sample: {refused}"
    except Exception as other:
        return f"it raises {type(other).__name__}: {other}"
    return f"it scores {'no answer' if nonsense is None else 'an answer (2, 3, 4) of nan'}"


def _judged_apart(evaluator: Any, example: Example) -> str | None:
    """Where `statistics_batch` says something else of answers than `statistics`."""
    answers = [example.perfect, example.wrong]
    if isinstance(example.perfect, np.ndarray) and example.perfect.ndim > 1:
        answers = [torch.from_numpy(a) for a in (*answers, np.roll(example.perfect, 5, axis=(0, 1)))]
    rows = [evaluator.statistics(example.sample, answer) for answer in answers]
    several = evaluator.statistics_batch(example.sample, answers)
    apart = [
        name
        for one, other in zip(rows, several, strict=True)
        for name in one.keys() | other.keys()
        if not np.allclose(one.get(name, np.inf), other.get(name, -np.inf), rtol=1e-12, atol=1e-12, equal_nan=True)
    ]
    return f"statistics_batch says something else of {', '.join(sorted(set(apart)))}" if apart else None
