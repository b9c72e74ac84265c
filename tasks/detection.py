"""Detection: every object of some classes, as a box with its class.

Boxes are read from drawings at the photograph's own size, so they are boxes of the photograph. The judge is COCO's: it
keeps, for each photograph, what was matched, and any average precision follows from that
(`addp_bench.average_precision`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.average_precision import IOUS, AveragePrecision, AverageRecall
from addp_bench.errors import BadData, BadOption, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import RatioOfSums
from addp_bench.types import Boxes, Detections, Objects, ProtocolCard

from . import coco_results
from .box_pictures import drawn_on
from .matching import AREAS, agreement, area, chosen, matched, overlaps, ranked, voted
from .settings import settings_of

if TYPE_CHECKING:
    from addp_bench.protocols import Metric
    from addp_bench.registry import Registry
    from addp_bench.types import Sample


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task.

    max_dets: detections of a photograph and class that count, for AR's three numbers; AP takes 100 where that is one
    of them and the last otherwise, what is narrower than AP (AP50, APs, ...) the last, as pycocotools does.
    score_rule: "given" takes the scores of the prediction, and its order among equals; "constant" gives 1 to every box
    and orders them by area, the largest first, then by x and y. crowds: "ignored" as COCO does, or "objects" as if
    their flag had been lost. sizes: "object", the area of the object itself, or "box", that of its box, decides what is
    small, medium and large. oracle_iou: keep, for each true box, only the detection of its class that overlaps it most,
    and only above this IoU; None keeps all. It looks at the truth, so what it gives is no AP.
    """

    max_dets: tuple[int, int, int] = (1, 10, 100)
    score_rule: Literal["given", "constant"] = "given"
    crowds: Literal["ignored", "objects"] = "ignored"
    sizes: Literal["object", "box"] = "object"
    oracle_iou: float | None = None

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        settings = settings_of(cls, "detection", protocol)
        if settings.max_dets[0] < 1 or sorted(set(settings.max_dets)) != list(settings.max_dets):
            raise BadOption(f"detection protocol: max_dets are three rising numbers from 1, got {settings.max_dets}")
        if settings.oracle_iou is not None and not 0 <= settings.oracle_iou < 1:
            raise BadOption(f"detection protocol: oracle_iou is an IoU from 0 to below 1, got {settings.oracle_iou}")
        return settings


PROTOCOLS = {
    "tabletop_detection": Settings(),
    "coco": Settings(),
    # InstructCV's released evaluation: filtered by the truth, its crowds plain objects of their box's area, score 1
    "instructcv_compat": Settings((100, 300, 1000), "constant", "objects", "box", 0.5),
}

DEVIATES = {
    "a false alarm costs": "boxes that overlap no true one are dropped before COCO's evaluation (InstructCV, "
    "evaluate/Evaluate_AR.py)",
    "tells answers apart": "no false alarm is left, so the precision of any answer is 1",
}


