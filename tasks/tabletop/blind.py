"""Predictors that see half of the question: the photograph without the words, or the words without the photograph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .expressions import LEVELS
from .solids import COLOURS, PATTERNS, SHAPES

Parts = tuple[np.ndarray, np.ndarray]  # intersection and union of each expression, pixels (N,) each


@dataclass(frozen=True)
class Choice:
    """An expression with one target, as a choice among n solids: features (n, F) of each, index of the target."""

    features: np.ndarray
    target: int


def choices(scenes: Sequence[dict[str, Any]]) -> list[Choice]:
    """One for each expression with exactly one target."""
    found = []
    for scene in scenes:
        features = _features(scene["facts"])
        found += [Choice(features, e["target"][0]) for e in scene["expressions"] if len(e["target"]) == 1]
    return found


def _features(facts: dict[str, Any]) -> np.ndarray:
    """What the photograph tells of each solid (n, F): place, sizes, looks, and how many others look alike."""
    labels = facts["labels"]
    place = np.array([facts["column"], facts["depth"], facts["area"], facts["radius"], facts["shown"]]).T
    place = (place - place.mean(0)) / (place.std(0) + 1e-9)
    looks = [
        [*(label[0] == s for s in SHAPES), *(label[1] == c for c in COLOURS), *(label[3] == p for p in PATTERNS)]
        for label in labels
    ]
    alike = [
        [sum(a[0] == b[0] for b in labels), sum(a[:2] == b[:2] for b in labels), sum(a == b for b in labels)]
        for a in labels
    ]
    centre = np.abs(place[:, :2])
    return np.concatenate([place, centre, np.array(looks, float), np.array(alike, float)], 1)


def chance(choices: Sequence[Choice]) -> float:
    """Accuracy of a guess among the visible solids."""
    return float(np.mean([1 / len(choice.features) for choice in choices]))


def photograph_only(choices: Sequence[Choice]) -> Iterator[tuple[str, float, float]]:
    """(name, accuracy, standard error) of rules that pick a solid without the words, and of one that was fitted."""
    rules = {"nearest": (1, -1), "largest": (2, 1), "most central": (5, -1)}
    for name, (column, sign) in rules.items():
        picks = [int(np.argmax(sign * choice.features[:, column])) for choice in choices]
        yield f"picking the {name} solid, accuracy", *_accuracy(picks, choices)
    half = len(choices) // 2
    weights = _fit(choices[:half])
    picks = [int(np.argmax(choice.features @ weights)) for choice in choices[half:]]
    yield "fitted to photographs without words, accuracy", *_accuracy(picks, choices[half:])


def _accuracy(picks: Sequence[int], choices: Sequence[Choice]) -> tuple[float, float]:
    right = np.array([a == choice.target for a, choice in zip(picks, choices)], float)
    chances = np.array([1 / len(choice.features) for choice in choices])
    return float(right.mean()), float(np.sqrt((chances * (1 - chances)).sum()) / len(right))


def _fit(choices: Sequence[Choice], steps: int = 150, rate: float = 1.0, decay: float = 1e-3) -> np.ndarray:
    """Weights (F,) of a conditional logit: P(solid) ~ exp(features . weights)."""
    most = max(len(choice.features) for choice in choices)
    stacked = np.zeros((len(choices), most, choices[0].features.shape[1]))
    there = np.zeros((len(choices), most), bool)
    for row, choice in enumerate(choices):
        stacked[row, : len(choice.features)], there[row, : len(choice.features)] = choice.features, True
    chosen = stacked[np.arange(len(choices)), [choice.target for choice in choices]]
    weights = np.zeros(stacked.shape[2])
    for _ in range(steps):
        odds = np.where(there, np.exp(stacked @ weights), 0.0)
        odds /= odds.sum(1, keepdims=True)
        weights += rate * ((chosen - (odds[..., None] * stacked).sum(1)).mean(0) - decay * weights)
    return weights


@dataclass(frozen=True)
class Masks:
    """Every expression's truth (N, H, W) bool, the instance map of its photograph (N, H, W), its level (N,)."""

    truth: np.ndarray
    instance: np.ndarray
    level: np.ndarray


