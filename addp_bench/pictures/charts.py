"""The charts of a cell: how its metric grows along the trajectory over what was trained, what explained the result, and
how it fares on parts of the data."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.records import Record, clean, metric_of
from addp_bench.results.rendering import points
from addp_bench.results.uncertainty import Runs, chosen, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .drift import Shown

# Okabe and Ito (2008): told apart by people with any colour vision, and, light against dark, on grey paper
BLUE, ORANGE, RED, GREY, SILVER, INK = "#0072B2", "#E69F00", "#D55E00", "#666666", "#CDD1D6", "#222222"


def charts_of(record: Record, drift: Shown | None = None) -> list[Callable[[Axes], None]]:
    """Whatever the record has something to draw for. drift: what its network was shown in training."""
    result = record.result
    charts: list[Callable[[Axes], None]] = []
    if result["curve"] and len(result["curve"]["t"]) > 1:
        charts.append(lambda axes: _curve(axes, record))
        if drift is not None:
            charts.append(lambda axes: _drift(axes, record, drift))
    if result.get("tuning"):
        charts.append(lambda axes: _tuning(axes, record))
    if result["contribution"]:
        charts.append(lambda axes: _contribution(axes, result["contribution"]))
    if result["slices"]:
        name = "level" if "level" in result["slices"] else next(iter(result["slices"]))
        charts.append(lambda axes: _slices(axes, record, name))
    return charts


def _alike(record: Record, known: Mapping[str, Any]) -> list[str]:
    """The headline and the next metric of its unit, of those known."""
    metrics, headline = record.result["metrics"], record.result["metrics"][record.headline]
    alike = ("unit", "higher_is_better")  # an error beside an accuracy would be a flat line at the foot of its axis
    return [n for n, m in metrics.items() if n in known and all(m[what] == headline[what] for what in alike)][:2]


def _scale(metric: Mapping[str, Any]) -> tuple[float, str]:
    """By what a stored number is multiplied to be shown, and the unit it then has."""
    return (100.0, "points") if metric["unit"] == "points" else (1.0, clean(metric["unit"]))


def _reach(lines: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends of an axis that shows 0 and all of these numbers, of which nan is none."""
    values = np.concatenate([np.zeros(1), *lines])
    low, high = float(np.nanmin(values)) * 1.12, float(np.nanmax(values)) * 1.12
    return low, (high if high > low else 1.0)


def _curve(axes: Axes, record: Record) -> None:
    """Metric against timestep, over the share of training that each tenth of the timesteps got. Both show their 0."""
    result = record.result
    curve, mass = result["curve"], result["timestep_mass"]
    steps = max(1000, max(curve["t"]) + 1)
    behind = _mass(axes, mass, steps) if mass else None
    headline = result["metrics"][record.headline]
    scale, unit = _scale(headline)
    drawn = []
    styles = ((BLUE, "-", "o", 2.0), (ORANGE, "--", "s", 1.3))
    for name, (colour, line, marker, width) in zip(_alike(record, curve["metrics"]), styles):
        values = np.array([np.nan if v is None else v * scale for v in curve["metrics"][name]], np.float64)
        drawn.append(values)
        label = clean(result["metrics"][name]["label"])
        axes.plot(curve["t"], values, line, color=colour, marker=marker, ms=4, lw=width, label=label, clip_on=False)
        at = (result["read_at"] or {}).get("index", len(values))
        if name == record.headline and at < len(values):
            ring: dict[str, Any] = {"ms": 10, "mfc": "none", "mec": INK, "mew": 1.2, "clip_on": False}
            axes.plot(curve["t"][at], values[at], "o", label="the step that is read", **ring)
    axes.set_xlim(steps, -0.02 * steps)
    axes.set_ylim(*_reach(drawn))
    axes.set_xlabel(f"timestep:  pure noise at {steps}  →  clean at 0, as sampled", fontsize=8)
    axes.set_ylabel(f"{clean(headline['label'])}, {unit} (lines)", fontsize=8)
    dress(axes, "Quality of the answer at each step, over what was trained")
    handles, labels = axes.get_legend_handles_labels()
    if behind is not None:
        handles, labels = [*handles, behind], [*labels, "share of training"]
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.19), "ncols": 4}
    axes.legend(handles, labels, fontsize=7.5, frameon=False, columnspacing=1.2, handlelength=1.6, **below)


