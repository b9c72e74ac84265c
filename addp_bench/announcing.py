"""The hooks of one plugin module: held against their specifications, then called to register."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pluggy

from addp_bench import hookspecs
from addp_bench.errors import BadPlugin, PluginDeprecation
from addp_bench.installed import GROUP
from addp_bench.registry import Registry

_MARK = f"{GROUP}_impl"  # what @hookimpl leaves on a function


def manager() -> pluggy.PluginManager:
    """A manager that knows every hook."""
    made = pluggy.PluginManager(GROUP)
    made.add_hookspecs(hookspecs)
    return made


def announce(plugin: Any, registry: Registry) -> list[str]:
    """Validate the hooks of one module and let it register, in a manager of its own; which old hooks it implements.

    Raises BadPlugin, and whatever the module raises while it registers.
    """
    _check_hooks(plugin)
    alone = manager()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            alone.register(plugin)
            alone.check_pending()
        except pluggy.PluginValidationError as wrong:
            raise BadPlugin(" ".join(str(wrong).split())) from wrong
    alone.hook.addp_bench_register(registry=registry)
    return [str(one.message) for one in said if issubclass(one.category, PluginDeprecation)]


def _check_hooks(plugin: Any) -> None:
    """Refuse hooks that pluggy would pass over in silence: misspelt ones, those without @hookimpl, and so on."""
    known = [name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")]
    offered = False
    for name in dir(plugin):
        member = getattr(plugin, name)
        marked = getattr(member, _MARK, None) if inspect.isroutine(member) else None
        if marked is None and not (name.startswith(f"{GROUP}_") and callable(member)):
            continue
        offered = True
        hook = (marked or {}).get("specname") or name
        if hook not in known:
            near = difflib.get_close_matches(hook, known, n=1) or [k for k in known if k == f"{GROUP}_{hook}"]
            hint = f" Did you mean {near[0]}?" if near else ""
            raise BadPlugin(f"it defines {hook}, which is no hook.{hint} Hooks: {', '.join(known)}.")
        if marked is None:
            raise BadPlugin(
                f"its {name} lacks the decorator @hookimpl, so it would never be called: "
                "from addp_bench.hookspecs import hookimpl."
            )
        _check_call(hook, member, bool(marked.get("wrapper") or marked.get("hookwrapper")))
    if not offered:
        raise BadPlugin("it implements no hook; a plugin module ends with @hookimpl def addp_bench_register(registry).")


def _check_call(hook: str, member: Callable[..., Any], wraps: bool) -> None:
    """Whether the hook can be called as it will be: by the names of its arguments."""
    if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
        raise BadPlugin(f"its {hook} is async, and nothing awaits it: write def.")
    if inspect.isgeneratorfunction(member) and not wraps:
        raise BadPlugin(f"its {hook} yields, so its body would never run: return instead.")
    offers = list(inspect.signature(getattr(hookspecs, hook)).parameters)
    for asked in inspect.signature(member).parameters.values():
        if asked.kind in (asked.VAR_POSITIONAL, asked.VAR_KEYWORD):
            raise BadPlugin(f"its {hook} takes {asked}, which the hook never fills; it offers {', '.join(offers)}.")
        if asked.name not in offers:
            raise BadPlugin(f"its {hook} asks for {asked.name}, which is not offered; it offers {', '.join(offers)}.")
        if asked.default is not asked.empty:
            raise BadPlugin(
                f"its {hook} gives {asked.name} a default, and an argument with a default is never passed: "
                f"write {asked.name} alone."
            )
