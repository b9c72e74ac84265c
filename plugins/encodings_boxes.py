"""Boxes drawn on the photograph, as outlines or filled, and read back from connected components.

Drawn boxes have no score. Decoders can give one that tells how well a box was drawn: `score=`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from scipy import ndimage

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Boxes, Detections, Drawing, Query, Sample, pixels

from .box_drawing import Colour, filled, rectangles
from .encodings import read_colour

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

Score = Literal["colour_purity", "coverage", "constant"]
COCO_SIDE = 640  # pixels of the longer side of a photograph of COCO
CORNERS: tuple[Colour, ...] = (  # of the RGB cube, without black and white
    (255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 255), (0, 255, 255), (255, 255, 0)
)  # fmt: skip
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
_FARTHEST = 255.0 * math.sqrt(3.0)  # two colours are never farther apart
_TOUCHING = np.ones((3, 3), bool)  # pixels that touch by a corner belong together


class BoxOutline:
    """The boxes of one class as outlines on the photograph, one drawing for each class (InstructCV, in blue).

    Prompt: "detect the CLASS". Read back: pixels of the colour, gaps of up to 2 pixels closed, each connected component
    one box. Boxes of a class whose lines touch or cross read as one box, and one inside of another is lost.

    color: red, purple, blue, green, yellow, white, black, gray, or r,g,b in 0..255.

    width: of the line, inwards from the box's edge, in pixels of a photograph of 640 a side; scaled with the picture.

    least: pixels of the line at least, in any picture.

    reads: hsv for InstructCV's range (hue 100 to 125, saturation from 130, value from 50, as OpenCV counts them), which
    is blue; rgb for what lies within `radius` of the colour.

    radius: Euclidean distance in 0..255 RGB, included; for reads=rgb.

    smallest: pixels of a box's side; what is thinner is not read.

    overlap: of two boxes of a class with a larger IoU, the one of the lower score is not read.

    score: coverage, the share of the outline's pixels that read as drawn; colour_purity, 1 - their mean distance from
    the colour / 442, the largest there is (ours); constant, 1.
    """

    truth: ClassVar[str] = "boxes"

    def __init__(
        self,
        color: str = "blue",
        width: float = 4.0,
        least: int = 2,
        reads: Literal["hsv", "rgb"] = "hsv",
        radius: float = 50.0,
        smallest: int = 4,
        overlap: float = 0.7,
        score: Score = "coverage",
    ) -> None:
        self.colour = read_colour(color)
        if reads == "hsv" and self.colour != (0, 0, 255):
            raise ValueError(f"reads=hsv knows the range of blue alone; use reads=rgb with color={color}")
        if not (0 < width < math.inf and least >= 1):
            raise ValueError(f"a line takes width above 0 and least from 1, got {width} and {least}")
        if not 0 <= overlap <= 1:
            raise ValueError(f"overlap is an IoU, 0 to 1, got {overlap}")
        _require(radius, smallest)
        self.width, self.least, self.reads, self.radius = width, least, reads, radius
        self.smallest, self.overlap, self.score = smallest, overlap, score

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing for each class of the vocabulary. Raises BadData, naming the sample, where there is none."""
        return one_for_each(sample, vocabulary, self.colour)

    def encode(self, image: Tensor, truth: Boxes, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], Boxes, B queries -> the image with the outlines of the class asked for."""
        import torch

        painted = torch.zeros_like(image[:, 0], dtype=torch.bool)
        line = self._line(*image.shape[-2:])
        for box, _ in rectangles(truth, asked(truth, queries)):
            painted |= box.inside() & ~box.inside(line)
        paint = image.new_tensor(self.colour).view(3, 1, 1) / 127.5 - 1.0
        return Drawing(torch.where(painted[:, None], paint, image), painted=painted)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Detections:
        """drawings (K, 3, H, W) in [-1, 1], one for each class -> the boxes of all classes, in the picture's pixels."""
        found = []
        for rgb, query in zip(pixels(drawings).permute(0, 2, 3, 1).cpu().numpy(), queries):
            drawn = instructcv_blue(rgb) if self.reads == "hsv" else distance(rgb, self.colour) <= self.radius
            read: list[tuple[float, ...]] = []
            line = self._line(*drawn.shape)
            for rows, columns in components(closed(drawn), drawn, self.smallest):
                ring = np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
                ring[line:-line, line:-line] = False
                score = scored(self.score, rgb[rows, columns][ring], drawn[rows, columns][ring], self.colour)
                read.append((columns.start, rows.start, columns.stop, rows.stop, label_of(query), score))
            found += apart(read, self.overlap)
        return collected(found)

    def _line(self, height: int, width: int) -> int:
        return max(self.least, round(self.width * max(height, width) / COCO_SIDE))


