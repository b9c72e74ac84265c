"""One mmengine Registry per kind of plugin, and what can be asked of them: names, options, origin.

Names are lower-case identifiers; look-up forgives case, `-` and `_`. Options are the parameters of a plugin's
constructor: their types are its annotations, their words are the lines `name: text` of its docstring.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pydantic
from mmengine.registry import Registry as MMRegistry

from addp_bench import adopted
from addp_bench.errors import BadOption, BadPlugin, BenchError, unknown
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

    @cached_property
    def adapter(self) -> pydantic.TypeAdapter[Any]:
        """What reads a value of its declared type; made once, because making it takes long."""
        return pydantic.TypeAdapter(self.annotation)

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
    """A registered plugin: its factory, and where it came from ("addp-bench 0.1.0", or a file)."""

    kind: str
    name: str
    factory: Any  # a class, or a function that builds one
    aliases: tuple[str, ...]
    origin: str

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Options in the order of the constructor; a trailing underscore (`from_`) is not part of an option's name."""
        words = option_words(inspect.getdoc(self.factory) or "")
        try:
            hints = typing.get_type_hints(_constructor(self.factory), include_extras=True)
        except (
            Exception
        ) as broken:  # an annotation that cannot be evaluated is the author's mistake, whatever its class
            raise BadPlugin(f"{self.kind} {self.name}: cannot read its annotations: {broken}") from broken
        found = []
        for p in inspect.signature(self.factory).parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise BadPlugin(f"{self.kind} {self.name}: options must be named one by one, not taken as {p}")
            name = p.name.rstrip("_")
            found.append(Option(name, hints.get(p.name, Any), p.default, words.get(name, "")))
        return tuple(found)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Option -> the parameter of the constructor that takes it."""
        return {p.rstrip("_"): p for p in inspect.signature(self.factory).parameters}

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
        self.failures: dict[str, str] = {}  # plugin module -> why it was set aside

    def add(self, kind: str, name: str, factory: Callable[..., Any], aliases: tuple[str, ...] = ()) -> None:
        """Register `factory` (a class, or a function that builds one) as `name`.

        Raises BadPlugin: unknown kind, a name that is no lower-case identifier, a name that is taken (saying by
        whom), something that cannot build.
        """
        if kind not in KINDS:
            raise BadPlugin(
                f"{self.origin or 'a plugin'} registers {name!r} as a {kind!r}; kinds are {', '.join(KINDS)}"
            )
        if not inspect.isclass(factory) and not inspect.isfunction(factory):
            raise BadPlugin(f"{kind} {name}: a factory is a class or a function, met {type(factory).__name__}")
        for given in (name, *aliases):
            if not _NAME.fullmatch(given):
                raise BadPlugin(f"{kind} {given!r}: a name is a lower-case identifier (letters, digits and _)")
            if (taken := self._find(kind, given)) is not None:
                raise BadPlugin(f"{kind} {given!r} of {self.origin or 'a plugin'} is taken by {taken.origin}")
        entry = Entry(kind, name, factory, tuple(aliases), self.origin)
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
            failed = "; ".join(f"{module}: {why}" for module, why in self.failures.items())
            known = [*self.names(kind), *(alias for k, alias in self._aliases if k == kind)]
            raise unknown(kind, name, known, f"Set aside at loading: {failed}." if failed else "")
        return entry

    def resolve(self, kind: str, choice: Choice) -> Choice:
        """The same choice with its proper name, every default filled in and every value of its declared type.

        The `path` of a dataset that needs one is where it was adopted (`addp_bench.adopted`).

        Raises UnknownName (plugin or option) and BadOption (a value of the wrong type, a required option missing).
        """
        entry = self.get(kind, choice.name)
        options = {o.name: o for o in entry.options}
        for given in choice.options:
            if given not in options:
                raise unknown(f"option of {kind} {entry.name}", given, options)
        filled: dict[str, Any] = {}
        for name, option in options.items():
            value = choice.options.get(name, option.default)
            adoptable = value is REQUIRED and (kind, name) == ("dataset", "path")
            if adoptable:
                value = adopted.places().get(entry.name, REQUIRED)
            if value is REQUIRED:
                once = f" `addp-bench data adopt {entry.name} PATH` remembers it." if adoptable else ""
                raise BadOption(f"{kind} {entry.name} needs {name}=... ({option.type_name}): {option.words}{once}")
            filled[name] = value if name not in choice.options else _typed(entry, option, value)
        return Choice(entry.name, filled)

    def build(self, kind: str, choice: Choice | str) -> Any:
        """Build the plugin of a choice. ValueError from its constructor becomes BadOption."""
        if isinstance(choice, str):
            choice = Choice.parse(choice)
        resolved = self.resolve(kind, choice)
        entry = self.get(kind, resolved.name)
        arguments: Mapping[str, Any] = {entry.parameters[k]: v for k, v in resolved.options.items()}
        try:
            return entry.factory(**arguments)
        except BenchError:
            raise
        except ValueError as refused:
            raise BadOption(f"{kind} {entry.name}: {refused}") from refused

    def _find(self, kind: str, name: str) -> Entry | None:
        return self._entries.get((kind, self._aliases.get((kind, name), name)))


def _constructor(factory: Callable[..., Any]) -> Callable[..., Any]:
    return factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]  # reads annotations only


def _typed(entry: Entry, option: Option, value: Any) -> Any:
    if option.annotation is Any:
        return value
    try:
        read = option.adapter.validate_python(value)
    except pydantic.ValidationError as wrong:
        expected = option.type_name
        if " or " in expected:
            raise BadOption(
                f"{entry.kind} {entry.name}: option {option.name}={value!r} is none of "
                f"{expected.replace(' or ', ', ')}."
            ) from wrong
        why, article = wrong.errors()[0]["msg"], "an" if expected[0] in "aeio" else "a"
        raise BadOption(
            f"{entry.kind} {entry.name}: option {option.name}={value!r} is not {article} {expected}: {why}."
        ) from wrong
    if isinstance(read, float) and not math.isfinite(read):
        raise BadOption(f"{entry.kind} {entry.name}: option {option.name} is a finite number, got {value!r}.")
    return read
