"""Referring image segmentation: words ask for an object, the answer is its mask.

How a drawn answer reaches the judge: the codec's picture has the model's size. `Evaluator.drawing_size` tells to which
size the picture (and the photograph that goes with it) is resized, bilinearly, before the encoding decodes it; None
leaves it alone. The judge then brings whatever mask it is given, and the truth, to the protocol's size by nearest
neighbour.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image

from addp_bench.errors import BadData, BadOption, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOf, RatioOfSums, ShareAtLeast, Summed
from addp_bench.types import ProtocolCard

from .settings import settings_of

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry
    from addp_bench.types import Sample

log = logging.getLogger(__name__)

EmptyScore = int | Literal["skip"]  # 0, 1 or "skip"


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task.

    eval_size: side in pixels of the square at which masks are compared, or "original" for the photograph's own size.
    pred_resize: "rgb_then_threshold" resizes the drawing to that size and then decodes it, "mask_nearest" decodes it
    as it is and resizes the mask. pr_comparator: ">=" or ">", for Pr@X. empty_empty: IoU when prediction and truth are
    both empty at that size, "skip" to leave the sample out of means. no_target: the same where the expression
    has no target to begin with; None follows empty_empty. n_acc: report the share of no-target expressions answered
    with an empty mask. The empty rules never touch oIoU, to which such a sample adds 0 / 0.
    """

    eval_size: int | Literal["original"]
    pred_resize: Literal["rgb_then_threshold", "mask_nearest"] = "rgb_then_threshold"
    pr_comparator: Literal[">=", ">"] = ">="
    empty_empty: EmptyScore = 0
    no_target: EmptyScore | None = None
    n_acc: bool = False

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        settings = settings_of(cls, "ris", protocol)
        if settings.eval_size != "original" and settings.eval_size < 1:
            raise BadOption(f"ris protocol: eval_size is a side in pixels or 'original', got {settings.eval_size}")
        for name, rule in (("empty_empty", settings.empty_empty), ("no_target", settings.no_target)):
            if rule not in (0, 1, "skip", None):
                raise BadOption(f"ris protocol: {name} is 0, 1 or skip, got {rule}")
        return settings


PROTOCOLS = {
    # an empty answer to an expression without a target is right; N-acc as in GRES (ReLA)
    "tabletop_ris": Settings("original", no_target=1, n_acc=True),
    "refcoco": Settings(512),
    # 512 x 512 is what ADDP states; the red threshold of 50 is red_mask's `radius`; the rest it leaves open
    "addp": Settings(512),
    "lavt": Settings(480),
    "cris": Settings("original", pr_comparator=">"),
}


# ADDP samples in 100 DDIM steps; the size at which it draws is not stated, and its splits are several
_ADDP = ProtocolCard("addp", steps=100)


class Ris:
    """Referring image segmentation: a mask (H, W) for an expression.

    Algorithm A reads the IoU of each sample. no_target: that quality for an empty answer to an expression without a
    target, 0 or 1. RefCOCO has no such expression.
    """

    truth: ClassVar[str] = "mask"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("location", "shape", "color")
    encoding: ClassVar[str] = "red_mask"
    suffix: ClassVar[str] = ".png"
    cards: ClassVar[Mapping[str, Mapping[str, ProtocolCard]]] = {
        "addp": dict.fromkeys(("refcoco", "refcocoplus", "refcocog"), _ADDP)
    }
    forbids: ClassVar[Mapping[str, str]] = {
        "mirror": "expressions say left and right, and a mirrored photograph makes them wrong",
        "crop": "expressions compare objects (the largest, the second from the left), and a crop may remove some",
    }

    def __init__(self, no_target: int = 1) -> None:
        if no_target not in (0, 1):
            raise ValueError(f"no_target is 0 or 1, got {no_target}")
        self.no_target = no_target

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """A mask (H, W) at another size, by the nearest pixel: (height, width) bool."""
        return nearest(np.asarray(truth, bool), (height, width))

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, when its truth is no mask of its photograph's size."""
        require_fitting(sample)

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B masks (H, W), arrays or tensors, of one size -> (B, H, W) bool."""
        import torch

        return torch.stack([torch.as_tensor(truth, dtype=torch.bool) for truth in truths])

    def quality(self, prediction: Any, truth: Any) -> float:
        """IoU of two masks (H, W) of one size, in [0, 1]."""
        predicted, true = _mask(prediction, "a prediction"), _mask(truth, "a truth")
        if predicted.shape != true.shape:
            raise BadPrediction(f"cannot compare a mask of {_size(predicted)} with a truth of {_size(true)}")
        intersection, union = overlap(predicted, true)
        return intersection / union if union else float(self.no_target)

    def ensemble(self, predictions: Sequence[Any]) -> np.ndarray:
        """The pixels that more than half of several masks hold (`majority`)."""
        return majority(predictions)

    def write(self, prediction: Any, path: Path) -> None:
        """A mask (H, W) as a PNG: 255 where the object is, 0 elsewhere."""
        Image.fromarray(_mask(prediction, "a prediction").astype(np.uint8) * 255).save(path, "PNG")

    def read(self, path: Path, sample: Sample) -> np.ndarray:
        """The mask (H, W) of an image of one channel (or of equal ones): 0 is background, one other value the object.

        Raises BadData for a file that is no image, and for an image of more values.
        """
        try:
            with Image.open(path) as picture:
                values = np.asarray(picture.convert("L") if picture.mode in ("P", "RGB") else picture)
        except (OSError, Image.DecompressionBombError) as wrong:
            raise BadData(f"sample {sample.id}: {path} is no image of a mask ({wrong})") from wrong
        found = np.unique(values[values != 0])
        if values.ndim != 2 or len(found) > 1:
            what = f"shape {values.shape}" if values.ndim != 2 else f"{len(found) + 1} values"
            raise BadData(f"sample {sample.id}: {path} has {what}; a mask is one channel of 0 and one other value")
        return np.asarray(values != 0)

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return {name: dataclasses.asdict(settings) for name, settings in PROTOCOLS.items()}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings (see Settings); masks have no vocabulary. Raises UnknownName and BadOption."""
        return Evaluator(Settings.read(protocol))


