"""What several commands share: the options that choose plugins, and answers as JSON."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from addp_bench.progress import printable

if TYPE_CHECKING:
    from addp_bench.loading import Loaded

_ANSWERS = "addp_bench.answers"  # where a command keeps the stdout that only its answer is written to

F = TypeVar("F", bound=Callable[..., Any])


def plugin_options(command: F) -> F:
    """Add --plugin, --no-plugin and --strict-plugins: parameters `plugin`, `no_plugin` and `strict_plugins`."""
    for option in (
        click.option("--strict-plugins", is_flag=True, help="A plugin that fails to load stops the command."),
        click.option("--no-plugin", multiple=True, metavar="NAME", help="Leave out an entry point or a distribution."),
        click.option(
            "--plugin", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Load a Python file too."
        ),
    ):
        command = option(command)
    return command


def runs_option(command: F) -> F:
    """Add --runs: parameter `runs`."""
    return click.option(
        "--runs",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help="Folder of results.",
    )(command)


def json_option(command: F) -> F:
    """Add --json: parameter `json`. With it nothing but `answer` reaches stdout, whatever a plugin prints."""

    @functools.wraps(command)
    def quietly(*arguments: Any, **given: Any) -> Any:
        if not given["json"]:
            return command(*arguments, **given)
        click.get_current_context().meta[_ANSWERS] = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            return command(*arguments, **given)

    return click.option("--json", is_flag=True, help="Answer in JSON on stdout; all else goes to stderr.")(
        cast("F", quietly)
    )


def load_plugins(
    plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool, *, authors: bool = False
) -> Loaded:
    """Load all plugins as the options ask, saying on stderr which were set aside.

    authors: also say what the authors of those that work should change.
    """
    from addp_bench.loading import load

    loaded = load(plugin, no_plugin, strict_plugins)
    say_failures(loaded.failures)
    if authors:
        for module, words in loaded.notices.items():
            say("\n  ".join([f"for the author of {module}:", *words]), err=True)
    if not (plugin or no_plugin):
        from addp_bench import catalogue

        catalogue.refresh(loaded)  # it is what words are completed from
    return loaded


def say_failures(failures: Mapping[str, str]) -> None:
    """One line on stderr for each plugin module that was set aside."""
    for module, why in failures.items():
        say(f"set aside: {module}: {why}", err=True)


def say(words: str, err: bool = False) -> None:
    """Print words that may quote data or plugins: nothing in them steers the terminal."""
    click.echo(printable(words), err=err)


def answer(value: Any) -> None:
    """Print a value as JSON on stdout."""
    answer_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def answer_text(text: str) -> None:
    """Print an answer that is written out already on stdout, also where --json keeps all else from it."""
    context = click.get_current_context(silent=True)
    click.echo(text, file=context.meta.get(_ANSWERS) if context else None)


def write_file(file: Path, content: bytes) -> None:
    """Write a file that was named in the command, whole or not at all; its folder is made.

    Raises StorageProblem where that cannot be.
    """
    from addp_bench.errors import StorageProblem
    from addp_bench.store import write_bytes

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, content)
    except OSError as problem:
        raise StorageProblem(f"{file} cannot be written ({problem.strerror}); name another place") from problem


def plain(value: Any) -> Any:
    """A measurement as JSON can hold it; numpy's numbers become Python's, what has no value becomes null."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def table(measured: Sequence[tuple[str, Any, str, bool]]) -> str:
    """Measurements in words: what, measured, expected, kept."""
    from tabulate import tabulate

    rows = [[w, _said(v), e, "ok" if ok else "FAILED"] for w, v, e, ok in measured]
    return tabulate(rows, headers=["what", "measured", "expected", ""], tablefmt="simple", disable_numparse=True)


def _said(value: Any) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
