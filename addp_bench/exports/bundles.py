"""Bundles: finished cells in one file that can be published, committed and checked.

A zip with the two files of each record as they lie in a runs folder, and `manifest.json`: the SHA-256 of every file,
the version that packed them and, in a gate's baseline, tolerances. Unpacked it is a runs folder. The same records make
the same bytes wherever zlib is the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from addp_bench import __version__
from addp_bench.errors import BadBundle, BadData
from addp_bench.records import RECORD, Record, clean, require_whole
from addp_bench.statistics import STATISTICS

FORMAT, SCHEMA = "addp-bench bundle", 1
MANIFEST = "manifest.json"
LARGEST = 4 << 30  # bytes, unpacked: no bundle comes near, what is made to fill a disk does
_MEMBER = re.compile(rf"records/[0-9a-f]{{12}}/({re.escape(RECORD)}|{re.escape(STATISTICS)})")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
_DAMAGE = (OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle. runs: the folder it lies in. tolerances: as `gate.judge` takes them, empty in most.

    problems: file -> how it is not what the manifest says; empty where all is as it was packed.
    """

    runs: Path
    made_by: str
    tolerances: Mapping[str, float] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def packed(records: Sequence[Record], tolerances: Mapping[str, float] | None = None) -> bytes:
    """Records as a bundle. Raises BadData, naming the file, for one whose statistics are missing or not its own."""
    files: dict[str, bytes] = {}
    for record in sorted(records, key=lambda r: r.id):
        if record.folder is None:
            raise BadData(f"record {record.id} was not written yet; there is nothing to pack")
        require_whole(record.folder, record.key)
        for name in (RECORD, STATISTICS):
            files[f"records/{record.id}/{name}"] = (record.folder / name).read_bytes()
    manifest: dict[str, Any] = {"format": FORMAT, "schema": SCHEMA, "made_by": __version__}
    if tolerances:
        manifest["tolerances"] = dict(sorted(tolerances.items()))
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in {MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode(), **files}.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system, member.external_attr = 3, 0o644 << 16  # as on every system
            member.compress_type = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            archive.writestr(member, content, compresslevel=9)
    return written.getvalue()


@contextmanager
def unpacked(content: bytes, name: str) -> Iterator[Bundle]:
    """A bundle in a folder of its own, which is gone afterwards. name: what errors call it.

    Only files of the two names that a record has are ever written, and nothing is unpickled. Raises BadBundle for what
    is no bundle, is cut off, or holds anything else; a file that differs from the manifest is one of its `problems`.
    """
    with TemporaryDirectory(prefix="addp-bench-") as scratch:
        files = _files(content, name)
        manifest = _manifest(files.pop(MANIFEST), name)
        put(files, Path(scratch))
        yield Bundle(Path(scratch), manifest["made_by"], manifest.get("tolerances", {}), _problems(manifest, files))


def put(files: Mapping[str, bytes], runs: Path) -> None:
    """Write files of records, named as in a bundle, into a runs folder."""
    for member, content in files.items():
        place = runs / member
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def is_member(name: str) -> bool:
    """Whether a name is that of a record's file (records/, 12 hex digits, one of two names), so it leaves no folder."""
    return _MEMBER.fullmatch(name) is not None


def _files(content: bytes, name: str) -> dict[str, bytes]:
    """Every file of the zip by name, the manifest among them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if min((member.header_offset for member in members), default=0):  # the zip within a bundle that was cut
                raise zipfile.BadZipFile("it does not begin as a zip does")
            for member in members:
                if member.filename != MANIFEST and not is_member(member.filename):
                    strange = repr(clean(member.filename)[:80])
                    raise BadBundle(f"{name}: holds {strange}, which is no file of a record; nothing was unpacked")
            if len({member.filename for member in members}) != len(members):
                raise BadBundle(f"{name}: holds two files of one name; nothing was unpacked")
            if (total := sum(member.file_size for member in members)) > LARGEST:
                raise BadBundle(f"{name}: would take {total >> 20} MiB unpacked, more than any bundle; not unpacked")
            found = {member.filename: archive.read(member) for member in members}
    except BadBundle:
        raise
    except _DAMAGE as broken:
        raise BadBundle(f"{name}: is no bundle, or was cut off or damaged on its way ({broken})") from broken
    if MANIFEST not in found:
        raise BadBundle(f"{name}: has no {MANIFEST}; `addp-bench export bundle` and `gate update` write bundles")
    return found


def _manifest(content: bytes, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as broken:
        raise BadBundle(f"{name}: its {MANIFEST} is not JSON ({broken})") from broken
    met = (manifest.get("format"), manifest.get("schema")) if isinstance(manifest, dict) else (type(manifest), None)
    if met != (FORMAT, SCHEMA):
        raise BadBundle(
            f"{name}: its {MANIFEST} says {met[0]!r}, schema {met[1]!r}; this version reads schema {SCHEMA}"
        )
    digests, tolerances = manifest.get("files"), manifest.get("tolerances", {})
    if (
        not isinstance(manifest.get("made_by"), str)
        or not isinstance(digests, dict)
        or not all(isinstance(digest, str) for digest in digests.values())
        or not isinstance(tolerances, dict)
        or not all(isinstance(t, (int, float)) and 0 <= t < float("inf") for t in tolerances.values())
    ):
        raise BadBundle(
            f"{name}: its {MANIFEST} lacks made_by, digests of files, or tolerances that are numbers from 0 on"
        )
    return manifest


def _problems(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, str]:
    found = {}
    for name in sorted({*manifest["files"], *files}):
        met = hashlib.sha256(files[name]).hexdigest() if name in files else None
        said = manifest["files"].get(name)
        if met is None:
            found[name] = "is in the manifest and not in the bundle"
        elif said is None:
            found[name] = "is in the bundle and not in its manifest"
        elif met != said:
            found[name] = f"its SHA-256 begins {met[:12]}, the manifest says {said[:12]}"
    return found
