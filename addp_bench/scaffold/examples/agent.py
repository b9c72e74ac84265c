"""Agent my_idea: who proposes corrections, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from addp_bench.hookspecs import hookimpl

if TYPE_CHECKING:
    import numpy as np

    from addp_bench.registry import Registry

requires_api = "1.0"

PLACES = ("on the left", "on the right", "at the front", "at the back", "in the middle")


class MyIdea:
    """Points at one place after another, whatever was drawn: what an agent that looks has to beat.

    Each round goes on where the round before it stopped, and begins anew when all places were named.

    also: words of your own to put before the places, joined by +; none unless given.
    """

    uses_truth: ClassVar[bool] = False  # True for one that reads the sample's hints; tables mark it

    def __init__(self, also: str = "") -> None:
        own = [words.strip() for words in also.split("+")] if also else []
        if "" in own:
            raise ValueError(f"also is words joined by +, none of them empty, got {also!r}")
        self.said = (*own, *PLACES)

    def propose(
        self, image: np.ndarray, expression: str, history: Sequence[Mapping[str, Any]], k: int
    ) -> Sequence[str]:
        """Up to k prompts for an image (H, W, 3) uint8. history: the earlier rounds, prompts and masks."""
        first = len(history) * k
        return [f"{expression}, {self.said[i % len(self.said)]}" for i in range(first, first + min(k, len(self.said)))]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("agent", "my_idea", MyIdea)
