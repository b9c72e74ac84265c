"""export and verify: finished cells for other programs and other people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options, runs_option, say, write_file

if TYPE_CHECKING:
    from addp_bench.records import Record

DIFFERS = 3  # exit code: a bundle is not what it says

_cells = click.argument("cell", nargs=-1, required=True)


@click.group()
def export() -> None:
    """Finished cells as a bundle, for pages of the Hub, or as tables for other programs.

    \b
    Examples:
      addp-bench export bundle 3f8a 91c2 --out results.zip
      addp-bench export hf 3f8a --name me/my-model --out README.md
    """


@export.command()
@_cells
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The zip to write.")
@runs_option
@json_option
def bundle(cell: Sequence[str], out: Path, runs: Path, json: bool) -> None:
    """Records with their per-sample statistics in one zip, which `verify` checks anywhere.

    CELL is the beginning of a cell's key, as tables show it; `all` is every cell.

    \b
    Examples:
      addp-bench export bundle 3f8a 91c2 --out results.zip
      addp-bench export bundle all --out results.zip
    """
    from addp_bench.exports.bundles import packed

    found = _found(cell, runs)
    content = packed(found)
    write_file(out, content)
    if json:
        answer({"bundle": str(out), "cells": [record.id for record in found], "bytes": len(content)})
        return
    say(f"{out}: {len(found)} cells, {len(content)} bytes; `addp-bench verify {out}` checks it")


@export.command()
@_cells
@click.option("--name", required=True, metavar="MODEL", help="What the card calls the model.")
@click.option("--url", default="", help="Where a reader finds the records: a bundle, a leaderboard.")
@click.option("--benchmark", metavar="ORG/DATASET", help="Make the Hub's evaluation file for this benchmark too.")
@click.option(
    "--task-id", multiple=True, metavar="RESULT=ID", help="What the benchmark calls a result, such as ris_val_oiou."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The card to put it into.")
@runs_option
@json_option
def hf(
    cell: Sequence[str],
    name: str,
    url: str,
    benchmark: str | None,
    task_id: Sequence[str],
    out: Path | None,
    runs: Path,
    json: bool,
) -> None:
    """The `model-index` of a Hugging Face model card: every metric with its interval, seeds and protocol.

    CELLs are the seeds of one model, on as many tasks and data as there are. With --out the block is put into a card,
    whose words and other metadata stay; else it is printed.

    With --benchmark the same results become the file `.eval_results/DATASET.yaml` beside the card, which the Hub shows
    on the benchmark's leaderboard; entries of other tasks in it stay. A result is called TASK_SPLIT_METRIC there;
    --task-id gives it the benchmark's name and leaves out those that are not named.

    \b
    Examples:
      addp-bench export hf 3f8a 91c2 77e0 --name me/my-model
      addp-bench export hf 3f8a --name me/my-model --out README.md
      addp-bench export hf 3f8a --name me/my-model --benchmark me/tabletop --task-id ris_val_oiou=oiou --out README.md
    """
    from addp_bench.exports import eval_results, model_cards

    records = _found(cell, runs)
    results = model_cards.results(records, url)
    place, made = None, []
    if benchmark is not None:
        place = (out.parent if out else Path()) / eval_results.named(benchmark)
        finished = max(str(record.provenance["finished"]) for record in records)
        made = eval_results.entries(results, benchmark, _pairs(task_id), finished)
    elif task_id:
        raise click.UsageError("--task-id names results of a --benchmark, and none is given")
    if out is not None:
        written = {out: model_cards.put_into(out, name, results)}
        if place is not None:
            written[place] = eval_results.put_into(place, made)
        for file, content in written.items():  # both are made before either is written
            write_file(file, content)
    if json:
        card = str(out) if out else None
        told = {"card": card, "results": len(results), "block": model_cards.block(name, results)}
        answer({**told, "evaluation": {"file": str(place), "entries": made} if place else None})
        return
    if out is None:
        click.echo(model_cards.block(name, results))
        if place is not None:
            say(f"\n# {place}\n{eval_results.block(made)}".rstrip())
        return
    say(f"{out}: {len(results)} results of {name}")
    if place is not None:
        say(f"{place}: {len(made)} results for {benchmark}")


@export.command()
@_cells
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@runs_option
@json_option
def parquet(cell: Sequence[str], out: Path, runs: Path, json: bool) -> None:
    """Per-sample statistics and scores as a table, a line for each cell and sample. Needs pyarrow (extra `parquet`).

    \b
    Example:
      addp-bench export parquet all --out samples.parquet
    """
    from addp_bench.exports import parquet as tables

    found = _found(cell, runs)
    content, lines = tables.packed(found)
    write_file(out, content)
    if json:
        answer({"table": str(out), "cells": [record.id for record in found], "lines": lines})
        return
    say(f"{out}: {lines} lines of {len(found)} cells")


@export.command()
@click.argument("cell")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The JSON to write.")
@runs_option
@json_option
@plugin_options
def coco(
    cell: str,
    out: Path,
    runs: Path,
    json: bool,
    plugin: Sequence[Path],
    no_plugin: Sequence[str],
    strict_plugins: bool,
) -> None:
    """The boxes of a detection cell as COCO's result file, which `score` and pycocotools read.

    Needs what the run left in the runs folder; the record alone does not hold boxes.

    \b
    Examples:
      addp-bench export coco 3f8a --out results.json
      addp-bench score --task detection --dataset coco:path=DIR --predictions results.json
    """
    from addp_bench.exports.coco import detections, encoded
    from addp_bench.progress import Progress
    from addp_bench.run import Bench

    (record,) = _found([cell], runs)
    loaded = load_plugins(plugin, no_plugin, strict_plugins)
    with Progress(quiet=json).bar("reading boxes") as told:
        boxes = detections(record, Bench(loaded.registry, loaded.hooks, runs.absolute()), told)
    write_file(out, encoded(boxes))
    photographs = len({line["image_id"] for line in boxes})
    if json:
        answer({"results": str(out), "cell": record.id, "boxes": len(boxes), "photographs": photographs})
        return
    say(f"{out}: {len(boxes)} boxes in {photographs} of {len(record.statistics)} photographs")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def verify(bundle: Path, json: bool) -> int:
    """Recompute every number of a bundle from its stored sums; exit code 3 where one differs, or a file was changed.

    Needs no model, no data and no accelerator. A baseline of `gate update` is a bundle too.

    \b
    Example:
      addp-bench verify results.zip
    """
    from addp_bench.errors import BadRequest
    from addp_bench.exports import bundles
    from addp_bench.exports.verifying import check

    try:
        content = bundle.read_bytes()
    except OSError as missing:
        raise BadRequest([f"{bundle}: cannot be read ({missing.strerror})"]) from missing
    with bundles.unpacked(content, str(bundle)) as found:
        home = found.runs / "records"
        checked = [check(folder) for folder in sorted(home.iterdir())] if home.is_dir() else []
        place, made_by, problems = str(found.runs), found.made_by, dict(found.problems)
    wrong = [f"{file}: {why}" for file, why in problems.items()]
    wrong += [f"cell {one.cell}: {why.replace(place, str(bundle))}" for one in checked for why in one.wrong]
    numbers = sum(one.numbers for one in checked)
    if not checked:
        wrong.append("it holds no record")
    if json:
        cells = [{"cell": one.cell, "numbers": one.numbers, "beyond": list(one.beyond)} for one in checked]
        answer({"verified": not wrong, "made_by": made_by, "numbers": numbers, "wrong": wrong, "cells": cells})
        return DIFFERS if wrong else 0
    beyond: dict[str, int] = {}
    for what in (what for one in checked for what in one.beyond):
        beyond[what] = beyond.get(what, 0) + 1
    say(f"{bundle}: {len(checked)} cells, packed by addp-bench {made_by}")
    say(f"{numbers} numbers made again from the stored sums")
    for what, cells_ in beyond.items():
        say(f"  cannot be made again ({cells_} cells): {what}")
    for why in wrong:
        say(f"DIFFERS  {why}")
    say(f"{len(wrong)} differ" if wrong else "all of them are as they are said to be")
    return DIFFERS if wrong else 0


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """`RESULT=ID` as pairs. Raises BadRequest."""
    from addp_bench.errors import BadRequest

    if wrong := [text for text in texts if not all(text.partition("="))]:
        raise BadRequest([f"--task-id takes RESULT=ID, such as ris_val_oiou=oiou, got {text!r}" for text in wrong])
    return dict(text.split("=", 1) for text in texts)


def _found(cells: Sequence[str], runs: Path) -> list[Record]:
    """The records that are named, each once. Raises NothingSelected for a name that no cell has."""
    from addp_bench.errors import NothingSelected
    from addp_bench.records import find, load_all

    loaded = load_all(runs)
    for why in loaded.broken.values():
        say(f"left out: {why}", err=True)
    if not loaded.records:
        raise NothingSelected(f"there is no record in {runs}; `addp-bench run` makes one (or name another --runs DIR)")
    named = loaded.records if list(cells) == ["all"] else [find(loaded.records, name) for name in cells]
    return list({record.id: record for record in named}.values())
