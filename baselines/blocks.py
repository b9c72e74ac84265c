"""The blocks of a UNet's up path as a probe names them, and what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """out_1 .. out_K in the order they are computed, from the settings of a UNet2DConditionModel alone.

    A block is a residual block with the attention that follows it; upsamplers are none (DDAE, Xiang et al., 2023).
    """
    ups = len(config.get("up_block_types", ["", "", "", ""]))
    each = config.get("layers_per_block", 2)
    layers = [each] * ups if isinstance(each, int) else each
    return tuple(f"out_{k + 1}" for k in range(sum(n + 1 for n in layers)))  # the up path has one more at each size


def modules(unet: Any) -> dict[str, nn.Module]:
    """Name -> the module whose output is the block's: its attention, or its residual block where it has none."""
    found: list[nn.Module] = []
    for up in unet.up_blocks:
        attentions = getattr(up, "attentions", None)
        found += attentions if attentions else up.resnets
    return {f"out_{k + 1}": module for k, module in enumerate(found)}


@contextmanager
def watched(unet: Any, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """What these blocks give (B, C, h, w), as soon as it is computed."""
    seen: dict[str, Tensor] = {}
    there = modules(unet)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    hooks = [there[name].register_forward_hook(keep(name)) for name in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
