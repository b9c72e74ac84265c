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


def draw(dataset: Tabletop, split: str, file: Path, skip: int = 0) -> None:
    """Write a PNG: for each level COLUMNS photographs, each beside its answer. skip: samples passed over first."""
    from matplotlib.figure import Figure

    chosen = _examples(dataset, split, skip)
    figure = Figure(figsize=(3.6 * COLUMNS, 2.25 * len(LEVELS)), layout="constrained")
    axes = figure.subplots(len(LEVELS), 2 * COLUMNS)
    for row, level in enumerate(LEVELS):
        for column in range(COLUMNS):
            photograph, answer = axes[row, 2 * column], axes[row, 2 * column + 1]
            photograph.axis("off")
            answer.axis("off")
            if column < len(chosen[level]):
                sample = chosen[level][column]
                photograph.imshow(sample.image)
                answer.imshow(overlaid(sample.image, sample.truth))
                title = textwrap.fill(f"{level}: {sample.text}", 44)
                photograph.set_title(title, fontsize=8, loc="left", wrap=False)
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
