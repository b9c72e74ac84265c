"""Several tasks trained together: what each contributes, and whose turn it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from addp_bench.spec import Choice

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: its multiples spread most evenly over 0 .. 2^64
_BLOCK = 1024  # steps whose turns are worked out at once


@dataclass(frozen=True)
class Part:
    """One task of a mixture. share: of the training samples, in (0, 1]. splits: "train" and "stats". corruption: its
    own, empty where targets are not corrupted."""

    task: Choice
    dataset: Choice
    encoding: Choice
    splits: Mapping[str, str]
    share: float
    corruption: tuple[Choice, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON; `from_plain` reads it back."""
        chosen = {kind: getattr(self, kind).plain() for kind in ("task", "dataset", "encoding")}
        rest = {"splits": dict(self.splits), "corruption": [c.plain() for c in self.corruption]}
        return {**chosen, **rest, "share": self.share}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Part:
        """What `plain` gave."""
        chosen = {kind: Choice(**plain[kind]) for kind in ("task", "dataset", "encoding")}
        return cls(**{**plain, **chosen, "corruption": tuple(Choice(**c) for c in plain["corruption"])})


def said(parts: Sequence[Part]) -> str:
    """A mixture as `--train` takes it: `depth=0.3+semantic=0.7`."""
    return "+".join(f"{part.task.name}={part.share:g}" for part in parts)


class Turns:
    """Which source fills which place of which batch.

    Place j of the training, counted over all batches, belongs to the source in whose share of [0, 1) the fraction of
    j / golden ratio falls. So every batch has of each source what its share of the batch is, give or take a sample or
    two, and of any step the turns are known from its number alone.

    shares: of the sources, adding up to 1. size: places of a batch.
    """

    def __init__(self, shares: Sequence[float], size: int) -> None:
        self.size, self.sources = size, len(shares)
        ends = np.cumsum(shares)[:-1] / np.sum(shares)
        self._ends = np.array([min(int(end * 2.0**64), 2**64 - 1) for end in ends], np.uint64)
        self._before = np.zeros((1, self.sources), np.int64)  # (steps + 1, sources): places filled before each step

    def places(self, step: int) -> list[range]:
        """The places that each source fills in batch `step`, counted over its own samples from 0 on."""
        while len(self._before) <= step + 1:
            self._extend()
        return [range(first, last) for first, last in zip(*self._before[step : step + 2].tolist())]

    def _extend(self) -> None:
        done = len(self._before) - 1
        place = np.arange(done * self.size, (done + _BLOCK) * self.size, dtype=np.uint64)
        owner = np.searchsorted(self._ends, place * np.uint64(GOLDEN), side="right").reshape(_BLOCK, self.size)
        counts = np.stack([(owner == source).sum(1) for source in range(self.sources)], 1)
        self._before = np.concatenate([self._before, self._before[-1] + np.cumsum(counts, 0)])