class BoxFill:
    """The boxes of one class, filled, on the photograph, one drawing for each class.

    Prompt: "detect the CLASS". Smaller boxes lie on larger ones, and every box has an edge of another colour within it,
    so that boxes that overlap stay apart. Read back: each connected component of the colour is a box, its edge added.
    A box of which a smaller one hides a whole side reads shorter, one that is cut in two reads as two.

    color: red, purple, blue, green, yellow, white, black, gray, or r,g,b in 0..255.

    edge: pixels of the edge within a box, at any size of the picture; 0 for none.

    edge_color: its colour, as `color`.

    radius: a component holds a pixel within this Euclidean distance of the colour, in 0..255 RGB.

    reach: its other pixels lie within this distance, and nearer to the colour than to another that is drawn.

    smallest: pixels of a box's side; what is smaller is not read.

    score: colour_purity, 1 - mean distance of the box's pixels, without its edge, from the colour / 442, the largest
    there is (ours); coverage, the share of them that reads as drawn; constant, 1.
    """

    truth: ClassVar[str] = "boxes"

    def __init__(
        self,
        color: str = "red",
        edge: int = 2,
        edge_color: str = "white",
        radius: float = 50.0,
        reach: float = 110.0,
        smallest: int = 4,
        score: Score = "colour_purity",
    ) -> None:
        _require(radius, smallest, edge)
        if not radius <= reach < math.inf:
            raise ValueError(f"reach is a distance from radius={radius:g} on, got {reach}")
        self.colour, self.edge, self.edge_colour = read_colour(color), edge, read_colour(edge_color)
        if edge and math.dist(self.colour, self.edge_colour) <= 2 * radius:
            raise ValueError(f"boxes of {color} and edges of {edge_color} cannot be told apart with radius={radius:g}")
        self.radius, self.reach, self.smallest, self.score = radius, reach, smallest, score

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing for each class of the vocabulary. Raises BadData, naming the sample, where there is none."""
        return one_for_each(sample, vocabulary, self.colour)

    def encode(self, image: Tensor, truth: Boxes, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], Boxes, B queries -> the image with the boxes of the class asked for."""
        return filled(image, truth, asked(truth, queries), [self.colour], self.edge, self.edge_colour)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Detections:
        """drawings (K, 3, H, W) in [-1, 1], one for each class -> the boxes of all classes, in the picture's pixels."""
        found: list[tuple[float, ...]] = []
        for rgb, query in zip(pixels(drawings).permute(0, 2, 3, 1).cpu().numpy(), queries):
            found += [(*box[:4], label_of(query), box[5]) for box in self._read(rgb, [self.colour], self.edge_colour)]
        return collected(found)

    def _read(self, rgb: np.ndarray, colours: Sequence[Colour], edge_colour: Colour) -> Iterator[tuple[float, ...]]:
        """Boxes of a picture (H, W, 3): x0, y0, x1, y1, place of the colour, score."""
        known = [*colours, edge_colour] if self.edge else colours
        far = np.stack([distance(rgb, colour) for colour in known])
        nearest = far.argmin(0)
        height, width, e = *rgb.shape[:2], self.edge
        for place, colour in enumerate(colours):
            near = far[place] <= self.radius
            drawn = (nearest == place) & (far[place] <= self.reach)
            for rows, columns in components(drawn, near, max(1, self.smallest - 2 * e)):
                x0, y0 = max(0, columns.start - e), max(0, rows.start - e)
                x1, y1 = min(width, columns.stop + e), min(height, rows.stop + e)
                score = scored(self.score, rgb[rows, columns].reshape(-1, 3), drawn[rows, columns], colour)
                yield x0, y0, x1, y1, place, score


class BoxPalette(BoxFill):
    """The boxes of all classes in one drawing, filled, each class in its colour.

    Prompt: "detect every object". Up to six classes are red, blue, green, magenta, cyan and yellow, corners of the RGB
    cube, with white edges; more have Painter's grid of colours, with black ones. Otherwise as box_fill.

    ground: photo keeps the photograph behind the boxes; black does not, for palettes that photographs resemble.

    edge: pixels of the edge within a box, at any size of the picture; 0 for none.

    radius: a component holds a pixel within this Euclidean distance of its colour, in 0..255 RGB.

    reach: its other pixels lie within this distance, and nearer to its colour than to any other.

    smallest: pixels of a box's side; what is smaller is not read.

    score: as box_fill's.
    """

    def __init__(
        self,
        ground: Literal["photo", "black"] = "photo",
        edge: int = 2,
        radius: float = 50.0,
        reach: float = 50.0,
        smallest: int = 4,
        score: Score = "colour_purity",
    ) -> None:
        super().__init__(edge=edge, radius=radius, reach=reach, smallest=smallest, score=score)
        self.ground = ground

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing; its label is the number of classes. Raises BadData, naming the sample, where there is none."""
        _require_classes(sample, vocabulary)
        return [Query("detect every object", label=len(vocabulary))]

    def encode(self, image: Tensor, truth: Boxes, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], Boxes, B queries -> the image, or black, with all boxes."""
        colours, edge_colour = palette(max(label_of(query) for query in queries))
        ground = image if self.ground == "photo" else image.new_full((), -1.0).expand_as(image)
        return filled(ground, truth, truth.valid, colours, self.edge, edge_colour, truth.labels)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Detections:
        """drawings (1, 3, H, W) in [-1, 1] -> the boxes of all classes, in pixels of the picture."""
        (rgb,) = pixels(drawings).permute(0, 2, 3, 1).cpu().numpy()
        return collected(list(self._read(rgb, *palette(label_of(queries[0])))))