class Evaluator:
    """Compares masks under fixed settings.

    Columns: intersection and union in pixels · iou in [0, 1], nan where the empty rule skips the sample · no_target 0
    or 1 · n_correct 0 or 1 at no-target expressions (1: answered with an empty mask), nan at others · vanished 1 where
    a target was lost by resizing the truth.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        above = settings.pr_comparator == ">="
        metrics: list[Summed] = [
            RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union"),
            MeanOf(id="miou", label="mIoU", column="iou"),
        ]
        for tenth in range(5, 10):
            name = f"Pr@0.{tenth}"
            metrics.append(
                ShareAtLeast(id=f"pr{tenth}0", label=name, column="iou", threshold=tenth / 10, inclusive=above)
            )
        if settings.n_acc:
            metrics.append(MeanOf(id="n_acc", label="N-acc", column="n_correct"))
        self.metrics: Sequence[Summed] = metrics

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """(H, W) to which a drawing is resized, bilinearly, before it is decoded; None: decode it as it is."""
        return None if self.settings.pred_resize == "mask_nearest" else self._size(sample)

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: mask (H, W), array or tensor, bool or 0 and 1.

        Its size is the protocol's or the photograph's; with pred_resize "mask_nearest" it may be any. Raises
        BadPrediction, naming the sample, for another size, NaN, or values other than 0 and 1; BadData, naming it, for
        a truth of another size than its photograph.
        """
        require_fitting(sample)
        size = self._size(sample)
        predicted = _mask(prediction, f"sample {sample.id}: the prediction")
        if not self._fits(sample, predicted.shape):
            allowed = {size, sample.image.shape[:2]}
            expected = " or ".join(sorted(f"{height} x {width}" for height, width in allowed))
            raise BadPrediction(
                f"sample {sample.id}: the prediction is {_size(predicted)} (height x width); expected {expected}, "
                "or the protocol setting pred_resize=mask_nearest."
            )
        true, no_target = self._truth(sample)
        predicted = nearest(predicted, size)
        shared, said, there = (int(np.count_nonzero(mask)) for mask in (predicted & true, predicted, true))
        return self._row(shared, said, there, no_target)

    def statistics_batch(self, sample: Sample, predictions: Sequence[Any]) -> list[dict[str, float]]:
        """`statistics` of several predictions for one sample, which is prepared once.

        Bool tensors of one size are counted where they are, together; anything else is judged one by one.
        """
        import torch

        from addp_bench.pixelwise import alike

        masks = alike(predictions)
        if masks is None or masks[0].dtype != torch.bool or not self._fits(sample, tuple(masks[0].shape)):
            return [self.statistics(sample, prediction) for prediction in predictions]
        require_fitting(sample)
        true, no_target = self._truth(sample)
        there = int(np.count_nonzero(true))
        return [self._row(shared, said, there, no_target) for shared, said in overlap_each(masks, true)]

    def _row(self, shared: int, said: int, there: int, no_target: bool) -> dict[str, float]:
        """shared, said, there: pixels, at the protocol's size, of both masks, of the prediction and of the truth."""
        union = said + there - shared
        return {
            "intersection": float(shared),
            "union": float(union),
            "iou": shared / union if union else self._empty(no_target),
            "no_target": float(no_target),
            "n_correct": float(not said) if no_target else float("nan"),
            "vanished": float(not no_target and not there),
        }

    def _fits(self, sample: Sample, shape: tuple[int, ...]) -> bool:
        """Whether a mask of this size can be judged."""
        return self.settings.pred_resize == "mask_nearest" or shape in {self._size(sample), sample.image.shape[:2]}

    def _truth(self, sample: Sample) -> tuple[np.ndarray, bool]:
        """The truth at the protocol's size, and whether the expression has no target to begin with."""
        native = np.asarray(sample.truth, bool)
        true, no_target = nearest(native, self._size(sample)), not native.any()
        if not no_target and not true.any():
            log.warning("sample %s: its mask of %d pixels vanishes at %s", sample.id, native.sum(), _size(true))
        return true, no_target

    def _empty(self, no_target: bool) -> float:
        rule = self.settings.empty_empty
        if no_target and self.settings.no_target is not None:
            rule = self.settings.no_target
        return float("nan") if rule == "skip" else float(rule)

    def _size(self, sample: Sample) -> tuple[int, int]:
        if self.settings.eval_size == "original":
            height, width = sample.image.shape[:2]
            return height, width
        return self.settings.eval_size, self.settings.eval_size


