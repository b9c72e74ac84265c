"""Classification by questions: is there a CLASS in the photograph? Yes or no, for each of the classes asked for."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, BadPrediction, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOfRatios, RatioOfSums
from addp_bench.randomness import numpy_generator
from addp_bench.store import write_json
from addp_bench.types import Presence

from .presence_metrics import MeanAveragePrecision
from .settings import settings_of

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Metric
    from addp_bench.registry import Registry
    from addp_bench.types import Sample

HALF = 0.5  # a score above it says yes, below it no; itself it says nothing
SHORT = 21  # up to so many classes (Pascal VOC's), every one has a column of its own in tables


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task.

    class_list: "all" asks about every class of the vocabulary, "balanced" about those that are there and as many that
    are not (`Classification.balanced`). per_class: the F1 of every class is reported where the vocabulary has at most
    so many.
    """

    class_list: Literal["all", "balanced"] = "all"
    per_class: int = SHORT

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        if protocol.get("class_list") == "present":
            raise BadOption(
                "classification protocol: class_list=present asks only about what is there, and who always says yes "
                "would be right every time; take all or balanced"
            )
        settings = settings_of(cls, "classification", protocol)
        if settings.per_class < 0:
            raise BadOption(f"classification protocol: per_class is a number of classes, got {settings.per_class}")
        return settings


PROTOCOLS = {"tabletop_classification": Settings(), "every_class": Settings(), "balanced": Settings("balanced")}


