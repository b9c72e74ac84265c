"""The contract of encodings: what is drawn is read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from addp_bench.errors import BenchError
from addp_bench.types import UNLABELLED, Boxes, Query, Sample

from . import brought
from .changing import rows_of
from .common import Call
from .comparing import differ
from .given import SIDE, VOCABULARY, Finding, Subject, boxes_of, photos_of, said, sample_of, truths_of, unseen

FOUR = brought.COUNT
MAPS = ("mask", "labels")  # truths (H, W) of which there are examples


class _Shown(NamedTuple):
    """What an encoding draws: photographs (4, 3, SIDE, SIDE), their truths, a sample that is asked for, and who says
    what a reading of sample i has lost."""

    photos: torch.Tensor
    truths: Any
    sample: Sample
    lost: Callable[[Any, int], str | None]

    def rows(self, rows: Sequence[int]) -> tuple[torch.Tensor, Any]:
        """Photographs and truths of some samples."""
        chosen = torch.tensor(rows)
        return self.photos[chosen], rows_of(self.truths, chosen)


def _shown(encoding: Any, subject: Subject) -> _Shown | None:
    """None for a type of truth of which there is no example that can be cut by rows."""
    kind, sample = encoding.truth, sample_of(None)
    if kind in READ_BACK:
        grey = photos_of(FOUR).mean(1, keepdim=True).repeat(1, 3, 1, 1)  # nothing in them has a drawing's colour
        truths = boxes_of(FOUR) if kind == "boxes" else truths_of(FOUR)[kind]  # apart, not overlapping
        asked = sample if kind == "mask" else dataclasses.replace(sample, text="")
        return _Shown(grey, truths, asked, lambda read, i: READ_BACK[kind](read, rows_of(truths, torch.tensor([i]))))
    own = brought.of_truth(subject.registry, kind)
    if own is None or not isinstance(batch := own.truths(range(FOUR)), (torch.Tensor, Boxes)):
        return None

    def lost(read: Any, i: int) -> str | None:
        share = own.lost(read, i)
        return None if share <= brought.NEAR else f"{100 * share:.0f} % of the way to a worse answer is lost"

    return _Shown(own.photos(), batch, dataclasses.replace(own.samples[0], truth=None, hints={}), lost)


def encoding_calls(encoding: Any, subject: Subject) -> Iterator[Call]:
    if (shown := _shown(encoding, subject)) is None:
        return
    k, sample = len(encoding.queries(shown.sample, VOCABULARY)), shown.sample

    def given() -> dict[str, Any]:
        photos, truths = shown.rows(range(FOUR))
        return {"photos": photos, "truths": truths}

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        queries, photos, truths = list(plugin.queries(sample, VOCABULARY)), given["photos"], given["truths"]
        if k > 1:
            each = torch.arange(len(photos)).repeat_interleave(k)
            photos, truths = photos[each], rows_of(truths, each)
        drawn = plugin.encode(photos, truths, queries * len(given["photos"]))
        rgb = drawn.rgb.unflatten(0, (-1, k))
        if getattr(plugin, "learns", 0):
            return {"rgb": rgb}
        read = [plugin.decode(d, photo, list(queries)) for d, photo in zip(rgb, given["photos"])]
        return {"rgb": rgb, "read": read}

    yield Call(given, asked, {"rgb": ((FOUR, k, 3, SIDE, SIDE), torch.float32)}, FOUR)


def encoding(encoding: Any, subject: Subject) -> Iterator[Finding]:
    named = isinstance(encoding.truth, str) and encoding.truth
    yield said("encoding.truth", named, f"it draws {encoding.truth!r}")
    if (shown := _shown(encoding, subject)) is None:
        for name in ("asks", "range", "blind", "read_back"):
            yield unseen(f"encoding.{name}", f"there is no example of {encoding.truth} here")
        return
    asked = list(encoding.queries(shown.sample, VOCABULARY))
    sound = asked and all(isinstance(q, Query) and isinstance(q.prompt, str) for q in asked)
    yield said("encoding.asks", sound, f"met {asked!r}")
    k = len(asked)
    drawn = encoding.encode(*shown.rows([i for i in range(FOUR) for _ in range(k)]), asked * FOUR)
    inside = torch.isfinite(drawn.rgb).all() and drawn.rgb.abs().max() <= 1
    yield said("encoding.range", inside, f"met {drawn.rgb.min():.3g} to {drawn.rgb.max():.3g}")
    everywhere = drawn.valid is None or bool(drawn.valid.all())
    told = everywhere or getattr(encoding, "partial", False)
    yield said("encoding.partial", told, "`valid` is False somewhere, and it does not say `partial = True`")
    first = (drawn.rgb[:k], shown.photos[0], asked)
    if getattr(encoding, "learns", 0):
        yield Finding("encoding.unlearnt", _unread(encoding, *first))
        for name in ("blind", "read_back"):
            yield unseen(f"encoding.{name}", "its decoder must learn first")
        return
    yield unseen("encoding.unlearnt", "its decoder learns nothing")
    yield Finding("encoding.blind", _looks(encoding, subject.build(), shown, *first))
    read = [encoding.decode(drawings, shown.photos[i], asked) for i, drawings in enumerate(drawn.rgb.split(k))]
    problems = (shown.lost(answer, i) for i, answer in enumerate(read))
    yield Finding("encoding.read_back", next(filter(None, problems), None))
    yield from _swept(encoding, *first)
    if k == 1 and hasattr(encoding, "decode_batch"):
        several = list(encoding.decode_batch(drawn.rgb, shown.photos, asked * FOUR))
        yield Finding("encoding.several", differ(several, read))
    else:
        yield unseen("encoding.several", "it has no decode_batch")


def _looks(
    encoding: Any, other: Any, shown: _Shown, drawings: torch.Tensor, photo: torch.Tensor, asked: Sequence[Query]
) -> str | None:
    """Where one that drew another truth last reads a drawing otherwise than the one that drew it."""
    read = encoding.decode(drawings, photo, asked)
    try:
        other.encode(*shown.rows([FOUR - 1] * len(asked)), list(asked))
        problem = differ(read, other.decode(drawings, photo, asked))
    except Exception as missing:
        return f"one that did not draw it raises {type(missing).__name__}: {missing}"
    return problem and f"one that has drawn another truth since reads it otherwise: {problem}"


def _swept(encoding: Any, drawings: torch.Tensor, photo: torch.Tensor, asked: Sequence[Query]) -> Iterator[Finding]:
    if (sweep := getattr(encoding, "sweep", None)) is None:
        for clause in ("sweep", "sweep_own"):
            yield unseen(f"encoding.{clause}", "it has none")
        return
    whole = encoding.decode(drawings, photo, asked)
    many = encoding.decode_swept(drawings, photo, asked, [*sweep.values, sweep.own])
    yield said("encoding.sweep", len(many) == len(sweep.values) + 1, f"met {len(many)} for {len(sweep.values) + 1}")
    same = torch.equal(torch.as_tensor(many[-1]), torch.as_tensor(whole)) if encoding.truth in MAPS else True
    yield said("encoding.sweep_own", same, "another answer")


def _unread(encoding: Any, drawings: torch.Tensor, photo: torch.Tensor, asked: Sequence[Query]) -> str | None:
    """An encoding that must learn first refuses to read, with an error that is shown to people."""
    try:
        encoding.decode(drawings, photo, asked)
    except BenchError:
        return None
    except Exception as other:
        return f"it raises {type(other).__name__}: {other}"
    return "it read a drawing"


def _map_read_back(read: Any, truths: torch.Tensor) -> str | None:
    """A mask or a class map, where it says something; truths: a batch of one."""
    wrong = int(((torch.as_tensor(read) != truths[0]) & _meant(truths[0])).sum())
    return f"{wrong} of {SIDE * SIDE} pixels differ" if wrong else None


def _boxes_read_back(read: Any, truths: Boxes) -> str | None:
    """Every box, of its class, to a pixel."""
    order, there = np.argsort(read.labels), truths.xyxy[0].numpy()
    found = np.asarray(read.xyxy)[order]
    same = np.asarray(read.labels)[order].tolist() == truths.labels[0].tolist() and np.abs(found - there).max() <= 1
    return None if same else f"met boxes {found.tolist()} for {there.tolist()}"


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
    return None if worst < 0.02 else f"a pixel is off by {100 * worst:.1f} % of the range"


def _answers_read_back(read: Any, truths: torch.Tensor) -> str | None:
    """Yes where a class is there and no where it is not, of every class."""
    said_yes = {int(label): bool(score > 0.5) for label, score in zip(read.labels, read.scores)}
    there = dict(enumerate(truths[0].tolist()))
    same = said_yes == there and 0.5 not in np.asarray(read.scores)
    return None if same else f"met {said_yes} for {there}"


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
