"""Rays against solids, table and wall: which is met first, and at what depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .solids import PROPORTIONS, SHAPES, Scene

NEAR = 1e-6  # metres; a meeting nearer than this is the surface the ray started on


@dataclass(frozen=True)
class Bundle:
    """N scenes and P rays through each. Solids of all scenes lie in one list of S, by scene and then by instance.

    origin (N, 3) · rays (N, P, 3), length 1 along the optical axis · first (N + 1,) start of each scene's solids ·
    scene, slot, shape (S,) ints · place (S, 2) x and z · turn (S, 2) cos and sin of the yaw · width, height, reach (S,)
    """

    scenes: Sequence[Scene]
    side: int
    origin: np.ndarray
    rays: np.ndarray
    boxes: np.ndarray
    scene: np.ndarray
    slot: np.ndarray
    shape: np.ndarray
    place: np.ndarray
    turn: np.ndarray
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
    basis = np.stack([scene.camera.basis() for scene in scenes])  # (N, 3, 3)
    slope = np.array([scene.camera.slope for scene in scenes])
    origin = np.array([(0.0, scene.camera.height, 0.0) for scene in scenes])
    ticks = (2 * np.arange(side) + 1) / side - 1  # (side,) in (-1, 1)
    step = slope[:, None] * ticks  # (N, side)
    rays = (
        basis[:, 2, None, None, :]
        + basis[:, 0, None, None, :] * step[:, None, :, None]
        + basis[:, 1, None, None, :] * step[:, :, None, None]
    ).reshape(len(scenes), side * side, 3)
    flat = [(n, k, solid) for n, scene in enumerate(scenes) for k, solid in enumerate(scene.solids)]
    parts = [PROPORTIONS[solid.shape] for _, _, solid in flat]
    radius = np.array([solid.radius for _, _, solid in flat])
    yaw = np.array([solid.yaw for _, _, solid in flat])
    made = dict(
        scene=np.array([n for n, _, _ in flat], int),
        slot=np.array([k for _, k, _ in flat], int),
        shape=np.array([SHAPES.index(solid.shape) for _, _, solid in flat], int),
        place=np.array([(solid.x, solid.z) for _, _, solid in flat]).reshape(-1, 2),
        turn=np.round(np.stack([np.cos(yaw), np.sin(yaw)], -1), 12),
        width=np.array([part.width for part in parts]) * radius,
        height=np.array([solid.height for _, _, solid in flat]),
        reach=np.array([part.reach for part in parts]) * radius,
    )
    boxes = np.array([_box(scenes[n].camera, solid, side) for n, _, solid in flat], int).reshape(-1, 4)
    return Bundle(scenes, side, origin, rays, boxes, **made)


def _box(camera, solid, side: int) -> tuple[int, int, int, int]:
    """A part of the image, x0, y0, x1, y1, that certainly holds the solid: its bounding box's corners, projected."""
    reach = solid.footprint
    corners = np.array(
        [(solid.x + i * reach, y, solid.z + j * reach) for i in (-1, 1) for j in (-1, 1) for y in (0.0, solid.height)]
    )
    spots = camera.project(corners)
    if spots[:, 2].min() <= NEAR:
        return 0, 0, side, side
    low = np.floor(spots[:, :2].min(0) * side).astype(int) - 1
    high = np.ceil(spots[:, :2].max(0) * side).astype(int) + 1
    x0, y0 = np.clip(low, 0, side)
    x1, y1 = np.clip(high, 0, side)
    return int(x0), int(y0), int(x1), int(y1)


def pairs(boxes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (S, 4) -> (solid, pixel), one row for each pixel of each box."""
    wide = boxes[:, 2] - boxes[:, 0]
    area = wide * (boxes[:, 3] - boxes[:, 1])
    solid = np.repeat(np.arange(len(boxes)), area)
    inside = np.arange(area.sum()) - np.repeat(np.cumsum(area) - area, area)
    row, column = np.divmod(inside, np.maximum(wide, 1)[solid])
    return solid, (boxes[solid, 1] + row) * side + boxes[solid, 0] + column


def cast(bundle: Bundle) -> Hits:
    """What each ray of the bundle meets first."""
    count, pixels = bundle.rays.shape[:2]
    depth, wall = background(bundle)
    instance = np.zeros((count, pixels), np.uint8)
    winner = np.full((count, pixels), -1, np.int32)
    most = int(bundle.slot.max(initial=-1)) + 1
    silhouette = np.zeros((count, most), np.int32)
    solid, pixel = pairs(bundle.boxes, bundle.side)
    t = meet(bundle, solid, bundle.origin[bundle.scene[solid]], bundle.rays[bundle.scene[solid], pixel])
    met = np.isfinite(t)
    solid, pixel, t = solid[met], pixel[met], t[met]
    scene, slot = bundle.scene[solid], bundle.slot[solid]
    np.add.at(silhouette, (scene, slot), 1)
    for k in range(most):  # one solid of each scene at a time: no pixel occurs twice
        of = slot == k
        n, p, near = scene[of], pixel[of], t[of]
        nearer = near < depth[n, p]
        n, p = n[nearer], p[nearer]
        depth[n, p] = near[nearer]
        instance[n, p] = k + 1
        winner[n, p] = solid[of][nearer]
    return Hits(depth, instance, winner, wall, silhouette)


def background(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Depth (N, P) of table or wall, whichever is nearer, and where it is the wall."""
    height = bundle.origin[:, 1, None]
    wall_z = np.array([scene.surroundings.wall_z for scene in bundle.scenes])[:, None]
    down, ahead = -bundle.rays[..., 1], bundle.rays[..., 2]
    with np.errstate(divide="ignore"):
        table = np.where(down > 0, height / down, np.inf)
        wall = np.where(ahead > 0, wall_z / ahead, np.inf)
    return np.minimum(table, wall), wall < table


def to_local(bundle: Bundle, solid: np.ndarray, vectors: np.ndarray, *, points: bool) -> list[np.ndarray]:
    """Vectors (M, 3) in the frame of solids (M,), its origin under the solid's middle on the table -> x, y, z (M,)."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    if points:
        x, z = x - bundle.place[solid, 0], z - bundle.place[solid, 1]
    cos, sin = bundle.turn[solid, 0], bundle.turn[solid, 1]
    return [cos * x - sin * z, y, sin * x + cos * z]


def to_world(bundle: Bundle, solid: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Directions in the solids' frames -> (M, 3) in the world's."""
    cos, sin = bundle.turn[solid, 0], bundle.turn[solid, 1]
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], -1)


