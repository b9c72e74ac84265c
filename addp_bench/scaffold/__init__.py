"""From a kind and a name to the files of a plugin that installs, keeps its contract and runs: `addp-bench new`.

Templates of code are code (`examples`, `by_hand`), in which `my_idea` and `MyIdea` are replaced; a linter and
a type checker read them as they are. The rest of a package is in `package`, as jinja2 has it.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from addp_bench import __version__
from addp_bench.errors import BadOption, unknown
from addp_bench.scaffold.guides import GUIDES, Guide
from addp_bench.spec import KINDS, tidy

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
LONGEST = 30  # characters of a name: lines of the templates have room for so many
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def kind_of(text: str) -> str:
    """A kind of plugin as it is spelt. Raises UnknownName, with the nearest."""
    if (kind := tidy(text)) not in KINDS:
        raise unknown("kind of plugin", text, KINDS)
    return kind


def name_of(text: str) -> str:
    """A name as it is registered: dashes become underscores. Raises BadOption for what is no lower-case identifier."""
    name = text.strip().replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        near = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_0123456789")[:LONGEST].strip("_")
        hint = f" Did you mean {near!r}?" if _NAME.fullmatch(near) else ""
        raise BadOption(
            f"{text!r} is no name for a plugin: a name is a lower-case identifier (letters, digits and single _ "
            f"between them) of at most {LONGEST} characters, such as my_idea.{hint}"
        )
    return name


def registers(kind: str) -> tuple[str, ...]:
    """The kinds under which the example of a kind registers its name."""
    return GUIDES[kind].registers or (kind,)


def distribution(name: str) -> str:
    """What pip calls the package, and the name of its folder: found by whoever looks for plugins of this bench."""
    return f"addp-bench-{name.replace('_', '-')}"


def module(name: str) -> str:
    """The module of the package, and its entry point: both are one name space for all that is installed."""
    return f"addp_bench_{name}"


def single_file(kind: str, name: str) -> str:
    """The plugin alone, to be loaded with `--plugin`."""
    return _code("examples", kind, name)


def package(kind: str, name: str) -> Mapping[str, str]:
    """The files of an installable package: path in its folder -> text."""
    return {
        "pyproject.toml": _words("pyproject.toml", kind, name),
        "README.md": _words("README.md", kind, name),
        f"{module(name)}.py": single_file(kind, name),
        f"tests/test_{name}.py": _code("by_hand", kind, name),
        "tests/test_contract.py": _words("test_contract.py", kind, name),
        ".github/workflows/check.yml": _words("check.yml", kind, name),
        ".gitignore": _words("gitignore", kind, name),
    }


def commands(kind: str, name: str, plugin: str = "") -> list[str]:
    """The first look, once it can be loaded: check it, run it beside what comes along, see the row.

    plugin: the file that each command is told of, for one that is not installed.
    """
    guide = guide_of(kind, name)
    told = f" --plugin {plugin}" if plugin else ""
    found = [f"addp-bench check plugin {one}={name}{told}" for one in registers(kind)]
    if guide.run:
        found += [f"addp-bench {guide.first_look}{told}", f"addp-bench leaderboard {guide.board}"]
    return found


def guide_of(kind: str, name: str) -> Guide:
    """The guide of a kind, under this name."""
    guide = GUIDES[kind]
    said = {field: _named(value, name) for field, value in vars(guide).items() if isinstance(value, str)}
    return Guide(**{**vars(guide), **said})


def class_name(name: str, code: str) -> str:
    """A name as a class, `MyIdea`; `MyIdeaPlugin` where the code means something else by it."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    words = {token.string for token in tokenize.generate_tokens(io.StringIO(code).readline)}
    return f"{camel}Plugin" if camel in words or keyword.iskeyword(camel) else camel


def _code(folder: str, kind: str, name: str) -> str:
    code = (HERE / folder / f"{kind}.py").read_text(encoding="utf-8")
    return _named(re.sub(r"\bMyIdea\b", class_name(name, code), code), name)


def _named(text: str, name: str) -> str:
    return re.sub(r"(?<![a-z0-9])my_idea(?![a-z0-9])", name, text)


def _words(template: str, kind: str, name: str) -> str:
    version = re.match(r"\d+(\.\d+)*", __version__)
    assert version is not None, "a version begins with a number"
    return (
        _templates()
        .get_template(f"{template}.jinja")
        .render(
            kind=kind,
            name=name,
            distribution=distribution(name),
            module=module(name),
            version=version.group(),
            guide=guide_of(kind, name),
            registers=registers(kind),
            commands=commands(kind, name),
        )
    )


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(  # none of it is a page: what is written is Python, TOML, YAML and Markdown
        loader=FileSystemLoader(HERE / "package", encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
