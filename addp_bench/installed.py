"""Which plugin modules are announced by entry points, and which files they are made of. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

GROUP = "addp_bench"  # of entry points; also the prefix of hooks
_OURS = "addp-bench"


@dataclass(frozen=True)
class Source:
    """A plugin module that can be loaded: an entry point, or a file.

    name: of the entry point, or the file's path. module: its dotted name. distribution and version: who installed it,
    the version "" where its metadata holds none; all three are "" for a file. problem: why it cannot be loaded at all.
    doubt: what is odd about how it was installed, though it can be loaded.
    """

    name: str
    module: str = ""
    distribution: str = ""
    version: str = ""
    problem: str = ""
    doubt: str = ""

    @property
    def origin(self) -> str:
        """Where its plugins come from: "addp-bench 0.1.0", or the file."""
        return f"{self.distribution} {self.version or '(version unknown)'}" if self.distribution else self.name

    def __str__(self) -> str:
        return f"{self.name} of {self.origin}" if self.distribution else self.name


def installed() -> list[Source]:
    """Plugin modules announced by entry points: ours first, then by distribution and name.

    Of a distribution that is found twice the first counts, as it does for an import.
    """
    announcing = [d for d in importlib.metadata.distributions() if _announces(d)]
    named: dict[str, list[importlib.metadata.Distribution]] = {}
    for distribution in announcing:
        named.setdefault(_name(distribution), []).append(distribution)
    sources = [source for name, found in named.items() for source in _sources(name, found)]
    return sorted(sources, key=lambda s: (s.distribution != _OURS, s.distribution, s.name))


def _announces(distribution: importlib.metadata.Distribution) -> bool:
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except UnicodeDecodeError:  # whether it is ours cannot be read either; `_sources` says so
        return True


def _name(distribution: importlib.metadata.Distribution) -> str:
    try:
        said = distribution.metadata["Name"]
    except Exception:  # metadata that is missing or damaged raises what the parser of the day raises
        said = None
    return said or f"a distribution without a name in {_folder(distribution)}"


def _version(distribution: importlib.metadata.Distribution) -> str:
    try:
        return distribution.version or ""
    except Exception:  # as above
        return ""


def _folder(distribution: importlib.metadata.Distribution) -> Path:
    return Path(str(distribution.locate_file(""))).resolve()


def _sources(name: str, found: list[importlib.metadata.Distribution]) -> Iterator[Source]:
    """The plugin modules of a distribution. found: it, and further copies of its metadata."""
    first, version = found[0], _version(found[0])
    # a folder may stand on sys.path several times; the versions tell whether there is more than one copy in it
    there = [_version(d) for d in found if _folder(d) == _folder(first)]
    doubt = ""
    if len(set(there)) > 1:
        versions = " and ".join(v or "no version" for v in there)
        doubt = (
            f"{name} is installed twice in {_folder(first)} ({versions}), and which one counts is chance; "
            f"`pip uninstall {name}` until none is left, then install it again"
        )
    try:
        points = list(first.entry_points)
    except Exception as damaged:  # as above
        problem = f"its entry_points.txt cannot be read ({type(damaged).__name__}: {damaged}). Install {name} again."
        yield Source("entry_points.txt", "", name, version, problem, doubt)
        return
    for point in (point for point in points if point.group == GROUP):
        yield Source(point.name, point.value, name, version, _malformed(point), doubt)
        doubt = ""  # said once


def _malformed(point: importlib.metadata.EntryPoint) -> str:
    if importlib.metadata.EntryPoint.pattern.match(point.value):
        return ""
    return f"its entry point leads to {point.value!r}; expected a module, such as acme_bench.band."


def module_name(source: Source) -> str:
    """The dotted name of an installed module, without what the entry point takes from it."""
    return re.split(r"[:\[]", source.module)[0].strip()


def module_files(source: Source) -> list[Path]:
    """The file of an installed module and those beside it in its package; [] where there is none to be found."""
    name = module_name(source)
    spec = _find(name)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    file = Path(spec.origin)
    return sorted(file.parent.glob("*.py")) if "." in name else [file]


def source_text(source: Source) -> str:
    """The source of a module or a file, "" where it cannot be read; imports nothing."""
    try:
        if not source.module:
            return Path(source.name).read_text(encoding="utf-8")
        spec = _find(module_name(source))
        return spec.loader.get_source(spec.name) or ""  # type: ignore[union-attr]  # most loaders have it; others raise
    except (OSError, ImportError, AttributeError, UnicodeDecodeError, SyntaxError):
        return ""


def _find(name: str) -> ModuleSpec | None:
    """As importlib.util.find_spec, which would import the parents of a module in order to find it."""
    path = None
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        full = ".".join(parts[:depth])
        if (loaded := sys.modules.get(full)) is not None and depth < len(parts):
            path = list(getattr(loaded, "__path__", []))  # a package may have lengthened its path, as ours does
            continue
        found = (finder.find_spec(full, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((s for s in found if s is not None), None)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec
