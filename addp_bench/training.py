"""Fine-tune a denoiser on drawn answers: one step that reads like the formulas, and a loop that survives being killed.

    image, truth -> corrupt truth(strength(t)) -> encode -> corrupt drawing -> codec -> x0' -> x_t -> network -> loss

Every draw is named by seed, step and sample, so a killed run that goes on from its checkpoint makes the same weights.
"""

from __future__ import annotations

import io
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from addp_bench import cache
from addp_bench.errors import BenchError
from addp_bench.randomness import normal, permutation, uniform
from addp_bench.store import write_bytes, write_json
from addp_bench.types import Drawing

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
    )
    from addp_bench.types import Budget, Query

CHECKPOINT_SECONDS = 15.0  # at least between two of them
CHECKPOINT_SHARE = 0.05  # of the time, at most, goes into writing them
LOG_EVERY = 20


class Diverged(BenchError):
    """The loss is no longer a finite number."""

    exit_code = 3


@dataclass(frozen=True)
class Recipe:
    """Everything a training step is made of. corruptions: in order, those on the truth before those on the drawing."""

    noise: Noise
    target: Target
    draws: TimestepDraws
    aug: Aug
    corruptions: Sequence[Corruption]
    exposure: Exposure
    objective: Objective


@dataclass(frozen=True)
class Batch:
    """One batch of latents and conditionings, on the device.

    x0 and x0_shown (B, C, h, w): the clean target, and the perhaps corrupted one that is noised. eps: noise of that
    shape. white: more of it, None unless the exposure cure perturbs. t (B,) int64, weight (B,) float32. image
    (B, C', h, w), text (B, L, D): after conditioning dropout.
    """

    x0: Tensor
    x0_shown: Tensor
    eps: Tensor
    white: Tensor | None
    t: Tensor
    weight: Tensor
    image: Tensor
    text: Tensor


@dataclass(frozen=True)
class Raw:
    """Photographs (B, 3, side, side) in [-1, 1], truths as the task collates them, and what is drawn for each."""

    photos: Tensor
    truth: Any
    queries: Sequence[Query]


def loss_of(model: DenoisingModel, recipe: Recipe, batch: Batch, step: int) -> Tensor:
    """The scalar that is minimised, for one batch."""
    a, s = per_image(recipe.noise.a(batch.t)), per_image(recipe.noise.s(batch.t))
    eps = recipe.noise.draw(batch.eps, batch.t)
    x_t = a * batch.x0_shown + s * eps
    goal = recipe.target.of(batch.x0, x_t, eps, a, s)
    output = model.forward(recipe.exposure.train_input(x_t, s, batch.white), batch.t, batch.image, batch.text)
    losses = recipe.objective.losses(output.float(), goal, None) * batch.weight
    return recipe.draws.combine(losses, batch.t, step)


def per_image(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]


def learning_rate(step: int, budget: Budget) -> float:
    """Linear rise over `warmup` steps, then a cosine to 0 at the last; step counts from 0."""
    if step < budget.warmup:
        return budget.lr * (step + 1) / budget.warmup
    share = (step - budget.warmup) / max(1, budget.train_steps - budget.warmup)
    return budget.lr * 0.5 * (1.0 + math.cos(math.pi * share))


def ema_decay(step: int, decay: float) -> float:
    """Decay of the averaged weights after `step` steps: short memory first, (1 + n) / (10 + n), never above `decay`."""
    return min(decay, (1 + step) / (10 + step))


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
        """What must be read from the dataset for a step; None where targets are not corrupted."""
        if not self.recipe.aug.corrupts:
            return None
        items = [self.latents.items[i] for i in self.items(step)]
        loaded = [self.samples[item.sample] for item in items]
        side = self.model.resolution
        truth = self.task.collate([self.task.resize(sample.truth, side, side) for sample in loaded])
        queries = [self.encoding.queries(sample, ())[item.query] for sample, item in zip(loaded, items)]
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

        x0 = self.latents.target(items)
        shape = x0.shape[1:]
        t, weight = self.recipe.draws.draw(uniform((), names("timestep")), step)
        image, text = self._dropped(items, uniform((), names("dropout")))
        x0 = x0.to(self.device)
        shown = x0 if raw is None else self._corrupted(raw, t.to(self.device), shape, ids, names)
        return Batch(
            x0,
            shown,
            normal(shape, names("noise")).to(self.device),
            normal(shape, names("exposure")).to(self.device) if self.recipe.exposure.perturbs else None,
            t.to(self.device),
            weight.to(self.device),
            image,
            text,
        )

    def _corrupted(
        self, raw: Raw, t: Tensor, shape: Sequence[int], ids: Sequence[str], names: Callable[[str], list[Any]]
    ) -> Tensor:
        """x0': the target as the drift of sampling might have left it, encoded with the clean one's posterior noise."""
        photos, truth = raw.photos.to(self.device), cache.to_device(raw.truth, self.device)
        strength = self.recipe.aug.strength(t, self.recipe.noise)

        def chance(corruption: Corruption) -> Tensor:
            # named by the corruption, so that it is the same whatever others stand beside it
            return uniform((corruption.draws,), names(type(corruption).__name__)).float().to(self.device)

        for corruption in self.recipe.corruptions:
            if corruption.acts_on == "truth":
                truth = corruption.corrupt(truth, strength, chance(corruption))
        drawing: Drawing = self.encoding.encode(photos, truth, raw.queries)
        for corruption in self.recipe.corruptions:
            if corruption.acts_on == "drawing":
                drawing = corruption.corrupt(drawing, strength, chance(corruption))
        with torch.no_grad():
            return self.model.codec.encode(drawing.rgb, cache.posterior_noise(ids, shape).to(self.device))

    def _dropped(self, items: Sequence[int], u: Tensor) -> tuple[Tensor, Tensor]:
        """Conditionings with some samples' text, image or both replaced by null, so that guidance can be used."""
        text_only, both, image_only = self.model.dropout
        no_text = u < text_only + both
        no_image = (u >= text_only) & (u < text_only + both + image_only)
        image = self.latents.image(items).to(self.device)
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


