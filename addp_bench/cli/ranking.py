"""leaderboard: results as tables, in every format."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from addp_bench.cli.options import answer_text, json_option, load_plugins, plugin_options, runs_option, say


@click.command()
@runs_option
@click.option("--task", multiple=True, metavar="NAME", help="Only these tasks; short for --where task=NAME.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only records that meet every such condition.")
@click.option("--reference", multiple=True, metavar="FIELD=VALUE", help="Compare rows with the one that meets these.")
@click.option("--sort", metavar="COLUMN", help="Order rows by another metric or a cost; ranks stay as they are.")
@click.option("--columns", metavar="A,B,...", help="Only these: metrics, rank, tier, difference, p, seeds, cell, ...")
@click.option("--cost", is_flag=True, help="Seconds and memory of each row, and which are the best for their cost.")
@click.option(
    "--published",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Numbers of others, with their sources, below the tables they fit.",
)
@click.option("--average-rank", is_flag=True, help="Methods by their average rank over the tables, instead of these.")
@click.option("--group-by", metavar="ATTRIBUTE", help="Columns by what the samples are: level, kind, plural, ...")
@click.option("--metric", metavar="METRIC", help="With --group-by: the metric shown, instead of the headline.")
@click.option("--ceiling", is_flag=True, help="Show what the truth itself scores as each row draws it, and the share.")
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    help="table, markdown, latex, html (a page), csv, json or a plugin's.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="With --format html: the page's file.")
@click.option(
    "--samples", type=click.IntRange(0), help="With --format html: samples shown of each cell (6; 0 is quick)."
)
@json_option
@plugin_options
def leaderboard(
    runs: Path,
    task: Sequence[str],
    where: Sequence[str],
    reference: Sequence[str],
    sort: str | None,
    columns: str | None,
    cost: bool,
    published: Sequence[Path],
    average_rank: bool,
    group_by: str | None,
    metric: str | None,
    ceiling: bool,
    style: str,
    out: Path | None,
    samples: int | None,
    json: bool,
    plugin: Sequence[Path],
    no_plugin: Sequence[str],
    strict_plugins: bool,
) -> None:
    """Results as a table: rows ranked against rows that were judged alike, with intervals and tiers.

    A FIELD is a kind of plugin (weights=min_snr), an option of one (weights.scaling=loss), or one of cell, split,
    protocol, budget, seed, sampling_steps, read_at, precision. Values after a comma are alternatives.

    On a terminal that is too narrow, columns are left out and named below the table; every other format holds all.
    The format html is a page that opens from disk: tables to sort and filter, plots, and samples with their pictures.

    \b
    Examples:
      addp-bench leaderboard --task ris --reference weights=uniform --reference aug=none
      addp-bench leaderboard --where weights=uniform,perception_stats --format markdown
      addp-bench leaderboard --task ris --group-by level --metric miou
      addp-bench leaderboard --where encoding=red_mask,transparent --ceiling
      addp-bench leaderboard --cost --sort seconds --columns rank,oiou,pareto,train_seconds
      addp-bench leaderboard --format html --out page.html
      addp-bench leaderboard --average-rank --where budget=standard
    """
    from addp_bench import records
    from addp_bench.cli import arranging
    from addp_bench.results import rendering, tables

    style = "json" if json else style
    if style != rendering.PAGE and (out is not None or samples is not None):
        raise click.UsageError("--out and --samples are for --format html")
    if style == rendering.PAGE and (sort or columns):
        raise click.UsageError("--sort and --columns are not for --format html: the page sorts and chooses by itself")
    if metric and not group_by:
        raise click.UsageError("--metric chooses what --group-by shows; without it every metric has its column")
    if group_by and (columns or cost or ceiling):
        raise click.UsageError("--group-by makes columns of its own: not with --columns, --cost or --ceiling")
    if columns and (json or style == "json"):
        raise click.UsageError("--columns chooses what is shown; json holds every column")
    if average_rank and (
        reference or sort or columns or cost or published or group_by or ceiling or style == rendering.PAGE
    ):
        raise click.UsageError("--average-rank makes one table of all; only --task, --where and --format go with it")
    found = records.load_all(runs)
    for why in found.broken.values():
        say(f"left out: {why}", err=True)
    hooks = _table_hooks(plugin, no_plugin, strict_plugins)
    extra = {
        k: v for added in (hooks.addp_bench_columns(records=_bodies(found)) if hooks else ()) for k, v in added.items()
    }
    table = tables.leaderboard(
        found.records,
        [*(f"task={t}" for t in task), *where],
        reference,
        extra=extra,
        by=group_by or "",
        of=metric or "",
        ceiling=ceiling,
    )
    width = shutil.get_terminal_size((0, 0)).columns or None  # none where the table goes into a file or a pipe
    if average_rank:
        from addp_bench.results import across

        answer_text(across.render(across.average_ranks(table, found.records), style, width))
        return
    if cost:
        from addp_bench.results.pareto import with_costs

        table = with_costs(table, found.records)
    if sort:
        table = arranging.by_column(table, sort)
    if columns:
        table = rendering.chosen(table, [name.strip() for name in columns.split(",")])
    if published:
        table = arranging.beside(table, published)
    rows = [{**section.heading, **row} for section in table.sections for row in section.rows]
    own = hooks.addp_bench_render(rows=rows, style=style) if hooks else None
    if style == rendering.PAGE:
        from addp_bench.cli import paging

        load = partial(load_plugins, plugin, no_plugin, strict_plugins)
        own = paging.made(table, found.records, samples, runs, load) if own is None else own
        if out is not None:
            return paging.write(own, out)
    answer_text(tables.render(table, style, width) if own is None else own)


def _table_hooks(plugin: Sequence[Path], no_plugin: Sequence[str], strict: bool) -> Any:
    """The hooks that have a part in tables; None, and nothing loaded, when no plugin implements one."""
    from addp_bench.catalogue import read

    implemented = read(lambda words: say(words, err=True), plugin, no_plugin, strict).hooks
    if not {"addp_bench_columns", "addp_bench_render"} & set(implemented):
        return None
    return load_plugins(plugin, no_plugin, strict).hooks.hook


def _bodies(found: Any) -> list[Any]:
    return [record.body for record in found.records]
