"""Scenes on disk: shards of 250, each a folder that is written whole, verified when it is opened, and healed.

FOLDER/val-0003/images.npy       (250, H, W, 3) uint8
                instance.npy     (250, H, W) uint8
                depth.npy        (250, H, W) float32 metres
                scenes.jsonl     facts and expressions, a line for each scene
                manifest.json    SHA-256 of each of these
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.errors import StorageProblem

from .expressions import describe
from .programs import to_plain
from .render import render
from .splits import Asked, make, split_named

SCENES = 250  # of a shard
_FILES = ("images.npy", "instance.npy", "depth.npy", "scenes.jsonl")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """images (N, H, W, 3), instance and depth (N, H, W), read from disk as they are used; lines: N scenes as JSON."""

    images: np.ndarray
    instance: np.ndarray
    depth: np.ndarray
    lines: list[bytes]

    def scene(self, row: int) -> dict[str, Any]:
        """Facts and expressions of a scene. Read at each call: as objects, a whole split would fill the memory."""
        return json.loads(self.lines[row])


def open_shard(folder: Path, split: str, number: int, size: int) -> Shard:
    """Shard `number` of a split; made when it is missing, and made again, with a warning, when it is damaged."""
    place = folder / f"{split}-{number:04d}"
    for _ in range(3):
        if place.is_dir():
            damage = _damage(place)
            if damage is None:
                return _read(place)
            log.warning("%s is damaged (%s); it is made again", place, damage)
            _put_aside(place)
        _write(place, split, number, size)
    raise StorageProblem(f"{place} does not hold what was written to it; is the disk failing? Its parent is a cache.")


def _damage(place: Path) -> str | None:
    """What is wrong with a shard's files, None for nothing."""
    try:
        manifest = json.loads((place / "manifest.json").read_text())
        for name in _FILES:
            if hashlib.sha256((place / name).read_bytes()).hexdigest() != manifest[name]:
                return f"{name} does not have the SHA-256 of its manifest"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _read(place: Path) -> Shard:
    images, instance, depth = (np.load(place / name, mmap_mode="r", allow_pickle=False) for name in _FILES[:3])
    return Shard(images, instance, depth, (place / _FILES[3]).read_bytes().splitlines())


def _put_aside(place: Path) -> None:
    """Away with a damaged shard; another process may be quicker."""
    aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=place.parent))
    with contextlib.suppress(FileNotFoundError):
        place.replace(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _write(place: Path, split: str, number: int, size: int) -> None:
    """Make a shard beside its place and rename it. When another process was first, its folder stays: it is the same."""
    log.info("rendering %s (%d scenes)", place.name, SCENES)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    except OSError as error:
        raise StorageProblem(f"cannot write to {place.parent}: {error}. Set ADDP_HOME, or the option path.") from error
    try:
        _fill(work, split, number, size)
        try:
            work.replace(place)
        except OSError:
            if not place.is_dir():
                raise
    except OSError as error:
        raise StorageProblem(f"cannot write {place}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fill(work: Path, split: str, number: int, size: int) -> None:
    """All files of a shard into an empty folder, the manifest last."""
    start = number * SCENES
    asked = make(split, range(start, min(start + SCENES, split_named(split).scenes)))
    rendering = render([one.scene for one in asked], size)
    for name, array in zip(_FILES, (rendering.images, rendering.instance, rendering.depth)):
        np.save(work / name, array, allow_pickle=False)
    lines = (json.dumps(plain(one), separators=(",", ":")) for one in asked)
    (work / _FILES[3]).write_text("".join(f"{line}\n" for line in lines))
    digests = {name: hashlib.sha256((work / name).read_bytes()).hexdigest() for name in _FILES}
    (work / "manifest.json").write_text(json.dumps(digests, indent=1))


def plain(asked: Asked) -> dict[str, Any]:
    """Facts and expressions as JSON-able values."""
    return {
        "scene": asdict(asked.scene),
        "facts": asdict(asked.facts),
        "expressions": [
            {
                "text": e.text,
                "style": e.style,
                "paraphrases": list(e.paraphrases),
                "level": e.level,
                "kind": e.kind,
                "program": to_plain(e.program),
                "target": list(e.target),
                "distractor": e.distractor,
                "flip": None if e.flip is None else list(e.flip),
                "descriptions": [describe(label) for label in asked.facts.labels],
            }
            for e in asked.expressions
        ],
    }
