"""`check plugin`: which plugins are meant, and what was found of them as a table, as Markdown or as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from addp_bench.cli.options import answer, say

if TYPE_CHECKING:
    from addp_bench.checks import Finding
    from addp_bench.registry import Registry
    from addp_bench.spec import Choice


LONGEST = 400  # characters of what was met that are shown


class Checked(NamedTuple):
    """What was found of one plugin. seconds: of its main call, None where there is none. unbuilt: why it was not
    checked at all."""

    kind: str
    choice: Choice
    origin: str
    findings: Sequence[Finding]
    seconds: float | None
    unbuilt: str

    def count(self, state: str) -> int:
        """How many clauses were "BROKEN" for anything that was looked at, else "ok" for something, else "-"."""
        states: dict[str, set[str]] = {}
        for finding in self.findings:
            states.setdefault(finding.clause, set()).add(_state(finding))
        return sum(next(s for s in ("BROKEN", "ok", "-") if s in met) == state for met in states.values())


def file_of(what: str) -> Path | None:
    """The plugin file that is meant, None where something else is. Raises BadPlugin where it does not exist."""
    from addp_bench.errors import BadPlugin

    if not what.endswith(".py") or "=" in what.partition("/")[0]:
        return None
    if not (file := Path(what).expanduser()).is_file():
        raise BadPlugin(f"there is no plugin file {what}; check plugin takes the path of a Python file")
    return file


def picked(registry: Registry, what: str) -> list[tuple[str, Choice]]:
    """The plugins that are meant: by KIND=NAME, file, distribution, or a NAME that one alone has.

    Raises UnknownName, and BadOption for a name of several kinds and for a file that was set aside.
    """
    from addp_bench.checks import registered_by
    from addp_bench.errors import BadOption, unknown
    from addp_bench.spec import KINDS, Choice, tidy

    kind, _, text = what.partition("=")
    if tidy(kind) in KINDS and text:
        choice = Choice.parse(text)
        registry.get(tidy(kind), choice.name)
        return [(tidy(kind), choice)]
    if (file := file_of(what)) is not None:
        if (why := registry.failures.get(str(file.resolve()))) is not None:
            raise BadOption(f"{what} was set aside: {why}")
        return [(entry.kind, Choice(entry.name)) for entry in registered_by(registry, file)]
    choice = Choice.parse(what)
    distributions = {tidy(e.origin.rpartition(" ")[0]) for e in registry.entries()} - {""}
    if choice.name in distributions and not choice.options:
        return [(entry.kind, Choice(entry.name)) for entry in registered_by(registry, what)]
    named = [e for e in registry.entries() if choice.name in (e.name, *e.aliases)]
    if len(named) == 1:
        return [(named[0].kind, choice)]
    if named:
        several = ", ".join(f"{e.kind}={e.name}" for e in named)
        raise BadOption(f"{choice.name} is the name of several plugins; say one of {several}")
    known = {name for e in registry.entries() for name in (e.name, *e.aliases)} | distributions
    note = "check plugin takes KIND=NAME, NAME, the path of a .py file, or a distribution."
    raise unknown("plugin or distribution", what, known, note)


def report(registry: Registry, plugins: Sequence[tuple[str, Choice]], style: str) -> bool:
    """Check them and print what was found, as "table", "markdown" or "json". True where no promise is broken."""
    found = _checked(registry, plugins)
    if style == "json":
        every = list(found)
        answer({"plugins": [_plain(one) for one in every]})
    else:
        every = []
        for one in found:  # each as soon as it is known
            say(("\n" if every else "") + (_table if style == "table" else _markdown)(one))
            every.append(one)
        if len(every) > 1:
            say(f"\n{_total(every)}")
    return not any(one.count("BROKEN") for one in every)


def _checked(registry: Registry, plugins: Sequence[tuple[str, Choice]]) -> Iterator[Checked]:
    from addp_bench import checks
    from addp_bench.errors import BenchError

    for kind, choice in plugins:
        entry = registry.get(kind, choice.name)
        try:
            findings = list(checks.check(registry, kind, choice))
        except BenchError as refused:
            if len(plugins) == 1:
                raise type(refused)(f"{refused}{_how(kind, choice, registry)}") from refused
            yield Checked(kind, choice, entry.origin, (), None, f"{refused}{_how(kind, choice, registry)}")
            continue
        whole = not any(f.problem for f in findings if f.clause in (f"{kind}.builds", f"{kind}.works"))
        yield Checked(
            kind, choice, entry.origin, findings, checks.seconds(registry, kind, choice) if whole else None, ""
        )


def _how(kind: str, choice: Choice, registry: Registry) -> str:
    """How to give the options that have no default."""
    from addp_bench.registry import REQUIRED

    needed = [o.name for o in registry.get(kind, choice.name).options if o.default is REQUIRED]
    if not set(needed) - set(choice.options):
        return ""
    return f" Check it as {kind}={choice.name}:{':'.join(f'{name}=...' for name in needed)}"


def _state(finding: Finding) -> str:
    return "BROKEN" if finding.problem else "-" if finding.unseen else "ok"


def _headline(one: Checked) -> str:
    took = "" if one.seconds is None else f", {1000 * one.seconds:.3g} ms a call"
    return f"{one.kind} {one.choice} ({one.origin}){took}"


def _counts(one: Checked) -> str:
    if one.unbuilt:
        return f"not checked: {one.unbuilt}"
    return f"{one.count('ok')} kept, {one.count('BROKEN')} broken, {one.count('-')} not checked here"


def _total(every: Sequence[Checked]) -> str:
    broken = [f"{one.kind}={one.choice}" for one in every if one.count("BROKEN")]
    unbuilt = sum(bool(one.unbuilt) for one in every)
    told = f"{len(every)} plugins: {len(every) - len(broken) - unbuilt} keep their contract"
    told += f", {len(broken)} {'breaks its' if len(broken) == 1 else 'break theirs'} ({', '.join(broken)})" * bool(
        broken
    )
    return told + f", {unbuilt} not checked" * bool(unbuilt)


def _rows(one: Checked) -> list[list[str]]:
    """A row for each clause and outcome; samples and settings that have it in common share one."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for f in one.findings:
        told = textwrap.shorten(f.problem or f.unseen, LONGEST, placeholder=" ...")  # an exception may be of many lines
        rows.setdefault((_state(f), f.clause, told), []).append(f.of)
    return [
        [state, clause, _promise(clause, of if state == "BROKEN" else []), told]
        for (state, clause, told), of in rows.items()
    ]


