"""Decoders that learn: fitted once on drawn training truths, kept as weights, and read with from then on.

    truth of `train` -> drawn -> codec -> the encoding's own fit -> decoder.safetensors

What it is fitted on is nobody's answer: no denoiser has a part in it, so all cells that draw and seed alike share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from addp_bench import cache
from addp_bench.batches import Raw
from addp_bench.cache import Index
from addp_bench.facts import context
from addp_bench.keys import by_content, code_digest
from addp_bench.spec import Choice
from addp_bench.store import Stage, Store, write_bytes

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.protocols import Codec, Encoding, Samples, Task
    from addp_bench.stages import Planner
    from addp_bench.work import Work

WEIGHTS = "decoder.safetensors"


@dataclass(frozen=True)
class Drawings:
    """Training truths for an encoding to learn to read: what is drawn, and the codec that it passes through.

    index: of the samples that are used. side: of the square pictures. device: where pictures and codec are.
    """

    index: Index
    samples: Samples
    task: Task
    encoding: Encoding
    codec: Codec
    side: int
    device: torch.device

    @classmethod
    def of(
        cls, samples: Samples, limit: int, task: Task, encoding: Any, codec: Codec, side: int, device: torch.device
    ) -> Drawings:
        """Of the first samples of a split, `limit` at most and no more than the encoding `learns` from."""
        index = Index.of(samples, min(limit, encoding.learns, len(samples)), encoding)
        return cls(index, samples, task, encoding, codec, side, device)

    def __len__(self) -> int:
        return len(self.index.items)

    def names(self, rows: Sequence[int]) -> list[str]:
        """What names the random draws of these drawings."""
        return [self.index.items[i].name(self.index.ids) for i in rows]

    def raw(self, rows: Sequence[int]) -> Raw:
        """Photographs and truths at `side`, on the device, and what is asked for."""
        items = [self.index.items[i] for i in rows]
        loaded = [self.samples[item.sample] for item in items]
        truth = self.task.collate([cache.truth_of(sample, self.task, self.side) for sample in loaded])
        asked = [cache.queries(self.encoding, s, self.samples)[item.query] for s, item in zip(loaded, items)]
        return Raw(cache.photos(loaded, self.side).to(self.device), cache.to_device(truth, self.device), asked)


def planned(planner: Planner, cell: Cell) -> Stage | None:
    """The stage that fits the decoder of a cell's encoding, None where it has none to fit."""
    encoding = planner.registry.build("encoding", cell["encoding"]) if "encoding" in cell.choices else None
    learns: int = getattr(encoding, "learns", 0)
    if not learns:
        return None
    limit = cell.budget.train_samples
    spec = {
        "data": planner.facts.data(cell, "train", learns if limit is None else min(learns, limit)),
        "task": by_content(cell["task"]),
        "encoding": by_content(cell["encoding"]),
        "model": planner.facts.model(cell),
        "seed": cell.seed,
        "code": code_digest("decoder"),
        "plugins": planner.facts.plugins(
            [("task", cell["task"]), ("dataset", cell.dataset("train")), ("encoding", cell["encoding"])]
        ),
    }
    return Stage("decoder", spec, context=context(cell, "train"))


def read_with(planner: Planner, cell: Cell) -> Cell:
    """The cell as its answers are read: with its decoder, where one is fitted."""
    stage = planned(planner, cell)
    return cell if stage is None else reading(cell, Store(planner.runs).folder(stage))


def fit(drawings: Drawings, seed: int, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Fit the decoder of the encoding of these drawings and write it into `folder`."""
    encoding: Any = drawings.encoding
    weights = {name: w.detach().cpu().contiguous() for name, w in encoding.fit(drawings, seed, progress).items()}
    write_bytes(folder / WEIGHTS, save(weights))


def fit_stage(work: Work, stage: Stage, cell: Cell, folder: Path) -> None:
    """What a stage `decoder` does."""
    limit = stage.spec["data"]["limit"]
    samples, count = work.samples(cell, "train", limit)
    model, encoding = work.model(cell), work.build("encoding", cell)
    side, device = model.resolution, work.device
    drawings = Drawings.of(samples, count, work.build("task", cell), encoding, model.codec, side, device)
    with work.progress.bar(f"fitting the decoder of {cell.name('encoding')} on {len(drawings)} drawings") as tell:
        fit(drawings, stage.spec["seed"], folder, tell)


def read_by(encoding: Choice, folder: Path) -> Choice:
    """An encoding that reads with the decoder in a folder."""
    return Choice(encoding.name, {**encoding.options, "path": str(folder / WEIGHTS)})


def reading(cell: Cell, folder: Path) -> Cell:
    """A cell whose answers are read with the decoder in a folder."""
    return replace(cell, choices={**cell.choices, "encoding": read_by(cell["encoding"], folder)})
