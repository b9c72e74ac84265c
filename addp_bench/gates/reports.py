"""What a gate found, for a terminal, for CI's list of tests (JUnit XML), and for a page of GitHub (Markdown)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from addp_bench.errors import unknown
from addp_bench.gates.gate import FAILING, Gate, Verdict
from addp_bench.records import Record, clean
from addp_bench.results.rendering import points, with_interval

MARKER = "<!-- addp-bench gate -->"  # by which a workflow finds the comment it wrote before
LONGEST = 60_000  # characters; GitHub refuses a comment of more than 65 536
_ORDER = (*FAILING, "inconclusive", "improved", "new", "passed")
_MEANING: Mapping[str, str] = {
    "regressed": "worse by more than the tolerance",
    "new failure": "samples or values that were there are gone",
    "missing": "in the baseline and not in the runs",
    "incomparable": "judged otherwise than in the baseline",
    "inconclusive": "shown neither within the tolerance nor beyond it",
    "improved": "better by more than the tolerance",
    "new": "not in the baseline",
    "passed": "shown to be within the tolerance",
}


def report(gate: Gate, style: str) -> str:
    """A gate in a style: text, junit, markdown or json. Raises UnknownName for another."""
    if style not in _STYLES:
        raise unknown("format of a gate", style, _STYLES)
    return _STYLES[style](gate)


def contents(records: Sequence[Record], tolerances: Mapping[str, float]) -> str:
    """What a baseline holds, as Markdown: a line for each record, so that a diff can be read."""
    metrics = list(dict.fromkeys(name for record in records for name in record.result["metrics"]))
    gated = ", ".join(f"{name} {value:g}" for name, value in sorted(tolerances.items()))
    lines = [
        "# What this gate's baseline holds",
        "",
        f"Tolerances: {gated}; other headlines 0." if gated else "Tolerances: headlines 0.",
        "",
        _line(["task", "data", "budget", "choices", "seed", "N", *metrics, "cell"]),
        _line(["---"] * (len(metrics) + 7)),
    ]
    return "\n".join([*lines, *sorted(_line(_cells(record, metrics)) for record in records), ""])


def _cells(record: Record, metrics: Sequence[str]) -> list[str]:
    result = record.result
    choices = [c for made in result["choices"].values() for c in (made if isinstance(made, list) else [made])]
    names = " ".join(choice["name"] for choice in choices if choice["name"] not in ("none", result["task"]))
    data = f"{result['dataset']['name']} {result['dataset']['split']}"
    said = [
        points(result["metrics"][name]["value"], result["metrics"][name]["unit"]) if name in result["metrics"] else ""
        for name in metrics
    ]
    seed, scored = str(result["seed"]), str(result["samples"]["scored"])
    return [*map(_escaped, (result["task"], data, result["budget"], names)), seed, scored, *said, record.id]


# ------------------------------------------------------------------------------------------------------- text


def _headline(gate: Gate) -> str:
    """`gate failed: 1 regressed, 2 passed`."""
    counts = [f"{gate.count(word)} {word}" for word in _ORDER if gate.count(word)]
    strict = ", and what is inconclusive fails" if gate.strict else ""
    return f"gate {'failed' if gate.failed else 'passed'}: {', '.join(counts)}{strict}"


def _ordered(gate: Gate) -> list[Verdict]:
    """What fails first, then by word."""
    return sorted(gate.verdicts, key=lambda verdict: (not verdict.fails(gate.strict), _ORDER.index(verdict.word)))


def _numbers(verdict: Verdict) -> list[str]:
    """Baseline, today's value, their difference with its interval, and what may be lost."""
    unit = verdict.unit
    difference = {"value": verdict.difference, "low": verdict.low, "high": verdict.high}
    arrow = "↑" if verdict.higher_is_better else "↓"
    label = verdict.label or verdict.metric
    named = f"{label}{f' ({unit})' if unit not in ('points', '') else ''} {arrow if verdict.label else ''}".strip()
    values = [points(number, unit) for number in (verdict.baseline, verdict.value)]
    return [named, *values, with_interval(difference, unit, signed=True), points(verdict.tolerance, unit)]


_HEADERS = ("verdict", "row", "metric", "baseline", "now", "difference [95 %]", "tolerance", "seeds")


def _row(verdict: Verdict) -> list[str]:
    seeds = f"{verdict.seeds}{'*' if verdict.about == 'checkpoint' else ''}" if verdict.seeds else ""
    return [verdict.word, verdict.row, *_numbers(verdict), seeds]