def require_fitting(sample: Sample) -> None:
    """Raises BadData, naming the sample, when its truth is no mask of its photograph's size."""
    truth, photograph = np.shape(sample.truth), sample.image.shape[:2]
    if truth != photograph:
        raise BadData(
            f"sample {sample.id}: its truth is {' x '.join(map(str, truth))}, its photograph "
            f"{' x '.join(map(str, photograph))} (height x width); a mask must have its photograph's size."
        )


def overlap(predicted: np.ndarray, true: np.ndarray) -> tuple[int, int]:
    """Pixels of the intersection and of the union of two bool masks of one size."""
    intersection = int(np.count_nonzero(predicted & true))
    return intersection, int(np.count_nonzero(predicted)) + int(np.count_nonzero(true)) - intersection


def overlap_each(masks: list[Tensor], true: np.ndarray) -> list[tuple[int, int]]:
    """Of each of several bool masks, resized to that of the truth (H, W): pixels that both hold, and that it holds."""
    import torch

    from addp_bench.pixelwise import together

    rows, columns = _extent(true)  # beyond it nothing is shared
    part = true[rows, columns]
    if masks[0].device.type == "cpu":  # where torch makes a whole number of every pixel before it counts
        arrays = (nearest(mask.numpy(), true.shape) for mask in masks)
        return [(int(np.count_nonzero(mask[rows, columns] & part)), int(np.count_nonzero(mask))) for mask in arrays]
    there, found = torch.tensor(part, device=masks[0].device), []
    for some in together(masks):
        found += shared_and_said(nearest_each(some, true.shape), there, rows, columns).tolist()
    return [(shared, said) for shared, said in found]


def shared_and_said(masks: Tensor, part: Tensor, rows: slice, columns: slice) -> Tensor:
    """Pixels (S, 2) int64 that masks (S, H, W) share with a truth that is `part` in these rows and columns, and none
    elsewhere; and that they hold. Nothing waits for their device."""
    import torch

    return torch.stack([(masks[:, rows, columns] & part).sum((1, 2)), masks.sum((1, 2))], 1)


def majority(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The pixels (H, W) bool that more than half of k masks (H, W) hold; a tie is background (ADDP takes k = 3).

    Raises BadPrediction for no mask at all, for masks of several sizes, and for what is no mask.
    """
    votes = [_mask(mask, "a vote") for mask in masks]
    if len(sizes := {mask.shape for mask in votes}) != 1:
        met = ", ".join(sorted(f"{height} x {width}" for height, width in sizes)) or "none"
        raise BadPrediction(f"a majority needs masks of one size (height x width), met {met}")
    found: np.ndarray = 2 * np.sum(votes, axis=0) > len(votes)
    return found


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """mask (H, W) -> size, each pixel taking the value under its centre, as in Pillow and torch's nearest-exact."""
    if mask.shape == size:
        return mask
    (height, width), (rows, columns) = mask.shape, size
    return mask.take(_centres(height, rows), 0).take(_centres(width, columns), 1)


def nearest_each(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Each of maps (S, H, W) as `nearest` resizes it."""
    import torch

    for axis, new in enumerate(size, 1):
        if maps.shape[axis] != new:
            maps = maps.index_select(axis, maps.new_tensor(_centres(maps.shape[axis], new), dtype=torch.int64))
    return maps


def _extent(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and the columns between the first and the last pixel of a mask (H, W); none of an empty one."""
    if not len(rows := np.flatnonzero(mask.any(1))):
        return slice(0), slice(0)
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@cache
def _centres(old: int, new: int) -> np.ndarray:
    """For each of `new` pixels the index, of `old`, under its centre; whole numbers, so that no rounding decides."""
    return (2 * np.arange(new) + 1) * old // (2 * new)


def _mask(given: Any, what: str) -> np.ndarray:
    """(H, W) bool of an array or tensor of bools or of zeros and ones. Raises BadPrediction, beginning with `what`."""
    values = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if values.ndim != 2:
        raise BadPrediction(f"{what} has shape {values.shape}; expected a mask (height, width).")
    if values.dtype == bool:
        return values
    if not np.issubdtype(values.dtype, np.number) or not np.isin(values, (0, 1)).all():
        number = np.issubdtype(values.dtype, np.number)
        found = "NaN" if number and np.isnan(values).any() else f"{values.dtype} values other than 0 and 1"
        raise BadPrediction(f"{what} holds {found}; expected a mask of bools, or of 0 and 1.")
    return values.astype(bool)


def _size(mask: np.ndarray) -> str:
    return f"{mask.shape[0]} x {mask.shape[1]}"


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "ris", Ris)
