"""list, show, leaderboard and view: commands that look and change nothing."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options, runs_option, say

if TYPE_CHECKING:
    from addp_bench.catalogue import Catalogue, Plugin
    from addp_bench.drift import Shown
    from addp_bench.reopen import Reopened


@click.command("list")
@click.argument("kind", required=False)
@json_option
@plugin_options
def list_(kind: str | None, json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool) -> None:
    """What there is to choose from: every plugin, or those of one KIND (task, dataset, weights, ...), or protocols.

    \b
    Examples:
      addp-bench list
      addp-bench list weights --json
      addp-bench list protocol
    """
    from addp_bench.cli import protocols
    from addp_bench.spec import tidy

    catalogue = _catalogue(plugin, no_plugin, strict_plugins)
    if kind is not None and tidy(kind) == protocols.KIND:
        if json:
            answer({"protocols": catalogue.protocols()})
        else:
            say(protocols.table(catalogue.protocols()))
        return
    plugins = catalogue.of(kind)
    if json:
        answer({"plugins": [asdict(p) for p in plugins], "failures": dict(catalogue.failures)})
        return
    say(_table(plugins))
    for module, why in catalogue.failures.items():
        say(f"\nset aside: {module}\n  {why}")


@click.command()
@click.argument("kind")
@click.argument("name", metavar="NAME[:OPTION=VALUE...]")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it into a PNG, if it knows how to.")
@click.option("--model", metavar="NAME", help="With --plot: on the schedule of this model, and for its target.")
@click.option("--noise", metavar="NAME", help="With --plot: on this schedule.")
@click.option("--target", metavar="NAME", help="With --plot: for this target, instead of the model's own.")
@runs_option
@json_option
@plugin_options
def show(
    kind: str,
    name: str,
    plot: Path | None,
    model: str | None,
    noise: str | None,
    target: str | None,
    runs: Path,
    json: bool,
    plugin: Sequence[Path],
    no_plugin: Sequence[str],
    strict_plugins: bool,
) -> None:
    """One plugin in full: its words, its options with types and defaults, its origin and its source; or a protocol.

    Options after NAME matter to --plot alone. `all` draws every plugin of a kind into one picture; weights that are
    measured are drawn with the statistics of the newest record under --runs that has some.

    \b
    Examples:
      addp-bench show weights min_snr
      addp-bench show dataset tabletop --plot scenes.png
      addp-bench show weights all --plot weights.png
      addp-bench show protocol marigold
    """
    from addp_bench.cli import protocols
    from addp_bench.spec import Choice, tidy

    choice, kind = Choice.parse(name), tidy(kind)
    catalogue = _catalogue(plugin, no_plugin, strict_plugins)
    if kind == protocols.KIND:
        if plot is not None:
            raise click.UsageError("a protocol is no plugin and has nothing to draw")
        named = protocols.found(catalogue, name)
        if json:
            answer({"protocols": named})
        else:
            say(protocols.full(named))
        return
    every = choice.name == "all"
    described = catalogue.of(kind) if every else [catalogue.get(kind, choice.name)]
    if plot is None and (every or model or noise or target):
        raise click.UsageError(f"{'all' if every else '--model, --noise and --target'} is for --plot FILE.png")
    notes = []
    if plot is not None:
        from addp_bench import families

        registry = load_plugins(plugin, no_plugin, strict_plugins).registry
        asked = {"model": model, "noise": noise, "target": target}
        notes = families.draw(registry, kind, choice, plot, runs, asked)
    if json:
        words = {"kind": kind, "names": [p.name for p in described]} if every else asdict(described[0])
        answer({**words, "plot": str(plot) if plot else None, "notes": notes})
        return
    if not every:
        say(_full(described[0]) + "\n" * (plot is not None))
    if plot is not None:
        say("\n".join([*(f"not drawn: {note}" for note in notes), f"drawn into {plot}"]))


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
    from addp_bench import records, rendering, tables
    from addp_bench.cli import arranging

    style = "json" if json else style
    if style != rendering.PAGE and (out is not None or samples is not None):
        raise click.UsageError("--out and --samples are for --format html")
    if style == rendering.PAGE and (sort or columns):
        raise click.UsageError("--sort and --columns are not for --format html: the page sorts and chooses by itself")
    if metric and not group_by:
        raise click.UsageError("--metric chooses what --group-by shows; without it every metric has its column")
    if group_by and (columns or cost):
        raise click.UsageError("--group-by makes columns of its own; --columns and --cost are for a table without it")
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
        from addp_bench import across

        click.echo(across.render(across.average_ranks(table, found.records), style, width))
        return
    if cost:
        from addp_bench.pareto import with_costs

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
    click.echo(tables.render(table, style, width) if own is None else own)


@click.command()
@click.argument("cell")
@runs_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The sheet; else RUNS/views/CELL.png.")
@click.option("--each", type=click.IntRange(1), default=3, show_default=True, help="Best, worst and random answers.")
@json_option
@plugin_options
def view(
    cell: str,
    runs: Path,
    out: Path | None,
    each: int,
    json: bool,
    plugin: Sequence[Path],
    no_plugin: Sequence[str],
    strict_plugins: bool,
) -> None:
    """One cell on one sheet: its metric per timestep, what was trained, its slices, and its answers, failures included.

    CELL is the beginning of a cell's key, as tables show it. Pictures need what the run left in the runs folder.

    \b
    Examples:
      addp-bench view 3f8a
      addp-bench view 3f8a --out sheet.png --each 6
    """
    from addp_bench import drift, records, report
    from addp_bench.reopen import Reopened
    from addp_bench.run import Bench

    record = records.find(records.load_all(runs).records, cell)
    loaded = load_plugins(plugin, no_plugin, strict_plugins)
    chosen = report.pick(record, each)
    file = out or runs / "views" / f"{record.id}.png"
    reopened = Reopened(record, Bench(loaded.registry, loaded.hooks, runs.absolute()))
    shown = drift.shown(reopened)
    report.sheet(record, _pictures(reopened, chosen), file, shown)
    if json:
        answer({**record.body, "drift": asdict(shown) if shown else None, "sheet": str(file)})
        return
    say(_facts(record, shown))
    say(f"\ndrawn into {file}")


def _pictures(reopened: Reopened, chosen: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The chosen samples with photographs, truths and answers."""
    drawn = {picture["id"]: picture for picture in reopened.pictures([c["id"] for c in chosen])}
    return [{**drawn[c["id"]], **c} for c in chosen]


