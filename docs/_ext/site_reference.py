"""The reference, written into `reference/` when the site is built, from the registry, the commands and the sources.

Nothing of it is kept in the repository, so it cannot grow stale.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from site_contracts import contracts, hooks
from site_words import code, escaped, fenced, flat, page, paragraphs, table

import addp_bench
from addp_bench import errors, hookspecs, protocols, specfile
from addp_bench.catalogue import Catalogue, Plugin, describe
from addp_bench.cli import COMMANDS, commands, leaving, variables
from addp_bench.cli import protocols as protocol_words
from addp_bench.loading import load
from addp_bench.spec import KINDS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

Pages = dict[str, str]  # path below reference/, without its ending -> Markdown

_EXAMPLES = re.compile(r"^(.*?)\n?\s*Examples?:\n(.*)$", re.DOTALL)
_CONTRACTS = {"model": "Predictor"}  # of kinds whose contract is not called after them


def pages(docs: Path) -> Pages:
    """Every page of the reference; docs is the folder of the pages that people wrote."""
    catalogue = describe(load(strict=True))
    own = [p for p in catalogue.plugins if p.origin.startswith("addp-bench ")]
    written = {file.name: file.read_text() for file in sorted(docs.glob("*.md"))}
    made: Pages = {}
    for kind in KINDS:
        made[f"plugins/{kind}"] = kind_page(kind, [p for p in own if p.kind == kind], written)
    made["plugins/protocol"] = protocol_page(catalogue)
    made["plugins/index"] = contents("Plugins", [*KINDS, "protocol"])
    for name, command in every_command():
        made[f"commands/{name}"] = command_page(name, command)
    made["commands/index"] = contents("Commands", [name for section in COMMANDS.values() for name in section])
    made["contracts"] = contracts(Path(protocols.__file__))
    made["hooks"] = hooks(Path(hookspecs.__file__))
    made["requests"] = requests_page()
    made["records"] = records_page(docs.parent / "benchmarks" / "records")
    made["exit-codes"] = exit_codes_page()
    made["environment"] = environment_page()
    names = ["commands/index", "plugins/index", *(name for name in made if "/" not in name)]
    words = f"Made from addp-bench {addp_bench.__version__} itself when this site was built."
    made["index"] = contents("Reference of the program", names, words)
    return made


def contents(title: str, names: Sequence[str], words: str = "") -> str:
    """A page that lists others."""
    return page(f"# {title}", words, "\n".join(["```{toctree}", ":maxdepth: 1", "", *names, "```"]))


# ------------------------------------------------------------------------------------------------ plugins


def kind_page(kind: str, plugins: Sequence[Plugin], written: Mapping[str, str]) -> str:
    """All plugins of a kind. written: the texts of the other pages, by file name."""
    contract = _CONTRACTS.get(kind, kind.capitalize())
    flag = {"tracker": "track"}.get(kind, kind)
    head = f"Its flag is `--{flag}`; its contract is [{contract}](../contracts.md#{contract.lower()})."
    told = [f"[{_title(text)}](../../{name})" for name, text in written.items() if re.search(rf"`{kind} \w", text)]
    if told:
        head += f" Written about in: {', '.join(told)}."
    short = table(["name", "what it is"], ([f"[{p.name}](#{p.name})", flat(p.summary)] for p in plugins))
    return page(f"# {kind}", head, short or "None is built in.", *(plugin_part(p) for p in plugins))


def plugin_part(plugin: Plugin) -> str:
    """One plugin: its words, its options, where it comes from."""
    options = table(
        ["option", "type", "default", "what it does"],
        ([code(o["name"]), code(o["type"]), _default(o), flat(o["words"])] for o in plugin.options),
    )
    facts = [["origin", escaped(plugin.origin)]]
    if plugin.aliases:
        facts.insert(0, ["also called", ", ".join(code(a) for a in plugin.aliases)])
    if plugin.citation:
        facts.append(["source", flat(plugin.citation)])
    facts += [[escaped(k), flat(_said(v))] for k, v in plugin.about.items() if v]
    # what is said of options stands in their table
    told = tuple(f"{o['name']}: " for o in plugin.options)
    words = [part for part in plugin.words.split("\n\n") if not (told and part.startswith(told))]
    return page(f"## {plugin.name}", paragraphs("\n\n".join(words)), options, table(["", ""], facts)).rstrip()


def protocol_page(catalogue: Catalogue) -> str:
    """Judges and cards, as `show protocol` says them."""
    every = catalogue.protocols()
    names = sorted({p["name"] for p in every})
    head = "What `--protocol` may name: judges of tasks, and cards of datasets ([protocols](../../protocols.md))."
    parts = [f"## {n}\n\n{fenced(protocol_words.full(protocol_words.found(catalogue, n)))}" for n in names]
    return page("# protocol", head, *parts)


def _default(option: Mapping[str, Any]) -> str:
    return "required" if option["required"] else code(_said(option["default"]) or '""')


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _title(text: str) -> str:
    return re.sub(r"[\[\]]", "", text.partition("\n")[0].removeprefix("# "))


# ------------------------------------------------------------------------------------------------ commands


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Commands of the first level, with their names."""
    context = click.Context(commands, info_name="addp-bench")
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        yield name, command


