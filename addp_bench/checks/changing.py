"""Contracts of what changes targets and photographs: schedules, corruptions, transforms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from addp_bench.randomness import uniform
from addp_bench.registry import Registry
from addp_bench.types import Drawing

from . import brought
from .given import (
    Finding,
    masks_of,
    names,
    noise_of,
    photos_of,
    said,
    shaped,
    truths_of,
)


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
    count = brought.COUNT
    examples = truths_of(count) | brought.batches(registry)
    if corruption.truth not in ("any", *examples):
        yield f"damages {corruption.truth}, of which there is no example here", None
        return
    masks, u = masks_of(count), uniform((corruption.draws,), names("corruption", count)).float()
    on_truth = corruption.acts_on == "truth"
    target = examples[corruption.truth] if on_truth else _drawing(corruption.truth, masks)
    every = torch.arange(count)

    def damaged(strength: float, rows: torch.Tensor = every) -> tuple[torch.Tensor, ...]:
        given, kept = rows_of(target, rows), values_of(rows_of(target, rows))
        out = corruption.corrupt(given, torch.full((len(rows),), strength), u[rows])
        if not _same(values_of(given), kept):
            raise ValueError("it writes into the target it was given")
        if type(out) is not type(given):
            raise ValueError(f"it was given a {type(given).__name__} and gave back a {type(out).__name__}")
        return values_of(out)

    before = values_of(target)
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
    known = truths_of(brought.COUNT) | brought.batches(registry)
    examples = {kind: truth for kind, truth in known.items() if kind in transform.truths}
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
        photo, truth = photos[rows], rows_of(truths, rows)
        new, answer = transform.apply(photo, truth, u[rows])
        if not (torch.equal(photo, photos[rows]) and _same(values_of(truth), values_of(rows_of(truths, rows)))):
            raise ValueError("it writes into what it was given")
        if type(answer) is not type(truth):
            raise ValueError(f"it was given a {type(truth).__name__} and gave back a {type(answer).__name__}")
        return new, values_of(answer)

    new, truth = changed()
    met, given = ([(v.shape, v.dtype) for v in values] for values in (truth, values_of(truths)))
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
        for value, before in zip(truth, values_of(truths))
        if isinstance(truths, torch.Tensor) and not value.is_floating_point()
    ]
    yield "no label is invented", said(not any(invented), f"met {invented}")


def _drawing(truth: str, masks: torch.Tensor) -> Drawing:
    """Drawings of a kind of truth: masks in red on photographs, anything else as a grey picture with a hole in it."""
    photos = photos_of(len(masks))
    if truth in ("any", "mask"):
        return Drawing(torch.where(masks[:, None], torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1), photos), None, masks)
    return Drawing(photos[:, :1].expand_as(photos).contiguous(), ~masks)


def rows_of(target: Any, rows: torch.Tensor) -> Any:
    """A copy of some samples of a batch of truths or drawings."""
    if isinstance(target, torch.Tensor):
        return target[rows]
    parts = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    return type(target)(**{k: v[rows] if isinstance(v, torch.Tensor) else v for k, v in parts.items()})


def values_of(target: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of a batch of truths or drawings, copied."""
    if isinstance(target, torch.Tensor):
        return (target.clone(),)
    parts = (getattr(target, f.name) for f in dataclasses.fields(target))
    return tuple(part.clone() for part in parts if isinstance(part, torch.Tensor))


def _same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other))
