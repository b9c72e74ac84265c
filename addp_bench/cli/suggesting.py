"""What may stand at a place of the command line: for shells that complete words. Imports no plugin.

Names and options come from the catalogue as it was kept, even where something was installed since: whoever presses TAB
waits for nothing. `list` and every command that loads plugins bring it up to date.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from addp_bench import catalogue
from addp_bench.spec import KINDS, tidy

PART = "part"  # the type of a suggestion that is no whole word: no space follows it

Suggest = Callable[[click.Context, str], Iterable[CompletionItem[str]]]


class Suggested(click.ParamType):
    """The type of an option or argument, with suggestions of its own."""

    def __init__(self, real: click.ParamType, suggest: Suggest) -> None:
        self.real, self.suggest, self.name = real, suggest, real.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.real.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [item for item in self.suggest(ctx, incomplete) if item.value.startswith(incomplete)]


def attach(command: click.Command) -> None:
    """Give the parameters of a command, and of its members, what can be suggested for them."""
    for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        for parameter in one.params:
            if (suggest := _of(one, parameter)) is not None:
                parameter.type = Suggested(parameter.type, suggest)


def _of(command: click.Command, parameter: click.Parameter) -> Suggest | None:
    name = parameter.name or ""
    if isinstance(parameter, click.Argument):
        return _ARGUMENTS.get((command.name or "", name)) or _ARGUMENTS.get(("", name))
    if name in ("corruption", "transform", "train"):
        return _joined({"train": "task"}.get(name, name))
    if name in KINDS:
        return _choices(name)
    return _OPTIONS.get(name)


# ------------------------------------------------------------------------------------------------- of plugins


@cache
def _plugins() -> tuple[catalogue.Plugin, ...]:
    kept = catalogue.kept()
    return tuple(kept.plugins) if kept else ()


def _choices(kind: str) -> Suggest:
    return lambda context, word: _choice(kind, word)


def _choice(kind: str, word: str) -> Iterator[CompletionItem[str]]:
    """`per` -> perception_stats; `perception_stats:gro` -> ...:groups=; `uniform:scaling=` -> its values."""
    head, colon, last = word.rpartition(":")
    met = {name: plugin for plugin in _plugins() if plugin.kind == kind for name in (plugin.name, *plugin.aliases)}
    if not colon:
        for name, plugin in met.items():
            yield CompletionItem(name, help=plugin.summary)
        return
    name, *given = head.split(":")
    chosen = met.get(tidy(name))
    options = {option["name"]: option for option in chosen.options} if chosen else {}
    option, equals, value = last.partition("=")
    if equals:
        yield from _values(options.get(option, {}), f"{head}:{option}=", value)
        return
    for option, said in options.items():
        if not any(pair.startswith(f"{option}=") for pair in given):
            yield CompletionItem(f"{head}:{option}=", PART, help=said["words"])


def _values(option: Mapping[str, Any], before: str, value: str) -> Iterator[CompletionItem[str]]:
    """The values of an option that has but a few, the files and folders of one that is a place, else its default."""
    if " or " in option.get("type", ""):
        values = option["type"].split(" or ")
    elif option.get("type") == "bool":
        values = ["true", "false"]
    elif option.get("name") in ("path", "from", "file"):
        yield from _places(before, value)
        return
    else:
        values = [str(option["default"])] if option.get("default") not in (None, "") else []
    for one in values:
        yield CompletionItem(f"{before}{one}", help="default" if one == str(option["default"]) else None)


def _places(before: str, written: str) -> Iterator[CompletionItem[str]]:
    folder, _, start = written.rpartition("/")
    there = Path(f"{folder}/" if folder or written.startswith("/") else ".").expanduser()
    shown = written[: len(written) - len(start)]
    try:
        for place in sorted(there.iterdir()):
            if start or not place.name.startswith("."):
                inside = place.is_dir()
                yield CompletionItem(f"{before}{shown}{place.name}{'/' * inside}", PART if inside else "plain")
    except OSError:  # no folder of that name, or a closed one
        return


def _joined(kind: str) -> Suggest:
    """`color+loc` -> color+location: several of a kind in one word."""

    def suggest(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
        before, plus, last = word.rpartition("+")
        for item in _choice(kind, last):
            yield CompletionItem(f"{before}{plus}{item.value}", item.type, item.help)

    return suggest


def _named(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    """NAME of `show`, after KIND."""
    kind = tidy(str(context.params.get("kind") or ""))
    return _protocols(context, word) if kind == "protocol" else _choice(kind, word)


def _checked(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    """NAME of `check`, after WHAT."""
    what = str(context.params.get("what") or "")
    if what == "plugin":
        return _conditions(context, word)
    return _choice({"data": "dataset"}.get(what, what), word)


def _conditions(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    """`weights=per` -> weights=perception_stats; several are joined by commas."""
    field, equals, values = word.partition("=")
    if not equals:
        yield from (CompletionItem(f"{kind}=", PART) for kind in KINDS)
        return
    before, comma, last = values.rpartition(",")
    for item in _choice(field, last):
        yield CompletionItem(f"{field}={before}{comma}{item.value}", item.type, item.help)


def _protocols(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    found = {p["name"]: f"of task {plugin.name}" for plugin in _plugins() for p in plugin.protocols}
    return (CompletionItem(name, help=said) for name, said in found.items())


def _modules(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    """What --no-plugin takes: entry points and distributions."""
    from addp_bench.installed import installed

    sources = installed()
    yield from (CompletionItem(name) for name in dict.fromkeys(source.distribution for source in sources))
    yield from (CompletionItem(source.name, help=source.module) for source in sources)


# ------------------------------------------------------------------------------------------------- of the rest


def _kinds(*others: str) -> Suggest:
    return lambda context, word: (CompletionItem(kind) for kind in (*KINDS, *others))


def _cells(context: click.Context, word: str) -> Iterator[CompletionItem[str]]:
    """Cells in the runs folder, by the names of their records alone; the newest first."""
    runs = Path(context.params.get("runs") or "runs")
    try:
        with os.scandir(runs / "records") as found:
            folders = sorted((f for f in found if f.is_dir()), key=lambda f: -f.stat().st_mtime)
    except OSError:  # nothing was run there yet
        return
    for folder in folders:
        yield CompletionItem(folder.name)


def _words(*words: str) -> Suggest:
    return lambda context, word: (CompletionItem(one) for one in words)


_ARGUMENTS: Mapping[tuple[str, str], Suggest] = {
    ("list", "kind"): _kinds("protocol"),
    ("show", "kind"): _kinds("protocol"),
    ("show", "name"): _named,
    ("check", "name"): _checked,
    ("", "kind"): _kinds(),
    ("", "cell"): _cells,
    ("compare", "sides"): lambda context, word: [*_cells(context, word), *_conditions(context, word)],
    **{(member, "name"): _choices("dataset") for member in ("license", "verify", "adopt")},
}
_OPTIONS: Mapping[str, Suggest] = {
    "budget": _words("quick", "standard", "paper"),
    "cell": _cells,
    "codec": _choices("model"),
    "factor": _kinds(),
    "no_plugin": _modules,
    "protocol": _protocols,
    "read_at": _words("final", "best_on_stats"),
    "reference": _conditions,
    "split": _words("train", "stats", "val", "test"),
    "track": _choices("tracker"),
    "tune_on": _words("stats"),
    "where": _conditions,
}
