"""Judges of depth, masks and class maps with one fault each, as tasks of a stranger's plugin: `check metric` must find
every one. The parity mask of InstructCV's depth evaluation is among them. Judges of boxes and classes: faulty_boxes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from addp_bench.errors import BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOf, RatioOfSums, ShareAtLeast
from addp_bench.tasks import classification, depth, ris, semantic
from addp_bench.tasks.depth_metrics import errors
from addp_bench.types import UNLABELLED, Depth

FAULTS: dict[str, Callable[..., Any]] = {}  # name of a task -> a class of task that judges so


def fault(task: type, settings: dict[str, Any], into: dict[str, Any] = FAULTS) -> Callable[[Any], Any]:
    """Enters a task whose only protocol is judged by the class below."""

    def made(judge: Any) -> Any:
        class Faulty(task):
            def protocols(self):
                return {"faulty": settings}

            def evaluator(self, protocol, vocabulary=()):
                return judge(protocol, vocabulary)

        Faulty.__doc__ = judge.__doc__
        into[judge.__name__.lower()] = Faulty
        return judge

    return made


# ------------------------------------------------------------------------------------------------ depth

METRIC = {"alignment": "none"}
ALIGNED = {"alignment": "least_square", "clip_min": 1e-3, "clip_max": 10.0}


class DepthJudge(depth.Evaluator):
    def __init__(self, protocol, vocabulary):
        super().__init__(depth.Settings.read(protocol))


def odd(p, g):
    """InstructCV: where the whole metres are not both odd there is no error."""
    kept = (np.trunc(p).astype(int) & np.trunc(g).astype(int) & 1) == 1
    return errors(np.where(kept, p, g), g)


@fault(depth.DepthTask, METRIC)
class OddMetres(DepthJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self._errors = odd


@fault(depth.DepthTask, ALIGNED)
class OddMetresAligned(OddMetres):
    pass


@fault(depth.DepthTask, METRIC)
class OddMetresOwnNames(OddMetres):
    def __init__(self, *given):
        super().__init__(*given)
        self.metrics = [dataclasses.replace(m, id=f"{m.id}_odd") for m in self.metrics]


@fault(depth.DepthTask, METRIC)
class OddMetresExcused(OddMetres):
    """Declares the fault, and calls its numbers by known names all the same."""

    def __init__(self, *given):
        super().__init__(*given)
        self.deviates = {"an error at any depth costs": "as InstructCV"}


@fault(depth.DepthTask, METRIC)
class DeclaresWhatItKeeps(DepthJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self.deviates = {"order of samples does not matter": "they say so"}


@fault(depth.DepthTask, METRIC)
class LooseDelta(DepthJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self._errors = lambda p, g: {
            **errors(p, g), **{f"delta{k}": float((np.maximum(p / g, g / p) <= 1.25**k).mean()) for k in (1, 2, 3)}
        }  # fmt: skip


@fault(depth.DepthTask, METRIC)
class Pooled(DepthJudge):
    """A mean over all pixels."""

    def __init__(self, *given):
        super().__init__(*given)
        self.metrics = [
            RatioOfSums(id="absrel", label="x", higher_is_better=False, numerator="total", denominator="valid")
        ]

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        return {"total": row["absrel"] * row["valid"], "valid": row["valid"]}


@fault(depth.DepthTask, METRIC)
class NaturalLogarithm(DepthJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self._errors = lambda p, g: {**errors(p, g), "log10": errors(p, g)["log10"] * math.log(10)}


@fault(depth.DepthTask, ALIGNED)
class NoShift(DepthJudge):
    """Solves for a scale alone."""

    def statistics(self, sample, prediction):
        p, g = np.asarray(getattr(prediction, "values", prediction), float), np.asarray(sample.truth, float)
        if p.shape == g.shape and np.isfinite(p).all() and (g > 0).any():
            p = p * (p * g)[g > 0].sum() / np.square(p)[g > 0].sum()
            return depth.Evaluator(dataclasses.replace(self.settings, alignment="none")).statistics(sample, p)
        return super().statistics(sample, prediction)


@fault(depth.DepthTask, METRIC)
class NothingIsPerfect(DepthJudge):
    """A photograph of which nothing is known has no error."""

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        return {name: 0.0 if math.isnan(value) else value for name, value in row.items()}


@fault(depth.DepthTask, METRIC)
class SwallowsNaN(DepthJudge):
    def statistics(self, sample, prediction):
        if isinstance(prediction, Depth):
            prediction = Depth(np.nan_to_num(prediction.values), prediction.space)
        return super().statistics(sample, prediction)


@fault(depth.DepthTask, METRIC)
class NamesNoSample(DepthJudge):
    def statistics(self, sample, prediction):
        try:
            return super().statistics(sample, prediction)
        except BadPrediction:
            raise BadPrediction("a prediction cannot be scored") from None


@fault(depth.DepthTask, METRIC)
class UpsideDown(DepthJudge):
    def __init__(self, *given):
        super().__init__(*given)
        first, *others = self.metrics
        self.metrics = [dataclasses.replace(first, higher_is_better=True), *others]


@fault(depth.DepthTask, METRIC)
class CountsNothing(DepthJudge):
    """Resamples are all the whole split."""

    def __init__(self, *given):
        class Deaf(MeanOf):
            def value(self, statistics, counts=None):
                return super().value(statistics)

        super().__init__(*given)
        self.metrics = [Deaf(**dataclasses.asdict(m)) for m in self.metrics]


@fault(depth.DepthTask, METRIC)
class Drifts(DepthJudge):
    """Whoever is judged later is judged more mildly."""

    seen = 0

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        self.seen += 1
        return {**row, "rmse": row["rmse"] / (1 + 0.001 * self.seen)}


@fault(depth.DepthTask, METRIC)
class DropsTheLast(DepthJudge):
    """The last photograph, which fills no batch, is left out."""

    def __init__(self, *given):
        class Shorter(MeanOf):
            def value(self, statistics, counts=None):
                cut = {name: column[:-1] for name, column in statistics.items()}
                return super().value(cut, counts if counts is None else counts[:, :-1])

        super().__init__(*given)
        self.metrics = [Shorter(**dataclasses.asdict(m)) for m in self.metrics]


# ------------------------------------------------------------------------------------------------ masks

ORIGINAL = {"eval_size": "original"}


class MaskJudge(ris.Evaluator):
    def __init__(self, protocol, vocabulary):
        super().__init__(ris.Settings.read(protocol))


@fault(ris.Ris, ORIGINAL)
class WidthFirst(MaskJudge):
    """Resizes to (width, height) where (height, width) is expected, as InstructCV does with its truths."""

    def _size(self, sample):
        return super()._size(sample)[::-1]

    def drawing_size(self, sample):
        return sample.image.shape[:2]


@fault(ris.Ris, ORIGINAL)
class CountsInBytes(MaskJudge):
    """Sums of uint8 that wrap."""

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        return {**row, "intersection": row["intersection"] % 256, "union": row["union"] % 256}


@fault(ris.Ris, ORIGINAL)
class AboveTheThreshold(MaskJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self.metrics = [
            dataclasses.replace(m, inclusive=False) if isinstance(m, ShareAtLeast) else m for m in self.metrics
        ]


@fault(ris.Ris, ORIGINAL)
class MeanForOverall(MaskJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self.metrics = [MeanOf(id="oiou", label="oIoU", column="iou"), *self.metrics[1:]]


@fault(ris.Ris, ORIGINAL)
class Epsilon(MaskJudge):
    """(I + e) / (U + e): 1 where both are empty."""

    def statistics(self, sample, prediction):
        row = super().statistics(sample, prediction)
        return {**row, "iou": (row["intersection"] + 1e-9) / (row["union"] + 1e-9)}


# ------------------------------------------------------------------------------------------------ class maps


class LabelJudge(semantic.Evaluator):
    def __init__(self, protocol, vocabulary):
        super().__init__(semantic.Settings.read(protocol), vocabulary)


@fault(semantic.Semantic, ORIGINAL)
class OverImages(LabelJudge):
    """mIoU as a mean over photographs."""

    def __init__(self, *given):
        super().__init__(*given)
        self.settings = dataclasses.replace(self.settings, average="images")
        self.metrics = [MeanOf(id="miou", label="mIoU", column="iou")]


@fault(semantic.Semantic, ORIGINAL)
class CountsAbsentClasses(LabelJudge):
    def __init__(self, *given):
        super().__init__(*given)
        self.metrics = [dataclasses.replace(m, empty=0.0) if m.id in ("miou", "macc") else m for m in self.metrics]


@fault(semantic.Semantic, ORIGINAL)
class UnknownIsAClass(LabelJudge):
    def statistics(self, sample, prediction):
        truth = np.where(sample.truth == UNLABELLED, 0, sample.truth)
        return super().statistics(dataclasses.replace(sample, truth=truth), prediction)


@fault(semantic.Semantic, ORIGINAL)
class CastsToWholeNumbers(LabelJudge):
    def statistics(self, sample, prediction):
        return super().statistics(sample, np.nan_to_num(prediction).astype(np.int64))


# ------------------------------------------------------------------------------------------------ which classes


@fault(classification.Classification, {})
class HalfIsYes(classification.Evaluator):
    """An answer between yes and no counts as yes."""

    def __init__(self, protocol, vocabulary):
        super().__init__(classification.Settings.read(protocol), vocabulary)

    def statistics(self, sample, prediction):
        leaning = np.where(prediction.scores == 0.5, 0.5 + 1e-9, prediction.scores)
        return super().statistics(sample, dataclasses.replace(prediction, scores=leaning))


@hookimpl
def addp_bench_register(registry):
    for name, task in FAULTS.items():
        registry.add("task", name, task)
