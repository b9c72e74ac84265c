"""Changes to a scene, and sentences that describe one: what a generator and an editor are trained on.

Each edit returns a new scene (render both and compare), or None where the change is impossible. Instance ids of the
other solids stay, except after `remove`, which closes the gap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .scenes import in_frame, pick, place, seen, stands_free
from .solids import COLOURS, Scene, Solid

__all__ = ["caption", "move", "noun", "recolour", "remove", "swap_places"]


def recolour(scene: Scene, k: int, colour: str) -> Scene:
    """The scene with solids[k] painted in another colour."""
    if colour not in COLOURS:
        raise ValueError(f"no colour is called {colour!r}; known: {', '.join(COLOURS)}")
    return _with(scene, k, replace(scene.solids[k], colour=colour))


def move(scene: Scene, k: int, rng: np.random.Generator, tries: int = 8) -> Scene | None:
    """The scene with solids[k] at another free place where all solids are still well seen; None when there is none."""
    solid = scene.solids[k]
    others = [other for i, other in enumerate(scene.solids) if i != k]
    for _ in range(tries):
        found = place(rng, scene.camera, solid.label, solid.radius, others)
        if found is None:
            return None
        moved = _with(scene, k, found)
        if seen([moved])[0]:
            return moved
    return None


def remove(scene: Scene, k: int) -> Scene:
    """The scene without solids[k]; those after it move up by one."""
    return replace(scene, solids=scene.solids[:k] + scene.solids[k + 1 :])


def swap_places(scene: Scene, i: int, j: int) -> Scene | None:
    """The scene with two solids in each other's place; None when they do not fit or would hide something."""
    one, two = scene.solids[i], scene.solids[j]
    one, two = replace(one, x=two.x, z=two.z), replace(two, x=one.x, z=one.z)
    rest = [other for k, other in enumerate(scene.solids) if k not in (i, j)]
    fits = stands_free(one, [*rest, two]) and stands_free(two, rest)
    if not fits or not in_frame(scene.camera, one) or not in_frame(scene.camera, two):
        return None
    swapped = _with(_with(scene, i, one), j, two)
    return swapped if seen([swapped])[0] else None


def _with(scene: Scene, k: int, solid: Solid) -> Scene:
    return replace(scene, solids=(*scene.solids[:k], solid, *scene.solids[k + 1 :]))


def noun(solid: Solid, rng: np.random.Generator, *, full: bool = False) -> str:
    """'blue cone' with the size and the pattern sometimes, or always when full: 'small striped blue cone'."""
    words = []
    if full or rng.random() < 0.5:
        words.append(solid.size)
    if solid.pattern != "plain" and (full or rng.random() < 0.6):
        words.append(solid.pattern)
    return " ".join([*words, solid.colour, solid.shape])


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A sentence in lower case that names the solids in random order, and says of some where they stand."""
    order = rng.permutation(len(scene.solids)).tolist()
    parts: list[str] = []
    while order:
        k = order.pop()
        part = article(noun(scene.solids[k], rng))
        if order and rng.random() < 0.5:
            other = order.pop()
            said = relation(scene, k, other, rng)
            part += f" {said or 'and'} " + article(noun(scene.solids[other], rng))
        parts.append(part)
    return pick(rng, ("{}", "a photo of {}", "{} on a table")).format(", ".join(parts))


def article(words: str) -> str:
    """'an orange cone', 'a blue cone'."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def relation(scene: Scene, i: int, j: int, rng: np.random.Generator) -> str | None:
    """How solid i stands to solid j, where that is plain to see; None where it is not."""
    spots = scene.camera.project(np.array([(s.x, s.height / 2, s.z) for s in (scene.solids[i], scene.solids[j])]))
    across, deep = spots[0, 0] - spots[1, 0], spots[0, 2] - spots[1, 2]
    said = []
    if abs(across) > 0.12:  # of the image's width
        said.append("left of" if across < 0 else "right of")
    if abs(deep) > 0.12:  # metres
        said.append("in front of" if deep < 0 else "behind")
    return pick(rng, said) if said else None
