"""The threshold at which drawings are read, chosen on a split that is not judged.

Drawings of that split are read at every candidate of the encoding's `sweep`; no denoiser is asked for that. The best
value of the headline metric decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.errors import Degenerate
from addp_bench.evaluation import Answer, Drawn, judged
from addp_bench.statistics import columns_of

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Encoding, Evaluator
    from addp_bench.spec import Choice
    from addp_bench.types import Query, Sample, Sweep


@dataclass(frozen=True)
class OneStep(Drawn):
    """Finished predictions at one of their recorded steps, as if no other had been kept."""

    step: int = 0

    @classmethod
    def of(cls, drawn: Drawn, step: int) -> OneStep:
        """step: an index of its timesteps."""
        return cls(drawn.folder, [drawn.timesteps[step]], drawn.index, step)

    def shards(self) -> Iterator[tuple[range, np.ndarray]]:
        """As Drawn's, with one recorded step."""
        for items, x0 in super().shards():
            yield items, x0[:, self.step : self.step + 1]


class Swept:
    """An encoding that reads every drawing at all values of its sweep: predictions are lists of them."""

    def __init__(self, encoding: Encoding, values: Sequence[float]) -> None:
        self.encoding, self.values = encoding, values

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """As the encoding's."""
        return self.encoding.queries(sample, vocabulary)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Sequence[Any]:
        """A prediction for each value, in their order."""
        return list(self.encoding.decode_swept(drawings, image, queries, self.values))  # type: ignore[attr-defined]  # optional


@dataclass(frozen=True)
class Tuned:
    """What was chosen. values: rising. curve: the metric of id `metric` at each, nan where it has none."""

    option: str
    value: float
    own: float
    metric: str
    values: Sequence[float]
    curve: Sequence[float]
    samples: int

    def plain(self, split: str) -> dict[str, Any]:
        """As a record holds it. split: on which it was chosen."""
        return {
            "split": split,
            "samples": self.samples,
            "option": self.option,
            "own": self.own,
            "value": self.value,
            "metric": self.metric,
            "values": list(self.values),
            "curve": [None if np.isnan(v) else v for v in self.curve],
        }


def candidates(sweep: Sweep) -> list[float]:
    """The values of a sweep and the encoding's own, rising."""
    return sorted({*map(float, sweep.values), float(sweep.own)})


def chosen(found: Iterable[Answer], evaluator: Evaluator, sweep: Sweep) -> Tuned:
    """The best of the candidates; of equals the nearest to the encoding's own, of these the smaller.

    found: what `evaluation.answers` gives with a Swept encoding, at one step. Raises Degenerate where the metric has no
    value anywhere.
    """
    values, headline = candidates(sweep), evaluator.metrics[0]
    rows: list[list[Mapping[str, Any]]] = [[] for _ in values]
    for answer in found:
        (at_each,) = answer.predictions
        for row, judgement in zip(rows, judged(evaluator, answer.sample, at_each), strict=True):
            row.append(judgement)
    curve = [float(headline.value(columns_of(row))) for row in rows]
    if np.isnan(curve).all():
        raise Degenerate(
            f"{sweep.option} cannot be chosen: {headline.label} has no value on the {len(rows[0])} samples it was to "
            "be chosen on; take another --tune-on, or leave it out"
        )
    best = np.nanmax(curve) if headline.higher_is_better else np.nanmin(curve)
    value = min((v for v, met in zip(values, curve) if met == best), key=lambda v: (abs(v - sweep.own), v))
    return Tuned(sweep.option, value, float(sweep.own), headline.id, values, curve, len(rows[0]))


def at(encoding: Choice, tuning: Mapping[str, Any] | None) -> Choice:
    """The encoding as it is read: with what a record's `tuning` chose, where something was."""
    return (
        encoding if not tuning else replace(encoding, options={**encoding.options, tuning["option"]: tuning["value"]})
    )
