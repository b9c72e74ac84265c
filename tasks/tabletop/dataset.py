"""The dataset `tabletop`: samples with truth for six tasks, made on first use and kept."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadOption, unknown
from addp_bench.home import home
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.types import Card, Objects, Sample

from .programs import ATTRIBUTES
from .shards import SCENES, Shard, open_shard
from .solids import CLASSES, MAIN_COLOURS, SHAPES
from .splits import PER_SCENE, SPLITS, VERSION, split_named

if TYPE_CHECKING:
    from addp_bench.registry import Registry

# Truth by task; `ris` has PER_SCENE samples for each photograph, the others one.
TRUTHS = {
    "ris": "mask",
    "depth": "depth",
    "semantic": "labels",
    "detection": "boxes",
    "classification": "classes",
    "probe": "class",
}
# Names by index of the classes that a task's truth holds; red is met in the split `hard` alone.
VOCABULARIES = {
    "semantic": CLASSES,
    "detection": SHAPES,
    "classification": SHAPES,
    "probe": (*MAIN_COLOURS, "red"),
}
OPEN = 128  # shards kept open at a time by a split; their arrays stay on disk until they are asked for


class Tabletop:
    """Procedural table-top scenes: 3 to 6 solids, referring expressions of five levels, exact depth, classes and boxes.

    Truth by task: `ris` (H, W) bool, empty where the expression means nothing; `depth` (H, W) float32 metres along the
    optical axis; `semantic` (H, W) int64, indices into `classes("semantic")`, of which 0 is the background; `detection`
    types.Objects: boxes of the visible parts, labels that index `classes("detection")`; `classification` (5,) bool,
    which of `classes("classification")` are seen; `probe` int, the colour of the solid of which most pixels are seen,
    an index into `classes("probe")`.

    size: side of the photographs, pixels.

    path: folder that the scenes are kept in; "" for the user's cache.

    shuffled: a control to train on. "words" gives every expression to a photograph it was not made for, "photographs"
    every expression and its truth a photograph that is another scene's.
    """

    tasks: ClassVar[Sequence[str]] = tuple(TRUTHS)

    def __init__(
        self, size: int = 64, path: str = "", shuffled: Literal["none", "words", "photographs"] = "none"
    ) -> None:
        if not 16 <= size <= 1024:
            raise BadOption(f"tabletop renders photographs of 16 to 1024 pixels a side, got size={size}")
        self.size, self.shuffled = size, shuffled
        self.folder = (Path(path).expanduser() if path else home() / "tabletop") / f"v{VERSION}-{size}px"

    def splits(self) -> Sequence[str]:
        """train, stats, val, test, and five that shift away from them."""
        return tuple(SPLITS)

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval"."""
        return {"train": "train", "stats": "stats", "eval": "val"}[purpose]

    def samples(self, split: str, task: str) -> TabletopSamples:
        """A split's samples for a task; a shard is rendered when one of its samples is first asked for."""
        split_named(split)
        if task not in TRUTHS:
            raise unknown("task of tabletop", task, TRUTHS)
        return TabletopSamples(self.folder, split, task, self.size, self.shuffled)

    def classes(self, task: str) -> Sequence[str]:
        """Names by index of the labels that a task's truth holds."""
        return VOCABULARIES.get(task, SHAPES)

    def protocol(self, task: str) -> str:
        """The task's protocol for this world."""
        return f"tabletop_{task}"

    def card(self) -> Card:
        """counts: expressions; there are half as many photographs."""
        return Card(
            name="tabletop",
            licence="Apache-2.0 (made by this program)",
            citation="addp-bench, the built-in world `tabletop`",
            access="made on first use; nothing is downloaded",
            counts={name: PER_SCENE * split.scenes for name, split in SPLITS.items()},
            fingerprint=hashlib.sha256(f"tabletop version {VERSION}, {self.size} px".encode()).hexdigest(),
        )

    def check(self) -> Iterator[tuple[str, Any, str, bool]]:
        """Measure what is promised: (what, measured, expected, kept) for each promise."""
        from .gates import measure

        return measure(self)

    def plot(self, file: Path) -> None:
        """A sheet of photographs with what is asked of them and the answers."""
        from .sheet import draw

        draw(self, "val", file)


