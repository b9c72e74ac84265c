"""Contracts of tasks, data, models, agents, executors and trackers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from addp_bench.errors import BadData, BadOption, BenchError, UnknownName
from addp_bench.jobs import Job
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.spec import Choice
from addp_bench.statistics import columns_of
from addp_bench.types import Sample

from . import brought
from .drawing import MAPS
from .given import (
    SIDE,
    VOCABULARY,
    Finding,
    answers_of,
    built,
    finite,
    masks_of,
    photos_of,
    said,
    sample_of,
    shaped,
    truths_of,
)

SAMPLES = 3  # of each split of a dataset that are read


def task(task: Any, registry: Registry) -> Iterator[Finding]:
    protocols = task.protocols()
    yield "has protocols", said(protocols, "it has none")
    for name, settings in protocols.items():
        metrics = task.evaluator(settings, VOCABULARY).metrics
        ids = [m.id for m in metrics]
        yield f"protocol {name} has metrics of different ids", said(ids and len(set(ids)) == len(ids), str(ids))
    judges = {card.judge for cards in getattr(task, "cards", {}).values() for card in cards.values()}
    yield "the judges of its cards are protocols", said(judges <= set(protocols), f"{judges - set(protocols)} are none")
    if task.truth in (*MAPS, "depth"):
        truth = truths_of(1)[task.truth][0].numpy()
        for name, settings in protocols.items():
            evaluator = task.evaluator(settings, VOCABULARY)
            yield f"protocol {name} gives the truth full marks", _full_marks(evaluator, truth)
            if hasattr(evaluator, "statistics_batch"):
                yield f"protocol {name} judges several answers as each of them", _judged_apart(evaluator, truth)
        best, worse = task.quality(truth, truth), task.quality(np.zeros_like(truth), truth)
        yield "quality is higher for a better answer", said(best > worse, f"the truth {best:g}, nothing {worse:g}")
    if (example := answers_of(task.truth)) is not None:
        truth, perfect, nothing = example
        for name, settings in protocols.items():
            evaluator = task.evaluator(settings, VOCABULARY)
            value = float(evaluator.metrics[0].value(columns_of([evaluator.statistics(sample_of(truth), perfect)])))
            yield f"protocol {name} gives the truth full marks", said(abs(value - 1) < 1e-9, f"met {value:g}")
        best, worse = task.quality(perfect, truth), task.quality(nothing, truth)
        yield "quality is higher for a better answer", said(best > worse, f"the truth {best:g}, nothing {worse:g}")
    if (own := brought.of_task("", task)) is not None:
        yield from brought.task(own)
    if task.truth == "class":
        sample = Sample("checks", "checks", np.zeros((SIDE, SIDE, 3), np.uint8), 1)
        for name, settings in protocols.items():
            evaluator = task.evaluator(settings, ("cup", "fork"))
            columns = {k: np.array([v]) for k, v in evaluator.statistics(sample, 1).items()}
            values = [float(evaluator.metrics[0].value(columns))]
            yield f"protocol {name} gives the truth full marks", said(values == [1.0], f"met {values[0]:g}")
    known = registry.names("encoding"), registry.names("corruption")
    named = (task.reads == "features" or task.encoding in known[0]) and set(task.corruptions) <= set(known[1])
    yield "its encoding and corruptions are registered", said(named, f"{task.encoding}, {list(task.corruptions)}")


SIZES = ((SIDE, SIDE), (480, 640), (375, 1242))  # protocols may be made for the photographs of one dataset


def _full_marks(evaluator: Any, truth: np.ndarray) -> str | None:
    """What keeps the truth from the best value of the headline metric, on photographs of a size that can be judged."""
    try:
        _, row = _judgeable(evaluator, truth)
    except BadData as refused:
        return str(refused)
    headline = evaluator.metrics[0]
    value, best = float(headline.value(columns_of([row]))), float(headline.higher_is_better)
    return said(abs(value - best) < 1e-6, f"met {value:g}")


def _judged_apart(evaluator: Any, truth: np.ndarray) -> str | None:
    """Where `statistics_batch` says something else of a truth, and of itself moved, than `statistics`."""
    sample, row = _judgeable(evaluator, truth)
    moved = torch.from_numpy(np.roll(sample.truth, 5, axis=(0, 1)))
    rows = [row, evaluator.statistics(sample, moved)]
    several = evaluator.statistics_batch(sample, [torch.from_numpy(sample.truth), moved])
    apart = [
        name
        for one, other in zip(rows, several, strict=True)
        for name in one.keys() | other.keys()
        if not np.allclose(one.get(name, np.inf), other.get(name, -np.inf), rtol=1e-12, atol=1e-12, equal_nan=True)
    ]
    return said(not apart, f"statistics_batch says something else than statistics of {', '.join(sorted(set(apart)))}")


def _judgeable(evaluator: Any, truth: np.ndarray) -> tuple[Sample, Any]:
    """A photograph of a size that a judge takes, made of this truth, and what it says of a perfect answer."""
    for height, width in SIZES:
        large = np.tile(truth, (-(-height // SIDE), -(-width // SIDE)))[:height, :width]
        sample = Sample("checks", "checks", np.zeros((height, width, 3), np.uint8), large, "the red cup")
        try:
            return sample, evaluator.statistics(sample, large)
        except BadData as other:
            refused = other
    raise refused


def dataset(dataset: Any, registry: Registry) -> Iterator[Finding]:
    card = dataset.card()
    filled = card.licence and card.citation and card.access and card.fingerprint
    yield "its card says licence, citation, access and fingerprint", said(filled, str(card))
    splits = {}
    for purpose in ("train", "stats", "eval"):
        with suppress(BadOption):  # it does not serve that purpose
            splits[purpose] = dataset.default_split(purpose)
    serves = "eval" in splits or {"train", "stats"} <= set(splits)
    yield (
        "it can be judged on, or trained and measured on",
        said(serves, f"it has splits for {list(splits) or 'nothing'}"),
    )
    there = set(splits.values()) <= set(dataset.splits())
    yield "its default splits are among its splits", said(there, f"{splits} of {list(dataset.splits())}")
    for task in dataset.tasks:
        judge = built("task", registry, task) if task in registry.names("task") else None
        if judge is not None and "eval" in splits:
            named = dataset.protocol(task)
            yield f"{task}: its protocol is one of the task's", said(named in judge.protocols(), named)
        if {"stats", "eval"} <= set(splits):
            measured, judged = (dataset.samples(splits[p], task) for p in ("stats", "eval"))
            shared = set(measured.image_ids) & set(judged.image_ids)
            yield f"{task}: stats shares no photograph with eval", said(not shared, f"{len(shared)} are in both")
        samples = dataset.samples(next(iter(splits.values())), task)
        yield f"{task}: ids are unique", said(len(set(samples.ids)) == len(samples), "one stands twice")
        for i in range(min(SAMPLES, len(samples))):
            sample, again = samples[i], samples[i]
            named = (sample.id, sample.image_id) == (samples.ids[i], samples.image_ids[i])
            yield f"{task}: sample {i} has the ids of its place", said(named, f"{sample.id}, {sample.image_id}")
            photo = sample.image.dtype == np.uint8 and sample.image.ndim == 3 and sample.image.shape[2] == 3
            yield (
                f"{task}: photograph {i} is (H, W, 3) uint8",
                said(photo, f"{sample.image.dtype} {sample.image.shape}"),
            )
            yield f"{task}: words {i} without the photograph", said(samples.text(i) == sample.text, samples.text(i))
            if hasattr(judge, "require"):
                yield f"{task}: truth {i} is one that the task takes", _refusal(judge, sample)
            if judge is not None and judge.truth == "class":
                named = 0 <= sample.truth < len(samples.vocabulary)
                yield f"{task}: class {i} is one of the vocabulary's", said(named, f"met {sample.truth!r}")
            same = np.array_equal(sample.image, again.image) and sample.text == again.text
            yield f"{task}: sample {i} is the same each time", said(same, "a second look differs")


def _refusal(task: Any, sample: Sample) -> str | None:
    try:
        task.require(sample)
    except BadData as refused:
        return str(refused)
    return None


def model(model: Any, registry: Registry) -> Iterator[Finding]:
    if not model.denoises:
        found = [finding for task in ("ris", "depth") for finding in _answers(model, task)]
        for name in sorted(set(getattr(model, "tasks", ())) & set(registry.names("task"))):
            if (own := brought.of_task(name, built("task", registry, name))) is not None:
                found += brought.answers(model, own)
        yield (
            "answers a task of which there is an example",
            said(found, "neither ris nor depth, nor one that is brought"),
        )
        yield from found
        return
    side = model.resolution
    shape = model.codec.shape(side, side)
    photos = torch.nn.functional.interpolate(photos_of(2), (side, side))
    with torch.no_grad():
        image, text = model.condition(photos), model.embed(["the red cup", ""])
        yield "one embedding for every prompt", said(len(text) == 2 and text.ndim == 3, str(tuple(text.shape)))
        latents = model.codec.encode(photos)
        yield shaped("pictures become latents", latents, (2, *shape))
        pictures = model.codec.decode(latents)
        yield shaped("latents become pictures", pictures, (2, 3, side, side))
        yield "pictures lie in [-1, 1]", said(pictures.abs().max() <= 1, f"met {pictures.abs().max():.3g}")
        output = model.forward(latents, torch.tensor([0, model.noise.steps - 1]), image, text)
        yield shaped("an output for every latent", output, latents.shape)
        yield finite("outputs are numbers", output)
        if hasattr(model, "features"):
            seen = model.features(latents, torch.tensor([0, 0]), image, text, model.layers)
            off = [name for name in model.layers if name not in seen or seen[name].ndim != 4 or len(seen[name]) != 2]
            yield "gives (B, C, h, w) of every layer that it names", said(model.layers and not off, str(off))
    yield (
        "budgets quick, standard and paper",
        said({"quick", "standard", "paper"} <= set(model.budgets), str([*model.budgets])),
    )
    yield "shares of dropout", said(sum(model.dropout) <= 1 and min(model.dropout) >= 0, str(model.dropout))
    named = built("guidance", registry, Choice.parse(model.guidance).name) if hasattr(model, "guidance") else True
    yield "its guidance is registered", said(named, "it is not")


def _answers(model: Any, task: str) -> Iterator[Finding]:
    """What a predictor says to a photograph; nothing for a task it does not know."""
    mask = masks_of(1)[0].numpy()
    truth = mask if task == "ris" else truths_of(1)["depth"][0].numpy()
    photo = numpy_generator("checks", "photo").integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    sample = Sample("checks", "checks", photo, truth, "the red cup", {"instance": mask.astype(np.int64)})
    try:
        if hasattr(model, "learn"):
            model.learn([sample], 1, task)
        replies = [model.predict(sample, task, numpy_generator("checks", 0)) for _ in range(2)]
    except UnknownName:
        return
    answers = [np.asarray(getattr(answer, "values", answer)) for answer in replies]
    yield shaped(f"a {'mask' if task == 'ris' else task} of the photograph's size", answers[0], (SIDE, SIDE))
    yield "all randomness comes in", said(np.array_equal(answers[0], answers[1]), "two calls differ")


def executor(executor: Any, registry: Registry) -> Iterator[Finding]:
    done: list[str] = []

    def fails() -> None:
        raise BenchError("asked to")

    jobs = [
        Job("first", (), lambda: done.append("first")),
        Job("fails", (), fails),
        Job("needs it", ("fails",), lambda: done.append("needs it")),
        Job("last", ("first",), lambda: done.append("last")),
    ]
    ended = {outcome.job.name: outcome for outcome in executor.run(jobs)}
    yield "every job ends once", said(ended.keys() == {job.name for job in jobs}, str([*ended]))
    yield (
        "a job runs after those it needs, and a failure takes none but its own",
        said(done == ["first", "last"], str(done)),
    )
    told = ended["needs it"].error is not None and not ended["needs it"].begun
    yield "what needs a failed job is not begun", said(told, "it was")


def tracker(tracker: Any, registry: Registry) -> Iterator[Finding]:
    calls: dict[str, tuple[Any, ...]] = {"begin": ("run", {}), "log": ("run", 1, {}), "end": ("run", {})}
    for name, given in calls.items():  # it is not called: that might show a run to the world
        method = getattr(tracker, name, None)
        try:
            inspect.signature(method).bind(*given)  # type: ignore[arg-type]  # None where it is missing, which raises
            wrong = ""
        except TypeError as why:
            wrong = str(why)
        yield f"has `{name}` of the contract's parameters", wrong or None


def agent(agent: Any, registry: Registry) -> Iterator[Finding]:
    said = agent.propose(np.zeros((SIDE, SIDE, 3), np.uint8), "the red cup", [], 3)
    yield "at most as many words as were asked for", said(len(said) <= 3, str(list(said)))
    yield "declares whether it sees the truth", said(isinstance(agent.uses_truth, bool), repr(agent.uses_truth))
