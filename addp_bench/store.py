"""Folders of finished work: a stage is written into a working folder and renamed when it is whole.

    ROOT/stages/KIND/KEY/        finished; holds spec.json and attempts.json beside what the stage wrote
    ROOT/work/KIND-KEY/          begun; kept when a process dies, so that the next attempt can go on
    ROOT/locks/KIND-KEY.lock     held by the process at work, released by the system when it dies

A finished stage is never computed again: its attempt counter stands still.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from addp_bench.errors import StorageProblem

ATTEMPTS = "attempts.json"  # of a stage: when each attempt began, and the seconds that the ended ones took


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses what JSON cannot say exactly (NaN, objects)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True)
class Stage:
    """A piece of work named by everything that can change what it makes.

    spec: plain values; holds the keys of its inputs, so the key covers all that came before. inputs: done before it.
    shared: kept in the cache folder, because it can be made again from the data and a model. context: what the work
    needs and the result does not depend on, such as the place where a dataset lies; no part of the key.
    """

    kind: str
    spec: Mapping[str, Any]
    inputs: tuple[Stage, ...] = ()
    shared: bool = False
    context: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return digest({"kind": self.kind, **self.spec})

    @property
    def name(self) -> str:
        """Short and unique: `train/1a2b3c4d5e6f`."""
        return f"{self.kind}/{self.key[:16]}"

    def input(self, kind: str) -> Stage:
        """The one input of a kind."""
        (found,) = (s for s in self.inputs if s.kind == kind)
        return found

    def walk(self) -> Iterator[Stage]:
        """This stage after all it rests on, each once."""
        seen: set[str] = set()

        def visit(stage: Stage) -> Iterator[Stage]:
            if stage.key not in seen:
                seen.add(stage.key)
                for earlier in stage.inputs:
                    yield from visit(earlier)
                yield stage

        yield from visit(self)


class Store:
    """Finished and begun stages below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: Stage) -> Path:
        """Where the finished stage is, or will be."""
        return self.root / "stages" / stage.kind / stage.key[:16]

    def done(self, stage: Stage) -> bool:
        return (self.folder(stage) / ATTEMPTS).is_file()

    def attempts(self, stage: Stage) -> int:
        """How often the stage was begun, finished or not."""
        for folder in (self.folder(stage), self._work(stage)):
            try:
                return len(json.loads((folder / ATTEMPTS).read_text())["begun"])
            except (FileNotFoundError, ValueError):
                continue
        return 0

    def seconds(self, stage: Stage) -> float | None:
        """What a finished stage took, over all attempts; None where that was not kept.

        Of an attempt that was killed counts the time until it last wrote a file: what came after was lost.
        """
        try:
            found = json.loads((self.folder(stage) / ATTEMPTS).read_text()).get("seconds")
        except (FileNotFoundError, ValueError):
            return None
        return None if found is None else round(found, 2)

    def busy(self, stage: Stage) -> bool:
        """Whether a process is at work on it now."""
        lock = self._lock(stage)
        if not lock.exists():
            return False
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def ensure(self, stage: Stage, work: Callable[[Path], None], waiting: Callable[[], None] | None = None) -> bool:
        """Finish the stage unless it stands; True when this call did the work.

        work(folder) writes into the working folder, where it finds what an earlier, killed attempt left. waiting is
        called once when another process is at work on the same stage; its result is then used.
        """
        if self.done(stage):
            return False
        with storage_errors(self.root), self._held(stage, waiting):
            if self.done(stage):
                return False
            folder = self._begin(stage)
            work(folder)
            self._commit(stage, folder)
        return True

    def discard(self, stage: Stage) -> None:
        """Forget a stage, finished or begun."""
        shutil.rmtree(self.folder(stage), ignore_errors=True)
        shutil.rmtree(self._work(stage), ignore_errors=True)

    def _begin(self, stage: Stage) -> Path:
        folder = self._work(stage)
        folder.mkdir(parents=True, exist_ok=True)
        for half in folder.glob(".*"):  # `write_bytes` was killed there
            half.unlink()
        path = folder / ATTEMPTS
        begun, spent = [], 0.0
        with suppress(FileNotFoundError, ValueError):
            earlier = json.loads(path.read_text())
            begun = earlier["begun"]
            last = max(_modified(file) for file in folder.rglob("*") if file.is_file())
            spent = earlier.get("seconds", 0.0) + last - _modified(path)
        write_json(folder / "spec.json", {"kind": stage.kind, **stage.spec})
        begun = [*begun, datetime.now(timezone.utc).isoformat(timespec="seconds")]
        write_json(path, {"begun": begun, "seconds": spent})  # written last: its time is when the attempt began
        return folder

    def _commit(self, stage: Stage, folder: Path) -> None:
        path = folder / ATTEMPTS
        counted = json.loads(path.read_text())
        write_json(path, {**counted, "seconds": counted["seconds"] + time.time() - _modified(path)})
        for file in folder.rglob("*"):
            if file.is_file():
                sync(file)
        final = self.folder(stage)
        final.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(final)
        sync(final.parent)

    @contextmanager
    def _held(self, stage: Stage, waiting: Callable[[], None] | None) -> Iterator[None]:
        lock = self._lock(stage)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _work(self, stage: Stage) -> Path:
        return self.root / "work" / f"{stage.kind}-{stage.key[:16]}"

    def _lock(self, stage: Stage) -> Path:
        return self.root / "locks" / f"{stage.kind}-{stage.key[:16]}.lock"


def _modified(file: Path) -> float:
    return file.stat().st_mtime


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one. NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """The same for bytes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Turn a full disk or an unwritable folder into one clear line."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageProblem(
                f"no space left while writing below {root}. Finished stages are kept; free some space and run the same "
                "command again."
            ) from problem
        if problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise StorageProblem(
                f"cannot write below {root}: {problem.strerror}. Name another folder with --runs DIR "
                "(caches: set ADDP_HOME)."
            ) from problem
        raise
