"""The splits: which world each is drawn from, its scenes, and what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addp_bench.errors import unknown

from .compose import Plan, compose
from .expressions import Asker, Expression
from .programs import Facts
from .scenes import World
from .solids import MAIN_COLOURS, SHAPES, SHIFTED_PALETTES, Scene

VERSION = 1  # goes up whenever a scene, a rendered byte or an expression changes
PER_SCENE = 2  # expressions

# (colour, shape) combinations neither drawn nor named in any split but `heldout_pairs`: one colour of each shape
HELD_OUT = frozenset(
    {("cyan", "ball"), ("pink", "cube"), ("yellow", "cylinder"), ("green", "cone"), ("purple", "capsule")}
)
MAIN_PAIRS = frozenset((colour, shape) for colour in MAIN_COLOURS for shape in SHAPES) - HELD_OUT
RED_PAIRS = frozenset(("red", shape) for shape in SHAPES)


@dataclass(frozen=True)
class Split:
    """scenes: how many. must: pairs of which a target is one (any solid where it is empty). colour: in every scene."""

    scenes: int
    world: World
    must: frozenset[tuple[str, str]] = frozenset()
    colour: str | None = None
    words: str = ""


_MAIN = World(pairs=MAIN_PAIRS)
SPLITS = {
    "train": Split(24_000, _MAIN, words="to learn from"),
    "stats": Split(1_500, _MAIN, words="to measure perception statistics and the data's own promises on"),
    "val": Split(1_500, _MAIN, words="to compare on"),
    "test": Split(1_500, _MAIN, words="to be looked at last"),
    "heldout_pairs": Split(500, World(), must=HELD_OUT, words="targets of colour and shape never met together"),
    "more_objects": Split(500, World(counts=(7, 9), pairs=MAIN_PAIRS, scale=0.8), words="7 to 9 smaller solids"),
    "fog": Split(500, World(pairs=MAIN_PAIRS, fog=(0.35, 0.60)), words="half the light is the air's at 1.7 to 2.9 m"),
    "palette_shift": Split(500, World(pairs=MAIN_PAIRS, palettes=SHIFTED_PALETTES), words="tables and walls never met"),
    "hard": Split(
        500,
        World(colours=(*MAIN_COLOURS, "red"), pairs=MAIN_PAIRS | RED_PAIRS),
        colour="red",
        words="red solids whose lit pixels have the colour of a drawn mask",
    ),
}


@dataclass(frozen=True)
class Asked:
    """A scene, what is known of it, and its PER_SCENE expressions."""

    scene: Scene
    facts: Facts
    expressions: tuple[Expression, ...]


def split_named(name: str) -> Split:
    """Raises UnknownName for a split that does not exist."""
    if name not in SPLITS:
        raise unknown("split of tabletop", name, SPLITS)
    return SPLITS[name]


def make(name: str, indices: Sequence[int]) -> list[Asked]:
    """Scenes of a split by number; each depends on the split's name and its own number alone."""
    split = split_named(name)
    plans = [Plan((VERSION, name, i), split.world, split.must, split.colour) for i in indices]
    return [Asked(scene, facts, ask(plan, facts)) for plan, (scene, facts) in zip(plans, compose(plans))]


def ask(plan: Plan, facts: Facts) -> tuple[Expression, ...]:
    """The scene's expressions, with different programs and, where there is a choice, different targets."""
    among = {k for k, label in enumerate(facts.labels) if not plan.must or (label[1], label[0]) in plan.must}
    asked: list[Expression] = []
    number = 0
    while len(asked) < PER_SCENE:
        asker = Asker(facts, plan.stream("ask", number), plan.world.pairs, plan.world.colours)
        used = {expression.target[0] for expression in asked if len(expression.target) == 1}
        found = asker.ask(among - used or among)
        number += 1
        if number > 20 or found.program not in [expression.program for expression in asked]:
            asked.append(found)
    return tuple(asked)
