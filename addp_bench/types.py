"""The values that travel through a run.

Three conventions hold everywhere. Photographs and drawings at rest are (H, W, 3) uint8 RGB. In batches they are
(B, 3, H, W) float32 in [-1, 1]. A drawing that was made by a model is an 8-bit picture: it is rounded once, where it
leaves the codec, so that a stored drawing decodes exactly as it did when it was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

UNLABELLED = 255  # in a class map (H, W): nobody knows the class of this pixel


@dataclass(frozen=True)
class Sample:
    """One thing to be judged: a photograph, what is true of it, and the words that ask for it.

    id: stable and unique in its dataset and split. image_id: the photograph; samples that share it are one cluster.
    image: (H, W, 3) uint8 RGB. truth: what the task says (for `ris` a (H, W) bool mask). text: the words, "" if none.
    hints: facts about the truth that only an agent declared `uses_truth` may see.
    attributes: plain values by which results are sliced (level, size, ...).
    """

    id: str
    image_id: str
    image: np.ndarray
    truth: Any
    text: str = ""
    hints: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """One drawing that is asked of a model: its prompt, and the colour and class it stands for where it has any."""

    prompt: str
    colour: tuple[int, int, int] | None = None  # 0..255 RGB
    label: int | None = None  # class index in the task's vocabulary


@dataclass(frozen=True)
class Drawing:
    """A batch of drawn answers.

    rgb: (B, 3, H, W) float32 in [-1, 1]. valid: (B, H, W) bool where the drawing means something, None for
    everywhere. painted: (B, H, W) bool pixels whose colour the encoding chose, None when all of them were.
    """

    rgb: Tensor
    valid: Tensor | None = None
    painted: Tensor | None = None


@dataclass(frozen=True)
class Sweep:
    """Values that an option of an encoding's decoder may be given on a tuning split. own: what it has without one."""

    option: str
    own: float
    values: Sequence[float]


@dataclass(frozen=True)
class Boxes:
    """The boxes of B pictures of one size, padded to the N of the picture that has most.

    xyxy: (B, N, 4) float32 x0, y0, x1, y1 in pixels of the picture, far edges exclusive: the whole picture is the box
    0, 0, W, H. labels: (B, N) int64 class indices. valid: (B, N) bool, False for padding, whose box and label mean
    nothing. size: (H, W) of the pictures. Boxes are in no order.
    """

    xyxy: Tensor
    labels: Tensor
    valid: Tensor
    size: tuple[int, int]

    def to(self, device: torch.device | str) -> Boxes:
        """The same boxes on a device."""
        return Boxes(self.xyxy.to(device), self.labels.to(device), self.valid.to(device), self.size)


@dataclass(frozen=True)
class Objects:
    """The objects of one photograph, as truth.

    xyxy: (n, 4) float x0, y0, x1, y1 in pixels of the photograph, far edges exclusive. labels: (n,) int64 indices
    into the vocabulary. crowd: (n,) bool, a box round a group that is not told apart. area: (n,) float64 pixels of the
    object itself, by which COCO calls it small, medium or large. size: (H, W) of the photograph.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class Detections:
    """The objects that somebody found in one photograph: xyxy and labels as in Objects, scores (n,) float64."""

    xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Depth:
    """A predicted depth map.

    values: (H, W) float32, an array or a tensor. space: "metric" in metres; "affine" metres up to an unknown scale and
    shift; "disparity" 1 / metres up to the same.
    """

    values: Any
    space: Literal["metric", "affine", "disparity"]


@dataclass(frozen=True)
class Classified:
    """What a probe says of the class of one photograph.

    scores: (K, C) float, of each of C classes at each of K noise draws; the highest is the answer, of equals the first.
    alignment, closeness: of its features, see `probing`; nan where nothing says.
    """

    scores: np.ndarray
    alignment: float = math.nan
    closeness: float = math.nan


@dataclass(frozen=True)
class Presence:
    """Which of some classes somebody says are in one photograph.

    labels: (n,) int64 indices into the vocabulary of the classes that were asked for, each once. scores: (n,) float64
    in [0, 1]: above one half says yes, below it no, and one half says nothing. names: of the classes, for files.
    """

    labels: np.ndarray
    scores: np.ndarray
    names: Sequence[str]


@dataclass(frozen=True)
class Step:
    """What a sampler visited: timestep t (0..T-1) and the model's estimate x0 (B, C, h, w) of the clean latent."""

    t: int
    x0: Tensor


