"""Scenes with captions, and pairs of scenes with the instruction that leads from one to the other.

Instructions name their solid by attributes only, among others that share some of them. There are no relations
between solids and no drawing colours: what a task asks for later has to be learnt there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from addp_bench.randomness import numpy_generator
from addp_bench.tasks.tabletop.edits import move, recolour, remove
from addp_bench.tasks.tabletop.programs import All, Facts, Kind, denotes
from addp_bench.tasks.tabletop.render import render
from addp_bench.tasks.tabletop.scenes import World, arrange, pick, sample_label, seen
from addp_bench.tasks.tabletop.solids import PATTERNS, SHAPES, SIZES, Scene
from addp_bench.tasks.tabletop.splits import MAIN_PAIRS
from addp_bench.tasks.tabletop.words import STYLES, words

from . import language
from .pool import CHUNK, gathered

EDITS = 4  # of each base scene
IMAGES = 1 + EDITS  # base and edited, in this order
CAPTIONS = 2  # of each image
SAYINGS = 2  # of each pair
PAIRS = 2 * EDITS  # of each base: there and back; -1 where there is no way back
_WORLD = World(pairs=MAIN_PAIRS)  # nothing here is drawn or named that `heldout_pairs` keeps for itself


def crowded(rng: np.random.Generator) -> Scene:
    """A scene in which many solids share their class, their colour, or both, with another."""
    while True:
        shape, colour, size, pattern = sample_label(rng, _WORLD)
        labels = [(shape, colour, size, pattern)]
        if rng.random() < 0.35:
            labels.append((shape, pick(rng, _WORLD.colours_of(shape)), pick(rng, SIZES), pick(rng, PATTERNS)))
        if rng.random() < 0.35:
            labels.append((shape, colour, pick(rng, SIZES), pick(rng, PATTERNS)))
        if rng.random() < 0.6:
            same = [other for other in SHAPES if _WORLD.allows(colour, other)]
            labels.append((pick(rng, same), colour, pick(rng, SIZES), pick(rng, PATTERNS)))
        while len(labels) < 3 or (len(labels) < 6 and rng.random() < 0.45):
            labels.append(sample_label(rng, _WORLD))
        scene = arrange(rng, _WORLD, labels)
        if scene is not None and seen([scene])[0]:
            return scene


def edited(scene: Scene, facts: Facts, rng: np.random.Generator) -> tuple[Scene, list[str], list[str]]:
    """An edited scene, ways to say the edit, and ways to say the way back (none where it has no unique wording)."""
    chance, k = rng.random(), int(rng.integers(len(facts)))
    target = language.describe(facts, k, _WORLD, rng)
    if chance < 0.05 and (nothing := language.absent(facts, _WORLD, rng)) is not None:
        return (
            scene,
            [_paint(nothing, pick(rng, _WORLD.colours_of(str(nothing.shape))), rng) for _ in range(SAYINGS)],
            [],
        )
    if chance < 0.15 and (several := _several(scene, facts, rng)) is not None:
        return several
    if target is None:
        return edited(scene, facts, rng)
    if chance < 0.36 and len(facts) > 2:
        said = [_said(language.REMOVE, target, rng) for _ in range(SAYINGS)]
        return remove(scene, k), said, []
    if chance < 0.52 and (moved := move(scene, k, rng)) is not None:
        ways = directions(scene, moved, k)
        if ways:
            there, back = ways
            said = [_moved(target, there, rng) for _ in range(SAYINGS)]
            return moved, said, [_moved(target, back, rng) for _ in range(SAYINGS)]
    colour = pick(rng, _others(scene.solids[k].shape, scene.solids[k].colour))
    after = recolour(scene, k, colour)
    labels = list(facts.labels)
    labels[k] = (labels[k][0], colour, *labels[k][2:])
    painted = language.describe(replace(facts, labels=tuple(labels)), k, _WORLD, rng)
    said = [_paint(target, colour, rng) for _ in range(SAYINGS)]
    return after, said, [_paint(painted, scene.solids[k].colour, rng) for _ in range(SAYINGS)] if painted else []


def _others(shape: str, colour: str) -> list[str]:
    """The colours that a solid of this shape and colour may be given."""
    return [other for other in _WORLD.colours_of(shape) if other != colour]


def _several(scene: Scene, facts: Facts, rng: np.random.Generator) -> tuple[Scene, list[str], list[str]] | None:
    """All solids of a class, or of a class and colour, in a new colour; None where there are not several."""
    shape, colour = pick(rng, facts.labels)[:2]
    kind = Kind(shape, colour if rng.random() < 0.4 else None)
    found = denotes(kind, facts)
    if not found or len(found) < 2:
        return None
    new, after = pick(rng, _others(shape, colour)), scene
    for k in found:
        after = recolour(after, k, new)
    said = [words(All(kind, len(found)), int(rng.integers(STYLES))) for _ in range(SAYINGS)]
    return after, [pick(rng, language.PAINT).format(x=x, c=new) for x in said], []


def directions(before: Scene, after: Scene, k: int) -> tuple[str, str] | None:
    """The plainest direction of a move and its opposite; None for a move that goes nowhere in particular."""
    one, two = (s.camera.project(np.array([(s.solids[k].x, 0.0, s.solids[k].z)]))[0] for s in (before, after))
    across, deep = (two[0] - one[0]) / 0.5, (two[2] - one[2]) / 0.6  # in rough spans of the table
    if max(abs(across), abs(deep)) < 0.35:
        return None
    if abs(across) > abs(deep):
        return ("left", "right") if across < 0 else ("right", "left")
    return ("front", "back") if deep < 0 else ("back", "front")


def _said(forms: tuple[str, ...], kind: Kind, rng: np.random.Generator) -> str:
    phrase = language.phrase(kind, rng)
    return pick(rng, forms).format(x=phrase, bare=phrase.removeprefix("the "))


def _paint(kind: Kind, colour: str, rng: np.random.Generator) -> str:
    return pick(rng, language.PAINT).format(x=language.phrase(kind, rng), c=colour)


def _moved(kind: Kind, way: str, rng: np.random.Generator) -> str:
    return f"move {language.phrase(kind, rng)} {pick(rng, language.MOVED[way])}"


def random_edits(seed: int, chunk: int, count: int = CHUNK) -> dict[str, Tensor]:
    """One chunk of `count` bases, each with EDITS edits. All texts are space-separated words as bytes, 0-padded.

    images (count * IMAGES, 64, 64, 3) uint8 · captions (count * IMAGES, CAPTIONS, WIDTH) uint8 ·
    before, after (count * PAIRS,) int64 rows of `images`, counted over all chunks, -1 for no pair ·
    sayings (count * PAIRS, SAYINGS, WIDTH) uint8.
    """
    rng = numpy_generator("tiny", "edits", seed, chunk)
    scenes: list[Scene] = []
    before, after, sayings = [], [], []
    bases = [crowded(rng) for _ in range(count)]
    for base, facts in zip(bases, facts_of(bases), strict=True):
        first = chunk * CHUNK * IMAGES + len(scenes)
        scenes.append(base)
        for number in range(1, IMAGES):
            changed, there, home = edited(base, facts, rng)
            scenes.append(changed)
            before += [first, first + number if home else -1]
            after += [first + number, first if home else -1]
            sayings += [there, home or [""] * SAYINGS]
    captions = [
        [language.told(s, f, rng) for _ in range(CAPTIONS)] for s, f in zip(scenes, facts_of(scenes), strict=True)
    ]
    return {
        "images": torch.from_numpy(render(scenes, 64).images),
        "captions": written(captions),
        "before": torch.tensor(before),
        "after": torch.tensor(after),
        "sayings": written(sayings),
    }


def facts_of(scenes: list[Scene]) -> list[Facts]:
    """What captions and descriptions may speak of."""
    from addp_bench.tasks.tabletop.render import survey

    _, _, visible, silhouette = survey(scenes, 64)
    return [Facts.of(scene, v, s, 64 * 64) for scene, v, s in zip(scenes, visible, silhouette, strict=True)]


WIDTH = 224  # bytes of a text


def written(texts: list[list[str]]) -> Tensor:
    """Texts as (N, M, WIDTH) uint8, cut where they are longer."""
    rows = np.zeros((len(texts), len(texts[0]), WIDTH), np.uint8)
    for row, several in zip(rows, texts, strict=True):
        for line, text in zip(row, several, strict=True):
            data = np.frombuffer(text.encode()[:WIDTH], np.uint8)
            line[: len(data)] = data
    return torch.from_numpy(rows)


def read(rows: Tensor) -> list[str]:
    """The texts of (N, WIDTH) uint8."""
    return [bytes(row.tolist()).rstrip(b"\0").decode() for row in rows]


def edit_pool(seed: int, bases: int, folder: Path, workers: int = 2) -> dict[str, Tensor]:
    """At least `bases` base scenes with their edits, as the fields of `random_edits`; bases a multiple of CHUNK."""
    return gathered(random_edits, seed, bases, folder / f"edits-{seed}-{bases}.safetensors", workers)
