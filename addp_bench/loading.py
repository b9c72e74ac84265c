"""From entry points and files to a filled registry. A module that fails is set aside whole, with its reason."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import logging
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from addp_bench import api, remedies
from addp_bench.announcing import announce, manager
from addp_bench.errors import BadPlugin, PluginDeprecation, PluginNotice, unknown
from addp_bench.installed import GROUP, Source, installed, source_text
from addp_bench.registry import Entry, Registry
from addp_bench.spec import tidy

SLOW = 5.0  # seconds after which it is said which module is being imported


@dataclass(frozen=True)
class Loaded:
    """What could be loaded. failures: module -> why it was set aside, and what mends it ("addp_weights of addp-bench
    0.1.0": "..."). notices: module -> what its author should change, though it works.
    """

    registry: Registry
    hooks: pluggy.PluginManager
    failures: dict[str, str]
    notices: dict[str, list[str]]


def load(plugin_files: Sequence[Path | str] = (), blocked: Sequence[str] = (), strict: bool = False) -> Loaded:
    """Import and register every plugin module.

    plugin_files: Python files loaded after the installed ones. blocked: names of entry points or of distributions that
    are not loaded. strict: a module that fails raises BadPlugin instead of being set aside.

    Warns with PluginNotice of what an author should change: in their tests, as Python shows it nowhere else. Raises
    UnknownName for a blocked name that nothing has, BadPlugin for a plugin file that does not exist or is none.
    """
    files = [Source(str(_existing(Path(f)))) for f in plugin_files]
    loaded = Loaded(Registry(), manager(), {}, {})
    loaded.registry.failures = loaded.failures
    sources = [*_allowed(installed(), blocked), *dict.fromkeys(files)]
    _require_torch(sources)
    taken: dict[str, Source] = {}
    for source in sources:
        try:
            if (first := taken.setdefault(source.name, source)) is not source:
                raise BadPlugin(
                    f"the entry point {source.name!r} of {source.origin} is taken by {first.origin}; rename one of "
                    f"them, or leave one distribution out: --no-plugin {source.distribution}."
                )
            _load_one(source, loaded)
        except BadPlugin as broken:
            why = f"{broken}{'' if '--no-plugin' in str(broken) else remedies.way_out(source)}"
            if strict:
                raise BadPlugin(f"{source}: {why}") from broken
            loaded.failures[str(source)] = why
    return loaded


def source_files(start: Path) -> tuple[Path, ...]:
    """A source file and those of its own package that it imports relatively, however indirectly; sorted."""
    found: set[Path] = set()
    waiting = [start.resolve()]
    while waiting:
        if (file := waiting.pop()) not in found:
            found.add(file)
            waiting += _siblings(file)
    return tuple(sorted(found))


def _require_torch(sources: Sequence[Source]) -> None:
    """Raises BadPlugin where torch cannot be imported: then nothing can, and each module would be blamed for it."""
    try:
        import torch  # noqa: F401
    except Exception as broken:
        damaged = "".join(f" {source}: {source.problem}" for source in sources if source.problem)
        raise BadPlugin(
            f"torch cannot be imported, and no plugin without it: {type(broken).__name__}: {broken}.{damaged}"
        ) from broken


def _existing(file: Path) -> Path:
    if file.is_dir():
        raise BadPlugin(f"{file} is a folder; --plugin takes a Python file, and a package is installed with pip")
    if not file.is_file():
        raise BadPlugin(f"there is no plugin file {file}; --plugin takes the path of a Python file")
    if file.suffix != ".py":
        raise BadPlugin(f"{file} is not a Python file (its name must end in .py)")
    return file.resolve()


def _allowed(sources: list[Source], blocked: Iterable[str]) -> list[Source]:
    refused = {tidy(name): name for name in blocked}
    known = {tidy(name): name for s in sources for name in (s.name, s.distribution)}
    for name, given in refused.items():
        if name not in known:
            raise unknown("installed plugin module or distribution", given, known.values())
    return [s for s in sources if not {tidy(s.name), tidy(s.distribution)} & refused.keys()]


def _load_one(source: Source, loaded: Loaded) -> None:
    """Import, validate and register one module; on BadPlugin nothing of it is left behind."""
    from addp_bench import surroundings  # it needs torch, which is not needed to ask for the files of a source

    if source.problem:
        raise BadPlugin(source.problem)
    api.require(api.asked_in(source_text(source)))
    registry = loaded.registry
    before = {(e.kind, e.name) for e in registry.entries()}
    registry.origin = source.origin
    try:
        with surroundings.kept() as changed, _impatience(source):
            plugin = _import(source)
            api.require(getattr(plugin, api.NAME, None))
            if (other := loaded.hooks.get_name(plugin)) is not None:
                raise BadPlugin(f"its module is the one of {other}, which is loaded already; announce it once.")
            old = _announced(plugin, source, registry)
            mine = [e for e in registry.entries() if (e.kind, e.name) not in before]
            for entry in mine:
                entry.require()  # what cannot be built or read would fail later, in the middle of a request
    except BadPlugin:
        registry.withdraw(e for e in registry.entries() if (e.kind, e.name) not in before)
        raise
    finally:
        registry.origin = ""
    registry.modules[str(source)] = source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginDeprecation)  # said below, once
        loaded.hooks.register(plugin, name=str(source))
    _tell(source, plugin, mine, old, changed, loaded)


def _tell(
    source: Source, plugin: Any, mine: Sequence[Entry], old: Sequence[str], changed: Sequence[str], loaded: Loaded
) -> None:
    """Tell the author of a module that works what to change in it."""
    doubts = [source.doubt] if source.doubt else []
    doubts += [f"importing it changes {what} for everyone; it was put back" for what in changed]
    old = [*old, *(f"{e.name}: {one}" for e in mine if inspect.isclass(e.factory) for one in e.deprecated)]
    if words := [*doubts, *old]:
        loaded.notices[str(source)] = words
    file = getattr(plugin, "__file__", None) or str(source)
    for said, category in [*((one, PluginNotice) for one in doubts), *((one, PluginDeprecation) for one in old)]:
        warnings.warn_explicit(f"{source}: {said}", category, file, 1)


@contextlib.contextmanager
def _impatience(source: Source) -> Iterator[None]:
    """Say which module is being imported when it takes long: nothing else is to be seen meanwhile."""

    def say() -> None:
        logging.getLogger(__name__).warning(
            "still importing %s after %g s.%s", source, SLOW, remedies.way_out(source) or " It was given with --plugin."
        )

    timer = threading.Timer(SLOW, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _import(source: Source) -> Any:
    try:
        if source.module:
            return importlib.metadata.EntryPoint(source.name, source.module, GROUP).load()
        return _import_file(Path(source.name))
    except KeyboardInterrupt:
        raise
    except BaseException as broken:  # whatever an author's module raises is a failure of that module alone
        raise BadPlugin(remedies.importing(broken, source)) from broken


def _announced(plugin: Any, source: Source, registry: Registry) -> list[str]:
    try:
        return announce(plugin, registry)
    except (BadPlugin, KeyboardInterrupt):
        raise
    except BaseException as broken:  # as above
        raise BadPlugin(remedies.registering(broken, source)) from broken


def _import_file(file: Path) -> Any:
    name = f"addp_bench_file_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # its name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _siblings(file: Path) -> list[Path]:
    """Files that `file` imports relatively."""
    found: list[Path] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = file.parents[node.level - 1]
            base = folder.joinpath(*node.module.split(".")) if node.module else folder
            for place in (base, *(base / alias.name for alias in node.names)):
                found += [f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()]
    return [f.resolve() for f in found]
