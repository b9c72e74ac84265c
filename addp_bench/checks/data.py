"""The contract of datasets: splits, ids, photographs, truths and words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import numpy as np

from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.types import UNLABELLED, Objects, Sample

from .common import Call
from .given import Finding, Subject, built, said, unseen

SAMPLES = 3  # of each split that are read


def _splits(dataset: Any) -> dict[str, str]:
    """Default splits by purpose, of those that it serves."""
    found = {}
    for purpose in ("train", "stats", "eval"):
        with suppress(BadOption):
            found[purpose] = dataset.default_split(purpose)
    return found


def dataset_calls(dataset: Any, subject: Subject) -> Iterator[Call]:
    split = next(iter(_splits(dataset).values()))
    task = dataset.tasks[0]

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        samples = plugin.samples(split, task)
        return {"samples": [samples[i] for i in range(min(SAMPLES, len(samples)))]}

    yield Call(dict, asked, of=task)


def dataset(dataset: Any, subject: Subject) -> Iterator[Finding]:
    card = dataset.card()
    filled = card.licence and card.citation and card.access and card.fingerprint
    yield said("dataset.card", filled, str(card))
    splits = _splits(dataset)
    serves = "eval" in splits or {"train", "stats"} <= set(splits)
    yield said("dataset.purposes", serves, f"it has splits for {', '.join(splits) or 'nothing'}")
    there = set(splits.values()) <= set(dataset.splits())
    yield said("dataset.splits", there, f"{splits} of {list(dataset.splits())}")
    unknown = sorted(set(dataset.tasks) - set(subject.registry.names("task")))
    yield said("dataset.tasks", dataset.tasks and not unknown, f"no task is called {', '.join(unknown)}")
    yield Finding("dataset.unknown_split", _unknown(dataset))
    again = subject.build()
    for task in dataset.tasks:
        if task not in unknown:
            yield from _for(dataset, again, task, splits, subject)


def _unknown(dataset: Any) -> str | None:
    try:
        dataset.samples("no_such_split", dataset.tasks[0])
    except UnknownName:
        return None
    except Exception as other:
        return f"it raises {type(other).__name__}: {other}"
    return "it gives samples of it"


def _for(dataset: Any, again: Any, task: str, splits: dict[str, str], subject: Subject) -> Iterator[Finding]:
    """What a dataset says to one task."""
    judge = built("task", subject.registry, task)
    if "eval" in splits:
        named = dataset.protocol(task)
        yield said("dataset.protocol", named in judge.protocols(), f"{named!r} is none", task)
    else:
        yield unseen("dataset.protocol", "it is not judged on", task)
    if {"stats", "eval"} <= set(splits):
        measured, judged = (dataset.samples(splits[p], task) for p in ("stats", "eval"))
        shared = set(measured.image_ids) & set(judged.image_ids)
        yield said("dataset.stats_apart", not shared, f"{len(shared)} are in both", task)
    else:
        yield unseen("dataset.stats_apart", "it has not both", task)
    split = next(iter(splits.values()))
    samples, second = dataset.samples(split, task), again.samples(split, task)
    ids, images = list(samples.ids), list(samples.image_ids)
    words = all(isinstance(name, str) for name in (*ids, *images))
    whole = len(set(ids)) == len(ids) == len(images) == len(samples) > 0 and words
    told = f"{len(set(ids))} different ids and {len(images)} photographs' for {len(samples)} samples"
    yield said("dataset.ids_unique", whole, told, task)
    stable = ids == list(second.ids) and images == list(second.image_ids)
    yield said("dataset.ids_stable", stable, "another order, or other ids", task)
    for i in range(min(SAMPLES, len(samples))):
        yield from _sample(samples, i, judge, f"{task}, sample {i}")


def _sample(samples: Any, i: int, judge: Any, of: str) -> Iterator[Finding]:
    sample = samples[i]
    named = (sample.id, sample.image_id) == (samples.ids[i], samples.image_ids[i])
    yield said("dataset.ids_placed", named, f"{sample.id}, {sample.image_id}", of)
    photo = sample.image
    sound = isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
    yield said("dataset.photograph", sound, f"{getattr(photo, 'dtype', type(photo))} {np.shape(photo)}", of)
    fixed = [n for n, a in (("photograph", photo), ("truth", sample.truth)) if not _writable(a)]
    yield said("dataset.writable", not fixed, f"its {' and its '.join(fixed)} can only be read; np.array copies it", of)
    yield Finding("dataset.truth", _truth(judge.truth, sample, getattr(samples, "vocabulary", ())), of)
    if hasattr(judge, "require"):
        yield Finding("dataset.truth_taken", _refusal(judge, sample), of)
    else:
        yield unseen("dataset.truth_taken", "its task takes any", of)
    with _watched(type(samples).__getitem__) as opened:
        words = samples.text(i)
    yield said("dataset.text", words == sample.text, f"{words!r} for {sample.text!r}", of)
    yield said("dataset.text_unopened", not opened, f"it calls {', '.join(dict.fromkeys(opened))}", of)
    odd = [name for name, value in sample.attributes.items() if not isinstance(value, (str, int, float, bool))]
    yield said("dataset.attributes", not odd, f"{', '.join(odd)} is none", of)


def _writable(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or bool(value.flags.writeable)


def _refusal(task: Any, sample: Sample) -> str | None:
    try:
        task.require(sample)
    except BadData as refused:
        return str(refused)
    return None


def _truth(kind: str, sample: Sample, vocabulary: Sequence[str]) -> str | None:
    """What is wrong with a truth of a type that is known here."""
    if kind == "boxes":
        return _objects(sample.truth, sample.image.shape[:2], len(vocabulary))
    if kind == "class":
        named = isinstance(sample.truth, (int, np.integer)) and 0 <= sample.truth < len(vocabulary)
        return None if named else f"class {sample.truth!r} of {len(vocabulary)}"
    truth = np.asarray(sample.truth)
    if kind == "classes":
        sound = truth.dtype == bool and truth.shape == (len(vocabulary),)
        return None if sound else f"{truth.dtype} {truth.shape} for {len(vocabulary)} classes"
    dtypes = {"mask": np.bool_, "depth": np.float32, "labels": np.int64}
    if kind not in dtypes:
        return None
    if truth.dtype != dtypes[kind] or truth.shape != sample.image.shape[:2]:
        return f"{truth.dtype} {truth.shape} over a photograph {sample.image.shape[:2]}"
    if kind == "depth" and not (np.isfinite(truth).all() and truth.min() >= 0):
        return f"depths from {truth.min():g} to {truth.max():g}"
    known = truth[truth != UNLABELLED] if kind == "labels" else truth[:0]
    if known.size and not 0 <= known.min() <= known.max() < len(vocabulary):
        return f"labels {known.min()} to {known.max()} of {len(vocabulary)}"
    return None


def _objects(truth: Any, size: tuple[int, int], classes: int) -> str | None:
    if not isinstance(truth, Objects):
        return f"a {type(truth).__name__}"
    boxes, n = np.asarray(truth.xyxy, np.float64).reshape(-1, 4), len(truth.labels)
    if not len(boxes) == n == len(truth.crowd) == len(truth.area):
        return f"{len(boxes)} boxes, {n} labels, {len(truth.crowd)} marks of crowds, {len(truth.area)} areas"
    if tuple(truth.size) != size:
        return f"boxes in a photograph {tuple(truth.size)} of {size}"
    if n and not (0 <= truth.labels.min() <= truth.labels.max() < classes):
        return f"labels {truth.labels.min()} to {truth.labels.max()} of {classes}"
    edges = np.array([size[1], size[0], size[1], size[0]]) + 1.0  # half a pixel beyond the border is met in real data
    if n and not ((boxes >= -1).all() and (boxes <= edges).all() and (boxes[:, :2] <= boxes[:, 2:]).all()):
        return f"boxes {boxes.min():g} to {boxes.max():g} in a photograph {size}"
    return None


class _watched:
    """Notes calls of what opens photographs: the split's own look-up, Pillow and OpenCV."""

    def __init__(self, look_up: Any) -> None:
        self._code = getattr(look_up, "__code__", None)
        self._opened: list[str] = []

    def __enter__(self) -> list[str]:
        self._before = sys.getprofile()
        sys.setprofile(self._note)
        return self._opened

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call" and frame.f_code is self._code:
            self._opened.append("its own samples[i]")
        elif event == "call" and (frame.f_globals.get("__name__"), frame.f_code.co_name) == ("PIL.Image", "open"):
            self._opened.append("PIL.Image.open")
        elif event == "c_call" and getattr(called, "__name__", "") in ("imread", "imdecode"):
            self._opened.append(f"cv2.{called.__name__}")
