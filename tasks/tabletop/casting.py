"""Rays against solids, table and wall: which is met first, and at what depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .solids import PROPORTIONS, SHAPES, Scene, Solid

NEAR = 1e-6  # metres; a meeting nearer than this is the surface the ray started on


Three = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y, z as separate arrays: numpy is much faster on these


@dataclass(frozen=True)
class Bundle:
    """N scenes and P rays through each; their S solids in one list, sorted by instance id and then by scene.

    rays: x, y, z, each (N, P), length 1 along the optical axis; they start at (0, heights (N,), 0).
    boxes (S, 4): x0, y0, x1, y1 in rays, a part of the image that certainly holds the solid. scene, slot (instance
    id less 1), shape (S,) int. place: x, z. turn: cos and sin of the yaw. width, height, reach: metres. All (S,).
    """

    scenes: Sequence[Scene]
    side: int
    rays: Three
    heights: np.ndarray
    solids: tuple[Solid, ...]
    boxes: np.ndarray
    scene: np.ndarray
    slot: np.ndarray
    shape: np.ndarray
    place: tuple[np.ndarray, np.ndarray]
    turn: tuple[np.ndarray, np.ndarray]
    width: np.ndarray
    height: np.ndarray
    reach: np.ndarray


@dataclass(frozen=True)
class Hits:
    """depth (N, P) float64 metres · instance (N, P) uint8 · solid (N, P) int32 index into the bundle's list, -1 for
    none · wall (N, P) bool, the background here is wall and not table · silhouette (N, K) int32 pixels."""

    depth: np.ndarray
    instance: np.ndarray
    solid: np.ndarray
    wall: np.ndarray
    silhouette: np.ndarray


def bundle(scenes: Sequence[Scene], side: int) -> Bundle:
    """Rays through the centres of side x side cells of each scene's image, row by row."""
    basis = np.stack([scene.camera.basis for scene in scenes])[..., None, None]  # (N, 3, 3, 1, 1)
    slope = np.array([scene.camera.slope for scene in scenes])
    step = slope[:, None] * ((2 * np.arange(side) + 1) / side - 1)  # (N, side)
    right, down, forward = basis[:, 0], basis[:, 1], basis[:, 2]
    x, y, z = (
        (forward[:, i] + right[:, i] * step[:, None, :] + down[:, i] * step[:, :, None]).reshape(len(scenes), -1)
        for i in range(3)
    )
    listed = sorted((k, n) for n, scene in enumerate(scenes) for k in range(len(scene.solids)))
    solids = tuple(scenes[n].solids[k] for k, n in listed)
    parts = [PROPORTIONS[solid.shape] for solid in solids]
    radius = np.array([solid.radius for solid in solids])
    return Bundle(
        scenes,
        side,
        rays=(x, y, z),
        heights=np.array([scene.camera.height for scene in scenes]),
        solids=solids,
        boxes=_boxes(scenes, basis[..., 0, 0], slope, listed, side),
        scene=np.array([n for _, n in listed], int),
        slot=np.array([k for k, _ in listed], int),
        shape=np.array([SHAPES.index(solid.shape) for solid in solids], int),
        place=(np.array([solid.x for solid in solids]), np.array([solid.z for solid in solids])),
        turn=(
            np.array([round(math.cos(solid.yaw), 12) for solid in solids]),
            np.array([round(math.sin(solid.yaw), 12) for solid in solids]),
        ),
        width=np.array([part.width for part in parts]) * radius,
        height=np.array([solid.height for solid in solids]),
        reach=np.array([part.reach for part in parts]) * radius,
    )


