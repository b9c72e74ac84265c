"""From a trained denoiser to judged answers.

    photograph's latent, words -> sample -> x0 at recorded steps -> codec -> drawing -> decode -> prediction -> judge

`predict` keeps latents, so that another metric or protocol needs no denoiser. Every sample starts from noise of its own
name: batch size, order and how many others are judged change nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from addp_bench import cache
from addp_bench.cache import Index
from addp_bench.errors import BadData, BadOption, BadPrediction
from addp_bench.pixelwise import portions
from addp_bench.randomness import normal, numpy_generator
from addp_bench.sampling import begin, exposed, guided
from addp_bench.statistics import Statistics, columns_of, statistics_of
from addp_bench.store import write_bytes, write_json
from addp_bench.timesteps import group_edges
from addp_bench.training import autocast
from addp_bench.types import from_bytes, pixels, to_batch

if TYPE_CHECKING:
    from addp_bench.cache import Latents
    from addp_bench.protocols import (
        DenoisingModel,
        Encoding,
        Evaluator,
        Exposure,
        Guidance,
        Noise,
        Predictor,
        Sampler,
        Samples,
        Target,
        Task,
    )
    from addp_bench.types import Query, Sample

SHARD = 64  # items per file of predictions; a killed attempt loses at most one
ROOM = 1 << 29  # bytes of drawings that are held at once
GROUPS = 10


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: everything but the network's weights."""

    noise: Noise
    target: Target
    sampler: Sampler
    steps: int
    guidance: Guidance
    exposure: Exposure
    seed: int
    precision: str = "fp32"
    groups: int = GROUPS
    member: int = 0  # of an ensemble; each starts from noise of its own


def recorded(timesteps: Sequence[int], steps: int, groups: int = GROUPS) -> list[int]:
    """Indices of the visited timesteps that are kept: the first, the last of each block, the final.

    groups: equal blocks of 0..steps-1, as `timesteps.group_edges` cuts them.
    """
    block = np.searchsorted(group_edges(steps, groups), timesteps, side="right")
    last_of = {g: i for i, g in enumerate(block.tolist())}
    return sorted({0, *last_of.values(), len(timesteps) - 1})


def predict(
    folder: Path,
    latents: Latents,
    model: DenoisingModel,
    sampling: Sampling,
    device: torch.device,
    progress: Callable[[int, int], None],
    batch: int = SHARD,
) -> None:
    """Draw every item and write x0 (items, recorded steps, C, h, w) float32 in shards; finished shards are kept.

    Raises BadPrediction, naming the sample, when the model answers with a number that is not finite.
    """
    timesteps = list(sampling.sampler.timesteps(sampling.noise, sampling.steps))
    kept = recorded(timesteps, sampling.noise.steps, sampling.groups)
    null_text = model.embed([""])[0].to(device)
    side = model.resolution
    shape = model.codec.shape(side, side)
    for first in range(0, len(latents), SHARD):
        path = _shard(folder, first)
        if not path.exists():
            rows = []
            whole = range(first, min(first + SHARD, len(latents)))
            for start in range(whole.start, whole.stop, batch):
                items = list(whole)[start - first : start - first + batch]
                rows.append(_drawn(items, latents, model, sampling, timesteps, kept, null_text, shape, device))
            write_bytes(path, _npy(np.concatenate(rows)))
        progress(min(first + SHARD, len(latents)), len(latents))
    latents.index.write(folder)
    write_json(folder / "steps.json", {"timesteps": timesteps, "recorded": kept})


def _drawn(
    items: Sequence[int],
    latents: Latents,
    model: DenoisingModel,
    sampling: Sampling,
    timesteps: Sequence[int],
    kept: Sequence[int],
    null_text: Tensor,
    shape: Sequence[int],
    device: torch.device,
) -> np.ndarray:
    ids = latents.names(items)
    image = latents.image(items).to(device)
    text = latents.embedding(items, model).to(device)
    denoise = guided(model, sampling.guidance, sampling.target, image, text, null_text, sampling.noise)
    denoise = exposed(denoise, sampling.exposure, sampling.noise, timesteps)
    again = ("member", sampling.member) if sampling.member else ()
    white = normal(shape, [("start", sampling.seed, name, *again) for name in ids]).to(device)
    with torch.no_grad(), autocast(sampling.precision, device):
        visited = sampling.sampler.trajectory(
            denoise,
            begin(sampling.noise, white),
            sampling.noise,
            sampling.steps,
            [("sampler", sampling.seed, name, *again) for name in ids],
        )
    x0 = torch.stack([visited[k].x0 for k in kept], 1).float().cpu()
    broken = (~torch.isfinite(x0)).flatten(1).any(1)
    if broken.any():
        raise BadPrediction(f"sample {ids[int(broken.nonzero()[0])]}: the model drew values that are not finite")
    return x0.numpy()


