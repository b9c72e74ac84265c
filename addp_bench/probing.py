"""From a frozen denoiser to a linear probe: how much of a photograph's class its features hold.

    photograph -> x0 -> noised to t -> network -> one block -> mean over the picture -> linear layer -> class

Features of every layer are kept, so that another layer or another head needs no network. The head is trained, and layer
and timestep are chosen, on the CPU; the split that is judged has no part in either. (DDAE, Xiang et al., 2023, whose
released code chooses on the test set.)
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from addp_bench import cache
from addp_bench.batches import per_image
from addp_bench.errors import BadData, BadModel, BadPrediction
from addp_bench.randomness import normal, permutation, seed_of, uniform
from addp_bench.store import write_bytes, write_json
from addp_bench.training import autocast

if TYPE_CHECKING:
    from addp_bench.protocols import DenoisingModel, Noise, Samples, Transform
    from addp_bench.types import Sample

SHARD = 256  # photographs per file of features; a killed attempt loses at most one file
PAIRS = 1024  # rows of the matrix of all pairs that are held at once


@dataclass(frozen=True)
class Reading:
    """What a task that reads features asks for.

    of: whose network: "published", "random" (new weights), or the id of a finished cell. layers: names among which the
    best is taken, empty for all the model has. timesteps: those among which the best is taken. draws: times that every
    photograph is noised. image: what the network is shown beside the noisy photograph. epochs, batch_size, lr: of the
    training of the linear layer.
    """

    of: str
    layers: Sequence[str]
    timesteps: Sequence[int]
    draws: int
    image: Literal["none", "photo"]
    epochs: int
    batch_size: int
    lr: float


@dataclass(frozen=True)
class Extraction:
    """How features are made. text: null text (1, L, D). seed: names the noise, and what the transforms do."""

    model: DenoisingModel
    noise: Noise
    text: Tensor
    layers: Sequence[str]
    timesteps: Sequence[int]
    draws: int
    image: Literal["none", "photo"]
    seed: int
    transforms: Sequence[Transform]
    precision: str
    device: torch.device


# ------------------------------------------------------------------------------------------------ features


def extract(
    folder: Path,
    samples: Samples,
    count: int,
    how: Extraction,
    class_of: Callable[[Sample], int],
    progress: Callable[[int, int], None],
    batch: int = SHARD,
) -> None:
    """Write pooled features (n, T, draws, D) float32 and classes (n,) of the first `count` samples in shards.

    T: the timesteps. D: the channels of all layers, side by side. Finished shards are kept. class_of: the class of a
    sample. batch: photographs that pass at once. Raises BadData for a split with no samples, BadPrediction, naming the
    sample, for features that are not finite.
    """
    if count == 0:
        raise BadData("the split holds no samples: no probe can be trained or judged on it")
    for first in range(0, count, SHARD):
        path = _file(folder, "features", first)
        if not path.exists():
            whole = range(first, min(first + SHARD, count))
            rows: list[np.ndarray] = []
            classes: list[int] = []
            for start in range(whole.start, whole.stop, batch):
                seen = [samples[i] for i in range(start, min(start + batch, whole.stop))]
                pooled, widths = _pooled(seen, how)
                rows.append(pooled)
                classes += map(class_of, seen)
            write_bytes(_file(folder, "classes", first), _npy(np.asarray(classes, np.int64)))
            told = {"count": count, "timesteps": list(how.timesteps), "layers": dict(zip(how.layers, widths))}
            write_json(folder / "features.json", told)
            write_bytes(path, _npy(np.concatenate(rows)))
        progress(min(first + SHARD, count), count)


@dataclass(frozen=True)
class Features:
    """Finished features of a split. widths: layer -> its channels, in the order they lie in."""

    folder: Path
    count: int
    timesteps: Sequence[int]
    widths: Mapping[str, int]

    @classmethod
    def open(cls, folder: Path) -> Features:
        """Read what `extract` wrote."""
        plain = json.loads((folder / "features.json").read_text())
        return cls(folder, plain["count"], plain["timesteps"], plain["layers"])

    def at(self, t: int, layer: str) -> Tensor:
        """Features of one layer at one timestep, (N, draws, D) float32."""
        names = list(self.widths)
        begin = sum(self.widths[other] for other in names[: names.index(layer)])
        part = np.s_[:, list(self.timesteps).index(t), :, begin : begin + self.widths[layer]]
        kept = [
            np.load(_file(self.folder, "features", first), mmap_mode="r", allow_pickle=False)
            for first in range(0, self.count, SHARD)
        ]
        return torch.from_numpy(np.concatenate([rows[part] for rows in kept]))

    def classes(self) -> Tensor:
        """Class of every photograph, (N,) int64."""
        files = [_file(self.folder, "classes", first) for first in range(0, self.count, SHARD)]
        return torch.from_numpy(np.concatenate([np.load(file, allow_pickle=False) for file in files]))


@torch.no_grad()
def _pooled(seen: Sequence[Sample], how: Extraction) -> tuple[np.ndarray, list[int]]:
    """(n, T, draws, D) float32 of these samples, and the channels of every layer."""
    ids = [sample.id for sample in seen]
    photos = cache.photos(seen, how.model.resolution).to(how.device)
    shown = _shown(photos, ids, how)
    draws = []
    for draw in range(how.draws):
        if how.transforms:
            shown = _shown(_transformed(photos, ids, draw, how), ids, how)
        at_t = [_outputs(*shown, t, ids, draw, how) for t in how.timesteps]
        draws.append(torch.stack([torch.cat(outputs, 1) for outputs in at_t], 1))
    pooled = torch.stack(draws, 2).cpu()
    broken = (~torch.isfinite(pooled)).flatten(1).any(1)
    if broken.any():
        raise BadPrediction(f"sample {ids[int(broken.nonzero()[0])]}: the network gave features that are not finite")
    return pooled.numpy(), [out.shape[1] for out in at_t[0]]


def _transformed(photos: Tensor, ids: Sequence[str], draw: int, how: Extraction) -> Tensor:
    """Photographs changed anew at each noise draw; their class is as it was."""
    unchanged = torch.zeros(len(ids), dtype=torch.int64, device=how.device)
    for transform in how.transforms:
        names = [(f"probe {type(transform).__name__}", how.seed, name, draw) for name in ids]
        photos, _ = transform.apply(photos, unchanged, uniform((transform.draws,), names).float().to(how.device))
    return photos


def _shown(photos: Tensor, ids: Sequence[str], how: Extraction) -> tuple[Tensor, Tensor]:
    """Clean latents and image conditioning (B, C, h, w) of photographs (B, 3, H, W)."""
    codec, condition = how.model.codec, how.model.condition
    posterior = cache.posterior_noise(ids, codec.shape(*photos.shape[2:])).to(how.device)
    if how.image == "photo":
        return codec.encode(photos, posterior), condition(photos)
    return codec.encode(photos, posterior), torch.zeros_like(condition(photos[:1])).expand(len(ids), -1, -1, -1)


def _outputs(x0: Tensor, image: Tensor, timestep: int, ids: Sequence[str], draw: int, how: Extraction) -> list[Tensor]:
    """What every layer gives at a timestep and a noise draw, averaged over the picture: (B, C) float32 each."""
    t = torch.full((len(ids),), timestep, dtype=torch.int64, device=how.device)
    white = normal(x0.shape[1:], [("probe noise", how.seed, name, draw) for name in ids]).to(how.device)
    x_t = per_image(how.noise.a(t)) * x0 + per_image(how.noise.s(t)) * how.noise.draw(white, t)
    text = how.text.to(how.device).expand(len(ids), -1, -1)
    with autocast(how.precision, how.device):
        # optional in the contract; a model without features is refused while planning
        given: Mapping[str, Tensor] = how.model.features(x_t, t, image, text, how.layers)  # type: ignore[attr-defined]
    return [given[layer].float().mean((2, 3)) for layer in how.layers]


def renewed(network: nn.Module, seed: int) -> None:
    """Give a network new random weights in place, those its modules begin with before any training.

    Raises BadModel for a weight that belongs to no module that can begin anew: it would stay as it was trained.
    """
    fresh = [module for module in network.modules() if hasattr(module, "reset_parameters")]
    covered = {id(p) for module in fresh for p in module.parameters(recurse=False)}
    if kept := [name for name, p in network.named_parameters() if id(p) not in covered]:
        raise BadModel(
            f"of=random: {kept[0]} cannot be given new weights, and {len(kept) - 1} others; say of=published"
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed_of("probe random network", seed))
        for module in fresh:
            module.reset_parameters()  # type: ignore[operator]  # asked for above


# ---------------------------------------------------------------------------------------------------- head


@dataclass(frozen=True)
class Head:
    """A linear layer: weight (C, D) and bias (C,) float32."""

    weight: Tensor
    bias: Tensor

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """features (..., D) -> a score for each class (..., C)."""
        return functional.linear(features, self.weight, self.bias)

    def accuracy(self, features: Tensor, classes: Tensor) -> float:
        """Share of right answers to features (N, draws, D) of classes (N,), in [0, 1]; of equal scores the first."""
        right = self.scores(features).argmax(-1) == classes[:, None]
        return float(right.double().mean())


def fit(
    features: Tensor, classes: Tensor, count: int, *, epochs: int, batch_size: int, lr: float, seed: int
) -> tuple[Head, list[float]]:
    """Train a linear layer by cross-entropy; epoch e sees noise draw e modulo draws. Also the mean loss of each epoch.

    features (N, draws, D) float32, not normalised. classes (N,) int64 below `count`. Adam whose rate falls from `lr`
    along a cosine to 0, a step at each epoch; a last batch that is not full counts as one.
    """
    width = features.shape[-1]
    begin = ((2 * uniform((count, width + 1), [("probe head", seed)])[0] - 1) / math.sqrt(width)).float()
    weight, bias = begin[:, :width].clone().requires_grad_(), begin[:, width].clone().requires_grad_()
    optimiser = torch.optim.Adam([weight, bias], lr=lr)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    losses = []
    for epoch in range(epochs):
        shown, total = features[:, epoch % features.shape[1]], 0.0
        for rows in permutation(len(classes), "probe order", seed, epoch).split(batch_size):
            loss = functional.cross_entropy(functional.linear(shown[rows], weight, bias), classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        cosine.step()
        losses.append(total / len(classes))
    return Head(weight.detach(), bias.detach()), losses


@dataclass(frozen=True)
class Tried:
    """One layer at one timestep. accuracy: on the split kept for choosing, None where nothing was to be chosen."""

    layer: str
    t: int
    accuracy: float | None
    loss: float  # of the last epoch


def chosen(
    train: Features,
    held_out: Features | None,
    layers: Sequence[str],
    count: int,
    settings: Mapping[str, Any],
    progress: Callable[[int, int], None],
) -> tuple[Tried, Head, list[Tried]]:
    """The head that does best on the split kept for choosing, and all that were tried; of equals the first.

    held_out: None where one layer at one timestep leaves no choice. settings: as `fit` takes them.
    """
    best: tuple[Tried, Head] | None = None
    tried: list[Tried] = []
    classes = train.classes()
    for t in train.timesteps:
        for layer in layers:
            head, losses = fit(train.at(t, layer), classes, count, **settings)
            accuracy = None if held_out is None else head.accuracy(held_out.at(t, layer), held_out.classes())
            tried.append(Tried(layer, t, accuracy, losses[-1]))
            if best is None or (accuracy or 0.0) > (best[0].accuracy or 0.0):
                best = tried[-1], head
            progress(len(tried), len(train.timesteps) * len(layers))
    assert best is not None, "a probe reads at least one layer at one timestep"
    return *best, tried


def keep(folder: Path, best: Tried, head: Head, tried: Sequence[Tried], steps: int, classes: Sequence[str]) -> None:
    """Write a trained probe. steps: optimiser steps of the head. classes: their names."""
    write_bytes(folder / "head.safetensors", save({"weight": head.weight, "bias": head.bias}))
    write_json(
        folder / "probe.json",
        {**asdict(best), "steps": steps, "classes": list(classes), "tried": [asdict(one) for one in tried]},
    )


def opened(folder: Path) -> tuple[dict[str, Any], Head]:
    """What `keep` wrote: probe.json, and the head."""
    return json.loads((folder / "probe.json").read_text()), Head(**load_file(folder / "head.safetensors"))


# --------------------------------------------------------------------------------------------- diagnostics


def alignment(features: Tensor) -> np.ndarray:
    """features (N, draws, D) -> (N,) float64: mean squared distance of two draws' features, of length 1; nan for one.

    Wang and Isola (2020): two noise draws of one photograph are its positives.
    """
    unit = _unit(features)
    draws = unit.shape[1]
    if draws < 2:
        return np.full(len(unit), np.nan)
    pairs = [(a, b) for a in range(draws) for b in range(a)]
    return np.mean([(unit[:, a] - unit[:, b]).square().sum(-1).numpy() for a, b in pairs], axis=0)


def closeness(features: Tensor) -> np.ndarray:
    """features (N, draws, D) -> (N,) float64: mean over the other photographs of exp(-2 d^2), d their distance.

    Features are of length 1 and of the first noise draw. The logarithm of the mean over all photographs is Wang and
    Isola's uniformity (2020). nan for a photograph that is alone.
    """
    unit = _unit(features[:, 0])
    if len(unit) < 2:
        return np.full(len(unit), np.nan)
    # |x - y|^2 = 2 - 2 x y, and exp(-2 d^2) of a photograph with itself is 1
    sums = [torch.exp(4.0 * (rows @ unit.T) - 4.0).sum(1) for rows in unit.split(PAIRS)]
    return ((torch.cat(sums) - 1.0) / (len(unit) - 1)).numpy()


def _unit(features: Tensor) -> Tensor:
    """The same directions, float64 and of length 1."""
    long = features.double()
    return long / long.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)


# --------------------------------------------------------------------------------------------- small steps


def _file(folder: Path, what: str, first: int) -> Path:
    return folder / f"{what}-{first:07d}.npy"


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
