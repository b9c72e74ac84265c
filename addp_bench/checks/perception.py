"""Contracts of tasks, data, drawings and models."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from addp_bench.errors import BadData, BadOption, BenchError, UnknownName
from addp_bench.jobs import Job
from addp_bench.randomness import numpy_generator, uniform
from addp_bench.registry import Registry
from addp_bench.spec import Choice
from addp_bench.statistics import columns_of
from addp_bench.types import UNLABELLED, Boxes, Depth, Drawing, Query, Sample

from .given import (
    SIDE,
    VOCABULARY,
    Finding,
    answers_of,
    boxes_of,
    built,
    finite,
    masks_of,
    names,
    noise_of,
    photos_of,
    said,
    shaped,
    truths_of,
)

SAMPLES = 3  # of each split of a dataset that are read
MAPS = ("mask", "labels")  # truths (H, W) of which there are examples


def aug(aug: Any, registry: Registry) -> Iterator[Finding]:
    noise = noise_of(registry)
    strength = aug.strength(torch.arange(noise.steps), noise)
    yield shaped("a strength for every timestep", strength, (noise.steps,))
    inside = (strength >= 0).all() and (strength <= 2).all()
    yield "strengths lie in [0, 2]", said(inside, f"met {strength.min():.3g} to {strength.max():.3g}")
    silent = getattr(aug, "intensity", 1) == 0  # then it may corrupt, and does nothing
    acts = aug.corrupts == bool(strength.any()) or silent
    yield "`corrupts` is true where it acts", said(acts, f"corrupts is {aug.corrupts}")


def corruption(corruption: Any, registry: Registry) -> Iterator[Finding]:
    if corruption.truth not in ("any", *truths_of(1)):
        yield f"damages {corruption.truth}, of which there is no example here", None
        return
    count = 4
    masks, u = masks_of(count), uniform((corruption.draws,), names("corruption", count)).float()
    on_truth = corruption.acts_on == "truth"
    target = truths_of(count)[corruption.truth] if on_truth else _drawing(corruption.truth, masks)
    every = torch.arange(count)

    def damaged(strength: float, rows: torch.Tensor = every) -> tuple[torch.Tensor, ...]:
        given, kept = _rows(target, rows), _values(_rows(target, rows))
        out = corruption.corrupt(given, torch.full((len(rows),), strength), u[rows])
        if not _same(_values(given), kept):
            raise ValueError("it writes into the target it was given")
        if type(out) is not type(given):
            raise ValueError(f"it was given a {type(given).__name__} and gave back a {type(out).__name__}")
        return _values(out)

    before = _values(target)
    shapes = [[(v.shape, v.dtype) for v in values] for values in (damaged(1.0), damaged(2.0), before)]
    yield "gives back what it was given, damaged", said(shapes[0] == shapes[2], f"met {shapes[0]} for {shapes[2]}")
    yield "strength 0 changes nothing", said(_same(damaged(0.0), before), "something changed")
    yield "strength 1 changes something", said(not _same(damaged(1.0), before), "nothing changed")
    yield "takes strengths up to 2", said(shapes[1] == shapes[2], f"met {shapes[1]} for {shapes[2]}")
    yield "all randomness comes in", said(_same(damaged(1.0), damaged(1.0)), "two calls differ")
    rows = zip(damaged(1.0, every[2:3]), damaged(1.0))
    alone = all(torch.allclose(a.double(), b[2:3].double(), atol=1e-5) for a, b in rows)  # sums may round otherwise
    yield "a sample does not depend on its batch", said(alone, "alone it is damaged otherwise")
    if not on_truth and isinstance(target, Drawing) and target.painted is not None:
        rgb = damaged(1.0)[0].permute(0, 2, 3, 1)
        still = torch.equal(rgb[~masks], target.rgb.permute(0, 2, 3, 1)[~masks])
        yield "the photograph keeps its colours", said(still, "a pixel that was not painted changed")


def transform(transform: Any, registry: Registry) -> Iterator[Finding]:
    yield "says what it does with a picture", said(isinstance(transform.changes, tuple), repr(transform.changes))
    examples = {kind: truth for kind, truth in truths_of(4).items() if kind in transform.truths}
    if not examples:
        yield f"changes {', '.join(transform.truths)}, of which there is no example here", None
    for kind, truth in examples.items():
        for promise, problem in _changes(transform, truth):
            yield f"{kind}: {promise}", problem


def _changes(transform: Any, truths: Any) -> Iterator[Finding]:
    """What a transform does to photographs and four truths of one type."""
    photos, every = photos_of(4), torch.arange(4)
    u = uniform((transform.draws,), names("transform", 4)).float()

    def changed(rows: torch.Tensor = every) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        photo, truth = photos[rows], _rows(truths, rows)
        new, answer = transform.apply(photo, truth, u[rows])
        if not (torch.equal(photo, photos[rows]) and _same(_values(truth), _values(_rows(truths, rows)))):
            raise ValueError("it writes into what it was given")
        if type(answer) is not type(truth):
            raise ValueError(f"it was given a {type(truth).__name__} and gave back a {type(answer).__name__}")
        return new, _values(answer)

    new, truth = changed()
    met, given = ([(v.shape, v.dtype) for v in values] for values in (truth, _values(truths)))
    yield shaped("gives back photographs", new, photos.shape)
    yield "gives back truths of their type and shape", said(met == given, f"met {met} for {given}")
    yield "photographs stay in [-1, 1]", said(new.abs().max() <= 1, f"met {new.abs().max():.3g}")
    yield "something changes", said(not torch.equal(new, photos), "no photograph did")
    again = changed()
    yield "all randomness comes in", said(_same((new, *truth), (again[0], *again[1])), "two calls differ")
    alone = changed(every[2:3])
    close = torch.allclose(alone[0], new[2:3], atol=1e-6) and _same(alone[1], [part[2:3] for part in truth])
    yield "a sample does not depend on its batch", said(close, "alone it is changed otherwise")
    # masks and class maps are of whole numbers, of which there are few; boxes move, and depth is no label
    invented = [
        set(value.unique().tolist()) - set(before.unique().tolist())
        for value, before in zip(truth, _values(truths))
        if isinstance(truths, torch.Tensor) and not value.is_floating_point()
    ]
    yield "no label is invented", said(not any(invented), f"met {invented}")


def _drawing(truth: str, masks: torch.Tensor) -> Drawing:
    """Drawings of a kind of truth: masks in red on photographs, anything else as a grey picture with a hole in it."""
    photos = photos_of(len(masks))
    if truth in ("any", "mask"):
        return Drawing(torch.where(masks[:, None], torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1), photos), None, masks)
    return Drawing(photos[:, :1].expand_as(photos).contiguous(), ~masks)


def _rows(target: Any, rows: torch.Tensor) -> Any:
    """A copy of some samples of a batch of truths or drawings."""
    if isinstance(target, torch.Tensor):
        return target[rows]
    parts = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    return type(target)(**{k: v[rows] if isinstance(v, torch.Tensor) else v for k, v in parts.items()})


def _values(target: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of a batch of truths or drawings, copied."""
    if isinstance(target, torch.Tensor):
        return (target.clone(),)
    parts = (getattr(target, f.name) for f in dataclasses.fields(target))
    return tuple(part.clone() for part in parts if isinstance(part, torch.Tensor))


