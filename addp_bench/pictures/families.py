"""Pictures of whole families of plugins, one panel for each: what a weighting trains, how strong an augmentation is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from addp_bench.cards import Cards
from addp_bench.contribution import Contribution, is_file, sources_of
from addp_bench.errors import BadOption, BenchError, StorageProblem
from addp_bench.evaluation import GROUPS
from addp_bench.records import Record, clean, load_all
from addp_bench.spec import Choice
from addp_bench.timesteps import group_mass, training_mass

from . import damage
from .charts import BLUE, GREY, INK, ORANGE, SILVER, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from addp_bench.protocols import Noise, Target, TimestepDraws
    from addp_bench.registry import Registry

ALL = "all"
MODEL = "tiny"  # whose schedule and target are meant where nothing is said, as by `run`
COLUMNS = 4  # panels side by side
BATCHES, BATCH = 200, 500  # draws of a strategy that is no fixed vector


@dataclass(frozen=True)
class Setting:
    """What pictures are drawn for. words: the schedule and the target, as the picture names them.

    noise: the schedule. target: what the network outputs. runs: folder whose records may hold statistics.
    """

    registry: Registry
    noise: Noise
    target: Target
    words: str
    runs: Path


@dataclass(frozen=True)
class Panel:
    """One plugin's chart, drawn by `draw`. title: its name and options. words: what else must be said of it, or ""."""

    title: str
    words: str
    draw: Callable[[Axes], None]


def setting(registry: Registry, model: str | None, noise: str | None, target: str | None, runs: Path) -> Setting:
    """The schedule of `noise`, or else of `model`; the target, or else the model's own. All as choices are written.

    Raises BadOption for a model without a schedule, or a schedule named twice.
    """
    if model and noise:
        raise BadOption(f"--model {model} --noise {noise}: both name a schedule; say one of them")
    choice = registry.resolve("model", Choice.parse(model or MODEL))
    factory = registry.get("model", choice.name).factory
    if not factory.denoises:
        raise BadOption(f"--model {choice.name}: it is not sampled, so it has no schedule; name a denoising model")
    schedule = registry.build("noise", noise) if noise else registry.build("model", choice).noise
    output = target or Cards(registry).model(choice).target
    words = f"{f'schedule {noise}' if noise else f'the schedule of {choice.name}'}, target {output}"
    return Setting(registry, schedule, registry.build("target", output), words, runs)


