"""What is said in pretraining: captions for the generator, instructions by attribute for the editor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from addp_bench.tasks.tabletop.edits import caption
from addp_bench.tasks.tabletop.programs import ATTRIBUTES, KEYS, YES, All, Extreme, Facts, Kind, denotes, kind_of
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
NAMED = {"shape": 0.85, "colour": 0.4, "size": 0.35, "pattern": 0.35}  # the chance that an instruction names it
REMOVE = ("remove {x}", "delete {x}", "take {x} away", "a photo of the table with no {bare}")
MIRRORED = {"left": "right", "leftmost": "rightmost"}


def phrase(kind: Kind, rng: np.random.Generator) -> str:
    """'the small blue cone', 'the cone that is small and blue', 'the thing which is not blue'."""
    said = words(kind, int(rng.integers(STYLES)))
    return said if said.startswith("the ") else f"the {said}"


def describe(facts: Facts, k: int, world: World, rng: np.random.Generator) -> Kind | None:
    """A random choice of attributes that only solid k has, naming what the world allows; None where it has a twin.

    The colour, which is the easiest to see, is named less often than not, so that the others have to be told apart.
    """
    label = facts.labels[k]
    for _ in range(30):
        named = [name for name, chance in NAMED.items() if rng.random() < chance]
        kind = replace(kind_of(label, named), lacks=_lacking(facts, k, named, world, rng))
        if (named or kind.lacks) and denotes(kind, facts) == {k}:
            return kind
    full = kind_of(label)
    return full if denotes(full, facts) == {k} else None


def _lacking(facts: Facts, k: int, named: list[str], world: World, rng: np.random.Generator) -> tuple[str, str] | None:
    """An attribute that is not named, with a value that another solid has and solid k has not; mostly None."""
    left = [name for name in ("colour", "size", "pattern") if name not in named]
    if not left or rng.random() > 0.2:
        return None
    name = pick(rng, left)
    place, own = ATTRIBUTES.index(name), facts.labels[k]
    shape = own[0] if "shape" in named else None
    values = {label[place] for label in facts.labels if shape in (None, label[0])} - {own[place]}
    if name == "colour" and shape is not None:
        values = {colour for colour in values if world.allows(colour, shape)}
    return (name, pick(rng, sorted(values))) if values else None


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
