"""The contract of encodings: what is drawn is read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from addp_bench.errors import BadOption
from addp_bench.registry import Registry
from addp_bench.types import UNLABELLED, Boxes, Depth, Query

from . import brought
from .changing import rows_of
from .given import (
    SIDE,
    VOCABULARY,
    Finding,
    boxes_of,
    photos_of,
    said,
    sample_of,
    shaped,
    truths_of,
)

MAPS = ("mask", "labels")  # truths (H, W) of which there are examples


def encoding(encoding: Any, registry: Registry) -> Iterator[Finding]:
    if encoding.truth not in READ_BACK:
        if (own := brought.of_truth(registry, encoding.truth)) is not None:
            yield from brought.encoding(encoding, own)
            return
        yield f"draws {encoding.truth}, of which there is no example here", None
        return
    truths: Any = boxes_of(4) if encoding.truth == "boxes" else truths_of(4)[encoding.truth]  # apart, not overlapping
    photos = photos_of(4).mean(1, keepdim=True).repeat(1, 3, 1, 1)  # grey: nothing has a drawing's colour
    sample = sample_of(None) if encoding.truth == "mask" else dataclasses.replace(sample_of(None), text="")
    asked = list(encoding.queries(sample, VOCABULARY))
    yield "asks without the truth", said(asked and all(isinstance(q, Query) for q in asked), f"met {asked!r}")
    k = len(asked)
    each = torch.arange(4).repeat_interleave(k)
    drawn = encoding.encode(photos[each], rows_of(truths, each), asked * 4)
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
        READ_BACK[encoding.truth](encoding.decode(drawings, photos[i], asked), rows_of(truths, torch.tensor([i])))
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
