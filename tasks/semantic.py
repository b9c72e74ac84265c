"""Semantic segmentation: every pixel has a class.

A class map holds indices into the split's vocabulary, and UNLABELLED (255) where nobody knows. Predictions meet it at
the protocol's size: drawings are resized bilinearly before they are decoded, or decoded and the class map resized by
the nearest pixel; labels are never interpolated.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOf, MeanOfRatios, OfSums, RatioOfSums
from addp_bench.types import UNLABELLED, ProtocolCard

from .ris import nearest, nearest_each
from .settings import settings_of

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry
    from addp_bench.types import Sample

CLASSES = 255  # a vocabulary has at most so many: indices 0..254 and UNLABELLED are what 8 bits hold
SHORT = 21  # up to so many classes (Pascal VOC's), every one has a column of its own in tables


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task.

    eval_size: side in pixels of the square at which class maps are compared, or "original" for the photograph's own
    size. pred_resize: "rgb_then_decode" resizes the drawing to that size and then decodes it, "labels_nearest" decodes
    it as it is and resizes the class map. absent_class: what a class adds to mIoU and mAcc that is 0 / 0: "nan" leaves
    it out of the mean, "zero" keeps it there as 0. average: "dataset" sums pixels over the split and divides then;
    "images" is the mean over photographs of the mean over the classes of each. class_list: "present" asks for the
    classes in a sample's truth alone, which nobody can know but an oracle. per_class: the IoU of every class is
    reported where the vocabulary has at most so many.
    """

    eval_size: int | Literal["original"]
    pred_resize: Literal["rgb_then_decode", "labels_nearest"] = "rgb_then_decode"
    absent_class: Literal["nan", "zero"] = "nan"
    average: Literal["dataset", "images"] = "dataset"
    class_list: Literal["all", "present"] = "all"
    per_class: int = SHORT

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        settings = settings_of(cls, "semantic", protocol)
        if settings.eval_size != "original" and settings.eval_size < 1:
            raise BadOption(f"semantic protocol: eval_size is a side in pixels or 'original', got {settings.eval_size}")
        if settings.per_class < 0:
            raise BadOption(f"semantic protocol: per_class is a number of classes, got {settings.per_class}")
        return settings


PROTOCOLS = {
    "tabletop_semantic": Settings("original"),
    "ade20k": Settings("original"),
    # SceneParse150's development kit: a class that is nowhere gives 0 and stays in the mean
    "csail": Settings("original", absent_class="zero"),
    # what InstructCV's released code does: the classes are told, and the mean is over photographs
    "instructcv_compat": Settings("original", average="images", class_list="present"),
}


