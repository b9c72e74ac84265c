"""A sheet of photographs with expressions and their answers, to be looked at by a person."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .expressions import LEVELS

if TYPE_CHECKING:
    from addp_bench.types import Sample

    from .dataset import Tabletop

COLUMNS = 5  # examples of each level
MEANING = {
    "L0": "the only one of its class",
    "L1": "others of its class, told apart by colour",
    "L2": "others of its class and colour, told apart by size or pattern",
    "L3": "an identical twin, so that a relation is needed",
    "L4": "a minimal pair: the same words in another order mean another object",
    "plural": "several objects at once",
    "none": "no such object: nothing is to be found",
}


def draw(dataset: Tabletop, split: str, file: Path, skip: int = 0) -> None:
    """Write a PNG: for each level COLUMNS photographs, each beside its answer. skip: samples passed over first."""
    from matplotlib.figure import Figure

    chosen = _examples(dataset, split, skip)
    figure = Figure(figsize=(3.6 * COLUMNS, 0.6 + 2.75 * len(LEVELS)), layout="constrained")
    title = f"tabletop, split {split}: each photograph, and beside it the answer in the light"
    figure.suptitle(title, x=0.01, ha="left", fontsize=15, fontweight="bold")
    strips = np.ravel(np.asarray(figure.subfigures(len(LEVELS), 1, hspace=0.03)))
    for level, strip in zip(LEVELS, strips):
        strip.suptitle(f"{level}: {MEANING[level]}", x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = strip.subplots(1, 2 * COLUMNS)
        for shown in axes:
            shown.axis("off")
        for column, sample in enumerate(chosen[level]):
            photograph, answer = axes[2 * column], axes[2 * column + 1]
            photograph.imshow(sample.image)
            answer.imshow(overlaid(sample.image, sample.truth))
            lines = textwrap.fill(sample.text, 46)
            photograph.set_title(lines, fontsize=9, loc="left", wrap=False, parse_math=False)
            if not sample.truth.any():
                answer.text(0.5, 0.5, "nothing", color="white", ha="center", va="center", transform=answer.transAxes)
    figure.savefig(file, dpi=110)


def _examples(dataset: Tabletop, split: str, skip: int) -> dict[str, list[Sample]]:
    """The first samples of each level."""
    samples = dataset.samples(split, "ris")
    found: dict[str, list[Sample]] = {level: [] for level in LEVELS}
    for i in range(skip, len(samples)):
        sample = samples[i]
        kept = found[str(sample.attributes["level"])]
        if len(kept) < COLUMNS:
            kept.append(sample)
        if all(len(kept) == COLUMNS for kept in found.values()):
            break
    return found


def overlaid(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """image (H, W, 3) uint8 with all but the mask (H, W) dimmed."""
    return np.where(mask[..., None], image, (image * 0.25).astype(np.uint8))
