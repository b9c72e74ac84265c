"""Task my_idea: what is asked and how answers are judged, and a dataset that has the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from addp_bench.errors import BadOption, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOf, RatioOfSums, Summed

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry
    from addp_bench.types import Card, Sample

requires_api = "1.0"

WORDS = "everything that stands on the table"


class MyIdea:
    """Find everything that is not background: a mask (H, W) for a photograph.

    Algorithm A reads the Dice of each sample.
    """

    truth: ClassVar[str] = "mask"  # so every encoding, corruption and transform of masks serves it
    reads: ClassVar[str] = "drawing"
    corruptions: ClassVar[Sequence[str]] = ("location", "shape", "color")
    encoding: ClassVar[str] = "binary_mask"

    def resize(self, truth: Any, height: int, width: int) -> np.ndarray:
        """A mask (H, W) at another size, by the nearest pixel: (height, width) bool."""
        truth = np.asarray(truth, bool)
        rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip((height, width), truth.shape))
        return truth[rows[:, None], columns[None, :]]

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B masks (H, W) of one size -> (B, H, W) bool."""
        return torch.stack([torch.as_tensor(truth, dtype=torch.bool) for truth in truths])

    def quality(self, prediction: Any, truth: Any) -> float:
        """Dice of two masks (H, W), 2 |P and T| / (|P| + |T|), in [0, 1]; 1 where both are empty."""
        found, true = _mask(prediction, "a prediction"), _mask(truth, "a truth")
        total = int(found.sum()) + int(true.sum())
        return 2.0 * int((found & true).sum()) / total if total else 1.0

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """One, with every setting that changes a number."""
        return {"my_idea": {"smallest": 0.01}}

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Judge:
        """The judge under these settings; masks have no vocabulary. Raises BadOption for a setting it cannot have."""
        smallest = protocol["smallest"]
        if not 0 <= smallest < 1:
            raise BadOption(f"protocol my_idea: smallest is a share below 1, got {smallest}")
        return Judge(smallest)


class Judge:
    """Compares masks.

    smallest: the error of the area is relative, so photographs of which less than this share is true are left out of
    its mean.

    Columns: twice the pixels in both, the pixels of each added up, and the relative error of the area (nan: left out).
    """

    def __init__(self, smallest: float) -> None:
        self.smallest = smallest
        self.metrics: Sequence[Summed] = (  # the first is the headline
            RatioOfSums(id="dice", label="Dice", numerator="twice_both", denominator="both_areas"),
            MeanOf(id="area", label="area error", column="area", higher_is_better=False),
        )

    def drawing_size(self, sample: Sample) -> tuple[int, int]:
        """A drawing is resized to its photograph's (H, W) before it is decoded."""
        height, width = sample.image.shape[:2]
        return height, width

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: a mask (H, W) of the photograph's size, bool or 0 and 1; an array or a tensor on any device.

        Raises BadPrediction, naming the sample, for anything else.
        """
        found = _mask(prediction, f"the prediction for sample {sample.id}")
        true = _mask(sample.truth, f"the truth of sample {sample.id}")
        if found.shape != true.shape:
            raise BadPrediction(f"sample {sample.id}: expected a mask of {true.shape}, met {found.shape}")
        found_area, true_area = float(found.sum()), float(true.sum())
        judged = true_area > 0 and true_area >= self.smallest * true.size
        return {
            "twice_both": 2.0 * float((found & true).sum()),
            "both_areas": found_area + true_area,
            "area": abs(found_area - true_area) / true_area if judged else float("nan"),
        }


class Seen:
    """Photographs of another dataset, whose class maps say what is not background."""

    def __init__(self, split: Any) -> None:
        self.split = split
        self.ids: Sequence[str] = split.ids
        self.image_ids: Sequence[str] = split.image_ids

    def __len__(self) -> int:
        return len(self.split)

    def text(self, index: int) -> str:
        """The same words for every photograph."""
        return WORDS

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = self.split[index]
        return replace(sample, truth=np.asarray(sample.truth) != 0, text=WORDS)


class OnTabletop:
    """The photographs of tabletop, with what stands on the table as truth."""

    tasks: ClassVar[Sequence[str]] = ("my_idea",)

    def __init__(self, world: Any) -> None:
        self.world = world

    def splits(self) -> Sequence[str]:
        """Those of tabletop."""
        splits: Sequence[str] = self.world.splits()
        return splits

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval"."""
        return str(self.world.default_split(purpose))

    def samples(self, split: str, task: str) -> Seen:
        """A split's photographs. Raises UnknownName for a split that tabletop does not have."""
        return Seen(self.world.samples(split, "semantic"))

    def protocol(self, task: str) -> str:
        """The task's only one."""
        return "my_idea"

    def card(self) -> Card:
        """That of tabletop, under another name and fingerprint."""
        card: Card = self.world.card()
        return replace(card, name="my_idea", fingerprint=f"objects of {card.fingerprint}")


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    class Photographs(OnTabletop):
        """Photographs of tabletop, with everything that is not background as truth.

        size: side of the photographs, pixels, 16 to 1024.
        """

        def __init__(self, size: int = 64) -> None:
            super().__init__(registry.build("dataset", f"tabletop:size={size}"))  # plugins meet through the registry

    registry.add("task", "my_idea", MyIdea)
    registry.add("dataset", "my_idea", Photographs)


def _mask(given: Any, what: str) -> np.ndarray:
    mask = np.asarray(torch.as_tensor(given).cpu())
    if mask.ndim != 2 or not np.isin(mask, (0, 1)).all():  # nan is neither
        raise BadPrediction(f"{what} is no mask: expected (H, W) of 0 and 1, met {mask.dtype} {mask.shape}")
    return mask.astype(bool)
