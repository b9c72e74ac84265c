"""new: from a kind and a name to a plugin that installs, keeps its contract and runs."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import click

from addp_bench.cli.options import answer, json_option, say


@click.command()
@click.argument("kind")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="here",
    help="Folder that it is written into; made where there is none.",
)
@click.option("--single-file", is_flag=True, help="A file for --plugin, in place of a package.")
@json_option
def new(kind: str, name: str, out: Path, single_file: bool, json: bool) -> None:
    """A package that holds one plugin of a KIND (weights, task, encoding, ...), a worked example to be rewritten.

    It can be installed, keeps the contract of its kind, and has tests, words and a first run of its own. Nothing that
    exists is written over.

    \b
    Examples:
      addp-bench new weights my_idea
      addp-bench new task my_idea --out ~/code
      addp-bench new encoding my_idea --single-file
    """
    from addp_bench import scaffold

    kind, name = scaffold.kind_of(kind), scaffold.name_of(name)
    _require_free(kind, name)
    if single_file:
        made, files = _file(out / f"{name}.py", scaffold.single_file(kind, name))
        following = scaffold.commands(kind, name, _typed(made) if made.is_absolute() else f"./{_typed(made)}")
    else:
        made, files = _folder(out / scaffold.distribution(name), scaffold.package(kind, name))
        following = [f"cd {_typed(made)}", 'pip install -e ".[test]"', *scaffold.commands(kind, name)]
    if json:
        answer({"kind": kind, "name": name, "made": str(made), "files": files, "next": following})
        return
    say(f"{kind} {name}: {made}")
    if not single_file:
        say("\n".join(f"  {file}" for file in files))
    say("\n".join(["\nNext:", *(f"  {command}" for command in following)]))


def _require_free(kind: str, name: str) -> None:
    """Raises BadPlugin for a name that another plugin has already, or another distribution."""
    from addp_bench import scaffold
    from addp_bench.catalogue import read
    from addp_bench.errors import BadPlugin
    from addp_bench.installed import installed

    catalogue = read(lambda words: say(words, err=True))
    for one in scaffold.registers(kind):
        for plugin in catalogue.of(one):
            if name in (plugin.name, *plugin.aliases):
                raise BadPlugin(f"{one} {name!r} is taken by {plugin.origin}; choose another name")
    for source in installed():
        if source.name == scaffold.module(name):
            raise BadPlugin(
                f"{source.origin} is installed and has the module {source.module}; choose another name, or register "
                f"a second plugin in that package"
            )


def _folder(folder: Path, files: Mapping[str, str]) -> tuple[Path, list[str]]:
    """Write a package, whole or not at all. Raises StorageProblem for a folder that is not empty."""
    from addp_bench.errors import StorageProblem

    _parent(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageProblem(
            f"{folder} exists{' and is not empty' if folder.is_dir() else ''}; nothing is written over. Choose another "
            f"name or another --out, or add the plugin to that package by hand"
        )
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        aside.mkdir()
        for file, text in files.items():
            place = aside / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        aside.rename(folder)  # which takes the place of an empty folder, and of no other
    except OSError as problem:
        shutil.rmtree(aside, ignore_errors=True)
        raise StorageProblem(f"{folder} cannot be written ({problem.strerror}); name another --out") from problem
    return folder, list(files)


def _file(file: Path, text: str) -> tuple[Path, list[str]]:
    """Write one file. Raises StorageProblem where there is one."""
    from addp_bench.errors import StorageProblem

    _parent(file)
    try:
        with file.open("x", encoding="utf-8") as handle:
            handle.write(text)
    except FileExistsError:
        raise StorageProblem(
            f"{file} exists, and nothing is written over; choose another name or another --out"
        ) from None
    except OSError as problem:
        raise StorageProblem(f"{file} cannot be written ({problem.strerror}); name another --out") from problem
    return file, [file.name]


def _parent(place: Path) -> None:
    from addp_bench.errors import StorageProblem

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StorageProblem(f"{place.parent} cannot be made ({problem.strerror}); name another --out") from problem


def _typed(place: Path) -> str:
    """A path as it is typed into a shell."""
    return shlex.quote(str(place))