def _drift(axes: Axes, record: Record, drift: Shown) -> None:
    """What training shows the network at each timestep, and what sampling does: the estimate it made there."""
    result, headline = record.result, record.result["metrics"][record.headline]
    scale, unit = _scale(headline)

    def scaled(values: Sequence[float | None]) -> np.ndarray:
        return np.array([np.nan if v is None else v * scale for v in values], np.float64)

    lines = [(scaled([drift.clean] * len(drift.t)), GREY, ":", "", "training: the truth")]
    if drift.damaged is not None:
        aug = clean(result["choices"]["aug"]["name"])
        lines.append((scaled(drift.damaged), ORANGE, "--", "s", f"training, aug {aug}"))
    sampled = scaled(result["curve"]["metrics"][record.headline])
    lines.append((sampled, BLUE, "-", "o", "sampling: its estimate"))
    for values, colour, line, marker, label in lines:
        axes.plot(drift.t, values, line, color=colour, marker=marker, ms=4, lw=1.6, label=label, clip_on=False)
    steps = max(1000, max(drift.t) + 1)
    axes.set_xlim(steps, -0.02 * steps)
    axes.set_ylim(*_reach([values for values, *_ in lines]))
    axes.set_xlabel(f"timestep; the truth of {drift.samples} samples, drawn and read back", fontsize=8)
    axes.set_ylabel(f"{clean(headline['label'])}, {unit}", fontsize=8)
    dress(axes, "Drift: how right is what the network is shown")
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.19), "ncols": 3}
    axes.legend(fontsize=7.5, frameon=False, columnspacing=1.2, **below)


def _tuning(axes: Axes, record: Record) -> None:
    """The metric that chose a threshold, at every value that was tried."""
    tuning = record.result["tuning"]
    metric = record.result["metrics"][tuning["metric"]]
    scale, unit = _scale(metric)
    curve = np.array([np.nan if v is None else v * scale for v in tuning["curve"]])
    axes.plot(tuning["values"], curve, "-o", color=BLUE, ms=3, lw=1.5, label=clean(metric["label"]))
    for value, colour, words in ((tuning["own"], GREY, "the encoding's own"), (tuning["value"], RED, "taken")):
        axes.axvline(value, color=colour, lw=1, ls=":" if colour == GREY else "-", label=f"{words}: {value:g}")
    axes.set_ylim(*_reach([curve]))
    axes.set_xlabel(f"{clean(tuning['option'])}, on {tuning['samples']} of {clean(tuning['split'])}", fontsize=8)
    axes.set_ylabel(f"{clean(metric['label'])}, {unit}", fontsize=8)
    dress(axes, "The threshold, chosen on what is not judged")
    axes.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=3)


def _mass(axes: Axes, mass: Sequence[float], steps: int) -> Any:
    """Bars on an axis of their own behind `axes`, which is left transparent; gives the bars."""
    behind = axes.twinx()
    width = steps / len(mass)
    centres = (np.arange(len(mass)) + 0.5) * width
    bars = behind.bar(centres, np.array(mass) * 100, width * 0.92, color=SILVER, zorder=0)
    behind.set_ylabel("share of training, % (bars)", fontsize=8, color=GREY)
    behind.set_ylim(0, max(20.0, max(mass) * 100 * 1.15))
    behind.tick_params(labelsize=7.5, colors=GREY, length=2)
    for side in behind.spines.values():
        side.set_visible(False)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    return bars


