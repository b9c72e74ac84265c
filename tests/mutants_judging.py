"""Faulty tasks."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import torch
from mutants import mutant, of_calls, of_options

from addp_bench.errors import BadData
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.ris import Evaluator, Ris


def number(answer, f):
    return float(f(torch.tensor(answer)))


of_options("task", Ris)
of_calls("task", Ris, "quality", number, "repeats rebuilt global_state arguments")
of_calls("task", Ris, "collate", number, "works")


@mutant("task.truth")
class OfNoType(Ris):
    truth = ""


@mutant("task.truth")
class ReadsNothing(Ris):
    reads = "thoughts"


@mutant("task.named")
class DrawnInInk(Ris):
    encoding = "invisible_ink"


@mutant("task.named")
class Burnt(Ris):
    corruptions = ("fire",)


@mutant("task.protocols")
class Unjudged(Ris):
    def protocols(self):
        return {}


@mutant("task.protocols")
class InObjects(Ris):
    def protocols(self):
        return {name: {**settings, "extra": object()} for name, settings in super().protocols().items()}

    def evaluator(self, protocol, vocabulary=()):
        return super().evaluator({k: v for k, v in protocol.items() if k != "extra"}, vocabulary)


class Judged(Ris):
    """Judged by a faulty judge."""

    judge = Evaluator

    def evaluator(self, protocol, vocabulary=()):
        made = super().evaluator(protocol, vocabulary)
        made.__class__ = self.judge
        return made


def judged(clause):
    """The task of a faulty judge."""

    def note(judge):
        mutant(clause)(type(judge.__name__, (Judged,), {"judge": judge, "__doc__": "Judged."}))
        return judge

    return note


@judged("task.metrics")
class Twice(Evaluator):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return [found[0], found[0]] if name == "metrics" else found


class Unversioned:
    def __init__(self, metric):
        self.metric = metric

    def __getattr__(self, name):
        return 0 if name == "version" else getattr(self.metric, name)


@judged("task.metrics")
class NoVersion(Evaluator):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return [Unversioned(metric) for metric in found] if name == "metrics" else found


@mutant("task.cards")
class CitesNobody(Ris):
    cards: ClassVar[dict[str, Any]] = {
        "addp": {"refcoco": dataclasses.replace(Ris.cards["addp"]["refcoco"], judge="nobody")}
    }


@mutant("task.collates")
class AsList(Ris):
    def collate(self, truths):
        return list(truths)


@mutant("task.collates")
class AsFloats(Ris):
    def collate(self, truths):
        return super().collate(truths).float()


@mutant("task.resizes")
class KeepsSize(Ris):
    def resize(self, truth, height, width):
        return truth


@mutant("task.resizes")
class Shifts(Ris):
    def resize(self, truth, height, width):
        return np.roll(super().resize(truth, height, width), 1)


@mutant("task.resizes")
class KeepsBoxes(Detection):
    def resize(self, truth, height, width):
        return truth


@mutant("task.takes_truth")
class Picky(Ris):
    def require(self, sample):
        raise BadData(f"sample {sample.id}: its truth is too plain")


@judged("task.full_marks")
class Misreads(Evaluator):
    def statistics(self, sample, prediction):
        if (prediction := np.asarray(prediction)).ndim == 2:
            prediction = np.roll(prediction, 3, axis=0)
        return super().statistics(sample, prediction)


@judged("task.statistics")
class Square(Evaluator):
    def statistics(self, sample, prediction):
        return {**super().statistics(sample, prediction), "map": np.zeros((2, 2))}

    statistics_batch = None


@judged("task.statistics")
class Sometimes(Evaluator):
    def statistics(self, sample, prediction):
        found = super().statistics(sample, prediction)
        return {**found, "hit": 1.0} if np.asarray(prediction).any() else found


class Miscounted(Unversioned):
    def value(self, statistics, counts=None):
        found = self.metric.value(statistics, counts)
        return found if counts is None else found * 0.9

    def __getattr__(self, name):
        return getattr(self.metric, name)


@judged("task.resamples")
class Miscounts(Evaluator):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return [Miscounted(metric) for metric in found] if name == "metrics" else found


@judged("task.refuses")
class TakesAnything(Evaluator):
    def statistics(self, sample, prediction):
        if np.shape(prediction) != np.shape(sample.truth):
            prediction = np.zeros_like(sample.truth)
        return super().statistics(sample, prediction)


@judged("task.refuses")
class Nameless(Evaluator):
    def statistics(self, sample, prediction):
        return super().statistics(dataclasses.replace(sample, id=""), prediction)


@judged("task.batch")
class FirstForAll(Evaluator):
    def statistics_batch(self, sample, predictions):
        return [self.statistics(sample, predictions[0])] * len(predictions)


@mutant("task.quality")
class Error(Ris):
    def quality(self, prediction, truth):
        return 1.0 - super().quality(prediction, truth)


@mutant("task.quality")
class NoNumber(Ris):
    def quality(self, prediction, truth):
        return float("nan")


@mutant("task.ensemble")
class EmptyVote(Ris):
    def ensemble(self, predictions):
        return np.zeros_like(predictions[0])
