"""What is said in pretraining: captions for the generator, instructions by attribute for the editor."""

from __future__ import annotations

import numpy as np

from addp_bench.tasks.tabletop.edits import caption
from addp_bench.tasks.tabletop.programs import KEYS, YES, All, Extreme, Facts, Kind, denotes
from addp_bench.tasks.tabletop.scenes import World, pick
from addp_bench.tasks.tabletop.solids import Scene
from addp_bench.tasks.tabletop.words import STYLES, words

MOVED = {
    "left": ("to the left", "left", "farther left"),
    "right": ("to the right", "right", "farther right"),
    "front": ("to the front", "closer", "nearer to the camera"),
    "back": ("to the back", "farther away", "farther from the camera"),
}
PAINT = ("make {x} {c}", "paint {x} {c}", "change the colour of {x} to {c}", "{x} in {c}")
REMOVE = ("remove {x}", "delete {x}", "take {x} away", "a photo of the table with no {bare}")
MIRRORED = {"left": "right", "leftmost": "rightmost"}


def phrase(kind: Kind, rng: np.random.Generator) -> str:
    """'the small blue cone', 'the cone that is small and blue', 'the thing which is not blue'."""
    said = words(kind, int(rng.integers(STYLES)))
    return said if said.startswith("the ") else f"the {said}"


def describe(facts: Facts, k: int, world: World, rng: np.random.Generator) -> Kind | None:
    """A random choice of attributes that only solid k has, naming what the world allows; None where it has a twin."""
    shape, colour, size, pattern = facts.labels[k]
    for _ in range(30):
        kind = Kind(
            shape=shape if rng.random() < 0.85 else None,
            colour=colour if rng.random() < 0.6 else None,
            size=size if rng.random() < 0.4 else None,
            pattern=pattern if rng.random() < 0.4 else None,
        )
        if kind.colour is None and rng.random() < 0.3:
            others = [c for _, c, _, _ in facts.labels if c != colour and world.allows(c, shape)]
            kind = Kind(kind.shape, None, kind.size, kind.pattern, ("colour", pick(rng, others))) if others else kind
        if kind != Kind() and denotes(kind, facts) == {k}:
            return kind
    full = Kind(shape, colour, size, pattern)
    return full if denotes(full, facts) == {k} else None


def absent(facts: Facts, world: World, rng: np.random.Generator) -> Kind | None:
    """A description that differs from a solid's in one attribute, is of the world, and fits no solid."""
    shape, colour, size, _ = pick(rng, facts.labels)
    others = [c for _, c, _, _ in facts.labels if c != colour and world.allows(c, shape)]
    kind = Kind(shape, pick(rng, others or world.colours_of(shape)), size if rng.random() < 0.3 else None)
    return kind if denotes(kind, facts) == frozenset() else None


def fact(facts: Facts, rng: np.random.Generator) -> str | None:
    """Something true of one solid's place in an order: 'the second largest cone is blue'; None if none was found."""
    k = int(rng.integers(len(facts)))
    shape, colour, size, pattern = facts.labels[k]
    for _ in range(4):
        program = Extreme(Kind(shape if rng.random() < 0.3 else None), pick(rng, KEYS), int(rng.integers(1, 4)))
        if program.evaluate(facts)[k] == YES:
            told = pick(rng, (colour, f"a {colour} {shape}", f"a {size} {shape}", f"{pattern} and {colour}"))
            return f"{words(program, int(rng.integers(STYLES)))} is {told}"
    return None


def number(facts: Facts, rng: np.random.Generator) -> str | None:
    """How many there are of a solid's class: 'both cones', 'the three cones'; None for one."""
    shape = pick(rng, facts.labels)[0]
    count = sum(label[0] == shape for label in facts.labels)
    return words(All(Kind(shape), count), int(rng.integers(STYLES))) if count > 1 else None


def told(scene: Scene, facts: Facts, rng: np.random.Generator) -> str:
    """A caption; four in ten begin with a fact about an order or a number."""
    text = caption(scene, rng)
    if rng.random() < 0.4:
        extra = fact(facts, rng) if rng.random() < 0.75 else number(facts, rng)
        text = f"{extra}, {text}" if extra else text
    return text


def mirrored(text: str) -> str:
    """The same sentence of the mirror image: left and right exchanged."""
    swap = MIRRORED | {b: a for a, b in MIRRORED.items()}
    return " ".join(swap.get(word, word) for word in text.split(" "))
