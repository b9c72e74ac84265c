"""What a network is shown at each timestep, in the unit of its task: in training the truth, perhaps damaged by
augmentation; in sampling, from the second step on, its own estimates. Where the two differ, it meets what it never met.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from addp_bench import cache
from addp_bench.batches import drawn
from addp_bench.ceiling import ceiling
from addp_bench.randomness import uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from addp_bench.protocols import Corruption
    from addp_bench.reopen import Reopened
    from addp_bench.types import Drawing, Query

SAMPLES = 64  # judged at each timestep


@dataclass(frozen=True)
class Shown:
    """The headline metric, in its stored unit, of what training shows at each of t, and None where it has no value.

    clean: of the truth itself, which is what training without augmentation shows at any t. damaged: of the truth as the
    cell's augmentation leaves it at t; None without one. samples: of the judged split, the first, that both are of.
    """

    t: Sequence[int]
    clean: float | None
    damaged: Sequence[float | None] | None
    samples: int


def shown(cell: Reopened, limit: int = SAMPLES) -> Shown | None:
    """What a finished cell was shown in training; None for one that draws nothing, or kept no curve.

    Truths of the judged split are damaged as the cell's corruptions damage those of the training split, drawn, put
    through the codec and read as answers are. Augmentation alone is imitated: not what an exposure cure adds.
    """
    curve = cell.record.result["curve"]
    if not cell.cell.denoises or not curve:
        return None
    work, settings = cell.bench.work, cell.record.result["protocol"]["settings"]
    samples, count = work.samples(cell.cell, "eval", cell.cell.budget.limit, settings.get("class_list", "all"))
    count = min(limit, count)
    task, encoding, model = work.build("task", cell.cell), cell.encoding(), work.model(cell.cell)
    evaluator = task.evaluator(settings, cache.vocabulary(samples))

    def judged(draw: Callable[..., Drawing] | None) -> float | None:
        found = ceiling(samples, count, task, encoding, model, evaluator, work.device, lambda *_: None, draw=draw)
        value = float(evaluator.metrics[0].value(found.statistics.columns))
        return None if math.isnan(value) else value

    aug, noise = work.build("aug", cell.cell), work.noise(cell.cell, model)
    corruptions = [work.registry.build("corruption", choice) for choice in cell.cell.corruption]
    if not (aug.corrupts and corruptions):
        return Shown(curve["t"], judged(None), None, count)

    def at(t: int) -> Callable[..., Drawing]:
        def draw(photos: Tensor, truth: Any, queries: Sequence[Query], names: Sequence[Any]) -> Drawing:
            def chance(corruption: Corruption) -> Tensor:
                named = [("drift", t, type(corruption).__name__, *name) for name in names]
                return uniform((corruption.draws,), named).float().to(work.device)

            strength = aug.strength(torch.full((len(photos),), t, device=work.device), noise)
            return drawn(encoding, photos, truth, queries, corruptions, strength, chance)

        return draw

    return Shown(curve["t"], judged(None), [judged(at(t)) for t in curve["t"]], count)