class Classification:
    """Classification by questions: which classes are in a photograph, asked one by one and answered yes or no.

    Algorithm A reads the mean over the questions of a sample of how much the answer leans to the right side: the score
    where the class is there, 1 - score where it is not.

    questions: what training, and the samples that statistics are measured on, are asked: balanced for the classes that
    are there and as many that are not, as the protocol of that name; all for every class of the vocabulary.
    """

    truth: ClassVar[str] = "classes"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("color",)
    encoding: ClassVar[str] = "colour_answer"
    suffix: ClassVar[str] = ".json"
    forbids: ClassVar[Mapping[str, str]] = {"crop": "a crop may remove what the answer says is there"}

    def __init__(self, questions: Literal["balanced", "all"] = "balanced") -> None:
        self.class_list = questions

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """What is in a photograph is in any size of it: the same (C,) bool."""
        return np.asarray(truth, bool)

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, when its truth does not say of each class whether it is there."""
        truth = np.asarray(sample.truth)
        if truth.ndim != 1 or truth.dtype != bool or not len(truth):
            raise BadData(
                f"sample {sample.id}: its truth is {truth.dtype} {truth.shape}; expected (classes,) bool, whether each "
                "class of the vocabulary is there."
            )

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B truths (C,) of one vocabulary -> (B, C) bool."""
        import torch

        return torch.stack([torch.as_tensor(truth, dtype=torch.bool) for truth in truths])

    def balanced(self, sample: Sample) -> set[int]:
        """The classes in the truth (C,) and as many others, one at least, drawn by the sample's id; all of them where
        there are fewer."""
        truth = np.asarray(sample.truth)
        there, absent = np.flatnonzero(truth), np.flatnonzero(~truth)
        drawn = numpy_generator("balanced questions", sample.id).permutation(absent)
        return {*there.tolist(), *drawn[: max(1, len(there))].tolist()}

    def quality(self, prediction: Any, truth: Any) -> float:
        """Mean over the questions of the score of the right answer, in [0, 1]; nan where nothing was asked."""
        true = np.asarray(truth, bool)
        said = answers(prediction, len(true), "a prediction")
        asked = ~np.isnan(said)
        return float(np.where(true, said, 1.0 - said)[asked].mean()) if asked.any() else float("nan")

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return {name: dataclasses.asdict(settings) for name, settings in PROTOCOLS.items()}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings (see Settings). Raises UnknownName, BadOption, BadData for the vocabulary."""
        return Evaluator(Settings.read(protocol), vocabulary)

    def ensemble(self, predictions: Sequence[Any]) -> Presence:
        """The mean score of each class. Raises BadPrediction for none, or for answers to different questions."""
        if not predictions:
            raise BadPrediction("a vote needs one prediction at least, met none")
        first = predictions[0]
        if any(not np.array_equal(other.labels, first.labels) for other in predictions):
            raise BadPrediction("a vote needs answers to the same questions")
        scores = np.mean([prediction.scores for prediction in predictions], axis=0)
        return Presence(first.labels, scores, first.names)

    def write(self, prediction: Presence, path: Path, category_ids: Sequence[int] = ()) -> None:
        """As a JSON object: the name of each class that was asked for, and its score in [0, 1].

        category_ids: of a split whose classes have numbers; a file goes by their names all the same.
        """
        write_json(path, dict(zip(prediction.names, np.asarray(prediction.scores, np.float64).tolist())))

    def read(self, path: Path, sample: Sample) -> Presence:
        """What `write` wrote, or another program: scores in [0, 1], or true and false.

        Raises BadData, naming file and sample, for a file that is none, for a class that is not among the names of the
        sample's hint "vocabulary", and for what is no score.
        """
        where, names = f"{path}, for sample {sample.id}", list(sample.hints.get("vocabulary", ()))
        try:
            said = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError) as broken:
            raise BadData(f"{where}: cannot be read as JSON: {broken}") from broken
        if not isinstance(said, dict):
            raise BadData(f"{where}: holds a {type(said).__name__}; expected an object, class name -> score")
        for name, score in said.items():
            if name not in names:
                raise BadData(f"{where}: {unknown('class', name, names)}")
            if not isinstance(score, (bool, int, float)) or not 0 <= score <= 1:
                raise BadData(f"{where}: the score of {name!r} is {score!r}; expected a number from 0 to 1, or a bool")
        labels = np.array([names.index(name) for name in said], np.int64)
        return Presence(labels, np.array([*said.values()], np.float64), list(said))

    def picture(self, answer: Any, photo: np.ndarray, vocabulary: Sequence[str] = ()) -> np.ndarray:
        """photo (H, W, 3) uint8, grey, under a line for each class that was asked for; a score that is neither 0 nor 1
        beside it."""
        from .answer_pictures import listed

        said = answers(answer, len(vocabulary), "an answer")
        return listed(photo, {name: score for name, score in zip(vocabulary, said.tolist()) if score == score})


class Evaluator:
    """Compares answers under fixed settings.

    Columns, of the questions of a sample: posed, right, said (answered yes) and unread (answered neither) · posed.yes
    and right.yes of those about classes that are there, posed.no and right.no of the others · said_or_there, the mean
    of said and posed.yes, so that F1 is right.yes / said_or_there · hit.NAME and said_or_there.NAME, the same of one
    class · those of presence_metrics, of any length.
    """

    def __init__(self, settings: Settings, vocabulary: Sequence[str]) -> None:
        self.settings, self.vocabulary = settings, tuple(vocabulary)
        if not self.vocabulary:
            raise BadData("classification asks about the classes of the split's `vocabulary`, and this one has none")
        if twice := [name for name, times in Counter(map(_identifier, self.vocabulary)).items() if times > 1]:
            raise BadData(f"a vocabulary names every class once; {twice[0]!r} stands there twice")

        def ratio(id: str, label: str, above: str, below: str) -> RatioOfSums:
            return RatioOfSums(id=id, label=label, numerator=above, denominator=below)

        self.metrics: Sequence[Metric] = [
            MeanOfRatios(id="bacc", label="bal. acc", numerator="right", denominator="posed"),
            ratio("acc", "acc", "right", "posed"),
            ratio("precision", "precision", "right.yes", "said"),
            ratio("recall", "recall", "right.yes", "posed.yes"),
            ratio("specificity", "specificity", "right.no", "posed.no"),
            ratio("f1", "F1", "right.yes", "said_or_there"),
            MeanOfRatios(id="mf1", label="mF1", numerator="hit", denominator="said_or_there"),
            MeanAveragePrecision(),
            RatioOfSums(id="unread", label="unread", numerator="unread", denominator="posed", higher_is_better=False),
            *(
                ratio(f"f1_{_identifier(name)}", f"F1 {name}", f"hit.{name}", f"said_or_there.{name}")
                for name in self.vocabulary
                if len(self.vocabulary) <= settings.per_class
            ),
        ]

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """None: a picture of one colour is read as it is."""
        return None

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float | np.ndarray]:
        """prediction: Presence, or a score of every class of the vocabulary, (C,) bool or float in [0, 1].

        Answers to questions that the protocol does not ask are left out. Raises BadPrediction, naming the sample, for
        anything else and for a question without an answer; BadData, naming it, for a truth that does not fit.
        """
        task, classes = Classification(), len(self.vocabulary)
        task.require(sample)
        true = np.asarray(sample.truth)
        if len(true) != classes:
            raise BadData(f"sample {sample.id}: its truth is about {len(true)} classes, and the split names {classes}")
        asked = np.arange(classes) if self.settings.class_list == "all" else np.array(sorted(task.balanced(sample)))
        said = answers(prediction, classes, f"sample {sample.id}: the prediction")
        if np.isnan(said[asked]).any():
            missing = self.vocabulary[asked[np.isnan(said[asked])][0]]
            raise BadPrediction(f"sample {sample.id}: the prediction says nothing of {missing!r}, which is asked for")
        score, there = said[asked], true[asked]
        yes, no = score > HALF, score < HALF
        hit, half = np.zeros(classes), np.zeros(classes)
        hit[asked], half[asked] = yes & there, 0.5 * (yes + there.astype(np.float64))
        row: dict[str, float | np.ndarray] = {
            "posed": float(len(asked)),
            "right": float((yes & there).sum() + (no & ~there).sum()),
            "said": float(yes.sum()),
            "unread": float((~yes & ~no).sum()),
            "posed.yes": float(there.sum()),
            "right.yes": float((yes & there).sum()),
            "posed.no": float((~there).sum()),
            "right.no": float((no & ~there).sum()),
            "said_or_there": float(half.sum()),
            "question_class": asked.astype(np.float64),
            "question_score": score,
            "question_true": there.astype(np.float64),
        }
        for family, values in (("hit", hit), ("said_or_there", half)):
            row |= {f"{family}.{name}": float(value) for name, value in zip(self.vocabulary, values)}
        return row


def answers(given: Any, classes: int, what: str) -> np.ndarray:
    """The score (C,) of every class, nan for those that were not asked. Raises BadPrediction, beginning with `what`."""
    if isinstance(given, Presence):
        labels, scores = np.asarray(given.labels), np.asarray(given.scores, np.float64)
        if labels.shape != scores.shape or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise BadPrediction(f"{what} has labels {labels.dtype} {labels.shape} and scores {scores.shape}")
        if len(labels) and (labels.min() < 0 or labels.max() >= classes or len(np.unique(labels)) < len(labels)):
            raise BadPrediction(f"{what} has the labels {labels.tolist()[:8]}; expected some of 0..{classes - 1}, once")
        found = np.full(classes, np.nan)
        found[labels] = scores
    else:
        given = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if given.shape != (classes,) or given.dtype.kind not in "bf":
            raise BadPrediction(
                f"{what} is {given.dtype} {given.shape}; expected scores ({classes},) or types.Presence"
            )
        found = scores = given.astype(np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        wrong = scores[~((scores >= 0) & (scores <= 1))][0]
        raise BadPrediction(f"{what} has the score {wrong:g}; scores are numbers from 0 (no) to 1 (yes)")
    return found


def _identifier(name: str) -> str:
    """A class's name as part of a metric's id."""
    return re.sub(r"\W+", "_", name.strip().lower())


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "classification", Classification)