def draw(
    registry: Registry, kind: str, choice: Choice, file: Path, runs: Path, asked: Mapping[str, str | None]
) -> list[str]:
    """Draw one plugin, or "all" of a kind, into a PNG; returns what the picture cannot show, a sentence each.

    A plugin's own `plot(path)` comes first. asked: "model", "noise" and "target" as `setting` takes them.

    Raises BadOption for a kind or a plugin that has no picture, and for what was asked that changes nothing in it;
    StorageProblem for a file that cannot be written.
    """
    if file.suffix.lower() != ".png":
        raise BadOption(f"--plot {file}: pictures are PNGs; give a name that ends in .png")
    built = None if choice.name == ALL else registry.build(kind, choice)
    own = getattr(built, "plot", None)
    if own is None and kind not in _PICTURES:
        if built is None:
            known = ", ".join(_PICTURES)
            raise BadOption(f"{kind} all: there is no picture of the whole kind; kinds that have one: {known}")
        raise BadOption(f"{kind} {choice.name} cannot be drawn: its class has no method plot(path)")
    idle = [name for name, value in asked.items() if value and (own is not None or (name, kind) in _IDLE)]
    if idle:
        raise BadOption(
            f"--{idle[0]} {asked[idle[0]]} changes nothing in a picture of {kind} {choice.name}; leave it out"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if own is not None:
            own(file)
            return []
        choices = [choice] if built is not None else [Choice(name) for name in registry.names(kind)]
        return _PICTURES[kind](choices, setting(registry, **asked, runs=runs), file)
    except OSError as problem:
        raise StorageProblem(f"--plot {file}: {problem}; name a file in another folder") from problem


# ------------------------------------------------------------------------------------------------ weights


def _weights(choices: Sequence[Choice], given: Setting, file: Path) -> list[str]:
    """A panel of bars for each strategy: the share of training that each tenth of the timesteps gets."""
    records = _with_statistics(given.runs)
    panels, notes = _each("weights", choices, lambda choice: _mass_panel(choice, given, records))
    _small_multiples(
        panels,
        f"Share of training that each tenth of the timesteps gets, %: {given.words}",
        f"group of timesteps:  {GROUPS - 1} the noisiest  →  0 the cleanest;  dotted: all alike;  orange: measured",
        notes,
        file,
    )
    return notes


def _mass_panel(choice: Choice, given: Setting, records: Sequence[Record]) -> Panel:
    strategy = given.registry.build("weights", choice)
    draws, words = _bound(choice, strategy, given, records)
    mass = training_mass(draws, GROUPS)
    if mass is None:
        mass = _drawn_mass(draws, given.noise.steps)
        words = "; ".join(filter(None, [words, f"as drawn in its first {BATCHES} steps"]))
    if draws.state_dict() or hasattr(draws, "backward"):
        words = "; ".join(filter(None, [words, "as it begins, before it learns or joins gradients"]))
    return Panel(
        str(choice), words, lambda axes: _bars(axes, mass * 100, ORANGE if strategy.needs_contribution else BLUE)
    )


def _bound(choice: Choice, strategy: Any, given: Setting, records: Sequence[Record]) -> tuple[TimestepDraws, str]:
    """A strategy on the schedule; where it needs statistics, on the newest that fit, and whose they are."""
    if not strategy.needs_contribution:
        return strategy.bind(given.noise, given.target, None), ""
    if sources := sources_of(getattr(strategy, "from_", None)):
        if cells := [source for source in sources if not is_file(source)]:
            raise BadOption(f"needs a measurement of cell {clean(cells[0])}, which a run makes; from=FILE.json has one")
        files = " and ".join(Path(source).name for source in sources)
        return strategy.bind(given.noise, given.target, None), f"statistics of {files}"
    refused = (
        f"needs a measurement, and no record under {given.runs} holds statistics; run a cell with it, name another "
        "--runs DIR, or say from=FILE.json"
    )
    for record in records:
        try:
            measured = Contribution.from_json(record.result["contribution"], f"record {record.id}")
            draws = strategy.bind(given.noise, given.target, measured)
        except BenchError as wrong:
            refused = f"needs a measurement, and those under {given.runs} do not fit: {wrong}"
            continue
        return draws, f"statistics of cell {record.id}, {clean(record.result['task'])}"
    raise BadOption(refused)


def _with_statistics(runs: Path) -> list[Record]:
    """Records that hold statistics, newest first."""
    found = [record for record in load_all(runs).records if record.result["contribution"]]
    return sorted(found, key=lambda record: str(record.provenance.get("finished", "")), reverse=True)


def _drawn_mass(draws: TimestepDraws, steps: int) -> np.ndarray:
    """The same share, cleanest first, counted over draws that cover [0, 1) evenly."""
    u = (torch.arange(BATCH, dtype=torch.float64) + 0.5) / BATCH
    total = np.zeros(steps)
    for step in range(BATCHES):
        t, weight = draws.draw(u, step)
        total += np.bincount(t.numpy(), weight.detach().double().numpy(), minlength=steps)
    return group_mass(total / total.sum(), GROUPS)


def _bars(axes: Axes, percent: np.ndarray, colour: str) -> None:
    group = np.arange(len(percent))
    axes.bar(group, percent, 0.8, color=colour)
    axes.axhline(100 / len(percent), color=GREY, lw=0.8, ls=":")
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}  # the dotted line does not run through numbers
    for x, y in zip(group, percent):
        said = f"{y:.0f}" if y >= 9.95 else f"{y:.1f}"
        axes.annotate(
            said, (x, y), (0, 2.5), textcoords="offset points", ha="center", fontsize=6.5, color=INK, bbox=paper
        )
    axes.set_xlim(len(percent) - 0.4, -0.6)
    axes.set_ylim(0, 108)
    axes.set_xticks(group)


