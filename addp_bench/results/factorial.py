"""The largest complete grid among cells: levels of each factor of which every combination is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from addp_bench.errors import BadRequest

MOST = 2000  # sets of combinations looked at for one factor


@dataclass(frozen=True)
class Grid:
    """levels: of each factor, in order; every combination of them is a cell."""

    levels: tuple[tuple[str, ...], ...]

    @property
    def cells(self) -> int:
        """How many combinations there are."""
        product = 1
        for levels in self.levels:
            product *= len(levels)
        return product

    @property
    def varied(self) -> int:
        """How many factors have more than one level."""
        return sum(len(levels) > 1 for levels in self.levels)


def largest(
    cells: Collection[tuple[str, ...]], varied: Collection[int] = (), fixed: Collection[int] = ()
) -> Grid | None:
    """The complete grid with the most cells, and among equals the one in which most factors vary.

    cells: a level for each factor. varied: factors that must have several levels. fixed: those that must have one.
    None where there is no such grid. Raises BadRequest where the cells are too irregular to search.
    """

    @cache
    def best(rests: frozenset[tuple[str, ...]], factor: int) -> Grid | None:
        """Of what is left of the cells from this factor on."""
        by_level: dict[str, set[tuple[str, ...]]] = {}
        for level, *rest in rests:
            by_level.setdefault(level, set()).add(tuple(rest))
        found: Grid | None = None
        for common in _intersections(frozenset(map(frozenset, by_level.values()))):
            levels = tuple(sorted(level for level, has in by_level.items() if has >= common))
            if factor in fixed:
                levels = levels[:1]
            if factor in varied and len(levels) < 2:
                continue
            inner = best(common, factor + 1) if common != {()} else Grid(())
            if inner is None:
                continue
            grid = Grid((levels, *inner.levels))
            if found is None or (grid.cells, grid.varied) > (found.cells, found.varied):
                found = grid
        return found

    return best(frozenset(cells), 0) if cells else None


def _intersections(sets: frozenset[frozenset[tuple[str, ...]]]) -> list[frozenset[tuple[str, ...]]]:
    """Every set that is what some of these have in common, and not empty; the largest first."""
    closed: set[frozenset[tuple[str, ...]]] = set()
    for one in sets:
        closed |= {one} | {one & other for other in closed}
        if len(closed) > MOST:
            raise BadRequest(["these cells form no regular grid: choose some with --where, or factors with --factor"])
    return sorted((common for common in closed if common), key=lambda s: (-len(s), sorted(s)))


def merged(columns: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of the factors that say the same of every cell in other words, together; in their order.

    columns: each factor's level in every cell. Two such factors cannot be told apart, so they are one.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, column in enumerate(columns):
        groups.setdefault(_numbered(column), []).append(k)
    return list(groups.values())


def _numbered(levels: Iterable[str]) -> tuple[int, ...]:
    """Levels by the order in which they are met."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(level, len(numbers)) for level in levels)