def _boxes(scenes: Sequence[Scene], basis: np.ndarray, slope: np.ndarray, listed: list, side: int) -> np.ndarray:
    """The solids' bounding boxes, their corners projected: (S, 4) int."""
    if not listed:
        return np.zeros((0, 4), int)
    solids = [scenes[n].solids[k] for k, n in listed]
    of = np.array([n for _, n in listed])
    reach, height = (np.array([getattr(solid, name) for solid in solids])[:, None] for name in ("footprint", "height"))
    sign = np.array([(i, j, h) for i in (-1, 1) for j in (-1, 1) for h in (0, 1)], float)  # (8, 3)
    camera = np.array([scene.camera.height for scene in scenes])[of, None]
    x = np.array([solid.x for solid in solids])[:, None] + reach * sign[:, 0]
    z = np.array([solid.z for solid in solids])[:, None] + reach * sign[:, 1]
    y = height * sign[:, 2] - camera
    right, down, depth = (
        basis[of, i, 0, None] * x + basis[of, i, 1, None] * y + basis[of, i, 2, None] * z for i in range(3)
    )
    wide = 2 * slope[of, None] * np.maximum(depth, NEAR)
    across, along = (right / wide + 0.5) * side, (down / wide + 0.5) * side
    low = [np.floor(spots.min(1)) - 1 for spots in (across, along)]
    high = [np.ceil(spots.max(1)) + 1 for spots in (across, along)]
    boxes = np.clip(np.stack([*low, *high], 1), 0, side).astype(int)
    boxes[depth.min(1) <= NEAR] = 0, 0, side, side  # reaches behind the camera: anywhere
    return boxes


