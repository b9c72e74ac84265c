"""One mmengine Registry per kind of plugin, and what can be asked of them: names, options, origin.

Names are lower-case identifiers; look-up forgives case, `-` and `_`. Options are the parameters of a plugin's
constructor: their types are its annotations, their words are the lines `name: text` of its docstring.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import traceback
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pydantic
from mmengine.registry import Registry as MMRegistry

from addp_bench import adopted, api
from addp_bench.errors import BadOption, BadPlugin, BenchError, PluginDeprecation, nearest, set_aside, unknown
from addp_bench.installed import Source
from addp_bench.spec import KINDS, Choice, tidy

_NAME = re.compile(r"[a-z][a-z0-9_]*")
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One option of a plugin. default: REQUIRED when it has none. words: from the docstring, "" if not said."""

    name: str
    annotation: Any
    default: Any
    words: str

    @property
    def type_name(self) -> str:
        """The annotation as a person writes it: `float`, `str | None`."""
        a = self.annotation
        if typing.get_origin(a) is typing.Annotated:
            a = typing.get_args(a)[0]
        if typing.get_origin(a) is typing.Literal:
            return " or ".join(str(value) for value in typing.get_args(a))
        return a.__name__ if isinstance(a, type) else str(a).replace("typing.", "")


@dataclass(frozen=True)
class Entry:
    """A registered plugin: its factory, and where it came from ("addp-bench 0.1.0", or a file).

    deprecated: what of its class a later version of the API will no longer serve, in words for its author.
    """

    kind: str
    name: str
    factory: Any  # a class, or a function that builds one
    aliases: tuple[str, ...]
    origin: str
    deprecated: tuple[str, ...] = ()

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Options in the order of the constructor; a trailing underscore (`from_`) is not part of an option's name."""
        words = option_words(inspect.getdoc(self.factory) or "")
        try:
            hints = typing.get_type_hints(_constructor(self.factory), include_extras=True)
        except (
            Exception
        ) as broken:  # an annotation that cannot be evaluated is the author's mistake, whatever its class
            raise BadPlugin(
                f"{self.kind} {self.name}: cannot read its annotations: {broken}. They must exist at run time."
            ) from broken
        try:
            parameters = inspect.signature(self.factory).parameters.values()
        except (TypeError, ValueError) as broken:
            raise BadPlugin(f"{self.kind} {self.name}: the options of {self.factory!r} cannot be read.") from broken
        found = []
        for p in parameters:
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
                raise BadPlugin(f"{self.kind} {self.name}: options must be named one by one, not taken as {p}.")
            name = p.name.rstrip("_")
            found.append(Option(name, hints.get(p.name, Any), p.default, words.get(name, "")))
        return tuple(found)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Option -> the parameter of the constructor that takes it."""
        return {p.rstrip("_"): p for p in inspect.signature(self.factory).parameters}

    def require(self) -> None:
        """Raises BadPlugin for a factory that nobody could build, and for options that nobody could give."""
        if missing := sorted(getattr(self.factory, "__abstractmethods__", ())):
            raise BadPlugin(f"{self.kind} {self.name}: its class is abstract; it lacks {', '.join(missing)}.")
        for option in self.options:
            if not _NAME.fullmatch(option.name):
                raise BadPlugin(
                    f"{self.kind} {self.name}: option {option.name!r} cannot be given; a name is a lower-case "
                    "identifier."
                )
            try:
                _reader(option.annotation)
            except Exception as refused:  # pydantic's, or what an annotation of the author's own raises
                raise BadPlugin(
                    f"{self.kind} {self.name}: no text can be read as option {option.name}, which is a "
                    f"{option.type_name}. Annotate it with what a person writes: int, float, str, bool, Literal[...]."
                ) from refused

    @cached_property
    def source(self) -> Path | None:
        """The file that defines the factory, None where there is none (an interactive session)."""
        file = inspect.getsourcefile(inspect.unwrap(self.factory))
        return Path(file) if file else None

    @property
    def words(self) -> str:
        """The docstring, dedented."""
        return inspect.getdoc(self.factory) or ""


def option_words(docstring: str) -> dict[str, str]:
    """The lines `name: text` of a docstring, continued by the lines that follow; several may share a line."""
    found: dict[str, str] = {}
    for paragraph in docstring.split("\n\n"):
        flat = " ".join(line.strip() for line in paragraph.splitlines())
        # a name starts the paragraph or follows a full stop: `gamma: ... positive. form: ...`
        pieces = re.split(r"(?:^|(?<=[.;]) )([a-z][a-z0-9_]*): ", flat)
        for name, text in zip(pieces[1::2], pieces[2::2]):
            found.setdefault(name, text.strip())
    return found


class Registry:
    """Every plugin that was registered, by kind and name."""

    def __init__(self) -> None:
        self._kinds = {kind: MMRegistry(kind, scope="addp_bench") for kind in KINDS}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self.origin = ""  # set by the loader while a plugin registers
        self.modules: dict[str, Source] = {}  # those that were loaded, as the loader calls them
        self.failures: dict[str, str] = {}  # plugin module -> why it was set aside

    def add(self, kind: str, name: str, factory: Callable[..., Any], aliases: tuple[str, ...] = ()) -> None:
        """Register `factory` (a class, or a function that builds one) as `name`.

        Raises BadPlugin: unknown kind, a name that is no lower-case identifier, a name that is taken (saying by
        whom), something that cannot build.
        """
        who = self.origin or "a plugin"
        if kind not in KINDS:
            near = nearest(str(kind), KINDS)
            raise BadPlugin(f"{who} registers {name!r} as a {kind!r}.{near} Kinds are {', '.join(KINDS)}.")
        if not inspect.isclass(factory) and not inspect.isfunction(factory):
            raise BadPlugin(f"{kind} {name}: a factory is a class or a function, met {type(factory).__name__}.")
        if isinstance(aliases, str):
            raise BadPlugin(f"{kind} {name}: aliases are a tuple of names, met {aliases!r}; write ({aliases!r},).")
        for given in (name, *aliases):
            if not isinstance(given, str) or not _NAME.fullmatch(given):
                raise BadPlugin(f"{kind} {given!r}: a name is a lower-case identifier (letters, digits and _).")
            if (taken := self._find(kind, given)) is not None:
                raise BadPlugin(f"{kind} {given!r} {self._taken(taken, who, factory)}.")
        old = tuple(map(str, api.adapt(kind, factory))) if inspect.isclass(factory) else ()
        entry = Entry(kind, name, factory, tuple(aliases), self.origin, old)
        self._kinds[kind].register_module(name=name, module=factory)
        self._entries[kind, name] = entry
        self._aliases.update({(kind, alias): name for alias in aliases})

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Take back these entries (the module that registered them failed half-way)."""
        for entry in entries:
            del self._entries[entry.kind, entry.name]
            del self._kinds[entry.kind].module_dict[entry.name]
            for alias in entry.aliases:
                del self._aliases[entry.kind, alias]

    def names(self, kind: str) -> list[str]:
        """Names of a kind, sorted, without aliases."""
        return sorted(name for k, name in self._entries if k == kind)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Entries of a kind (of all kinds), in the order of KINDS and names."""
        order = {k: i for i, k in enumerate(KINDS)}
        found = [e for (k, _), e in self._entries.items() if kind in (None, k)]
        return sorted(found, key=lambda e: (order[e.kind], e.name))

    def get(self, kind: str, name: str) -> Entry:
        """The entry called `name` or known by that alias.

        Raises UnknownName, with the nearest name and what failed to load.
        """
        if kind not in KINDS:
            raise unknown("kind of plugin", kind, KINDS)
        entry = self._find(kind, tidy(name))
        if entry is None:
            known = [*self.names(kind), *(alias for k, alias in self._aliases if k == kind)]
            others = [f"--{k} {tidy(name)}" for k in KINDS if self._find(k, tidy(name))]
            elsewhere = [f"There is {' and '.join(others)}."] if others else []
            raise unknown(kind, name, known, " ".join([*elsewhere, set_aside(self.failures)]).strip())
        return entry

    def resolve(self, kind: str, choice: Choice) -> Choice:
        """The same choice with its proper name, every default filled in and every value of its declared type.

        The `path` of a dataset that needs one is where it was adopted (`addp_bench.adopted`).

        Raises UnknownName (plugin or option) and BadOption (a value of the wrong type, a required option missing).
        """
        entry = self.get(kind, choice.name)
        options = {o.name: o for o in entry.options}
        problems: list[BenchError] = [
            unknown(f"option of {kind} {entry.name}", given, options)
            for given in choice.options
            if given not in options
        ]
        filled: dict[str, Any] = {}
        for name, option in options.items():
            try:
                filled[name] = self._value(entry, option, choice)
            except BadOption as wrong:
                problems.append(wrong)
        if len(problems) > 1:
            raise BadOption(" ".join(map(str, problems)))
        if problems:
            raise problems[0]
        return Choice(entry.name, filled)

    def mistakes(self, kind: str, texts: Iterable[str]) -> list[str]:
        """What is wrong with these choices, in words."""
        found = []
        for text in texts:
            try:
                self.resolve(kind, Choice.parse(text))
            except BenchError as wrong:
                found.append(str(wrong))
        return found

    def build(self, kind: str, choice: Choice | str) -> Any:
        """Build the plugin of a choice.

        ValueError from its constructor becomes BadOption; what else it raises is BadPlugin, and names the plugin.
        """
        if isinstance(choice, str):
            choice = Choice.parse(choice)
        resolved = self.resolve(kind, choice)
        entry = self.get(kind, resolved.name)
        arguments: Mapping[str, Any] = {entry.parameters[k]: v for k, v in resolved.options.items()}
        try:
            plugin = entry.factory(**arguments)
        except (BenchError, OSError):  # the latter is for a place, and says which
            raise
        except ValueError as refused:
            raise BadOption(f"{kind} {entry.name}: {refused}") from refused
        except Exception as broken:
            frame = traceback.extract_tb(broken.__traceback__)[-1]
            raise BadPlugin(
                f"{kind} {entry.name} of {entry.origin} cannot be built: {type(broken).__name__}: {broken} "
                f"({frame.filename}, line {frame.lineno}). Its constructor refuses options with ValueError alone"
            ) from broken
        if not inspect.isclass(entry.factory):
            for old in api.adapt(kind, plugin):
                warnings.warn(f"{entry.name}: {old}", PluginDeprecation, stacklevel=2)
        return plugin

    def _taken(self, taken: Entry, who: str, factory: Any) -> str:
        """Why a name cannot be had: its registrant, or another, or the same file by another road, has it."""
        if taken.origin == self.origin != "":
            return f"is registered twice by {who}; every name and alias is its plugin's own"
        said = f"of {who} is taken by {taken.origin}"
        file = inspect.getsourcefile(factory)
        if file and taken.source and Path(file).resolve() == taken.source.resolve():
            return f"{said}, which is the same file installed; leave out --plugin"
        return f"{said}. Call yours by another name"

    def _value(self, entry: Entry, option: Option, choice: Choice) -> Any:
        """The value of one option: as given, else its default. Raises BadOption."""
        if option.name in choice.options:
            return _typed(entry, option, choice.options[option.name])
        value = option.default
        adoptable = value is REQUIRED and (entry.kind, option.name) == ("dataset", "path")
        if adoptable:
            value = adopted.places().get(entry.name, REQUIRED)
        if value is REQUIRED:
            once = f" `addp-bench data adopt {entry.name} PATH` remembers it." if adoptable else ""
            raise BadOption(
                f"{entry.kind} {entry.name} needs {option.name}=... ({option.type_name}): {option.words}{once}"
            )
        return value

    def _find(self, kind: str, name: str) -> Entry | None:
        return self._entries.get((kind, self._aliases.get((kind, name), name)))


def _constructor(factory: Callable[..., Any]) -> Callable[..., Any]:
    return factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]  # reads annotations only


def _reader(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return _made_once(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return pydantic.TypeAdapter(annotation)


@functools.cache
def _made_once(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation)


def _typed(entry: Entry, option: Option, value: Any) -> Any:
    if option.annotation is Any:
        return value
    if typing.get_origin(option.annotation) is typing.Literal and isinstance(value, str):  # which may list numbers
        value = next((one for one in typing.get_args(option.annotation) if str(one) == value), value)
    try:
        read = _reader(option.annotation).validate_python(value)
    except pydantic.ValidationError as wrong:
        expected = option.type_name
        if " or " in expected:
            near = nearest(str(value), expected.split(" or "))
            raise BadOption(
                f"{entry.kind} {entry.name}: option {option.name}={value!r} is none of "
                f"{expected.replace(' or ', ', ')}.{near}"
            ) from wrong
        why, article = wrong.errors()[0]["msg"], "an" if expected[0] in "aeio" else "a"
        raise BadOption(
            f"{entry.kind} {entry.name}: option {option.name}={value!r} is not {article} {expected}: {why}."
        ) from wrong
    if isinstance(read, float) and not math.isfinite(read):
        raise BadOption(f"{entry.kind} {entry.name}: option {option.name} is a finite number, got {value!r}.")
    return read
