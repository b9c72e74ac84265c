"""A small U-Net that reads a mask from a drawing beside its photograph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SEEN = 9  # channels: the photograph, what the drawing changed of it, and how far the colour is from it
GROUPS = 4  # of channels that are normalised together


class MaskUNet(nn.Module):
    """Two halvings, two convolutions at each size, and the larger sizes' features handed across (Ronneberger, 2015).

    width: channels at the full size, doubled with each halving; a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.at_whole, self.at_half = _pair(SEEN, width), _pair(width, 2 * width)
        self.at_quarter = _pair(2 * width, 4 * width)
        self.at_half_again, self.at_whole_again = _pair(6 * width, 2 * width), _pair(3 * width, width)
        self.said = nn.Conv2d(width, 1, 1)

    def forward(self, drawn: Tensor, photo: Tensor, paint: Tensor) -> Tensor:
        """drawn, photo (B, 3, H, W) and paint (3,), in [-1, 1] -> logits (B, H, W); sides are multiples of 4."""
        whole = self.at_whole(torch.cat([photo, drawn - photo, paint.view(3, 1, 1) - photo], 1))
        half = self.at_half(functional.avg_pool2d(whole, 2))
        quarter = self.at_quarter(functional.avg_pool2d(half, 2))
        half = self.at_half_again(torch.cat([half, _twice(quarter)], 1))
        whole = self.at_whole_again(torch.cat([whole, _twice(half)], 1))
        logits: Tensor = self.said(whole)[:, 0]
        return logits


def _pair(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.GroupNorm(GROUPS, after), nn.SiLU()]
    return nn.Sequential(*layers)


def _twice(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
