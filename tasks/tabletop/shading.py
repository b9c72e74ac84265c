"""Colour of what the rays met: patterns, light, cast shadows, texture of table and wall, fog."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .casting import Bundle, Hits, meet, to_local, to_world
from .solids import BRIGHTEST, COLLIDING, COLOURS, DARKEST, PATTERNS

FOG = (0.62, 0.64, 0.66)  # reflectance that the air takes on
BANDS = 4.0  # stripes from one end of a solid to the other
CELLS = 1.3  # a checker's cells in half a width; not whole, so that no face lies on a boundary between cells
f32 = np.float32


@dataclass(frozen=True)
class Samples:
    """Meeting points (N, P, 3) float64 world metres, with the hits they belong to."""

    points: np.ndarray
    hits: Hits

    @staticmethod
    def of(bundle: Bundle, hits: Hits) -> Samples:
        return Samples(bundle.origin[:, None] + hits.depth[..., None] * bundle.rays, hits)


def shadowed(samples: Samples, bundle: Bundle) -> np.ndarray:
    """(N, P) bool: another solid stands between the point and the light. (A solid's own dark side is not meant.)"""
    dark = np.zeros(samples.hits.depth.shape, bool)
    middle = np.stack([bundle.place[:, 0], bundle.height / 2, bundle.place[:, 1]], -1)
    wide = np.array([solid.footprint for scene in bundle.scenes for solid in scene.solids])
    ball = np.sqrt(wide * wide + bundle.height * bundle.height / 4)  # radius of an enclosing sphere
    for n, scene in enumerate(bundle.scenes):
        light = np.array(scene.light.direction)
        side, up = _across(light)
        points = samples.points[n]
        s = points[:, 0] * side[0] + points[:, 1] * side[1] + points[:, 2] * side[2]
        u = points[:, 0] * up[0] + points[:, 1] * up[1] + points[:, 2] * up[2]
        owner = samples.hits.solid[n]
        for solid in np.flatnonzero(bundle.scene == n):
            ds, du = s - (middle[solid] * side).sum(), u - (middle[solid] * up).sum()
            near = np.flatnonzero((ds * ds + du * du < ball[solid] ** 2) & (owner != solid) & ~dark[n])
            t = meet(bundle, np.full(len(near), solid), points[near], np.broadcast_to(light, (len(near), 3)))
            dark[n, near[np.isfinite(t)]] = True
    return dark


def _across(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors at right angles to the light's direction and to each other."""
    side = np.array([light[1], -light[0], 0.0])
    side /= np.sqrt((side * side).sum())
    return side, np.cross(light, side)


def background_colour(samples: Samples, bundle: Bundle, dark: np.ndarray) -> np.ndarray:
    """Reflected light (N, P, 3) float32 of table and wall, solids ignored."""
    colour = np.empty(samples.points.shape, f32)
    for n, scene in enumerate(bundle.scenes):
        around, light = scene.surroundings, scene.light
        wall = samples.hits.wall[n]
        x, y, z = (samples.points[n, :, i] for i in range(3))
        along = np.where(wall, y + 7.0, z)  # 7: a far part of the texture, so that wall and table do not continue
        grain = _texture((x * around.scale + around.offset[0]).astype(f32), (along * around.scale + around.offset[1]).astype(f32))
        facing = np.where(wall, max(-light.direction[2], 0.0), light.direction[1]).astype(f32)
        lit = f32(light.ambient) + f32(light.strength) * facing * ~dark[n]
        base = np.where(wall[:, None], np.array(around.wall, f32), np.array(around.table, f32))
        colour[n] = (base + (f32(around.grain) * grain)[:, None]) * lit[:, None]
    return colour


def shade_solids(colour: np.ndarray, samples: Samples, bundle: Bundle, dark: np.ndarray) -> None:
    """Write the light that the solids reflect into colour (N, P, 3)."""
    n, p = np.nonzero(samples.hits.solid >= 0)
    if not len(n):
        return
    solid = samples.hits.solid[n, p]
    local = to_local(bundle, solid, samples.points[n, p], points=True)
    normal = to_world(bundle, solid, *_normal(bundle, solid, *local))
    light = np.array([scene.light.direction for scene in bundle.scenes])[n]
    ambient = np.array([scene.light.ambient for scene in bundle.scenes])[n]
    strength = np.array([scene.light.strength for scene in bundle.scenes])[n]
    facing = normal[:, 0] * light[:, 0] + normal[:, 1] * light[:, 1] + normal[:, 2] * light[:, 2]
    direct = np.where(dark[n, p], 0.0, np.maximum(facing, 0.0))
    # the sky is brighter than the table, which gives the dark side some form
    lit = (ambient * (0.88 + 0.12 * normal[:, 1]) + strength * direct).astype(f32)
    flat = [item for scene in bundle.scenes for item in scene.solids]
    paint = np.array([COLOURS[item.colour] for item in flat], f32)
    accent = np.array([_accent(COLOURS[item.colour]) for item in flat], f32)
    marked = _marked(bundle, solid, np.array([PATTERNS.index(item.pattern) for item in flat])[solid], *local)
    colour[n, p] = np.where(marked[:, None], accent[solid], paint[solid]) * lit[:, None]


def to_bytes(colour: np.ndarray, samples: Samples, bundle: Bundle) -> np.ndarray:
    """Reflected light (N, P, 3) -> float32 pixel values: [48, 207], or [0, 255] on solids that are meant to collide."""
    for n, scene in enumerate(bundle.scenes):
        if scene.surroundings.fog:
            haze = (samples.hits.depth[n] * scene.surroundings.fog).astype(f32)[:, None]
            clear = f32(1) / (f32(1) + haze * haze)
            colour[n] = colour[n] * clear + np.array(FOG, f32) * (f32(1) - clear)
    np.clip(colour, f32(0), f32(1), out=colour)
    colliding = np.array([item.colour in COLLIDING for scene in bundle.scenes for item in scene.solids] + [False])
    values = colour * f32(BRIGHTEST - DARKEST) + f32(DARKEST)
    if colliding.any():
        wide = colliding[samples.hits.solid]  # -1, the background, reads the last entry
        values[wide] = colour[wide] * f32(255)
    return values


def _normal(bundle: Bundle, solid: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    """Unit outward normals in the solids' frames at points on their surfaces."""
    width, height, reach = bundle.width[solid], bundle.height[solid], bundle.reach[solid]
    shape = bundle.shape[solid]
    zero = np.zeros_like(x)
    level = y - height / 2
    cube = np.argmax(np.abs(np.stack([x / width, level / (height / 2), z / width])), 0)
    top = height - y < width - np.sqrt(x * x + z * z)  # of a cylinder: nearer to its lid than to its side
    lean = (width / height) ** 2 * (height - y)
    beyond = x - np.clip(x, -reach, reach)
    ball, box, cylinder, cone = (shape == k for k in range(4))
    nx = np.select([ball, box, cylinder, cone], [x, np.where(cube == 0, x, zero), np.where(top, zero, x), x], beyond)
    ny = np.select(
        [ball, box, cylinder, cone], [y - width, np.where(cube == 1, level, zero), np.where(top, y, zero), lean], y - width
    )
    nz = np.select([ball, box, cylinder, cone], [z, np.where(cube == 2, z, zero), np.where(top, zero, z), z], z)
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    length[length == 0] = 1.0
    return [nx / length, ny / length, nz / length]


def _marked(bundle: Bundle, solid: np.ndarray, pattern: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(M,) bool: the pattern shows its second colour here. Stripes go round the longest axis; checkers are cells in space."""
    width, height, reach = bundle.width[solid], bundle.height[solid], bundle.reach[solid]
    lying = reach > 0
    along = np.where(lying, (x + width + reach) / (2 * (width + reach)), y / height)
    # the band at the top, which the camera sees most of, is the paint and not the accent; so is a lid
    stripe = np.floor(np.minimum(along, 0.999) * BANDS).astype(int) % 2 == 0
    cell = width / CELLS
    checker = (np.floor(x / cell + 0.5) + np.floor((y - height / 2) / cell + 0.5) + np.floor(z / cell + 0.5)).astype(int) % 2 == 1
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