class TabletopSamples:
    """A split for one task. ids cost nothing; an item opens (and perhaps makes) the shard it is in."""

    def __init__(self, folder: Path, split: str, task: str, size: int, shuffled: str = "none") -> None:
        self.folder, self.split, self.task, self.size, self.shuffled = folder, split, task, size, shuffled
        self.scenes = SPLITS[split].scenes
        self.each = PER_SCENE if task == "ris" else 1
        self._shard = functools.lru_cache(maxsize=OPEN)(self._open)

    @property
    def vocabulary(self) -> Sequence[str]:
        """Classes that encodings of one drawing for each class may ask for."""
        return VOCABULARIES.get(self.task, ())

    @functools.cached_property
    def ids(self) -> Sequence[str]:
        """'tabletop/val/000123/1' for expressions, 'tabletop/val/000123' for photographs."""
        if self.each == 1:
            return [self._image_id(scene) for scene in range(self.scenes)]
        return [f"{self._image_id(scene)}/{number}" for scene in range(self.scenes) for number in range(self.each)]

    @functools.cached_property
    def image_ids(self) -> Sequence[str]:
        """The photograph of each sample."""
        return [self._image_id(scene) for scene in range(self.scenes) for _ in range(self.each)]

    def __len__(self) -> int:
        return self.scenes * self.each

    def text(self, index: int) -> str:
        """The expression of a sample, "" for tasks that are asked nothing."""
        if self.task != "ris":
            return ""
        scene, number = divmod(index % len(self), self.each)
        shard, row = self._shard(scene // SCENES), scene % SCENES
        if self.shuffled == "words":
            row = self._other(scene // SCENES, len(shard.lines))[row]
        return str(shard.scene(row)["expressions"][number]["text"])

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"tabletop/{self.split} has {len(self)} samples for {self.task}, got index {index}")
        scene, number = divmod(index % len(self), self.each)
        shard, row = self._shard(scene // SCENES), scene % SCENES
        other = self._other(scene // SCENES, len(shard.lines))[row] if self.shuffled != "none" else row
        image = np.array(shard.images[other if self.shuffled == "photographs" else row])
        image_id = self._image_id(scene)
        if self.task == "ris":
            said = self._expression(f"{image_id}/{number}", image_id, image, shard, row, number)
            if self.shuffled == "words":
                return replace(said, text=shard.scene(other)["expressions"][number]["text"])
            return said
        facts = shard.scene(row)["facts"]
        if self.task == "probe":
            return _largest(image_id, image, np.array(shard.instance[row]), facts["labels"])
        truth = _truth(self.task, shard, row, [label[0] for label in facts["labels"]])
        return Sample(image_id, image_id, image, truth, attributes={"objects": len(facts["labels"])})

    def _expression(self, id: str, image_id: str, image: np.ndarray, shard: Shard, row: int, number: int) -> Sample:
        record = shard.scene(row)
        asked, facts = record["expressions"][number], record["facts"]
        instance = np.array(shard.instance[row])
        mask = np.isin(instance, [k + 1 for k in asked["target"]])
        attributes = {
            "level": asked["level"],
            "kind": asked["kind"],
            "plural": asked["level"] == "plural",
            "no_target": not asked["target"],
            "share": float(mask.mean()),
            "objects": len(facts["labels"]),
            "paraphrase": asked["style"],
        }
        return Sample(id, image_id, image, mask, asked["text"], _hints(asked, facts, instance), attributes)

    @staticmethod
    def _other(number: int, scenes: int) -> Sequence[int]:
        """For each row of a shard another one, each once: neighbours in a random round."""
        round_ = numpy_generator("tabletop shuffled", number).permutation(scenes)
        other = np.empty(scenes, np.int64)
        other[round_] = np.roll(round_, 1)
        return [int(row) for row in other]

    def _image_id(self, scene: int) -> str:
        return f"tabletop/{self.split}/{scene:06d}"

    def _open(self, number: int) -> Shard:
        return open_shard(self.folder, self.split, number, self.size)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open shards, so that workers can be handed the split."""
        return {name: value for name, value in self.__dict__.items() if name != "_shard"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shard = functools.lru_cache(maxsize=OPEN)(self._open)


def _truth(task: str, shard: Shard, row: int, shapes: Sequence[str]) -> Any:
    if task == "depth":
        return np.array(shard.depth[row])
    if task == "classification":
        return np.isin(SHAPES, shapes)
    instance = np.array(shard.instance[row])
    if task == "semantic":
        return np.array([0, *(CLASSES.index(shape) for shape in shapes)], np.int64)[instance]
    boxes = np.array([_box(instance == k + 1) for k in range(len(shapes))], np.float32).reshape(-1, 4)
    labels = np.array([SHAPES.index(shape) for shape in shapes], np.int64)
    area = np.array([(instance == k + 1).sum() for k in range(len(shapes))], np.float64)
    return Objects(boxes, labels, np.zeros(len(shapes), bool), area, instance.shape)


def _largest(name: str, image: np.ndarray, instance: np.ndarray, labels: Sequence[Sequence[str]]) -> Sample:
    """The colour of the solid of which most pixels are seen, of equals the first.

    The attribute `clear` says whether 1.25 times as many are seen of it as of any other.
    """
    pixels = np.bincount(instance.ravel(), minlength=len(labels) + 1)[1:]
    second, first = np.sort(pixels)[-2:]
    colour = labels[int(pixels.argmax())][1]
    truth, clear = VOCABULARIES["probe"].index(colour), bool(first >= 1.25 * second)
    attributes: dict[str, str | int | bool] = {"objects": len(labels), "class": colour, "clear": clear}
    return Sample(name, name, image, truth, attributes=attributes)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in pixels, the far edges exclusive, of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _hints(asked: dict[str, Any], facts: dict[str, Any], instance: np.ndarray) -> dict[str, Any]:
    """What an oracle agent may know. Masks of single solids can be had from `instance` (H, W), 0 background."""
    other = asked["distractor"]
    return {
        "level": asked["level"],
        "kind": asked["kind"],
        "program": asked["program"],
        "paraphrases": asked["paraphrases"],
        "target": list(asked["target"]),
        "target_text": [asked["descriptions"][k] for k in asked["target"]],
        "distractor": other,
        "distractor_text": None if other is None else asked["descriptions"][other],
        "distractor_attributes": None if other is None else dict(zip(ATTRIBUTES, facts["labels"][other])),
        "flipped_text": None if asked["flip"] is None else asked["flip"][0],
        "objects": [dict(zip(ATTRIBUTES, label)) for label in facts["labels"]],
        "instance": instance,
    }


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "tabletop", Tabletop)
