"""What plugins are checked with, and how a finding is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from addp_bench.randomness import normal, numpy_generator, uniform
from addp_bench.registry import Registry
from addp_bench.spec import Choice
from addp_bench.types import Boxes, Detections, Objects, Presence, Sample

from .clauses import CLAUSES

SIDE = 64  # pixels of the pictures that are drawn
LATENT = (4, 8, 8)
VOCABULARY = ("background", "ball")  # what labels index where a split is made up


class Finding(NamedTuple):
    """What was found of one clause.

    clause: its id. problem: what was met instead, None where it is kept. of: which task, sample or setting was looked
    at, "" for all there is. unseen: why it was not looked at, "" where it was.
    """

    clause: str
    problem: str | None = None
    of: str = ""
    unseen: str = ""

    @property
    def promise(self) -> str:
        """The clause in words."""
        return f"{self.of}: {CLAUSES[self.clause]}" if self.of else CLAUSES[self.clause]


@dataclass(frozen=True)
class Subject:
    """What is checked: a choice of a kind, which can be built again."""

    registry: Registry
    kind: str
    choice: Choice

    def build(self) -> Any:
        """Another one, of the same options."""
        return self.registry.build(self.kind, self.choice)


def names(purpose: str, count: int) -> list[tuple[str | int, ...]]:
    return [("checks", purpose, i) for i in range(count)]


def latents_of(purpose: str, count: int) -> torch.Tensor:
    return normal(LATENT, names(purpose, count))


def masks_of(count: int) -> torch.Tensor:
    """Masks (count, SIDE, SIDE) bool of one ellipse each."""
    rng = numpy_generator("checks", "masks")
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, radius = rng.uniform(0.35, 0.65, (count, 2, 1, 1)) * SIDE, rng.uniform(0.1, 0.25, (count, 2, 1, 1)) * SIDE
    return torch.from_numpy(((y - centre[:, 0]) / radius[:, 0]) ** 2 + ((x - centre[:, 1]) / radius[:, 1]) ** 2 < 1)


def truths_of(count: int) -> dict[str, Any]:
    """An example of each type of truth that travels as a batch: masks, depth (1 to 6 m, unknown at the top), class maps
    (0, 1 and unlabelled 255), boxes, which of two classes are there."""
    masks = masks_of(count)
    labels = masks.long()
    labels[:, :4] = 255
    depth = 4.0 + 2.0 * photos_of(count)[:, 0] - 2.0 * masks.float()
    depth[:, :4] = 0.0
    corner = uniform((8, 2), names("corners", count)).float() * 0.6 * SIDE
    side = 2.0 + uniform((8, 2), names("sides", count)).float() * 0.3 * SIDE
    valid = torch.ones(count, 8, dtype=torch.bool)
    valid[:, 7] = False
    xyxy = torch.cat([corner, corner + side], dim=2)
    boxes = Boxes(xyxy, torch.zeros(count, 8, dtype=torch.int64), valid, (SIDE, SIDE))
    classes = torch.stack([torch.arange(count) % 2 == 0, torch.arange(count) % 4 < 2], dim=1)
    return {"mask": masks, "depth": depth, "labels": labels, "boxes": boxes, "classes": classes}


def boxes_of(count: int) -> Boxes:
    """A box of each class in every picture, apart and of whole pixels, so that any encoding can tell them."""
    u = (uniform((2, 4), names("apart", count)) * 8).floor().float()
    near = u[..., :2] + torch.tensor([[4.0, 6.0], [38.0, 24.0]])
    labels = torch.arange(2).expand(count, 2)
    xyxy = torch.cat([near, near + 10.0 + u[..., 2:]], dim=2)
    return Boxes(xyxy, labels, torch.ones(count, 2, dtype=torch.bool), (SIDE, SIDE))


def answers_of(truth: str) -> tuple[Any, Any, Any] | None:
    """A truth of this type of one photograph, the perfect prediction and one that found nothing; None: no example."""
    if truth == "boxes":
        boxes = boxes_of(1)
        xyxy, labels = boxes.xyxy[0].double().numpy(), boxes.labels[0].numpy()
        area = (xyxy[:, 2:] - xyxy[:, :2]).prod(1)
        return (
            Objects(xyxy, labels, np.zeros(2, bool), area, (SIDE, SIDE)),
            Detections(xyxy, labels, np.ones(2)),
            Detections(xyxy[:0], labels[:0], np.ones(0)),
        )
    if truth == "classes":
        both = np.arange(2)
        perfect, nothing = (Presence(both, np.array(s), VOCABULARY) for s in ([0.0, 1.0], [0.5, 0.5]))
        return np.array([False, True]), perfect, nothing
    return None


def photos_of(count: int) -> torch.Tensor:
    """Smooth grey pictures (count, 3, SIDE, SIDE) in [-0.5, 0.5], far from the colours that drawings have."""
    rough = uniform((3, 4, 4), names("photos", count)).float() - 0.5
    return torch.nn.functional.interpolate(rough, (SIDE, SIDE), mode="bilinear")


def noise_of(registry: Registry) -> Any:
    return registry.build("noise", registry.resolve("noise", Choice("scaled_linear")))


def built(kind: str, registry: Registry, name: str) -> Any:
    return registry.build(kind, registry.resolve(kind, Choice(name)))


def said(clause: str, kept: Any, problem: str, of: str = "") -> Finding:
    """problem: what is told where it is not kept."""
    return Finding(clause, None if bool(kept) else problem, of)


def unseen(clause: str, why: str, of: str = "") -> Finding:
    return Finding(clause, None, of, why)


def shaped(clause: str, value: Any, shape: Sequence[int], of: str = "") -> Finding:
    met = tuple(getattr(value, "shape", ()))
    return said(clause, met == tuple(shape), f"expected the shape {tuple(shape)}, met {met}", of)


def finite(clause: str, value: torch.Tensor, of: str = "") -> Finding:
    return said(clause, torch.isfinite(value).all(), "met a value that is not finite", of)


def sample_of(truth: Any) -> Sample:
    """A black photograph with this truth."""
    return Sample("checks", "checks", np.zeros((SIDE, SIDE, 3), np.uint8), truth, "the red cup")
