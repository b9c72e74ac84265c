"""Depth: how far away every pixel is, along the optical axis.

A model that draws knows depth up to a scale and a shift (Marigold), or to no more than a range that was agreed upon.
What is open is solved for by each image's truth, as the protocol says, and only then are errors taken. Every metric is
a mean over images of one number for each; pixels are never pooled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, BadPrediction, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import Summed
from addp_bench.types import Depth

from . import depth_files
from .depth_alignment import LEAST, MEANT, Alignment, Space, Subsampling, aligned, disparity, solved, subsampled
from .depth_cards import CARDS
from .depth_ensemble import ensemble, lower_median
from .depth_metrics import COLUMNS, COMPAT, errors, instructcv_errors, metrics
from .ris import nearest
from .settings import settings_of

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry
    from addp_bench.types import ProtocolCard, Sample

BENCHMARK = (352, 1216)  # rows and columns of KITTI's benchmark crop: from the bottom, and centred
# Shares of the frame's rows and columns, cut off to whole pixels
SHARES = {
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
}
NYU_SIZE, NYU_ROWS, NYU_COLUMNS = (480, 640), slice(45, 471), slice(41, 601)


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task. Limits are in metres, None for none.

    alignment: what is solved for before errors are taken: "least_square" scale and shift of the depth,
    "least_square_disparity" those of 1 / depth, "median" a scale, "none" nothing. valid_above, valid_below: a pixel is
    judged where its truth lies strictly between. clip_min, clip_max: to which aligned depths are clipped; then to 1e-6.
    crop: "kitti_benchmark" cuts photograph, truth and prediction to 352 x 1216, and leaves those of that size. mask:
    "eigen_nyu" judges rows 45 to 470 and columns 41 to 600 of a 480 x 640 picture, "eigen" and "garg" KITTI's.
    mask_frame: "crop" takes KITTI's masks of the picture as it was cut (Marigold), "full" of the whole (BTS).
    alignment_max_size: longer side of the maps on which scale and shift are solved for; alignment_subsampling: "both"
    sides are thinned out, or the "width" alone, as Marigold's evaluation does. headline: the metric that counts.
    few: an image with fewer judged pixels is flagged. instructcv: report what InstructCV's script does, not errors.
    """

    alignment: Alignment
    valid_above: float = 0.0
    valid_below: float | None = None
    clip_min: float | None = None
    clip_max: float | None = None
    crop: Literal["none", "kitti_benchmark"] = "none"
    mask: Literal["none", "eigen_nyu", "eigen", "garg"] = "none"
    mask_frame: Literal["crop", "full"] = "crop"
    alignment_max_size: int | None = None
    alignment_subsampling: Subsampling = "both"
    headline: str = "absrel"
    few: int = 10
    instructcv: bool = False

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        settings = settings_of(cls, "depth", protocol)
        for low, high in (("valid_above", "valid_below"), ("clip_min", "clip_max")):
            ends = getattr(settings, low) or 0.0, getattr(settings, high)
            if not 0 <= ends[0] < (np.inf if ends[1] is None else ends[1]):
                raise BadOption(f"depth protocol: 0 <= {low} < {high} in metres, got {ends[0]} and {ends[1]}")
        if settings.alignment_max_size is not None and settings.alignment_max_size < 1:
            raise BadOption(
                f"depth protocol: alignment_max_size is a side in pixels, got {settings.alignment_max_size}"
            )
        if settings.headline not in COLUMNS:
            raise unknown("metric of depth", settings.headline, COLUMNS)
        if settings.instructcv and settings.alignment != "none":
            raise BadOption(f"depth protocol: instructcv aligns nothing, got alignment={settings.alignment}")
        return settings


# Limits of the judged truths and of predictions are Marigold's, and its DIODE has no range test (datasets on their own)
MARIGOLD = {
    "nyuv2": Settings("least_square", 1e-3, 10.0, 1e-3, 10.0, mask="eigen_nyu"),
    "kitti": Settings("least_square", 1e-5, 80.0, 1e-5, 80.0, crop="kitti_benchmark", mask="eigen"),
    "eth3d": Settings("least_square", 1e-5, None, 1e-5, alignment_max_size=1024, alignment_subsampling="width"),
    "scannet": Settings("least_square", 1e-3, 10.0, 1e-3, 10.0),
    "diode": Settings("least_square", 0.0, None, 0.6, 350.0),
}
_WORLD = Settings("least_square", clip_min=0.1, clip_max=10.0)  # ours; the built-in world lies between 0.9 and 3 m
PROTOCOLS = {
    "tabletop_depth": _WORLD,
    "tabletop_depth_metric": replace(_WORLD, alignment="none"),
    "tabletop_depth_disparity": replace(_WORLD, alignment="least_square_disparity"),
    **MARIGOLD,
    **{f"{name}_lotus": replace(settings, alignment="least_square_disparity") for name, settings in MARIGOLD.items()},
    # the generalists' figure: RMSE in metres where there is a truth, nothing aligned, nothing cut
    "nyuv2_metric": Settings("none", headline="rmse"),
    "nyuv2_instructcv_compat": Settings("none", instructcv=True),
}

