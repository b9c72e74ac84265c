"""Random scenes in which every solid can be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .render import survey
from .solids import (
    MAIN_COLOURS,
    MAIN_PALETTES,
    PALETTES,
    PATTERNS,
    PROPORTIONS,
    SHAPES,
    SIZES,
    Camera,
    Light,
    Scene,
    Solid,
    Surroundings,
)

__all__ = [
    "Camera",
    "Light",
    "Scene",
    "Solid",
    "Surroundings",
    "World",
    "arrange",
    "sample_label",
    "sample_scene",
    "seen",
]

RADII = {
    "small": (0.099, 0.112),
    "large": (0.154, 0.172),
}  # metres; the smallest large is 1.375 times the largest small
GAP = 0.012  # metres between footprints
CUT = 0.02  # share of the image's side by which a solid's bounding box may leave the frame
SHOWN = 0.6  # least share of its own silhouette that is seen of any solid
SHARE = 0.02  # least share of the image that is seen of any solid
JUDGED = 64  # pixels of the side at which the two rules above are judged, whatever size is rendered later

Label = tuple[str, str, str, str]  # shape, colour, size, pattern
T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """What scenes are drawn from.

    counts: fewest and most solids. pairs: the (colour, shape) combinations that may occur, None for all.
    scale: multiplies all radii. fog: range of Surroundings.fog.
    """

    counts: tuple[int, int] = (3, 6)
    colours: tuple[str, ...] = MAIN_COLOURS
    palettes: tuple[str, ...] = MAIN_PALETTES
    pairs: frozenset[tuple[str, str]] | None = None
    scale: float = 1.0
    fog: tuple[float, float] = (0.0, 0.0)

    def allows(self, colour: str, shape: str) -> bool:
        return colour in self.colours and (self.pairs is None or (colour, shape) in self.pairs)

    def colours_of(self, shape: str) -> tuple[str, ...]:
        return tuple(colour for colour in self.colours if self.allows(colour, shape))


def sample_scene(rng: np.random.Generator, world: World = World()) -> Scene:
    """A scene of independent solids: count, shape, colour, size and pattern uniform, every solid well visible."""
    while True:
        labels = [sample_label(rng, world) for _ in range(int(rng.integers(world.counts[0], world.counts[1] + 1)))]
        for _ in range(20):  # the labels stay while places are tried, so that crowded scenes are not made rarer
            scene = arrange(rng, world, labels)
            if scene is not None and seen([scene])[0]:
                return scene


def sample_label(rng: np.random.Generator, world: World) -> Label:
    """Shape, colour, size and pattern, each uniform among what the world allows."""
    shapes = [shape for shape in SHAPES if world.colours_of(shape)]
    shape = pick(rng, shapes)
    return shape, pick(rng, world.colours_of(shape)), pick(rng, SIZES), pick(rng, PATTERNS)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, each equally likely."""
    return options[int(rng.integers(len(options)))]


def arrange(rng: np.random.Generator, world: World, labels: Sequence[Label]) -> Scene | None:
    """A scene with solids of these labels (in a random order of placing); None when a place was not found for one.

    Solids of equal labels get equal radii, so that nothing but its place tells a twin from its twin.
    """
    camera, light, around = sample_camera(rng), sample_light(rng), sample_surroundings(rng, world)
    radii = {label: world.scale * uniform(rng, *RADII[label[2]]) for label in labels}
    solids: dict[int, Solid] = {}
    # large footprints first: they are the hard ones to place; ties in random order
    order = sorted(rng.permutation(len(labels)).tolist(), key=lambda i: -radii[labels[i]])
    for i in order:
        placed = place(rng, camera, labels[i], radii[labels[i]], list(solids.values()))
        if placed is None:
            return None
        solids[i] = placed
    return Scene(tuple(solids[i] for i in range(len(labels))), camera, light, around)


def place(
    rng: np.random.Generator, camera: Camera, label: Label, radius: float, others: Sequence[Solid], tries: int = 200
) -> Solid | None:
    """A solid at a place where it fits into the frame and stands free; None when none was found.

    Places are uniform over the image, not over the table, so that all parts of the image are met equally often.
    """
    shape, colour, size, pattern = label
    height = PROPORTIONS[shape].height * radius
    column, row, turn = rng.random((3, tries))
    x, z = (part.round(6) for part in camera.ground(column * 0.84 + 0.08, row * 0.67 + 0.25))
    reach = PROPORTIONS[shape].footprint * radius
    fits = framed(camera, x, z, height, reach)
    for other in others:
        apart = reach + other.footprint + GAP
        fits &= (x - other.x) ** 2 + (z - other.z) ** 2 >= apart * apart
    if not fits.any():
        return None
    i = int(fits.argmax())
    # a capsule seen along its axis looks like a ball, so it keeps its flank to the camera
    yaw = float(turn[i]) * 1.3 - 0.65 if shape == "capsule" else float(turn[i]) * math.pi / 2
    return Solid(
        shape, colour, size, pattern, float(x[i]), float(z[i]), round(radius, 6), round(height, 6), round(yaw, 6)
    )


