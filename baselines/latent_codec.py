"""Between pictures and the latents of a frozen AutoencoderKL."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from addp_bench.errors import BadData


class VaeCodec:
    """Scaled latents (z - shift) * scale of an AutoencoderKL, by the factors its own settings name.

    vae: in eval mode, its gradients are switched off. chunk: pictures that pass through it at once (memory only).
    """

    def __init__(self, vae: Any, chunk: int = 32) -> None:
        self.vae = vae.requires_grad_(False).eval()
        self.chunk = chunk
        self.factor: int = 2 ** (len(vae.config.block_out_channels) - 1)  # pixels of a latent's side
        self.channels: int = vae.config.latent_channels

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Latent shape (C, h, w) of a picture. Raises BadData for a side that is no multiple of the factor."""
        if height % self.factor or width % self.factor or min(height, width) < self.factor:
            raise BadData(f"a picture of {width} x {height} has no latent; sides are multiples of {self.factor} pixels")
        return self.channels, height // self.factor, width // self.factor

    @torch.no_grad()
    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> scaled latents (B, C, h, w) float32.

        noise: posterior noise of that shape for a sample, None for the posterior's mode. Raises BadData for the size.
        """
        mean, std = self._posterior(images)
        latents = mean if noise is None else mean + std * noise
        shift, scale = self._affine(latents)
        return (latents - shift) * scale

    @torch.no_grad()
    def mode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> the posterior's mode (B, C, h, w) float32, not scaled."""
        return self._posterior(images)[0]

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) -> (B, 3, H, W) float32, clipped to [-1, 1]."""
        shift, scale = self._affine(latents)
        z = (latents / scale + shift).to(self.vae.dtype)
        pictures = [self.vae.decode(piece, return_dict=False)[0] for piece in z.split(self.chunk)]
        return torch.cat(pictures).float().clamp(-1.0, 1.0)

    def _posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.shape(*images.shape[-2:])
        found = [self.vae.encode(piece).latent_dist for piece in images.to(self.vae.dtype).split(self.chunk)]
        return torch.cat([p.mean for p in found]).float(), torch.cat([p.std for p in found]).float()

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale, each (1, C, 1, 1) or (1, 1, 1, 1)."""
        config = self.vae.config
        shift = getattr(config, "latents_mean", None) or [getattr(config, "shift_factor", None) or 0.0]
        spread = getattr(config, "latents_std", None) or [1.0]
        scale = config.scaling_factor / like.new_tensor(spread)
        return like.new_tensor(shift).view(1, -1, 1, 1), scale.view(1, -1, 1, 1)
