"""A denoising model of a handful of numbers, for tests of the training loop itself.

Loaded as a plugin file (`--plugin tests/point.py`), as any stranger's model would be. Pictures are their own latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from addp_bench.errors import BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.schedule import TableNoise, from_betas, scaled_linear
from addp_bench.types import Budget, ModelCard, Sample


class Identity:
    """Pictures are latents."""

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        return 3, height, width

    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(-1.0, 1.0)


class Point:
    """x0 = a mixture of colours of x_t and of the photograph."""

    denoises = True
    dropout = (0.0, 0.0, 0.0)
    weight_decay = 0.0
    target = "x0"
    resolution = 8
    budgets: Mapping[str, Budget] = {"quick": Budget("quick", 50, 2000, 1e-3, 1, None, 2, 2, 0.9, 12)}

    def __init__(self) -> None:
        self.codec = Identity()
        self.noise = TableNoise(from_betas(scaled_linear()))
        self.network = nn.Conv2d(6, 3, 1, bias=False)
        nn.init.constant_(self.network.weight, 0.1)

    def condition(self, images: Tensor) -> Tensor:
        return images

    def embed(self, prompts: Sequence[str]) -> Tensor:
        return torch.zeros(len(prompts), 1, 1)

    def forward(self, x_t: Tensor, t: Tensor, image: Tensor, text: Tensor) -> Tensor:
        return self.network(torch.cat([x_t, image], dim=1))

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        raise BadPrediction("a denoising model is sampled, not asked")

    def to(self, device: torch.device | str) -> Point:
        self.network.to(device)
        return self

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        return ModelCard("point", cls.target, cls.resolution, "none")


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "point", Point)
