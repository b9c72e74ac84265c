"""Answers to yes or no drawn as pictures of one colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.types import Drawing, Presence, Query, Sample, pixels

from .encodings import COLOURS

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.registry import Registry

Name = Literal["red", "purple", "blue", "green", "yellow", "white", "black", "gray"]
# InstructCV's ranges of hue (0..180), saturation and value (0..255), both ends included. It has red as two colours.
RANGES: Mapping[str, Sequence[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]] = {
    "black": [((0, 180), (0, 255), (0, 46))],
    "gray": [((0, 180), (0, 43), (46, 220))],
    "white": [((0, 180), (0, 30), (221, 255))],
    "red": [((156, 180), (43, 255), (46, 255)), ((0, 10), (43, 255), (46, 255))],
    "orange": [((11, 25), (43, 255), (46, 255))],
    "yellow": [((26, 34), (43, 255), (46, 255))],
    "green": [((35, 77), (43, 255), (46, 255))],
    "cyan": [((78, 99), (43, 255), (46, 255))],
    "blue": [((100, 124), (43, 255), (46, 255))],
    "purple": [((125, 155), (43, 255), (46, 255))],
}


@dataclass(frozen=True)
class AnswerQuery(Query):
    """A question about one class. name: of the class. yes, no: names of the colours that answer it."""

    name: str = ""
    yes: str = "blue"
    no: str = "red"


class ColourAnswer:
    """Whether a class is in the photograph: the whole picture in one of two colours, one picture for each class
    (InstructCV). The photograph is gone.

    Read back: of ten colours, the one that most pixels have is the answer. Its score is the share of yes among the
    pixels of both answers; where a third colour has most, or both have as many, nothing was answered: 0.5.

    yes: the colour that says yes; InstructCV's evaluation looks for blue. no: the colour that says no; ours.

    pair: fixed, or random for two colours of these eight drawn for each photograph and class (InstructCV draws them for
    each picture it trains on; its sixteen have other names), so that the words must be read.

    prompt: * stands for the first colour, % for the name of the class and # for the second; InstructCV's for COCO.

    reads: hsv for InstructCV's ten ranges of hue, saturation and value, of which pixels are counted here and areas
    within contours there; nearest for the nearer of the two colours in RGB (ours), which knows no third.
    """

    truth: ClassVar[str] = "classes"

    def __init__(
        self,
        yes: Name = "blue",
        no: Name = "red",
        pair: Literal["fixed", "random"] = "fixed",
        prompt: str = "show * if the picture contain %, otherwise show #",
        reads: Literal["hsv", "nearest"] = "hsv",
    ) -> None:
        if yes == no:
            raise ValueError(f"yes and no are two colours, got {yes} for both")
        if missing := [sign for sign in "*%#" if sign not in prompt]:
            raise ValueError(f"prompt holds *, % and #, got {prompt!r} without {missing[0]}")
        self.yes, self.no, self.pair, self.prompt, self.reads = yes, no, pair, prompt, reads

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """A question for each class of the vocabulary, or for the one that the words of the sample name.

        Raises BadData, naming the sample, for a vocabulary without names, UnknownName for words that name no class.
        """
        if not vocabulary:
            raise BadData(f"sample {sample.id}: classes are asked for by name, and its split names none (`vocabulary`)")
        if sample.text and sample.text not in vocabulary:
            raise unknown("class", sample.text, vocabulary)
        asked = []
        for label, name in enumerate(vocabulary):
            if sample.text in ("", name):
                yes, no = self._colours(sample, name)
                prompt = self.prompt.replace("*", yes).replace("#", no).replace("%", name)
                asked.append(AnswerQuery(prompt, COLOURS[yes], label, name, yes, no))
        return asked

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth (B, C) bool, B queries -> the colours of the answers, shaped as image.

        Raises BadData for a truth of fewer classes than are asked for.
        """
        asked = [question(query) for query in queries]
        if (most := max(label for label, _ in asked)) >= truth.shape[1]:
            raise BadData(f"a truth is about {truth.shape[1]} classes, and class {most} is asked for")
        there = truth[range(len(asked)), [label for label, _ in asked]].tolist()
        paint = [COLOURS[query.yes if yes else query.no] for (_, query), yes in zip(asked, there)]
        rgb = image.new_tensor(paint)[:, :, None, None] / 127.5 - 1.0
        return Drawing(rgb.expand_as(image).contiguous())

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Presence:
        """drawings (K, 3, H, W) in [-1, 1] of K classes -> what they say of each."""
        asked = [question(query) for query in queries]
        pictures = pixels(drawings).permute(0, 2, 3, 1).cpu().numpy()  # whole numbers
        scores = [self._score(rgb, query) for rgb, (_, query) in zip(pictures, asked)]
        labels = np.array([label for label, _ in asked], np.int64)
        return Presence(labels, np.array(scores, np.float64), [query.name for _, query in asked])

    def _colours(self, sample: Sample, name: str) -> tuple[str, str]:
        if self.pair == "fixed":
            return self.yes, self.no
        yes, no = numpy_generator("colour_answer", sample.id, name).permutation([*COLOURS])[:2].tolist()
        return yes, no

    def _score(self, rgb: np.ndarray, query: AnswerQuery) -> float:
        if self.reads == "nearest":
            away = [np.square(rgb - COLOURS[name]).sum(-1) for name in (query.yes, query.no)]
            area = {query.yes: int((away[0] < away[1]).sum()), query.no: int((away[1] < away[0]).sum())}
        else:
            area = areas(rgb)
        yes, no = area[query.yes], area[query.no]
        return yes / (yes + no) if max(yes, no) == max(area.values()) > 0 else 0.5


def areas(rgb: np.ndarray) -> dict[str, int]:
    """Pixels of each of the ten colours in a picture (H, W, 3) of whole numbers 0..255; one may have two, or none."""
    channels = hsv(rgb)

    def inside(ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        low, high = np.transpose(ranges)
        found: np.ndarray = ((channels >= low) & (channels <= high)).all(-1)
        return found

    return {name: sum(int(inside(ranges).sum()) for ranges in several) for name, several in RANGES.items()}


def hsv(rgb: np.ndarray) -> np.ndarray:
    """Pixels (..., 3) of whole numbers 0..255 as OpenCV's 8-bit hue 0..179, saturation and value 0..255, (..., 3).

    To the last bit: OpenCV divides by multiplying with rounded 4096ths.
    """
    r, g, b = np.moveaxis(rgb.astype(np.int64), -1, 0)
    value, spread = np.maximum(np.maximum(r, g), b), np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)
    saturation = spread * _parts(255, value)
    sixth = np.where(value == r, g - b, np.where(value == g, b - r + 2 * spread, r - g + 4 * spread))  # x spread
    hue = (sixth * _parts(30, spread) + 2048) >> 12
    return np.stack([np.where(hue < 0, hue + 180, hue), (saturation + 2048) >> 12, value], axis=-1)


def _parts(whole: int, divisor: np.ndarray) -> np.ndarray:
    """whole / divisor in 4096ths, rounded, for divisors 0..255; 0 for 0."""
    table = np.zeros(256, np.int64)
    table[1:] = np.rint(4096 * whole / np.arange(1, 256))
    found: np.ndarray = table[divisor]
    return found


def question(query: Query) -> tuple[int, AnswerQuery]:
    """The class and the question. Raises BadOption for a query of another encoding."""
    if not isinstance(query, AnswerQuery) or query.label is None:
        raise BadOption("colour_answer draws what its own queries ask for; take those of ColourAnswer.queries")
    return query.label, query


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "colour_answer", ColourAnswer, ("color_answer",))