def _same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other))


def encoding(encoding: Any, registry: Registry) -> Iterator[Finding]:
    if encoding.truth not in READ_BACK:
        yield f"draws {encoding.truth}, of which there is no example here", None
        return
    truths: Any = boxes_of(4) if encoding.truth == "boxes" else truths_of(4)[encoding.truth]  # apart, not overlapping
    photos = photos_of(4).mean(1, keepdim=True).repeat(1, 3, 1, 1)  # grey: nothing has a drawing's colour
    sample = _sample(None) if encoding.truth == "mask" else dataclasses.replace(_sample(None), text="")
    asked = list(encoding.queries(sample, VOCABULARY))
    yield "asks without the truth", said(asked and all(isinstance(q, Query) for q in asked), f"met {asked!r}")
    k = len(asked)
    each = torch.arange(4).repeat_interleave(k)
    drawn = encoding.encode(photos[each], _rows(truths, each), asked * 4)
    yield shaped("a picture for every drawing", drawn.rgb, (4 * k, *photos.shape[1:]))
    yield "pictures lie in [-1, 1]", said(drawn.rgb.abs().max() <= 1, f"met {drawn.rgb.abs().max():.3g}")
    if drawn.valid is not None:
        yield "says that parts of it may mean nothing", said(getattr(encoding, "partial", False), "no `partial = True`")
    if (sweep := getattr(encoding, "sweep", None)) is not None:
        given = (drawn.rgb.split(k)[0], photos[0], asked)
        whole, many = encoding.decode(*given), encoding.decode_swept(*given, [*sweep.values, sweep.own])
        yield (
            "reads a drawing once for each value of its sweep",
            said(len(many) == len(sweep.values) + 1, str(len(many))),
        )
        same = torch.equal(torch.as_tensor(many[-1]), torch.as_tensor(whole)) if encoding.truth in MAPS else True
        yield "at its own value the sweep reads as `decode` does", said(same, "another answer")
    if getattr(encoding, "learns", 0):
        yield "reads nothing before its decoder has learnt", _unread(encoding, drawn.rgb[:k], photos[0], asked)
        return
    problems = (
        READ_BACK[encoding.truth](encoding.decode(drawings, photos[i], asked), _rows(truths, torch.tensor([i])))
        for i, drawings in enumerate(drawn.rgb.split(k))
    )
    yield "a drawing is read back as what was drawn", next(filter(None, problems), None)
    if k == 1 and hasattr(encoding, "decode_batch"):
        single = [encoding.decode(drawn.rgb[i : i + 1], photos[i], asked) for i in range(4)]
        several = encoding.decode_batch(drawn.rgb, photos, asked * 4)
        same = len(several) == 4 and all(np.array_equal(_plain(a), _plain(b)) for a, b in zip(single, several))
        yield "several drawings are read as each of them", said(same, "decode_batch says something else than decode")


