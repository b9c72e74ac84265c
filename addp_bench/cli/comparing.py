"""compare: cells side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from addp_bench.cli.options import answer, json_option, runs_option, say

_STYLES = {"table": "simple", "markdown": "pipe"}  # of tabulate


@click.command()
@click.argument("sides", nargs=-1, required=True, metavar="A B [C...]")
@runs_option
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only records that meet every such condition.")
@click.option("--metric", multiple=True, metavar="METRIC", help="Compare this metric alone; may be repeated.")
@click.option("--by", metavar="ATTRIBUTE", default="", help="By what the samples are: level, kind, size, ...")
@click.option("--flips", type=click.IntRange(0), default=5, show_default=True, help="Samples shown that flipped.")
@click.option(
    "--format",
    "style",
    type=click.Choice([*_STYLES, "json"]),
    default="table",
    show_default=True,
    help="How it is shown.",
)
@json_option
def compare(
    sides: Sequence[str],
    runs: Path,
    where: Sequence[str],
    metric: Sequence[str],
    by: str,
    flips: int,
    style: str,
    json: bool,
) -> None:
    """Which of two rows is better, by how much, how sure that is, and on which samples: B minus A, paired by sample.

    A side is the beginning of a cell's key, or conditions joined by commas, as --reference takes them one by one. It
    stands for a row of a leaderboard, with all its seeds; seed=0 beside it picks one. A is the reference. Sides must
    have been judged alike and trained on one budget; a row without training has none and may stand beside any.

    \b
    Examples:
      addp-bench compare 4b7c ca28
      addp-bench compare weights=uniform,aug=none weights=min_snr,aug=none --by level
      addp-bench compare 4b7c,seed=0 4b7c,seed=1 --metric oiou --flips 10
    """
    from addp_bench import records
    from addp_bench.results import comparison

    if len(sides) < 2:
        raise click.UsageError("compare takes two sides at least: A, the reference, and B")
    found = records.load_all(runs)
    for why in found.broken.values():
        say(f"left out: {why}", err=True)
    made = comparison.compare(found.records, sides, where, metrics=metric, by=by)
    if json or style == "json":
        answer(made)
        return
    say(told(made, flips, style))


def told(made: Mapping[str, Any], flips: int, style: str = "table") -> str:
    """A comparison in words and tables. flips: how many samples are named for each pair and direction."""
    markdown = style == "markdown"
    several = len(made["sides"]) > 2
    blocks = [("### " if markdown else "") + _title(made["heading"]), _sides(made, style), _metrics(made, style)]
    for side in range(len(made["sides"]) - 1):
        if made["groups"]:
            blocks += [_groups(made, name, side, style) for name in made["groups"]]
        blocks.append(_flips(made, side, flips, style, several))
    lines = [f"- {note}" if markdown else f"  {note}" for note in _notes(made)]
    return "\n\n".join([block for block in blocks if block] + ["\n".join(lines)])


def _title(heading: Mapping[str, Any]) -> str:
    budget = f"budget {heading['budget']}" if heading["budget"] else "not trained here"
    counted = f"{heading['samples']} samples of {heading['images']} images"
    data = f"{heading['dataset']} {heading['split']}"
    return " · ".join([heading["task"], data, f"protocol {heading['protocol']}", budget, counted])


def _sides(made: Mapping[str, Any], style: str) -> str:
    axes = list(dict.fromkeys(axis for side in made["sides"] for axis in side["choices"]))
    rows = [
        [side["name"], *(side["choices"].get(a, "–") for a in axes), _listed(side["seeds"]), side["cells"][0]]
        for side in made["sides"]
    ]
    return _table(rows, ["", *axes, "seeds", "cell"], style)


def _metrics(made: Mapping[str, Any], style: str) -> str:
    from addp_bench.results.rendering import points, probability, with_interval

    rows = []
    for metric in made["metrics"].values():
        unit = metric["unit"]
        first, *others = [points(value["value"], unit) for value in metric["values"]]
        for difference, value in zip(metric["differences"], others):
            said = with_interval(difference, unit, signed=True)
            p = [probability(difference[name]) for name in ("p", "p_holm")]
            alone = (difference["p"] or 1.0) <= 1 - made["level"]
            sure = difference["better"] or ("not after Holm" if alone else "not separated")
            pair = [f"{difference['side']} - A"] if len(made["sides"]) > 2 else []
            rows.append([_arrow(metric), *pair, first, value, said, *p, sure, _needed(difference)])
    header = ["pair", "A", "other", "difference [95 %]"] if len(made["sides"]) > 2 else ["A", "B", "B - A [95 %]"]
    return _table(rows, ["metric", *header, "p", "Holm", "better", "would take"], style)


def _needed(difference: Mapping[str, Any]) -> str:
    """What would separate a difference of this size."""
    needed = difference["needed"]
    if not needed:
        return ""
    rounded = {name: count and round(count, min(0, 2 - len(str(count)))) for name, count in needed.items()}  # 2 digits
    told = [f"{count:,} {name}".replace(",", " ") for name, count in rounded.items() if count is not None]
    return " or ".join(told) or "more of both"


def _groups(made: Mapping[str, Any], name: str, side: int, style: str) -> str:
    """One metric within the values of an attribute."""
    from addp_bench.results.rendering import points, probability, with_interval

    metric = made["metrics"][name]
    first, other = made["groups"][name][0], made["groups"][name][side + 1]
    rows = []
    for group, entry in other.items():
        difference = entry["difference"]
        values = [points(each[group]["value"], metric["unit"]) for each in (first, other)]
        said = with_interval(difference, metric["unit"], signed=True)
        rows.append([group, entry["samples"], *values, said, probability(difference["p_holm"])])
    letter = made["sides"][side + 1]["name"]
    header = [f"{_arrow(metric)} by {made['by']}", "N", "A", letter, f"{letter} - A [95 %]", "Holm"]
    return _table(rows, header, style)


def _flips(made: Mapping[str, Any], side: int, most: int, style: str, several: bool) -> str:
    """Of the first metric that has a number for single samples, those that flipped."""
    from addp_bench.results.rendering import points, probability

    letter = made["sides"][side + 1]["name"]
    for metric in made["metrics"].values():
        found = metric["differences"][side]["flips"]
        if found is not None and most:
            break
    else:
        return ""
    right = found["rule"] == "right"
    gained, lost = (f"only {letter}", "only A") if right else (f"{letter} better", "A better")
    counted = f"{found['n01']} samples {gained}, {found['n10']} {lost}"
    how = f"right from {points(0.5, 'points')} on" if right else "changed"
    how += ", in the mean over seeds" * (metric["differences"][side]["seeds"] > 1)
    images = f"images {found['images']['gained']} and {found['images']['lost']}"
    p = f", exact p {probability(found['p'])}" if found["p"] is not None else ""
    rows = [
        [which, entry["id"], points(entry["reference"], metric["unit"]), points(entry["other"], metric["unit"])]
        for which, entries in ((gained, found["gained"]), (lost, found["lost"]))
        for entry in entries[:most]
    ]
    head = f"{metric['label']} of single samples, {how}: {counted} ({images}{p})."
    return head + ("\n\n" + _table(rows, ["", "sample", "A", letter], style) if rows else "")


def _notes(made: Mapping[str, Any]) -> list[str]:
    """What a reader must know before quoting a difference."""
    from addp_bench.results.breakdown import silent

    one, *rest = [side["name"] for side in made["sides"]]
    entries = [difference for metric in made["metrics"].values() for difference in metric["differences"]]
    images, resamples = made["heading"]["images"], made["resamples"]
    pairs = _listed([f"{other} minus {one}" for other in rest])
    notes = [
        f"{pairs}: above 0 the number of {one} is the lower one; `better` names whom a separated difference favours.",
        f"[95 %]: paired by sample, {resamples} resamples of {images} images"
        + (", with a t interval over seeds." if any(d["seeds"] > 1 for d in entries) else "."),
        f"p is two-sided. Holm: corrected over the {made['tests']} differences of this table; --metric asks for fewer.",
    ]
    if any(d["about"] == "checkpoint" for d in entries):
        notes.append("A side has fewer than 3 seeds: this speaks of these checkpoints, not of a method.")
    else:
        notes.append("Every side has 3 seeds or was not trained: this speaks of methods.")
    if any(d["needed"] for d in entries):
        notes.append(
            "Would take: images with these seeds, or seeds of each side with these images, that separate a difference "
            "of this size at 5 % with 80 % power, if it is the true one. `more of both`: neither alone is enough."
        )
    if made["same"]:
        notes.append(f"The same on all sides: {_listed([f'{a} {c}' for a, c in made['same'].items()])}.")
    if made["groups"]:
        notes.append("By groups, intervals are made within each, and Holm is over all groups and sides of a metric.")
    for name, rows in made["groups"].items():
        if mute := silent(rows):
            notes.append(f"{_listed(mute)}: no side has any {made['metrics'][name]['label']} there.")
    for side in made["sides"]:
        if side["uses_truth"]:
            notes.append(f"{side['name']} looks at the truth ({_listed(side['uses_truth'])}).")
        if side["older"]:
            notes.append(f"{side['name']}: {side['older']} older records of the same seeds are left out.")
    notes += [f"{name} is left out: {why}." for name, why in made["left_out"].items()]
    return notes


def _arrow(metric: Mapping[str, Any]) -> str:
    unit = "" if metric["unit"] == "points" else f" ({metric['unit']})"
    return f"{metric['label']}{unit} {'↑' if metric['higher_is_better'] else '↓'}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _table(rows: Sequence[Sequence[Any]], header: Sequence[str], style: str) -> str:
    from tabulate import tabulate

    if style == "markdown":
        rows = [[str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in r] for r in rows]
    return tabulate(rows, header, _STYLES[style], disable_numparse=True)