# ------------------------------------------------------------------------------------------------ what is drawn


def one_for_each(sample: Sample, vocabulary: Sequence[str], colour: Colour) -> list[Query]:
    """InstructCV's fixed prompt, for each class."""
    _require_classes(sample, vocabulary)
    return [Query(f"detect the {name}", colour, label) for label, name in enumerate(vocabulary)]


def label_of(query: Query) -> int:
    """The class that is asked for, or for a palette their number."""
    assert query.label is not None, "the queries of these encodings have labels"
    return query.label


def asked(boxes: Boxes, queries: Sequence[Query]) -> Tensor:
    """The boxes (B, N) bool of the class that each query asks for."""
    wanted = boxes.labels.new_tensor([label_of(query) for query in queries])
    return boxes.valid & (boxes.labels == wanted[:, None])


def palette(classes: int) -> tuple[Sequence[Colour], Colour]:
    """Colours of so many classes, and of their edges: corners of the RGB cube, or Painter's grid if they are few."""
    if classes <= len(CORNERS):
        return CORNERS[:classes], WHITE
    n = next(side for side in range(2, classes) if side**3 > classes)  # floor(cube root) + 1
    step = 256 // n
    grid = [(255 - step * (i // n**2), 255 - step * (i % n**2 // n), 255 - step * (i % n)) for i in range(classes)]
    return grid, BLACK


# ------------------------------------------------------------------------------------------------ what is read


def distance(rgb: np.ndarray, colour: Colour) -> np.ndarray:
    """Euclidean distance (...) of pixels (..., 3) in 0..255 from a colour."""
    return np.sqrt(np.square(rgb.astype(np.float64) - colour).sum(-1))


def instructcv_blue(rgb: np.ndarray) -> np.ndarray:
    """Pixels (..., 3) 0..255 of hue 100..125, saturation 130..255, value 50..255 in OpenCV's 8-bit HSV."""
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    value, spread = rgb.max(-1).astype(np.float64), np.ptp(rgb, axis=-1).astype(np.float64)
    hue = np.rint(120.0 + 30.0 * (r - g) / np.maximum(spread, 1.0))  # where blue is the largest, as it is in this range
    saturation = np.rint(255.0 * spread / np.maximum(value, 1.0))
    return (b == value) & (hue >= 100) & (hue <= 125) & (saturation >= 130) & (value >= 50)


def closed(mask: np.ndarray) -> np.ndarray:
    """The morphological closing of a mask (H, W) by 3 x 3 pixels, as if the picture went on empty beyond its border."""
    return ndimage.binary_closing(np.pad(mask, 2), _TOUCHING)[2:-2, 2:-2]


def components(mask: np.ndarray, sure: np.ndarray, smallest: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of every connected component of a mask (H, W) that holds a pixel of `sure` (H, W), and whose
    sides have `smallest` pixels at least."""
    labels, _ = ndimage.label(mask, _TOUCHING)
    held = set(np.unique(labels[sure & mask]).tolist())
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        if number in held and min(rows.stop - rows.start, columns.stop - columns.start) >= smallest:
            yield rows, columns


def scored(rule: Score, rgb: np.ndarray, drawn: np.ndarray, colour: Colour) -> float:
    """The score of a box. rgb (n, 3) and drawn bool: the pixels that should be of the colour, and which of them are."""
    if rule == "constant":
        return 1.0
    return float(drawn.mean() if rule == "coverage" else 1.0 - distance(rgb, colour).mean() / _FARTHEST)


def apart(found: Sequence[tuple[float, ...]], overlap: float) -> list[tuple[float, ...]]:
    """Of boxes (x0, y0, x1, y1, label, score) with an IoU above `overlap` the one with the highest score."""
    kept: list[tuple[float, ...]] = []
    for box in sorted(found, key=lambda box: -box[5]):
        if all(_iou(box, other) <= overlap for other in kept):
            kept.append(box)
    return kept


def collected(found: Sequence[tuple[float, ...]]) -> Detections:
    """Boxes (x0, y0, x1, y1, label, score) as Detections."""
    rows = np.array(found, np.float64).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4].astype(np.int64), rows[:, 5])


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def _require(radius: float, smallest: int, edge: int = 0) -> None:
    if not (0 <= radius < math.inf and smallest >= 1 and edge >= 0):
        raise ValueError(f"boxes take radius and edge from 0 and smallest from 1, got {radius}, {edge} and {smallest}")


def _require_classes(sample: Sample, vocabulary: Sequence[str]) -> None:
    if not vocabulary:
        raise BadData(f"sample {sample.id}: boxes are asked for by class, and its split names none (`vocabulary`)")


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "box_outline", BoxOutline, ("box",))
    registry.add("encoding", "box_fill", BoxFill)
    registry.add("encoding", "box_palette", BoxPalette)