# ---------------------------------------------------------------------------------------------------- aug


def _augs(choices: Sequence[Choice], given: Setting, file: Path) -> list[str]:
    """A panel for each schedule: its strength against t, over those of the others."""
    t = torch.arange(given.noise.steps)

    def strength(choice: Choice) -> tuple[Choice, np.ndarray]:
        return choice, given.registry.build("aug", choice).strength(t, given.noise).numpy()

    curves, notes = _each("aug", choices, strength)
    highest = max([1.0, *(float(values.max()) for _, values in curves)])

    def lines(chosen: np.ndarray) -> Callable[[Axes], None]:
        def onto(axes: Axes) -> None:
            for _, values in curves:
                axes.plot(t, values, color=SILVER, lw=1)
            axes.plot(t, chosen, color=BLUE, lw=2)
            axes.set_xlim(len(t), 0)
            axes.set_ylim(-0.03 * highest, 1.08 * highest)

        return onto

    _small_multiples(
        [Panel(str(choice), "", lines(values)) for choice, values in curves],
        f"Strength of corruption against the timestep: {given.words.split(', target')[0]}",
        f"timestep:  {len(t) - 1} the noisiest  →  0 the cleanest;  grey: the others",
        notes,
        file,
    )
    return notes


# ------------------------------------------------------------------------------------------------ corruption


def _corruptions(choices: Sequence[Choice], given: Setting, file: Path) -> list[str]:
    return damage.sheet(given.registry, choices, given.noise, file)


_PICTURES: Mapping[str, Callable[[Sequence[Choice], Setting, Path], list[str]]] = {
    "weights": _weights,
    "aug": _augs,
    "corruption": _corruptions,
}


_IDLE = {("target", "aug"), ("target", "corruption")}  # what would be taken and ignored


# ------------------------------------------------------------------------------------------------ small steps


def _each(kind: str, choices: Iterable[Choice], made: Callable[[Choice], Any]) -> tuple[list[Any], list[str]]:
    """What is made of each choice, and why some have nothing. Raises the reason where there is but one choice."""
    found, notes = [], []
    for choice in choices:
        try:
            found.append(made(choice))
        except BenchError as wrong:
            notes.append(f"{choice}: {str(wrong).removeprefix(f'{kind} {choice.name}: ')}")
            last = wrong
    if not found:
        raise last if len(notes) == 1 else BadOption(f"nothing of {kind} can be drawn: {'; '.join(notes)}")
    return found, notes


def _small_multiples(panels: Sequence[Panel], title: str, below: str, notes: Sequence[str], file: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = max(6.5, 3.2 * columns)
    wrapped = [textwrap.fill(line, int(width * 15)) for line in (below, *(f"not drawn: {note}" for note in notes))]
    foot = "\n".join(wrapped)
    height = 0.7 + 2.3 * rows + 0.17 * (foot.count("\n") + 1)
    layout = ConstrainedLayoutEngine(hspace=0.06, wspace=0.03)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    figure.suptitle(textwrap.fill(title, int(width * 9)), x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.supxlabel(foot, x=0.01, ha="left", fontsize=8, color=GREY, parse_math=False)
    for panel, axes in zip(panels, figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat):
        panel.draw(axes)
        dress(axes, textwrap.shorten(panel.title, 44, placeholder=" …"))
        axes.tick_params(labelbottom=True)
        if panel.words:  # between the title, which makes room, and the chart
            axes.set_title(axes.get_title("left"), fontsize=9.5, loc="left", pad=17, color=INK, parse_math=False)
            style: dict[str, Any] = {"fontsize": 7, "color": GREY, "parse_math": False}
            axes.annotate(panel.words, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", **style)
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    figure.savefig(file, dpi=150, format="png", metadata={"Software": None})