class Detection:
    """Detection: every object of the classes asked for, as a box with its class.

    Algorithm A reads 2 x (sum of IoUs) / (boxes drawn + boxes there) of each sample, under the best one-to-one
    assignment within classes: F1 with each hit worth its IoU. It needs no score, which drawn boxes do not have, and
    grows with every pixel a box comes nearer, where F1 at a threshold would jump.
    """

    truth: ClassVar[str] = "boxes"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("jitter_boxes", "drop_boxes", "color")
    encoding: ClassVar[str] = "box_fill"
    suffix: ClassVar[str] = ".json"
    # InstructCV samples in 100 steps at 512 pixels
    cards: ClassVar[Mapping[str, Mapping[str, ProtocolCard]]] = {
        "instructcv_compat": {"coco": ProtocolCard("instructcv_compat", "val2017", steps=100, resolution=512)}
    }

    def resize(self, truth: Objects, height: int, width: int) -> Objects:
        """The objects of the same photograph at another size; boxes and areas scale, no edge is rounded."""
        x, y = width / truth.size[1], height / truth.size[0]
        boxes = np.asarray(truth.xyxy, np.float64).reshape(-1, 4) * [x, y, x, y]
        return Objects(boxes, truth.labels, truth.crowd, truth.area * (x * y), (height, width))

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, for a truth that is no Objects of its photograph."""
        require_fitting(sample)

    def collate(self, truths: Sequence[Objects]) -> Boxes:
        """Objects of B photographs of one size -> Boxes, padded. Crowds are left out: nobody draws them."""
        import torch

        single = [(truth.xyxy[~truth.crowd], truth.labels[~truth.crowd]) for truth in truths]
        most = max(len(labels) for _, labels in single)
        xyxy, valid = torch.zeros(len(single), most, 4), torch.zeros(len(single), most, dtype=torch.bool)
        labels = torch.zeros(len(single), most, dtype=torch.int64)
        for row, (boxes, names) in enumerate(single):
            xyxy[row, : len(names)] = torch.as_tensor(boxes, dtype=torch.float32)
            labels[row, : len(names)] = torch.as_tensor(names)
            valid[row, : len(names)] = True
        return Boxes(xyxy, labels, valid, truths[0].size)

    def quality(self, prediction: Any, truth: Objects) -> float:
        """Agreement of Detections and Objects of one photograph, in [0, 1]; see the class."""
        return agreement(detections(prediction, "a prediction"), truth)

    def ensemble(self, predictions: Sequence[Any]) -> Detections:
        """The vote of several drawings: a box's score is the share of them that hold it, at IoU 0.5.

        Raises BadPrediction for no prediction at all.
        """
        if not predictions:
            raise BadPrediction("a vote needs one prediction at least, met none")
        return voted([detections(prediction, "a vote") for prediction in predictions])

    def picture(self, answer: Objects | Detections, photo: np.ndarray, vocabulary: Sequence[str] = ()) -> np.ndarray:
        """The boxes drawn on the photograph (H, W, 3) uint8 with the names of their classes, or their numbers where
        the vocabulary does not name them; scores where they are not all alike."""
        return drawn_on(photo, answer, vocabulary)

    def write(self, prediction: Any, path: Path, category_ids: Sequence[int] = ()) -> None:
        """As COCO's result file of one photograph, whose image_id is the file's name (see coco_results)."""
        coco_results.write(detections(prediction, f"the prediction for {path.name}"), path, category_ids)

    def read(self, path: Path, sample: Sample) -> Detections:
        """What `write` wrote, or another program. Raises BadData, naming file and sample, for a file that is none."""
        return coco_results.read(path, sample.id, *_numbered(sample.hints))

    def read_all(self, path: Path, sample: Sample) -> Detections:
        """What a result file of the whole split says of a sample."""
        return coco_results.read_all(path, sample.id, *_numbered(sample.hints))

    def require_of(self, path: Path, samples: Sequence[str], names: Mapping[str, Any]) -> None:
        """Raises BadData where such a file speaks of photographs or classes that the split does not have."""
        coco_results.require_of(path, samples, *_numbered(names))

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return {name: dataclasses.asdict(settings) for name, settings in PROTOCOLS.items()}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings (see Settings). Raises UnknownName and BadOption."""
        return Evaluator(Settings.read(protocol), vocabulary)


class Evaluator:
    """Matches boxes under fixed settings.

    Columns: those of addp_bench.average_precision, of any length; and, at IoU 0.5 over all classes and sizes, hits,
    found (detections that count), objects, and boxes (the mean of these two, so that F1 is hits / boxes).
    """

    def __init__(self, settings: Settings, vocabulary: Sequence[str] = ()) -> None:
        self.settings, self.vocabulary = settings, vocabulary
        self.uses_truth = settings.oracle_iou is not None  # predictions are dropped by it
        self.deviates = DEVIATES if settings.oracle_iou is not None else {}
        one, few, most = settings.max_dets
        mean = 100 if 100 in settings.max_dets else most
        compat = settings.oracle_iou is not None
        end, said = ("_icv", ", GT-filtered") if compat else ("", "")  # never in one column with AP

        def precision(id: str, label: str, **what: Any) -> AveragePrecision:
            return AveragePrecision(id=id + end, label=label + said, **{"most": most, **what})

        def recall(id: str, **what: Any) -> AverageRecall:
            label = "AR" + id.removeprefix("ar")
            return AverageRecall(id=id + end, label=label + said, **{"most": most, **what})

        def ratio(id: str, label: str, denominator: str) -> RatioOfSums:
            return RatioOfSums(id=id + end, label=label + said, numerator="hits", denominator=denominator)

        self.metrics: Sequence[Metric] = [
            precision("ap", "AP", most=mean),
            precision("ap50", "AP50", iou=0),
            precision("ap75", "AP75", iou=5),
            *(precision(f"ap{size[0]}", f"AP{size[0]}", area=size) for size in ("small", "medium", "large")),
            *(recall(f"ar{number}", most=number) for number in (one, few, most)),
            *(recall(f"ar{size[0]}", area=size) for size in ("small", "medium", "large")),
            precision("ap_low", "AP, ties worst", most=mean, ties="worst"),
            precision("ap_high", "AP, ties best", most=mean, ties="best"),
            ratio("precision50", "precision@0.5", "found"),
            ratio("recall50", "recall@0.5", "objects"),
            ratio("f50", "F1@0.5", "boxes"),
        ]

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """The photograph's (H, W): boxes are read from the drawing at that size."""
        height, width = sample.image.shape[:2]
        return height, width

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float | np.ndarray]:
        """prediction: Detections in pixels of the photograph; boxes may reach beyond it, and be as thin as a line.

        Raises BadPrediction, naming the sample, for anything else, for numbers that are not finite, and for a class
        that the vocabulary does not have; BadData, naming it, for a truth that does not fit.
        """
        require_fitting(sample)
        there, found = self._truth(sample.truth), detections(prediction, f"sample {sample.id}: the prediction")
        if self.vocabulary and (found.labels >= len(self.vocabulary)).any():
            raise BadPrediction(
                f"sample {sample.id}: the prediction has class {found.labels.max()}; the split's classes are "
                f"0..{len(self.vocabulary) - 1} ({', '.join(self.vocabulary)})"
            )
        found = ranked(self._scored(found, there), self.settings.max_dets[-1])
        hit, skip, ignored = matched(found, there)
        bits = 1 << np.arange(len(IOUS))
        state = np.einsum("atd,t->ad", hit, bits) + np.einsum("atd,t->ad", skip, bits << len(IOUS))
        present, place = np.unique(there.labels, return_inverse=True)
        wanted = [np.bincount(place, weight, len(present)) for weight in ~ignored]
        return {
            "found_class": found.labels.astype(np.float64),
            "found_score": found.scores,
            **{f"found_{size}": code.astype(np.float64) for size, code in zip(AREAS, state)},
            "truth_class": present.astype(np.float64),
            **{f"truth_{size}": count for size, count in zip(AREAS, wanted)},
            "hits": float(hit[0, 0].sum()),
            "found": float((~skip[0, 0]).sum()),
            "objects": float((~ignored[0]).sum()),
            "boxes": 0.5 * float((~skip[0, 0]).sum() + (~ignored[0]).sum()),
        }

    def _truth(self, truth: Objects) -> Objects:
        if self.settings.crowds == "objects":
            truth = dataclasses.replace(truth, crowd=np.zeros(len(truth.labels), bool))
        return dataclasses.replace(truth, area=area(truth.xyxy)) if self.settings.sizes == "box" else truth

    def _scored(self, found: Detections, there: Objects) -> Detections:
        """The detections that count, with the scores of the protocol and in its order."""
        if self.settings.score_rule == "constant":
            order = np.lexsort((found.xyxy[:, 1], found.xyxy[:, 0], -area(found.xyxy)))
            found = dataclasses.replace(chosen(found, order), scores=np.ones(len(order)))
        if self.settings.oracle_iou is not None and len(found.labels):
            iou = np.where(found.labels[:, None] == there.labels, overlaps(found.xyxy, there.xyxy), 0.0)
            best = iou.argmax(axis=0)[iou.max(axis=0) > self.settings.oracle_iou]
            found = chosen(found, np.unique(best))
        return found


