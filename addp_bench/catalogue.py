"""What there is to choose from, in words: kept as JSON, so that `list` and `show` need not import a single plugin.

The catalogue is kept under ADDP_HOME with the key it was made for: distributions, versions, entry points and digests of
the files of plugin modules. It is made again, by one full load, when that key no longer fits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench import __version__
from addp_bench.errors import BadPlugin, UnknownName, set_aside, unknown
from addp_bench.home import home
from addp_bench.installed import installed, module_files
from addp_bench.spec import KINDS, tidy
from addp_bench.store import digest, write_json
from addp_bench.types import About

if TYPE_CHECKING:
    from addp_bench.loading import Loaded
    from addp_bench.registry import Entry, Option

_CITED = re.compile(r"\((?:[^()]*\b(?:19|20)\d\d\b|ADDP\b)[^()]*\)")
_SOURCE = re.compile(r"\b(?:Source|Citation|Reference)s?: ", re.IGNORECASE)


@dataclass(frozen=True)
class Plugin:
    """One plugin in words.

    summary: first line of its docstring. words: all of it. options: each with name, type, default (None when required),
    required and words. origin: distribution and version, or a file. citation: "" when its docstring names no source.
    about: of a dataset, the fields of its types.About; empty for what says nothing of the kind. protocols: of a task
    that needs no option, as `protocol_cards.listed` gives them.
    """

    kind: str
    name: str
    aliases: Sequence[str]
    summary: str
    words: str
    options: Sequence[Mapping[str, Any]]
    origin: str
    citation: str
    about: Mapping[str, Any]
    protocols: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Catalogue:
    """All plugins in the order of kinds and names, why modules were set aside, and which hooks are implemented.

    notices: of modules that work, what their authors should change.
    """

    plugins: Sequence[Plugin]
    failures: Mapping[str, str]
    hooks: Sequence[str]
    notices: Mapping[str, Sequence[str]]

    def of(self, kind: str | None) -> list[Plugin]:
        """Those of a kind, or all. Raises UnknownName for a kind that does not exist."""
        if kind is None:
            return list(self.plugins)
        if tidy(kind) not in KINDS:
            named = [f"addp-bench show {p.kind} {p.name}" for p in self.plugins if tidy(kind) in (p.name, *p.aliases)]
            note = f"A plugin is called so: {' or '.join(named)}" if named else ""
            raise unknown("kind of plugin", kind, KINDS, note)
        return [p for p in self.plugins if p.kind == tidy(kind)]

    def get(self, kind: str, name: str) -> Plugin:
        """The plugin of that name or alias. Raises UnknownName, with the nearest and what failed to load."""
        candidates = self.of(kind)
        for plugin in candidates:
            if tidy(name) in (plugin.name, *plugin.aliases):
                return plugin
        raise self._unknown(kind, name, candidates)

    def protocols(self) -> list[dict[str, Any]]:
        """Those of every task: what `protocol_cards.listed` gives, and the task."""
        return [{"task": plugin.name, **protocol} for plugin in self.of("task") for protocol in plugin.protocols]

    def _unknown(self, kind: str, name: str, candidates: Iterable[Plugin]) -> UnknownName:
        known = [n for p in candidates for n in (p.name, *p.aliases)]
        return unknown(kind, name, known, set_aside(self.failures))


def read(
    say: Callable[[str], None],
    plugin_files: Sequence[Path] = (),
    blocked: Sequence[str] = (),
    strict: bool = False,
) -> Catalogue:
    """The catalogue of all plugins. What takes long or cannot be done is said through `say`.

    The arguments are those of `addp_bench.loading.load`, and so are the errors. With plugin_files or blocked everything
    is loaded, and nothing is kept.
    """
    if plugin_files or blocked:
        from addp_bench.loading import load

        return describe(load(plugin_files, blocked, strict))
    found = _installed(say)
    if strict and found.failures:
        module, why = next(iter(found.failures.items()))
        raise BadPlugin(f"{module}: {why}")
    return found


def kept() -> Catalogue | None:
    """The catalogue as it lies there, out of date or not; None where there is none. Quick: no file is looked at."""
    return _kept(catalogue_file(), None)


def describe(loaded: Loaded) -> Catalogue:
    """The catalogue of what was loaded."""
    implemented = sorted(name for name, hook in vars(loaded.hooks.hook).items() if hook.get_hookimpls())
    return Catalogue(
        [_in_words(e) for e in loaded.registry.entries()], dict(loaded.failures), implemented, dict(loaded.notices)
    )


def _installed(say: Callable[[str], None]) -> Catalogue:
    file, key = catalogue_file(), current_key()
    if (kept := _kept(file, key)) is not None:
        return kept
    say("loading every plugin once, to make the catalogue of what there is")
    from addp_bench.loading import load

    made = describe(load())
    try:
        _keep(file, key, made)
    except OSError as problem:
        say(
            f"the catalogue cannot be kept ({problem}), so every call loads all plugins; set ADDP_HOME to a free folder"
        )
    return made


def refresh(loaded: Loaded) -> None:
    """Keep the catalogue of all that is installed, which was loaded for another reason, where the kept one is stale."""
    file, key = catalogue_file(), current_key()
    if _kept(file, key) is None:
        with contextlib.suppress(OSError):  # `list`, which needs it, says so
            _keep(file, key, describe(loaded))


def _keep(file: Path, key: str, made: Catalogue) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"key": key, **asdict(made)})


def catalogue_file() -> Path:
    """One catalogue for each Python environment."""
    return home() / f"catalogue-{hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]}.json"


def current_key() -> str:
    """What the catalogue depends on, found without importing any plugin.

    The names of everything installed count as well: a plugin that was set aside for want of a library loads once that
    library is there.
    """
    sources = installed()
    files = {file for source in sources for file in module_files(source)}
    files.update(Path(__file__).parent.glob("*.py"))
    return digest(
        {
            "version": __version__,
            "python": sys.version,
            "modules": [asdict(source) for source in sources],
            "files": {str(f): _digest(f) for f in files},
            "libraries": sorted({d.name for p in _library_folders() for d in p.glob("*-info")}),
        }
    )


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as problem:  # loading it will say so, unless it is a link that an editor left
        return str(problem)


def _library_folders() -> list[Path]:
    return [p for p in map(Path, sys.path) if p.name in ("site-packages", "dist-packages")]


def _kept(file: Path, key: str | None) -> Catalogue | None:
    """The catalogue that was kept for this key (None: for any), None when there is none that can be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if key is not None and content["key"] != key:
            return None
        plugins = [Plugin(**p) for p in content["plugins"]]
        return Catalogue(plugins, content["failures"], content["hooks"], content["notices"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _in_words(entry: Entry) -> Plugin:
    words = entry.words
    return Plugin(
        kind=entry.kind,
        name=entry.name,
        aliases=entry.aliases,
        summary=words.partition("\n\n")[0].replace("\n", " "),
        words=words,
        options=[_option(o) for o in entry.options],
        origin=entry.origin,
        citation=_citation(words),
        about=asdict(about) if isinstance(about := getattr(entry.factory, "about", None), About) else {},
        protocols=_protocols(entry),
    )


def _protocols(entry: Entry) -> list[dict[str, Any]]:
    from addp_bench.protocol_cards import listed
    from addp_bench.registry import REQUIRED

    if entry.kind != "task" or any(option.default is REQUIRED for option in entry.options):
        return []
    return listed(entry.factory())


def _option(option: Option) -> dict[str, Any]:
    from addp_bench.registry import REQUIRED

    required = option.default is REQUIRED
    return {
        "name": option.name,
        "type": option.type_name,
        "default": None if required else _plain(option.default),
        "required": required,
        "words": option.words,
    }


def _plain(value: Any) -> Any:
    """A default as JSON can hold it; anything else in Python's own words."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return repr(value)


def _citation(words: str) -> str:
    """What follows "Source:" in a docstring, else its first parenthesis that holds a year or names ADDP, else ""."""
    flat = " ".join(words.split())
    if said := _SOURCE.search(flat):
        return re.split(r"(?<=[a-z\d)])\.(?: |$)", flat[said.end() :])[0]
    return found.group()[1:-1] if (found := _CITED.search(flat)) else ""
