"""effects: what each choice does, over a grid of rows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from addp_bench.cli.options import answer_text, json_option, runs_option, say


@click.command()
@runs_option
@click.option("--task", multiple=True, metavar="NAME", help="Only these tasks; short for --where task=NAME.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only records that meet every such condition.")
@click.option("--factor", multiple=True, metavar="CHOICE", help="Only these choices vary; the others are held.")
@click.option("--reference", multiple=True, metavar="CHOICE=LEVEL", help="The level the other of two is set against.")
@click.option("--metric", metavar="METRIC", help="Another metric than the headline.")
@click.option("--format", "style", default="table", show_default=True, help="table, markdown, latex, csv or json.")
@json_option
def effects(
    runs: Path,
    task: Sequence[str],
    where: Sequence[str],
    factor: Sequence[str],
    reference: Sequence[str],
    metric: str | None,
    style: str,
    json: bool,
) -> None:
    """What each choice does: main effects and interactions of two, with intervals, over the largest complete grid.

    Of each table of the leaderboard those rows are taken that hold every combination of some levels of the choices in
    which they differ, with the same seeds. What stands outside of the grid is named. A FIELD is as for leaderboard.

    \b
    Examples:
      addp-bench effects --where weights=uniform,perception_stats
      addp-bench effects --factor weights --factor aug --reference aug=none
      addp-bench effects --task ris --metric miou --json
    """
    from addp_bench import records
    from addp_bench.results import attribution

    found = records.load_all(runs)
    for why in found.broken.values():
        say(f"left out: {why}", err=True)
    made = attribution.attribute(found.records, [*(f"task={t}" for t in task), *where], factor, reference, metric or "")
    width = shutil.get_terminal_size((0, 0)).columns or None  # none where it goes into a file or a pipe
    answer_text(attribution.render(made, "json" if json else style, width))
