"""why: what keeps a cell from being one that was done before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addp_bench.cli.options import answer, json_option, plugin_options, say
from addp_bench.cli.running import place_options, prepare, request_options

if TYPE_CHECKING:
    from addp_bench.records import Record
    from addp_bench.stages import Plan


@click.command()
@click.argument("cell", required=False)
@click.option("--spec", type=click.Path(path_type=Path, dir_okay=False), help="A YAML request, as run takes it.")
@request_options
@place_options
@json_option
@plugin_options
def why(cell: str | None, **given: Any) -> None:
    """Which fields of a cell's key differ from the nearest cell that was done.

    CELL is a finished cell; without it, the options of `run` say which cells are meant, done or not.

    \b
    Examples:
      addp-bench why 1a2b3c
      addp-bench why --task ris --weights perception_stats --aug linear
    """
    from addp_bench import records
    from addp_bench.differences import nearest

    known = {r.id: r for r in records.load_all(given["runs"].absolute()).records}
    if cell is not None:
        found = records.find(known.values(), cell)
        asked = {found.id: _of_record(found)}
        options = {found.id: found.provenance.get("options")}
    else:
        plans = prepare(given)[1]
        asked = {plan.id: _of_plan(plan) for plan in plans}
        options = {plan.id: plan.cell.options for plan in plans}
    answers: list[dict[str, Any]] = []
    for name, parts in asked.items():
        others = {other: _of_record(record) for other, record in known.items() if other != name}
        closest = nearest(parts, others)
        answers.append(
            {
                "cell": name,
                "done": name in known,
                "nearest": closest[0] if closest else None,
                "differences": [vars(d) for d in closest[1]] if closest else [],
                "options": options[name],
            }
        )
    if given["json"]:
        answer(answers)
        return
    for one in answers:
        _say(one)
        if one["options"]:
            said = [f"{name}={value}" for name, value in one["options"]["given"].items()]
            say(f"given: {', '.join(said) or 'nothing'}; everything else is a default")


def _say(one: Mapping[str, Any]) -> None:
    from tabulate import tabulate

    state = "is done" if one["done"] else "is not done yet"
    if one["nearest"] is None:
        say(f"{one['cell']} {state}; there is no other finished cell to compare it with")
        return
    say(f"{one['cell']} {state}; the nearest other cell is {one['nearest']}. They differ in")
    rows = [[d["place"], _short(d["here"]), _short(d["there"])] for d in one["differences"]]
    say(tabulate(rows, ["field", one["cell"], one["nearest"]], "simple"))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _of_record(record: Record) -> dict[str, Any]:
    from addp_bench.differences import parts

    specs = record.provenance["spec"]
    return parts([(kind, key, specs[f"{kind}/{key[:16]}"]) for kind, key in record.provenance["stages"]])


def _of_plan(plan: Plan) -> dict[str, Any]:
    from addp_bench.differences import parts

    return parts([(stage.kind, stage.key, stage.spec) for stage in plan.stages()])