def _promise(clause: str, of: Sequence[str]) -> str:
    from addp_bench.checks import CLAUSES

    where = [name for name in of if name]
    told = ", ".join(where[:3]) + ", ..." * (len(where) > 3)
    return f"{CLAUSES[clause]} ({told})" if told else CLAUSES[clause]


def _table(one: Checked) -> str:
    rows = _rows(one)
    width = max((len(row[1]) for row in rows), default=0)
    lines = [
        f"{state:<8}{clause:<{width}}  {promise}{f': {told}' * bool(told)}" for state, clause, promise, told in rows
    ]
    return "\n".join([_headline(one), *lines, _counts(one)])


def _markdown(one: Checked) -> str:
    rows = [f"| {' | '.join(part.replace('|', chr(92) + '|') for part in row)} |" for row in _rows(one)]
    table = ["| | clause | promise | met |", "|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## {_headline(one)}", "", *table, _counts(one)])


def _plain(one: Checked) -> dict[str, Any]:
    findings = [
        {
            "clause": f.clause,
            "what": f.promise,
            "ok": None if f.unseen else f.problem is None,
            "problem": f.problem,
            "unseen": f.unseen or None,
        }
        for f in one.findings
    ]
    whole = {"kind": one.kind, **one.choice.plain(), "origin": one.origin, "seconds": one.seconds}
    return {**whole, "unchecked": one.unbuilt or None, "findings": findings}
