"""Latents and text embeddings of a split, made once per dataset, model and encoding, and shared by all cells.

A training item is one drawing: a sample and one of its queries. For referring segmentation there is one per sample.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from addp_bench.errors import BadData
from addp_bench.randomness import normal
from addp_bench.store import write_bytes, write_json
from addp_bench.types import Sample, to_batch

if TYPE_CHECKING:
    from addp_bench.protocols import DenoisingModel, Encoding, Samples, Task
    from addp_bench.types import Drawing, Query

CHUNK = 64  # items encoded at once
NO_IMAGE = np.empty((0, 0, 3), np.uint8)  # of a sample that is only asked for its words
TEXT_LIMIT = 2 << 30  # bytes of text embeddings kept; beyond that they are made as they are needed


@dataclass(frozen=True)
class Item:
    """One drawing to learn or to make: the index of its sample, its place among the sample's queries, its prompt."""

    sample: int
    query: int
    prompt: str

    def name(self, ids: Sequence[str]) -> str:
        """Names its random draws; the sample's id for the first query."""
        return ids[self.sample] if self.query == 0 else f"{ids[self.sample]}#{self.query}"


@dataclass(frozen=True)
class Index:
    """Which samples and drawings a split gives, without their arrays.

    ids and image_ids: of the samples. image_of: row of each sample's photograph among the distinct ones. items: the
    drawings. prompts: the distinct prompts; prompt_of: (items,) the row of each item's.
    """

    ids: Sequence[str]
    image_ids: Sequence[str]
    image_of: Sequence[int]
    items: Sequence[Item]
    prompts: Sequence[str]
    prompt_of: Sequence[int]

    def write(self, folder: Path) -> None:
        """As `index.json`."""
        items = [[i.sample, i.query, p] for i, p in zip(self.items, self.prompt_of)]
        plain = {"ids": self.ids, "image_ids": self.image_ids, "image_of": self.image_of, "items": items}
        write_json(folder / "index.json", {**plain, "prompts": self.prompts})

    @classmethod
    def read(cls, folder: Path) -> Index:
        """What `write` wrote."""
        plain = json.loads((folder / "index.json").read_text())
        items = [Item(s, q, plain["prompts"][p]) for s, q, p in plain["items"]]
        rows = [p for _, _, p in plain["items"]]
        return cls(plain["ids"], plain["image_ids"], plain["image_of"], items, plain["prompts"], rows)

    @classmethod
    def of(cls, samples: Samples, count: int, encoding: Encoding) -> Index:
        """Of the first `count` samples."""
        places: dict[str, int] = {}
        prompts: dict[str, int] = {}
        items, rows = [], []
        for s in range(count):
            places.setdefault(samples.image_ids[s], len(places))
            if isinstance(samples, OnlySome):
                said = samples[s]
            else:
                said = Sample(samples.ids[s], samples.image_ids[s], NO_IMAGE, None, samples.text(s))
            for q, query in enumerate(queries(encoding, said, samples)):
                items.append(Item(s, q, query.prompt))
                rows.append(prompts.setdefault(query.prompt, len(prompts)))
        image_ids = list(samples.image_ids[:count])
        return cls(list(samples.ids[:count]), image_ids, [places[i] for i in image_ids], items, list(prompts), rows)