class Semantic:
    """Semantic segmentation: a class map (H, W) for a photograph.

    Algorithm A reads the IoU of each sample, averaged over the classes that its truth holds. Pixel accuracy would be
    the background's, and classes that are drawn by a stray pixel alone would make a mean over all drawn classes jump.
    """

    truth: ClassVar[str] = "labels"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("shift_labels", "relabel", "color")
    encoding: ClassVar[str] = "palette"
    suffix: ClassVar[str] = ".png"
    # InstructCV samples in 100 steps at 512 pixels
    cards: ClassVar[Mapping[str, Mapping[str, ProtocolCard]]] = {
        "instructcv_compat": {"ade20k": ProtocolCard("instructcv_compat", "validation", steps=100, resolution=512)}
    }

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """A class map (H, W) at another size, by the nearest pixel: (height, width) int64."""
        return nearest(np.asarray(truth, np.int64), (height, width))

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, for a truth that is no class map of its photograph's size.

        Whether its labels are in the vocabulary is for the judge and the encoding to say: they know it.
        """
        truth, photograph = np.asarray(sample.truth), sample.image.shape[:2]
        if truth.shape != photograph:
            raise BadData(
                f"sample {sample.id}: its truth is {_by(truth.shape)}, its photograph {_by(photograph)} (height x "
                "width); a class map must have its photograph's size."
            )
        if not np.issubdtype(truth.dtype, np.integer):
            raise BadData(f"sample {sample.id}: its truth holds {truth.dtype}; a class map holds whole numbers.")
        if outside := _outside(truth, UNLABELLED):
            raise BadData(
                f"sample {sample.id}: its truth holds the label {outside[0]}; labels are 0 to {CLASSES - 1}, and "
                f"{UNLABELLED} where nobody knows."
            )

    def present(self, truth: Any) -> set[int]:
        """The classes in a class map (H, W)."""
        return set(np.unique(truth).tolist()) - {UNLABELLED}

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B class maps (H, W), arrays or tensors, of one size -> (B, H, W) int64."""
        import torch

        return torch.stack([torch.as_tensor(truth, dtype=torch.int64) for truth in truths])

    def quality(self, prediction: Any, truth: Any) -> float:
        """Mean over the classes in the truth of their IoU, in [0, 1]; nan where no pixel of the truth has a class."""
        predicted, true = _labels(prediction, "a prediction"), _labels(truth, "a truth")
        if predicted.shape != true.shape:
            raise BadPrediction(f"cannot compare a class map of {_by(predicted.shape)} with one of {_by(true.shape)}")
        return _over_present(*areas(predicted, true, CLASSES))

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return {name: dataclasses.asdict(settings) for name, settings in PROTOCOLS.items()}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings (see Settings). Raises UnknownName, BadOption, BadData for the vocabulary."""
        return Evaluator(Settings.read(protocol), vocabulary)

    def picture(self, answer: Any, photo: np.ndarray, vocabulary: Sequence[str] = ()) -> np.ndarray:
        """A class map (h, w) over a photograph (H, W, 3) uint8 in grey; unlabelled pixels are the photograph's own.

        Grey, because a coloured object would mix with the colour of its class into that of another.
        """
        labels = nearest(_labels(answer, "an answer"), (photo.shape[0], photo.shape[1]))
        known = (labels >= 0) & (labels != UNLABELLED)
        grey = photo.mean(axis=2, keepdims=True)
        mixed = 0.35 * grey + 0.65 * colour_map()[np.where(known, labels, 0) % 256]
        return np.where(known[:, :, None], mixed, photo).astype(np.uint8)

    def write(self, prediction: Any, path: Path) -> None:
        """As a PNG of one 8-bit channel. Raises BadPrediction for labels that it cannot hold."""
        from PIL import Image

        labels = _labels(prediction, "a prediction")
        if outside := _outside(labels, 255):
            raise BadPrediction(f"{path}: a prediction holds the label {outside[0]}; a file of labels holds 0 to 255.")
        Image.fromarray(labels.astype(np.uint8)).save(path, format="PNG")

    def read(self, path: Path, sample: Sample) -> np.ndarray:
        """A class map (H, W) int64 of a PNG of one 8-bit channel or of palette indices, whatever their colours."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as opened:
                mode, labels = opened.mode, np.array(opened)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as broken:
            raise BadData(
                f"{path}, for sample {sample.id}: cannot be read as a picture of labels: {broken}"
            ) from broken
        if mode not in ("L", "P"):
            raise BadData(
                f"{path}, for sample {sample.id}: has pixels of mode {mode}; a class map is one 8-bit channel of "
                f"labels (L or P), 0 the first class, {UNLABELLED} none."
            )
        return labels.astype(np.int64)

    def ensemble(self, predictions: Sequence[Any]) -> np.ndarray:
        """The class (H, W) that most of k class maps give a pixel; of equals the lowest.

        Raises BadPrediction for no class map at all, or for several sizes.
        """
        votes = [_labels(prediction, "a vote") for prediction in predictions]
        if len(sizes := {vote.shape for vote in votes}) != 1:
            raise BadPrediction(
                f"a majority needs class maps of one size, met {', '.join(sorted(map(_by, sizes))) or 'none'}"
            )
        stacked = np.stack(votes)
        classes = np.unique(stacked)
        counts = np.stack([(stacked == c).sum(axis=0) for c in classes])
        found: np.ndarray = classes[counts.argmax(axis=0)]  # argmax takes the first of equals
        return found


