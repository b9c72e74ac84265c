"""The files of RefCOCO, RefCOCO+ and RefCOCOg: references in a pickle, outlines in a COCO JSON.

The pickles are downloads, so nothing in them may run: the reader knows plain values and no class or function at all.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from addp_bench.errors import BadData

from .decoding import field, reason

Merge = Literal["or", "eq1"]


@dataclass(frozen=True)
class Sentence:
    """One expression: cleaned and lower case (`sent`), and as it was typed (`raw`)."""

    sent_id: int
    sent: str
    raw: str


@dataclass(frozen=True)
class Reference:
    """One object in one photograph, and everything that people called it."""

    ref_id: int
    ann_id: int
    image_id: int
    split: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Outline:
    """One annotated object. polygons: x, y, x, y, ... in pixels, at least three corners each; none for a crowd."""

    id: int
    category: str
    polygons: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Photograph:
    """A photograph as `instances.json` knows it."""

    file_name: str
    height: int
    width: int
    outlines: tuple[Outline, ...]


# ---------------------------------------------------------------------------------------------- references


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dicts; refuses every global, so no code of the file can run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and references hold plain values only")


def read_references(file: Path) -> Sequence[Reference]:
    """The references of a `refs(*).p`. Raises BadData, naming the file, for one that is missing, damaged or hostile."""
    return _read_references(file, *_version(file))


@lru_cache(maxsize=4)  # every stage of a run asks again
def _read_references(file: Path, size: int, changed: int) -> Sequence[Reference]:
    try:
        with file.open("rb") as stream:
            # Python 2 wrote bytes; latin1 maps each to a character and so cannot fail
            values = PlainUnpickler(stream, encoding="latin1").load()
    except Exception as broken:  # a damaged pickle raises almost anything
        raise BadData(f"{file} cannot be read as references: {reason(broken)}. Download it again.") from broken
    if not isinstance(values, list):
        raise BadData(f"{file}: expected a list of references, met a {type(values).__name__}.")
    return [_reference(value, f"{file}, reference {number}") for number, value in enumerate(values)]


def _reference(value: Any, where: str) -> Reference:
    sentences = tuple(
        Sentence(field(said, "sent_id", int, where), field(said, "sent", str, where), field(said, "raw", str, where))
        for said in field(value, "sentences", list, where)
    )
    ref_id, ann_id, image_id = (field(value, name, int, where) for name in ("ref_id", "ann_id", "image_id"))
    return Reference(ref_id, ann_id, image_id, field(value, "split", str, where), sentences)


# ---------------------------------------------------------------------------------------------- outlines


def read_photographs(file: Path) -> Mapping[int, Photograph]:
    """Photographs of an `instances.json` by id, with every object outlined in them. Raises BadData, naming the file."""
    return _read_photographs(file, *_version(file))


@lru_cache(maxsize=4)
def _read_photographs(file: Path, size: int, changed: int) -> Mapping[int, Photograph]:
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as broken:
        raise BadData(f"{file} cannot be read as JSON: {reason(broken)}. Download it again.") from broken
    where = str(file)
    categories = {
        field(value, "id", int, where): field(value, "name", str, where)
        for value in field(values, "categories", list, where)
    }
    outlines: dict[int, list[Outline]] = {}
    for value in field(values, "annotations", list, where):
        image_id = field(value, "image_id", int, where)
        outlines.setdefault(image_id, []).append(_outline(value, categories, where))
    photographs = {}
    for value in field(values, "images", list, where):
        image_id, name = field(value, "id", int, where), field(value, "file_name", str, where)
        if Path(name).name != name or name in ("", "..") or "\\" in name:
            raise BadData(f"{file}: image {image_id} is called {name!r}; expected a file name without folders.")
        height, width = field(value, "height", int, where), field(value, "width", int, where)
        photographs[image_id] = Photograph(name, height, width, tuple(outlines.get(image_id, ())))
    return photographs


def _outline(value: Any, categories: Mapping[int, str], where: str) -> Outline:
    ann_id = field(value, "id", int, where)
    where = f"{where}, annotation {ann_id}"
    category_id = field(value, "category_id", int, where)
    if category_id not in categories:
        raise BadData(f"{where}: category {category_id} is not among the file's categories.")
    polygons = value.get("segmentation")
    if isinstance(polygons, dict):  # run lengths: a crowd, at which no expression of these datasets points
        polygons = []
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        raise BadData(f"{where}: expected polygons as `segmentation`, a list of lists of numbers.")
    for polygon in polygons:
        if not all(isinstance(number, (int, float)) for number in polygon):
            raise BadData(f"{where}: a polygon holds something that is no number.")
    return Outline(ann_id, categories[category_id], tuple(tuple(polygon) for polygon in polygons if len(polygon) >= 6))


def mask_of(outline: Outline, photograph: Photograph, merge: Merge, where: str) -> np.ndarray:
    """The object's mask (H, W) bool.

    merge: "or" takes the union of its polygons; "eq1" drops pixels that two polygons cover, as loaders do that sum
    bitmaps and compare with 1 (the LAVT family). Raises BadData, beginning with `where`, for outlines without area.
    """
    from pycocotools import mask as coco

    height, width = photograph.height, photograph.width
    reach = 4 * max(height, width)  # farther out is no slip of an annotator, and would cost memory
    for polygon in outline.polygons:
        # nan fails the comparison too
        if len(polygon) % 2 or not all(abs(number) <= reach for number in polygon):
            raise BadData(
                f"{where}, annotation {outline.id}: a polygon has an odd count of numbers or leaves the image."
            )
    if not outline.polygons:
        raise BadData(f"{where}, annotation {outline.id}: no polygon with at least three corners.")
    runs = coco.frPyObjects([list(polygon) for polygon in outline.polygons], height, width)
    covered = coco.decode(coco.merge(runs)) if merge == "or" else coco.decode(runs).sum(2)
    return np.ascontiguousarray(covered == 1)


class Objects(Mapping[str, np.ndarray]):
    """Hints of a photograph, drawn only when asked for.

    "instance": (H, W) uint16, 0 background, k for the k-th of its outlined objects; small ones lie above large ones.
    """

    def __init__(self, photograph: Photograph, merge: Merge, where: str) -> None:
        self._source = (photograph, merge, where)

    def __getitem__(self, key: str) -> np.ndarray:
        if key != "instance":
            raise KeyError(key)
        photograph, merge, where = self._source
        masks = [mask_of(outline, photograph, merge, where) for outline in photograph.outlines if outline.polygons]
        instance = np.zeros((photograph.height, photograph.width), np.uint16)
        for number in sorted(range(len(masks)), key=lambda k: -int(masks[k].sum())):
            instance[masks[number]] = number + 1
        return instance

    def __iter__(self) -> Iterator[str]:
        return iter(("instance",))

    def __len__(self) -> int:
        return 1


def image_folder(root: Path) -> Path:
    """Where the photographs lie under `root`; both places in use are known. Raises BadData."""
    places = [root / "images" / "mscoco" / "images" / "train2014", root / "images" / "train2014"]
    for place in places:
        if place.is_dir():
            return place
    raise BadData(f"no photographs under {root}: expected COCO train2014 in {places[0]} or {places[1]}.")


def read_photograph(file: Path, photograph: Photograph) -> np.ndarray:
    """(H, W, 3) uint8 RGB as stored; a rotation noted in EXIF is not applied, since outlines are made without it.

    Raises BadData, naming the file, when it is missing, no image, or of another size than `instances.json` says.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.size != (photograph.width, photograph.height):
                raise BadData(
                    f"{file} is {image.width} x {image.height} pixels, and instances.json says {photograph.width} x "
                    f"{photograph.height}; use the photographs of COCO train2014 as they were published."
                )
            return np.array(image.convert("RGB"))  # a copy, since tensors want to be writable
    except FileNotFoundError as missing:
        raise BadData(f"{file} is missing; it belongs to COCO train2014.") from missing
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as broken:
        raise BadData(f"{file} cannot be read as an image: {reason(broken)}. Download it again.") from broken


# ---------------------------------------------------------------------------------------------- both


def _version(file: Path) -> tuple[int, int]:
    """Size and time of the last change; with them a file that was read is known to be the same."""
    try:
        found = file.stat()
    except OSError as missing:
        raise BadData(f"{file} is missing; it belongs to the annotation archive of the dataset.") from missing
    return found.st_size, found.st_mtime_ns


def sentences_of(references: Sequence[Reference]) -> Iterator[tuple[Reference, Sentence]]:
    """Every sentence of every reference, in the order of the file."""
    return ((reference, sentence) for reference in references for sentence in reference.sentences)
