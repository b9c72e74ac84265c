"""score: judge what another program predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from addp_bench.cli.options import json_option, plugin_options
from addp_bench.cli.running import carry_out, place_options
from addp_bench.cli.running import run as run_command


@click.command()
@click.option("--task", required=True, metavar="NAME[:OPTION=VALUE...]", help="What was asked.")
@click.option(
    "--predictions",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with one file for each sample, named by its id; or one file for all, where the task reads such.",
)
@click.option("--dataset", required=True, metavar="NAME[:OPTION=VALUE...]", help="The samples and their truths.")
@click.option("--split", help="Split that was answered; the dataset's own (val).")
@click.option(
    "--protocol", help="How answers are judged; the dataset's own. A card (marigold, ...) also says the split."
)
@click.option("--limit", type=click.IntRange(1), help="Samples, from the first on.")
@place_options
@json_option
@plugin_options
def score(**given: Any) -> int:
    """Judge predictions that another program wrote, as rows of the same tables.

    \b
    Example:
      addp-bench score --task ris --predictions masks/ --dataset refcoco:path=DIR --split testA
    """
    kept = click.get_current_context().meta  # where answers go
    with run_command.make_context("run", _arguments(given)) as context:
        context.meta.update(kept)
        return carry_out(context.params)


def _arguments(given: Mapping[str, Any]) -> list[str]:
    """The arguments of `run` that say the same."""
    said: list[str] = []
    for name, value in {**given, "model": f"predictions:path={given['predictions']}"}.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "predictions" or value is None or value is False:
            continue
        if value is True:
            said.append(flag)
        else:
            said += [part for one in (value if isinstance(value, tuple) else [value]) for part in (flag, str(one))]
    return said
