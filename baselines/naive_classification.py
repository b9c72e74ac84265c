"""What predictors that know nothing answer to the question whether a class is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addp_bench.errors import BadData

if TYPE_CHECKING:
    from addp_bench.protocols import Samples
    from addp_bench.types import Sample


def constant(value: str, sample: Sample) -> np.ndarray:
    """No to every class (C,), or with "everything" yes."""
    return np.full(_classes("constant", sample), value == "everything")


def guessed(sample: Sample, generator: np.random.Generator) -> np.ndarray:
    """Any score (C,) for each class, so that yes and no are equally likely."""
    return generator.random(_classes("random", sample))


class ShareOfPhotographs:
    """The share of photographs that hold a class is its score: yes to what is in more than half of them."""

    def __init__(self, samples: Samples, count: int) -> None:
        """Of the first `count` samples, one at least."""
        self.share = np.mean([np.asarray(samples[i].truth, np.float64) for i in range(count)], axis=0)

    def __call__(self, sample: Sample) -> np.ndarray:
        """Scores (C,)."""
        return self.share


def _classes(name: str, sample: Sample) -> int:
    if not (names := sample.hints.get("vocabulary")):
        raise BadData(f"model {name}: sample {sample.id} comes without the names of the classes that may be there")
    return len(names)
