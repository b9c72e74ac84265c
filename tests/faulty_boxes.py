"""Judges of boxes and classes with one fault each. Two are published: the filter by truth of InstructCV's evaluation,
and pycocotools with ids that count from 0."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from coco_reference import reference
from faulty_judges import fault

from addp_bench.hookspecs import hookimpl
from addp_bench.tasks import detection, probe
from addp_bench.types import Classified, Detections, Objects

FAULTS: dict[str, Callable[..., Any]] = {}


class BoxJudge(detection.Evaluator):
    def __init__(self, protocol, vocabulary, **changes):
        super().__init__(dataclasses.replace(detection.Settings.read(protocol), **changes), vocabulary)


@fault(detection.Detection, {}, FAULTS)
class OracleFilter(BoxJudge):
    """InstructCV: a box that overlaps no true one by more than a half is dropped before COCO's evaluation."""

    def __init__(self, protocol, vocabulary):
        super().__init__(protocol, vocabulary)
        self.settings = dataclasses.replace(self.settings, oracle_iou=0.5)


@fault(detection.Detection, {}, FAULTS)
class OracleFilterOwnNames(BoxJudge):
    def __init__(self, protocol, vocabulary):
        super().__init__(protocol, vocabulary, oracle_iou=0.5)
        self.deviates = {}


@fault(detection.Detection, {}, FAULTS)
class PlusOne(BoxJudge):
    """Far edges belong to boxes."""

    def statistics(self, sample, prediction):
        one = np.array([0, 0, 1, 1])
        truth = dataclasses.replace(sample.truth, xyxy=sample.truth.xyxy + one)
        if isinstance(prediction, Detections):
            prediction = dataclasses.replace(prediction, xyxy=prediction.xyxy + one)
        return super().statistics(dataclasses.replace(sample, truth=truth), prediction)


@fault(detection.Detection, {}, FAULTS)
class WorstFirst(BoxJudge):
    def statistics(self, sample, prediction):
        if isinstance(prediction, Detections):
            prediction = dataclasses.replace(prediction, scores=-prediction.scores)
        return super().statistics(sample, prediction)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoAP:
    """AP by pycocotools of the boxes themselves. first_id: of annotations; first_class: of what was found."""

    id: str = "ap"
    label: str = "AP"
    unit: str = "points"
    higher_is_better: bool = True
    version: int = 1
    first_id: int = 1
    first_class: int = 1

    def value(self, statistics, counts=None):
        if counts is None:
            return np.asarray(self.of(statistics, np.ones(len(statistics["found"]))))
        return np.array([self.of(statistics, times) for times in np.asarray(counts)])

    def of(self, statistics, times):
        photographs = []
        for i, n in enumerate(times.astype(int)):
            there, found = (statistics[name][np.array([i])].values.reshape(-1, 7) for name in ("there", "found"))
            truth = Objects(there[:, :4], there[:, 4].astype(int), there[:, 5] > 0, there[:, 6], (1, 1))
            photographs += [(truth, Detections(found[:, :4], found[:, 4].astype(int), found[:, 5]))] * n
        return reference(photographs, 3, first_id=self.first_id, first_class=self.first_class)[0]


@fault(detection.Detection, {}, FAULTS)
class IdsFromOne(detection.Evaluator):
    """No fault: another implementation."""

    ap = CocoAP()

    def __init__(self, protocol, vocabulary):
        super().__init__(detection.Settings.read(protocol), vocabulary)
        self.metrics = [self.ap]

    def statistics(self, sample, prediction):
        super().statistics(sample, prediction)  # refuses what is none

        there, found = sample.truth, prediction
        return {
            "there": np.column_stack([there.xyxy, there.labels, there.crowd, there.area]).ravel().astype(float),
            "found": np.column_stack([found.xyxy, found.labels, found.scores, found.scores]).ravel().astype(float),
        }


@fault(detection.Detection, {}, FAULTS)
class IdsFromZero(IdsFromOne):
    """COCOeval takes the match with an object whose id is 0 for none."""

    ap = CocoAP(first_id=0)


@fault(detection.Detection, {}, FAULTS)
class ClassesFromZero(IdsFromOne):
    """Classes of what was found count from 0, those of the truth from 1."""

    ap = CocoAP(first_class=0)


# ------------------------------------------------------------------------------------------------ classes


class ClassJudge(probe.Evaluator):
    def __init__(self, protocol, vocabulary):
        super().__init__(protocol["top"], vocabulary)


@fault(probe.Probe, {"top": 5}, FAULTS)
class LastOfEquals(ClassJudge):
    def _order(self, sample, prediction):
        flipped = Classified(np.asarray(prediction.scores)[:, ::-1])
        return len(self.vocabulary) - 1 - super()._order(sample, flipped)


@fault(probe.Probe, {"top": 5}, FAULTS)
class FourForFive(ClassJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self.top = 4


@fault(probe.Probe, {"top": 5}, FAULTS)
class AnyDraw(ClassJudge):
    """Right where one of the noise draws is."""

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        return {**row, "correct": math.ceil(row["correct"])}


@hookimpl
def addp_bench_register(registry):
    for name, task in FAULTS.items():
        registry.add("task", name, task)