def masks(instance: np.ndarray, scenes: Sequence[dict[str, Any]]) -> Masks:
    """All expressions of a split, in order."""
    asked = [(n, e) for n, scene in enumerate(scenes) for e in scene["expressions"]]
    of = instance[[n for n, _ in asked]]
    truth = np.stack([np.isin(one, [k + 1 for k in e["target"]]) for one, (_, e) in zip(of, asked)])
    return Masks(truth, of, np.array([LEVELS.index(e["level"]) for _, e in asked]))


def _against(truth: np.ndarray, answer: np.ndarray) -> Parts:
    both = (truth & answer).sum((1, 2)).astype(float)
    return both, truth.sum((1, 2)) + answer.sum((1, 2)) - both


def any_solid(masks: Masks) -> Parts:
    """Expected intersection and union when any visible solid is answered, each equally likely."""
    both, either = np.zeros(len(masks.truth)), np.zeros(len(masks.truth))
    counts = masks.instance.max((1, 2))
    for k in range(1, counts.max() + 1):
        there = counts >= k
        i, u = _against(masks.truth, masks.instance == k)
        both += np.where(there, i / counts, 0.0)
        either += np.where(there, u / counts, 0.0)
    return both, either


def fixed_answers(masks: Masks) -> dict[str, Parts]:
    """Answers that read no word: the best box for all, each scene's largest solid, all its solids."""
    areas = np.stack([(masks.instance == k).sum((1, 2)) for k in range(1, masks.instance.max() + 1)], 1)
    largest = masks.instance == (areas.argmax(1) + 1)[:, None, None]
    return {
        "the best box for all": _against(masks.truth, best_box(masks.truth)[None]),
        "the largest solid": _against(masks.truth, largest),
        "all solids": _against(masks.truth, masks.instance > 0),
    }


def best_box(truth: np.ndarray, step: int = 8) -> np.ndarray:
    """The box (H, W) bool, its edges at multiples of a `step`-th of the side, with the largest overall IoU."""
    side = truth.shape[1]
    heat, total = truth.sum(0).astype(float), truth.sum()
    edges = [side * i // step for i in range(step + 1)]
    best, found = -1.0, (0, 0, side, side)
    for y0, y1 in ((a, b) for a in edges for b in edges if a < b):
        for x0, x1 in ((a, b) for a in edges for b in edges if a < b):
            both = heat[y0:y1, x0:x1].sum()
            score = both / (total + len(truth) * (y1 - y0) * (x1 - x0) - both)
            if score > best:
                best, found = score, (x0, y0, x1, y1)
    box = np.zeros(truth.shape[1:], bool)
    box[found[1] : found[3], found[0] : found[2]] = True
    return box


def words_only(masks: Masks, texts: Sequence[str]) -> tuple[float, float]:
    """oIoU, and its standard error, of masks fitted to bags of words on half of the expressions, on the other half."""
    vocabulary = sorted({word for text in texts for word in text.split()})
    index = {word: i for i, word in enumerate(vocabulary)}
    bags = np.zeros((len(texts), len(vocabulary) + 1))
    bags[:, -1] = 1.0
    for row, text in zip(bags, texts):
        for word in text.split():
            row[index[word]] += 1.0
    half = len(texts) // 2
    flat = masks.truth.reshape(len(texts), -1).astype(float)
    weights = np.linalg.solve(bags[:half].T @ bags[:half] + 10.0 * np.eye(bags.shape[1]), bags[:half].T @ flat[:half])
    heat = bags @ weights
    levels = np.quantile(heat[:half], np.linspace(0.5, 0.98, 13))
    train = [
        overall(_against(masks.truth[:half], (heat[:half] > level).reshape(masks.truth[:half].shape)))
        for level in levels
    ]
    answer = (heat[half:] > levels[int(np.argmax(train))]).reshape(masks.truth[half:].shape)
    parts = _against(masks.truth[half:], answer)
    return overall(parts), _error(parts)


def overall(parts: Parts) -> float:
    """oIoU: the sum of intersections over the sum of unions."""
    return float(parts[0].sum() / parts[1].sum())


def _error(parts: Parts) -> float:
    """Standard error of a ratio of sums (delta method)."""
    both, either = parts
    rest = both - overall(parts) * either
    return float(math.sqrt((rest * rest).sum()) / either.sum())
