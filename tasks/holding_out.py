"""Which part of a training split is kept apart, so that statistics are measured on what was not trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

from addp_bench.randomness import seed_of

T = TypeVar("T", int, str)

HELD_OUT = 0.05  # share of the training photographs, or scenes, that `stats` gets; ours


def held_out(salt: str, groups: Iterable[T]) -> set[T]:
    """One group in twenty, rounded up, chosen by a hash of its name and `salt`: the same in every process."""
    ordered = sorted(set(groups), key=lambda group: seed_of(salt, group))
    return set(ordered[: math.ceil(HELD_OUT * len(ordered))])
