"""Contracts of what changes targets and photographs: schedules, corruptions, transforms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from addp_bench.randomness import uniform
from addp_bench.types import Drawing

from . import brought
from .common import Call
from .comparing import differ, flat
from .given import SIDE, Finding, Subject, masks_of, names, noise_of, photos_of, said, truths_of, unseen

FOUR = brought.COUNT


def aug_calls(aug: Any, subject: Subject) -> Iterator[Call]:
    noise = noise_of(subject.registry)
    yield Call(
        lambda: {"t": torch.arange(noise.steps)},
        lambda plugin, given: {"strength": plugin.strength(given["t"], noise)},
        {"strength": ((noise.steps,), torch.float32)},
        noise.steps,
    )


def aug(aug: Any, subject: Subject) -> Iterator[Finding]:
    noise = noise_of(subject.registry)
    strength = aug.strength(torch.arange(noise.steps), noise)
    inside = (strength >= 0).all() and (strength <= 2).all()
    yield said("aug.range", inside, f"met {strength.min():.3g} to {strength.max():.3g}")
    silent = getattr(aug, "intensity", 1) == 0  # then it may corrupt, and does nothing
    acts = aug.corrupts == bool(strength.any()) or silent
    yield said("aug.corrupts", acts, f"corrupts is {aug.corrupts}, and the strongest is {strength.max():.3g}")


def corruption_calls(corruption: Any, subject: Subject) -> Iterator[Call]:
    if _target_of(corruption, subject) is None:
        return
    yield Call(
        lambda: {"target": _target_of(corruption, subject), "strength": torch.ones(FOUR), "u": _chances(corruption)},
        lambda plugin, given: {"damaged": plugin.corrupt(given["target"], given["strength"], given["u"])},
        batch=FOUR,
    )


def corruption(corruption: Any, subject: Subject) -> Iterator[Finding]:
    placed = corruption.acts_on in ("truth", "drawing")
    yield said("corruption.acts_on", placed, f"it acts on {corruption.acts_on!r}")
    if not placed or _target_of(corruption, subject) is None:
        for name in ("same_kind", "finite", "zero", "acts"):
            yield unseen(f"corruption.{name}", f"there is no example of {corruption.truth} here")
        return
    u = _chances(corruption)

    def damaged(strength: float) -> Any:
        return corruption.corrupt(_target_of(corruption, subject), torch.full((FOUR,), strength), u)

    target = _target_of(corruption, subject)
    for strength in (1.0, 2.0):
        yield Finding("corruption.same_kind", _kind(damaged(strength), target), f"strength {strength:g}")
    numbers = all(torch.isfinite(part).all() for part in values_of(damaged(2.0)))
    yield said("corruption.finite", numbers, "met a value that is not finite")
    yield Finding("corruption.zero", differ(damaged(0.0), target))
    yield said("corruption.acts", differ(damaged(1.0), target), "nothing changed")
    if isinstance(target, Drawing) and target.painted is not None:
        before, after = (drawn.rgb.permute(0, 2, 3, 1)[~target.painted] for drawn in (target, damaged(1.0)))
        yield said("corruption.photograph", torch.equal(before, after), "a pixel that was not painted changed")


def transform_calls(transform: Any, subject: Subject) -> Iterator[Call]:
    for kind in _batches(subject):
        if kind in transform.truths:
            yield _changing(transform, kind, subject)


def _changing(transform: Any, kind: str, subject: Subject) -> Call:
    return Call(
        lambda: {"photos": photos_of(FOUR), "truth": _batches(subject)[kind], "u": _chances(transform)},
        lambda plugin, given: dict(zip(("photos", "truth"), plugin.apply(**given))),
        batch=FOUR,
        of=kind,
    )


def transform(transform: Any, subject: Subject) -> Iterator[Finding]:
    words = isinstance(transform.changes, tuple) and all(isinstance(word, str) for word in transform.changes)
    yield said("transform.changes", words, repr(transform.changes))
    named = not isinstance(transform.truths, str) and transform.truths
    yield said("transform.truths", named and all(isinstance(t, str) for t in named), repr(transform.truths))
    for kind, truths in _batches(subject).items():
        if kind not in transform.truths:
            continue
        photos, truth = transform.apply(photos_of(FOUR), _batches(subject)[kind], _chances(transform))
        kept = _kind(photos, photos_of(FOUR)) or _kind(truth, truths)
        yield Finding("transform.same_kind", kept, kind)
        yield said("transform.range", photos.abs().max() <= 1, f"met {photos.abs().max():.3g}", kind)
        yield said("transform.acts", not torch.equal(photos, photos_of(FOUR)), "no photograph did", kind)
        # masks and class maps are of whole numbers, of which there are few; boxes move, and depth is no label
        if isinstance(truths, torch.Tensor) and not truths.is_floating_point():
            invented = set(truth.unique().tolist()) - set(truths.unique().tolist())
            yield said("transform.no_label_invented", not invented, f"met {sorted(invented)}", kind)
    if "mask" in transform.truths:
        yield Finding("transform.alike", _apart(transform), "mask")
    else:
        yield unseen("transform.alike", "it is looked at with masks, which it does not change")


def _apart(transform: Any) -> str | None:
    """Where photographs of masks, painted white, are no longer those of the masks that come back."""
    masks = torch.zeros(FOUR, SIDE, SIDE, dtype=torch.bool)
    masks[:, 8:28, 6:40] = True
    photos = (masks[:, None].float() - 0.5).repeat(1, 3, 1, 1)
    photos, masks = transform.apply(photos, masks, _chances(transform))
    for photo, mask in zip(photos.mean(1), masks):
        pair = torch.stack([photo.flatten(), mask.flatten().float()])
        alike = torch.corrcoef(pair)[0, 1].item() if bool(mask.any()) and not bool(mask.all()) else 1.0
        if not alike > 0.8:
            return f"a mask and a photograph that shows it correlate by {alike:.2f} afterwards"
    return None


def _chances(plugin: Any) -> torch.Tensor:
    return uniform((plugin.draws,), names("chances", FOUR)).float()


def _batches(subject: Subject) -> dict[str, Any]:
    """A batch of four truths of every type of which there is an example, those that tasks bring among them."""
    return truths_of(FOUR) | brought.batches(subject.registry)


def _target_of(corruption: Any, subject: Subject) -> Any:
    """Four targets of a corruption's kind; None where there is no example."""
    if corruption.acts_on == "truth":
        return _batches(subject).get(corruption.truth)
    return _drawing(corruption.truth, masks_of(FOUR)) if corruption.truth in ("any", *_batches(subject)) else None


