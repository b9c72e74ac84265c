"""The files of a dataset, in a folder or in a tar that is never unpacked: one way to list, size and read them.

A tar is read where it lies: its headers are walked once, and a member is then as near as a file. Nothing keeps a file
open, so what is here can be handed to threads and processes.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from addp_bench.errors import BadData

BLOCK = 512  # bytes; a tar ends with at least one block of zeros


class Files(Protocol):
    """Files by their relative names, with `/` between folders and without a leading `./`."""

    where: str  # what messages call it

    def names(self) -> Sequence[str]:
        """Every file, sorted."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def size(self, name: str) -> int:
        """Its bytes. Raises BadData for a file that is not there, and for a name that leads outside."""

    def read(self, name: str) -> bytes:
        """What is in it. Raises BadData as `size` does, and for a file that ends too early."""


def open_files(path: Path) -> Files:
    """The files of a folder or of a tar. Raises BadData for a path that is neither, and for a broken tar."""
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Tar(path)
    raise BadData(f"there is no folder and no tar {path}.")


def inside(name: str, where: str) -> str:
    """The name without a leading `./`. Raises BadData when it leads outside of what holds it.

    where: what the message says it was met in.
    """
    plain = PurePosixPath(name)
    if plain.is_absolute() or ".." in plain.parts or "\\" in name or "\0" in name or not plain.parts:
        raise BadData(f"{where}: the name {name!r} leads outside; expected a path below it, without `..`.")
    return str(plain)


class Folder:
    """The files below a folder. A link may lead elsewhere in the folder, and not out of it."""

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root.resolve()
        self._parents: dict[str, Path] = {}  # by relative name, where they really are

    def names(self) -> Sequence[str]:
        found: list[str] = []
        for folder, _, files in os.walk(self._root):
            below = Path(folder).relative_to(self._root).as_posix()
            found += files if below == "." else [f"{below}/{file}" for file in files]
        return sorted(found)

    def has(self, name: str) -> bool:
        return self._place(name).is_file()

    def size(self, name: str) -> int:
        return self._existing(name).stat().st_size

    def read(self, name: str) -> bytes:
        return self._existing(name).read_bytes()

    def _existing(self, name: str) -> Path:
        place = self._place(name)
        if not place.is_file():
            raise BadData(f"{self.where}/{name} is missing.")
        return place

    def _place(self, name: str) -> Path:
        name = inside(name, self.where)
        parent, _, file = name.rpartition("/")
        if parent not in self._parents:  # a folder is followed once, not for each of its thousands of files
            self._parents[parent] = self._followed(parent)
        place = self._parents[parent] / file
        return self._followed(name) if place.is_symlink() else place

    def _followed(self, name: str) -> Path:
        place = (self._root / name).resolve()
        if not place.is_relative_to(self._root):
            raise BadData(
                f"{self.where}/{name} is a link that leads out of the folder; put the files themselves there."
            )
        return place


class Tar:
    """The members of an uncompressed tar. Of two members of one name the later counts, as when it is unpacked."""

    def __init__(self, file: Path) -> None:
        self.where = str(file)
        self._file = file
        found = file.stat()
        self._index = _index(file, found.st_size, found.st_mtime_ns)

    def names(self) -> Sequence[str]:
        return list(self._index)

    def has(self, name: str) -> bool:
        return inside(name, self.where) in self._index

    def size(self, name: str) -> int:
        return self._member(name)[1]

    def read(self, name: str) -> bytes:
        start, size = self._member(name)
        with self._file.open("rb") as stream:
            stream.seek(start)
            content = stream.read(size)
        if len(content) < size:
            raise BadData(f"{self.where} ends inside its member {name}: it was cut after it was opened.")
        return content

    def _member(self, name: str) -> tuple[int, int]:
        """First byte and size."""
        name = inside(name, self.where)
        if name not in self._index:
            raise BadData(f"{self.where} has no member {name}.")
        return self._index[name]


@lru_cache(maxsize=16)  # by size and time of the last change, so that another file is read anew
def _index(file: Path, size: int, changed: int) -> Mapping[str, tuple[int, int]]:
    """Name -> (first byte, size) of every member, sorted by name."""
    found: dict[str, tuple[int, int]] = {}
    end = 0
    try:
        with tarfile.open(file, "r:") as members:
            for member in members:
                end = members.offset
                if member.isdir():
                    continue
                name = inside(member.name, str(file))
                if not member.isreg() or member.issparse():
                    raise BadData(f"{file}: its member {name} is a link or a device; expected files and folders only.")
                found[name] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError, OSError, ValueError) as broken:
        reason = " ".join(str(broken).split())
        raise BadData(
            f"{file} cannot be read as an uncompressed tar: {reason}. Unpack a compressed one; copy a cut one again."
        ) from broken
    with file.open("rb") as stream:
        stream.seek(end)
        if stream.read(BLOCK) != bytes(BLOCK):  # tarfile takes a broken header for the end, and says nothing
            raise BadData(
                f"{file} is cut or damaged at byte {end} of {size}, after {len(found)} files: neither a member nor "
                "the end of a tar is there. Copy it again."
            )
    return dict(sorted(found.items()))
