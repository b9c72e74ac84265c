"""Transform my_idea: ordinary augmentation of the training data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class MyIdea:
    """Brighter or darker photographs: each pixel in [0, 1] to the power of gamma. The truth stays.

    strongest: gamma is drawn between 1 / strongest and strongest, evenly on a logarithmic scale; above 1.
    """

    strongest: float = 1.5

    truths: ClassVar[Sequence[str]] = ("mask", "labels", "depth", "boxes", "class", "classes")
    draws: ClassVar[int] = 1
    changes: ClassVar[Sequence[str]] = ()  # say "mirror" or "crop" if yours does: some tasks forbid these

    def __post_init__(self) -> None:
        if not 1 < self.strongest <= 10:
            raise ValueError(f"strongest is a gamma, above 1 to 10, got {self.strongest}")

    def apply(self, photos: Tensor, truth: Any, u: Tensor) -> tuple[Tensor, Any]:
        """photos (B, 3, H, W) in [-1, 1], any truth, u (B, 1) in [0, 1) -> other photographs, the same truth."""
        gamma = (math.log(self.strongest) * (2.0 * u - 1.0)).exp()[:, :, None, None]
        return 2.0 * (0.5 * photos + 0.5).clamp(0.0, 1.0) ** gamma - 1.0, truth


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("transform", "my_idea", MyIdea)
