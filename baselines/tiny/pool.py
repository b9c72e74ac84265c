"""Rendered scenes kept in memory, and on disk so that an interrupted run need not render them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from addp_bench.randomness import numpy_generator
from addp_bench.tasks.tabletop.render import render
from addp_bench.tasks.tabletop.scenes import sample_scene
from addp_bench.tasks.tabletop.solids import SHAPES, Scene

MOST = 7  # solids that a row of `classes` has room for
CHUNK = 64  # scenes that one worker makes at a time


@dataclass
class Scenes:
    """images (N, H, W, 3) uint8 · depth (N, H, W) float16 metres · instance (N, H, W) uint8, 0 background ·
    classes (N, MOST) uint8: the class of solid k at k - 1, from 1; 0 where there is no such solid.
    """

    images: Tensor
    depth: Tensor
    instance: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.images)


def photographed(scenes: Sequence[Scene]) -> Scenes:
    """The scenes rendered at 64 px."""
    rendering = render(scenes, 64)
    classes = np.zeros((len(scenes), MOST), np.uint8)
    for row, scene in zip(classes, scenes, strict=True):
        row[: len(scene.solids)] = [SHAPES.index(solid.shape) + 1 for solid in scene.solids]
    return Scenes(
        torch.from_numpy(rendering.images),
        torch.from_numpy(rendering.depth).half(),
        torch.from_numpy(rendering.instance),
        torch.from_numpy(classes),
    )


def random_scenes(seed: int, chunk: int, count: int = CHUNK) -> dict[str, Tensor]:
    """One chunk of independent scenes, as the fields of `Scenes`."""
    rng = numpy_generator("tiny", "scenes", seed, chunk)
    return vars(photographed([sample_scene(rng) for _ in range(count)]))


def gathered(
    make: Callable[[int, int], dict[str, Tensor]], seed: int, count: int, file: Path, workers: int = 2
) -> dict[str, Tensor]:
    """Chunks 0 .. of `make(seed, chunk)` joined until there are `count` rows, read from `file` where it exists."""
    if not file.exists():
        chunks = range(-(-count // CHUNK))
        if workers > 1:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                made = list(pool.map(make, [seed] * len(chunks), chunks))
        else:
            made = [make(seed, chunk) for chunk in chunks]
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        save_file({name: torch.cat([part[name] for part in made]).contiguous() for name in made[0]}, partial)
        partial.replace(file)
    return load_file(file)


def scene_pool(seed: int, count: int, folder: Path, workers: int = 2) -> Scenes:
    """At least `count` independent scenes."""
    return Scenes(**gathered(random_scenes, seed, count, folder / f"scenes-{seed}-{count}.safetensors", workers))
