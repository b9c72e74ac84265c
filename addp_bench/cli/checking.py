"""check: whether a plugin keeps its contract, a dataset or a model its promises, and what an encoding loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from addp_bench.cli.ceilings import Asked, ceilings
from addp_bench.cli.options import answer, json_option, load_plugins, plain, plugin_options, say, table

FAILED = 3  # exit code: some of what was measured is not as promised


@click.command()
@click.argument("what", type=click.Choice(["plugin", "data", "encoding", "model", "metric"]))
@click.argument("name", metavar="WHAT[:OPTION=VALUE...]")
@click.option(
    "--codec", default="tiny", show_default=True, help="encoding: the model whose codec it passes through, or identity."
)
@click.option("--task", help="encoding: the task whose truths are drawn; every one of the dataset's that it can draw.")
@click.option("--dataset", default="tabletop", show_default=True, help="encoding: where the truths come from.")
@click.option("--split", help="encoding: the split they are taken from; the dataset's own for statistics (stats).")
@click.option("--protocol", help="encoding: how it is judged; the dataset's own protocol for the task.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="encoding: how many truths.")
@click.option("--noise", type=click.FloatRange(0), default=0.0, help="encoding: white noise added to latents.")
@click.option(
    "--format",
    type=click.Choice(["table", "markdown"]),
    default="table",
    show_default=True,
    help="plugin, encoding: how.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="model: the folder of the cells that are read.",
)
@json_option
@plugin_options
def check(
    what: str,
    name: str,
    codec: str,
    task: str | None,
    dataset: str,
    split: str | None,
    protocol: str | None,
    limit: int,
    noise: float,
    format: str,
    runs: Path,
    json: bool,
    plugin: Sequence[Path],
    no_plugin: Sequence[str],
    strict_plugins: bool,
) -> int:
    """Hold a plugin against its contract; measure what a dataset or a model promises, or the ceiling of an encoding.

    `plugin` takes KIND=NAME, a NAME that one plugin alone has, the path of a file, or a distribution, of which each
    plugin is checked: every promise of its kind, on small numbers; exit code 3 when one is broken.
    `data`: each measurement beside what is expected; exit code 3 when a promise is broken. `model`: the same, read off
    cells that were finished with it; those that are missing are named with the command that makes them. `encoding`: the
    best score any model could reach: truth, drawn, through the codec, read back. Several are joined by +; `all` is each
    that there is, with the values of its options; a decoder that learns is fitted where it is named. `metric` takes an
    id, TASK.ID or all: what planted answers score under every protocol beside what theory says; exit code 3 when a
    number differs.

    \b
    Examples:
      addp-bench check plugin weights=min_snr:gamma=3
      addp-bench check plugin acme.py --format markdown
      addp-bench check data tabletop
      addp-bench check model tiny --runs runs
      addp-bench check encoding red_mask --codec tiny
      addp-bench check encoding all --codec identity --limit 100
      addp-bench check encoding depth_gray --protocol tabletop_depth_metric
      addp-bench check metric oiou
      addp-bench check metric all
    """
    from addp_bench.cli import contracts

    if what == "plugin" and (file := contracts.file_of(name)) is not None:
        plugin = (*plugin, file)
    registry = load_plugins(plugin, no_plugin, strict_plugins, authors=what == "plugin").registry
    if what == "plugin":
        return 0 if contracts.report(registry, contracts.picked(registry, name), "json" if json else format) else FAILED
    if what == "data":
        return _promises("dataset", registry.build("dataset", name), (), json)
    if what == "model":
        from addp_bench import records

        return _promises("model", registry.build("model", name), (records.load_all(runs.absolute()).records,), json)
    if what == "metric":
        from addp_bench.cli import theory

        return 0 if theory.metrics(registry, name, json) else FAILED
    asked = Asked(name, codec, task, dataset, split, protocol, limit, noise)
    ceilings(registry, asked, "json" if json else format)
    return 0


def _promises(kind: str, promising: Any, reads: Sequence[Any], json: bool) -> int:
    from addp_bench.errors import BadOption

    if not hasattr(promising, "check"):
        name = type(promising).__name__
        raise BadOption(f"{kind} {name} promises nothing that can be measured: its class has no method check()")
    measured = [(str(w), value, str(expected), bool(ok)) for w, value, expected, ok in promising.check(*reads)]
    if json:
        answer([{"what": w, "value": plain(v), "expected": e, "ok": ok} for w, v, e, ok in measured])
    else:
        say(table(measured))
    return 0 if all(ok for *_, ok in measured) else FAILED
