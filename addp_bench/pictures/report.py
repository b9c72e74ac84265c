"""One cell on one sheet: how its metric grows along the trajectory, what was trained and what explained the result, and
what its answers look like, failures included."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench.average_precision import AveragePrecision, AverageRecall
from addp_bench.errors import BadData
from addp_bench.metrics import OfSums
from addp_bench.randomness import numpy_generator
from addp_bench.records import Record, clean, metric_of
from addp_bench.results.rendering import points, with_interval
from addp_bench.results.uncertainty import Runs, chosen, interval
from addp_bench.store import storage_errors

from .charts import BLUE, GREY, INK, ORANGE, RED, charts_of
from .probe_charts import charts_of_probe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .drift import Shown

GROUPS = {"random": "At random, best and worst set aside", "best": "Best", "worst": "Worst"}

# inches; CHARTS holds the plots, their titles and what stands below them
WIDTH, MARGIN, CHARTS, GAP, FOOT = 13.0, 0.5, 3.45, 0.3, 0.3
LINE = 0.155  # of text in the captions
PER_LINE = 3
_SAMPLE = (WIDTH - 2 * MARGIN - (PER_LINE - 1) * GAP) / PER_LINE
_BETWEEN = 0.05
_BLOCK = 50  # samples
SIDE = (_SAMPLE - 3 * _BETWEEN) / 4  # of a picture


def pick(record: Record, each: int = 3, seed: int = 0) -> list[dict[str, Any]]:
    """Samples worth seeing: `each` worst and best by the headline metric of the single sample, and others at random.

    Gives {"id", "group", "score", "note"}; the caller adds "photo", "truth", "prediction" and "text" for `sheet`.
    Equals are drawn at random, so that a hundred failures do not show one corner of the data. No sample comes twice:
    where there are fewer than 3 `each`, every group gets its third.

    Raises BadData when the statistics cannot be read or the record's metric is no sum over samples.
    """
    statistics, score = record.statistics, scores(record, record.headline)
    if score is None:
        raise BadData(f"record {record.id}: {clean(record.headline)} has no value for a single sample to choose by")
    shuffled = numpy_generator("pick", seed, record.key).permutation(len(score))
    higher = record.result["metrics"][record.headline]["higher_is_better"]
    better = -score if higher else score
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


def scores(record: Record, name: str) -> np.ndarray | None:
    """A metric of every single sample (N,), nan where it has none; None if it cannot be made again."""
    metric, statistics = metric_of(record, name), record.statistics
    columns, n = statistics.columns, len(statistics)
    if metric is None:
        return None
    if isinstance(metric, OfSums):
        return metric.of_sums(metric.addends(columns))
    if isinstance(metric, (AveragePrecision, AverageRecall)):  # of a split that holds this sample alone
        blocks = np.split(np.arange(n), range(_BLOCK, n, _BLOCK))  # n² counts would take as long as a bootstrap
        return np.concatenate([metric.value(chosen(statistics, at).columns, np.eye(len(at))) for at in blocks])
    return metric.value(columns, np.eye(n))


def sheet(record: Record, pictures: Sequence[Mapping[str, Any]], out: Path, drift: Shown | None = None) -> Path:
    """Draw a record as a PNG, and return where it lies. drift: what its network was shown in training, drawn if given.

    pictures: mappings with "id", "photo" (H, W, 3) uint8, "truth" and "prediction" (masks (h, w) bool, numbers (h, w)
    such as depth, or names of classes; None for an answer that failed), "text", "score" (in the headline's stored unit,
    or None), "note", and perhaps "group": random, best or worst, "drawing" (K, h, w, 3) uint8: what the model painted,
    and "shown": "truth" and "prediction" as pictures (h, w, 3) uint8, which then may be anything. All of them may have
    another size than the photo.

    Raises BadData for a picture of another shape, StorageProblem when `out` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grouped = _grouped(pictures)
    figure = Figure(figsize=(WIDTH, 1), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure)
    top = _header(page, record)
    charts = [*charts_of(record, drift), *charts_of_probe(record)]
    while charts:
        line, charts = _line(charts)
        room = (WIDTH - 2 * MARGIN - (len(line) - 1) * 1.15 - 0.75) / len(line)
        for k, draw in enumerate(line):
            draw(page.axes(MARGIN + 0.35 + k * (room + 1.15), top + 0.4, room, CHARTS - 1.15))
        top += CHARTS
    for group, members in grouped.items():
        top = _group(page, record, group, members, top, first=group == next(iter(grouped)))
    page.cut(top + FOOT)
    with storage_errors(out.parent), warnings.catch_warnings():
        # text from data may be in a script that the font lacks; boxes are drawn for it
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={"Software": None})
    return out


