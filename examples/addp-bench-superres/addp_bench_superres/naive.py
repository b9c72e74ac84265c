"""The row to beat: who adds nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from addp_bench.errors import unknown

if TYPE_CHECKING:
    import numpy as np

    from addp_bench.types import Sample


class Bicubic:
    """The photograph that was shown: the small picture, enlarged bicubically."""

    denoises: ClassVar[bool] = False
    tasks: ClassVar[Collection[str]] = ("superres",)
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8. Raises UnknownName for other tasks."""
        if task not in self.tasks:
            raise unknown("task of model bicubic", task, self.tasks)
        return sample.image