@dataclass(frozen=True)
class Latents:
    """What a split looks like to a model.

    images: (U, C', h, w) conditioning of each distinct photograph. targets: (items, C, h, w) clean latents, None for
    splits that are only judged. text: (P, L, D) embeddings of the distinct prompts, None when too large to keep.
    valid: (items, h, w) 1 where all of a latent pixel's drawing means something, else 0; None where all of it does.
    """

    index: Index
    images: np.ndarray
    targets: np.ndarray | None
    text: np.ndarray | None
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index.items)

    @property
    def items(self) -> Sequence[Item]:
        return self.index.items

    def names(self, items: Sequence[int]) -> list[str]:
        """What names the random draws of these items."""
        return [self.items[i].name(self.index.ids) for i in items]

    def image(self, items: Sequence[int]) -> Tensor:
        """Image conditioning of these items, (B, C', h, w)."""
        return torch.from_numpy(self.images[[self.index.image_of[self.items[i].sample] for i in items]])

    def target(self, items: Sequence[int]) -> Tensor:
        """Clean latents of these items, (B, C, h, w)."""
        assert self.targets is not None, "this split was cached without targets"
        return torch.from_numpy(self.targets[list(items)])

    def validity(self, items: Sequence[int]) -> Tensor:
        """Where the drawings of these items mean something, (B, h, w) bool."""
        assert self.valid is not None, "all drawings of this split are valid everywhere"
        return torch.from_numpy(self.valid[list(items)] > 0)

    def embedding(self, items: Sequence[int], model: DenoisingModel) -> Tensor:
        """Text conditioning of these items, (B, L, D); made by the model when the cache holds none."""
        if self.text is None:
            return model.embed([self.items[i].prompt for i in items])
        return torch.from_numpy(self.text[[self.index.prompt_of[i] for i in items]])

    @classmethod
    def open(cls, folder: Path) -> Latents:
        """Read what `make` wrote; arrays stay on disk until they are asked for."""

        def array(name: str) -> np.ndarray | None:
            path = folder / f"{name}.npy"
            return np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None

        images = array("images")
        assert images is not None, "a finished stage holds images"
        return cls(Index.read(folder), images, array("targets"), array("text"), array("valid"))