def _line(charts: list[Any]) -> tuple[list[Any], list[Any]]:
    """The charts of the next line, and the rest: three at most, and as even as may be."""
    many = math.ceil(len(charts) / math.ceil(len(charts) / 3))
    return charts[:many], charts[many:]


class _Page:
    """A figure on which things are placed in inches from its upper left corner; its height is known last."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._placed: list[tuple[Any, float, float]] = []  # what, its lower edge from the top, its height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        made = self.figure.add_axes((left / WIDTH, 0.0, width / WIDTH, 1.0))
        self._placed.append((made, top + height, height))
        return made

    def words(self, top: float, text: str, left: float = MARGIN, **style: Any) -> None:
        placed: dict[str, Any] = {"color": INK, "va": "baseline", "parse_math": False, **style}
        self._placed.append((self.figure.text(left / WIDTH, 0.0, text, **placed), top, 0.0))

    def width(self, text: str, size: float, weight: str = "normal") -> float:
        """Of one line of text, in inches."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size, weight=weight)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            # the canvas of Agg has it; matplotlib's stubs know the base class alone
            renderer = self.figure.canvas.get_renderer()  # type: ignore[attr-defined]
            return float(renderer.get_text_width_height_descent(text, font, False)[0]) / self.figure.dpi

    def wrap(
        self, parts: Sequence[str], room: float, size: float, between: str = " ", weight: str = "normal"
    ) -> list[str]:
        """Lines no wider than `room` inches; a part that is wider than a line is broken within."""
        lines: list[str] = []
        line = ""
        for part in parts:
            longer = f"{line}{between}{part}" if line else part
            if self.width(longer, size, weight) <= room:
                line = longer
                continue
            lines += [line] if line else []
            while self.width(part, size, weight) > room:
                end = max(k for k in range(1, len(part) + 1) if k == 1 or self.width(part[:k], size, weight) <= room)
                lines.append(part[:end])
                part = part[end:]
            line = part
        return [*lines, line] if line else lines

    def cut(self, height: float) -> None:
        """Give the page its height, and everything its place on it."""
        from matplotlib.text import Text

        self.figure.set_size_inches(WIDTH, height)
        for thing, bottom, tall in self._placed:
            if isinstance(thing, Text):
                thing.set_y(1 - bottom / height)
            else:
                box = thing.get_position()
                thing.set_position((box.x0, 1 - bottom / height, box.width, tall / height))  # and its twin's


# ---------------------------------------------------------------------------------------------------- words


def _header(page: _Page, record: Record) -> float:
    """What cell this is and how good it was, over as many lines as that takes; gives where the rest begins."""
    result, samples = record.result, record.result["samples"]
    chosen = [f"{kind} {result['choices'][kind]['name']}" for kind in ("weights", "aug") if kind in result["choices"]]
    made = [result["choices"]["model"]["name"], *chosen] if "model" in result["choices"] else chosen
    title = [f"{result['task']} on {result['dataset']['name']} {result['dataset']['split']}", *made]
    cell = [f"cell {record.id}", f"seed {result['seed']}"] + [f"budget {result['budget']}"] * (
        result["training"] is not None
    )
    cell.append(f"{samples['scored']} of {samples['asked']} samples scored")
    metrics = []
    for name, entry in result["metrics"].items():
        shown: Mapping[str, Any] = entry
        metric = metric_of(record, name) if name == record.headline else None
        if metric is not None and entry["value"] is not None:
            found = interval(metric, Runs({result["seed"]: record.statistics}))
            shown = {"value": entry["value"], "low": found.low, "high": found.high}
        metrics.append(f"{entry['label']} {with_interval(shown, entry['unit'])}")
    top = 0.45
    for parts, size, weight, colour in (
        (title, 14.0, "bold", INK),
        (metrics, 10.0, "normal", INK),
        (cell, 8.5, "normal", GREY),
    ):
        for line in page.wrap([clean(part) for part in parts], WIDTH - 2 * MARGIN, size, "  ·  ", weight):
            page.words(top, line, size=size, weight=weight, color=colour)
            top += size / 72 * 1.5
        top += 0.03
    return top


