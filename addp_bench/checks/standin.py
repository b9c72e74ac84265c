"""The smallest denoising model that keeps the contract: what objectives are bound to where they are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from addp_bench.registry import Registry
from addp_bench.types import Budget, ModelCard

from .given import LATENT, noise_of


class _Network(torch.nn.Module):
    """One convolution, and a layer of 8 channels for each name that is read."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self.out = torch.nn.Conv2d(LATENT[0], LATENT[0], 3, padding=1)
        for name in layers:
            within: torch.nn.Module = self
            *parents, last = name.split(".")
            for parent in parents:
                if not hasattr(within, parent):
                    within.add_module(parent, torch.nn.Module())
                within = within.get_submodule(parent)
            if not hasattr(within, last):
                within.add_module(last, torch.nn.Conv2d(LATENT[0], 8, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(x)
        return found


class _Codec:
    """Every pixel of a latent is one of 8 x 8 pixels, by its mean."""

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        return LATENT[0], height // 8, width // 8

    def encode(self, images: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(images, 8)
        return torch.cat([small, small[:, :1]], dim=1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=8).clamp(-1, 1)


class StandIn:
    """A denoising model of 64 px. layers: names of the modules that its network has beside one convolution."""

    denoises: ClassVar[bool] = True
    target = "epsilon"
    resolution = 8 * LATENT[1]
    budgets: ClassVar[Mapping[str, Budget]] = {}
    dropout: ClassVar[tuple[float, float, float]] = (0.05, 0.05, 0.05)
    weight_decay: ClassVar[float] = 0.01
    guidance = "none"

    def __init__(self, registry: Registry, layers: Sequence[str] = ()) -> None:
        self.noise = noise_of(registry)
        self.codec = _Codec()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = _Network(layers)
        self.layers = tuple(layers)

    def condition(self, images: torch.Tensor) -> torch.Tensor:
        return self.codec.encode(images)

    def embed(self, prompts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[[float(len(prompt))] * 8] for prompt in prompts])

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(x_t)
        return found

    def features(
        self, x_t: torch.Tensor, t: torch.Tensor, image: torch.Tensor, text: torch.Tensor, layers: Sequence[str]
    ) -> Mapping[str, torch.Tensor]:
        with torch.no_grad():
            return {name: self.network.get_submodule(name)(x_t) for name in layers}

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        return ModelCard("checks", cls.target, cls.resolution, cls.guidance)

    def to(self, device: torch.device | str) -> StandIn:
        self.network.to(device)
        return self
