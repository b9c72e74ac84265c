"""Fine-tune a denoiser on drawn answers: one step that reads like the formulas, and a loop that survives being killed.

    x0' -> x_t -> network -> loss

A killed run that goes on from its checkpoint makes the same weights.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from addp_bench.batches import Batch, Batches, Recipe, per_image
from addp_bench.errors import BenchError
from addp_bench.store import write_bytes, write_json
from addp_bench.types import Attempt

if TYPE_CHECKING:
    from addp_bench.protocols import DenoisingModel
    from addp_bench.types import Budget

CHECKPOINT_SECONDS = 15.0  # at least between two of them
CHECKPOINT_SHARE = 0.05  # of the time, at most, goes into writing them
LOG_EVERY = 20


class Diverged(BenchError):
    """The loss is no longer a finite number."""

    exit_code = 3


def loss_of(model: DenoisingModel, recipe: Recipe, batch: Batch, step: int) -> Tensor:
    """The scalar that is minimised, for one batch."""
    return recipe.draws.combine(losses_of(model, recipe, batch), batch.t, step)


def losses_of(model: DenoisingModel, recipe: Recipe, batch: Batch) -> Tensor:
    """The loss (B,) of every sample of a batch, times its weight."""
    a, s = per_image(recipe.noise.a(batch.t)), per_image(recipe.noise.s(batch.t))
    eps = recipe.noise.draw(batch.eps, batch.t)
    x_t = a * batch.x0_shown + s * eps

    @torch.no_grad()
    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        said = model.forward(x_t, t, batch.image, batch.text).float()
        return recipe.target.to_x0(said, x_t, per_image(recipe.noise.a(t)), per_image(recipe.noise.s(t)))

    exposure: Any = recipe.exposure  # whose optional members a protocol cannot say
    chance = {} if batch.chance is None else {"u": batch.chance}
    shown = exposure.train_input(x_t, batch.t, recipe.noise, batch.white, denoise, **chance)
    if getattr(exposure, "retargets", False):
        x_t = shown
    goal = recipe.target.of(batch.x0, x_t, eps, a, s)
    with _watched(model.network, getattr(recipe.objective, "features", ())) as features:
        output = model.forward(shown, batch.t, batch.image, batch.text).float()

    def estimate() -> Tensor:
        return recipe.target.to_x0(output, x_t, a, s)

    decode = model.codec.decode
    attempt = Attempt(output, goal, batch.x0, batch.t, batch.valid, features, estimate, decode)
    return recipe.objective.losses(attempt) * batch.weight


@contextmanager
def _watched(network: torch.nn.Module, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Outputs of the network's modules of these names, as soon as they are computed."""
    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.__setitem__(name, output)

    hooks = [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def learning_rate(step: int, budget: Budget) -> float:
    """Linear rise over `warmup` steps, then a cosine to 0 at the last; step counts from 0."""
    if step < budget.warmup:
        return budget.lr * (step + 1) / budget.warmup
    share = (step - budget.warmup) / max(1, budget.train_steps - budget.warmup)
    return budget.lr * 0.5 * (1.0 + math.cos(math.pi * share))


def ema_decay(step: int, decay: float) -> float:
    """Decay of the averaged weights after `step` steps: short memory first, (1 + n) / (10 + n), never above `decay`."""
    return min(decay, (1 + step) / (10 + step))


class Trainer:
    """Network, averaged network, optimiser: what a checkpoint holds."""

    def __init__(self, model: DenoisingModel, recipe: Recipe, budget: Budget, precision: str) -> None:
        self.model, self.recipe, self.budget, self.precision = model, recipe, budget, precision
        self.network = model.network.train()
        self.network.requires_grad_(True)
        self.parameters = list(self.network.parameters())
        groups: list[dict[str, Any]] = [{"params": self.parameters, "weight_decay": model.weight_decay}]
        self.learning: list[Any] = [part for part in (recipe.draws, recipe.objective) if hasattr(part, "parameters")]
        for part in self.learning:
            if learnt := list(part.parameters()):
                rate = getattr(part, "learning_rate", None)
                groups.append({"params": learnt, "weight_decay": 0.0, "constant": rate})
        self.optimizer = torch.optim.AdamW(groups, lr=budget.lr)
        self.ema = [p.detach().clone() for p in self.parameters]
        self.step = 0

    def update(self, batch: Batch) -> Tensor:
        """One optimiser step; the loss, detached, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("constant") or learning_rate(self.step, self.budget)
        joins: Any = self.recipe.draws if hasattr(self.recipe.draws, "backward") else None
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.precision, batch.x0.device):
            if joins is not None:
                losses = losses_of(self.model, self.recipe, batch)
            else:
                loss = loss_of(self.model, self.recipe, batch, self.step)
        if joins is not None:
            loss = joins.backward(losses, batch.t, self.step, self.parameters)
        else:
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
            "learning": [part.state_dict() for part in self.learning],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        with torch.no_grad():
            for kept, saved in zip([*self.parameters, *self.ema], [*state["network"], *state["ema"]]):
                kept.copy_(saved)
            for name, buffer in self.network.named_buffers():
                buffer.copy_(state["buffers"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for part, saved in zip(self.learning, state["learning"]):
            part.load_state_dict(saved)

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
    indices = [source.latents.index for source in batches.sources]
    seen = {"samples": sum(len(i.ids) for i in indices), "items": sum(len(i.items) for i in indices), "steps": total}
    write_json(folder / "log.json", {**seen, "loss": log, "visits": visits.tolist()})
    checkpoint.unlink(missing_ok=True)


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """bf16 autocast, or nothing for fp32."""
    if precision != "bf16":
        return nullcontext()
    # no cache: some torch keeps the casts of a pass without gradient, and a training pass after it then has none
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
