"""Expressions as small programs with an executable meaning.

Truth has three values: YES, NO and UNCLEAR, which a person might judge either way. Margins make the middle one wide,
and an expression whose meaning touches it is never used.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .solids import Scene

YES, UNCLEAR, NO = 1, 0, -1

# "left of" needs a difference of centres, in widths of the image; under the second number nobody would say it
ACROSS = 0.12, 0.03
DEEP = 0.14, 0.04  # "behind", metres of z-depth between the two feet
ORDER_ACROSS, ORDER_DEEP = 0.09, 0.10  # neighbours in a row differ by at least so much
LARGER_RADIUS, LARGER_AREA = 1.08, 1.2  # "larger" means both, as a ratio: in the world and in the image

RELATIONS = ("left", "right", "front", "behind")
KEYS = ("leftmost", "rightmost", "nearest", "farthest", "largest", "smallest")
ATTRIBUTES = ("shape", "colour", "size", "pattern")


@dataclass(frozen=True)
class Facts:
    """What can be known of a scene's n solids from its photograph.

    labels: (shape, colour, size, pattern). column: of the middle, in widths of the image. depth: of the foot, metres.
    radius: metres. area: visible share of the image. shown: visible share of the silhouette.
    """

    labels: tuple[tuple[str, str, str, str], ...]
    column: tuple[float, ...]
    depth: tuple[float, ...]
    radius: tuple[float, ...]
    area: tuple[float, ...]
    shown: tuple[float, ...]

    @staticmethod
    def of(scene: Scene, visible: np.ndarray, silhouette: np.ndarray, pixels: int) -> Facts:
        """visible, silhouette: pixel counts (K,) of a rendering with so many pixels."""
        middles = scene.camera.project(np.array([(s.x, s.height / 2, s.z) for s in scene.solids]))
        feet = scene.camera.project(np.array([(s.x, 0.0, s.z) for s in scene.solids]))
        count = len(scene.solids)
        return Facts(
            labels=tuple(s.label for s in scene.solids),
            column=tuple(middles[:, 0].round(6).tolist()),
            depth=tuple(feet[:, 2].round(6).tolist()),
            radius=tuple(s.radius for s in scene.solids),
            area=tuple((visible[:count] / pixels).round(6).tolist()),
            shown=tuple((visible[:count] / np.maximum(silhouette[:count], 1)).round(4).tolist()),
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Kind:
    """Solids with these attributes; None leaves one open. lacks: (attribute, value) that they must not have."""

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None
    lacks: tuple[str, str] | None = None

    def evaluate(self, facts: Facts) -> list[int]:
        return [YES if self.fits(label) else NO for label in facts.labels]

    def fits(self, label: Sequence[str]) -> bool:
        for wanted, value in zip(self.wanted, label):
            if wanted is not None and wanted != value:
                return False
        return self.lacks is None or label[ATTRIBUTES.index(self.lacks[0])] != self.lacks[1]

    @property
    def wanted(self) -> tuple[str | None, str | None, str | None, str | None]:
        return self.shape, self.colour, self.size, self.pattern


def kind_of(label: Sequence[str], named: Collection[str] = ATTRIBUTES) -> Kind:
    """The kind of all solids that share the named attributes of a label."""
    shape, colour, size, pattern = (value if name in named else None for name, value in zip(ATTRIBUTES, label))
    return Kind(shape, colour, size, pattern)


@dataclass(frozen=True)
class Extreme:
    """The rank-th (1 is first) of a kind in an order: leftmost, second nearest, ..."""

    of: Kind
    key: str
    rank: int = 1

    def evaluate(self, facts: Facts) -> list[int]:
        members = [i for i, value in enumerate(self.of.evaluate(facts)) if value == YES]
        values = [NO] * len(facts)
        for i in members:
            before = [precedes(facts, j, i, self.key) for j in members if j != i]
            least, most = before.count(YES), before.count(YES) + before.count(UNCLEAR)
            if least <= self.rank - 1 <= most:
                values[i] = YES if least == most else UNCLEAR
        return values


@dataclass(frozen=True)
class Related:
    """Solids of a kind that stand in a relation to what `anchor` denotes."""

    head: Kind
    relation: str
    anchor: Kind | Extreme | Related

    def evaluate(self, facts: Facts) -> list[int]:
        return [max(row) for row in self.pairs(facts)]

    def pairs(self, facts: Facts) -> list[list[int]]:
        """[i][j]: i is a head that stands so to j, and j is an anchor."""
        heads, anchors = self.head.evaluate(facts), self.anchor.evaluate(facts)
        count = range(len(facts))
        return [
            [
                NO
                if i == j or NO in (heads[i], anchors[j])
                else min(heads[i], anchors[j], stands(facts, i, j, self.relation))
                for j in count
            ]
            for i in count
        ]


@dataclass(frozen=True)
class All:
    """All that `of` denotes: a plural. count: how many that is in this scene (the words may say it)."""

    of: Kind | Related
    count: int

    def evaluate(self, facts: Facts) -> list[int]:
        return self.of.evaluate(facts)


Program = Kind | Extreme | Related | All


def stands(facts: Facts, i: int, j: int, relation: str) -> int:
    """Whether i is left of, right of, in front of or behind j, as the camera sees it."""
    if relation in ("left", "right"):
        difference, (enough, little) = facts.column[j] - facts.column[i], ACROSS
    else:
        difference, (enough, little) = facts.depth[j] - facts.depth[i], DEEP
    if relation in ("right", "behind"):
        difference = -difference
    return YES if difference > enough else NO if difference < little else UNCLEAR


def precedes(facts: Facts, i: int, j: int, key: str) -> int:
    """Whether i comes before j in an order (YES), after it (NO), or too close to tell."""
    if key in ("largest", "smallest"):
        if key == "smallest":
            i, j = j, i
        ratios = facts.radius[i] / facts.radius[j], facts.area[i] / facts.area[j]
        if ratios[0] > LARGER_RADIUS and ratios[1] > LARGER_AREA:
            return YES
        return NO if ratios[0] < 1 / LARGER_RADIUS and ratios[1] < 1 / LARGER_AREA else UNCLEAR
    if key in ("leftmost", "rightmost"):
        ahead, margin = facts.column[j] - facts.column[i], ORDER_ACROSS
    else:
        ahead, margin = facts.depth[j] - facts.depth[i], ORDER_DEEP
    if key in ("rightmost", "farthest"):
        ahead = -ahead
    return YES if ahead > margin else NO if ahead < -margin else UNCLEAR


def denotes(program: Program, facts: Facts) -> frozenset[int] | None:
    """Indices of the solids a program means; None where that is not clear.

    "The cone left of the cube" is clear when one cone stands so to one cube, be there other cubes or not.
    """
    if isinstance(program, All):
        return denotes_all(program.of, facts)
    values = program.evaluate(facts)
    if UNCLEAR in values:
        return None
    found = frozenset(i for i, value in enumerate(values) if value == YES)
    if isinstance(program, Related) and found:
        if _one_pair(program, facts) is None:
            return None
        other = regrouped(program)
        if other is not None and denotes(other[0], facts) != found:
            one, two = (denotes(part, facts) for part in other)
            if one is None or two is None or one & two:
                return None  # "the cone left of the cube that is behind the ball": who is behind the ball?
    return found


def denotes_all(of: Kind | Related, facts: Facts) -> frozenset[int] | None:
    """As denotes, of a plural, whose anchor must be one solid."""
    values = of.evaluate(facts)
    if UNCLEAR in values or (isinstance(of, Related) and len(denotes(of.anchor, facts) or ()) != 1):
        return None
    return frozenset(i for i, value in enumerate(values) if value == YES)


def _one_pair(program: Related, facts: Facts) -> tuple[int, int] | None:
    """The one (head, anchor) that a relation holds of; None when there are several or some are unclear."""
    flat = [(value, i, j) for i, row in enumerate(program.pairs(facts)) for j, value in enumerate(row) if value != NO]
    return flat[0][1:] if len(flat) == 1 and flat[0][0] == YES else None


def regrouped(program: Related) -> tuple[Related, Related] | None:
    """The other way to read a chain, (x r y, x s z) for x r (y s z), as two programs to be true together."""
    inner = program.anchor
    if not isinstance(inner, Related):
        return None
    return Related(program.head, program.relation, inner.head), Related(program.head, inner.relation, inner.anchor)


def to_plain(program: Program) -> dict[str, Any]:
    """A program as JSON-able values."""
    return _named(program)


def _named(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, (Kind, Extreme, Related, All)):
        return value
    fields = {name: _named(getattr(value, name)) for name in value.__dataclass_fields__}
    return {"is": type(value).__name__.lower(), **{name: field for name, field in fields.items() if field is not None}}


def from_plain(plain: dict[str, Any]) -> Program:
    """The reverse of to_plain."""
    kinds: dict[str, Any] = {"kind": Kind, "extreme": Extreme, "related": Related, "all": All}
    fields: dict[str, Any] = {
        name: from_plain(v) if isinstance(v, dict) else v for name, v in plain.items() if name != "is"
    }
    if "lacks" in fields:
        fields["lacks"] = tuple(fields["lacks"])
    return kinds[plain["is"]](**fields)
