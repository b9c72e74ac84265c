"""Scenes made for expressions: which solids look alike, in balanced shares.

Every solid has a level, by what else is in the scene: 3 if it has an identical twin, 2 if another solid shares its
class and colour, 1 if another shares its class, 0 if none does. Scenes are built so that at each count of solids the
four levels are equally frequent over all solids. A target may then be any solid of any scene with equal chance, and
neither the photograph nor the number of solids tells which one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from addp_bench.randomness import numpy_generator

from .programs import UNCLEAR, Facts, precedes
from .render import survey
from .scenes import JUDGED, Label, World, arrange, enough
from .solids import PATTERNS, SHAPES, SIZES, Scene

TRIES = 60  # places tried for one choice of solids before others are chosen

# A family is a class's solids as subgroups of one colour each: "1" alone, "v2" of differing looks, "t2" identical.
_SUBGROUPS = (("1", 1), ("v", 2), ("v", 3), ("t", 2), ("t", 3))
Family = tuple[tuple[str, int], ...]


def level_of(facts: Facts, k: int) -> int:
    """0..3, the level of solid k when it is described; see the head of this file."""
    mine = facts.labels[k]
    others = [label for i, label in enumerate(facts.labels) if i != k and label[0] == mine[0]]
    if mine in others:
        return 3
    if any(label[1] == mine[1] for label in others):
        return 2
    return 1 if others else 0


@dataclass(frozen=True)
class Plan:
    """What one scene is asked to be.

    name: of all its random streams. must: (colour, shape) pairs that each family holds with chance one half, and the
    scene at least once. colour: one that must occur.
    """

    name: tuple[str | int, ...]
    world: World
    must: frozenset[tuple[str, str]] = frozenset()
    colour: str | None = None

    def stream(self, purpose: str, number: int = 0) -> np.random.Generator:
        """The named stream of randomness, from its start."""
        return numpy_generator("tabletop", *self.name, purpose, number)


def compose(plans: Sequence[Plan]) -> list[tuple[Scene, Facts]]:
    """A scene for each plan, with all solids well seen and all twins told apart by their places.

    A scene depends on its own plan only; they are made together for speed.
    """
    done: dict[int, tuple[Scene, Facts]] = {}
    attempt = 0
    while len(done) < len(plans):
        tried: list[tuple[int, Scene]] = []
        for i in range(len(plans)):
            if i in done:
                continue
            fewest, most = plans[i].world.counts
            count = int(plans[i].stream("count").integers(fewest, most + 1))
            labels = sample_labels(plans[i].stream("labels", attempt // TRIES), plans[i], count)
            scene = arrange(plans[i].stream("places", attempt), plans[i].world, labels)
            if scene is not None:
                tried.append((i, scene))
        attempt += 1
        if not tried:
            continue
        _, _, visible, silhouette = survey([scene for _, scene in tried], JUDGED)
        for row, (i, scene) in enumerate(tried):
            if enough(visible[row], silhouette[row], len(scene.solids)):
                facts = Facts.of(scene, visible[row], silhouette[row], JUDGED**2)
                if all(twin_told(facts, k) for k in range(len(facts)) if level_of(facts, k) == 3):
                    done[i] = scene, facts
    return [done[i] for i in range(len(plans))]


def twin_told(facts: Facts, k: int) -> bool:
    """In some order of place, all of k's twins are clearly before or clearly after it."""
    twins = [i for i, label in enumerate(facts.labels) if i != k and label == facts.labels[k]]
    return any(all(precedes(facts, k, i, key) != UNCLEAR for i in twins) for key in ("leftmost", "nearest"))


def sample_labels(rng: np.random.Generator, plan: Plan, count: int) -> list[Label]:
    """Labels of a scene's `count` solids, in random order."""
    while True:
        found, ends = structures(count)
        families = found[int(np.searchsorted(ends, rng.random(), side="right"))]
        shapes = rng.permutation(len(SHAPES))[: len(families)]
        labels = [label for shape, family in zip(shapes, families) for label in _fill(rng, plan, SHAPES[shape], family)]
        labels = [labels[i] for i in rng.permutation(len(labels))]
        if plan.must and not any((label[1], label[0]) in plan.must for label in labels):
            continue
        if plan.colour is None or any(label[1] == plan.colour for label in labels):
            return labels


def _fill(rng: np.random.Generator, plan: Plan, shape: str, family: Family) -> list[Label]:
    """Colours, sizes and patterns for a family."""
    colours = list(plan.world.colours_of(shape))
    colours = [colours[i] for i in rng.permutation(len(colours))]
    if plan.must:
        wanted = [colour for colour in colours if (colour, shape) in plan.must]
        if rng.random() < 0.5:
            colours = wanted + [colour for colour in colours if colour not in wanted]
    looks = [(size, pattern) for size in SIZES for pattern in PATTERNS]
    labels: list[Label] = []
    for colour, (form, count) in zip(colours, family):
        order = rng.permutation(len(looks)).tolist()
        chosen = order[:count] if form == "v" else order[:1] * count
        labels += [(shape, colour, *looks[i]) for i in chosen]
    return labels


@cache
def structures(count: int) -> tuple[tuple[tuple[Family, ...], ...], np.ndarray]:
    """All ways to make families of `count` solids, and the ends in (0, 1] of their shares.

    The shares are those of largest entropy under which each level has a quarter of the solids.
    """
    found = tuple(_scenes(count, len(SHAPES), _families(min(count, 4))))
    levels = np.array([_levels(families) for families in found], float) / count  # (structures, 4), rows sum to 1
    pull = np.zeros(4)
    for _ in range(200):  # iterative scaling: share ~ exp(levels . pull)
        share = np.exp(levels @ pull)
        share /= share.sum()
        pull += np.log(0.25 / (share @ levels))
    ends = np.cumsum(share).round(9)
    ends[-1] = 1.0
    return found, ends


def _families(most: int) -> list[Family]:
    """Families of at most so many solids in at most three colours, in a fixed order."""
    found: list[Family] = []

    def grow(family: Family, start: int, left: int) -> None:
        if family:
            found.append(family)
        for i in range(start, len(_SUBGROUPS)):
            if _SUBGROUPS[i][1] <= left and len(family) < 3:
                grow((*family, _SUBGROUPS[i]), i, left - _SUBGROUPS[i][1])

    grow((), 0, most)
    return found


def _scenes(count: int, classes: int, families: list[Family], start: int = 0) -> list[tuple[Family, ...]]:
    """Multisets of at most `classes` families with `count` solids in all."""
    if count == 0:
        return [()]
    if classes == 0:
        return []
    return [
        (families[i], *rest)
        for i in range(start, len(families))
        if (size := sum(n for _, n in families[i])) <= count
        for rest in _scenes(count - size, classes - 1, families, i)
    ]


def _levels(families: tuple[Family, ...]) -> list[int]:
    """How many solids of each level, 0..3."""
    totals = [0, 0, 0, 0]
    for family in families:
        for form, count in family:
            totals[{"1": 0 if len(family) == 1 else 1, "v": 2, "t": 3}[form]] += count
    return totals
