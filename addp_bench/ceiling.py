"""The best score any model could reach through an encoding and a codec: truth, drawn, encoded, decoded, read back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from addp_bench import decoders, evaluation
from addp_bench.cache import CHUNK, photos, queries, to_device, truth_of, vocabulary
from addp_bench.errors import BadData
from addp_bench.facts import context
from addp_bench.keys import by_content, code_digest
from addp_bench.randomness import normal
from addp_bench.store import Stage, write_json
from addp_bench.types import to_batch, to_uint8

if TYPE_CHECKING:
    from pathlib import Path

    from addp_bench.cell import Cell
    from addp_bench.protocols import Codec, Encoding, Evaluator, Samples, Task
    from addp_bench.stages import Planner
    from addp_bench.types import Drawing, Query, Sample
    from addp_bench.work import Work

RESULT = "ceiling.json"
# photographs, truths, queries, and what names the random draws of each drawing -> what is drawn
Draw = Callable[[Tensor, Any, "Sequence[Query]", "Sequence[Any]"], "Drawing"]


class Through(Protocol):
    """What drawings pass through: a codec, at a resolution; None for the size of each photograph."""

    @property
    def codec(self) -> Codec: ...

    @property
    def resolution(self) -> int | None: ...


class Identity:
    """Pictures as they are, at their own size: all that is lost is the encoding's own, and that of 8 bits."""

    resolution = None

    @property
    def codec(self) -> Identity:
        return self

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """The picture's own."""
        return 3, height, width

    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, 3, H, W), unchanged."""
        return images

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 3, H, W), clipped to [-1, 1]."""
        return latents.clamp(-1.0, 1.0)


def ceiling(
    samples: Samples,
    count: int,
    task: Task,
    encoding: Encoding,
    through: Through,
    evaluator: Evaluator,
    device: torch.device,
    progress: Callable[[int, int], None],
    noise: float = 0.0,
    draw: Draw | None = None,
) -> evaluation.Scores:
    """Judge the first `count` truths after a round trip: drawn at the codec's resolution, through it (the posterior's
    mode), rounded to 8 bits, decoded and compared with themselves.

    noise: standard deviation of white noise that is added to the latents, which are about of unit variance. draw: how
    truths are drawn, by the encoding alone without it. Raises BadData for a split with no samples.
    """
    if count == 0:
        raise BadData("the split holds no samples: no truth can be drawn")

    def found() -> Iterator[evaluation.Answer]:
        side = through.resolution
        at_once = CHUNK if side else 1  # photographs of several sizes make no batch
        for first in range(0, count, at_once):
            chunk = range(first, min(first + at_once, count))
            loaded = [samples[i] for i in chunk]
            asked = [queries(encoding, sample, samples) for sample in loaded]
            owners = [k for k, several in enumerate(asked) for _ in several]
            names = [("ceiling", loaded[k].id, q) for k, several in enumerate(asked) for q, _ in enumerate(several)]
            drawn_for = [loaded[k] for k in owners]
            truth = task.collate([truth_of(s, task, side) if side else _own(s, task) for s in drawn_for])
            seen = photos(drawn_for, side) if side else torch.cat([to_batch(s.image[None]) for s in drawn_for])
            with torch.no_grad():
                given = seen.to(device), to_device(truth, device), [q for several in asked for q in several]
                drawing = draw(*given, names) if draw else encoding.encode(*given)
                latents = through.codec.encode(drawing.rgb)
                if noise:
                    latents = latents + noise * normal(latents.shape[1:], names).to(device)
                pictures = to_uint8(through.codec.decode(latents))
            for k, sample in enumerate(loaded):
                mine = pictures[[row for row, owner in enumerate(owners) if owner == k]]
                size = evaluator.drawing_size(sample)
                yield evaluation.Answer(sample, [evaluation.decode(mine, sample, asked[k], encoding, size)])
            progress(chunk.stop, count)

    return evaluation.score(found(), evaluator, (0,), 0)


def _own(sample: Sample, task: Task) -> Any:
    """A sample's truth at its photograph's size. Raises BadData where the task cannot use it."""
    if hasattr(task, "require"):
        task.require(sample)
    return task.resize(sample.truth, *sample.image.shape[:2])


# ------------------------------------------------------------------------------------------------ of a cell


def planned(planner: Planner, cell: Cell, class_list: str) -> Stage:
    """The stage that measures the ceiling of a cell's encoding: on the samples it is judged on, through its codec."""
    decoder = decoders.planned(planner, cell)
    spec = {
        **({} if class_list == "all" else {"class_list": class_list}),
        "data": planner.facts.data(cell, "eval", cell.budget.limit),
        "task": by_content(cell["task"]),
        "encoding": by_content(cell["encoding"]),
        "model": planner.facts.model(cell),
        "protocol": planner.protocol(cell).plain(),
        **({"decoder": decoder.key} if decoder else {}),
        "code": code_digest("ceiling"),
        "plugins": planner.facts.plugins(
            [("task", cell["task"]), ("dataset", cell.dataset("eval")), ("encoding", cell["encoding"])]
        ),
    }
    needed = {
        **context(decoders.read_with(planner, cell)),
        "samples": planner.facts.count(cell, "eval", cell.budget.limit),
    }
    return Stage("ceiling", spec, (decoder,) if decoder else (), context=needed)


def measure_stage(work: Work, stage: Stage, cell: Cell, folder: Path) -> None:
    """What a stage `ceiling` does."""
    samples, count = work.samples(cell, "eval", cell.budget.limit, stage.spec.get("class_list", "all"))
    task, encoding, model = work.build("task", cell), work.build("encoding", cell), work.model(cell)
    evaluator = task.evaluator(stage.spec["protocol"]["settings"], vocabulary(samples))
    with work.progress.bar(f"the ceiling of {cell.name('encoding')} on {count} samples") as tell:
        scores = ceiling(samples, count, task, encoding, model, evaluator, work.device, tell)
    values = {m.id: float(m.value(scores.statistics.columns)) for m in evaluator.metrics}
    write_json(
        folder / RESULT, {"samples": count, "metrics": {k: None if math.isnan(v) else v for k, v in values.items()}}
    )