def _facts(record: Any, drift: Shown | None) -> str:
    """A record in words: its metrics, and the headline by slice and by timestep, with what training showed there."""
    from tabulate import tabulate

    from addp_bench.probe_charts import confused, tried
    from addp_bench.records import clean
    from addp_bench.rendering import points

    result, name = record.result, record.headline
    unit = result["metrics"][name]["unit"]
    label = clean(result["metrics"][name]["label"])

    def table(rows: Sequence[Sequence[Any]], *headers: str) -> str:
        return tabulate(rows, headers, "simple", disable_numparse=True)

    metrics = [
        [clean(m["label"]), points(m["value"], m["unit"]), m["reason"] or ""] for m in result["metrics"].values()
    ]
    parts = [f"cell {record.id}, seed {result['seed']}", _protocol(result["protocol"])]
    parts.append(table(metrics, "metric", "value", ""))
    for attribute, slices in result["slices"].items():
        rows = [[clean(k), s["samples"], points(s["metrics"].get(name), unit)] for k, s in slices.items()]
        parts.append(table(rows, clean(attribute), "samples", label))
    if tuning := result.get("tuning"):
        rows = [
            [f"{value:g}", points(met, unit), "taken" if value == tuning["value"] else ""]
            for value, met in zip(tuning["values"], tuning["curve"])
        ]
        parts.append(table(rows, clean(tuning["option"]), f"{label} on {clean(tuning['split'])}", ""))
    if made := tried(record):
        rows = [[one["layer"], one["t"], points(one["accuracy"], "points")] for one in made]
        parts.append(table(rows, "layer", "timestep", "accuracy on stats"))
    if worst := confused(record):
        parts.append(table([[a, b, f"{count} of {there}"] for a, b, count, there in worst], "class", "taken for", ""))
    if "probe" in result:
        parts.append(f"read: {result['probe']['layer']} at t = {result['probe']['t']}")
    elif result["curve"]:
        values = result["curve"]["metrics"].get(name, [])
        columns, headers = [result["curve"]["t"], [points(v, unit) for v in values]], ["timestep", label]
        if drift is not None:
            damaged = drift.damaged or [drift.clean] * len(drift.t)
            columns, headers = [*columns, [points(v, unit) for v in damaged]], [*headers, "truth as training shows it"]
        parts.append(table(list(zip(*columns)), *headers))
    return "\n\n".join(parts)


