"""CIFAR-10 in its binary version: ten classes, 32 x 32 pixels, no pickle.

Nothing is downloaded. Either the archive or what is in it:

    <path>/cifar-10-batches-bin/   data_batch_1.bin .. data_batch_5.bin  test_batch.bin  batches.meta.txt
    <path>                         cifar-10-binary.tar.gz

A record is a byte of class and 3072 bytes of picture: 1024 red, 1024 green, 1024 blue, row by row.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Card

from . import labelled

if TYPE_CHECKING:
    from addp_bench.registry import Registry

log = logging.getLogger(__name__)

FOLDER, ARCHIVE, NAMES = "cifar-10-batches-bin", "cifar-10-binary.tar.gz", "batches.meta.txt"
TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST = "test_batch.bin"
FILES = (*TRAIN, TEST, NAMES)
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # bytes
PUBLISHED = 10_000  # records of a file
LIMIT = 1 << 26  # bytes of a file; the published ones have 30 730 000
PICKLED = "the version with pickles, which could run anything that is written in them"


class Cifar10:
    """CIFAR-10 (Krizhevsky, 2009): 50 000 photographs to learn from and 10 000 to judge on, 32 x 32, ten classes.

    Splits are `train` and `test` as published, and two parts of `train`: `stats`, one photograph in twenty chosen by a
    hash of its id, and `train_fit`, the rest.

    path: the binary version: cifar-10-binary.tar.gz, or the folder cifar-10-batches-bin or one that holds it.
    """

    tasks: ClassVar[Sequence[str]] = labelled.TASKS

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    def splits(self) -> Sequence[str]:
        """The published ones and the two parts of `train`."""
        return ("train", "test", "train_fit", "stats")

    def default_split(self, purpose: str) -> str:
        """`train_fit` to train on, `stats` to choose on, `test` to judge on."""
        return labelled.default_split(purpose, "test")

    def samples(self, split: str, task: str) -> labelled.Labelled:
        """The photographs of a split, in the order of the files.

        Raises UnknownName for the split or task, BadData for files that are missing or broken.
        """
        labelled.require("cifar10", split, self.splits(), task)
        if split == "test":
            return self._batch((TEST,))
        return labelled.part(self._batch(TRAIN), split)

    def card(self) -> Card:
        """Counts of the files as they are. The fingerprint covers all their bytes, packed or not."""
        counts = {name: len(self._read.rows[name]) for name in (*TRAIN, TEST)}
        return Card(
            name="cifar10",
            licence="none stated; cite the report",
            citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
            access=f"{ARCHIVE} of https://www.cs.toronto.edu/~kriz/cifar.html; no registration",
            counts={**labelled.sizes(sum(counts[name] for name in TRAIN)), "test": counts[TEST]},
            fingerprint=self._read.fingerprint,
        )

    def protocol(self, task: str) -> str:
        """Accuracy over the whole split, as DDAE counts it."""
        return "ddae"

    @cached_property
    def _read(self) -> Content:
        return _content(self.path, _version(self.path))

    def _batch(self, files: Sequence[str]) -> labelled.Labelled:
        rows = (
            np.concatenate([self._read.rows[name] for name in files]) if len(files) > 1 else self._read.rows[files[0]]
        )
        ids = [
            f"cifar10/{name.removesuffix('.bin')}/{i:05d}" for name in files for i in range(len(self._read.rows[name]))
        ]

        def photograph(index: int) -> np.ndarray:
            return np.ascontiguousarray(rows[index, 1:].reshape(3, SIDE, SIDE).transpose(1, 2, 0))

        return labelled.Labelled(ids, [int(c) for c in rows[:, 0]], self._read.names, photograph)


@dataclass(frozen=True)
class Content:
    """What the files hold. names: of the classes. rows: file -> records (N, 3073) uint8. fingerprint: of all bytes."""

    names: Sequence[str]
    rows: Mapping[str, np.ndarray]
    fingerprint: str


@lru_cache(maxsize=2)  # every stage of a run asks again
def _content(path: Path, version: tuple[tuple[str, int, int], ...]) -> Content:
    """Everything under `path`, checked. version: of the files, so that changed ones are read anew. Raises BadData."""
    found = _unpacked(path) if path.is_file() else _loose(path)
    if missing := [name for name in FILES if name not in found]:
        raise BadData(f"{path}: {missing[0]} is missing; {ARCHIVE} holds {', '.join(FILES)}")
    names = found[NAMES].decode("ascii", "replace").split()
    if len(names) != 10 or len(set(names)) != 10:
        raise BadData(f"{path}: {NAMES} names {len(set(names))} classes; expected the 10 of CIFAR-10, one in a line")
    rows = {name: _records(found[name], f"{path}: {name}", len(names)) for name in (*TRAIN, TEST)}
    if other := {name: len(r) for name, r in rows.items() if len(r) != PUBLISHED}:
        name, count = next(iter(other.items()))
        log.warning("%s: %s holds %d photographs, the published one %d", path, name, count, PUBLISHED)
    digests = [(name, hashlib.sha256(found[name]).hexdigest()) for name in FILES]
    return Content(names, rows, hashlib.sha256(repr(digests).encode()).hexdigest())


def _records(content: bytes, where: str, classes: int) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise BadData(f"{where} has {len(content)} bytes; a record has {RECORD}, and only whole ones are expected")
    rows = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if (wrong := np.flatnonzero(rows[:, 0] >= classes)).size:
        raise BadData(f"{where}: record {wrong[0]} has class {rows[wrong[0], 0]}; expected 0 to {classes - 1}")
    return rows


def _loose(path: Path) -> dict[str, bytes]:
    """Files of a folder. Raises BadData for one that is missing, or that holds the pickles."""
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    if not (folder / TRAIN[0]).is_file():
        if (path / "data_batch_1").is_file() or (path / "cifar-10-batches-py").is_dir():
            raise BadData(f"{path} is {PICKLED}; take the binary version, {ARCHIVE}, of the same page")
        raise BadData(f"{folder / TRAIN[0]} is missing; give dataset cifar10 {ARCHIVE} or the folder {FOLDER}")
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def _unpacked(path: Path) -> dict[str, bytes]:
    """Files of the archive, read where they lie; nothing is written. Raises BadData."""
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                folder, _, name = member.name.removeprefix("./").partition("/")
                if folder == "cifar-10-batches-py":
                    raise BadData(f"{path} is {PICKLED}; take the binary version, {ARCHIVE}, of the same page")
                if folder == FOLDER and name in FILES and member.isfile():
                    if member.size > LIMIT:
                        raise BadData(f"{path}: {name} has {member.size} bytes, far more than CIFAR-10's")
                    content = archive.extractfile(member)
                    assert content is not None, "a regular file has content"
                    found[name] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as broken:
        raise BadData(f"{path} cannot be read as {ARCHIVE}: {broken}. Download it again.") from broken
    return found


def _version(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files."""
    if not path.exists():
        raise BadData(f"there is no {path}; give dataset cifar10 {ARCHIVE} or the folder {FOLDER}")
    files = [path] if path.is_file() else sorted(f for place in (path, path / FOLDER) for f in place.glob("*.*"))
    return tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "cifar10", Cifar10)
