"""What a gate compares with: the records of a file, of a runs folder, or of either as it stood in a revision of git."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from addp_bench.errors import BadBundle, BadData, BadRequest, NothingSelected
from addp_bench.exports import bundles
from addp_bench.records import RECORD, Record, clean, load, load_all

FILE = "baseline.zip"  # where nothing else is said
GIT = "git:"
_LFS = b"version https://git-lfs"  # how the text begins that stands for a file kept elsewhere


@dataclass(frozen=True)
class Baseline:
    """name: as it was asked for. tolerances: metric -> what it may lose, in points where the metric is in points."""

    name: str
    records: Sequence[Record]
    tolerances: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def opened(name: str) -> Iterator[Baseline]:
    """The baseline of that name; its records can be read until the block ends.

    name: a bundle; a runs folder, or the folder of one record; git:REF:PATH for either as it stood in REF, PATH from
    the top of the repository, or from here where it begins with ./, baseline.zip where it is left out.

    Raises NothingSelected where no record is, BadBundle for a damaged file, BadData for a damaged record, BadRequest
    where there is no such file, repository or revision.
    """
    if name.startswith(GIT):
        ref, _, path = name.removeprefix(GIT).partition(":")
        with _from_git(ref, path or FILE, name) as found:
            yield found
        return
    file = Path(name)
    if file.is_dir():
        yield _of_folder(file, name)
        return
    try:
        content = file.read_bytes()
    except OSError as missing:
        raise BadRequest(
            [f"--baseline {clean(name)}: cannot be read ({missing.strerror}); `addp-bench gate update` writes one"]
        ) from missing
    if file.name == RECORD:
        yield _of_folder(file.parent, name)
        return
    with _of_bundle(content, name) as found:
        yield found


@contextmanager
def _of_bundle(content: bytes, name: str) -> Iterator[Baseline]:
    if content.startswith(_LFS):
        raise BadBundle(f"{name}: is a pointer of git LFS, not the file; `git lfs pull` fetches it")
    with bundles.unpacked(content, name) as bundle:
        if bundle.problems:
            raise BadBundle("; ".join(f"{name}: {file}: {why}" for file, why in bundle.problems.items()))
        try:
            yield Baseline(name, _of_folder(bundle.runs, name).records, bundle.tolerances)
        except BadData as broken:  # the folder is gone before anyone could look into it
            raise BadBundle(str(broken).replace(str(bundle.runs), name)) from broken


def _of_folder(folder: Path, name: str) -> Baseline:
    """Of a record or of a runs folder. All must be whole: a baseline that lost a record would gate less in silence."""
    if (folder / RECORD).is_file():
        return Baseline(name, [load(folder)])
    loaded = load_all(folder)
    if loaded.broken:
        raise BadData("; ".join(loaded.broken.values()))
    if not loaded.records:
        raise NothingSelected(f"--baseline {clean(name)}: no record lies there")
    return Baseline(name, loaded.records)


@contextmanager
def _from_git(ref: str, path: str, name: str) -> Iterator[Baseline]:
    if not ref or ref.startswith("-"):
        raise BadRequest(
            [f"--baseline {clean(name)}: names no revision; expected git:REF:PATH, such as git:origin/main"]
        )
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        where = "" if _git("rev-parse", "--git-dir") is not None else f"; {Path.cwd()} lies in no repository of git"
        raise BadRequest(
            [
                f"--baseline {clean(name)}: there is no revision {clean(ref)!r} here{where}. CI checks out one commit "
                "alone: fetch the other first (`git fetch --depth 1 origin REF`, then FETCH_HEAD)"
            ]
        )
    place = f"{commit.decode().strip()}:{path.rstrip('/')}"
    kind = _git("cat-file", "-t", place)
    if kind is None:
        raise BadRequest(
            [f"--baseline {clean(name)}: {clean(ref)} has no {clean(path)}; paths count from the top of the repository"]
        )
    if kind.strip() == b"blob":
        with _of_bundle(_git("cat-file", "blob", place) or b"", name) as found:
            yield found
        return
    packed = _git("archive", "--format=tar", place) if kind.strip() == b"tree" else None
    if packed is None:
        raise BadRequest([f"--baseline {clean(name)}: is neither a file nor a folder of {clean(ref)}"])
    with TemporaryDirectory(prefix="addp-bench-") as scratch:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            members = {m.name: archive.extractfile(m) for m in archive if m.isreg() and bundles.is_member(m.name)}
            bundles.put({member: file.read() for member, file in members.items() if file}, Path(scratch))
        try:
            yield _of_folder(Path(scratch), name)
        except BadData as broken:
            raise BadData(str(broken).replace(scratch, name)) from broken


def _git(*arguments: str) -> bytes | None:
    """What git prints, None where it refuses. Raises BadRequest where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise BadRequest(["--baseline git:...: there is no program git here; install it, or name a file"]) from missing
    return done.stdout if done.returncode == 0 else None