def command_page(name: str, command: click.Command) -> str:
    """A command and, of a group, its members."""
    parts = [f"# {name}", *_command(command, [name])]
    if isinstance(command, click.Group):
        for member, under in command.commands.items():
            parts += [f"## {name} {member}", *_command(under, [name, member])]
    return page(*parts)


def _command(command: click.Command, names: Sequence[str]) -> Iterator[str]:
    context = click.Context(command, info_name=f"addp-bench {' '.join(names)}")
    words, examples = _help(command)
    yield words
    yield fenced(" ".join([context.command_path, *command.collect_usage_pieces(context)]))
    rows = []
    for option in command.params:
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record is not None:
            rows.append([code(record[0]), flat(record[1]), ", ".join(code(v) for v in variables(option))])
    yield table(["option", "meaning", "also read from"], rows)
    if examples:
        yield "Examples:\n\n" + fenced(examples)


def _help(command: click.Command) -> tuple[str, str]:
    """Words and examples of a command's help."""
    said = inspect.cleandoc(command.help or "").replace("\b", "")
    met = _EXAMPLES.match(said)
    words, examples = (met[1], met[2]) if met else (said, "")
    return paragraphs(words), "\n".join(line.strip() for line in examples.strip().splitlines())


def environment_page() -> str:
    """Every variable that the program reads, and who reads it."""
    readers: dict[str, set[str]] = {}
    for name, command in every_command():
        members = command.commands.values() if isinstance(command, click.Group) else ()
        for option in (o for one in (command, *members) for o in one.params if isinstance(o, click.Option)):
            for variable in variables(option):
                readers.setdefault(variable, set()).add(name)
    home = importlib.import_module("addp_bench.home")
    own = [
        ["`ADDP_HOME`", flat(home.home.__doc__ or "")],
        ["`XDG_CACHE_HOME`", "The user's cache folder, where `ADDP_HOME` is not set."],
        ["`GITHUB_STEP_SUMMARY`", "The file that `gate --summary` adds its report to; GitHub Actions sets it."],
        ["`COLUMNS`", "The width that tables keep within, instead of the terminal's."],
    ]
    linked = {variable: [f"[{name}](commands/{name}.md)" for name in sorted(readers[variable])] for variable in readers}
    rows = ([code(variable), ", ".join(linked[variable])] for variable in sorted(linked))
    return page(
        "# Environment variables",
        "What is given on the command line wins over a variable.",
        table(["variable", "meaning"], own),
        "Every option of every command has its own:",
        table(["variable", "read by"], rows),
    )