def make(
    folder: Path,
    samples: Samples,
    count: int,
    task: Task,
    encoding: Encoding,
    model: DenoisingModel,
    targets: bool,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> None:
    """Encode the first `count` samples into `folder`; goes on where a killed attempt stopped.

    Raises BadData for a split with no samples, for drawings that are valid in part though their encoding does not say
    `partial`, and for latents that are not finite. progress(done, total) is called after every chunk.
    """
    if count == 0:
        raise BadData("the split holds no samples: nothing can be trained or judged on it")
    index = Index.of(samples, count, encoding)
    items = index.items
    first_of_image = {row: s for s, row in reversed(list(enumerate(index.image_of)))}
    rows = sorted(first_of_image)
    side = model.resolution
    shape = model.codec.shape(side, side)
    total = len(rows) + (len(items) if targets else 0)

    example = model.condition(torch.zeros(1, 3, side, side, device=device))
    with _Rows(folder / "images.npy", (len(rows), *example.shape[1:])) as images:
        for chunk in images.chunks():
            seen = photos([samples[first_of_image[rows[i]]] for i in chunk], side).to(device)
            images.write(chunk, model.condition(seen).cpu().numpy())
            progress(images.done, total)
    if targets:
        partial = getattr(encoding, "partial", False)
        kept = _Rows(folder / "valid.npy", (len(items), *shape[1:])) if partial else nullcontext()
        with _Rows(folder / "targets.npy", (len(items), *shape)) as latents, kept as valid:
            for chunk in latents.chunks():
                chosen = [items[i] for i in chunk]
                loaded = [samples[item.sample] for item in chosen]
                seen = photos(loaded, side).to(device)
                truth = task.collate([truth_of(s, task, side) for s in loaded])
                asked = [queries(encoding, s, samples)[item.query] for s, item in zip(loaded, chosen)]
                drawing = encoding.encode(seen, to_device(truth, device), asked)
                if valid is not None:
                    valid.write(chunk, whole_pixels(drawing, shape).cpu().numpy())
                elif drawing.valid is not None:
                    raise BadData(
                        f"encoding {type(encoding).__name__} leaves parts of a drawing without meaning and does not "
                        "say so; `partial = True` in its class says it"
                    )
                posterior = posterior_noise([item.name(index.ids) for item in chosen], shape)
                latents.write(chunk, model.codec.encode(drawing.rgb, posterior.to(device)).cpu().numpy())
                progress(len(rows) + latents.done, total)
    one = model.embed([""])
    if one.numel() * 4 * len(index.prompts) <= TEXT_LIMIT:
        with _Rows(folder / "text.npy", (len(index.prompts), *one.shape[1:])) as text:
            for chunk in text.chunks():
                text.write(chunk, model.embed([index.prompts[i] for i in chunk]).cpu().numpy())
    index.write(folder)


class OnlySome:
    """A split of which every sample is asked only for some of the classes, such as those in its truth.

    wanted(sample): their labels. A sample of which none of these can be asked for is asked for the first, so that it is
    judged too.
    """

    def __init__(self, samples: Samples, wanted: Callable[[Sample], Collection[int]]) -> None:
        self.samples, self.wanted = samples, wanted
        self.ids, self.image_ids, self.text = samples.ids, samples.image_ids, samples.text
        self.vocabulary = vocabulary(samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def among(self, asked: Sequence[Query], sample: Sample) -> Sequence[Query]:
        """Those of the queries that ask for a class that is wanted."""
        wanted = self.wanted(sample)
        return [query for query in asked if query.label in wanted] or asked[:1]


def queries(encoding: Encoding, sample: Sample, samples: Samples) -> Sequence[Query]:
    """What an encoding asks for a sample, which it sees without truth and hints."""
    asked = encoding.queries(replace(sample, truth=None, hints={}), vocabulary(samples))
    return samples.among(asked, sample) if isinstance(samples, OnlySome) else asked


def vocabulary(samples: Samples) -> Sequence[str]:
    """Names of the classes that the labels of a split index, none for a split without any."""
    found: Sequence[str] = getattr(samples, "vocabulary", ())
    return found


def truth_of(sample: Sample, task: Task, side: int) -> Any:
    """A sample's truth at the model's resolution. Raises BadData where the task cannot use it."""
    if hasattr(task, "require"):
        task.require(sample)
    return task.resize(sample.truth, side, side)


def whole_pixels(drawing: Drawing, shape: Sequence[int]) -> Tensor:
    """1.0 where all pixels of a drawing under a latent pixel are valid, else 0.0: (B, h, w) for latents (C, h, w)."""
    if drawing.valid is None:
        return torch.ones(len(drawing.rgb), *shape[1:])
    invalid = functional.adaptive_max_pool2d((~drawing.valid)[:, None].float(), tuple(shape[1:]))
    return 1.0 - invalid[:, 0]


def posterior_noise(names: Sequence[str], shape: Sequence[int]) -> Tensor:
    """VAE posterior noise (B, C, h, w), fixed for each item: the clean and the corrupted target share it."""
    return normal(shape, [("posterior", name) for name in names])


def to_device(truth: Any, device: torch.device) -> Any:
    """A batch of truths on the device; truths without a `to` (tensors and `types.Boxes` have one) stay as they are."""
    return truth.to(device) if hasattr(truth, "to") else truth


def photos(samples: Sequence[Sample], side: int) -> Tensor:
    """Photographs at the model's resolution, (B, 3, side, side) in [-1, 1]; others are resized, antialiased."""
    rows = []
    for sample in samples:
        photo = to_batch(sample.image[None])
        if photo.shape[-2:] != (side, side):
            photo = functional.interpolate(photo, (side, side), mode="bilinear", antialias=True, align_corners=False)
        rows.append(photo)
    return torch.cat(rows)


class _Rows:
    """An array on disk that is filled in order and remembers how far it got."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self.mark = path.with_suffix(".done")
        self.done = int(self.mark.read_text()) if self.mark.exists() and path.exists() else 0

    def __enter__(self) -> _Rows:
        mode = "r+" if self.done else "w+"
        self.array = np.lib.format.open_memmap(self.path, mode=mode, dtype=np.float32, shape=self.shape)
        with self.path.open("r+b") as handle:  # a mapped write to a full disk would kill the process without a word
            os.posix_fallocate(handle.fileno(), 0, self.path.stat().st_size)
        return self

    def __exit__(self, *_: object) -> None:
        self.array.flush()

    def chunks(self) -> Any:
        while self.done < self.shape[0]:
            yield range(self.done, min(self.done + CHUNK, self.shape[0]))

    def write(self, chunk: range, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            raise BadData(
                f"{self.path.stem} {chunk.start}..{chunk.stop - 1}: the model made values that are not finite"
            )
        self.array[chunk.start : chunk.stop] = values
        self.array.flush()
        self.done = chunk.stop
        write_bytes(self.mark, str(self.done).encode())