def _text(gate: Gate) -> str:
    from tabulate import tabulate

    ordered = _ordered(gate)
    body = tabulate([_row(v) for v in ordered], _HEADERS, "simple", disable_numparse=True)
    reasons = [f"  {v.word}: {v.row}, {v.label or v.metric}: {v.reason}" for v in ordered if v.reason]
    return "\n".join(
        [body, *([""] if reasons else []), *reasons, "", *(f"  {note}" for note in gate.notes), "", _headline(gate)]
    )


def _json(gate: Gate) -> str:
    verdicts = [{**asdict(verdict), "fails": verdict.fails(gate.strict)} for verdict in gate.verdicts]
    counts = {word: gate.count(word) for word in _ORDER}
    body = {"failed": gate.failed, "strict": gate.strict, "counts": counts, "notes": list(gate.notes)}
    return json.dumps({**body, "verdicts": verdicts}, indent=2, allow_nan=False, ensure_ascii=False)


# ---------------------------------------------------------------------------------------------------- markdown


def _markdown(gate: Gate) -> str:
    """A heading, what fails or is undecided as a table, what passed folded away; short enough for a comment."""
    ordered = _ordered(gate)
    loud = [v for v in ordered if v.word != "passed"]
    quiet = [v for v in ordered if v.word == "passed"]
    reasons = [
        f"- **{v.word}**: {_escaped(v.row)}, {_escaped(v.label or v.metric)}: {_escaped(v.reason)}" for v in loud
    ]
    parts = [MARKER, f"### {_headline(gate)}", ""]
    parts += [*_table(loud), ""] if loud else []
    parts += [*(line for line, v in zip(reasons, loud) if v.reason), ""]
    met = [word for word in _ORDER if gate.count(word)]
    notes = [*(f"{word}: {_MEANING[word]}." for word in met), *gate.notes]
    notes += ["\\* fewer than 3 seeds."] if any(v.about == "checkpoint" for v in gate.verdicts) else []
    tail = ["", *(f"- {note}" for note in notes), ""]
    folded = ["<details><summary>passed</summary>", "", *_table(quiet), "", "</details>"] if quiet else []
    whole = "\n".join([*parts, *folded, *tail])
    if len(whole) <= LONGEST:
        return whole
    short = "\n".join([*parts, *tail])[:LONGEST].rsplit("\n", 1)[0]
    return f"{short}\n\nMore than a comment holds; `--format text` and `json` hold all."


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    rows = [_line(["**" + v.word + "**", *map(_escaped, _row(v)[1:])]) for v in verdicts]
    return [_line(_HEADERS), _line(["---"] * len(_HEADERS)), *rows]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text from data as a cell of a Markdown table that starts no tag, link, mention, code or emphasis."""
    one = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return "".join(f"\\{letter}" if letter in "\\|`*_[]~#" else letter for letter in one)


# ------------------------------------------------------------------------------------------------------- junit


def _junit(gate: Gate) -> str:
    """A suite with a case for each row and metric. What fails is a failure, what is inconclusive is skipped.

    A row that is not in the baseline is skipped too: it was not tested.
    """
    fails = sum(verdict.fails(gate.strict) for verdict in gate.verdicts)
    skipped = sum(_skipped(verdict, gate.strict) for verdict in gate.verdicts)
    counts = {
        "name": "addp-bench gate",
        "tests": str(len(gate.verdicts)),
        "failures": str(fails),
        "errors": "0",
        "skipped": str(skipped),
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", counts)
    for verdict in gate.verdicts:
        case = ElementTree.SubElement(suite, "testcase", classname=clean(verdict.row), name=clean(verdict.metric))
        said = f"{verdict.word}: {clean(verdict.reason) or _MEANING[verdict.word]}"
        detail = "; ".join(f"{name} {text}" for name, text in zip(_HEADERS[2:], _row(verdict)[2:]) if text)
        if verdict.fails(gate.strict):
            ElementTree.SubElement(case, "failure", message=said, type=verdict.word).text = detail
        elif _skipped(verdict, gate.strict):
            ElementTree.SubElement(case, "skipped", message=said).text = detail
        else:
            ElementTree.SubElement(case, "system-out").text = f"{verdict.word}: {detail}"
    if gate.notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(clean, gate.notes))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, "unicode")


def _skipped(verdict: Verdict, strict: bool) -> bool:
    return verdict.word in ("inconclusive", "new") and not verdict.fails(strict)


_STYLES: Mapping[str, Callable[[Gate], str]] = {
    "text": _text,
    "junit": _junit,
    "markdown": _markdown,
    "json": _json,
}
