"""From a step's number to its batch: which samples, how they are damaged, what the network is shown.

    image, truth -> transform -> encode -> codec -> x0
                             -> corrupt truth(strength(t)) -> encode -> corrupt drawing -> codec -> x0'

What no transform changes comes out of the cache.

Every draw is named by seed, step and sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from addp_bench import cache
from addp_bench.randomness import normal, permutation, uniform

if TYPE_CHECKING:
    from addp_bench.cache import Latents
    from addp_bench.protocols import (
        Aug,
        Corruption,
        DenoisingModel,
        Encoding,
        Exposure,
        Noise,
        Objective,
        Samples,
        Target,
        Task,
        TimestepDraws,
        Transform,
    )
    from addp_bench.types import Drawing, Query


@dataclass(frozen=True)
class Recipe:
    """Everything a training step is made of.

    corruptions: in order, those on the truth before those on the drawing. transforms: in order.
    """

    noise: Noise
    target: Target
    draws: TimestepDraws
    aug: Aug
    corruptions: Sequence[Corruption]
    exposure: Exposure
    objective: Objective
    transforms: Sequence[Transform] = ()


@dataclass(frozen=True)
class Batch:
    """One batch of latents and conditionings, on the device.

    x0 and x0_shown (B, C, h, w): the clean target, and the perhaps corrupted one that is noised. eps: noise of that
    shape. white: more of it, None unless the exposure cure perturbs. t (B,) int64, weight (B,) float32. image
    (B, C', h, w), text (B, L, D): after conditioning dropout. valid (B, h, w) bool: as `Attempt` has it. chance
    (B, draws): the exposure cure's own numbers on [0, 1), None unless it has any.
    """

    x0: Tensor
    x0_shown: Tensor
    eps: Tensor
    white: Tensor | None
    t: Tensor
    weight: Tensor
    image: Tensor
    text: Tensor
    valid: Tensor | None = None
    chance: Tensor | None = None


@dataclass(frozen=True)
class Raw:
    """Photographs (B, 3, side, side) in [-1, 1], truths as the task collates them, and what is drawn for each."""

    photos: Tensor
    truth: Any
    queries: Sequence[Query]


class Batches:
    """Makes the batch of any step, from its number alone."""

    def __init__(
        self,
        latents: Latents,
        samples: Samples,
        task: Task,
        encoding: Encoding,
        model: DenoisingModel,
        recipe: Recipe,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.latents, self.samples, self.task, self.encoding = latents, samples, task, encoding
        self.model, self.recipe, self.size, self.seed, self.device = model, recipe, batch_size, seed, device
        self.null_text = model.embed([""]).to(device)
        self._orders: dict[int, Tensor] = {}

    def items(self, step: int) -> list[int]:
        """Items of step `step`: every item once per epoch, in an order of that epoch's own."""
        n = len(self.latents)
        return [int(self._order(p // n)[p % n]) for p in range(step * self.size, (step + 1) * self.size)]

    def raw(self, step: int) -> Raw | None:
        """What must be read from the dataset for a step; None where nothing but the cached latents is needed."""
        if not (self.recipe.aug.corrupts or self.recipe.transforms):
            return None
        items = [self.latents.items[i] for i in self.items(step)]
        loaded = [self.samples[item.sample] for item in items]
        side = self.model.resolution
        truth = self.task.collate([cache.truth_of(sample, self.task, side) for sample in loaded])
        queries = [cache.queries(self.encoding, s, self.samples)[item.query] for s, item in zip(loaded, items)]
        return Raw(cache.photos(loaded, side), truth, queries)

    def batch(self, step: int, raw: Raw | None) -> Batch:
        """The batch of a step. raw: what `raw(step)` gave."""
        items = self.items(step)
        ids = self.latents.names(items)

        again: list[tuple[int, ...]] = []  # a sample that stands in a batch twice draws anew
        met: Counter[str] = Counter()
        for name in ids:
            again.append((met[name],) if met[name] else ())
            met[name] += 1

        def names(purpose: str) -> list[tuple[str | int, ...]]:
            return [(purpose, self.seed, step, name, *more) for name, more in zip(ids, again)]

        t, weight = self.recipe.draws.draw(uniform((), names("timestep")), step)
        if raw is not None:
            raw = self._transformed(raw, names)
        x0, image, valid = self._cached(items) if raw is None or not self.recipe.transforms else self._made(raw, ids)
        shape = x0.shape[1:]
        image, text = self._dropped(image, items, uniform((), names("dropout")))
        draws = getattr(self.recipe.exposure, "draws", 0)
        return Batch(
            x0,
            x0
            if raw is None or not self.recipe.aug.corrupts
            else self._corrupted(raw, t.to(self.device), shape, ids, names),
            normal(shape, names("noise")).to(self.device),
            normal(shape, names("exposure")).to(self.device) if self.recipe.exposure.perturbs else None,
            t.to(self.device),
            weight.to(self.device),
            image,
            text,
            valid,
            uniform((draws,), names("exposure chance")).float().to(self.device) if draws else None,
        )

    def _cached(self, items: Sequence[int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """x0, image conditioning and validity of these items as they are."""
        valid = None if self.latents.valid is None else self.latents.validity(items).to(self.device)
        return self.latents.target(items).to(self.device), self.latents.image(items).to(self.device), valid

    def _made(self, raw: Raw, ids: Sequence[str]) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same of pictures that a transform has changed."""
        shape = self.model.codec.shape(*raw.photos.shape[2:])
        drawing = self.encoding.encode(raw.photos, raw.truth, raw.queries)
        valid = None if self.latents.valid is None else cache.whole_pixels(drawing, shape).to(self.device) > 0
        with torch.no_grad():
            posterior = cache.posterior_noise(ids, shape).to(self.device)
            return self.model.codec.encode(drawing.rgb, posterior), self.model.condition(raw.photos), valid

    def _transformed(self, raw: Raw, names: Callable[[str], list[Any]]) -> Raw:
        """On the device, photographs and truths changed alike."""
        photos, truth = raw.photos.to(self.device), cache.to_device(raw.truth, self.device)
        for transform in self.recipe.transforms:
            u = uniform((transform.draws,), names(type(transform).__name__)).float().to(self.device)
            photos, truth = transform.apply(photos, truth, u)
        return Raw(photos, truth, raw.queries)

    def _corrupted(
        self, raw: Raw, t: Tensor, shape: Sequence[int], ids: Sequence[str], names: Callable[[str], list[Any]]
    ) -> Tensor:
        """x0': the target as the drift of sampling might have left it, encoded with the clean one's posterior noise."""
        strength = self.recipe.aug.strength(t, self.recipe.noise)

        def chance(corruption: Corruption) -> Tensor:
            # named by the corruption, so that it is the same whatever others stand beside it
            return uniform((corruption.draws,), names(type(corruption).__name__)).float().to(self.device)

        drawing = drawn(self.encoding, raw.photos, raw.truth, raw.queries, self.recipe.corruptions, strength, chance)
        with torch.no_grad():
            return self.model.codec.encode(drawing.rgb, cache.posterior_noise(ids, shape).to(self.device))

    def _dropped(self, image: Tensor, items: Sequence[int], u: Tensor) -> tuple[Tensor, Tensor]:
        """Conditionings with some samples' text, image or both replaced by null, so that guidance can be used."""
        text_only, both, image_only = self.model.dropout
        no_text = u < text_only + both
        no_image = (u >= text_only) & (u < text_only + both + image_only)
        text = self.latents.embedding(items, self.model).to(self.device)
        image = torch.where(per_image(no_image.to(self.device)), torch.zeros_like(image), image)
        text = torch.where(no_text.to(self.device)[:, None, None], self.null_text, text)
        return image, text

    def _order(self, epoch: int) -> Tensor:
        order = self._orders.get(epoch)  # asked for by two threads: nothing is looked up twice
        if order is None:
            order = permutation(len(self.latents), "order", self.seed, epoch)
            self._orders = dict([(epoch, order), *self._orders.items()][:2])
        return order


def drawn(
    encoding: Encoding,
    photos: Tensor,
    truth: Any,
    queries: Sequence[Query],
    corruptions: Sequence[Corruption],
    strength: Tensor,
    chance: Callable[[Corruption], Tensor],
) -> Drawing:
    """Draw truths on B photographs, damaged before and after: corruptions of the truth in order, then of the drawing.

    strength (B,) in [0, 2]. chance(corruption): its numbers (B, draws).
    """
    for corruption in corruptions:
        if corruption.acts_on == "truth":
            truth = corruption.corrupt(truth, strength, chance(corruption))
    drawing = encoding.encode(photos, truth, queries)
    for corruption in corruptions:
        if corruption.acts_on == "drawing":
            drawing = corruption.corrupt(drawing, strength, chance(corruption))
    return drawing


def per_image(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]
