"""A second reader of programs: decides by sharp thresholds, from the solids' places, by code of its own.

It takes an expression literally: all solids for which some solid can be named that makes it true.
"""

from __future__ import annotations

import math
from typing import Any

from .programs import All, Extreme, Kind, Program, Related

# between what `programs` calls clearly true and clearly false
SIDEWAYS, INWARDS = 0.075, 0.09


def satisfying(program: Program, scene: dict[str, Any]) -> set[int]:
    """Indices of the solids that a program is true of, in a scene as a shard holds it."""
    solids = [_seen(solid, scene) for solid in scene["scene"]["solids"]]
    for solid, area in zip(solids, scene["facts"]["area"]):
        solid["area"] = area
    return {i for i in range(len(solids)) if _true(program, i, solids)}


def _seen(solid: dict[str, Any], scene: dict[str, Any]) -> dict[str, Any]:
    """A solid with the column of its middle, in widths of the image, and the depth of its foot, in metres."""
    camera = scene["scene"]["camera"]
    x, z = solid["x"], solid["z"]
    sin, cos = math.sin(camera["yaw"]), math.cos(camera["yaw"])
    right, ahead = cos * x - sin * z, sin * x + cos * z  # on the ground
    falling, level = math.sin(camera["pitch"]), math.cos(camera["pitch"])
    depth = level * ahead - falling * (solid["height"] / 2 - camera["height"])
    column = 0.5 + right / depth / (2 * math.tan(camera["fov"] / 2))
    return {**solid, "column": column, "depth": level * ahead + falling * camera["height"]}


def _true(program: Program, i: int, solids: list[dict[str, Any]]) -> bool:
    """Whether a program is true of solid i."""
    match program:
        case All(of=of):
            return _true(of, i, solids)
        case Kind(lacks=lacks):
            has = all(
                v is None or solids[i][k] == v for k, v in zip(("shape", "colour", "size", "pattern"), program.wanted)
            )
            return has and (lacks is None or solids[i][lacks[0]] != lacks[1])
        case Extreme(of=of, key=key, rank=rank):
            members = [j for j in range(len(solids)) if _true(of, j, solids)]
            return i in members and sorted(members, key=lambda j: _order(solids[j], key))[rank - 1] == i
        case Related(head=head, relation=relation, anchor=anchor):
            return _true(head, i, solids) and any(
                j != i and _true(anchor, j, solids) and _so(solids[i], solids[j], relation) for j in range(len(solids))
            )


def _order(solid: dict[str, Any], key: str) -> float:
    """Comes first when least."""
    return {
        "leftmost": solid["column"],
        "rightmost": -solid["column"],
        "nearest": solid["depth"],
        "farthest": -solid["depth"],
        "largest": -solid["radius"],
        "smallest": solid["radius"],
    }[key]


def _so(one: dict[str, Any], two: dict[str, Any], relation: str) -> bool:
    """Whether one stands so to two."""
    return {
        "left": two["column"] - one["column"] > SIDEWAYS,
        "right": one["column"] - two["column"] > SIDEWAYS,
        "front": two["depth"] - one["depth"] > INWARDS,
        "behind": one["depth"] - two["depth"] > INWARDS,
    }[relation]