@dataclass(frozen=True)
class Drawn:
    """Finished predictions. timesteps: those recorded, noisiest first."""

    folder: Path
    timesteps: Sequence[int]
    index: Index

    @classmethod
    def open(cls, folder: Path) -> Drawn:
        """Read what `predict` wrote."""
        steps = json.loads((folder / "steps.json").read_text())
        return cls(folder, [steps["timesteps"][k] for k in steps["recorded"]], Index.read(folder))

    def shards(self) -> Iterator[tuple[range, np.ndarray]]:
        """Items and their x0 (n, recorded, C, h, w), shard by shard."""
        total = len(self.index.items)
        for first in range(0, total, SHARD):
            rows = np.load(_shard(self.folder, first), allow_pickle=False)
            yield range(first, min(first + SHARD, total)), rows

    def only(self, sample: int) -> np.ndarray:
        """x0 (K, recorded, C, h, w) of one sample, by its index."""
        items = [i for i, item in enumerate(self.index.items) if item.sample == sample]
        shards = {i: np.load(_shard(self.folder, i // SHARD * SHARD), mmap_mode="r") for i in items}
        return np.stack([shards[i][i % SHARD] for i in items])


@dataclass(frozen=True)
class Answer:
    """What is said of one sample. predictions: one for each recorded step, noisiest first."""

    sample: Sample
    predictions: Sequence[Any]


def answers(
    drawn: Drawn,
    samples: Samples,
    encoding: Encoding,
    model: DenoisingModel,
    device: torch.device,
    drawing_size: Callable[[Sample], tuple[int, int] | None],
) -> Iterator[Answer]:
    """What was drawn for every sample, read on the device at every recorded step.

    drawing_size: (H, W) to which drawings are resized before they are decoded, None leaves them.
    """
    waiting: list[Tensor] = []  # drawings of a sample whose items are not all there yet
    for items, x0 in drawn.shards():
        for i, pictures in zip(items, _pictures(x0, model, device)):
            item = drawn.index.items[i]
            waiting.append(pictures)
            if i + 1 == len(drawn.index.items) or drawn.index.items[i + 1].sample != item.sample:
                sample = samples[item.sample]
                queries, size = cache.queries(encoding, sample, samples), drawing_size(sample)
                yield Answer(sample, readings(waiting, sample, queries, encoding, size))
                waiting = []


def _pictures(x0: np.ndarray, model: DenoisingModel, device: torch.device) -> Iterator[Tensor]:
    """Of each item (steps, C, h, w) its drawings (steps, 3, H, W) uint8 on the device."""
    steps, rows = x0.shape[1], len(x0)
    while rows > 1 and rows * steps * 3 * model.resolution**2 > ROOM:
        rows = rows // 2  # a codec's last bits may depend on how many pass through it: as many of one step as there are
    for first in range(0, len(x0), rows):
        latents = torch.from_numpy(x0[first : first + rows])
        with torch.no_grad():
            each = [pixels(model.codec.decode(latents[:, k].to(device))).to(torch.uint8) for k in range(steps)]
        yield from torch.stack(each, 1)


def readings(
    pictures: Sequence[Tensor],
    sample: Sample,
    queries: Sequence[Query],
    encoding: Encoding,
    size: tuple[int, int] | None,
) -> list[Any]:
    """Predictions of one sample at each recorded step, of the pictures (steps, 3, H, W) uint8 of each of its queries.

    They and the photograph are resized to `size` before. Encodings with a decode_batch read several steps at once.
    """
    steps, device = len(pictures[0]), pictures[0].device
    height, width = size or pictures[0].shape[2:]
    photo = _resized(to_batch(sample.image[None], device), (height, width))
    if len(queries) > 1 or not hasattr(encoding, "decode_batch"):
        drawings = (_resized(from_bytes(torch.stack(step)), (height, width)) for step in zip(*pictures))
        return [encoding.decode(drawing, photo[0], queries) for drawing in drawings]
    found: list[Any] = []
    for some in portions(steps, height * width, device):
        drawing = _resized(from_bytes(pictures[0][some]), (height, width))
        found += encoding.decode_batch(drawing, photo.expand(len(drawing), -1, -1, -1), [*queries] * len(drawing))
    return found


def ensembled(members: Sequence[Iterator[Answer]], task: Task) -> Iterator[Answer]:
    """What `answers` of several members give for the same samples in the same order, each prediction made of theirs."""
    for several in zip(*members, strict=True):
        steps = zip(*(answer.predictions for answer in several), strict=True)
        joined = [task.ensemble(step) for step in steps]  # type: ignore[attr-defined]  # optional
        yield replace(several[0], predictions=joined)


def decode(
    drawing: np.ndarray,
    sample: Sample,
    queries: Sequence[Query],
    encoding: Encoding,
    size: tuple[int, int] | None,
) -> Any:
    """Read K drawings (K, H, W, 3) uint8 of one sample, after resizing them and its photograph to `size`."""
    size = size or drawing.shape[1:3]
    return encoding.decode(_resized(to_batch(drawing), size), _resized(to_batch(sample.image[None]), size)[0], queries)


def _resized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    if pictures.shape[-2:] == tuple(size):
        return pictures
    return functional.interpolate(pictures, tuple(size), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Scores:
    """What a judge found.

    statistics: one row per sample, at the step that is read. curve: metric -> value at each step.
    """

    statistics: Statistics
    read: int
    timesteps: Sequence[int]
    curve: Mapping[str, list[float]]


def score(
    found: Iterable[Answer],
    evaluator: Evaluator,
    timesteps: Sequence[int],
    read: int,
) -> Scores:
    """Judge all answers. read: the index of the step whose answers count."""
    rows: list[list[Mapping[str, Any]]] = [[] for _ in timesteps]
    seen: list[Sample] = []
    for answer in found:
        seen.append(answer.sample)
        for step, row in zip(rows, judged(evaluator, answer.sample, answer.predictions), strict=True):
            step.append(row)
    columns = [columns_of(step) for step in rows]
    curve = {m.id: [float(m.value(c)) for c in columns] for m in evaluator.metrics}
    return Scores(_statistics(seen, rows[read]), read, timesteps, curve)


def judged(evaluator: Evaluator, sample: Sample, predictions: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """The statistics of several predictions for one sample, all at once where the evaluator can."""
    if hasattr(evaluator, "statistics_batch"):
        found: Sequence[Mapping[str, Any]] = evaluator.statistics_batch(sample, predictions)
        return found
    return [evaluator.statistics(sample, prediction) for prediction in predictions]


def score_naive(
    predictor: Predictor, samples: Samples, count: int, task: str, seed: int, evaluator: Evaluator, progress: Callable
) -> Scores:
    """Judge a predictor that answers without drawing. Raises BadData for a split with no samples."""
    if count == 0:
        raise BadData("the split holds no samples: nothing can be judged on it")
    seen, rows = [], []
    for i in range(count):
        sample = samples[i]
        rows.append(evaluator.statistics(sample, ask(predictor, sample, task, seed, cache.vocabulary(samples))))
        seen.append(sample)
        progress(i + 1, count)
    return Scores(_statistics(seen, rows), 0, (), {})


def ask(predictor: Predictor, sample: Sample, task: str, seed: int, vocabulary: Sequence[str] = ()) -> Any:
    """The answer of a predictor that does not draw; the same however often and in whatever order it is asked.

    Who does not declare `uses_truth` is shown the photograph, the words and the names of the classes, and nothing else.
    """
    if not looks(predictor, task):
        sample = replace(sample, truth=None, hints={"vocabulary": vocabulary} if vocabulary else {}, attributes={})
    return predictor.predict(sample, task, numpy_generator("predictor", seed, sample.id))


def looks(plugin: Any, task: str) -> bool:
    """Whether a plugin, or its class, declares that it uses the truth of this task (`protocols.Predictor`)."""
    declared: bool | Collection[str] = getattr(plugin, "uses_truth", False)
    return declared if isinstance(declared, bool) else task in declared


def _statistics(seen: Sequence[Sample], rows: Sequence[Mapping[str, Any]]) -> Statistics:
    return statistics_of([s.id for s in seen], [s.image_id for s in seen], rows, [s.attributes for s in seen])


def qualities(found: Iterable[Answer], task: Task, steps: int, side: int) -> np.ndarray:
    """task.quality of every sample at every recorded step, (samples, steps) float64, at the model's resolution."""
    rows = []
    for answer in found:
        truth = cache.truth_of(answer.sample, task, side)
        rows.append([task.quality(prediction, truth) for prediction in answer.predictions])
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), steps)


def reading(rule: str, timesteps: Sequence[int], curve_on_stats: Sequence[float] | None, higher: bool) -> int:
    """The index among recorded steps that is read. rule: "final", "t=NNN" or "best_on_stats".

    curve_on_stats: the headline metric at each recorded step, measured on the split kept for such choices.
    """
    if rule == "final":
        return len(timesteps) - 1
    if rule == "best_on_stats":
        assert curve_on_stats is not None
        values = np.asarray(curve_on_stats if higher else [-v for v in curve_on_stats])
        return int(len(values) - 1 - np.nanargmax(values[::-1]))  # the latest of equals
    t = int(rule.removeprefix("t="))
    if t not in timesteps:
        raise BadOption(
            f"--read-at t={t}: that timestep is not recorded; recorded are {', '.join(map(str, timesteps))}"
        )
    return list(timesteps).index(t)


def _shard(folder: Path, first: int) -> Path:
    return folder / f"x0-{first:07d}.npy"


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
