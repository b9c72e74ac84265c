"""list, show and view: commands that look and change nothing."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options, runs_option, say

if TYPE_CHECKING:
    from addp_bench.catalogue import Catalogue, Plugin
    from addp_bench.pictures.drift import Shown
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
        told = {"failures": dict(catalogue.failures), "notices": dict(catalogue.notices)}
        answer({"plugins": [asdict(p) for p in plugins], **told})
        return
    say(_table(plugins))
    for module, why in catalogue.failures.items():
        say(f"\nset aside: {module}\n  {why}")
    for module, words in catalogue.notices.items():
        say("\n  ".join([f"\nfor the author of {module}", *words]))


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
    if plot is None and choice.options:
        raise click.UsageError(f"options after {choice.name} are for --plot FILE.png, which draws it with them")
    notes = []
    if plot is not None:
        from addp_bench.pictures import families

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
    from addp_bench import records
    from addp_bench.pictures import drift, report
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

    from addp_bench.pictures.probe_charts import confused, tried
    from addp_bench.records import clean
    from addp_bench.results.rendering import points

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