def _drawing(truth: str, masks: torch.Tensor) -> Drawing:
    """Drawings of a kind of truth: masks in red on photographs, anything else as a grey picture with a hole in it."""
    photos = photos_of(len(masks))
    if truth in ("any", "mask"):
        return Drawing(torch.where(masks[:, None], torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1), photos), None, masks)
    return Drawing(photos[:, :1].expand_as(photos).contiguous(), ~masks)


def _kind(met: Any, given: Any) -> str | None:
    """Where type, shapes or dtypes of one batch are not those of another."""
    if type(met) is not type(given):
        return f"it was given a {type(given).__name__} and gave back a {type(met).__name__}"
    kinds = [{n: (v.shape, v.dtype) for n, v in flat(x).items() if hasattr(v, "shape")} for x in (met, given)]
    return None if kinds[0] == kinds[1] else f"met {kinds[0]} for {kinds[1]}"


def rows_of(target: Any, rows: torch.Tensor) -> Any:
    """A copy of some samples of a batch of truths or drawings."""
    if isinstance(target, torch.Tensor):
        return target[rows]
    parts = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    return type(target)(**{k: v[rows] if isinstance(v, torch.Tensor) else v for k, v in parts.items()})


def values_of(target: Any) -> Sequence[torch.Tensor]:
    """The tensors of a batch of truths or drawings."""
    if isinstance(target, torch.Tensor):
        return (target,)
    parts = (getattr(target, f.name) for f in dataclasses.fields(target))
    return tuple(part for part in parts if isinstance(part, torch.Tensor))
