"""Which ceilings `check encoding` measures: of every encoding, of each task whose truths it draws."""

from __future__ import annotations

import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from addp_bench import decoders, protocol_cards
from addp_bench.cache import vocabulary
from addp_bench.ceiling import Identity, Through, ceiling
from addp_bench.errors import BadOption, BenchError
from addp_bench.spec import Choice

if TYPE_CHECKING:
    from addp_bench.protocol_cards import Protocol as Judge
    from addp_bench.protocols import Dataset, Encoding, Metric
    from addp_bench.registry import Registry

IDENTITY = "identity"
ALL = "all"
FEW = 4  # values of an option that are tried one by one; a longer list is one of colours or the like; ours
COLOURS = ("red", "green", "blue", "white")  # tried of every option called `color`; which is ours
GATE = 0.95  # of a metric in points, at least, where more is better
ERROR = 0.05  # of one where less is better, at most


@dataclass(frozen=True)
class Judged:
    """An encoding, the task whose truths it draws, and the protocol by which what is read back is judged."""

    encoding: Choice
    task: str
    protocol: Judge


@dataclass(frozen=True)
class Ceiling:
    """What was measured of one of them: its metrics, the headline first, and their values."""

    judged: Judged
    samples: int
    metrics: Sequence[Metric]
    values: dict[str, float]

    @property
    def kept(self) -> bool | None:
        """Whether the headline keeps the gate; None for one in a physical unit, of which the gate says nothing."""
        headline = self.metrics[0]
        if headline.unit != "points":
            return None
        value = self.values[headline.id]
        return value >= GATE if headline.higher_is_better else value <= ERROR


def choices(registry: Registry, text: str) -> list[Choice]:
    """The encodings that a text names, joined by `+`; `all`: every one that is registered, as it is by default and with
    each other value of an option that lists FEW at most (`Literal`), and in each of COLOURS where it has a `color`.

    Of `all`, what an encoding refuses (a value that needs another) is left out, and so is what must be fitted first.
    Raises UnknownName and BadOption for what was named and does not exist.
    """
    found: list[Choice] = []
    for part in text.split("+"):
        if part != ALL:
            asked = Choice.parse(part)
            registry.build("encoding", asked)
            found.append(Choice(registry.get("encoding", asked.name).name, asked.options))
            continue
        for name in registry.names("encoding"):
            for choice in _variants(registry, name):
                try:
                    built = registry.build("encoding", choice)
                except BenchError:
                    continue
                if not getattr(built, "learns", False):
                    found.append(choice)
    return list({str(choice): choice for choice in found}.values())


def _variants(registry: Registry, name: str) -> Iterator[Choice]:
    yield Choice(name)
    for option in registry.get("encoding", name).options:
        listed = typing.get_args(option.annotation) if typing.get_origin(option.annotation) is Literal else ()
        tried = COLOURS if option.name == "color" else listed if len(listed) <= FEW else ()
        yield from (Choice(name, {option.name: value}) for value in tried if value != option.default)


def tasks_of(registry: Registry, dataset: Choice, encoding: Choice, asked: str | None) -> list[str]:
    """The tasks of a dataset whose truths an encoding draws. asked: only this one.

    Raises UnknownName for a task that does not exist, BadOption where there is none.
    """
    serves = registry.get("dataset", dataset.name).factory.tasks
    drawn = registry.get("encoding", encoding.name).factory.truth
    if asked is not None:
        task = registry.get("task", asked)
        if task.name not in serves:
            raise BadOption(f"dataset {dataset.name} has no truth for task {task.name}")
        if task.factory.truth != drawn:
            raise BadOption(f"encoding {encoding} draws {drawn}, task {task.name} is about {task.factory.truth}")
        return [task.name]
    about = {task.name: task.factory for task in registry.entries("task") if task.name in serves}
    found = [name for name, task in about.items() if (task.truth, task.reads) == (drawn, "drawing")]
    if not found:
        raise BadOption(f"encoding {encoding} draws {drawn}, and dataset {dataset.name} has no task about that")
    return found


def protocol_of(
    registry: Registry, task_name: str, of: Choice, dataset: Dataset, encoding: Choice, asked: str | None
) -> Judge:
    """The protocol by which an encoding is judged: the one that was asked for; else the dataset's own for the task; and
    where the task refuses it, the first other of the dataset's, whose names begin with its own's.

    Raises UnknownName for one that does not exist, BadOption, with the task's reason, where it cannot be judged.
    """
    task: Any = registry.build("task", task_name)
    own = asked or dataset.protocol(task_name)
    others = [] if asked else [name for name in task.protocols() if name.startswith(f"{own}_")]
    judges = [protocol_cards.named(task, task_name, of.name, name) for name in (own, *others)]
    if not hasattr(task, "refuses"):
        return judges[0]
    built = registry.build("encoding", encoding)
    refused = [task.refuses(judge.settings, built) for judge in judges]
    if None not in refused:
        raise BadOption(f"encoding {encoding} under protocol {own}: {refused[0]}")
    return judges[refused.index(None)]


# ------------------------------------------------------------------------------------------------ measuring


def through(registry: Registry, name: str) -> Through:
    """The codec of a model, or `identity`. Raises BadOption for a model that has none."""
    if name == IDENTITY:
        return Identity()
    model = registry.build("model", name)
    if not model.denoises:
        raise BadOption(f"--codec {name}: that model draws nothing and has no codec; `{IDENTITY}` keeps pictures")
    found: Through = model
    return found


def measure(
    registry: Registry,
    judged: Judged,
    dataset: Dataset,
    split: str,
    limit: int,
    codec: Through,
    progress: Callable[[int, int], None],
    noise: float = 0.0,
) -> Ceiling:
    """The ceiling of an encoding on the first truths of a split; a decoder that learns is fitted before, on `train`."""
    device = torch.device("cpu")
    task = registry.build("task", judged.task)
    samples = dataset.samples(split, judged.task)
    evaluator = task.evaluator(judged.protocol.settings, vocabulary(samples))
    count = min(limit, len(samples))
    encoding = registry.build("encoding", judged.encoding)
    if getattr(encoding, "learns", False):
        encoding = _fitted(registry, judged, dataset, encoding, codec, progress)
    scores = ceiling(samples, count, task, encoding, codec, evaluator, device, progress, noise)
    values = {m.id: float(m.value(scores.statistics.columns)) for m in evaluator.metrics}
    return Ceiling(judged, count, list(evaluator.metrics), values)


def _fitted(
    registry: Registry, judged: Judged, dataset: Dataset, encoding: Encoding, codec: Through, progress: Callable
) -> Encoding:
    """The encoding with a decoder that was fitted on the training split as a run would, with seed 0."""
    samples = dataset.samples(dataset.default_split("train"), judged.task)
    side = codec.resolution or max(samples[0].image.shape[:2])
    task, device = registry.build("task", judged.task), torch.device("cpu")
    drawings = decoders.Drawings.of(samples, len(samples), task, encoding, codec.codec, side, device)
    with tempfile.TemporaryDirectory() as folder:
        decoders.fit(drawings, seed=0, folder=Path(folder), progress=progress)
        ready: Encoding = registry.build("encoding", decoders.read_by(judged.encoding, Path(folder)))
    return ready
