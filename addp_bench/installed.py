"""Which plugin modules are announced by entry points, and which files they are made of. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

GROUP = "addp_bench"  # of entry points; also the prefix of hooks
_OURS = "addp-bench"


@dataclass(frozen=True)
class Source:
    """A plugin module that can be loaded: an entry point, or a file.

    name: of the entry point, or the file's path. module: its dotted name. distribution and version: who installed it;
    all three are "" for a file.
    """

    name: str
    module: str = ""
    distribution: str = ""
    version: str = ""

    @property
    def origin(self) -> str:
        """Where its plugins come from: "addp-bench 0.1.0", or the file."""
        return f"{self.distribution} {self.version}" if self.module else self.name

    def __str__(self) -> str:
        return f"{self.name} of {self.origin}" if self.module else self.name


def installed() -> list[Source]:
    """Plugin modules announced by entry points: ours first, then by distribution and name."""
    points = importlib.metadata.entry_points(group=GROUP)
    sources = [Source(p.name, p.value, p.dist.name, p.dist.version) for p in points if p.dist is not None]
    return sorted(sources, key=lambda s: (s.distribution != _OURS, s.distribution, s.name))


def module_files(source: Source) -> list[Path]:
    """The file of an installed module and those beside it in its package; [] where there is none to be found."""
    name = source.module.split(":")[0].strip()
    spec = _find(name)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    file = Path(spec.origin)
    return sorted(file.parent.glob("*.py")) if "." in name else [file]


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
