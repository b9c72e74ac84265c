"""Training state that survives a kill: everything the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save(state: dict[str, Any], file: Path) -> None:
    """Replace `file` by the state; a kill at any moment leaves either the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)


def load(file: Path) -> dict[str, Any] | None:
    """The state last saved, or None where there is none."""
    return torch.load(file, weights_only=True) if file.exists() else None


class Average:
    """Exponential moving average of parameters, with the (1 + n) / (10 + n) warm-up of InstructPix2Pix.

    decay: share of the old average that is kept at each step once warm, in [0, 1).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.live = list(parameters)
        self.decay = decay
        self.count = 0
        self.kept = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        self.count += 1
        torch._foreach_lerp_(self.kept, [p.detach() for p in self.live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and their average; a second call undoes the first."""
        for live, kept in zip(self.live, self.kept, strict=True):
            held = live.detach().clone()
            live.copy_(kept)
            kept.copy_(held)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        for kept, stored in zip(self.kept, state["kept"], strict=True):
            kept.copy_(stored)


def rate(step: int, steps: int, *, peak: float, warm_up: int) -> float:
    """Learning rate at a step in 0 .. steps - 1: linear to `peak` over `warm_up` steps, then a cosine to 1 % of it."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + torch.cos(torch.tensor(share * torch.pi)).item()))


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's state, detached and copied."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
