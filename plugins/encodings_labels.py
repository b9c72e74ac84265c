"""Class maps drawn as pictures: every class in a colour of its own, or one drawing for each class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from addp_bench.errors import BadData, BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.types import UNLABELLED, Drawing, Query, Sample, Sweep, pixels

from .encodings import BinaryMask, SolidMask

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

Colour = tuple[int, int, int]
BACKGROUND = "background"  # the name of a class that is what no other class is
BLACK = (0, 0, 0)
FARTHEST = {"abs": 765.0, "square": 442.0}  # no two colours are farther apart: 3 x 255, and 255 times the root of 3

# SceneParse150's colours for looking at (color150.mat), classes 1 to 150. Roads and skyscrapers share one.
_ADE20K = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33 ff0652 8fff8c
ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47
ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00
1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300
ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8
001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff
a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00
ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff 00ffcc
2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""
ADE20K: Sequence[Colour] = [(int(h[:2], 16), int(h[2:4], 16), int(h[4:], 16)) for h in _ADE20K.split()]


@dataclass(frozen=True)
class PaletteQuery(Query):
    """One drawing of all classes. table: the colour of each."""

    table: tuple[Colour, ...] = ()


class Palette:
    """One picture in which every class has a colour of its own (Painter's scheme); the photograph is gone.

    Painter's table for C classes: n is 1 more than the cube root of C rounded down, step is 256 / n rounded down, and
    class i is (255 - step (i // n^2), 255 - step (i % n^2 // n), 255 - step (i % n)). Pixels whose class nobody knows
    are black and not valid.

    table: painter, or ade20k for the dataset's own colours, which no two classes may share: up to 48 classes.

    distance: by which the nearest colour is found, abs (L1, Painter's default) or square (squared L2); of equals the
    first class.

    ignore_radius: a pixel farther than this from every colour (0..255 RGB; L1 of abs, Euclidean of square) has no
    class; not given, every pixel has one.

    prompt: the words that ask for the drawing; ours, since Painter is asked by example.
    """

    truth: ClassVar[str] = "labels"
    partial: ClassVar[bool] = True

    def __init__(
        self,
        table: Literal["painter", "ade20k"] = "painter",
        distance: Literal["abs", "square"] = "abs",
        ignore_radius: float | None = None,
        prompt: str = "semantic segmentation",
    ) -> None:
        if ignore_radius is not None and not ignore_radius >= 0:
            raise ValueError(f"ignore_radius is a distance in 0..255 RGB, at least 0, got {ignore_radius}")
        self.table, self.distance, self.ignore_radius, self.prompt = table, distance, ignore_radius, prompt

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing of all classes.

        Raises BadData for a vocabulary without names or with more than 255, BadOption for a table in which two of
        its classes share a colour.
        """
        _require_vocabulary(vocabulary)
        colours = painter(len(vocabulary)) if self.table == "painter" else ADE20K[: len(vocabulary)]
        if shared := sharing(colours):
            names = " and ".join(f"{vocabulary[k]!r} ({k})" for k in shared)
            raise BadOption(
                f"palette table={self.table}: the classes {names} are both {colours[shared[0]]}, so that nobody can "
                "tell them apart in a drawing; take table=painter."
            )
        return [PaletteQuery(self.prompt, table=tuple(colours))]

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W), truth (B, H, W) int64 -> its colours, shaped as the image; valid where it has a class.

        Raises BadData for a label that the vocabulary has not.
        """
        colours = table_of(queries)
        valid = truth != UNLABELLED
        if ((truth < 0) | (truth >= len(colours)))[valid].any():
            found = truth[valid & ((truth < 0) | (truth >= len(colours)))][0].item()
            raise BadData(f"a truth holds the label {found}; the vocabulary has {len(colours)} classes, 0 the first.")
        paint = image.new_tensor([*colours, BLACK]) / 127.5 - 1.0
        drawn = paint[truth.where(valid, truth.new_tensor(len(colours)))].permute(0, 3, 1, 2).contiguous()
        return Drawing(drawn, valid)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) in [-1, 1] -> class map (H, W) int64 on their device."""
        return self.decode_batch(drawings, image, queries)[0]

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (B, 3, H, W) in [-1, 1] -> class maps (B, H, W) int64 on their device."""
        return self._read(drawings, queries, [self.sweep.own])[0]

    @property
    def sweep(self) -> Sweep:
        """The ignore_radius; not given, it is the distance that none exceeds."""
        largest = FARTHEST[self.distance]
        own = largest if self.ignore_radius is None else self.ignore_radius
        return Sweep("ignore_radius", own, [*range(10, 301, 10), largest])

    def decode_swept(
        self, drawings: Tensor, image: Tensor, queries: Sequence[Query], values: Sequence[float]
    ) -> Sequence[Tensor]:
        """drawings (1, 3, H, W) -> class maps (H, W) int64, one for each ignore_radius."""
        return [maps[0] for maps in self._read(drawings, queries, values)]

    def _read(self, drawings: Tensor, queries: Sequence[Query], radii: Sequence[float]) -> list[Tensor]:
        label, distance = nearest_colour(pixels(drawings), table_of(queries), self.distance)
        reach = radii if self.distance == "abs" else [radius**2 for radius in radii]
        return [label.where(distance <= most, label.new_tensor(UNLABELLED)) for most in reach]


@dataclass(frozen=True)
class ClassQuery(Query):
    """The drawing of one class. rest: the label of pixels that no drawing claims."""

    rest: int = UNLABELLED


class ClassMask:
    """One drawing for each class of the vocabulary, asked for by its name (InstructCV).

    A pixel that several drawings claim has the class whose drawing comes nearest to its colour there, of equals the
    first. A pixel that none claims is `background` where the vocabulary has a class of that name, which is then never
    asked for, and has no class otherwise, which counts as wrong.

    drawing: binary, white on black (InstructCV), or solid, the photograph painted in `color`.

    prompt: % stands for the name of the class.

    threshold: of binary, a pixel brighter than this (0..255) reads as the class; 127 unless given.

    reads: of binary, luminance (Rec. 601) unless given, or red for the first channel alone; InstructCV's released
    evaluation is `threshold=10:reads=red`.

    color: of solid, red unless given, and what solid_mask knows. radius: of solid, Euclidean distance in 0..255 RGB
    within which a pixel reads as the class; 50 unless given.
    """

    truth: ClassVar[str] = "labels"
    partial: ClassVar[bool] = True

    def __init__(
        self,
        drawing: Literal["binary", "solid"] = "binary",
        prompt: str = "segment the %",
        threshold: float | None = None,
        reads: Literal["luminance", "red"] | None = None,
        color: str | None = None,
        radius: float | None = None,
    ) -> None:
        if "%" not in prompt:
            raise ValueError(f"prompt holds a % where the name of the class shall stand, got {prompt!r}")
        given = {"threshold": threshold, "reads": reads, "color": color, "radius": radius}
        others = ("color", "radius") if drawing == "binary" else ("threshold", "reads")
        if unused := [name for name in others if given[name] is not None]:
            raise ValueError(f"{unused[0]} belongs to another drawing than {drawing}; leave it out")
        self.prompt = prompt
        self.mask: SolidMask | BinaryMask
        if drawing == "binary":
            self.mask = BinaryMask(127.0 if threshold is None else threshold, reads or "luminance")
        else:
            self.mask = SolidMask(color or "red", 50.0 if radius is None else radius)

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """A drawing for each class but the background. Raises BadData for a vocabulary that has none, or above 255."""
        _require_vocabulary(vocabulary)
        colour = self.mask.queries(sample, ())[0].colour
        asked = [
            ClassQuery(self.prompt.replace("%", name), colour, label, _background(vocabulary))
            for label, name in enumerate(vocabulary)
            if name != BACKGROUND
        ]
        if not asked:
            raise BadData("class_mask asks for the classes of a vocabulary; this one holds the background alone")
        return asked

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W), truth (B, H, W) int64, B queries -> of each the mask of its query's class, drawn.

        Valid where the truth has a class.
        """
        wanted = truth.new_tensor([class_of(query)[0] for query in queries])
        return replace(self.mask.encode(image, truth == wanted[:, None, None], queries), valid=truth != UNLABELLED)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (K, 3, H, W) in [-1, 1] of K classes -> class map (H, W) int64 on their device."""
        return self.decode_swept(drawings, image, queries, [self.sweep.own])[0]

    @property
    def sweep(self) -> Sweep:
        """That of the drawing: the threshold of binary, the radius of solid."""
        return self.mask.sweep

    def decode_swept(
        self, drawings: Tensor, image: Tensor, queries: Sequence[Query], values: Sequence[float]
    ) -> Sequence[Tensor]:
        """drawings (K, 3, H, W) -> class maps (H, W) int64, one for each value."""
        import torch

        label = torch.zeros(drawings.shape[2:], dtype=torch.int64, device=drawings.device)
        best = torch.full(drawings.shape[2:], -torch.inf, device=drawings.device)
        for k in sorted(range(len(queries)), key=lambda k: class_of(queries[k])):  # one at a time: may be hundreds
            near = self.mask.nearness(pixels(drawings[k : k + 1]))[0]
            better = near > best
            label, best = label.masked_fill(better, class_of(queries[k])[0]), near.where(better, best)
        # where the nearest drawing claims a pixel, it is the nearest of those that do; where it does not, none does
        rest = label.new_tensor(class_of(queries[0])[1])
        return [label.where(claimed, rest) for claimed in self.mask.claimed(best, values)]


def painter(classes: int) -> list[Colour]:
    """Painter's table for C classes, 0..255 RGB."""
    n = next(n for n in itertools.count(1) if n**3 > classes)  # the cube root in whole numbers; floats miss 4 of 64
    step = 256 // n
    return [(255 - step * (i // n**2), 255 - step * (i % n**2 // n), 255 - step * (i % n)) for i in range(classes)]


def sharing(colours: Sequence[Colour]) -> list[int]:
    """The first two places at which one colour stands, none where all differ."""
    first: dict[Colour, int] = {}
    for i, colour in enumerate(colours):
        if colour in first:
            return [first[colour], i]
        first[colour] = i
    return []


def nearest_colour(whole: Tensor, table: Sequence[Colour], distance: str = "abs") -> tuple[Tensor, Tensor]:
    """whole (B, 3, H, W) in whole numbers 0..255 -> index in the table (B, H, W) int64, and the distance to it."""
    import torch

    # as few bytes as hold the sums of three channels: moving them is what it costs
    channels = whole.to(torch.int16 if distance == "abs" else torch.int32).unbind(1)
    best = torch.full_like(channels[0], 3 * 255 + 1 if distance == "abs" else 3 * 255**2 + 1)
    label = torch.zeros_like(best, dtype=torch.uint8)
    for k, colour in enumerate(table):  # one at a time: a hundred classes of a large picture would not fit
        apart = [channel - value for channel, value in zip(channels, colour)]
        r, g, b = (part.abs() if distance == "abs" else part.square() for part in apart)
        away = r + g + b
        label.masked_fill_(away < best, k)
        best = torch.minimum(best, away)
    return label.long(), best


def table_of(queries: Sequence[Query]) -> Sequence[Colour]:
    """The colours that palette's queries ask for. Raises BadOption for queries of another encoding."""
    if not queries or not isinstance(queries[0], PaletteQuery):
        raise BadOption("palette draws what its own queries ask for; take those of Palette.queries")
    return queries[0].table


def class_of(query: Query) -> tuple[int, int]:
    """The label that a drawing stands for, and that of what no drawing claims. Raises BadOption for other queries."""
    if not isinstance(query, ClassQuery) or query.label is None:
        raise BadOption("class_mask draws what its own queries ask for; take those of ClassMask.queries")
    return query.label, query.rest


def _background(vocabulary: Sequence[str]) -> int:
    return list(vocabulary).index(BACKGROUND) if BACKGROUND in vocabulary else UNLABELLED


def _require_vocabulary(vocabulary: Sequence[str]) -> None:
    if not 0 < len(vocabulary) <= UNLABELLED:
        raise BadData(
            f"classes are drawn by the names in the split's `vocabulary`, 1 to {UNLABELLED} of them; this one has "
            f"{len(vocabulary)}"
        )


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "palette", Palette)
    registry.add("encoding", "class_mask", ClassMask)