class Trainer:
    """Network, averaged network, optimiser: what a checkpoint holds."""

    def __init__(self, model: DenoisingModel, recipe: Recipe, budget: Budget, precision: str) -> None:
        self.model, self.recipe, self.budget, self.precision = model, recipe, budget, precision
        self.network = model.network.train()
        self.network.requires_grad_(True)
        self.parameters = list(self.network.parameters())
        groups: list[dict[str, Any]] = [{"params": self.parameters, "weight_decay": model.weight_decay}]
        if learnt := list(recipe.draws.parameters()):
            groups.append({"params": learnt, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, lr=budget.lr)
        self.ema = [p.detach().clone() for p in self.parameters]
        self.step = 0

    def update(self, batch: Batch) -> Tensor:
        """One optimiser step; the loss, detached, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.budget)
        with autocast(self.precision, batch.x0.device):
            loss = loss_of(self.model, self.recipe, batch, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        torch._foreach_lerp_(
            self.ema, [p.detach() for p in self.parameters], 1.0 - ema_decay(self.step, self.budget.ema)
        )
        return loss.detach()

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "network": [p.detach() for p in self.parameters],
            "buffers": dict(self.network.named_buffers()),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "draws": self.recipe.draws.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        with torch.no_grad():
            for kept, saved in zip([*self.parameters, *self.ema], [*state["network"], *state["ema"]]):
                kept.copy_(saved)
            for name, buffer in self.network.named_buffers():
                buffer.copy_(state["buffers"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recipe.draws.load_state_dict(state["draws"])

    def weights(self) -> dict[str, Tensor]:
        """The averaged network by parameter name, with buffers, float32 on the CPU."""
        names = [name for name, _ in self.network.named_parameters()]
        buffers = {name: b for name, b in self.network.named_buffers() if name in self.network.state_dict()}
        return {k: v.detach().float().cpu().contiguous() for k, v in [*zip(names, self.ema), *buffers.items()]}


def train(
    folder: Path,
    trainer: Trainer,
    batches: Batches,
    progress: Callable[[int, int], None],
    logged: Callable[[int, float], None],
) -> None:
    """Train to the end of the budget and write `denoiser.safetensors` (averaged weights) and `log.json` into `folder`.

    Goes on from `checkpoint.pt` when a killed attempt left one. Raises Diverged when the loss is not finite.
    """
    checkpoint = folder / "checkpoint.pt"
    log: list[tuple[int, float]] = []
    visits = torch.zeros(10, dtype=torch.int64, device=batches.device)
    wrote = 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        trainer.load(state["trainer"])
        log = [tuple(row) for row in state["log"]]
        visits += state["visits"].to(visits.device)
    total = trainer.budget.train_steps
    saved = time.monotonic()
    recent: list[Tensor] = []
    with ThreadPoolExecutor(1) as ahead:  # the next step's pictures are read while this step computes
        waiting = ahead.submit(batches.raw, trainer.step)
        while trainer.step < total:
            raw = waiting.result()
            waiting = ahead.submit(batches.raw, min(trainer.step + 1, total - 1))
            batch = batches.batch(trainer.step, raw)
            visits.index_add_(0, batch.t * 10 // trainer.recipe.noise.steps, torch.ones_like(batch.t))
            recent.append(trainer.update(batch))
            if trainer.step % LOG_EVERY == 0 or trainer.step == total:
                loss = float(torch.stack(recent).mean())
                recent = []
                if not math.isfinite(loss):
                    raise Diverged(
                        f"the loss is {loss} after step {trainer.step}: try a lower --lr (now {trainer.budget.lr:g})"
                    )
                log.append((trainer.step, loss))
                logged(trainer.step, loss)
                progress(trainer.step, total)
                # only where `recent` is empty, so that a resumed log is the undisturbed one; and a large network,
                # whose state takes long to write, is written less often
                due = saved + max(CHECKPOINT_SECONDS, wrote / CHECKPOINT_SHARE)
                if time.monotonic() > due and trainer.step < total:
                    saved = time.monotonic()
                    content = io.BytesIO()
                    torch.save({"trainer": trainer.state(), "log": log, "visits": visits}, content)
                    write_bytes(checkpoint, content.getvalue())
                    wrote = time.monotonic() - saved
    write_bytes(folder / "denoiser.safetensors", save(trainer.weights()))
    index = batches.latents.index
    seen = {"samples": len(index.ids), "items": len(index.items), "steps": total}
    write_json(folder / "log.json", {**seen, "loss": log, "visits": visits.tolist()})
    checkpoint.unlink(missing_ok=True)


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """bf16 autocast, or nothing for fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