def _plain(answer: Any) -> np.ndarray:
    """The numbers of a prediction that is a map."""
    return np.asarray(torch.as_tensor(answer.values if isinstance(answer, Depth) else answer).cpu())


def _unread(encoding: Any, drawings: torch.Tensor, photo: torch.Tensor, asked: Sequence[Query]) -> str | None:
    """An encoding that must learn first refuses to read, with an error that is shown to people."""
    with suppress(BadOption):
        encoding.decode(drawings, photo, asked)
        return "it read a drawing"
    return None


def _map_read_back(read: Any, truths: torch.Tensor) -> str | None:
    """A mask or a class map, where it says something; truths: a batch of one."""
    wrong = int(((torch.as_tensor(read) != truths[0]) & _meant(truths[0])).sum())
    return said(not wrong, f"{wrong} of {SIDE * SIDE} pixels differ")


def _boxes_read_back(read: Any, truths: Boxes) -> str | None:
    """Every box, of its class, to a pixel."""
    order, there = np.argsort(read.labels), truths.xyxy[0].numpy()
    found = np.asarray(read.xyxy)[order]
    same = np.asarray(read.labels)[order].tolist() == truths.labels[0].tolist() and np.abs(found - there).max() <= 1
    return said(same, f"met boxes {found.tolist()} for {there.tolist()}")


def _depth_read_back(read: Any, truths: torch.Tensor) -> str | None:
    """Depth between its 5th and 95th percentile, which no encoding may clip, within 2 % of their distance."""
    truth = truths[0]
    known = truth.numpy() > 0
    true, found = truth.numpy()[known].astype(np.float64), np.asarray(read.values)[known].astype(np.float64)
    inside = (true > np.quantile(true, 0.05)) & (true < np.quantile(true, 0.95))
    true, found = true[inside], found[inside]
    if read.space == "disparity":
        true = 1.0 / true
    scale, shift = (1.0, 0.0) if read.space == "metric" else np.polyfit(found, true, 1)
    if scale <= 0:
        return "what is near reads as far"
    worst = float(np.abs(scale * found + shift - true).max() / np.ptp(true))
    return said(worst < 0.02, f"a pixel is off by {100 * worst:.1f} % of the range")


def _answers_read_back(read: Any, truths: torch.Tensor) -> str | None:
    """Yes where a class is there and no where it is not, of every class."""
    said_yes = {int(label): bool(score > 0.5) for label, score in zip(read.labels, read.scores)}
    there = dict(enumerate(truths[0].tolist()))
    return said(said_yes == there and 0.5 not in np.asarray(read.scores), f"met {said_yes} for {there}")


READ_BACK: dict[str, Any] = {
    "mask": _map_read_back,
    "labels": _map_read_back,
    "depth": _depth_read_back,
    "boxes": _boxes_read_back,
    "classes": _answers_read_back,
}


def _meant(truth: torch.Tensor) -> torch.Tensor:
    """Where a map (H, W) says something."""
    return torch.ones_like(truth) if truth.dtype == torch.bool else truth != UNLABELLED


def _sample(truth: Any) -> Sample:
    return Sample("checks", "checks", np.zeros((SIDE, SIDE, 3), np.uint8), truth, "the red cup")


def _misread(read: Any, truth: Any) -> str | None:
    """How a prediction differs from the truth of one sample, a batch of one; None where it does not."""
    if not isinstance(truth, Boxes):
        wrong = int((torch.as_tensor(read) != truth[0]).sum())
        return f"{wrong} of {SIDE * SIDE} pixels differ" if wrong else None
    order = np.argsort(read.labels)
    found, there = np.asarray(read.xyxy)[order], truth.xyxy[0].numpy()
    same = np.asarray(read.labels)[order].tolist() == truth.labels[0].tolist() and np.abs(found - there).max() <= 1
    return None if same else f"met boxes {found.tolist()} for {there.tolist()}"


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
            value = float(evaluator.metrics[0].value(columns_of([evaluator.statistics(_sample(truth), perfect)])))
            yield f"protocol {name} gives the truth full marks", said(abs(value - 1) < 1e-9, f"met {value:g}")
        best, worse = task.quality(perfect, truth), task.quality(nothing, truth)
        yield "quality is higher for a better answer", said(best > worse, f"the truth {best:g}, nothing {worse:g}")
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
        yield "answers a task of which there is an example here", said(found, "neither ris nor depth")
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


def agent(agent: Any, registry: Registry) -> Iterator[Finding]:
    said = agent.propose(np.zeros((SIDE, SIDE, 3), np.uint8), "the red cup", [], 3)
    yield "at most as many words as were asked for", said(len(said) <= 3, str(list(said)))
    yield "declares whether it sees the truth", said(isinstance(agent.uses_truth, bool), repr(agent.uses_truth))