@dataclass(frozen=True)
class Attempt:
    """What came of one training batch, as an objective sees it.

    output, goal (B, C, h, w): what the network said, and what its target asks for. x0 (B, C, h, w): the clean latent.
    t (B,) int64. valid (B, h, w) bool: where a latent pixel's whole drawing means something, None for everywhere.
    features: outputs of the network's modules that the objective named, by name. estimate(): the x0 that the output
    means, with its gradient. decode(latents): their pictures (B, 3, H, W) in [-1, 1].
    """

    output: Tensor
    goal: Tensor
    x0: Tensor
    t: Tensor
    valid: Tensor | None
    features: Mapping[str, Any]
    estimate: Callable[[], Tensor]
    decode: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Card:
    """What a person should know of a dataset before quoting a number on it.

    counts: samples by split. access: one line on how to get it. fingerprint: changes when the samples change.
    """

    name: str
    licence: str
    citation: str
    access: str
    counts: Mapping[str, int]
    fingerprint: str


@dataclass(frozen=True)
class About:
    """What can be said of a dataset before any of its files is here.

    licence, citation, access: as in Card. size: how much it is to get, "" where no source says. published: samples by
    split, for those whose number is published. archives: MD5 by the name of a downloaded archive, where it is known.
    """

    licence: str
    citation: str
    access: str
    size: str = ""
    published: Mapping[str, int] = field(default_factory=dict)
    archives: Mapping[str, str] = field(default_factory=dict)

    def card(self, name: str, counts: Mapping[str, int], fingerprint: str) -> Card:
        """The card of a copy whose files were met."""
        return Card(name, self.licence, self.citation, self.access, counts, fingerprint)


@dataclass(frozen=True)
class ModelCard:
    """What planning needs to know of a denoising model, found without loading its weights.

    fingerprint: SHA-256 of every weight and settings file. target: what it was trained to output ("epsilon", "x0",
    "v"). resolution: side of the square pictures it draws, pixels. guidance: the choice it is sampled with unless
    asked otherwise. layers: names of those whose features can be read, in the order they are computed; none for a model
    whose features cannot.
    """

    fingerprint: str
    target: str
    resolution: int
    guidance: str
    layers: Sequence[str] = ()


@dataclass(frozen=True)
class ProtocolCard:
    """How the figures of a publication are made on one dataset; None leaves open what no source states.

    judge: the task's protocol of that name. split: that is judged, all of it. steps: of the sampler. ensemble: answers
    made one. resolution: longer side, in pixels, of photographs as the model sees them, their shape kept; "native" for
    their own size. version: goes up when any of it changes, or what the judge does.
    """

    judge: str
    split: str | None = None
    steps: int | None = None
    ensemble: int | None = None
    resolution: int | Literal["native"] | None = None
    version: int = 1


@dataclass(frozen=True)
class Budget:
    """How much a cell may spend. Tables never mix budgets.

    train_steps: optimiser steps. batch_size: effective. lr: peak learning rate. warmup: steps of linear rise.
    train_samples: training samples used, None for all. limit: evaluation samples, None for all.
    sampling_steps: sampler steps of the evaluation. ema: decay of the averaged weights that are judged.
    stats_samples: samples on which perception statistics are measured.
    epochs: passes over the training photographs, which decide the steps where train_steps is 0 (`steps_for`).
    extra_steps: optimiser steps for compute that others spent elsewhere; the only number that may differ in one table.
    """

    name: str
    train_steps: int
    batch_size: int
    lr: float
    warmup: int
    train_samples: int | None
    limit: int | None
    sampling_steps: int
    ema: float
    stats_samples: int
    epochs: float | None = None
    extra_steps: int = 0

    def steps_for(self, images: int) -> int:
        """Optimiser steps on so many training photographs; a last batch that is not full counts as one."""
        if self.train_steps or self.epochs is None:
            return self.train_steps + self.extra_steps
        return self.extra_steps + math.ceil(self.epochs * images / self.batch_size)


def to_batch(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1], on a device."""
    import torch

    return from_bytes(torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous())


def from_bytes(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> the same in [-1, 1], float32."""
    return pictures.float() / 127.5 - 1.0


def to_uint8(batch: Tensor) -> np.ndarray:
    """(B, 3, H, W) float in [-1, 1], values outside clipped -> (B, H, W, 3) uint8, rounded to the nearest."""
    import torch

    return pixels(batch).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def pixels(batch: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1], values outside clipped -> the same in whole numbers 0..255, float32.

    Decoders compare colours in these units; rounding makes the edge of a colour ball exact ((205, 0, 0) is 50 away
    from red, and inside).
    """
    return (batch.float() + 1.0).mul_(127.5).clamp_(0.0, 255.0).round_()
