"""Which samples a section shows, and how every cell fared on each: from records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.pictures.report import pick, scores
from addp_bench.randomness import numpy_generator
from addp_bench.records import Record, clean
from addp_bench.results.rendering import Section

RIGHT = 0.5  # from here on a sample counts as answered, where points are scored and more is better
MOST = 400_000  # scores that a page holds of all samples of a section; about 2 MB
DISPUTED = "disputed"


@dataclass(frozen=True)
class Chosen:
    """Samples of a section, the same for all of its cells.

    cells: those with statistics, in the order of the rows. metric: id of what single samples are scored by. ids (N,) of
    all samples. scores: cell id -> (N,) float64 in the metric's stored unit, nan where a sample has none. shown: id,
    group (worst, disputed, best or random) and note of those that pictures are made for.
    """

    cells: Sequence[Record]
    metric: str
    ids: np.ndarray
    scores: Mapping[str, np.ndarray]
    shown: Sequence[Mapping[str, Any]]


def choose(section: Section, records: Mapping[str, Record], count: int) -> Chosen | None:
    """At most `count` samples, by turns: those on which cells disagree, and between them of the row ranked first its
    worst, its best, others at random. None where no sample has a score of its own.

    records: by id, of all cells of the section.
    """
    rows = sorted(section.rows, key=lambda row: row["rank"] is None)
    cells = [records[cell] for row in rows if not row["problem"] for cell in row["cells"] if cell in records]
    cells = [record for record in cells if _readable(record)]
    if not cells:
        return None
    first, fewest = cells[0], min(cells, key=lambda record: len(record.statistics))
    metric = _metric(section, first)
    if metric is None:
        return None
    ids = fewest.statistics.ids
    scored = {record.id: _placed(record, metric, ids) for record in cells}
    picked = _groups(first, count, set(ids.tolist()))
    disputed = [{"id": sample, "group": DISPUTED} for sample in _disputed(section, metric, ids, scored, count)]
    shown: dict[str, dict[str, Any]] = {}
    for turn in zip_longest(disputed, _by_turns([picked.get(group, []) for group in ("worst", "best", "random")])):
        for sample in turn:
            if sample and len(shown) < count:
                shown.setdefault(sample["id"], {**sample, "note": _level(first, sample["id"])})
    return Chosen(cells, metric, ids, scored, list(shown.values()))


def bar(section: Section, metric: str) -> float | None:
    """The score from which a sample counts as answered; None for a metric that knows no right and wrong."""
    said = section.metrics[metric]
    return RIGHT if said["unit"] == "points" and said["higher_is_better"] else None


def _readable(record: Record) -> bool:
    try:
        return len(record.statistics) > 0
    except BadData:
        return False  # the table's notes say so


def _metric(section: Section, record: Record) -> str | None:
    """The headline, or the first metric of its kind that scores every sample: a ratio of sums may be 0 / 0 in one."""
    headline = next(iter(section.metrics))
    like = [
        name
        for name, said in section.metrics.items()
        if all(said[what] == section.metrics[headline][what] for what in ("unit", "higher_is_better"))
    ]
    found = {name: scores(record, name) for name in like[:2]}
    if found[headline] is None:
        return None
    whole = [name for name, made in found.items() if made is not None and not np.isnan(made).any()]
    return next(iter(whole), headline)


def _placed(record: Record, metric: str, ids: np.ndarray) -> np.ndarray:
    """A record's scores in the order of `ids`."""
    made = scores(record, metric)
    values = {} if made is None else dict(zip(record.statistics.ids.tolist(), made.tolist()))
    return np.array([values.get(sample, np.nan) for sample in ids.tolist()], np.float64)


def _groups(record: Record, count: int, wanted: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Worst, best and random samples of a record, `count` of each where there are so many."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in pick(record, count) if count else ():
        if sample["id"] in wanted:
            found.setdefault(sample["group"], []).append({"id": sample["id"], "group": sample["group"]})
    return found


def _level(record: Record, sample: str) -> str:
    """How hard a sample is said to be, "" where nothing is."""
    levels = record.statistics.attributes.get("level", ())
    return next((clean(str(level)) for found, level in zip(record.statistics.ids, levels) if found == sample), "")


def _disputed(
    section: Section, metric: str, ids: np.ndarray, scored: Mapping[str, np.ndarray], count: int
) -> list[str]:
    """Ids of samples such that soon every two cells have one that the one answers and the other does not.

    One after the other, always a sample that tells most of the pairs apart which none before it did; equals at random.
    Of a metric that knows no right and wrong: the samples on which scores vary most.
    """
    made = np.stack(list(scored.values()), axis=1)  # (N, K)
    limit = bar(section, metric)
    shuffled = numpy_generator("disputed", len(ids)).permutation(len(ids))
    if limit is None:
        spread = np.nan_to_num(np.var(made, axis=1))
        return [str(ids[i]) for i in shuffled[np.argsort(-spread[shuffled], kind="stable")][:count] if spread[i] > 0]
    right = (made >= limit).astype(np.float64)
    right[np.isnan(made).any(axis=1)] = 1.0  # split nobody
    open_ = np.ones((made.shape[1],) * 2)
    found: list[str] = []
    while len(found) < count:
        gain = ((right @ open_) * (1.0 - right)).sum(axis=1)[shuffled]
        best = shuffled[int(np.argmax(gain))]
        if not gain.max():
            return found
        found.append(str(ids[best]))
        split = np.outer(right[best], 1.0 - right[best])
        open_ *= 1.0 - split - split.T
    return found


def _by_turns(groups: Sequence[Sequence[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The first of every group, then the second of every group."""
    for k in range(max(map(len, groups), default=0)):
        yield from (group[k] for group in groups if k < len(group))
