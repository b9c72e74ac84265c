"""gate: fail where results got worse than a baseline's; `gate update` writes the baseline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from addp_bench.cli.options import answer, answer_text, json_option, runs_option, say, write_file

if TYPE_CHECKING:
    from addp_bench.records import Record

FAILED = 1  # exit code: the gate failed, and nothing else did
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"  # the file that GitHub shows on the page of a run

_where = click.option(
    "--where", multiple=True, metavar="FIELD=VALUE", help="Only records that meet every such condition."
)
_tolerance = click.option(
    "--tolerance",
    multiple=True,
    metavar="METRIC=NUMBER",
    help="What it may lose, in points or in its unit. Gates this metric too, beside the headlines.",
)


@click.group(invoke_without_command=True)
@click.option("--baseline", metavar="FILE|RUN|git:REF[:PATH]", help="What results are compared with.")
@runs_option
@_tolerance
@_where
@click.option(
    "--format", "style", default="text", show_default=True, metavar="NAME", help="text, junit, markdown or json."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write that into a file.")
@click.option("--summary", is_flag=True, help="Add the markdown to GitHub's page of this run.")
@click.option("--strict", is_flag=True, help="What is inconclusive fails too.")
@json_option
@click.pass_context
def gate(
    context: click.Context,
    baseline: str | None,
    runs: Path,
    tolerance: Sequence[str],
    where: Sequence[str],
    style: str,
    out: Path | None,
    summary: bool,
    strict: bool,
    json: bool,
) -> int | None:
    """Fail where results got worse than a baseline's. `gate update` writes the baseline.

    Rows are matched by what was asked for, whatever code did it, and compared by sample, with intervals. Exit code 1,
    and only then: a row regressed (its interval lies wholly beyond the tolerance, Holm-corrected over all comparisons),
    samples are no longer scored (new failure), or a row of the baseline could not be held against the runs (missing,
    incomparable). What is inconclusive fails with --strict alone. Gated are the headline of every row, with tolerance 0
    where nothing else is said, and the metrics that have a tolerance here or in the baseline.

    A baseline is a FILE of `gate update`, a folder of runs, or either as it stood in a revision of git.

    \b
    Examples:
      addp-bench gate --baseline baseline.zip --tolerance oiou=0.5
      addp-bench gate --baseline git:origin/main --format junit --out gate.xml --summary
      addp-bench gate update --baseline baseline.zip --tolerance oiou=0.5
    """
    if context.invoked_subcommand is not None:
        given = [p for p in context.params if context.get_parameter_source(p) is ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(f"options of {context.invoked_subcommand} stand after its name")
        return None
    if not baseline:
        raise click.UsageError("gate needs --baseline FILE; `addp-bench gate update` writes one")
    place = os.environ.get(STEP_SUMMARY)
    if summary and not place:
        raise click.UsageError(
            f"--summary: {STEP_SUMMARY} is not set here; --format markdown --out FILE writes the same"
        )
    from addp_bench.gates import baseline as baselines
    from addp_bench.gates import gate as gates
    from addp_bench.gates.reports import report
    from addp_bench.results.selection import select

    asked = _tolerances(tolerance)
    with baselines.opened(baseline) as found:
        before = select(found.records, where)
        metrics = {name for record in before for name in record.result["metrics"]}
        kept = {name: value for name, value in found.tolerances.items() if name in metrics}  # of the rows selected
        judged = gates.judge(before, _now(runs, where), {**kept, **asked}, strict=strict)
    told = report(judged, "json" if json else style)
    if out is not None:
        write_file(out, (told + "\n").encode())
        say(report(judged, "text"), err=json)
    else:
        answer_text(told)
    if summary and place:
        with Path(place).open("a", encoding="utf-8") as page:
            page.write(report(judged, "markdown") + "\n")
    return FAILED if judged.failed else 0


@gate.command()
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("baseline.zip"),
    show_default=True,
    help="The file to write; what it holds is written beside it, as FILE.md.",
)
@runs_option
@_tolerance
@_where
@json_option
def update(baseline: Path, runs: Path, tolerance: Sequence[str], where: Sequence[str], json: bool) -> None:
    """Write the baseline from the runs folder, the newest record of every row and seed.

    Tolerances that stand in the file stay unless they are given anew. Commit the file, and FILE.md beside it, which
    says in a diff what changed.

    \b
    Example:
      addp-bench gate update --baseline baseline.zip --tolerance oiou=0.5 --where budget=quick
    """
    from addp_bench.errors import BadData, BadOption, unknown
    from addp_bench.exports import bundles
    from addp_bench.gates import baseline as baselines
    from addp_bench.gates.reports import contents
    from addp_bench.gates.rows import rows as rows_of
    from addp_bench.records import load_all
    from addp_bench.results.selection import select

    if baseline.suffix != ".zip":
        raise BadOption(f"--baseline {baseline}: expected a name that ends in .zip, beside which a .md is written")
    tolerances, rows = {}, 0
    if baseline.exists():
        with baselines.opened(str(baseline)) as old:
            tolerances, rows = dict(old.tolerances), len(rows_of(old.records))
    asked = _tolerances(tolerance)
    loaded = load_all(runs)
    if loaded.broken:
        raise BadData("; ".join(loaded.broken.values()))
    found = rows_of(select(loaded.records, where))
    kept = [record for row in found for record in row.records]
    metrics = {name for record in kept for name in record.result["metrics"]}
    for name in asked:
        if name not in metrics:
            raise unknown("metric of these records", name, metrics)
    if gone := sorted(tolerances.keys() - metrics):
        say(f"no record has {', '.join(gone)} any more; the tolerance is dropped", err=True)
    tolerances = {name: value for name, value in {**tolerances, **asked}.items() if name in metrics}
    write_file(baseline, bundles.packed(kept, tolerances))
    beside = baseline.with_suffix(".md")
    write_file(beside, contents(kept, tolerances).encode())
    few = sum(row.trained and len(row.by_seed) < 3 for row in found)
    if json:
        answer({"baseline": str(baseline), "rows": len(found), "records": len(kept), "tolerances": tolerances})
        return
    say(f"{baseline}: {len(found)} rows, {len(kept)} records (it held {rows} rows); in words in {beside}")
    if few:
        say(f"{few} rows have fewer than 3 seeds: a gate's verdicts on them will speak of these checkpoints.")


def _now(runs: Path, where: Sequence[str]) -> list[Record]:
    """Records of the runs folder that meet the conditions, perhaps none; those that cannot be read are said.

    Raises NothingSelected for a folder that holds no record at all: then it is the folder that is wrong.
    """
    from addp_bench.errors import NothingSelected, UnknownName
    from addp_bench.records import load_all
    from addp_bench.results.selection import select

    loaded = load_all(runs)
    for why in loaded.broken.values():
        say(f"left out: {why}", err=True)
    every = select(loaded.records)
    try:
        return select(every, where)
    except (NothingSelected, UnknownName):  # the baseline met them: its rows are missing here, which is a verdict
        return []


def _tolerances(given: Sequence[str]) -> dict[str, float]:
    """Raises BadRequest for what is not METRIC=NUMBER."""
    from addp_bench.errors import BadRequest

    found, problems = {}, []
    for text in given:
        name, equals, number = text.partition("=")
        try:
            if not (name and equals):
                raise ValueError
            found[name.strip()] = float(number)
        except ValueError:
            problems.append(f"--tolerance {text!r}: expected METRIC=NUMBER, such as oiou=0.5")
    if problems:
        raise BadRequest(problems)
    return found
