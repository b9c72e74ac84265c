"""What predictors that know nothing say of a photograph's class."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from addp_bench.errors import BadData

if TYPE_CHECKING:
    import numpy as np

    from addp_bench.protocols import Samples
    from addp_bench.types import Sample


def guess(sample: Sample, generator: np.random.Generator) -> int:
    """Each class equally likely. Raises BadData where the split names none."""
    if not (names := sample.hints.get("vocabulary")):
        raise BadData(f"model random: sample {sample.id} comes without the names of the classes to guess among")
    return int(generator.integers(len(names)))


class MostFrequentClass:
    """The class that most photographs of a split have, of equals the first."""

    def __init__(self, samples: Samples, count: int) -> None:
        """Of the first `count` samples, one at least."""
        votes = Counter(int(samples[i].truth) for i in range(count))
        self.label = min(votes, key=lambda label: (-votes[label], label))

    def __call__(self, sample: Sample) -> int:
        """Its index."""
        return self.label
