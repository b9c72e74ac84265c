"""Where pictures come from: the built-in world, so that it runs at once, and a folder of anyone's photographs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, unknown
from addp_bench.tasks.tabletop.dataset import Tabletop
from addp_bench.types import About, Card, Sample

from .pictures import enlarged, resized

Scale = Literal[2, 4]
TASK = "superres"
SPLITS = {"train": "train", "stats": "stats", "eval": "val"}
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
ABOUT = About(
    licence="that of your photographs",
    citation="your photographs",
    access="a folder of photographs of your own: superres_folder:path=DIR",
)


class Pictures:
    """A split of large pictures, each shown small. ids: names, of which each is its own cluster.

    load: from an index to a picture (H, W, 3) uint8 whose sides are multiples of `scale`.
    """

    def __init__(self, ids: Sequence[str], load: Callable[[int], np.ndarray], scale: int) -> None:
        self.ids = self.image_ids = ids
        self._load, self._scale = load, scale

    def __len__(self) -> int:
        return len(self.ids)

    def text(self, index: int) -> str:
        """Nothing is said of it."""
        return ""

    def __getitem__(self, index: int) -> Sample:
        picture = self._load(index)
        return Sample(self.ids[index], self.ids[index], enlarged(picture, self._scale), picture)


class TabletopPictures:
    """Photographs of the built-in world.

    scale: how many times smaller the picture is that is shown.

    size: side of the large pictures, pixels; a multiple of the scale.
    """

    tasks: ClassVar[Sequence[str]] = (TASK,)

    def __init__(self, scale: Scale = 4, size: int = 64) -> None:
        self._scale, self._size = scale, require_multiple(size, scale)
        self._world = Tabletop(size)

    def splits(self) -> Sequence[str]:
        """Those of tabletop."""
        return self._world.splits()

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval"."""
        return self._world.default_split(purpose)

    def samples(self, split: str, task: str) -> Pictures:
        """A split's pictures; a shard is rendered when one of them is first asked for."""
        require_task(task)
        world = self._world.samples(split, "depth")  # one sample for each photograph
        return Pictures(world.ids, lambda index: world[index].image, self._scale)

    def protocol(self, task: str) -> str:
        """That of the scale."""
        return f"superres_x{self._scale}"

    def card(self) -> Card:
        """The fingerprint holds that of tabletop, whose code no key of ours would notice."""
        world = self._world.card()
        counts = {split: len(self._world.samples(split, "depth")) for split in self.splits()}
        made = fingerprint(world.fingerprint, f"scale {self._scale}")
        return Card("superres_tabletop", world.licence, world.citation, world.access, counts, made)


class Folder:
    """Photographs in a folder and the folders in it, each cut to its largest square from the centre.

    A photograph belongs to the split that the digest of its path in the folder says, so that others may come and go: of
    ten about eight are trained on, one is measured on (stats) and one is judged (val).

    path: the folder.

    scale: how many times smaller the picture is that is shown.

    size: side of the large pictures, pixels; a multiple of the scale. Photographs with a smaller side are refused.
    """

    tasks: ClassVar[Sequence[str]] = (TASK,)
    about: ClassVar[About] = ABOUT

    def __init__(self, path: str, scale: Scale = 4, size: int = 64) -> None:
        self._scale, self._size = scale, require_multiple(size, scale)
        self._root = Path(path).expanduser()

    def splits(self) -> Sequence[str]:
        """train, stats and val."""
        return tuple(SPLITS.values())

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval"."""
        return SPLITS[purpose]

    def samples(self, split: str, task: str) -> Pictures:
        """A split's pictures. Raises UnknownName, and BadData for a folder that is missing or without photographs."""
        require_task(task)
        if split not in self.splits():
            raise unknown("split of superres_folder", split, self.splits())
        names = [name for name in self._names if split_of(name) == split]
        return Pictures(names, lambda index: self._square(names[index]), self._scale)

    def protocol(self, task: str) -> str:
        """That of the scale."""
        return f"superres_x{self._scale}"

    def card(self) -> Card:
        """The fingerprint holds every photograph's name and bytes."""
        files = [(name, hashlib.sha256((self._root / name).read_bytes()).hexdigest()) for name in self._names]
        counts = {split: sum(split_of(name) == split for name in self._names) for split in self.splits()}
        made = fingerprint(*(part for file in files for part in file), f"scale {self._scale}, {self._size} px")
        return ABOUT.card("superres_folder", counts, made)

    @functools.cached_property
    def _names(self) -> list[str]:
        if not self._root.is_dir():
            raise BadData(f"superres_folder: there is no folder {self._root}; path=DIR names one with photographs")
        files = (file for file in self._root.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        names = sorted(file.relative_to(self._root).as_posix() for file in files)
        if not names:
            raise BadData(f"superres_folder: {self._root} holds no photograph ({', '.join(ENDINGS)})")
        return names

    def _square(self, name: str) -> np.ndarray:
        """The photograph's largest square from the centre, at the large pictures' size."""
        from PIL import Image, UnidentifiedImageError

        file = self._root / name
        try:
            with Image.open(file) as opened:
                photo = np.array(opened.convert("RGB"))
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as broken:
            raise BadData(f"{file} cannot be read as a photograph: {broken}") from broken
        height, width = photo.shape[:2]
        side = min(height, width)
        if side < self._size:
            raise BadData(f"{file} is {height} x {width}, and size={self._size} needs {self._size} pixels a side")
        top, left = (height - side) // 2, (width - side) // 2
        return resized(photo[top : top + side, left : left + side], (self._size, self._size))


def split_of(name: str) -> str:
    """The split of a photograph: by the first byte of the SHA-256 of its name, of 256 the last 26 to each small one."""
    first = hashlib.sha256(name.encode()).digest()[0]
    return "val" if first >= 230 else "stats" if first >= 204 else "train"


def fingerprint(*parts: str) -> str:
    """SHA-256 of what decides the samples."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def require_multiple(size: int, scale: int) -> int:
    """The size. Raises BadOption for one that is no multiple of the scale, or too small to be judged."""
    if size % scale or size < 32:
        raise BadOption(f"the side of a large picture is a multiple of its scale {scale}, 32 or more, got size={size}")
    return size


def require_task(task: str) -> None:
    """Raises UnknownName for another task."""
    if task != TASK:
        raise unknown("task of this dataset", task, [TASK])