class Evaluator:
    """Compares class maps under fixed settings.

    Columns, in pixels whose truth has a class: `intersection.NAME`, `union.NAME` and `true.NAME` of each class (what is
    predicted as it: union - true + intersection) · `correct` and `labelled`, their sums · with average "images" `iou`,
    the mean IoU of the classes in the sample's truth, nan where there is none.
    """

    def __init__(self, settings: Settings, vocabulary: Sequence[str]) -> None:
        self.settings, self.vocabulary = settings, tuple(vocabulary)
        if not 0 < len(self.vocabulary) <= CLASSES:
            raise BadData(
                f"semantic segmentation is judged by the classes of the split's `vocabulary`, 1 to {CLASSES} names; "
                f"this one has {len(self.vocabulary)}"
            )
        if twice := [name for name, times in Counter(map(_identifier, self.vocabulary)).items() if times > 1]:
            raise BadData(f"a vocabulary names every class once; {twice[0]!r} stands there twice")
        self.metrics: Sequence[OfSums] = self._metrics()
        self._names = [f"{family}.{name}" for family in ("intersection", "union", "true") for name in self.vocabulary]

    def _metrics(self) -> list[OfSums]:
        if self.settings.average == "images":
            return [MeanOf(id="miou_images", label="mIoU (images)", column="iou")]
        empty = 0.0 if self.settings.absent_class == "zero" else None
        found: list[OfSums] = [
            MeanOfRatios(id="miou", label="mIoU", numerator="intersection", denominator="union", empty=empty),
            MeanOfRatios(id="macc", label="mAcc", numerator="intersection", denominator="true", empty=empty),
            RatioOfSums(id="aacc", label="aAcc", numerator="correct", denominator="labelled"),
            MeanOfRatios(id="fwiou", label="fwIoU", numerator="intersection", denominator="union", weight="true"),
        ]
        if len(self.vocabulary) <= self.settings.per_class:
            for name in self.vocabulary:
                above, below = f"intersection.{name}", f"union.{name}"
                id_ = f"iou_{_identifier(name)}"
                found.append(RatioOfSums(id=id_, label=f"IoU {name}", numerator=above, denominator=below))
        return found

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """(H, W) to which a drawing is resized, bilinearly, before it is decoded; None: decode it as it is."""
        return None if self.settings.pred_resize == "labels_nearest" else self._size(sample)

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: class map (H, W), array or tensor of whole numbers; what is no class of the vocabulary is wrong.

        Its size is the protocol's or the photograph's; with pred_resize "labels_nearest" it may be any. Raises
        BadPrediction, naming the sample, for another size or for what is no class map; BadData, naming it, for a truth
        of another size than its photograph or with a label that the vocabulary has not.
        """
        truth = self._truth(sample)
        size = self._size(sample)
        predicted = _labels(prediction, f"sample {sample.id}: the prediction")
        if not self._fits(sample, predicted.shape):
            allowed = {size, sample.image.shape[:2]}
            raise BadPrediction(
                f"sample {sample.id}: the prediction is {_by(predicted.shape)} (height x width); expected "
                f"{' or '.join(sorted(map(_by, allowed)))}, or the protocol setting pred_resize=labels_nearest."
            )
        return self._row(*areas(nearest(predicted, size), truth, len(self.vocabulary)))

    def statistics_batch(self, sample: Sample, predictions: Sequence[Any]) -> list[dict[str, float]]:
        """`statistics` of several predictions for one sample, which is prepared once.

        Tensors of int64 and of one size are counted where they are, together; anything else is judged one by one.
        """
        import torch

        from addp_bench.pixelwise import alike, together

        maps = alike(predictions)
        if maps is None or maps[0].dtype != torch.int64 or not self._fits(sample, maps[0].shape):
            return [self.statistics(sample, prediction) for prediction in predictions]
        true, classes = self._truth(sample), len(self.vocabulary)
        row = torch.tensor(true, dtype=torch.int32, device=maps[0].device)
        row = row.masked_fill_(row == UNLABELLED, classes).mul_(classes + 2).add_(1)
        found = [areas_each(nearest_each(some, row.shape), row, classes).cpu() for some in together(maps)]
        return [self._row(*each) for each in torch.cat(found).numpy()]

    def _row(self, inter: np.ndarray, said: np.ndarray, true: np.ndarray) -> dict[str, float]:
        """Of the pixels of each class in both maps, in the prediction and in the truth."""
        of_classes = np.concatenate([inter, true + said - inter, true]).astype(np.float64)
        row = {
            "correct": float(inter.sum()),
            "labelled": float(true.sum()),
            **dict(zip(self._names, of_classes.tolist())),
        }
        if self.settings.average == "images":
            row["iou"] = _over_present(inter, said, true)
        return row

    def _truth(self, sample: Sample) -> np.ndarray:
        """The truth at the protocol's size. Raises BadData, naming the sample, for one that cannot be judged."""
        Semantic().require(sample)
        truth, last = np.asarray(sample.truth), len(self.vocabulary) - 1
        if outside := _outside(np.where(truth == UNLABELLED, 0, truth), last):
            raise BadData(
                f"sample {sample.id}: its truth holds the label {outside[0]}; the vocabulary has {last + 1} classes, 0 "
                f"({self.vocabulary[0]}) to {last} ({self.vocabulary[-1]}), and {UNLABELLED} where nobody knows."
            )
        return nearest(truth, self._size(sample))

    def _fits(self, sample: Sample, shape: Sequence[int]) -> bool:
        """Whether a class map of this size can be judged."""
        sizes = {self._size(sample), sample.image.shape[:2]}
        return self.settings.pred_resize == "labels_nearest" or tuple(shape) in sizes

    def _size(self, sample: Sample) -> tuple[int, int]:
        if self.settings.eval_size == "original":
            height, width = sample.image.shape[:2]
            return height, width
        return self.settings.eval_size, self.settings.eval_size


