"""The version of what plugins are written against, and what a later version will no longer serve.

MAJOR goes up when a plugin that works may stop working, MINOR when something is added. What goes is deprecated first:
it works until the MAJOR that `until` names, and the authors of plugins that use it are told.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from addp_bench import __version__, hookspecs
from addp_bench.errors import BadPlugin

NAME = "requires_api"
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True)
class Deprecated:
    """A member of a kind's contract that goes. A hook or an argument of one says so in its own specification.

    kind, member: such as "weights", "bind". since: the version of the API that says so. until: the first that no longer
    serves it. instead: the member that has taken its place, and is looked for; "" where nothing does. words: more for
    the author.
    """

    kind: str
    member: str
    since: str
    until: str
    instead: str = ""
    words: str = ""

    def __str__(self) -> str:
        way = f"call it {self.instead}" if self.instead else "leave it out"
        return (
            f"{self.kind}: the member {self.member} is deprecated since API {self.since} and goes with {self.until}; "
            f"{way}{'. ' + self.words if self.words else ''}"
        )


DEPRECATED: Sequence[Deprecated] = ()


def require(asked: Any) -> None:
    """Whether the API that a module requires is served here; None asks for nothing.

    Raises BadPlugin for what is no version, and for one that this program does not serve.
    """
    if asked is None:
        return
    met = _VERSION.fullmatch(asked) if isinstance(asked, str) else None
    if met is None:
        raise BadPlugin(
            f'{NAME} = {asked!r} is no version of the API; write MAJOR.MINOR as text, such as {NAME} = "{offered()}".'
        )
    wanted, here = (int(met[1]), int(met[2])), tuple(map(int, offered().split(".")))
    if wanted[0] == here[0] and wanted <= here:
        return
    way = "a newer addp-bench" if wanted > here else f"a version of the plugin for {here[0]}.x, or an older addp-bench"
    raise BadPlugin(f"it requires API {asked}; addp-bench {__version__} offers {offered()}. Install {way}.")


def offered() -> str:
    """The version of the API that is served here."""
    return hookspecs.API_VERSION


def asked_in(text: str) -> str | None:
    """What a module's source says it requires, read before it is imported; None where it says nothing in so many words.

    A module for another API may well fail to import, and this is the better reason.
    """
    if NAME not in text:
        return None
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):  # importing it will tell
        return None
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
                return node.value.value  # type: ignore[return-value]  # `require` says what is wrong with a number
    return None


def adapt(kind: str, plugin: Any) -> Iterator[Deprecated]:
    """Let a plugin (its class, or what a function built) be asked under today's names; yields what it is old in.

    Whoever has both names serves both versions, and is asked under the new one.
    """
    for old in DEPRECATED:
        if old.kind != kind or not _nearer(plugin, old.member, old.instead):
            continue
        if old.instead:
            member = inspect.getattr_static(plugin, old.member)
            if isinstance(plugin, type):
                setattr(plugin, old.instead, member)
            else:
                object.__setattr__(plugin, old.instead, getattr(plugin, old.member))
        yield old


def _nearer(plugin: Any, old: str, new: str) -> bool:
    """Whether the old name is defined nearer to the plugin than the new one: a subclass may know the old one alone."""

    def depth(name: str) -> float:
        if not isinstance(plugin, type) and name in getattr(plugin, "__dict__", {}):
            return -1
        classes = (plugin if isinstance(plugin, type) else type(plugin)).__mro__
        return next((i for i, cls in enumerate(classes) if name in vars(cls)), float("inf"))

    return depth(old) < depth(new)