def _pairs(boxes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (S, 4) -> areas (S,) and, for each pixel of each box in turn, the pixel's index in its image."""
    wide = boxes[:, 2] - boxes[:, 0]
    area = wide * (boxes[:, 3] - boxes[:, 1])
    inside = np.arange(area.sum()) - np.repeat(np.cumsum(area) - area, area)
    row = inside // np.repeat(np.maximum(wide, 1), area)
    start = boxes[:, 1] * side + boxes[:, 0]
    return area, np.repeat(start, area) + row * np.repeat(side - wide, area) + inside


def cast(bundle: Bundle) -> Hits:
    """What each ray of the bundle meets first."""
    depth, wall = background(bundle)
    count, pixels = depth.shape
    area, pixel = _pairs(bundle.boxes, bundle.side)
    solid = np.repeat(np.arange(len(area)), area)
    pixel += np.repeat(bundle.scene * pixels, area)  # from here on an index into all scenes' pixels
    ray = [part.ravel().take(pixel) for part in bundle.rays]
    zero = np.zeros(len(pixel))
    t = meet(bundle, solid, [zero, np.repeat(bundle.heights[bundle.scene], area), zero], ray)
    met = np.flatnonzero(t < np.inf)
    solid, pixel, t = solid[met], pixel[met], t[met]
    most = int(bundle.slot.max(initial=-1)) + 1
    silhouette = np.zeros((count, most), np.int32)
    silhouette[bundle.scene, bundle.slot] = np.bincount(solid, minlength=len(area))
    instance = np.zeros(count * pixels, np.uint8)
    winner = np.full(count * pixels, -1, np.int32)
    flat = depth.reshape(-1)
    ends = np.searchsorted(bundle.slot[solid], np.arange(most + 1))
    for k in range(most):  # one solid of each scene at a time: no pixel occurs twice
        of = slice(ends[k], ends[k + 1])
        near = np.flatnonzero(t[of] < flat[pixel[of]])
        spots = pixel[of][near]
        flat[spots] = t[of][near]
        instance[spots] = k + 1
        winner[spots] = solid[of][near]
    return Hits(depth, instance.reshape(count, pixels), winner.reshape(count, pixels), wall, silhouette)


def background(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Depth (N, P) of table or wall, whichever is nearer, and where it is the wall."""
    wall_z = np.array([scene.surroundings.wall_z for scene in bundle.scenes])[:, None]
    _, up, ahead = bundle.rays
    with np.errstate(divide="ignore"):
        table = np.where(up < 0, -bundle.heights[:, None] / up, np.inf)
        wall = np.where(ahead > 0, wall_z / ahead, np.inf)
    return np.minimum(table, wall), wall < table


def to_local(bundle: Bundle, solid: np.ndarray, vector: Sequence[np.ndarray], *, point: bool) -> Three:
    """Points or directions, x, y, z each (M,), in the frame of solids (M,): its origin on the table under the solid."""
    x, y, z = vector
    if point:
        x, z = x - bundle.place[0].take(solid), z - bundle.place[1].take(solid)
    cos, sin = bundle.turn[0].take(solid), bundle.turn[1].take(solid)
    return cos * x - sin * z, y, sin * x + cos * z


def to_world(bundle: Bundle, solid: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Three:
    """Directions in the solids' frames -> in the world's."""
    cos, sin = bundle.turn[0].take(solid), bundle.turn[1].take(solid)
    return cos * x + sin * z, y, cos * z - sin * x


def meet(bundle: Bundle, solid: np.ndarray, origin: Sequence[np.ndarray], ray: Sequence[np.ndarray]) -> np.ndarray:
    """Where ray i enters solid[i] (M,), inf where it misses or starts behind. origin, ray: x, y, z, each (M,)."""
    t = np.full(len(solid), np.inf)
    shape = bundle.shape.take(solid)
    with np.errstate(divide="ignore", invalid="ignore"):
        for number, entry in enumerate((_ball, _cube, _cylinder, _cone, _capsule)):
            of = np.flatnonzero(shape == number)
            which = solid.take(of)
            o = to_local(bundle, which, [part.take(of) for part in origin], point=True)
            d = to_local(bundle, which, [part.take(of) for part in ray], point=False)
            found = entry(o, d, bundle.width.take(which), bundle.height.take(which), bundle.reach.take(which))
            t[of] = np.where(found > NEAR, found, np.inf)  # nan compares false: a miss
    return t


def _roots(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roots of a t^2 + 2 b t + c for a != 0, first minus then plus the square root; nan where there is none."""
    root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (-b + root) / a


def _sphere(ox: np.ndarray, oy: np.ndarray, oz: np.ndarray, d: Three, radius: np.ndarray) -> np.ndarray:
    dx, dy, dz = d
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    return _roots(a, b, ox * ox + oy * oy + oz * oz - radius * radius)[0]


def _ball(o: Three, d: Three, width: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    return _sphere(o[0], o[1] - width, o[2], d, width)


def _slab(o: np.ndarray, d: np.ndarray, low: np.ndarray | float, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval of t for which low <= o + t d <= high."""
    one, two = (low - o) / d, (high - o) / d
    return np.fmin(one, two), np.fmax(one, two)


def _enter(*intervals: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Where a ray enters the intersection of convex bodies, from its interval in each; nan where it does not."""
    start = np.maximum.reduce([low for low, _ in intervals])
    end = np.minimum.reduce([high for _, high in intervals])
    return np.where(start <= end, start, np.nan)


def _cube(o: Three, d: Three, width: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    return _enter(_slab(o[0], d[0], -width, width), _slab(o[1], d[1], 0.0, height), _slab(o[2], d[2], -width, width))


def _cylinder(o: Three, d: Three, width: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    a = d[0] * d[0] + d[2] * d[2]
    b = o[0] * d[0] + o[2] * d[2]
    return _enter(_roots(a, b, o[0] * o[0] + o[2] * o[2] - width * width), _slab(o[1], d[1], 0.0, height))


def _cone(o: Three, d: Three, width: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Inside: x^2 + z^2 <= (k (height - y))^2 and y below the apex, k the slope of the side."""
    k = width / height
    down = height - o[1]
    a = d[0] * d[0] + d[2] * d[2] - k * k * d[1] * d[1]
    b = o[0] * d[0] + o[2] * d[2] + k * k * down * d[1]
    one, two = _roots(a, b, o[0] * o[0] + o[2] * o[2] - k * k * down * down)
    low, high = np.fmin(one, two), np.fmax(one, two)
    # a < 0: the ray is steeper than the side; in the lower cone after its later root (falling) or before its first
    steep, falling = a < 0, d[1] < 0
    start = np.where(steep, np.where(falling, high, -np.inf), one)
    end = np.where(steep, np.where(falling, np.inf, low), two)
    return _enter((start, end), _slab(o[1], d[1], 0.0, height))


def _capsule(o: Three, d: Three, width: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Lies along its local x axis at height `width`."""
    oy = o[1] - width
    a = d[1] * d[1] + d[2] * d[2]
    b = oy * d[1] + o[2] * d[2]
    body = _roots(a, b, oy * oy + o[2] * o[2] - width * width)[0]
    body = np.where(np.abs(o[0] + body * d[0]) <= reach, body, np.nan)
    ends = np.fmin(_sphere(o[0] - reach, oy, o[2], d, width), _sphere(o[0] + reach, oy, o[2], d, width))
    return np.fmin(body, ends)