def areas(predicted: np.ndarray, true: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of each class 0..classes-1 in two class maps of one size: in both, in predicted, in true; (classes,) each.

    Pixels that `true` leaves unlabelled are removed from both. A predicted label that is no class is nowhere counted.
    """
    said = np.where((predicted < 0) | (predicted >= classes), classes, predicted)
    known = np.where(true == UNLABELLED, classes, true.astype(np.int64))
    side = classes + 1  # the last row and column are of what is no class
    confusion = np.bincount((known * side + said).ravel(), minlength=side * side).reshape(side, side)[:classes]
    return np.diag(confusion), confusion.sum(axis=0)[:classes], confusion.sum(axis=1)


def areas_each(predicted: Tensor, row: Tensor, classes: int) -> Tensor:
    """`areas` of each of several class maps (S, H, W): (S, 3, classes) int64. Nothing waits for their device.

    row: (H, W) int32: the true class, `classes` where there is none, times classes + 2, plus 1.
    """
    import torch

    from addp_bench.pixelwise import tally

    side = classes + 2  # a column for labels below 0, one for each class, one for labels above
    codes = predicted.clamp(-1, classes).int().add_(row)  # half the bytes: moving them is what it costs
    table = tally(codes.flatten(1), (classes + 1) * side).view(-1, classes + 1, side)[:, :classes]
    of_class = table[:, :, 1:-1]
    return torch.stack([of_class.diagonal(dim1=1, dim2=2), of_class.sum(1), table.sum(2)], 1)


def _over_present(inter: np.ndarray, said: np.ndarray, true: np.ndarray) -> float:
    """Mean IoU of the classes whose true area is not 0 (as InstructCV scores a photograph), nan where there is none."""
    present = true > 0
    if not present.any():
        return float("nan")
    return float(np.mean(inter[present] / (true + said - inter)[present]))


def colour_map() -> np.ndarray:
    """(256, 3) uint8: a colour for each label, the first black, all different (Pascal VOC's way of making them)."""
    labels = np.arange(256)
    bits = [[(labels >> (3 * k + channel)) & 1 for k in range(3)] for channel in range(3)]
    channels = [sum(bit << (7 - k) for k, bit in enumerate(of_channel)) for of_channel in bits]
    return np.stack(channels, axis=1).astype(np.uint8)


def _labels(given: Any, what: str) -> np.ndarray:
    """(H, W) int64 of an array or tensor of whole numbers. Raises BadPrediction, beginning with `what`."""
    values = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if values.ndim != 2:
        raise BadPrediction(f"{what} has shape {values.shape}; expected a class map (height, width).")
    if not np.issubdtype(values.dtype, np.integer):
        raise BadPrediction(f"{what} holds {values.dtype}; a class map holds whole numbers, the indices of classes.")
    return values.astype(np.int64)


def _outside(labels: np.ndarray, last: int) -> list[int]:
    """The first label that is not 0..last, if any."""
    if not labels.size or (labels.min() >= 0 and labels.max() <= last):
        return []
    return [int(labels[(labels < 0) | (labels > last)][0])]


def _identifier(name: str) -> str:
    """A class's name as part of a metric's id."""
    return re.sub(r"\W+", "_", name.strip().lower())


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "semantic", Semantic)
