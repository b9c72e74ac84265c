"""Corruptions on one sheet: a drawn target of the built-in world, damaged by each of them at rising timesteps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from addp_bench import cache
from addp_bench.batches import drawn
from addp_bench.errors import BadOption
from addp_bench.randomness import uniform
from addp_bench.spec import Choice
from addp_bench.types import to_uint8

from .charts import GREY, INK

if TYPE_CHECKING:
    from addp_bench.protocols import Corruption, Noise
    from addp_bench.registry import Registry
    from addp_bench.types import Query, Sample

DATASET, AUG = "tabletop", "linear"  # where an example is taken from, and how its damage grows
FIRST = "ris"  # the task of an example where several would do: the paper's own
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the columns on the way from 0 to T - 1
LOOKED_AT = 24  # samples among which the one is shown that shows most


@dataclass(frozen=True)
class Row:
    """One line of the sheet: what is done, by what, and to the truth of which task."""

    title: str
    corruptions: Sequence[Corruption]
    task: str


def sheet(registry: Registry, choices: Sequence[Choice], noise: Noise, file: Path) -> list[str]:
    """Draw corruptions, each alone and, where there are several, each task's default set together, into a PNG.

    Returns which are not drawn, and why, a sentence each. Raises BadOption where none can be.
    """
    dataset = registry.build("dataset", DATASET)
    tasks = {name: registry.build("task", name) for name in registry.names("task") if name in dataset.tasks}
    tasks = {name: task for name, task in tasks.items() if task.reads == "drawing"}
    rows: list[Row] = []
    notes: list[str] = []
    for choice in choices:
        built = registry.build("corruption", choice)
        if (task := _task_of(choice.name, built, tasks)) is None:
            notes.append(f"{choice}: damages {built.truth}, of which {DATASET} has no task to draw here yet")
        else:
            rows.append(Row(str(choice), [built], task))
    if not rows:
        raise BadOption("; ".join(notes) or "there is no corruption to draw")
    if len(choices) > 1:
        for name in dict.fromkeys(row.task for row in rows):
            together = [registry.build("corruption", Choice(c)) for c in tasks[name].corruptions]
            if len(together) > 1:
                rows.append(Row(" + ".join(tasks[name].corruptions), together, name))
    t = torch.tensor([round(place * (noise.steps - 1)) for place in PLACES])
    strength = registry.build("aug", AUG).strength(t, noise)
    lines: list[tuple[Row, np.ndarray]] = []
    for name in dict.fromkeys(row.task for row in rows):
        mine = [row for row in rows if row.task == name]
        samples = dataset.samples(dataset.default_split("train"), name)
        lines += zip(mine, _best(mine, samples, tasks[name], registry, strength))
    _draw(lines, t, strength, notes, file)
    return notes


def _task_of(name: str, corruption: Corruption, tasks: dict[str, Any]) -> str | None:
    """The task whose truth an example is made of: one that names the corruption among its defaults, if there is."""
    able = [task for task, built in tasks.items() if corruption.truth in ("any", built.truth)]
    able.sort(key=lambda task: task != FIRST)
    return next((task for task in able if name in tasks[task].corruptions), able[0] if able else None)


def _best(rows: Sequence[Row], samples: Any, task: Any, registry: Registry, strength: torch.Tensor) -> list[np.ndarray]:
    """Pictures (columns, H, W, 3) of each row, of the drawing on which the least visible of them is seen best."""
    encoding = registry.build("encoding", task.encoding)
    best: tuple[float, list[np.ndarray]] = (-1.0, [])
    for i in range(min(LOOKED_AT, len(samples))):
        sample = samples[i]
        for query in cache.queries(encoding, sample, samples):
            made = [_pictures(row, sample, query, task, encoding, strength) for row in rows]
            seen = min(float(np.abs(m[-1].astype(float) - m[0]).mean()) for m in made)
            if seen > best[0]:
                best = seen, made
    return best[1]


def _pictures(row: Row, sample: Sample, query: Query, task: Any, encoding: Any, strength: torch.Tensor) -> np.ndarray:
    """The drawing at every strength (columns, H, W, 3) uint8, with the same random numbers throughout."""
    count, side = len(strength), sample.image.shape[0]
    photos = cache.photos([sample] * count, side)
    truth = task.collate([cache.truth_of(sample, task, side)] * count)

    def chance(corruption: Corruption) -> torch.Tensor:
        name = ("show", type(corruption).__name__, sample.id)
        return uniform((corruption.draws,), [name]).float().expand(count, -1)

    return to_uint8(drawn(encoding, photos, truth, [query] * count, row.corruptions, strength, chance).rgb)


def _draw(
    rows: Sequence[tuple[Row, np.ndarray]],
    t: torch.Tensor,
    strength: torch.Tensor,
    notes: Sequence[str],
    file: Path,
) -> None:
    from matplotlib.figure import Figure

    side, label = 1.7, 1.5  # inches
    width = label + side * len(t)
    foot = [f"Train split of {DATASET}. The same random numbers in every column of a row; the photograph never moves."]
    text = "\n".join(textwrap.fill(line, int(width * 15)) for line in (*foot, *(f"not drawn: {n}" for n in notes)))
    below = 0.2 + 0.15 * (text.count("\n") + 1)
    height = 0.75 + (side + 0.06) * len(rows) + below
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.01, 1 - 0.25 / height, "Corruptions at rising timesteps", fontsize=11, fontweight="bold")
    figure.text(0.01, 0.08 / height, text, fontsize=8, color=GREY, va="bottom", parse_math=False)
    for r, (row, pictures) in enumerate(rows):
        top = 0.75 + r * (side + 0.06)
        words = f"{textwrap.fill(row.title.replace(':', ': '), 18)}\n({row.task})"
        figure.text(0.01, 1 - (top + side / 2) / height, words, fontsize=9, color=INK, va="center", parse_math=False)
        for c in range(len(t)):
            place = ((label + c * side) / width, 1 - (top + side) / height, (side - 0.06) / width, side / height)
            axes = figure.add_axes(place)
            axes.axis("off")
            axes.imshow(pictures[c], interpolation="nearest")
            if r == 0:
                axes.set_title(f"t = {int(t[c])}\nstrength {float(strength[c]):.3g}", fontsize=8.5, color=INK)
    figure.savefig(file, dpi=150, format="png", metadata={"Software": None})