def meet(bundle: Bundle, solid: np.ndarray, origin: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Parameter (M,) at which ray i (origin, ray (M, 3)) enters solid[i]; inf where it misses or starts behind."""
    t = np.full(len(solid), np.inf)
    shape = bundle.shape[solid]
    with np.errstate(divide="ignore", invalid="ignore"):
        for number, entry in enumerate((_ball, _cube, _cylinder, _cone, _capsule)):
            of = np.flatnonzero(shape == number)
            which = solid[of]
            o = to_local(bundle, which, origin[of], points=True)
            d = to_local(bundle, which, ray[of], points=False)
            found = entry(o, d, bundle.width[which], bundle.height[which], bundle.reach[which])
            t[of] = np.where(found > NEAR, found, np.inf)  # nan compares false: a miss
    return t


def _roots(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roots of a t^2 + 2 b t + c for a != 0, first minus then plus the square root; nan where there is none."""
    root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (-b + root) / a


def _sphere(ox, oy, oz, d, radius):
    dx, dy, dz = d
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    return _roots(a, b, ox * ox + oy * oy + oz * oz - radius * radius)[0]


def _ball(o, d, width, height, reach):
    return _sphere(o[0], o[1] - width, o[2], d, width)


def _slab(o, d, low, high):
    """The interval of t for which low <= o + t d <= high."""
    one, two = (low - o) / d, (high - o) / d
    return np.fmin(one, two), np.fmax(one, two)


def _enter(*intervals):
    """Where a ray enters the intersection of convex bodies, from its interval in each; nan where it does not."""
    start = np.maximum.reduce([low for low, _ in intervals])
    end = np.minimum.reduce([high for _, high in intervals])
    return np.where(start <= end, start, np.nan)


def _cube(o, d, width, height, reach):
    return _enter(_slab(o[0], d[0], -width, width), _slab(o[1], d[1], 0.0, height), _slab(o[2], d[2], -width, width))


def _cylinder(o, d, width, height, reach):
    a = d[0] * d[0] + d[2] * d[2]
    b = o[0] * d[0] + o[2] * d[2]
    return _enter(_roots(a, b, o[0] * o[0] + o[2] * o[2] - width * width), _slab(o[1], d[1], 0.0, height))


def _cone(o, d, width, height, reach):
    """Inside: x^2 + z^2 <= (k (height - y))^2 and y below the apex, k the slope of the side."""
    k = width / height
    down = height - o[1]
    a = d[0] * d[0] + d[2] * d[2] - k * k * d[1] * d[1]
    b = o[0] * d[0] + o[2] * d[2] + k * k * down * d[1]
    one, two = _roots(a, b, o[0] * o[0] + o[2] * o[2] - k * k * down * down)
    low, high = np.fmin(one, two), np.fmax(one, two)
    # a < 0: the ray is steeper than the side and lies in the lower cone after its later root (falling) or before its first
    steep, falling = a < 0, d[1] < 0
    start = np.where(steep, np.where(falling, high, -np.inf), one)
    end = np.where(steep, np.where(falling, np.inf, low), two)
    return _enter((start, end), _slab(o[1], d[1], 0.0, height))


def _capsule(o, d, width, height, reach):
    """Lies along its local x axis at height `width`."""
    oy = o[1] - width
    a = d[1] * d[1] + d[2] * d[2]
    b = oy * d[1] + o[2] * d[2]
    body = _roots(a, b, oy * oy + o[2] * o[2] - width * width)[0]
    body = np.where(np.abs(o[0] + body * d[0]) <= reach, body, np.nan)
    ends = np.fmin(_sphere(o[0] - reach, oy, o[2], d, width), _sphere(o[0] + reach, oy, o[2], d, width))
    return np.fmin(body, ends)
