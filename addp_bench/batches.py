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
from addp_bench.mixture import Turns
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
    """What a training step is made of, whatever is drawn. transforms: in order."""

    noise: Noise
    target: Target
    draws: TimestepDraws
    aug: Aug
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


@dataclass(frozen=True)
class Source:
    """One task's training drawings.

    corruptions: in order, those on the truth before those on the drawing. share: of the samples of a training, in
    (0, 1]. name: tells apart the random draws of photographs that several tasks share, "" for a task that is alone.
    """

    latents: Latents
    samples: Samples
    task: Task
    encoding: Encoding
    corruptions: Sequence[Corruption] = ()
    share: float = 1.0
    name: str = ""

    def names(self, items: Sequence[int]) -> list[str]:
        """What names the random draws of these items."""
        return [f"{self.name}:{name}" if self.name else name for name in self.latents.names(items)]

    def raw(self, items: Sequence[int], side: int) -> Raw:
        """These items as the dataset has them, at the model's resolution."""
        chosen = [self.latents.items[i] for i in items]
        loaded = [self.samples[item.sample] for item in chosen]
        truth = self.task.collate([cache.truth_of(sample, self.task, side) for sample in loaded])
        queries = [cache.queries(self.encoding, s, self.samples)[item.query] for s, item in zip(loaded, chosen)]
        return Raw(cache.photos(loaded, side), truth, queries)


Names = Callable[[str], list[Any]]  # purpose -> the names of a batch's draws for it


