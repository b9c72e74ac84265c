"""What is asked of a scene: expressions of five levels, plurals, and expressions that mean nothing in it.

The target is chosen before the words: any solid of the scene, each equally likely. Level 4 is a minimal pair: the same
bag of words in another order means another solid of the same scene. It is asked for with a chance, set below for each
of the levels 0..3 that `compose.level_of` gives a solid, that leaves the five levels equally frequent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .compose import level_of
from .pairs import Flip, minimal_pair
from .programs import ATTRIBUTES, RELATIONS, All, Extreme, Facts, Kind, Program, Related, denotes, kind_of
from .scenes import pick
from .solids import MAIN_COLOURS, PATTERNS, SHAPES, SIZES
from .words import LONGEST, STYLES, VOCABULARY, words

__all__ = ["LEVELS", "VOCABULARY", "Asker", "Expression", "describe"]

LEVELS = ("L0", "L1", "L2", "L3", "L4", "plural", "none")
PLURAL, NONE = 0.117, 0.10  # shares of all that are asked for; one plural in seven cannot be had
PAIR_CHANCE = (0.90, 0.52, 0.50, 0.88)  # of trying a minimal pair, by level: a fifth of each level becomes one
PLACES = ("leftmost", "rightmost", "nearest", "farthest")
TRIES = 40  # programs of one kind tried before another kind is

# Kinds of program by level, with their shares where each is possible.
KINDS: dict[int, dict[str, float]] = {
    0: {"attribute": 0.60, "relation": 0.25, "two_hop": 0.15},
    1: {"attribute": 0.50, "negation": 0.20, "relation": 0.20, "two_hop": 0.10},
    2: {"attribute": 0.45, "negation": 0.20, "superlative": 0.20, "relation": 0.15},
    3: {"superlative": 0.30, "ordinal": 0.15, "relation": 0.35, "two_hop": 0.20},
}


@dataclass(frozen=True)
class Expression:
    """program means target (indices of solids, sorted) in its scene; text is paraphrase number `style`.

    level: one of LEVELS. distractor: the visible solid most easily taken for the target, None if there is none.
    flip: of a minimal pair, the other order in words and the solid it means.
    """

    program: Program
    kind: str
    level: str
    target: tuple[int, ...]
    style: int
    paraphrases: tuple[str, ...]
    distractor: int | None
    flip: tuple[str, int] | None = None

    @property
    def text(self) -> str:
        return self.paraphrases[self.style]


def describe(label: tuple[str, str, str, str]) -> str:
    """'the small plain blue cone': all attributes in words."""
    shape, colour, size, pattern = label
    return words(Kind(shape, colour, size, pattern), 0)


class Asker:
    """Asks about one scene.

    sayable: (colour, shape) pairs that words may name together; colours: those that words may name.
    """

    def __init__(
        self,
        facts: Facts,
        rng: np.random.Generator,
        sayable: Collection[tuple[str, str]] | None = None,
        colours: tuple[str, ...] = MAIN_COLOURS,
    ) -> None:
        self.facts, self.rng, self.sayable, self.colours = facts, rng, sayable, colours

    def ask(self, among: Collection[int]) -> Expression:
        """An expression whose target is one of `among`, each equally likely; a plural has more, `none` none."""
        k = pick(self.rng, sorted(among))
        draw = float(self.rng.random())
        if draw < PLURAL and (found := self.plural(k)):
            return found
        if PLURAL <= draw < PLURAL + NONE and (found := self.nothing()):
            return found
        return self.single(k)

    def single(self, k: int) -> Expression:
        """An expression that means solid k and no other."""
        level = level_of(self.facts, k)
        if self.rng.random() < PAIR_CHANCE[level]:
            flip = minimal_pair(self.facts, k, self.rng, self.may_say)
            if flip is not None:
                return self._express(flip.program, "pair", "L4", (k,), flip)
        shares = dict(KINDS[level])
        while shares:
            kind = _draw(self.rng, shares)
            make: Callable[[int], Program | None] = getattr(self, f"_{kind}")
            for _ in range(TRIES):
                program = make(k)
                if program is not None and self._means(program, {k}):
                    return self._express(program, kind, f"L{level}", (k,))
            del shares[kind]
        # every solid without a twin has its attributes, and compose told twins apart by place
        order = [Extreme(self.full(k), key, rank) for key in ("leftmost", "nearest") for rank in (1, 2, 3)]
        program = next(program for program in order if denotes(program, self.facts) == {k})
        return self._express(program, "ordinal", f"L{level}", (k,))

    def plural(self, k: int) -> Expression | None:
        """An expression that means several solids, k among them; None when none was found."""
        for _ in range(TRIES):
            kind = kind_of(self.facts.labels[k], [name for name in ATTRIBUTES if self.rng.random() < 0.4])
            of: Kind | Related = kind
            draw = float(self.rng.random())
            if draw < 0.15:
                of = replace(kind, lacks=self._lack(k, ("colour", "pattern")))
            elif draw < 0.40 and (anchor := self._anchor(k)):
                of = Related(kind, pick(self.rng, RELATIONS), anchor)
            target = denotes(All(of, 0), self.facts)
            # "all the objects" would need no reading
            if target and k in target and 2 <= len(target) < len(self.facts):
                program = All(of, len(target))
                if self.may_say(program):
                    return self._express(program, "plural", "plural", tuple(sorted(target)))
        return None

    def nothing(self) -> Expression | None:
        """An expression that means nothing here, though some solid comes close; None when none was found."""
        for _ in range(TRIES):
            k = int(self.rng.integers(len(self.facts)))
            if self.rng.random() < 0.65:
                program: Program = self._changed(k)
            else:
                anchor = self._anchor(k)
                if anchor is None:
                    continue
                program = Related(self._some(k, must=("shape",)), pick(self.rng, RELATIONS), anchor)
            if self._means(program, set()):
                return self._express(program, "none", "none", ())
        return None

    # ------------------------------------------------------------------------------------------ kinds of program

    def full(self, k: int) -> Kind:
        """All attributes of solid k."""
        return kind_of(self.facts.labels[k])

    def _attribute(self, k: int) -> Kind:
        """As many attributes as are needed, sometimes one more."""
        must = [("shape",), ("shape", "colour"), ("shape", "colour"), ("shape",)][level_of(self.facts, k)]
        return self._some(k, must=must, chance=0.3)

    def _negation(self, k: int) -> Kind | None:
        """'the cone that is not blue', by colour on level 1 and by size or pattern on level 2."""
        level = level_of(self.facts, k)
        lacks = self._lack(k, ("colour",) if level == 1 else ("size", "pattern"))
        shape, colour, _, _ = self.facts.labels[k]
        return None if lacks is None else Kind(shape, colour if level == 2 else None, lacks=lacks)

    def _superlative(self, k: int) -> Extreme | None:
        """By place for twins, by size for solids of one colour."""
        if level_of(self.facts, k) == 2:
            key = pick(self.rng, ("largest", "smallest"))
            rank = 2 if self.rng.random() < 0.25 else 1
            return self._ranked(self._some(k, must=("shape", "colour")[: 1 + int(self.rng.random() < 0.6)]), key, rank)
        return self._ranked(self._some(k, chance=0.5), pick(self.rng, PLACES), 1)

    def _ordinal(self, k: int) -> Extreme | None:
        key = pick(self.rng, PLACES)
        return self._ranked(self._some(k, chance=0.35), key, int(self.rng.integers(2, 4)))

    def _ranked(self, of: Kind, key: str, rank: int) -> Extreme | None:
        """None where the kind has too few solids for the words to be natural: no 'second leftmost' of two."""
        return Extreme(of, key, rank) if self._count(of) > max(rank, 1) else None

    def _relation(self, k: int) -> Related | None:
        must = {0: ("shape",), 1: ("shape", "colour"), 2: ("shape", "colour"), 3: ("shape",)}[level_of(self.facts, k)]
        anchor = self._anchor(k)
        head = self.full(k) if level_of(self.facts, k) == 2 else self._some(k, must=must, chance=0.4)
        return None if anchor is None else Related(head, pick(self.rng, RELATIONS), anchor)

    def _two_hop(self, k: int) -> Related | None:
        others = [i for i in range(len(self.facts)) if i != k]
        middle = pick(self.rng, others)
        anchor = self._anchor(middle, avoid=k)
        if anchor is None:
            return None
        must = ("shape", "colour") if level_of(self.facts, k) == 1 else ("shape",)
        inner = Related(self._some(middle, must=("shape",), chance=0.3), pick(self.rng, RELATIONS), anchor)
        return Related(self._some(k, must=must, chance=0.3), pick(self.rng, RELATIONS), inner)

    # ------------------------------------------------------------------------------------------ parts of programs

    def _some(self, k: int, must: tuple[str, ...] = (), chance: float = 0.3) -> Kind:
        """A kind that solid k is of: the attributes it must name, each other one with this chance."""
        named = [name for name in ATTRIBUTES if name in must or self.rng.random() < chance]
        if "shape" not in named and self.rng.random() < 0.8:
            named.append("shape")
        return kind_of(self.facts.labels[k], named)

    def _anchor(self, k: int, avoid: int | None = None) -> Kind | Extreme | None:
        """Something that means exactly one other solid than k; None when the one that was drawn has no short name."""
        i = pick(self.rng, [i for i in range(len(self.facts)) if i not in (k, avoid)] or [k])
        if i == k:
            return None
        for chance in (0.15, 0.3, 0.5, 0.7, 1.0):
            kind = self._some(i, chance=chance)
            if self._count(kind) == 1:
                return kind
        ranked = self._ranked(self._some(i, must=("shape",)), pick(self.rng, PLACES), 1)
        return ranked if ranked is not None and denotes(ranked, self.facts) == {i} else None

    def _lack(self, k: int, names: tuple[str, ...]) -> tuple[str, str] | None:
        """An attribute that another solid of k's shape has and k has not."""
        mine = dict(zip(ATTRIBUTES, self.facts.labels[k]))
        found = [
            (name, value)
            for label in self.facts.labels
            for name, value in zip(ATTRIBUTES, label)
            if name in names and value != mine[name] and label[0] == mine["shape"]
        ]
        return pick(self.rng, sorted(set(found))) if found else None

    def _changed(self, k: int) -> Kind:
        """Solid k's attributes with one made false."""
        label = list(self.facts.labels[k])
        which = int(self.rng.integers(4))
        options = (SHAPES, self.colours, SIZES, PATTERNS)[which]
        label[which] = pick(self.rng, [value for value in options if value != label[which]])
        chances = {"shape": 1.0, "colour": 0.7, "size": 0.3, "pattern": 0.3, ATTRIBUTES[which]: 1.0}
        return kind_of(label, [name for name, chance in chances.items() if self.rng.random() < chance])

    def _count(self, kind: Kind) -> int:
        return kind.evaluate(self.facts).count(1)

    def may_say(self, program: Program) -> bool:
        """No longer than LONGEST in any paraphrase, and no pair of words that must not be met."""
        return self._sayable(program) and all(len(words(program, style).split()) <= LONGEST for style in range(STYLES))

    def _sayable(self, program: Any) -> bool:
        if isinstance(program, Kind):
            return (
                self.sayable is None
                or None in (program.colour, program.shape)
                or (program.colour, program.shape) in self.sayable
            )
        parts = [getattr(program, name) for name in ("of", "head", "anchor") if hasattr(program, name)]
        return all(self._sayable(part) for part in parts)

    def _means(self, program: Program, wanted: set[int]) -> bool:
        return denotes(program, self.facts) == wanted and self.may_say(program)

    def _express(
        self, program: Program, kind: str, level: str, target: tuple[int, ...], flip: Flip | None = None
    ) -> Expression:
        style = int(self.rng.integers(STYLES))
        said = tuple(words(program, s) for s in range(STYLES))
        other = None if flip is None else (words(flip.flipped, style), flip.other)
        return Expression(program, kind, level, target, style, said, self._distractor(program, target, other), other)

    def _distractor(self, program: Program, target: tuple[int, ...], flip: tuple[str, int] | None) -> int | None:
        """What a flipped pair means, or else the solid that shares most with the target (or with the words)."""
        if flip is not None:
            return flip[1]
        rest = [i for i in range(len(self.facts)) if i not in target]
        if not rest:
            return None
        column, depth = self.facts.column, self.facts.depth

        def likeness(i: int) -> tuple[float, float]:
            if not target:
                wanted = _head(program).wanted
                return sum(a == b for a, b in zip(wanted, self.facts.labels[i])), 0.0
            near = min(abs(column[i] - column[k]) + abs(depth[i] - depth[k]) for k in target)
            weights = (4, 2, 1, 1)  # a class is mistaken least
            return max(
                sum(w * (a == b) for w, a, b in zip(weights, self.facts.labels[i], self.facts.labels[k]))
                for k in target
            ), -near

        return max(rest, key=likeness)


def _head(program: Program) -> Kind:
    """The kind that a program's first noun names."""
    while not isinstance(program, Kind):
        program = program.head if isinstance(program, Related) else program.of
    return program


def _draw(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """A key, as likely as its share."""
    spot = float(rng.random()) * sum(shares.values())
    for name, share in shares.items():
        spot -= share
        if spot < 0:
            return name
    return next(iter(shares))