DEVIATES = {
    "an error at any depth costs": "a pixel counts where the whole metres of truth and answer are both odd, all others "
    "as if without error (InstructCV, evaluate/evaluate_depes.py)"
}


class DepthTask:
    """Depth in metres along the optical axis, (H, W) float32, 0 where unknown.

    Algorithm A reads minus the RMSE of each image, in metres, so that more is better (ADDP reads the RMSE, of NYUv2's
    test images). Before it is taken, what a prediction's space leaves open is solved for by least squares, on every
    pixel with a truth: scale and shift of affine depth and of disparity, nothing of metric depth.

    files: what the maps of other programs hold: affine depth, as Marigold's do, metric depth, or disparity.
    """

    truth: ClassVar[str] = "depth"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("blur",)
    encoding: ClassVar[str] = "depth_affine"
    suffix: ClassVar[str] = ".npy"
    cards: ClassVar[Mapping[str, Mapping[str, ProtocolCard]]] = CARDS

    def __init__(self, files: Space = "affine") -> None:
        self.files: Space = files

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """A depth map at another size, by the nearest pixel, so that nothing mixes with a hole."""
        return nearest(np.asarray(truth, np.float32), (height, width))

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, for a truth of another size than its photograph, or no distances."""
        require_fitting(sample)

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B maps (H, W), arrays or tensors, of one size -> (B, H, W) float32 metres."""
        import torch

        return torch.stack([torch.as_tensor(truth, dtype=torch.float32) for truth in truths])

    def quality(self, prediction: Any, truth: Any) -> float:
        """Minus the RMSE in metres after what the space leaves open was solved for; nan without a true pixel.

        prediction: types.Depth, or an array (H, W) of metres, of the truth's size.
        """
        true = np.asarray(truth, np.float64)
        found = _depth(prediction, "a prediction", {true.shape})
        alignment: Alignment = "none" if found.space == "metric" else MEANT[found.space][0]
        valid = true > 0
        p, g = np.asarray(found.values, np.float64)[valid], true[valid]
        p = aligned(p, *solved(p, g, alignment), alignment)
        return -errors(np.maximum(p, LEAST), g)["rmse"]

    def ensemble(self, predictions: Sequence[Any]) -> Depth:
        """One map of several for the same photograph, all of one size and space.

        Affine depth and disparity as Marigold joins them, in [0, 1]; metric depth by the (lower) median of each pixel.
        Raises BadPrediction for none, and for maps of several sizes or spaces.
        """
        found = [_depth(prediction, "a member of an ensemble", None) for prediction in predictions]
        met = sorted({f"{one.space} {_size(one.values)}" for one in found})
        if len(met) != 1:
            raise BadPrediction(f"an ensemble needs maps of one space and size, met {', '.join(met) or 'none'}")
        maps = np.stack([np.asarray(one.values, np.float32) for one in found])
        joined = lower_median(maps) if found[0].space == "metric" else ensemble(maps)[0]
        return Depth(joined, found[0].space)

    def picture(self, answer: Any, photo: np.ndarray, vocabulary: Sequence[str] = ()) -> np.ndarray:
        """A truth or a prediction (H, W) in colours, (H, W, 3) uint8: near is red, far violet, unknown black."""
        return depth_files.picture(_depth(answer, "an answer", None))

    def write(self, prediction: Any, path: Path) -> None:
        """As float32 .npy, or a metric one as .png of millimetres; raises BadPrediction for what that cannot hold."""
        depth_files.write(_depth(prediction, str(path), None), path)

    def read(self, path: Path, sample: Sample) -> Depth:
        """A map (H, W) of the photograph's size: .npy of what `files` says, or .png of 16-bit millimetres.

        Raises BadData, naming the file, for anything else.
        """
        return depth_files.read(path, sample, self.files)

    def refuses(self, protocol: Mapping[str, Any], encoding: Any) -> str | None:
        """Why drawings of this encoding cannot be judged under this protocol, None where they can."""
        space = getattr(encoding, "space", None)
        alignment = protocol["alignment"]
        return None if space is None or alignment in MEANT[space] else _unfit(space, alignment)

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return {name: dataclasses.asdict(settings) for name, settings in PROTOCOLS.items()}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings (see Settings). Raises UnknownName and BadOption."""
        return Evaluator(Settings.read(protocol))


class Evaluator:
    """Compares depth maps under fixed settings.

    Columns: every error of depth_metrics, nan where no pixel is judged · scale, shift solved for, 1 and 0 where none is
    · negative_scale 0 or 1 · valid: judged pixels · few 0 or 1: fewer than `few` · skipped 0 or 1: none at all.
    Metrics are means over images; that of `skipped` tells the share of images that no other metric speaks of.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        names = list(COMPAT if settings.instructcv else COLUMNS)
        if not settings.instructcv:
            names.sort(key=lambda name: name != settings.headline)
        if settings.alignment != "none":
            names.append("negative_scale")
        self._errors = instructcv_errors if settings.instructcv else errors
        self.deviates = DEVIATES if settings.instructcv else {}
        self.metrics: Sequence[Summed] = metrics([*names, "skipped"])

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """(H, W) of the photograph."""
        height, width = sample.image.shape[:2]
        return height, width

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: types.Depth of the photograph's size, or an array or tensor (H, W) of metres.

        Raises BadPrediction, naming the sample, for another size, NaN or infinity, and for a space that the protocol's
        alignment has no meaning for; BadData, naming it, for a truth or a photograph that the protocol cannot judge.
        """
        require_fitting(sample)
        what = f"sample {sample.id}: the prediction"
        found = _depth(prediction, what, {sample.image.shape[:2]})
        settings, alignment = self.settings, self.settings.alignment
        if alignment not in MEANT[found.space]:
            raise BadPrediction(f"{what} is {_unfit(found.space, alignment)}")
        given = np.asarray(found.values, np.float64)
        if alignment == "least_square_disparity" and found.space == "metric":
            given = disparity(given)
        window, true, valid = self._judged(sample)
        given = given[window]
        count = int(np.count_nonzero(valid))
        thin = [self._thinned(m) for m in (given, true, valid)]
        scale, shift = solved(thin[0][thin[2]], thin[1][thin[2]], alignment)
        if settings.instructcv:
            p, g = np.where(valid, np.maximum(given, 0.0), 0.0), np.where(valid, true, 0.0)
        else:
            p, g = aligned(given[valid], scale, shift, alignment), true[valid]
            if settings.clip_min is not None or settings.clip_max is not None:
                p = np.clip(p, settings.clip_min, settings.clip_max)
            p = np.maximum(p, LEAST)
        return self._row(self._errors(p, g), scale, shift, count)

    def statistics_batch(self, sample: Sample, predictions: Sequence[Any]) -> list[dict[str, float]]:
        """`statistics` of several predictions for one sample, which is prepared once.

        Tensors of float32 and of one space are compared where they are, together (see depth_batch); anything else is
        judged one by one, and so are all with alignment "median" and InstructCV's errors.
        """
        from . import depth_batch

        size: tuple[int, int] = sample.image.shape[:2]
        alignment, maps, space = self.settings.alignment, *depth_batch.regular(predictions, size)
        if maps and space and alignment in MEANT[space] and alignment != "median" and not self.settings.instructcv:
            require_fitting(sample)
            window, true, valid = self._judged(sample)
            places = np.arange(size[0] * size[1]).reshape(size)[window]
            fitted = self._thinned(places), self._thinned(true), self._thinned(valid)
            clip = self.settings.clip_min, self.settings.clip_max
            found = depth_batch.compared(maps, space, (places, true, valid), fitted, alignment, clip)
            if found is not None:
                count = int(np.count_nonzero(valid))
                return [self._row(measured, scale, shift, count) for measured, scale, shift in found]
        return [self.statistics(sample, prediction) for prediction in predictions]

    def _thinned(self, kept: np.ndarray) -> np.ndarray:
        """The pixels of a map (H, W) by which scale and shift are solved for."""
        return subsampled(kept, self.settings.alignment_max_size, self.settings.alignment_subsampling)

    def _judged(self, sample: Sample) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """The part of a photograph that is kept, its truth in metres (float64) and which of its pixels are judged."""
        settings, window = self.settings, _window(self.settings, sample)
        true = np.asarray(sample.truth, np.float64)[window]
        valid = _mask(settings, sample)[window] & (true > settings.valid_above)
        if settings.valid_below is not None:
            valid &= true < settings.valid_below
        return window, true, valid

    def _row(self, measured: Mapping[str, float], scale: float, shift: float, count: int) -> dict[str, float]:
        nothing = float("nan")
        return {
            **(measured if count else dict.fromkeys(measured, nothing)),
            "scale": scale if count else nothing,
            "shift": shift if count else nothing,
            "negative_scale": float(scale < 0) if count else nothing,
            "valid": float(count),
            "few": float(count < self.settings.few),
            "skipped": float(count == 0),
        }


def require_fitting(sample: Sample) -> None:
    """Raises BadData, naming the sample, for a truth of another size than its photograph, or that is no distance."""
    truth = np.asarray(sample.truth)
    photograph = sample.image.shape[:2]
    if truth.shape != photograph:
        raise BadData(
            f"sample {sample.id}: its truth is {_size(truth)}, its photograph {' x '.join(map(str, photograph))} "
            "(height x width); a depth map must have its photograph's size."
        )
    if not np.isfinite(truth).all() or (truth < 0).any():
        raise BadData(
            f"sample {sample.id}: its depth holds NaN, infinity or a value below 0; expected metres, 0 where unknown"
        )


def _window(settings: Settings, sample: Sample) -> tuple[slice, slice]:
    """Rows and columns that are kept of a photograph."""
    height, width = sample.image.shape[:2]
    if settings.crop == "none" or (height, width) == BENCHMARK:
        return slice(0, height), slice(0, width)
    rows, columns = BENCHMARK
    if height < rows or width < columns:
        raise BadData(
            f"sample {sample.id}: its photograph is {height} x {width}; the KITTI benchmark crop is {rows} x {columns}"
        )
    left = (width - columns) // 2
    return slice(height - rows, height), slice(left, left + columns)


def _mask(settings: Settings, sample: Sample) -> np.ndarray:
    """(H, W) bool of the photograph: the part of it in which truths are judged."""
    height, width = sample.image.shape[:2]
    inside = np.ones((height, width), bool)
    if settings.mask == "none":
        return inside
    inside[:] = False
    if settings.mask == "eigen_nyu":
        if (height, width) != NYU_SIZE:
            raise BadData(
                f"sample {sample.id}: its photograph is {height} x {width}; eigen_nyu is a mask of 480 x 640 pictures"
            )
        inside[NYU_ROWS, NYU_COLUMNS] = True
        return inside
    if settings.mask_frame == "full" and (height, width) == BENCHMARK:
        raise BadData(
            f"sample {sample.id}: its photograph is cut to the benchmark crop already, and mask_frame=full takes the "
            "mask of the whole; take mask_frame=crop, or whole photographs"
        )
    frame = inside[_window(settings, sample)] if settings.mask_frame == "crop" else inside
    top, bottom, left, right = SHARES[settings.mask]
    rows, columns = frame.shape
    frame[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = True
    return inside


def _depth(given: Any, what: str, sizes: set[tuple[int, ...]] | None) -> Depth:
    """What was given, arrays and tensors being metres. Raises BadPrediction, beginning with `what`."""
    found = given if isinstance(given, Depth) else Depth(given, "metric")
    values = found.values
    values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if found.space not in MEANT:
        raise BadPrediction(f"{what} is said to be {found.space!r}; expected {', '.join(MEANT)}")
    if values.ndim != 2 or not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise BadPrediction(f"{what} is {values.dtype} {values.shape}; expected a depth map (height, width) of numbers")
    if sizes is not None and values.shape not in sizes:
        expected = " or ".join(" x ".join(map(str, size)) for size in sorted(sizes))
        raise BadPrediction(f"{what} is {_size(values)} (height x width); expected {expected}.")
    if not np.isfinite(values).all():
        raise BadPrediction(f"{what} holds NaN or infinity; expected a number at every pixel")
    return Depth(values, found.space)


def _unfit(space: Space, alignment: str) -> str:
    left = {"affine": "depth up to scale and shift", "disparity": "disparity up to scale and shift"}[space]
    return (
        f"{left}, and alignment={alignment} makes no metres of that; take a protocol with alignment="
        f"{' or '.join(MEANT[space])}"
    )


def _size(values: np.ndarray) -> str:
    return " x ".join(map(str, values.shape))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "depth", DepthTask)