def stands_free(solid: Solid, others: Sequence[Solid]) -> bool:
    """No other footprint within GAP of this one's."""
    return all(
        math.hypot(solid.x - other.x, solid.z - other.z) >= solid.footprint + other.footprint + GAP for other in others
    )


def in_frame(camera: Camera, solid: Solid) -> bool:
    """`framed` for a solid where it stands."""
    return bool(framed(camera, np.array([solid.x]), np.array([solid.z]), solid.height, solid.footprint)[0])


def framed(camera: Camera, x: np.ndarray, z: np.ndarray, height: float, footprint: float) -> np.ndarray:
    """At which places (M,) a solid's left, right, top and foot are in the image, but for CUT of its side: (M,) bool."""
    inside = np.isfinite(x)
    for aside, y in ((-0.9 * footprint, height / 2), (0.9 * footprint, height / 2), (0.0, height), (0.0, 0.0)):
        right, down, depth = (a * (x + aside) + b * (y - camera.height) + c * z for a, b, c in camera.basis)
        limit = (1 + 2 * CUT) * camera.slope * depth
        inside &= (depth > 0.2) & (np.abs(right) < limit) & (np.abs(down) < limit)
    return inside


def seen(scenes: Sequence[Scene]) -> list[bool]:
    """Whether every solid of a scene shows SHOWN of its silhouette and fills SHARE of the image."""
    _, _, visible, silhouette = survey(scenes, JUDGED)
    return [enough(visible[n], silhouette[n], len(scene.solids)) for n, scene in enumerate(scenes)]


def enough(visible: np.ndarray, silhouette: np.ndarray, count: int) -> bool:
    """The rule of `seen` for one scene's pixel counts (K,) at JUDGED."""
    visible, silhouette = visible[:count], silhouette[:count]
    return bool((visible >= SHOWN * silhouette).all() and (visible >= SHARE * JUDGED**2).all())


def sample_camera(rng: np.random.Generator) -> Camera:
    """Looking down at a spot 1.5 to 1.75 m away: from so far that near solids do not dwarf far ones."""
    distance, pitch = uniform(rng, 1.5, 1.75), uniform(rng, 0.68, 0.84)
    return Camera(round(distance * math.sin(pitch), 6), pitch, uniform(rng, -0.1, 0.1), uniform(rng, 0.445, 0.495))


def sample_light(rng: np.random.Generator) -> Light:
    """From above, a little from the camera's side of the table, left or right."""
    x, y, z = uniform(rng, -0.9, 0.9), uniform(rng, 1.0, 1.6), -uniform(rng, 0.25, 0.8)
    length = math.sqrt(x * x + y * y + z * z)
    ambient = uniform(rng, 0.44, 0.54)
    return Light((round(x / length, 9), round(y / length, 9), round(z / length, 9)), ambient, 1.04 - ambient)


def sample_surroundings(rng: np.random.Generator, world: World) -> Surroundings:
    """One of the world's palettes, slightly off, its texture and its fog."""
    name = pick(rng, world.palettes)
    shift = uniform(rng, -0.04, 0.04)
    table, wall = PALETTES[name]
    return Surroundings(
        palette=name,
        table=_shifted(table, shift),
        wall=_shifted(wall, shift),
        wall_z=uniform(rng, 1.85, 2.15),
        grain=uniform(rng, 0.04, 0.11),
        scale=uniform(rng, 14.0, 40.0),
        offset=(uniform(rng, 0.0, 64.0), uniform(rng, 0.0, 64.0)),
        fog=uniform(rng, *world.fog),
    )


def _shifted(rgb: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    """A reflectance made lighter or darker, kept in [0, 1]."""
    r, g, b = (min(max(c + by, 0.0), 1.0) for c in rgb)
    return r, g, b


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in [low, high), to a millionth, so that a scene's JSON reads back as the same scene."""
    return round(low + (high - low) * float(rng.random()), 6)
