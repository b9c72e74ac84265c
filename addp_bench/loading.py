"""From entry points and files to a filled registry. A module that fails is set aside whole, with its reason."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from addp_bench import hookspecs
from addp_bench.errors import BadPlugin, unknown
from addp_bench.installed import GROUP, Source, installed
from addp_bench.registry import Registry
from addp_bench.spec import tidy


@dataclass(frozen=True)
class Loaded:
    """What could be loaded. failures: module -> why it was set aside ("addp_weights of addp-bench 0.1.0": "...")."""

    registry: Registry
    hooks: pluggy.PluginManager
    failures: dict[str, str]


def load(plugin_files: Sequence[Path | str] = (), blocked: Sequence[str] = (), strict: bool = False) -> Loaded:
    """Import and register every plugin module.

    plugin_files: Python files loaded after the installed ones. blocked: names of entry points or of distributions that
    are not loaded. strict: a module that fails raises BadPlugin instead of being set aside.

    Raises UnknownName for a blocked name that nothing has, BadPlugin for a plugin file that does not exist.
    """
    files = [Source(str(_existing(Path(f)))) for f in plugin_files]
    loaded = Loaded(Registry(), _manager(), {})
    loaded.registry.failures = loaded.failures
    taken: dict[str, Source] = {}
    for source in [*_allowed(installed(), blocked), *dict.fromkeys(files)]:
        try:
            if (first := taken.setdefault(source.name, source)) is not source:
                raise BadPlugin(
                    f"the entry point {source.name!r} of {source.origin} is taken by {first.origin};"
                    f" rename one of them, or block one distribution with --no-plugin"
                )
            _load_one(source, loaded)
        except BadPlugin as broken:
            if strict:
                raise BadPlugin(f"{source}: {broken}") from broken
            loaded.failures[str(source)] = str(broken)
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


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise BadPlugin(f"there is no plugin file {file}; --plugin takes the path of a Python file")
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
    registry = loaded.registry
    plugin = _import(source)
    before = set(registry.entries())
    registry.origin = source.origin
    try:
        _announce(plugin, registry)
        for entry in registry.entries():
            if entry not in before:
                _ = entry.options  # options that cannot be read would fail later, in the middle of a request
    except BadPlugin:
        registry.withdraw(e for e in registry.entries() if e not in before)
        raise
    finally:
        registry.origin = ""
    loaded.hooks.register(plugin, name=str(source))


def _import(source: Source) -> Any:
    try:
        if source.module:
            return importlib.metadata.EntryPoint(source.name, source.module, GROUP).load()
        return _import_file(Path(source.name))
    except (Exception, SystemExit) as broken:  # whatever an author's module raises is a failure of that module alone
        raise BadPlugin(f"importing it failed: {type(broken).__name__}: {broken}") from broken


def _import_file(file: Path) -> Any:
    name = f"addp_bench_file_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BadPlugin(f"{file.name} is not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _announce(plugin: Any, registry: Registry) -> None:
    """Validate the hooks of one module and let it register, in a manager of its own."""
    _check_hooks(plugin)
    alone = _manager()
    try:
        alone.register(plugin)
        alone.check_pending()
    except pluggy.PluginValidationError as wrong:
        raise BadPlugin(str(wrong)) from wrong
    try:
        alone.hook.addp_bench_register(registry=registry)
    except BadPlugin:
        raise
    except (Exception, SystemExit) as broken:
        raise BadPlugin(f"registering failed: {type(broken).__name__}: {broken}") from broken


def _check_hooks(plugin: Any) -> None:
    """Refuse hooks that pluggy would pass over in silence: misspelt ones and those without @hookimpl."""
    known = [name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")]
    offered = [name for name in dir(plugin) if name.startswith(f"{GROUP}_") and callable(getattr(plugin, name))]
    for name in offered:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise BadPlugin(f"it defines {name}, which is no hook.{hint} Hooks: {', '.join(known)}")
        if not hasattr(getattr(plugin, name), f"{GROUP}_impl"):
            raise BadPlugin(f"its {name} lacks the decorator: from addp_bench.hookspecs import hookimpl")
    if not offered:
        raise BadPlugin("it implements no hook; a plugin module ends with @hookimpl def addp_bench_register(registry)")


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
