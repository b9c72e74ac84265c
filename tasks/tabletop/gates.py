"""What the world promises, measured.

The measurements are made on the `stats` split. Guessing among the visible solids is the level that a model reaches
which understands photographs but not words; it must not be beaten by looking at the photograph alone or at the words
alone.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import blind
from .expressions import LEVELS
from .programs import from_plain
from .readings import satisfying
from .render import render
from .scenes import SHARE, SHOWN
from .shards import SCENES, open_shard
from .splits import SPLITS, make
from .words import LONGEST, VOCABULARY

if TYPE_CHECKING:
    from .dataset import Tabletop

CORNERS = np.array(list(itertools.product((0, 255), repeat=3)))  # the drawing colours
Row = tuple[str, Any, str, bool]  # what, measured, expected, kept


@dataclass(frozen=True)
class Split:
    """A whole split: images (N, H, W, 3), instance (N, H, W), scenes N plain dicts as in a shard."""

    images: np.ndarray
    instance: np.ndarray
    scenes: list[dict[str, Any]]

    @property
    def asked(self) -> list[tuple[int, dict[str, Any]]]:
        """(scene number, expression) of every expression."""
        return [(n, e) for n, scene in enumerate(self.scenes) for e in scene["expressions"]]


def load(dataset: Tabletop, split: str) -> Split:
    """A split, rendered where it is not there."""
    shards = [
        open_shard(dataset.folder, split, i, dataset.size) for i in range(math.ceil(SPLITS[split].scenes / SCENES))
    ]
    return Split(
        np.concatenate([shard.images for shard in shards]),
        np.concatenate([shard.instance for shard in shards]),
        [shard.scene(row) for shard in shards for row in range(len(shard.lines))],
    )


def measure(dataset: Tabletop) -> Iterator[Row]:
    """(what, measured, expected, kept) for each promise."""
    split = load(dataset, "stats")
    yield from pictures(split)
    yield from language(split)
    yield from guesses(split)
    yield again(dataset, split)


def pictures(split: Split) -> Iterator[Row]:
    """Sizes, visibility and colours."""
    singles = [(n, e["target"][0]) for n, e in split.asked if len(e["target"]) == 1]
    shares = [np.mean(split.instance[n] == k + 1) for n, k in singles]
    median = float(np.median(shares))
    yield "median target, share of the image", median, ">= 0.08", median >= 0.08
    for level in LEVELS[:5]:
        of = [e["level"] == level for _, e in split.asked if len(e["target"]) == 1]
        yield f"median target of {level}", float(np.median(np.array(shares)[of])), "for comparison", True
    shown = min(min(scene["facts"]["shown"]) for scene in split.scenes)
    yield "least visible share of a silhouette", shown, f">= {SHOWN}", shown >= SHOWN
    area = min(min(scene["facts"]["area"]) for scene in split.scenes)
    yield "least visible share of the image", area, f">= {SHARE}", area >= SHARE
    distance = nearest_corner(split.images)
    yield "least RGB distance to a drawing colour", distance, "> 80", distance > 80


def nearest_corner(images: np.ndarray) -> float:
    """Least Euclidean distance of any pixel (..., 3) of 0..255 to a corner of the RGB cube."""
    values = images.reshape(-1, 3).astype(np.int64)
    nearest = np.minimum(values, 255 - values)  # each channel's distance to its nearer end
    return math.sqrt(int((nearest * nearest).sum(1).min()))


def language(split: Split) -> Iterator[Row]:
    """Balance, meaning and words of the expressions."""
    asked = split.asked
    counts = Counter(e["level"] for _, e in asked)
    for level in LEVELS:
        share, wanted = counts[level] / len(asked), 0.16 if level.startswith("L") else 0.10
        yield f"share of {level}", share, f"{wanted:.2f} +- 0.025", abs(share - wanted) <= 0.025
    read = [satisfying(from_plain(e["program"]), split.scenes[n]) == set(e["target"]) for n, e in asked]
    yield "expressions that a second reader understands alike", float(np.mean(read)), "1", all(read)
    pairs = [e for _, e in asked if e["level"] == "L4"]
    same = [sorted(e["text"].split()) == sorted(e["flip"][0].split()) and [e["flip"][1]] != e["target"] for e in pairs]
    yield "minimal pairs with equal words and different targets", float(np.mean(same)), "1", all(same)
    texts = [text for _, e in asked for text in e["paraphrases"]]
    strange = {word for text in texts for word in text.split()} - set(VOCABULARY)
    yield f"words beyond the vocabulary of {len(VOCABULARY)}", len(strange), "0", not strange
    longest = max(len(text.split()) for text in texts)
    yield "words of the longest expression", longest, f"<= {LONGEST}", longest <= LONGEST


def guesses(split: Split) -> Iterator[Row]:
    """What is reached without the words, or without the photograph."""
    choices = blind.choices(split.scenes)
    chance = blind.chance(choices)
    yield "guessing among the visible solids, accuracy", chance, "for comparison", True
    for name, value, error in blind.photograph_only(choices):
        yield name, value, f"{chance:.3f} +- {2 * error:.3f}", abs(value - chance) <= 2 * error
    expressions = blind.masks(split.instance, split.scenes)
    guess = blind.overall(blind.any_solid(expressions))
    yield "guessing among the visible solids, oIoU", guess, "for comparison", True
    fixed = {name: blind.overall(parts) for name, parts in blind.fixed_answers(expressions).items()}
    for name, value in fixed.items():
        yield f"{name}, oIoU", value, "for comparison", True
    best = max(guess, *fixed.values())  # no word was read for it
    words, error = blind.words_only(expressions, [e["text"] for _, e in split.asked])
    yield (
        "fitted to words without photographs, oIoU",
        words,
        f"<= {best:.3f} + {2 * error:.3f}",
        words <= best + 2 * error,
    )


def again(dataset: Tabletop, split: Split, count: int = 5) -> Row:
    """Some scenes made a second time, outside of the cache."""
    made = make("stats", range(count))
    images = render([one.scene for one in made], dataset.size).images
    digests = [hashlib.sha256(part.tobytes()).hexdigest()[:12] for part in (images, split.images[:count])]
    said = [[e.text for e in one.expressions] for one in made]
    kept = said == [[e["text"] for e in scene["expressions"]] for scene in split.scenes[:count]]
    return f"the first {count} scenes, made again", digests[0], digests[1], kept and digests[0] == digests[1]
