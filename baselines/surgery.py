"""Give a pretrained UNet more input channels without changing what it answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def widened(conv: nn.Conv2d, extra: int) -> nn.Conv2d:
    """A convolution that also takes `extra` channels, after the old ones, and does not yet listen to them.

    Old weight and bias are copied and the new weight is zero, so output is bit-identical for any finite extra input.
    (diffusers' example script forgets the bias and keeps a random one.)
    """
    new = nn.utils.skip_init(
        nn.Conv2d,
        conv.in_channels + extra,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : conv.in_channels] = conv.weight
        if conv.bias is not None:
            new.bias.copy_(conv.bias)
    return new


def widen_input(unet: Any, channels: int) -> None:
    """Make a UNet2DConditionModel take `channels` input channels in place; its settings say so afterwards."""
    unet.conv_in = widened(unet.conv_in, channels - unet.config.in_channels)
    unet.register_to_config(in_channels=channels)
