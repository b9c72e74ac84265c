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
    from addp_bench.run import Bench
    from addp_bench.stages import Plan


@click.command()
@click.argument("cell", required=False)
@click.option("--spec", type=click.Path(path_type=Path, dir_okay=False), help="A YAML request, as run takes it.")
@request_options
@place_options
@json_option
@plugin_options
def why(cell: str | None, **given: Any) -> None:
    """Which fields of a cell's key differ from the nearest cell that was done, and which plugin's code was changed.

    CELL is a finished cell; without it, the options of `run` say which cells are meant, done or not.

    \b
    Examples:
      addp-bench why 1a2b3c
      addp-bench why --task ris --weights perception_stats --aug linear
    """
    from addp_bench import records
    from addp_bench.differences import changed_plugins, nearest

    known = {r.id: r for r in records.load_all(given["runs"].absolute()).records}
    origins: dict[str, Mapping[str, str]] = {name: r.provenance.get("plugins", {}) for name, r in known.items()}
    if cell is not None:
        found = records.find(known.values(), cell)
        asked = {found.id: _of_record(found)}
        options = {found.id: found.provenance.get("options")}
    else:
        bench, plans, _ = prepare(given)
        asked = {plan.id: _of_plan(plan) for plan in plans}
        options = {plan.id: plan.cell.options for plan in plans}
        origins |= {plan.id: _origins(plan, bench) for plan in plans if plan.id not in known}
    answers: list[dict[str, Any]] = []
    for name, parts in asked.items():
        others = {other: _of_record(record) for other, record in known.items() if other != name}
        closest = nearest(parts, others)
        there, differing = closest or (None, [])
        ends = [known[n].provenance["finished"] if n in known else None for n in (name, there)]
        answers.append(
            {
                "cell": name,
                "done": name in known,
                "nearest": there,
                "differences": [vars(d) for d in differing],
                "plugins": [
                    {
                        "plugin": plugin,
                        "here": {"origin": origins[name].get(plugin), "finished": ends[0]},
                        "there": {"origin": origins[str(there)].get(plugin), "finished": ends[1]},
                    }
                    for plugin in changed_plugins(differing)
                ],
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
    for plugin in one["plugins"]:
        say(_changed(plugin, one))


def _changed(plugin: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """In words: which plugin's code is not what it was when the older of two cells was made."""
    sides = [(one["cell"], plugin["here"]), (one["nearest"], plugin["there"])]
    # a cell that is not done yet is the newest of all
    (older, then), (_, now) = sorted(sides, key=lambda side: side[1]["finished"] or "~")
    kind, name = plugin["plugin"].split(":")
    was = "" if then["origin"] == now["origin"] else f"{then['origin'] or 'origin unknown'}, "
    return f"plugin {kind} {name} of {now['origin']} changed since {older} ({was}finished {then['finished']})"


def _origins(plan: Plan, bench: Bench) -> dict[str, str]:
    from addp_bench.facts import used

    return {name: code["origin"] for name, code in used(plan, bench.registry, bench.hooks).items()}


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