# ------------------------------------------------------------------------------------------------ files and codes


def requests_page() -> str:
    """The fields of a request in YAML."""
    plugin = "a name, options behind colons or in a mapping, or a list"
    fields = [
        ["`train.tasks`", "task -> `dataset`, `encoding`; with several tasks also `share`"],
        ["`train.split`", "the split that is trained on"],
        *([f"`train.{kind}`", f"[{kind}](plugins/{kind}.md): {plugin}"] for kind in specfile.TRAIN_AXES),
        *([f"`train.{n}`", f"a number of the budget ({kind.__name__})"] for n, kind in specfile.NUMBERS.items()),
        *([f"`train.{name}`", "as the flag"] for name in ("corruption", "transform", "seeds", "budget", "precision")),
        *([f"`eval[].{kind}`", f"[{kind}](plugins/{kind}.md) that is judged"] for kind in ("task", "dataset")),
        *([f"`eval[].{kind}`", f"[{kind}](plugins/{kind}.md): {plugin}"] for kind in specfile.EVAL_AXES),
    ]
    return page("# Requests in YAML", paragraphs(specfile.__doc__ or ""), table(["field", "what it holds"], fields))


def records_page(folder: Path) -> str:
    """Every field of the records that come along, with what it holds there."""
    met: dict[str, tuple[str, str]] = {}
    count = 0
    for file in sorted(folder.glob("*/records/*/record.json")):
        count += 1
        for place, value in _leaves(json.loads(file.read_text()), ""):
            met.setdefault(place, (type(value).__name__ if value is not None else "null", _short(value)))
    rows = ([code(place), kind, code(value)] for place, (kind, value) in sorted(met.items()))
    head = (
        f"Every field of the {count} records in `benchmarks/records`, and the first value met there. What they mean:"
        " [Records](../results.md#records). `*` stands for any name, `[]` for the places of a list."
    )
    return page("# Fields of a record", head, table(["field", "type", "such as"], rows))


# mappings whose keys are names that people chose, or digests: one line speaks of all of them
_NAMED = re.compile(
    r"(^|[.\]])(options|settings|metrics|slices|slices\.\*|versions|plugins|code|asks|given|defaulted|by_sample"
    r"|provenance\.(spec|seconds|attempts|cell)|deviates)$"
)
# what the fields of `result` say as well
_WHOLE = ("provenance.spec", "provenance.cell", "provenance.options.*")


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and place not in _WHOLE:
        for name, part in value.items():
            yield from _leaves(part, f"{place}.{'*' if _NAMED.search(place) else name}".lstrip("."))
    elif isinstance(value, list) and value:
        yield from _leaves(value[0], f"{place}[]")
    else:
        yield place, value


def _short(value: Any, most: int = 40) -> str:
    said = json.dumps(value, ensure_ascii=False).replace("`", "'")
    return said if len(said) <= most else said[: most - 1] + "…"


def exit_codes_page() -> str:
    """What the program ends with, and which mistakes end it so."""
    codes = re.findall(r"(\d) ([^.]+)\.", (leaving.__doc__ or "").partition("\n\n")[2])
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.BenchError)]
    rows = ([code(c.__name__), str(c.exit_code), flat((c.__doc__ or "").partition("\n\n")[0])] for c in classes)
    return page(
        "# Exit codes and errors",
        table(["code", "meaning"], ([code(number), escaped(words)] for number, words in codes)),
        "Those of `gate`: [Gates](../ci.md#exit-codes). A program that imports `addp_bench` meets these classes:",
        table(["error", "exit code", "what it is"], rows),
    )


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    made = pages(Path(app.srcdir))
    for stale in set(folder.rglob("*.md")) - {folder / f"{name}.md" for name in made}:
        stale.unlink()
    for name, text in made.items():
        file = folder / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text() != text:  # an equal page need not be read again
            file.write_text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