class Batches:
    """Makes the batch of any step, from its number alone.

    Several sources share every batch as evenly as whole samples allow (`mixture.Turns`).
    """

    def __init__(
        self,
        sources: Sequence[Source],
        model: DenoisingModel,
        recipe: Recipe,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.sources, self.model, self.recipe = sources, model, recipe
        self.size, self.seed, self.device = batch_size, seed, device
        self.null_text = model.embed([""]).to(device)
        self.turns = Turns([source.share for source in sources], batch_size)
        self._orders: dict[tuple[str, int], Tensor] = {}

    def items(self, step: int) -> list[list[int]]:
        """Items of step `step`, source by source: every item once per epoch of its source, in an order of that epoch's
        own."""
        return [
            [int(self._order(source, p // len(source.latents))[p % len(source.latents)]) for p in places]
            for source, places in zip(self.sources, self.turns.places(step))
        ]

    def raw(self, step: int) -> list[Raw | None]:
        """What must be read from the datasets for a step; None where nothing but the cached latents is needed."""
        return [
            source.raw(items, self.model.resolution) if items and self._reads(source) else None
            for source, items in zip(self.sources, self.items(step))
        ]

    def batch(self, step: int, raw: Sequence[Raw | None]) -> Batch:
        """The batch of a step. raw: what `raw(step)` gave."""
        items = self.items(step)
        ids = [name for source, mine in zip(self.sources, items) for name in source.names(mine)]
        again: list[tuple[int, ...]] = []  # a sample that stands in a batch twice draws anew
        met: Counter[str] = Counter()
        for name in ids:
            again.append((met[name],) if met[name] else ())
            met[name] += 1

        def names(purpose: str) -> list[Any]:
            return [(purpose, self.seed, step, name, *more) for name, more in zip(ids, again)]

        t, weight = self.recipe.draws.draw(uniform((), names("timestep")), step)
        t = t.to(self.device)
        parts, first = [], 0
        for source, mine, read in zip(self.sources, items, raw):
            if mine:
                rows = slice(first, first + len(mine))
                parts.append(self._part(source, mine, read, ids[rows], t[rows], _of(names, rows)))
                first = rows.stop
        x0, shown, image, text = (torch.cat(column) for column in list(zip(*parts))[:4])
        shape = x0.shape[1:]
        image, text = self._dropped(image, text, uniform((), names("dropout")))
        draws = getattr(self.recipe.exposure, "draws", 0)
        return Batch(
            x0,
            shown,
            normal(shape, names("noise")).to(self.device),
            normal(shape, names("exposure")).to(self.device) if self.recipe.exposure.perturbs else None,
            t,
            weight.to(self.device),
            image,
            text,
            _validity([part[4] for part in parts], [part[0] for part in parts]),
            uniform((draws,), names("exposure chance")).float().to(self.device) if draws else None,
        )

    def _reads(self, source: Source) -> bool:
        return bool(self.recipe.transforms) or (self.recipe.aug.corrupts and bool(source.corruptions))

    def _part(
        self, source: Source, items: Sequence[int], raw: Raw | None, ids: Sequence[str], t: Tensor, names: Names
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """x0, the x0 that is shown, image and text conditioning, and validity of one source's items."""
        if raw is not None:
            raw = self._transformed(raw, names)
        if raw is None or not self.recipe.transforms:
            x0, image, valid = self._cached(source, items)
        else:
            x0, image, valid = self._made(source, raw, ids)
        shown = x0
        if raw is not None and self.recipe.aug.corrupts:
            shown = self._corrupted(source, raw, t, x0.shape[1:], ids, names)
        return x0, shown, image, source.latents.embedding(items, self.model).to(self.device), valid

    def _cached(self, source: Source, items: Sequence[int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """x0, image conditioning and validity of these items as they are."""
        latents = source.latents
        valid = None if latents.valid is None else latents.validity(items).to(self.device)
        return latents.target(items).to(self.device), latents.image(items).to(self.device), valid

    def _made(self, source: Source, raw: Raw, ids: Sequence[str]) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same of pictures that a transform has changed."""
        shape = self.model.codec.shape(*raw.photos.shape[2:])
        drawing = source.encoding.encode(raw.photos, raw.truth, raw.queries)
        valid = None if source.latents.valid is None else cache.whole_pixels(drawing, shape).to(self.device) > 0
        with torch.no_grad():
            posterior = cache.posterior_noise(ids, shape).to(self.device)
            return self.model.codec.encode(drawing.rgb, posterior), self.model.condition(raw.photos), valid

    def _transformed(self, raw: Raw, names: Names) -> Raw:
        """On the device, photographs and truths changed alike."""
        photos, truth = raw.photos.to(self.device), cache.to_device(raw.truth, self.device)
        for transform in self.recipe.transforms:
            u = uniform((transform.draws,), names(type(transform).__name__)).float().to(self.device)
            photos, truth = transform.apply(photos, truth, u)
        return Raw(photos, truth, raw.queries)

    def _corrupted(
        self, source: Source, raw: Raw, t: Tensor, shape: Sequence[int], ids: Sequence[str], names: Names
    ) -> Tensor:
        """x0': the target as the drift of sampling might have left it, encoded with the clean one's posterior noise."""
        strength = self.recipe.aug.strength(t, self.recipe.noise)

        def chance(corruption: Corruption) -> Tensor:
            # named by the corruption, so that it is the same whatever others stand beside it
            return uniform((corruption.draws,), names(type(corruption).__name__)).float().to(self.device)

        drawing = drawn(source.encoding, raw.photos, raw.truth, raw.queries, source.corruptions, strength, chance)
        with torch.no_grad():
            return self.model.codec.encode(drawing.rgb, cache.posterior_noise(ids, shape).to(self.device))

    def _dropped(self, image: Tensor, text: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Conditionings with some samples' text, image or both replaced by null, so that guidance can be used."""
        text_only, both, image_only = self.model.dropout
        no_text = u < text_only + both
        no_image = (u >= text_only) & (u < text_only + both + image_only)
        image = torch.where(per_image(no_image.to(self.device)), torch.zeros_like(image), image)
        text = torch.where(no_text.to(self.device)[:, None, None], self.null_text, text)
        return image, text

    def _order(self, source: Source, epoch: int) -> Tensor:
        key = source.name, epoch
        order = self._orders.get(key)  # asked for by two threads: nothing is looked up twice
        if order is None:
            named = ("order", source.name) if source.name else ("order",)
            order = permutation(len(source.latents), *named, self.seed, epoch)
            self._orders = dict([(key, order), *self._orders.items()][: 2 * len(self.sources)])
        return order


def _of(names: Names, rows: slice) -> Names:
    """The names of some rows of a batch."""
    return lambda purpose: names(purpose)[rows]


def _validity(parts: Sequence[Tensor | None], x0: Sequence[Tensor]) -> Tensor | None:
    """Validity (B, h, w) of all sources' rows; None of a source, or of all, means everywhere."""
    if all(part is None for part in parts):
        return None
    whole = (torch.ones_like(latent[:, 0], dtype=torch.bool) for latent in x0)
    return torch.cat([everywhere if part is None else part for part, everywhere in zip(parts, whole)])


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