def _protocol(protocol: Mapping[str, Any]) -> str:
    """How a record was judged, and what was not as its card asks."""
    from addp_bench.protocol_cards import told
    from addp_bench.records import clean

    known = f", hash {protocol['hash'][:12]}" if "hash" in protocol else ""
    other = f"; not as it asks (in brackets): {told(protocol['deviates'])}" if protocol.get("deviates") else ""
    return clean(f"protocol {protocol['name']}, version {protocol['version']}{known}{other}")


def _catalogue(plugin: Sequence[Path], no_plugin: Sequence[str], strict: bool) -> Catalogue:
    from addp_bench.catalogue import read

    return read(lambda words: say(words, err=True), plugin, no_plugin, strict)


def _table_hooks(plugin: Sequence[Path], no_plugin: Sequence[str], strict: bool) -> Any:
    """The hooks that have a part in tables; None, and nothing loaded, when no plugin implements one."""
    implemented = _catalogue(plugin, no_plugin, strict).hooks
    if not {"addp_bench_columns", "addp_bench_render"} & set(implemented):
        return None
    return load_plugins(plugin, no_plugin, strict).hooks.hook


def _bodies(found: Any) -> list[Any]:
    return [record.body for record in found.records]


def _table(plugins: Sequence[Plugin]) -> str:
    from tabulate import tabulate

    if not plugins:
        return "no plugin"
    rows = [[p.kind, p.name, ", ".join(p.aliases), p.summary, p.origin] for p in plugins]
    others = sum(max(len(row[i]) for row in rows) + 2 for i in (0, 1, 2, 4))
    room = max(shutil.get_terminal_size((120, 24)).columns - others, 40)
    for row in rows:
        row[3] = textwrap.shorten(row[3], room, placeholder=" …")
    return tabulate(rows, headers=["kind", "name", "also", "what it is", "origin"], tablefmt="simple")


def _full(plugin: Plugin) -> str:
    from tabulate import tabulate

    also = f" (also {', '.join(plugin.aliases)})" if plugin.aliases else ""
    # what is said of options stands in their table
    told = tuple(f"{o['name']}: " for o in plugin.options)
    paragraphs = [p for p in plugin.words.split("\n\n") if not (told and p.startswith(told))]
    parts = [f"{plugin.kind} {plugin.name}{also}", *paragraphs]
    if plugin.options:
        rows = [
            [o["name"], o["type"], "required" if o["required"] else _said(o["default"]), o["words"]]
            for o in plugin.options
        ]
        # wrapped here: tabulate's maxcolwidths makes the text "False" a bool, and that is True
        widths = (40, 30, 24, 60)
        wrapped = [["\n".join(textwrap.wrap(text, width)) for text, width in zip(row, widths)] for row in rows]
        headers = ["option", "type", "default", "what it does"]
        parts.append(tabulate(wrapped, headers, "simple", disable_numparse=True))
    else:
        parts.append("It has no options.")
    parts.append(f"origin: {plugin.origin}")
    if plugin.citation:
        parts.append(f"source: {plugin.citation}")
    return "\n\n".join(p for p in parts if p)


def _said(default: Any) -> str:
    return '""' if default == "" else str(default)
