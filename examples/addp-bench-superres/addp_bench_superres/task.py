"""Super-resolution: the large picture of which a small one is shown, enlarged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from addp_bench.errors import BadData, BadOption, BadPrediction, unknown
from addp_bench.metrics import MeanOf
from addp_bench.types import Sample, from_bytes

from .metrics import BORDER, PEAK, luma, psnr, shaved, ssim
from .pictures import enlarged, resized

if TYPE_CHECKING:
    from torch import Tensor

SCALES = (2, 4)
METRICS = (
    MeanOf(id="psnr_y", label="PSNR", unit="dB", column="psnr_y"),
    MeanOf(id="gain", label="gain over bicubic", unit="dB", column="gain"),
    MeanOf(id="ssim_y", label="SSIM", unit="of 1", column="ssim_y"),
    MeanOf(id="psnr_rgb", label="PSNR of RGB", unit="dB", column="psnr_rgb"),
)


@dataclass(frozen=True)
class Settings:
    """Everything that changes a number of this task.

    shave: pixels left out at each side, as many as the scale, as is usual. most: dB that a picture equal to the truth
    counts as, and the most that any counts as; a mean has no room for infinity.
    """

    shave: int
    most: float = 100.0

    @classmethod
    def read(cls, protocol: Mapping[str, Any]) -> Settings:
        """Raises UnknownName for a setting that does not exist, BadOption for a value it cannot have."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in protocol:
            if name not in names:
                raise unknown("setting of a superres protocol", name, names)
        settings = cls(**protocol)
        if settings.shave < 0 or settings.most <= 0:
            raise BadOption(f"superres protocol: shave is 0 or more pixels and most above 0 dB, got {settings}")
        return settings


class SuperResolution:
    """The large picture (H, W, 3) uint8; the photograph is the small one, enlarged to its size.

    Algorithm A reads 1 - RMSE / 255 of each picture's RGB, in [0, 1]: the order of PSNR, without its infinity.
    """

    truth: ClassVar[str] = "picture"
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("color",)
    encoding: ClassVar[str] = "whole_picture"
    suffix: ClassVar[str] = ".png"

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """The picture at another size, bicubically."""
        return resized(np.asarray(truth), (height, width))

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, for a truth that is no picture of the photograph's size."""
        truth = np.asarray(sample.truth)
        if truth.dtype != np.uint8 or truth.shape != sample.image.shape:
            raise BadData(
                f"sample {sample.id}: its truth is {truth.dtype} {truth.shape}; it should be a picture uint8 of the "
                f"photograph's shape {sample.image.shape}"
            )

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B pictures (H, W, 3) uint8 of one size -> (B, 3, H, W) float32 in [-1, 1]."""
        import torch

        return from_bytes(torch.stack([torch.from_numpy(np.array(truth)).permute(2, 0, 1) for truth in truths]))

    def example(self, side: int, generator: np.random.Generator) -> tuple[Sample, np.ndarray, np.ndarray]:
        """A picture, itself, and the photograph that is shown: what plugins about pictures are checked with."""
        few = generator.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        truth = np.array(resized(few, (side, side)))
        shown = enlarged(truth, SCALES[-1])
        return Sample("example", "example", shown, truth), truth, shown

    def quality(self, prediction: Any, truth: Any) -> float:
        """1 - RMSE / 255 over RGB, in [0, 1], 1 for the truth itself."""
        error = np.asarray(prediction, np.float64) - np.asarray(truth, np.float64)
        return 1.0 - float(np.sqrt(np.mean(error**2))) / PEAK

    def picture(self, answer: Any, photo: np.ndarray, vocabulary: Sequence[str] = ()) -> np.ndarray:
        """A truth or a prediction as people see it: itself."""
        return np.asarray(answer)

    def write(self, prediction: Any, path: Path) -> None:
        """As PNG."""
        from PIL import Image

        Image.fromarray(np.asarray(prediction)).save(path, "PNG")

    def read(self, path: Path, sample: Sample) -> np.ndarray:
        """A picture of the photograph's size. Raises BadData, naming the file, for anything else."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as opened:
                picture = np.array(opened.convert("RGB"))
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as broken:
            raise BadData(f"{path} cannot be read as a picture: {broken}") from broken
        if picture.shape != sample.image.shape:
            raise BadData(f"{path} is {picture.shape}, and photograph {sample.id} {sample.image.shape}")
        return picture

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """`superres_x2` and `superres_x4`, which shave as many pixels as their scale."""
        return {f"superres_x{scale}": dataclasses.asdict(Settings(shave=scale)) for scale in SCALES}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings. Raises UnknownName and BadOption."""
        return Evaluator(Settings.read(protocol))


class Evaluator:
    """Compares pictures under fixed settings.

    Columns: psnr_y, ssim_y of luma, psnr_rgb over all channels together, and gain: psnr_y minus that of the photograph
    that was shown, 0 for who adds nothing. Metrics are means over pictures, as the field's tables are.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics: Sequence[MeanOf] = METRICS

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """(H, W) of the photograph."""
        height, width = sample.image.shape[:2]
        return height, width

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: (H, W, 3) uint8 of the photograph's size.

        Raises BadPrediction, naming the sample, for anything else; BadData for a photograph too small to be judged.
        """
        found, truth, shave, most = np.asarray(prediction), sample.truth, self.settings.shave, self.settings.most
        if found.dtype != np.uint8 or found.shape != sample.image.shape:
            raise BadPrediction(
                f"sample {sample.id}: expected a picture {sample.image.shape} uint8, got {found.dtype} {found.shape}"
            )
        if min(truth.shape[:2]) - 2 * shave <= 2 * BORDER:
            raise BadData(f"sample {sample.id}: {truth.shape} leaves nothing to judge within {shave} pixels and SSIM's")
        shown, drawn, true = (shaved(luma(picture), shave) for picture in (sample.image, found, truth))
        reached = psnr(drawn, true, most)
        return {
            "psnr_y": reached,
            "gain": reached - psnr(shown, true, most),
            "ssim_y": ssim(drawn, true),
            "psnr_rgb": psnr(shaved(found, shave), shaved(truth, shave), most),
        }
