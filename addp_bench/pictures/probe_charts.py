"""What a probe's record shows beside its metrics: layers and timesteps that were tried, classes taken for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.records import Record, clean

from .charts import BLUE, INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORST = 8  # confusions that are shown


def charts_of_probe(record: Record) -> list[Callable[[Axes], None]]:
    """Whatever a probe's record has something to draw for; nothing of other records."""
    charts: list[Callable[[Axes], None]] = []
    if len(tried(record)) > 1:
        charts.append(lambda axes: _tried(axes, record))
    if confused(record):
        charts.append(lambda axes: _confused(axes, record))
    return charts


def tried(record: Record) -> list[dict[str, Any]]:
    """Layers and timesteps among which the best was chosen, as `probing.Tried`; empty where there was no choice."""
    return [one for one in record.result.get("probe", {}).get("tried", ()) if one["accuracy"] is not None]


def confused(record: Record) -> list[tuple[str, str, int, int]]:
    """The commonest mistakes: a class, what it was taken for, how often, and how many there are of it."""
    if "probe" not in record.result:
        return []
    names, columns = record.result["probe"]["classes"], record.statistics.columns
    truth, predicted = (columns[name].astype(np.int64).tolist() for name in ("truth", "predicted"))
    there = Counter(truth)
    mistakes = Counter((a, b) for a, b in zip(truth, predicted) if a != b)
    worst = sorted(mistakes.items(), key=lambda pair: (-pair[1], pair[0]))[:WORST]
    return [(clean(names[a]), clean(names[b]), count, there[a]) for (a, b), count in worst]


def _tried(axes: Axes, record: Record) -> None:
    """Accuracy on `stats` against the timestep, a line for each layer; a ring round what was taken."""
    made, chosen = tried(record), record.result["probe"]
    layers = list(dict.fromkeys(one["layer"] for one in made))
    for k, layer in enumerate(layers):
        points = sorted((one["t"], one["accuracy"] * 100) for one in made if one["layer"] == layer)
        shade = (*(np.array([0.0, 0.45, 0.70]) * (0.35 + 0.65 * k / max(1, len(layers) - 1))), 1.0)
        axes.plot(*zip(*points), "o-", ms=3, lw=1.2, color=shade, label=layer)
    ring: dict[str, Any] = {"ms": 10, "mfc": "none", "mec": INK, "mew": 1.2, "clip_on": False}
    axes.plot(chosen["t"], chosen["accuracy"] * 100, "o", label="what was taken", **ring)
    axes.set_xticks(sorted({one["t"] for one in made}))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("timestep that photographs are noised to", fontsize=8)
    axes.set_ylabel("accuracy on stats, points", fontsize=8)
    dress(axes, "Layers and timesteps that were tried")
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=3)


def _confused(axes: Axes, record: Record) -> None:
    """Share of a class that was taken for another, for the commonest mistakes."""
    worst = confused(record)
    place = np.arange(len(worst))
    axes.barh(place, [100 * count / there for *_, count, there in worst], 0.7, color=BLUE)
    for y, (*_, count, there) in enumerate(worst):
        text = f"{count} of {there}"
        axes.annotate(text, (100 * count / there, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(place, [f"{truth[:14]} → {said[:14]}" for truth, said, *_ in worst])
    axes.invert_yaxis()
    axes.set_xlim(0, 110)
    axes.set_xlabel("share of the class, %", fontsize=8)
    dress(axes, "Classes taken for others, the commonest mistakes")
