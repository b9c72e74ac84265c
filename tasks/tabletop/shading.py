"""Colour of what the rays met: patterns, light, cast shadows, texture of table and wall, fog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .casting import Bundle, Hits, Three, meet, to_local, to_world
from .solids import BRIGHTEST, COLLIDING, COLOURS, DARKEST, PATTERNS

FOG = (0.62, 0.64, 0.66)  # reflectance that the air takes on
BANDS = 4.0  # stripes from one end of a solid to the other
CELLS = 1.3  # a checker's cells in half a width; not whole, so that no face lies on a boundary between cells
f32 = np.float32


@dataclass(frozen=True)
class Samples:
    """Meeting points x, y, z, each (N, P) float64 world metres, with the hits they belong to."""

    points: Three
    hits: Hits

    @staticmethod
    def of(bundle: Bundle, hits: Hits) -> Samples:
        x, y, z = (hits.depth * part for part in bundle.rays)
        return Samples((x, y + bundle.heights[:, None], z), hits)


def shadowed(samples: Samples, bundle: Bundle) -> np.ndarray:
    """(N, P) bool: another solid stands between the point and the light. (A solid's own dark side is not meant.)"""
    dark = np.zeros(samples.hits.depth.shape, bool)
    reach = np.array([solid.footprint for solid in bundle.solids])
    ball = reach * reach + bundle.height * bundle.height / 4  # square of the radius of an enclosing sphere
    lights = np.array([scene.light.direction for scene in bundle.scenes])
    spots: list[np.ndarray] = []  # which points are looked at for which solid: those near it when seen from the light
    solids: list[np.ndarray] = []
    for n in range(len(bundle.scenes)):
        side, up = _across(lights[n])
        points = [part[n] for part in samples.points]
        s, u = (points[0] * axis[0] + points[1] * axis[1] + points[2] * axis[2] for axis in (side, up))
        for k in np.flatnonzero(bundle.scene == n):
            middle = bundle.place[0][k], bundle.height[k] / 2, bundle.place[1][k]
            ds, du = (a - (middle[0] * b[0] + middle[1] * b[1] + middle[2] * b[2]) for a, b in ((s, side), (u, up)))
            near = np.flatnonzero((ds * ds + du * du < ball[k]) & (samples.hits.solid[n] != k))
            spots.append(near + n * len(s))
            solids.append(np.full(len(near), k))
    if spots:
        spot, solid = np.concatenate(spots), np.concatenate(solids)
        towards = [axis.take(bundle.scene.take(solid)) for axis in lights.T]
        t = meet(bundle, solid, [part.ravel().take(spot) for part in samples.points], towards)
        dark.reshape(-1)[spot[t < np.inf]] = True
    return dark


def _across(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors at right angles to the light's direction and to each other."""
    side = np.cross(light, (0.0, 0.0, 1.0) if abs(light[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.sqrt((side * side).sum())
    return side, np.cross(light, side)


def background_colour(samples: Samples, bundle: Bundle, dark: np.ndarray) -> np.ndarray:
    """Reflected light (N, P, 3) float32 of table and wall, solids ignored."""
    colour = np.empty((*dark.shape, 3), f32)
    for n, scene in enumerate(bundle.scenes):
        around, light = scene.surroundings, scene.light
        wall = samples.hits.wall[n]
        x, y, z = (part[n] for part in samples.points)
        along = np.where(wall, y + 7.0, z)  # 7: a far part of the texture, so that wall and table do not continue
        scale, (a, b) = around.scale, around.offset
        grain = f32(around.grain) * _texture((x * scale + a).astype(f32), (along * scale + b).astype(f32))
        facing = np.where(wall, f32(max(-light.direction[2], 0.0)), f32(light.direction[1]))
        lit = f32(light.ambient) + f32(light.strength) * facing * ~dark[n]
        for channel in range(3):
            base = np.where(wall, f32(around.wall[channel]), f32(around.table[channel]))
            colour[n, :, channel] = (base + grain) * lit
    return colour


def shade_solids(colour: np.ndarray, samples: Samples, bundle: Bundle, dark: np.ndarray) -> None:
    """Write the light that the solids reflect into colour (N, P, 3)."""
    spot = np.flatnonzero(samples.hits.solid.ravel() >= 0)
    if not len(spot):
        return
    solid = samples.hits.solid.ravel().take(spot)
    scene = bundle.scene.take(solid)
    local = to_local(bundle, solid, [part.ravel().take(spot) for part in samples.points], point=True)
    normal = to_world(bundle, solid, *_normal(bundle, solid, *local))
    light = [axis.take(scene) for axis in np.array([scene.light.direction for scene in bundle.scenes]).T]
    ambient = np.array([scene.light.ambient for scene in bundle.scenes]).take(scene)
    strength = np.array([scene.light.strength for scene in bundle.scenes]).take(scene)
    facing = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
    direct = np.where(dark.ravel().take(spot), 0.0, np.maximum(facing, 0.0))
    # the sky is brighter than the table, which gives the dark side some form
    lit = (ambient * (0.88 + 0.12 * normal[1]) + strength * direct).astype(f32)
    paint = np.array([COLOURS[item.colour] for item in bundle.solids], f32)
    accent = np.array([_accent(COLOURS[item.colour]) for item in bundle.solids], f32)
    pattern = np.array([PATTERNS.index(item.pattern) for item in bundle.solids]).take(solid)
    tints = np.concatenate([paint, accent])
    tint = tints[solid + len(paint) * _marked(bundle, solid, pattern, *local)]
    colour.reshape(-1, 3)[spot] = tint * lit[:, None]


def to_bytes(colour: np.ndarray, samples: Samples, bundle: Bundle) -> np.ndarray:
    """Reflected light (N, P, 3) -> float32 pixel values: [48, 207], or [0, 255] on solids that are meant to collide."""
    for n, scene in enumerate(bundle.scenes):
        if scene.surroundings.fog:
            haze = (samples.hits.depth[n] * scene.surroundings.fog).astype(f32)[:, None]
            clear = f32(1) / (f32(1) + haze * haze)
            colour[n] = colour[n] * clear + np.array(FOG, f32) * (f32(1) - clear)
    np.clip(colour, f32(0), f32(1), out=colour)
    values = colour * f32(BRIGHTEST - DARKEST) + f32(DARKEST)
    colliding = np.array([item.colour in COLLIDING for item in bundle.solids] + [False])
    if colliding.any():
        wide = colliding[samples.hits.solid]  # -1, the background, reads the last entry
        values[wide] = colour[wide] * f32(255)
    return values


def _normal(bundle: Bundle, solid: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Three:
    """Unit outward normals in the solids' frames at points on their surfaces."""
    normal = np.stack([x, y, z])
    shape = bundle.shape.take(solid)
    for number, towards in enumerate((_from_ball, _from_cube, _from_cylinder, _from_cone, _from_capsule)):
        of = np.flatnonzero(shape == number)
        which = solid.take(of)
        sizes = (part.take(which) for part in (bundle.width, bundle.height, bundle.reach))
        normal[:, of] = towards(x.take(of), y.take(of), z.take(of), *sizes)
    length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    normal /= np.where(length == 0, 1.0, length)
    return normal[0], normal[1], normal[2]


def _from_ball(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: np.ndarray, height: np.ndarray, reach: np.ndarray
) -> Three:
    return x, y - width, z


def _from_cube(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: np.ndarray, height: np.ndarray, reach: np.ndarray
) -> Sequence[np.ndarray]:
    level = y - height / 2
    face = np.argmax(np.abs([x, level, z]), 0)  # all three half edges are equal
    return [np.where(face == i, part, 0.0) for i, part in enumerate((x, level, z))]


def _from_cylinder(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: np.ndarray, height: np.ndarray, reach: np.ndarray
) -> Three:
    top = height - y < width - np.sqrt(x * x + z * z)  # nearer to its lid than to its side
    return np.where(top, 0.0, x), np.where(top, 1.0, 0.0), np.where(top, 0.0, z)


def _from_cone(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: np.ndarray, height: np.ndarray, reach: np.ndarray
) -> Three:
    return x, (width / height) ** 2 * (height - y), z


def _from_capsule(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: np.ndarray, height: np.ndarray, reach: np.ndarray
) -> Three:
    return x - np.clip(x, -reach, reach), y - width, z


def _marked(
    bundle: Bundle, solid: np.ndarray, pattern: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """(M,) bool: the pattern has its second colour here. Stripes go round the axis; checkers are cells in space."""
    width, height, reach = bundle.width[solid], bundle.height[solid], bundle.reach[solid]
    lying = reach > 0
    along = np.where(lying, (x + width + reach) / (2 * (width + reach)), y / height)
    # the band at the top, which the camera sees most of, is the paint and not the accent; so is a lid
    stripe = np.floor(np.minimum(along, 0.999) * BANDS).astype(int) % 2 == 0
    cell = width / CELLS
    checker = (np.floor(x / cell + 0.5) + np.floor((y - height / 2) / cell + 0.5) + np.floor(z / cell + 0.5)).astype(
        int
    ) % 2 == 1
    return np.select([pattern == 1, pattern == 2], [stripe, checker], False)


def _accent(paint: tuple[float, float, float]) -> tuple[float, ...]:
    """The pattern's second colour: a dark shade of a light paint, a pale tint of a dark one; the hue stays."""
    bright = 0.3 * paint[0] + 0.6 * paint[1] + 0.1 * paint[2] > 0.5
    return tuple(0.28 * c if bright else 0.25 * c + 0.72 for c in paint)


def _table() -> np.ndarray:
    """A periodic table (64, 64) float32 in about [-1, 1]: three octaves of smooth noise."""
    rng = np.random.Generator(np.random.PCG64(20250))
    total = np.zeros((64, 64))
    for cells, share in ((8, 0.5), (16, 0.3), (32, 0.2)):
        noise = rng.random((cells, cells)) * 2 - 1
        fine = np.repeat(np.repeat(noise, 64 // cells, 0), 64 // cells, 1)
        total += share * (fine + np.roll(fine, 1, 0) + np.roll(fine, 1, 1) + np.roll(fine, (1, 1), (0, 1))) / 4
    return (2 * total).astype(f32)


_TEXTURE = _table()


def _texture(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The table read between its entries, at a and b (P,) float32 in entries."""
    i, j = np.floor(a), np.floor(b)
    u, v = a - i, b - j
    i, j = i.astype(np.int32) & 63, j.astype(np.int32) & 63
    i1, j1 = (i + 1) & 63, (j + 1) & 63
    low = _TEXTURE[i, j] * (f32(1) - u) + _TEXTURE[i1, j] * u
    return low * (f32(1) - v) + (_TEXTURE[i, j1] * (f32(1) - u) + _TEXTURE[i1, j1] * u) * v
