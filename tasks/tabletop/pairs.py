"""Minimal pairs: two programs with the same bag of words that mean different solids of one scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .programs import ATTRIBUTES, RELATIONS, Facts, Kind, Program, Related, denotes, kind_of
from .scenes import pick

TRIES = 60


@dataclass(frozen=True)
class Flip:
    """program means the solid that was asked for; flipped, the same words in another order, means `other`."""

    program: Program
    flipped: Program
    other: int


def minimal_pair(facts: Facts, k: int, rng: np.random.Generator, may_say: Callable[[Program], bool]) -> Flip | None:
    """A pair whose one side means solid k; None when none was found."""
    forms = (_swap_heads, _swap_attributes, _swap_attributes, _swap_relations, _swap_anchors)
    for _ in range(TRIES):
        program, flipped = pick(rng, forms)(facts, k, rng)
        if program == flipped or _repeats(program) or denotes(program, facts) != {k}:
            continue
        other = denotes(flipped, facts)
        if other is not None and len(other) == 1 and other != {k} and may_say(program) and may_say(flipped):
            return Flip(program, flipped, next(iter(other)))
    return None


def _swap_heads(facts: Facts, k: int, rng: np.random.Generator) -> tuple[Related, Related]:
    """'The cone left of the cube', 'the cube left of the cone'."""
    head, anchor = _kind(facts, k, rng), _kind(facts, _other(facts, rng, k), rng)
    relation = pick(rng, RELATIONS)
    return Related(head, relation, anchor), Related(anchor, relation, head)


def _swap_attributes(facts: Facts, k: int, rng: np.random.Generator) -> tuple[Related, Related]:
    """'The blue cone left of the green cube', 'the green cone left of the blue cube'; also 'large ... blue'."""
    i = _other(facts, rng, k)
    one, two = (1 + int(rng.integers(3)) for _ in range(2))  # which attribute each has besides its shape
    head, anchor = facts.labels[k][0] if rng.random() < 0.6 else None, facts.labels[i][0]
    relation = pick(rng, RELATIONS)

    def said(shape: str | None, attribute: int, label: tuple[str, ...]) -> Kind:
        return replace(kind_of(label, (ATTRIBUTES[attribute],)), shape=shape)

    mine, yours = facts.labels[k], facts.labels[i]
    return (
        Related(said(head, one, mine), relation, said(anchor, two, yours)),
        Related(said(head, two, yours), relation, said(anchor, one, mine)),
    )


def _swap_relations(facts: Facts, k: int, rng: np.random.Generator) -> tuple[Related, Related]:
    """'The cone left of the cube that is behind the ball', 'the cone behind the cube that is left of the ball'."""
    head, first, second = _chain(facts, k, rng)
    one, two = pick(rng, RELATIONS), pick(rng, RELATIONS)
    return Related(head, one, Related(first, two, second)), Related(head, two, Related(first, one, second))


def _swap_anchors(facts: Facts, k: int, rng: np.random.Generator) -> tuple[Related, Related]:
    """'The cone left of the cube that is behind the ball', 'the cone left of the ball that is behind the cube'."""
    head, first, second = _chain(facts, k, rng)
    one, two = pick(rng, RELATIONS), pick(rng, RELATIONS)
    return Related(head, one, Related(first, two, second)), Related(head, one, Related(second, two, first))


def _repeats(program: Related) -> bool:
    """Two of its nouns are the same, which is no way to tell solids apart."""
    inner = program.anchor
    kinds = [program.head, inner.head, inner.anchor] if isinstance(inner, Related) else [program.head, inner]
    return len(set(kinds)) < len(kinds)


def _chain(facts: Facts, k: int, rng: np.random.Generator) -> tuple[Kind, Kind, Kind]:
    """Kinds for k and two other solids; only the first may be any object."""
    middle = _other(facts, rng, k)
    end = _other(facts, rng, k, middle)
    return _kind(facts, k, rng, 0.3), _kind(facts, middle, rng), _kind(facts, end, rng)


def _kind(facts: Facts, k: int, rng: np.random.Generator, any_shape: float = 0.0) -> Kind:
    """A kind that solid k is of: its shape (or any, with this chance), and perhaps a colour or another attribute."""
    shape, colour, size, pattern = facts.labels[k]
    return Kind(
        None if rng.random() < any_shape else shape,
        colour if rng.random() < 0.35 else None,
        size if rng.random() < 0.15 else None,
        pattern if rng.random() < 0.15 else None,
    )


def _other(facts: Facts, rng: np.random.Generator, *but: int) -> int:
    """Another solid than those; the last of them when there is no other."""
    return pick(rng, [i for i in range(len(facts)) if i not in but] or [but[-1]])
