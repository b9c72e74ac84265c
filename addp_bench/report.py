"""One cell on one sheet: how its metric grows along the trajectory, what was trained and what explained the result, and
what its answers look like, failures included."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.metrics import Summed
from addp_bench.randomness import numpy_generator
from addp_bench.records import Record, clean, metric_of
from addp_bench.rendering import points, with_interval
from addp_bench.store import storage_errors
from addp_bench.uncertainty import Runs, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = {"random": "Drawn at random from the rest", "best": "Best", "worst": "Worst"}

# Okabe and Ito (2008): told apart by people with any colour vision, and, light against dark, on grey paper
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#C9CDD2", "#222222"

# inches
WIDTH, MARGIN, HEADER, CHARTS, TITLE, CAPTION, GAP, FOOT = 11.0, 0.5, 0.95, 2.35, 0.36, 0.64, 0.3, 0.3
PER_LINE = 3
_SAMPLE = (WIDTH - 2 * MARGIN - (PER_LINE - 1) * GAP) / PER_LINE
_PICTURE = (_SAMPLE - 0.08) / 3


def pick(record: Record, each: int = 3, seed: int = 0) -> list[dict[str, Any]]:
    """Samples worth seeing: `each` worst and best by the headline metric of the single sample, and others at random.

    Gives {"id", "group", "score", "note"}; the caller adds "photo", "truth", "prediction" and "text" for `sheet`.
    Equals are drawn at random, so that a hundred failures do not show one corner of the data. No sample comes twice:
    where there are fewer than 3 `each`, every group gets its third.

    Raises BadData when the statistics cannot be read or the record's metric is no sum over samples.
    """
    metric = metric_of(record, record.headline)
    if not isinstance(metric, Summed):
        raise BadData(f"record {record.id}: {clean(record.headline)} has no value for a single sample to choose by")
    statistics = record.statistics
    numerator, denominator = metric.scored_terms(statistics.columns)
    score = np.divide(numerator, denominator, out=np.full(len(statistics), np.nan), where=denominator != 0)
    shuffled = numpy_generator("pick", seed, record.key).permutation(len(score))
    better = -score if metric.higher_is_better else score
    ordered = shuffled[np.argsort(better[shuffled], kind="stable")]
    ordered = ordered[~np.isnan(score[ordered])]
    each = min(each, max(1, len(score) // 3))
    ranked = {"worst": ordered[::-1][:each], "best": ordered[:each]}
    shown = np.concatenate(list(ranked.values()))
    chosen = {**ranked, "random": shuffled[~np.isin(shuffled, shown)][:each]}
    notes = {name: column for name, column in statistics.attributes.items() if name == "level"}
    found, seen = [], set()
    for group, members in chosen.items():  # where there are only one or two samples, failures come first
        for i in members:
            if i not in seen:
                seen.add(i)
                note = " ".join(str(column[i]) for column in notes.values())
                sample = {"id": str(statistics.ids[i]), "group": group, "note": note}
                found.append({**sample, "score": None if np.isnan(score[i]) else float(score[i])})
    return sorted(found, key=lambda sample: list(GROUPS).index(str(sample["group"])))


def sheet(record: Record, pictures: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Draw a record as a PNG, and return where it lies.

    pictures: mappings with "id", "photo" (H, W, 3) uint8, "truth" and "prediction" (masks (h, w) bool, or numbers
    (h, w) such as depth; None for an answer that failed), "text", "score" (in the headline's stored unit, or None),
    "note", and perhaps "group": random, best or worst. Truth and prediction may have another size than the photo.

    Raises BadData for a picture of another shape, StorageProblem when `out` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grouped = _grouped(pictures)
    charts = _charts(record)
    height = HEADER + FOOT + bool(charts) * (CHARTS + 0.75)
    height += sum(TITLE + -(-len(members) // PER_LINE) * (_PICTURE + CAPTION) for members in grouped.values())
    figure = Figure(figsize=(WIDTH, height), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure, height)
    page.words(0.42, _title(record), size=13, weight="bold")
    page.words(0.68, _facts(record), size=8.5, color="#555555")
    top = HEADER
    if charts:
        room = (WIDTH - 2 * MARGIN - (len(charts) - 1) * 0.95 - 0.35) / len(charts)
        for k, draw in enumerate(charts):
            draw(page.axes(MARGIN + 0.1 + k * (room + 0.95), top + 0.25, room, CHARTS))
        top += CHARTS + 0.75
    for group, members in grouped.items():
        page.words(top + 0.2, f"{GROUPS.get(group, 'Samples')}", size=10.5, weight="bold")
        if group == next(iter(grouped)):
            page.key(top + 0.2)
        top += TITLE
        for k, picture in enumerate(members):
            line, column = divmod(k, PER_LINE)
            left = MARGIN + column * (_SAMPLE + GAP)
            _triplet(page, picture, record, left, top + line * (_PICTURE + CAPTION))
        top += -(-len(members) // PER_LINE) * (_PICTURE + CAPTION)
    with storage_errors(out.parent), warnings.catch_warnings():
        # text from data may be in a script that the font lacks; boxes are drawn for it
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={"Software": None})
    return out


class _Page:
    """A figure on which things are placed in inches from its upper left corner."""

    def __init__(self, figure: Figure, height: float) -> None:
        self.figure, self.height = figure, height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        place = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(place)

    def words(self, top: float, text: str, left: float = MARGIN, **style: Any) -> None:
        placed: dict[str, Any] = {"color": INK, "va": "baseline", "parse_math": False, **style}
        self.figure.text(left / WIDTH, 1 - top / self.height, text, **placed)

    def key(self, top: float) -> None:
        """What the colours on the pictures mean."""
        self.words(top, "photo  ·  truth", WIDTH - MARGIN - 3.2, size=8)
        self.words(top, "■", WIDTH - MARGIN - 2.4, size=9, color=BLUE)
        self.words(top, "·  prediction", WIDTH - MARGIN - 2.2, size=8)
        self.words(top, "■", WIDTH - MARGIN - 1.43, size=9, color=ORANGE)
        self.words(top, "with the truth's outline", WIDTH - MARGIN - 1.25, size=8)


# ---------------------------------------------------------------------------------------------------- words


def _title(record: Record) -> str:
    result = record.result
    chosen = [result["choices"][kind]["name"] for kind in ("model", "weights", "aug") if kind in result["choices"]]
    return clean(" · ".join([result["task"], f"{result['dataset']['name']} {result['dataset']['split']}", *chosen]))


def _facts(record: Record) -> str:
    result, samples = record.result, record.result["samples"]
    parts = [f"cell {record.id}", f"seed {result['seed']}", f"budget {result['budget']}"]
    parts.append(f"{samples['scored']} of {samples['asked']} samples")
    for name, entry in result["metrics"].items():
        shown: Mapping[str, Any] = entry
        metric = metric_of(record, name) if name == record.headline else None
        if metric is not None and entry["value"] is not None:
            found = interval(metric, Runs({result["seed"]: record.statistics}))
            shown = {"value": entry["value"], "low": found.low, "high": found.high}
        parts.append(f"{entry['label']} {with_interval(shown, entry['unit'])}")
    return textwrap.fill(clean("  ·  ".join(parts)), 170)


# --------------------------------------------------------------------------------------------------- charts


def _charts(record: Record) -> list[Callable[[Axes], None]]:
    """Whatever the record has something to draw for."""
    result = record.result
    charts: list[Callable[[Axes], None]] = []
    if result["curve"] and len(result["curve"]["t"]) > 1:
        charts.append(lambda axes: _curve(axes, record))
    if result["contribution"]:
        charts.append(lambda axes: _contribution(axes, result["contribution"]))
    if result["slices"]:
        name = "level" if "level" in result["slices"] else next(iter(result["slices"]))
        charts.append(lambda axes: _slices(axes, record, name))
    return charts


def _curve(axes: Axes, record: Record) -> None:
    """Metric against timestep, over the share of training that each tenth of the timesteps got."""
    result = record.result
    curve, mass = result["curve"], result["timestep_mass"]
    steps = max(1000, max(curve["t"]) + 1)
    if mass:
        behind = axes.twinx()
        width = steps / len(mass)
        centres = (np.arange(len(mass)) + 0.5) * width
        behind.bar(centres, np.array(mass) * 100, width * 0.92, color=GREY, zorder=0)
        behind.set_ylabel("share of training, %", fontsize=8, color="#777777")
        behind.set_ylim(0, max(20.0, max(mass) * 100 * 1.15))
        behind.tick_params(labelsize=7.5, colors="#777777", length=2)
        for side in behind.spines.values():
            side.set_visible(False)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
    headline = result["metrics"][record.headline]
    alike = [
        name for name, m in result["metrics"].items() if m["unit"] == headline["unit"] and name in curve["metrics"]
    ]
    scale = 100.0 if headline["unit"] == "points" else 1.0
    styles = ((BLUE, "-", "o", 2.0), (ORANGE, "--", "s", 1.3))
    for name, (colour, line, marker, width) in zip(alike, styles):
        values = np.array([np.nan if v is None else v * scale for v in curve["metrics"][name]], np.float64)
        label = clean(result["metrics"][name]["label"])
        axes.plot(curve["t"], values, line, color=colour, marker=marker, ms=4, lw=width, label=label)
        if name == record.headline and result["read_at"]:
            at = result["read_at"]["index"]
            if at < len(values):
                axes.plot(
                    curve["t"][at],
                    values[at],
                    "o",
                    ms=10,
                    mfc="none",
                    mec=INK,
                    mew=1.2,
                    label="read here",
                    clip_on=False,
                )
    axes.set_xlim(steps, -0.02 * steps)
    axes.set_xlabel("timestep: noisiest first, as sampled", fontsize=8)
    unit = "points" if headline["unit"] == "points" else clean(headline["unit"])
    _dress(axes, f"Answer at each step, {unit}")
    axes.legend(fontsize=7.5, frameon=True, framealpha=0.85, edgecolor="none", loc="best")


def _contribution(axes: Axes, contribution: Mapping[str, Any]) -> None:
    """What each group of timesteps newly explains of the final quality, with its bootstrap sd, and what is trained."""
    raw, trained = (np.array(contribution[name], np.float64) * 100 for name in ("raw", "group_probabilities"))
    sd = contribution.get("bootstrap_sd")
    group = np.arange(len(raw))
    error: dict[str, Any] = (
        {"yerr": np.array(sd) * 100, "error_kw": {"lw": 1, "capsize": 2, "ecolor": INK}} if sd else {}
    )
    label = "explained, ± bootstrap sd" if sd else "explained"
    axes.bar(group, raw, 0.75, color=BLUE, label=label, **error)
    axes.plot(group, trained, "D", color=ORANGE, mec=INK, mew=0.6, ms=4.5, label="trained, after the floor")
    for x, y, spread in zip(group, raw, np.zeros(len(raw)) if not sd else np.array(sd) * 100):
        above = max(y + spread, trained[x])
        axes.annotate(
            f"{y:.0f}" if y >= 1 else f"{y:.1f}",
            (x, above),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    axes.set_xlim(len(raw) - 0.4, -0.6)
    axes.set_ylim(
        0, max(10.0, float((raw + (np.array(sd) * 100 if sd else 0)).max()), trained.max()) * 1.4
    )  # room for the legend
    axes.set_xticks(group)
    flags = clean(", ".join(contribution.get("flags") or ()))
    axes.set_xlabel("\n".join(filter(None, [f"group of timesteps: {len(raw) - 1} is the noisiest", flags])), fontsize=8)
    _dress(axes, "Share of the final quality's variance, %")
    axes.legend(fontsize=7.5, frameon=False, loc="upper right")


def _slices(axes: Axes, record: Record, name: str) -> None:
    """The headline metric by an attribute of the samples."""
    metric = record.result["metrics"][record.headline]
    parts = record.result["slices"][name]
    labels = [clean(label) for label in parts]
    scale = 100.0 if metric["unit"] == "points" else 1.0
    values = [part["metrics"].get(record.headline) for part in parts.values()]
    place = np.arange(len(labels))
    axes.barh(place, [0.0 if v is None else v * scale for v in values], 0.7, color=GREEN)
    for y, (value, part) in enumerate(zip(values, parts.values())):
        text = f"{points(value, metric['unit'])}  (n = {part['samples']})"
        axes.annotate(
            text,
            (0.0 if value is None else value * scale, y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
        )
    axes.set_yticks(place, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, max([v * scale for v in values if v is not None], default=1.0) * 1.45 or 1.0)
    _dress(axes, f"{clean(metric['label'])} by {clean(name)}")


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9.5, loc="left", color=INK, pad=8, parse_math=False)
    axes.tick_params(labelsize=7.5, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


# -------------------------------------------------------------------------------------------------- pictures


def _grouped(pictures: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {group: [] for group in GROUPS}
    for picture in pictures:
        photo = np.asarray(picture["photo"])
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise BadData(
                f"picture {clean(str(picture['id']))}: photo is {photo.dtype} {photo.shape}, not (H, W, 3) uint8"
            )
        for part in ("truth", "prediction"):
            if picture[part] is not None and np.ndim(picture[part]) != 2:
                shape = np.shape(picture[part])
                raise BadData(f"picture {clean(str(picture['id']))}: {part} has shape {shape}, expected (h, w)")
        grouped.setdefault(str(picture.get("group", "samples")), []).append(picture)
    return {group: members for group, members in grouped.items() if members}


def _triplet(page: _Page, picture: Mapping[str, Any], record: Record, left: float, top: float) -> None:
    """Photo, truth and prediction side by side, with the words that asked and the score above them."""
    words = textwrap.wrap(f"“{clean(str(picture.get('text') or ''))}”", 54, max_lines=2, placeholder=" …”")
    metric = record.result["metrics"][record.headline]
    label = "IoU" if metric["label"].endswith("IoU") else clean(metric["label"])
    score = points(picture.get("score"), metric["unit"])
    facts = [f"{label} {score}", clean(str(picture.get("note") or "")), clean(str(picture["id"]))]
    for line, text in enumerate(words if picture.get("text") else ()):
        page.words(top + 0.26 - (len(words) - 1 - line) * 0.14, text, left, size=8)
    page.words(top + 0.40, textwrap.shorten("  ·  ".join(filter(None, facts)), 70), left, size=7, color="#666666")
    photo = np.asarray(picture["photo"])
    numbers = [np.asarray(p) for p in (picture["truth"], picture["prediction"]) if p is not None]
    plain = [p for p in numbers if p.dtype != bool]
    limits = (min(np.nanmin(p) for p in plain), max(np.nanmax(p) for p in plain)) if plain else None
    for k, (part, colour) in enumerate(((None, ""), ("truth", BLUE), ("prediction", ORANGE))):
        axes = page.axes(left + k * (_PICTURE + 0.04), top + 0.46, _PICTURE, _PICTURE)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set(color="#AAAAAA", linewidth=0.5)
        if part is None:
            _show(axes, photo)
        elif picture[part] is None:
            axes.set_facecolor("#F2F2F2")
            axes.text(0.5, 0.5, "no answer", ha="center", va="center", fontsize=8, transform=axes.transAxes)
        elif np.asarray(picture[part]).dtype != bool:  # then there are limits, found with it above
            axes.imshow(picture[part], cmap="cividis", vmin=limits[0], vmax=limits[1], aspect="auto")  # type: ignore[index]
        else:
            _masked(axes, photo, np.asarray(picture[part]), colour)
            if part == "prediction" and picture["truth"] is not None:
                _outline(axes, photo, np.asarray(picture["truth"]))


def _show(axes: Axes, photo: np.ndarray) -> None:
    height, width = photo.shape[:2]
    axes.imshow(photo, extent=(0, width, height, 0), interpolation="nearest", aspect="equal")


def _masked(axes: Axes, photo: np.ndarray, mask: np.ndarray, colour: str) -> None:
    """The mask in full colour on a photograph that steps back: grey and light."""
    from matplotlib.colors import to_rgb

    grey = photo.astype(np.float64).mean(axis=2, keepdims=True).repeat(3, axis=2)
    _show(axes, (255 - (255 - grey) * 0.45).astype(np.uint8))
    layer = np.zeros((*mask.shape, 4))
    layer[mask] = (*to_rgb(colour), 0.88)
    if not mask.any():
        axes.text(0.5, 0.06, "nothing", ha="center", fontsize=6.5, color="#555555", transform=axes.transAxes)
    height, width = photo.shape[:2]
    axes.imshow(layer, extent=(0, width, height, 0), interpolation="nearest", aspect="equal")


def _outline(axes: Axes, photo: np.ndarray, mask: np.ndarray) -> None:
    """The edge of a mask: a dark line on a light one, seen on any ground."""
    if not mask.any():
        return
    height, width = photo.shape[:2]
    padded = np.pad(mask.astype(np.float64), 1)  # closes the edge at the border of the picture
    x = (np.arange(padded.shape[1]) - 0.5) * width / mask.shape[1]
    y = (np.arange(padded.shape[0]) - 0.5) * height / mask.shape[0]
    for colour, line in (("white", 2.0), (INK, 0.9)):
        axes.contour(x, y, padded, levels=[0.5], colors=colour, linewidths=line)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
