"""Leaderboards, from records alone: rows ranked only against rows that were judged alike, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from addp_bench.errors import BadData, BadRequest, NothingSelected, unknown
from addp_bench.protocol_cards import told
from addp_bench.protocols import Metric
from addp_bench.records import Record, clean, metric_of
from addp_bench.statistics import Statistics

from .axes import axes_of
from .breakdown import broken_down, groups_of, number, silent
from .grid import SEPARATED
from .rendering import FEW_SEEDS, INCOMPLETE, NOT_TRAINED, SEES_TRUTH, Section, Table, render
from .selection import Comparable, Row, comparable, rows_of, select
from .uncertainty import RESAMPLES, SEEDS_OF_A_METHOD, Difference, Interval, Panel, Runs, about, only

__all__ = ["Section", "Table", "leaderboard", "render"]

Rebuild = Callable[[Record, str], Metric | None]


def leaderboard(
    records: Sequence[Record],
    where: Sequence[str] = (),
    reference: Sequence[str] = (),
    *,
    extra: Mapping[str, Sequence[str]] | None = None,
    resamples: int = RESAMPLES,
    rebuild: Rebuild = metric_of,
    by: str = "",
    of: str = "",
    ceiling: bool = False,
) -> Table:
    """All records that meet `where`, grouped over seeds, in sections that may be compared.

    where: conditions as in `selection.select`. reference: conditions that pick the row which others are compared with
    (`["weights=uniform", "aug=none"]`, or `["cell=1a2b"]`). extra: header -> one text for each of `records`.
    rebuild: makes the metric of a record, to resample it; None for one that it does not know.
    by: an attribute of the samples (level, kind, ...), whose values become the columns; of: the metric they show, the
    headline by default. ceiling: show what the truth itself scores, drawn as each row draws it.

    A row is a plain mapping: rank, rank_interval (low, high) and tier (None where it cannot be ranked) · choices, axis
    -> text · marks · cells, seeds, missing_seeds · metrics, id -> value, and low and high for the headline · difference
    from the reference (value, low, high, p, p_holm, about) or None · reference, whether it is that row · ceiling, of
    the headline, or None · about, "method" or "checkpoint" · samples, asked and scored · deviates, what is not as the
    protocol's card asks · problem, why it is not ranked · extra · groups, see `breakdown.broken_down`.

    Raises NothingSelected when no record, or no row for the reference, is left; UnknownName for a field, an attribute
    or a metric; BadRequest for a reference that fits several rows of a section.
    """
    found = select(records, where)
    added = {name: {r.id: clean(text) for r, text in zip(records, texts)} for name, texts in (extra or {}).items()}
    drafts = [_Draft(members, rebuild, resamples) for members in comparable(rows_of(found))]
    if reference:
        for draft in drafts:
            draft.compare(reference)
        if not any(draft.compared for draft in drafts):
            select(found, reference)  # says which condition nothing meets
            raise NothingSelected(f"the reference {' '.join(reference)} fits no row that can be ranked")
    if by:
        _break_down(drafts, by, of)
    sections = [draft.section(added, ceiling) for draft in drafts]
    return Table([_told_apart(section, sections) for section in sections], tuple(added))


def _break_down(drafts: Sequence[_Draft], by: str, of: str) -> None:
    """Give the drafts their groups. Raises UnknownName when no draft has such an attribute or such a metric."""
    found = [draft.break_down(by, of or draft.headline) for draft in drafts]
    if any(found):
        return
    metrics = {name for draft in drafts for name in draft.members.result["metrics"]}
    if of and of not in metrics:
        raise unknown("metric of these records", of, metrics)
    attributes = {name for d in drafts for j in d.ranked if j.runs for name in j.row.first.statistics.attributes}
    if attributes and by not in attributes:
        raise unknown("attribute of these samples", by, attributes)
    raise NothingSelected(f"{of or 'the headline'} of these records cannot be made again for parts of the samples")


@dataclass(eq=False)
class _Judged:
    """A row on its way into a section. interval: where the metric can be resampled. rank, ranks (the first and the
    last that it may have), tier: where it competes."""

    row: Row
    runs: Runs | None = None
    problem: str | None = None
    restricted: bool = False  # judged on fewer samples than it was scored on, to be comparable
    interval: Interval | None = None
    rank: int | None = None
    ranks: tuple[int, int] | None = None
    tier: int | None = None
    difference: tuple[Difference, float] | None = None
    reference: bool = False
    values: dict[str, float | None] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


class _Draft:
    """One section in the making."""

    def __init__(self, members: Comparable, rebuild: Rebuild, resamples: int) -> None:
        self.members, self.rebuild, self.headline, self.resamples = members, rebuild, members.headline, resamples
        self.metric = rebuild(members.rows[0].first, self.headline)
        self.judged = [self._read(row) for row in members.rows]
        self.compared = False
        self.by = self.of = ""
        self.groups: dict[str, int] = {}  # samples of each
        for judged in self.judged:
            judged.values = self._values(judged)
            if judged.values[self.headline] is None and not judged.problem:
                judged.problem = clean(judged.row.first.result["metrics"][self.headline]["reason"] or "no value")
        self.ranked = self._rank(resamples)

    def _read(self, row: Row) -> _Judged:
        if not row.complete:
            scored = min(record.coverage for record in row.records)
            return _Judged(row, problem=f"only {math.floor(scored * 1000) / 10} % of its samples were scored")
        if self.metric is None:
            return _Judged(row)
        try:
            by_seed = {seed: record.statistics for seed, record in row.by_seed.items()}
        except BadData as damaged:
            return _Judged(row, problem=str(damaged))
        return _Judged(row, Runs(by_seed, row.trained))

    def _rank(self, resamples: int) -> list[_Judged]:
        """The rows that have a value, in order, with ranks and intervals; those that saw the truth do not compete."""
        usable = [j for j in self.judged if not j.problem]
        better = -1 if self._said(self.headline)["higher_is_better"] else 1
        if self.metric is not None and usable:
            self._restrict(usable)
            usable = [j for j in usable if not j.problem]
        usable.sort(key=lambda j: (better * (j.values[self.headline] or 0.0), j.row.first.id))
        competing = [k for k, judged in enumerate(usable) if not judged.row.uses_truth]
        for place, k in enumerate(competing):
            usable[k].rank = place + 1
        if self.metric is not None and usable:
            self.panel = Panel(self.metric, [j.runs for j in usable if j.runs], resamples=resamples)
            placed = zip(usable, self.panel.tiers(competing), self.panel.ranks(competing))
            for k, (judged, tier, ranks) in enumerate(placed):
                judged.interval, judged.tier, judged.ranks = self.panel.interval(k), tier, ranks
        return usable

    def _restrict(self, usable: Sequence[_Judged]) -> None:
        """Cut rows that were judged on more samples down to those of the section; refuse those that lack some."""
        fewest = min((j.runs for j in usable if j.runs), key=lambda runs: len(_any(runs)))
        ids = _any(fewest).ids
        wanted = set(ids.tolist())
        for judged in usable:
            if judged.runs is None or all(np.array_equal(s.ids, ids) for s in judged.runs.by_seed.values()):
                continue
            if all(wanted <= set(s.ids.tolist()) for s in judged.runs.by_seed.values()):
                cut = {seed: only(s, ids) for seed, s in judged.runs.by_seed.items()}
                judged.runs, judged.restricted = Runs(cut, judged.runs.trained), True
                judged.values = self._values(judged)
            else:
                judged.problem = "was judged on other samples"

    def _values(self, judged: _Judged) -> dict[str, float | None]:
        """Metric id -> mean over seeds, None where a seed has no value."""
        found: dict[str, float | None] = {}
        for name in self.members.result["metrics"]:
            values = [r.result["metrics"].get(name, {}).get("value") for r in judged.row.records]
            if judged.restricted and judged.runs:
                metric = self.rebuild(judged.row.first, name)
                values = [
                    None if metric is None or math.isnan(v := float(metric.value(s.columns))) else v
                    for s in judged.runs.by_seed.values()
                ]
            found[name] = None if None in values else sum(values) / len(values)
        return found

    def compare(self, reference: Sequence[str]) -> None:
        """Difference of every ranked row from the one that meets the conditions; nothing where none does."""
        if self.metric is None:
            return
        try:
            wanted = {r.id for r in select([r for j in self.ranked for r in j.row.records], reference)}
        except NothingSelected:
            return
        fitting = [k for k, j in enumerate(self.ranked) if any(r.id in wanted for r in j.row.records)]
        if len(fitting) > 1:
            several = ", ".join(self.ranked[k].row.first.id for k in fitting[:5])
            raise BadRequest([f"the reference {' '.join(reference)} fits {len(fitting)} rows ({several}); say more"])
        for judged, difference in zip(self.ranked, self.panel.differences(fitting[0])):
            judged.difference, judged.reference = difference, difference is None
        self.compared = True

    def break_down(self, by: str, of: str) -> bool:
        """Find the metric `of` in each group of samples; False where these have no such attribute or metric."""
        metric = self.rebuild(self.members.rows[0].first, of) if of in self.members.result["metrics"] else None
        runs = [judged.runs for judged in self.ranked if judged.runs]
        ids = _any(runs[0]).ids if runs else None
        groups = None if ids is None else groups_of(by, self.ranked[0].row.first.statistics, ids)
        if metric is None or groups is None:
            return False
        reference = next((k for k, judged in enumerate(self.ranked) if judged.reference), None)
        found = broken_down(metric, runs, groups, reference, self.resamples)
        for judged, entries in zip(self.ranked, found):
            judged.groups = entries
        self.by, self.of, self.groups = by, of, {name: entry["samples"] for name, entry in found[0].items()}
        return True

    def section(self, extra: Mapping[str, Mapping[str, str]], ceiling: bool) -> Section:
        """The finished section, ranked rows first. ceiling: whether it shows what the truth itself scores."""
        rest = sorted((j for j in self.judged if j not in self.ranked), key=lambda j: j.row.first.id)
        ordered = [*self.ranked, *rest]
        same, axes, choices = axes_of([j.row for j in ordered])
        seeds = sorted({seed for j in ordered if j.row.trained for seed in j.row.by_seed})
        rows = [self._plain(j, made, seeds, extra) for j, made in zip(ordered, choices)]
        dataset, protocol = self.members.result["dataset"], self.members.result["protocol"]
        heading = {
            "task": clean(self.members.result["task"]),
            "dataset": clean(dataset["name"]),
            "split": clean(dataset["split"]),
            "protocol": clean(protocol["name"]),
            "budget": clean(self.members.budget),
            "samples": self.members.asked,
            "details": {name: clean(text) for name, text in self.members.details.items()},
        }
        metrics = {name: self._said(name) for name in self.members.result["metrics"]}
        groups = {clean(name): samples for name, samples in self.groups.items()}
        notes = self._notes(rows) + (self._notes_on_ceilings() if ceiling else [])
        return Section(heading, same, axes, metrics, rows, notes, self.by, self.of, groups, ceiling)

    def _plain(
        self, judged: _Judged, choices: dict[str, str], seeds: Sequence[int], extra: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        row = judged.row
        metrics: dict[str, dict[str, Any]] = {name: {"value": value} for name, value in judged.values.items()}
        metrics[self.headline] |= {"low": None, "high": None} | (_ends(judged.interval) if judged.interval else {})
        difference = None
        if judged.difference:
            plain, corrected = judged.difference
            difference = {
                "value": number(plain.value),
                **_ends(plain),
                "p": number(plain.p),
                "p_holm": corrected,
                "about": plain.about,
            }
        marks = (not row.trained) * NOT_TRAINED + bool(row.uses_truth) * SEES_TRUTH + bool(judged.problem) * INCOMPLETE
        return {
            "rank": judged.rank,
            "rank_interval": dict(zip(("low", "high"), judged.ranks)) if judged.ranks else None,
            "tier": judged.tier,
            "choices": choices,
            "marks": marks,
            "uses_truth": list(row.uses_truth),
            "cells": [record.id for record in row.records],
            "seeds": list(row.by_seed),
            "missing_seeds": [seed for seed in seeds if seed not in row.by_seed] if row.trained else [],
            "older": row.older,
            "metrics": metrics,
            "difference": difference,
            "reference": judged.reference,
            "ceiling": self._ceiling(judged),
            "about": about(len(row.by_seed), row.trained),
            "samples": self._samples(judged),
            "deviates": dict(row.first.result["protocol"].get("deviates", {})),
            "restricted": judged.restricted,
            "problem": judged.problem,
            "groups": {clean(name): entry for name, entry in judged.groups.items()},
            "extra": {
                name: " ".join(dict.fromkeys(texts[r.id] for r in row.records if texts.get(r.id)))
                for name, texts in extra.items()
            },
        }

    def _ceiling(self, judged: _Judged) -> float | None:
        """Mean over seeds of the headline's; None where a record has none, or one of other samples."""
        found = [r.result.get("ceiling", {}).get("metrics", {}).get(self.headline) for r in judged.row.records]
        return None if judged.restricted or None in found else sum(found) / len(found)

    def _notes_on_groups(self, resampled: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        label = self._said(self.of)["label"]
        notes = [
            f"{label} by {clean(self.by)}. {resampled} Those of a group are made within it, each as if it were alone."
        ]
        if self.compared:
            notes.append(
                "The reference shows its own values, every other row its differences from them, paired by sample. "
                f"{SEPARATED} separated from 0 at 5 %, Holm-corrected over all rows and groups."
            )
        if mute := silent([row["groups"] for row in rows if row["groups"]]):
            notes.append(f"{_list(mute)}: no row has any {label} there, so it tells nothing; --metric shows another.")
        return notes

    def _notes_on_ceilings(self) -> list[str]:
        drawn = [judged for judged in self.judged if "encoding" in judged.row.axes]
        lacking = [judged.row.first.id for judged in drawn if self._ceiling(judged) is None]
        said = "Ceiling: what the truth itself scores, drawn as the row draws it, through its codec and read back."
        return [said] * bool(drawn) + [f"No ceiling in the records of {_list(lacking)}."] * bool(lacking)

    def _samples(self, judged: _Judged) -> dict[str, int]:
        if judged.restricted:
            return {"asked": self.members.asked, "scored": self.members.asked}
        counts = [record.result["samples"] for record in judged.row.records]
        return {name: min(count[name] for count in counts) for name in ("asked", "scored")}

    def _said(self, name: str) -> dict[str, Any]:
        metric = self.members.result["metrics"][name]
        said = {key: metric[key] for key in ("unit", "higher_is_better", "version")}
        return {"label": clean(metric["label"]), **said}

    def _notes(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """What a reader must know before quoting a number, and nothing that no row gives rise to."""
        notes = []
        label = self._said(self.headline)["label"]
        if self.metric is None:
            notes.append(f"No intervals: this version cannot make {label} again from the records; ranks are by value.")
        elif any(row["tier"] for row in rows):
            several = ", with a t interval over seeds" if any(len(row["seeds"]) > 1 for row in rows) else ""
            resampled = f"[95 %]: {self.panel.resamples} resamples of {self.panel.clusters} images{several}."
            tier = (
                "A tier holds the rows not separated from its best at 5 % (paired, Holm-corrected); the interval of a "
                "rank leaves out the ranks that its comparisons with all other rows rule out, likewise."
            )
            notes += self._notes_on_groups(resampled, rows) if self.groups else [f"{resampled} {tier}"]
        if any(row["difference"] for row in rows) and not self.groups:
            notes.append("Differences are paired by sample; p is two-sided and Holm-corrected over the rows.")
        if any(row["about"] == "checkpoint" for row in rows):
            notes.append(
                f"{FEW_SEEDS} fewer than {SEEDS_OF_A_METHOD} seeds: speaks of these checkpoints, not of a method."
            )
        if missing := [f"{row['cells'][0]}: {_list(row['missing_seeds'])}" for row in rows if row["missing_seeds"]]:
            notes.append(f"Missing seeds: {'; '.join(missing)}.")
        if any(NOT_TRAINED in row["marks"] for row in rows):
            notes.append(f"{NOT_TRAINED} not trained here.")
        if looked := sorted({kind for row in rows for kind in row["uses_truth"]}):
            notes.append(f"{SEES_TRUTH} looks at the truth ({_list(looked)}), and is shown without a rank.")
        if any(row["restricted"] for row in rows):
            notes.append(f"Rows scored on more samples are judged here on the {self.members.asked} of this table.")
        if other := [f"{row['cells'][0]}: {clean(told(row['deviates']))}" for row in rows if row["deviates"]]:
            notes.append(f"Not as the protocol's card asks (in brackets): {'; '.join(other)}.")
        notes += [f"{INCOMPLETE} not ranked: {row['cells'][0]} {row['problem']}." for row in rows if row["problem"]]
        if older := sum(row["older"] for row in rows):
            notes.append(f"{older} older records of the same rows and seeds are left out; `why` says what changed.")
        return notes


def _told_apart(section: Section, sections: Sequence[Section]) -> Section:
    """The section with a note on what sets it apart from others of the same title."""

    def title(of: Section) -> list[Any]:
        return [value for name, value in of.heading.items() if name != "details"]

    details = section.heading["details"]
    namesakes = [s.heading["details"] for s in sections if s is not section and title(s) == title(section)]
    telling = {
        name for other in namesakes for name in details.keys() | other.keys() if details.get(name) != other.get(name)
    }
    if not telling:
        return section
    said = ", ".join(f"{name} {details.get(name, 'absent')}" for name in sorted(telling))
    return replace(section, notes=[f"Not comparable with the other table of this title; here {said}.", *section.notes])


def _any(runs: Runs) -> Statistics:
    return next(iter(runs.by_seed.values()))


def _ends(interval: Interval) -> dict[str, float | None]:
    return {end: number(getattr(interval, end)) for end in ("low", "high")}


def _list(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
