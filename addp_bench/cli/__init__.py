"""The command line. A command is imported when it is invoked, so that `--help` and `list` stay quick."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from addp_bench import __version__
from addp_bench.errors import unknown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETING = "_ADDP_BENCH_COMPLETE"  # set by the scripts of `completion`, to the name of their shell
PREFIX = "ADDP_BENCH"  # of the environment variable that every option reads

_EPILOG = f"""\b
Examples:
  addp-bench run --task ris --weights uniform --weights perception_stats
  addp-bench plan --task ris --weights all
  addp-bench leaderboard --format markdown

Every option also reads {PREFIX}_<OPTION>, such as {PREFIX}_RUNS for --runs.
"""


class Listed(NamedTuple):
    """A command in the table: where it is defined, and its line of help (said here, so that help imports nothing)."""

    where: str
    words: str


COMMANDS = {
    "Work": {
        "run": Listed("addp_bench.cli.running:run", "Train and judge every combination that is asked for."),
        "plan": Listed("addp_bench.cli.planning:plan", "Say what run would do; do nothing."),
        "score": Listed("addp_bench.cli.scoring:score", "Judge what another program predicted."),
        "predict": Listed("addp_bench.cli.predicting:predict", "Let a trained cell answer for a photograph."),
    },
    "Results": {
        "leaderboard": Listed("addp_bench.cli.ranking:leaderboard", "Results as a table, with intervals and tiers."),
        "compare": Listed("addp_bench.cli.comparing:compare", "Whether one row beats another, and on which samples."),
        "effects": Listed("addp_bench.cli.attributing:effects", "What each choice does, over a grid of rows."),
        "view": Listed("addp_bench.cli.looking:view", "Curves, pictures and failures of one cell."),
        "why": Listed("addp_bench.cli.explaining:why", "Why a cell is not the one that was done before."),
        "gate": Listed("addp_bench.cli.gating:gate", "Fail where results got worse than a baseline's."),
        "export": Listed("addp_bench.cli.exporting:export", "Cells as a bundle, or for other programs."),
        "verify": Listed("addp_bench.cli.exporting:verify", "Recompute every number of a bundle."),
    },
    "Plugins and data": {
        "list": Listed("addp_bench.cli.looking:list_", "What there is to choose from."),
        "show": Listed("addp_bench.cli.looking:show", "A plugin in full: its words, options and origin."),
        "data": Listed("addp_bench.cli.data:data", "Datasets: their terms, where yours lie, whether they are whole."),
        "new": Listed("addp_bench.cli.beginning:new", "A plugin to start from: a package that installs and runs."),
        "check": Listed(
            "addp_bench.cli.checking:check",
            "Hold a plugin against its contract, data and models against their promises.",
        ),
        "completion": Listed("addp_bench.cli.completing:completion", "Let bash, zsh or fish complete your words."),
    },
}
_TABLE = {name: listed for section in COMMANDS.values() for name, listed in section.items()}


class _Group(click.Group):
    """A group whose commands are named by a table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_TABLE)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _TABLE:
            return None
        module, function = _TABLE[name].where.split(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        members = command.commands.values() if isinstance(command, click.Group) else ()
        for option in (option for one in (command, *members) for option in one.params):
            if isinstance(option, click.Option):
                option.envvar = variables(option)
        if COMPLETING in os.environ:
            from addp_bench.cli.suggesting import attach

            attach(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=one.words) for name, one in _TABLE.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _TABLE and not args[0].startswith("-"):
            raise click.UsageError(str(unknown("command", args[0], _TABLE)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, listed.words) for name, listed in section.items()])


@click.group(
    cls=_Group,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="addp-bench")
def commands() -> None:
    """A benchmark harness for perception by diffusion models.

    Every choice is a plugin; any set of combinations runs under one protocol; the tables say which differences are
    real.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line on `args` (sys.argv without one) and exit with the code of `addp_bench.cli.leaving`."""
    from addp_bench.cli.leaving import leave

    if COMPLETING in os.environ:
        from addp_bench.cli.completing import answer

        leave(lambda: answer(commands, os.environ[COMPLETING]))
    leave(lambda: commands.main(args, prog_name="addp-bench", standalone_mode=False))


def variables(option: click.Option) -> list[str]:
    """The environment variables of an option, one for each spelling: ADDP_BENCH_SEED and ADDP_BENCH_SEEDS."""
    return [f"{PREFIX}_{spelling.lstrip('-').replace('-', '_').upper()}" for spelling in option.opts]