def _contribution(axes: Axes, contribution: Mapping[str, Any]) -> None:
    """What each group of timesteps newly explains of the final quality, with its bootstrap sd, and what is trained."""
    raw, trained = (np.array(contribution[name], np.float64) * 100 for name in ("raw", "group_probabilities"))
    sd = np.array(contribution["bootstrap_sd"]) * 100 if contribution.get("bootstrap_sd") else None
    group = np.arange(len(raw))
    error: dict[str, Any] = {} if sd is None else {"yerr": sd, "error_kw": {"lw": 1, "capsize": 2, "ecolor": INK}}
    label = "newly explained" if sd is None else "newly explained, ± bootstrap sd"
    axes.bar(group, raw, 0.75, color=BLUE, label=label, **error)
    axes.plot(group, trained, "D", color=ORANGE, mec=INK, mew=0.6, ms=4.5, label="trained, after the floor")
    tops = np.maximum(raw + (0.0 if sd is None else sd), trained)
    for x, y, above in zip(group, raw, tops):
        said = f"{y:.0f}" if y >= 1 else f"{y:.1f}"
        axes.annotate(said, (x, above), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    axes.set_xlim(len(raw) - 0.4, -0.6)
    axes.set_ylim(0, max(10.0, float(tops.max())) * 1.15)
    axes.set_xticks(group)
    axes.set_xlabel(f"group of timesteps:  {len(raw) - 1} the noisiest  →  0 the cleanest", fontsize=8)
    axes.set_ylabel("share, %", fontsize=8)
    flags = clean(", ".join(contribution.get("flags") or ()))
    dress(axes, "What explains the final quality's variance" + (f"  ({flags})" if flags else ""))
    axes.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=2)


def _slices(axes: Axes, record: Record, name: str) -> None:
    """The headline metric by an attribute of the samples, with intervals, and the next metric beside it."""
    metrics, parts = record.result["metrics"], record.result["slices"][name]
    headline, *others = _alike(record, metrics)
    scale, unit = _scale(metrics[headline])
    place = np.arange(len(parts))
    values = {
        m: np.array([np.nan if (v := part["metrics"].get(m)) is None else v * scale for part in parts.values()])
        for m in (headline, *others)
    }
    ends = _ends_of_slices(record, name) * scale
    label = clean(metrics[headline]["label"])
    axes.barh(place, np.nan_to_num(values[headline]), 0.7, color=BLUE, label=f"{label}, 95 %")
    axes.hlines(place, ends[:, 0], ends[:, 1], color=INK, lw=1.0)
    for other in others:
        axes.plot(
            values[other], place, "s", color=ORANGE, mec=INK, mew=0.6, ms=4.5, label=clean(metrics[other]["label"])
        )
    if (whole := metrics[headline]["value"]) is not None:
        axes.axvline(whole * scale, color=GREY, lw=1, ls=":", label=f"{label} of all")
    reach = np.nanmax(np.column_stack([np.zeros(len(parts)), ends, *values.values()]), axis=1)
    for y, part in enumerate(parts.values()):
        text = f"{points(part['metrics'].get(headline), metrics[headline]['unit'])}  (n = {part['samples']})"
        axes.annotate(text, (reach[y], y), (6, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(place, [textwrap.shorten(clean(p), 15, placeholder="…") or clean(p)[:14] + "…" for p in parts])
    axes.invert_yaxis()
    axes.set_xlim(0, (reach.max() or 1.0) * 1.38)
    axes.set_xlabel(f"{label}, {unit}", fontsize=8)
    dress(axes, f"{label} by {clean(name)} of the samples")
    axes.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.19), ncols=3)


def _ends_of_slices(record: Record, name: str) -> np.ndarray:
    """(K, 2): the interval of the headline metric in each slice; nan where it cannot be made again."""
    metric, seed = metric_of(record, record.headline), record.result["seed"]
    ends = np.full((len(record.result["slices"][name]), 2), np.nan)
    if metric is None or name not in record.statistics.attributes:
        return ends
    column = record.statistics.attributes[name].astype(str)
    for k, value in enumerate(record.result["slices"][name]):
        if (column == value).any():
            found = interval(metric, Runs({seed: chosen(record.statistics, column == value)}))
            ends[k] = found.low, found.high
    return ends


def dress(axes: Axes, title: str) -> None:
    """A title on the left, small ticks, no frame on top and on the right."""
    axes.set_title(title, fontsize=9.5, loc="left", color=INK, pad=8, parse_math=False)
    axes.tick_params(labelsize=7.5, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
