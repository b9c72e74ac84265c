"""What a scene consists of: solids on a table, a camera, a light, and the surroundings.

World axes: x to the right, y up, z away from the camera; the table is the plane y = 0. Lengths in metres.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

SHAPES = ("ball", "cube", "cylinder", "cone", "capsule")  # the order is the class id, minus one
SIZES = ("small", "large")
PATTERNS = ("plain", "striped", "checkered")
CLASSES = ("background", *SHAPES)

# Reflectance, each channel in [0, 1]. Rendering maps [0, 1] to [DARKEST, BRIGHTEST].
COLOURS: dict[str, tuple[float, float, float]] = {
    "orange": (1.00, 0.47, 0.02),
    "yellow": (0.98, 0.93, 0.05),
    "green": (0.08, 0.66, 0.12),
    "cyan": (0.04, 0.86, 0.92),
    "blue": (0.04, 0.16, 0.95),
    "purple": (0.46, 0.06, 0.74),
    "pink": (1.00, 0.52, 0.80),
    "red": (1.00, 0.05, 0.04),  # only in the split `hard`
}
MAIN_COLOURS = tuple(name for name in COLOURS if name != "red")

# Drawing colours are the eight corners of the RGB cube. A pixel in [48, 207]^3 is at least 48 sqrt(3) = 83.1 from each.
DARKEST, BRIGHTEST = 48, 207
COLLIDING = frozenset({"red"})  # drawn with the full range 0..255, so that lit pixels do collide with a drawing colour

# Reflectance of (table, wall); pale or grey, so that no solid's colour is met there.
PALETTES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "oak": ((0.62, 0.50, 0.37), (0.80, 0.78, 0.72)),
    "slate": ((0.36, 0.40, 0.44), (0.66, 0.69, 0.72)),
    "linen": ((0.80, 0.76, 0.69), (0.54, 0.53, 0.51)),
    "walnut": ((0.36, 0.29, 0.24), (0.73, 0.70, 0.65)),
    "concrete": ((0.58, 0.58, 0.57), (0.42, 0.43, 0.45)),
    "chalk": ((0.88, 0.88, 0.86), (0.72, 0.74, 0.76)),
    # met only in the split `palette_shift`
    "moss": ((0.36, 0.44, 0.32), (0.62, 0.68, 0.56)),
    "dusk": ((0.34, 0.31, 0.42), (0.50, 0.46, 0.60)),
    "sand": ((0.84, 0.72, 0.52), (0.60, 0.48, 0.40)),
    "ink": ((0.13, 0.14, 0.17), (0.22, 0.22, 0.25)),
}
MAIN_PALETTES = ("oak", "slate", "linen", "walnut", "concrete", "chalk")
SHIFTED_PALETTES = ("moss", "dusk", "sand", "ink")


@dataclass(frozen=True)
class Solid:
    """One solid resting on the table.

    x, z: centre in the ground plane, metres. radius: the nominal radius that `size` speaks of, metres.
    height: of its top above the table, metres. yaw: turn about the vertical, radians.
    """

    shape: str
    colour: str
    size: str
    pattern: str
    x: float
    z: float
    radius: float
    height: float
    yaw: float

    @property
    def label(self) -> tuple[str, str, str, str]:
        """(shape, colour, size, pattern): twins have equal labels."""
        return self.shape, self.colour, self.size, self.pattern

    @property
    def footprint(self) -> float:
        """Radius in metres of the vertical cylinder that holds the solid."""
        return PROPORTIONS[self.shape].footprint * self.radius


@dataclass(frozen=True)
class Proportions:
    """Lengths in units of the nominal radius.

    width: radius of ball, cylinder, cone (at its base) and capsule; half an edge of the cube.
    reach: half the length of the capsule's straight part. footprint: radius of the enclosing vertical cylinder.
    """

    width: float
    height: float
    footprint: float
    reach: float = 0.0


# Chosen so that the five silhouettes of one nominal radius cover about the same number of pixels.
PROPORTIONS = {
    "ball": Proportions(width=1.05, height=2.1, footprint=1.05),
    "cube": Proportions(width=0.75, height=1.5, footprint=0.75 * math.sqrt(2)),
    "cylinder": Proportions(width=0.79, height=1.70, footprint=0.79),
    "cone": Proportions(width=1.08, height=2.25, footprint=1.08),
    "capsule": Proportions(width=0.70, height=1.40, footprint=1.46, reach=0.76),
}


@dataclass(frozen=True)
class Camera:
    """Above x = z = 0. height in metres, pitch down and yaw to the right in radians, fov the full angle in radians."""

    height: float
    pitch: float
    yaw: float
    fov: float

    @functools.cached_property
    def basis(self) -> np.ndarray:
        """(3, 3) float64; rows: right, down, forward. Rounded, so that a different libm gives the same bytes."""
        sin_p, cos_p = math.sin(self.pitch), math.cos(self.pitch)
        sin_y, cos_y = math.sin(self.yaw), math.cos(self.yaw)
        right = (cos_y, 0.0, -sin_y)
        down = (-sin_p * sin_y, -cos_p, -sin_p * cos_y)
        forward = (cos_p * sin_y, -sin_p, cos_p * cos_y)
        return np.round(np.array([right, down, forward]), 12)

    @functools.cached_property
    def slope(self) -> float:
        """Half the image's width at depth 1."""
        return round(math.tan(self.fov / 2), 12)

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) -> (..., 3): column and row in [0, 1] inside the image, depth in metres."""
        basis = self.basis
        rel = np.asarray(points, dtype=np.float64) - (0.0, self.height, 0.0)
        right, down, depth = ((rel * axis).sum(-1) for axis in basis)
        return np.stack([right / depth / self.slope / 2 + 0.5, down / depth / self.slope / 2 + 0.5, depth], -1)

    def ground(self, column: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image points, column and row in [0, 1] -> the x and z seen there; nan where it is not the table."""
        across, along = (2 * column - 1) * self.slope, (2 * row - 1) * self.slope
        x, y, z = (ahead + right * across + down * along for right, down, ahead in self.basis.T)
        t = np.where(y < -1e-6, -self.height / np.minimum(y, -1e-6), np.nan)
        return x * t, z * t


@dataclass(frozen=True)
class Light:
    """A far light. direction: unit vector towards it; ambient and strength: shares of reflectance."""

    direction: tuple[float, float, float]
    ambient: float
    strength: float


@dataclass(frozen=True)
class Surroundings:
    """Table and wall: reflectances, the wall's distance along z in metres, texture, fog.

    grain: amplitude of the texture in reflectance. scale: texture cells per metre. offset: where its table is read.
    fog: inverse of the depth in metres at which half the light is fog's; 0 is clear air.
    """

    palette: str
    table: tuple[float, float, float]
    wall: tuple[float, float, float]
    wall_z: float
    grain: float
    scale: float
    offset: tuple[float, float]
    fog: float = 0.0


@dataclass(frozen=True)
class Scene:
    """solids[k - 1] is the solid of instance id k."""

    solids: tuple[Solid, ...]
    camera: Camera
    light: Light
    surroundings: Surroundings