def _numbered(names: Mapping[str, Any]) -> tuple[Sequence[int], int | None]:
    """The ids of the classes and how many there are, of a sample's hints or of what a split names."""
    return names.get("category_ids", ()), len(names.get("vocabulary", ())) or None


def detections(given: Any, what: str) -> Detections:
    """The same as arrays, checked. Raises BadPrediction, beginning with `what`."""
    if not isinstance(given, Detections):
        raise BadPrediction(f"{what} is a {type(given).__name__}; expected addp_bench.types.Detections")
    boxes, labels, scores = (np.asarray(part) for part in (given.xyxy, given.labels, given.scores))
    count = len(boxes)
    if boxes.shape != (count, 4) or labels.shape != (count,) or scores.shape != (count,):
        raise BadPrediction(
            f"{what} has boxes {boxes.shape}, labels {labels.shape}, scores {scores.shape}; expected (n, 4), (n,), (n,)"
        )
    boxes, scores = boxes.astype(np.float64), scores.astype(np.float64)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise BadPrediction(f"{what} has boxes or scores that are not finite")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        wrong = boxes[(boxes[:, 2:] < boxes[:, :2]).any(axis=1)][0].tolist()
        raise BadPrediction(f"{what} has the box {wrong}; expected x0, y0, x1, y1 with x0 <= x1 and y0 <= y1")
    if count and (not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0):
        raise BadPrediction(f"{what} has labels {labels.dtype} {labels.tolist()[:5]}; expected whole numbers from 0")
    return Detections(boxes, labels.astype(np.int64), scores)


def require_fitting(sample: Sample) -> None:
    """Raises BadData, naming the sample, when its truth is no Objects of its photograph."""
    truth = sample.truth
    if not isinstance(truth, Objects):
        raise BadData(f"sample {sample.id}: its truth is a {type(truth).__name__}; expected addp_bench.types.Objects")
    if tuple(truth.size) != sample.image.shape[:2]:
        there = " x ".join(map(str, sample.image.shape[:2]))
        raise BadData(
            f"sample {sample.id}: its boxes are of a photograph of {' x '.join(map(str, truth.size))}, its photograph "
            f"is {there} (height x width)"
        )
    count = len(truth.labels)
    shapes = [np.shape(part) for part in (truth.xyxy, truth.labels, truth.crowd, truth.area)]
    if shapes != [(count, 4), (count,), (count,), (count,)]:
        raise BadData(
            f"sample {sample.id}: boxes, labels, crowd and area have shapes {shapes}; expected (n, 4), (n,) x 3"
        )
    if not np.isfinite(truth.xyxy).all() or (truth.xyxy[:, 2:] < truth.xyxy[:, :2]).any():
        raise BadData(f"sample {sample.id}: a true box is not finite or inside out; expected x0 <= x1 and y0 <= y1")


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "detection", Detection)