# -------------------------------------------------------------------------------------------------- pictures


def _grouped(pictures: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {group: [] for group in GROUPS}
    for picture in pictures:
        photo = np.asarray(picture["photo"])
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise BadData(
                f"picture {clean(str(picture['id']))}: photo is {photo.dtype} {photo.shape}, not (H, W, 3) uint8"
            )
        for part in ("truth", "prediction") if "shown" not in picture else ():
            if picture[part] is not None and not isinstance(picture[part], str) and np.ndim(picture[part]) != 2:
                shape = np.shape(picture[part])
                raise BadData(f"picture {clean(str(picture['id']))}: {part} has shape {shape}, expected (h, w)")
        grouped.setdefault(str(picture.get("group", "samples")), []).append(picture)
    return {group: members for group, members in grouped.items() if members}


def _group(
    page: _Page, record: Record, group: str, members: Sequence[Mapping[str, Any]], top: float, *, first: bool
) -> float:
    """A heading and its samples, PER_LINE in a line; gives where the next group begins."""
    heading = GROUPS.get(group, "Samples")
    page.words(top + 0.2, heading, size=11, weight="bold")
    if group == "worst" and (said := _failures(record)):
        page.words(top + 0.2, said, MARGIN + page.width(heading, 11, "bold") + 0.15, size=8.5, color=RED)
    if first and any("shown" not in m and np.asarray(m["truth"]).dtype == bool for m in members):
        said = "white and black line on an answer: the outline of the truth"
        page.words(top + 0.2, said, WIDTH - MARGIN, size=8, color=GREY, ha="right")
    top += 0.3
    for start in range(0, len(members), PER_LINE):
        line = members[start : start + PER_LINE]
        captions = [_caption(page, picture, record) for picture in line]
        tall = max(map(len, captions)) * LINE
        for k, (picture, caption) in enumerate(zip(line, captions)):
            left = MARGIN + k * (_SAMPLE + GAP)
            for i, (text, style) in enumerate(caption):  # captions of a line end on one height
                page.words(top + tall - (len(caption) - 1 - i) * LINE, text, left, **style)
            _panels(page, picture, left, top + tall + 0.06)
        top += tall + 0.06 + SIDE + 0.34
    return top


def _failures(record: Record) -> str:
    """How many samples score nothing at all, where more is better."""
    score, metric = scores(record, record.headline), record.result["metrics"][record.headline]
    samples, said = record.result["samples"], []
    if score is not None and metric["higher_is_better"] and (zero := int(np.count_nonzero(score == 0))):
        said.append(f"{zero} of {samples['scored']} samples score {points(0.0, metric['unit'])}")
    if samples["failed"]:
        said.append(f"{samples['failed']} of {samples['asked']} could not be scored and are not shown")
    return ";  ".join(said)


def _caption(page: _Page, picture: Mapping[str, Any], record: Record) -> list[tuple[str, dict[str, Any]]]:
    """The words that asked, whole, and below them the score and whose it is: (text, style) of each line."""
    asked = f"“{clean(str(picture['text']))}”" if picture.get("text") else ""
    lines: list[tuple[str, dict[str, Any]]] = [(w, {"size": 8}) for w in page.wrap(asked.split(), _SAMPLE, 8)]
    metric, score = record.result["metrics"][record.headline], picture.get("score")
    label = "IoU" if metric["label"].endswith("IoU") else clean(metric["label"])
    missed = picture["prediction"] is None or (score == 0 and metric["higher_is_better"])
    facts = [f"{label} {points(score, metric['unit'])}" if score is not None else _unscored(picture)]
    facts += [clean(str(picture.get("note") or "")), clean(str(picture["id"]))]
    style = {"size": 7, "color": RED if missed else GREY}
    return lines + [(w, style) for w in page.wrap([f for f in facts if f], _SAMPLE, 7, "  ·  ")]


def _unscored(picture: Mapping[str, Any]) -> str:
    """Why an answer has no score of its own."""
    parts = (picture["truth"], picture["prediction"])
    if all(p is not None and np.asarray(p).dtype == bool and not np.any(p) for p in parts):
        return "nothing to find, and nothing found: right"
    return "no score"


def _panels(page: _Page, picture: Mapping[str, Any], left: float, top: float) -> None:
    """Photo, truth, what was drawn where something was, and the answer, side by side and named."""
    names = ["photo", "truth", *(["drawn by the model"] if picture.get("drawing") is not None else []), "answer"]
    for k, name in enumerate(names):
        place = left + k * (SIDE + _BETWEEN)
        axes = page.axes(place, top, SIDE, SIDE)
        page.words(top + SIDE + 0.12, name, place, size=6.5, color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        for edge in axes.spines.values():
            edge.set(color="#AAAAAA", linewidth=0.5)
        _panel(axes, picture, name)


def _panel(axes: Axes, picture: Mapping[str, Any], name: str) -> None:
    photo = np.asarray(picture["photo"])
    if name in ("photo", "drawn by the model"):
        _show(axes, photo if name == "photo" else tiled(np.asarray(picture["drawing"])))
        return
    shown = picture["truth" if name == "truth" else "prediction"]
    if shown is None:
        axes.set_facecolor("#F2F2F2")
        axes.text(0.5, 0.5, "no answer", ha="center", va="center", fontsize=8, color=RED, transform=axes.transAxes)
    elif "shown" in picture:
        _show(axes, picture["shown"]["truth" if name == "truth" else "prediction"])
    elif isinstance(shown, str):
        wrong = name != "truth" and shown != picture["truth"]
        words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "color": RED if wrong else INK}
        axes.text(0.5, 0.5, textwrap.fill(clean(shown), 12), transform=axes.transAxes, parse_math=False, **words)
    elif np.asarray(shown).dtype != bool:
        both = [np.asarray(p) for p in (picture["truth"], picture["prediction"]) if p is not None]
        low, high = min(np.nanmin(p) for p in both), max(np.nanmax(p) for p in both)
        axes.imshow(shown, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    else:
        _masked(
            axes,
            photo,
            np.asarray(shown),
            BLUE if name == "truth" else ORANGE,
            f"{'nothing to find' if name == 'truth' else 'nothing found'}",
        )
        if name == "answer" and picture["truth"] is not None:
            _outline(axes, photo, np.asarray(picture["truth"]))


def tiled(pictures: np.ndarray) -> np.ndarray:
    """K pictures (K, H, W, 3) uint8 as one: row by row in a square of the least side, white where none is left."""
    count, height, width, _ = pictures.shape
    side = math.ceil(math.sqrt(count))
    rows = math.ceil(count / side)
    whole = np.full((rows * side, height, width, 3), 255, np.uint8)
    whole[:count] = pictures
    return whole.reshape(rows, side, height, width, 3).swapaxes(1, 2).reshape(rows * height, side * width, 3)


def _show(axes: Axes, photo: np.ndarray) -> None:
    height, width = photo.shape[:2]
    axes.imshow(photo, extent=(0, width, height, 0), interpolation="nearest", aspect="equal")


def _masked(axes: Axes, photo: np.ndarray, mask: np.ndarray, colour: str, empty: str) -> None:
    """The mask in full colour on a photograph that steps back: grey and light. empty: what to say of a mask of none."""
    from matplotlib.colors import to_rgb

    grey = photo.astype(np.float64).mean(axis=2, keepdims=True).repeat(3, axis=2)
    _show(axes, (255 - (255 - grey) * 0.45).astype(np.uint8))
    layer = np.zeros((*mask.shape, 4))
    layer[mask] = (*to_rgb(colour), 0.88)
    if not mask.any():
        axes.text(0.5, 0.06, empty, ha="center", fontsize=6.5, color=INK, transform=axes.transAxes)
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
