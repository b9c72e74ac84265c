"""Whether metrics give what theory says, for every protocol of every task that is registered.

A metric's id is a promise: where theory knows the id for this type of truth, the numbers must be the known ones. A
metric of any other id promises what every metric does: nothing beats the truth, order does not matter, a split twice
over is the same split, and every kind of error costs. A judge that breaks one of these on purpose says so in its
attribute `deviates` (`protocols.Evaluator`). What is declared is excused for metrics of unknown ids alone, and must be
broken indeed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from addp_bench.errors import BadPlugin, BadPrediction, unknown
from addp_bench.registry import REQUIRED, Registry
from addp_bench.spec import tidy
from addp_bench.statistics import columns_of

from . import brought, theory_boxes, theory_class, theory_depth, theory_labels, theory_mask, theory_presence
from .given import VOCABULARY
from .planted import Case, Theory

THEORIES: Mapping[str, Theory] = {
    "mask": theory_mask.THEORY,
    "depth": theory_depth.THEORY,
    "labels": theory_labels.THEORY,
    "boxes": theory_boxes.THEORY,
    "class": theory_class.THEORY,
    "classes": theory_presence.THEORY,
}
ROUNDING = 1e-9  # of the same sums
NEAR = 1e-6  # of numbers that are solved for


@dataclass(frozen=True)
class Line:
    """One thing that was looked at.

    metric: its id, "" where the whole judge is meant. promise: what theory speaks of. measured: a number, words, or
    None where nothing was. declared: it is not kept, and the judge says so.
    """

    metric: str
    promise: str
    measured: Any
    expected: str
    ok: bool
    task: str = ""
    protocol: str = ""
    declared: bool = False


def check(registry: Registry, name: str = "all") -> Iterator[Line]:
    """Lines of the metric of that id in every task, of TASK.METRIC, of TASK.all, or of all. Those that mean a whole
    judge are there where one of its metrics is.

    Raises UnknownName for a task or a metric that does not exist.
    """
    task_asked, _, asked = name.rpartition(".")
    tasks = [registry.get("task", task_asked).name] if task_asked else registry.names("task")
    asked, known = tidy(asked), {"all"}
    for task_name in tasks:
        if needed := [o.name for o in registry.get("task", task_name).options if o.default is REQUIRED]:
            if asked == "all":
                yield Line("", f"has options without default: {', '.join(needed)}", None, "any", True, task_name)
            continue
        task = registry.build("task", task_name)
        own = brought.of_task(task_name, task)
        vocabulary = THEORIES[task.truth].vocabulary if task.truth in THEORIES else VOCABULARY
        for protocol, settings in task.protocols().items():
            evaluator = task.evaluator(settings, vocabulary)
            ids = {m.id for m in evaluator.metrics}
            known |= ids
            if asked not in ("all", *ids):
                continue
            for line in judge(evaluator, task.truth, settings, own):
                if asked == "all" or line.metric in ("", asked):
                    yield replace(line, task=task_name, protocol=protocol)
    if asked not in known:
        raise unknown(f"metric{f' of {tasks[0]}' if task_asked else ''}", asked, known)


def require(registry: Registry, name: str = "all") -> None:
    """For tests: raises BadPlugin, which names every number that is not what theory says."""
    if broken := [line for line in check(registry, name) if not line.ok]:
        raise BadPlugin("; ".join(f"{title(line)}: expected {line.expected}, met {said(line)}" for line in broken))


def judge(
    evaluator: Any, truth: str, settings: Mapping[str, Any], own: brought.Brought | None = None
) -> Iterator[Line]:
    """One judge, of a type of truth, under these settings of a protocol. own: the examples that its task brings, for a
    type of which there is no theory here."""
    theory = THEORIES.get(truth) or (brought.theory(own) if own else None)
    if theory is None:
        yield Line("", f"judges {truth}, of which there is no theory here", None, "any", True)
        return
    cases: list[Case] = []
    try:
        cases.extend(theory.cases(evaluator, settings))
    except Exception as error:  # of whatever class: the judge is somebody else's
        yield Line(
            "", "can be asked", f"{type(error).__name__}: {error}", "photographs of a size that it judges", False
        )
        return
    known = {id_ for case in cases for id_ in case.due}
    declared: Mapping[str, str] = getattr(evaluator, "deviates", {})
    broken: set[str] = set()
    for line in _lines(evaluator, theory, cases):
        if not line.ok and line.promise in declared and line.metric not in known:
            broken.add(line.promise)
            line = replace(
                line, expected=f"{line.expected}; declared: {declared[line.promise]}", ok=True, declared=True
            )
        yield line
    for promise in [p for p in declared if p not in broken]:
        yield Line("", promise, "kept", f"broken, as it declares: {declared[promise]}", False)


def _lines(evaluator: Any, theory: Theory, cases: Sequence[Case]) -> Iterator[Line]:
    found: list[tuple[Case, Mapping[str, float]]] = []
    looked: dict[tuple[str, str], list[Line]] = {}
    for case in cases:
        try:
            rows = [evaluator.statistics(s, a) for s, a in zip(case.samples, case.answers)]
            columns = columns_of(rows)
            values = {m.id: float(m.value(columns)) for m in evaluator.metrics}
            again = list(_again(evaluator, case, rows, values))
        except Exception as error:  # of whatever class: the judge is somebody else's
            yield Line("", case.name, f"{type(error).__name__}: {error}", "a number of every metric", False)
            continue
        found.append((case, values))
        for metric in evaluator.metrics:
            if metric.id in case.due:
                yield _number(metric.id, case, values[metric.id])
        for line in again:  # of those that are broken the first is told, of those that are kept how many
            looked.setdefault((line.metric, line.promise), []).append(line)
    for several in looked.values():
        kept = replace(several[0], measured=f"in {len(several)} splits")
        yield next((line for line in several if not line.ok), kept)
    if found and found[0][0] is cases[0]:
        for metric in evaluator.metrics:
            yield from _ordered(metric, found, metric is evaluator.metrics[0])
        yield from _costs(evaluator.metrics[0], found)
    for name, sample, answer in theory.refused(evaluator):
        yield _refusal(evaluator, name, sample, answer)


def _number(id_: str, case: Case, value: float) -> Line:
    due, within = case.due[id_], case.within.get(id_, 0.0)
    ok = math.isnan(value) if math.isnan(due) else abs(value - due) <= max(within, ROUNDING * max(1.0, abs(due)))
    return Line(id_, case.name, value, _text(due) + (f" ± {within:.1g}" if within > 1e-5 else ""), ok)


def _again(evaluator: Any, case: Case, rows: Sequence[Any], values: Mapping[str, float]) -> Iterator[Line]:
    """The same samples in another order, twice over, and counted twice: each number stays; and it lies in its range."""
    backwards = [evaluator.statistics(s, a) for s, a in zip(case.samples[::-1], case.answers[::-1])]
    twice = np.full((1, len(rows)), 2.0)
    ways = {
        "order of samples does not matter": (columns_of(backwards), None),
        "a split twice over gives the same": (columns_of([*rows, *rows]), None),
        "samples that are counted twice give the same": (columns_of(rows), twice),
    }
    for metric in evaluator.metrics:
        value = values[metric.id]
        for promise, (columns, counts) in ways.items():
            again = np.asarray(metric.value(columns) if counts is None else metric.value(columns, counts))
            shape = () if counts is None else (1,)
            measured = float(again.reshape(())) if again.shape == shape else f"an array {again.shape}"
            ok = isinstance(measured, float) and _same(measured, value)
            yield Line(metric.id, promise, measured, "the same" if ok else f"{_text(value)} ({case.name})", ok)
        high = math.inf if metric.unit != "points" or not metric.higher_is_better else 1.0
        low = -math.inf if metric.unit != "points" else 0.0
        ok = math.isnan(value) or (math.isfinite(value) and low <= value <= high)
        inside = f"[{low:g}, {high:g}]" + f" ({case.name})" * (not ok)
        yield Line(metric.id, "lies in the range of its unit", value, inside, ok)


def _ordered(metric: Any, found: Sequence[tuple[Case, Mapping[str, float]]], headline: bool) -> Iterator[Line]:
    """Whether its direction is right: of all answers to one split none is better than the truth."""
    (truth, best), *others = found
    full, sign = best[metric.id], 1.0 if metric.higher_is_better else -1.0
    if headline and (metric.unit == "points" or not metric.higher_is_better):  # dB and their like have no full marks
        due = float(metric.higher_is_better)
        yield Line(metric.id, "the truth has full marks", full, _text(due), _near(full, due))
    worth = [(sign * v[metric.id], case.name) for case, v in others if case.samples is truth.samples]
    worth = [(value, name) for value, name in worth if not math.isnan(value)]
    if worth and not math.isnan(full):
        top, name = max(worth)
        beyond = "above" if metric.higher_is_better else "below"
        ok = top <= sign * full + NEAR
        yield Line(
            metric.id, "nothing is better than the truth", sign * top, f"not {beyond} {_text(full)} ({name})", ok
        )
    numbers = {round(v[metric.id], 6) for _, v in found if not math.isnan(v[metric.id])}
    met = f"{len(numbers)} numbers" if len(numbers) != 1 else f"{_text(*numbers)} always"
    yield Line(metric.id, "tells answers apart", met, "more than one number", len(numbers) > 1)


def _costs(headline: Any, found: Sequence[tuple[Case, Mapping[str, float]]]) -> Iterator[Line]:
    """Errors of each kind, each kind a promise: the headline is worse than for the truth."""
    full, sign = found[0][1][headline.id], 1.0 if headline.higher_is_better else -1.0
    for promise in dict.fromkeys(case.costs for case, _ in found if case.costs):
        values = [(sign * v[headline.id], case.name) for case, v in found if case.costs == promise]
        least, name = max(values)
        worse = "below" if headline.higher_is_better else "above"
        yield Line(headline.id, promise, sign * least, f"{worse} {_text(full)} ({name})", least < sign * full - NEAR)


def _refusal(evaluator: Any, name: str, sample: Any, answer: Any) -> Line:
    """BadPrediction, whose words name the sample, and nothing else, is what bad answers get."""
    expected = f"BadPrediction that names {sample.id}"
    try:
        evaluator.statistics(sample, answer)
    except BadPrediction as refused:
        named = sample.id in str(refused)
        return Line("", f"refuses {name}", "refused, by name" if named else str(refused), expected, named)
    except Exception as other:
        return Line("", f"refuses {name}", f"{type(other).__name__}: {other}", expected, False)
    return Line("", f"refuses {name}", "took it", expected, False)


def _same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or abs(one - other) <= ROUNDING * max(1.0, abs(other))


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR


def _text(value: float) -> str:
    return "nothing" if math.isnan(value) else f"{value:.4g}"


def title(line: Line) -> str:
    """What a line is about, in words."""
    return f"{' '.join(part for part in (line.task, line.protocol, line.metric) if part)}: {line.promise}"


def said(line: Line) -> str:
    """What was measured, in words."""
    return _text(line.measured) if isinstance(line.measured, float) else str(line.measured)
