"""The two diffusion stages: `generate`, scenes from captions, then `edit`, InstructPix2Pix on edits by attribute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from addp_bench.randomness import generator

from . import checkpoint
from .material import KINDS, Material
from .networks import STEPS, build_scheduler, light_attention, noised

KEEP_EVERY = 250  # steps between checkpoints
TELL_EVERY = 100


@dataclass(frozen=True)
class Recipe:
    """How a stage is trained.

    peak: learning rate after warm_up steps, then a cosine to 1 % of it. drop: chance that text alone, both, and
    (edit only) image alone are left out, each (Brooks et al., 2023). decay: of the average that is kept.
    """

    steps: int
    batch: int = 64
    peak: float = 1e-3
    warm_up: int = 300
    drop: float = 0.05
    decay: float = 0.999
    weight_decay: float = 0.01


class Denoiser(nn.Module):
    """UNet and text encoder as one module, so that they train together.

    Latents (B, C, 8, 8), timesteps (B,) and tokens (B, L) to a prediction (B, 16, 8, 8).
    """

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(self, latents: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        text = self.text_encoder(tokens).last_hidden_state
        return self.unet(latents, timesteps, text).sample


@dataclass
class Batch:
    """clean (B, 16, 8, 8) scaled latents · photo (B, 16, 8, 8) unscaled, or None · tokens (B, L) int64."""

    clean: Tensor
    photo: Tensor | None
    tokens: Tensor


def captioned(material: Material, scale: float, empty: Tensor, recipe: Recipe, draws: torch.Generator) -> Batch:
    """Random scenes with captions, one in ten left out."""
    size = recipe.batch
    side, row, saying = _picked(material.latents.shape[1], material.captions.shape[2], size, draws)
    tokens = material.captions[side, row, saying].long()
    unsaid = torch.rand(size, 1, generator=draws) < 2 * recipe.drop
    return Batch(material.latents[side, row].float() * scale, None, torch.where(unsaid, empty, tokens))


def instructed(material: Material, scale: float, empty: Tensor, recipe: Recipe, draws: torch.Generator) -> Batch:
    """Random edits; text, image or both left out now and then. The image latent is the unscaled mode."""
    size, p = recipe.batch, recipe.drop
    side, pair, saying = _picked(len(material.before), material.sayings.shape[2], size, draws)
    tokens = material.sayings[side, pair, saying].long()
    photo = material.latents[side, material.before[pair]].float()
    u = torch.rand(size, 1, generator=draws)
    tokens = torch.where(u < 2 * p, empty, tokens)
    photo = photo * ((u < p) | (u >= 3 * p)).float().view(-1, 1, 1, 1)
    return Batch(material.latents[side, material.after[pair]].float() * scale, photo, tokens)


def _picked(rows: int, sayings: int, size: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    side, row, saying = (torch.randint(most, (size,), generator=draws) for most in (2, rows, sayings))
    return side, row, saying


def train(
    name: str,
    model: Denoiser,
    batches: Callable[[torch.Generator], Batch],
    recipe: Recipe,
    seed: int,
    state_file: Path,
    log: Callable[[str], None],
    *,
    watch: Callable[[Denoiser], str] | None = None,
    fast: bool = False,
) -> Denoiser:
    """The averaged model after recipe.steps steps; goes on from `state_file` where there is one.

    Uniform timesteps, mean squared error on x0. watch: says something of the averaged model at each checkpoint.
    fast: bfloat16 arithmetic in the forward pass.
    """
    model.to(memory_format=torch.channels_last).train()
    light_attention(model.unet)
    model.text_encoder.set_attn_implementation("eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak, weight_decay=recipe.weight_decay, fused=True)
    average = checkpoint.Average(model.parameters(), recipe.decay)
    kept = build_scheduler().alphas_cumprod
    first = 0
    if (state := checkpoint.load(state_file)) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        first = state["step"]
    begun, heard = time.monotonic(), 0.0
    for step in range(first, recipe.steps):
        draws = generator("tiny", name, seed, step)
        batch = batches(draws)
        timesteps = torch.randint(STEPS, (len(batch.clean),), generator=draws)
        noise = torch.randn(batch.clean.shape, generator=draws)
        latents = noised(batch.clean, noise, timesteps, kept)
        latents = latents if batch.photo is None else torch.cat([latents, batch.photo], 1)
        for group in optimizer.param_groups:
            group["lr"] = checkpoint.rate(step, recipe.steps, peak=recipe.peak, warm_up=recipe.warm_up)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            predicted = model(latents.contiguous(memory_format=torch.channels_last), timesteps, batch.tokens)
        loss = F.mse_loss(predicted.float(), batch.clean)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        heard += loss.item()
        if (step + 1) % TELL_EVERY == 0:
            pace = (time.monotonic() - begun) / (step + 1 - first) / len(batch.clean)
            log(f"{name} {step + 1}/{recipe.steps} loss {heard / TELL_EVERY:.4f} {pace * 1e3:.2f} ms/sample")
            heard = 0.0
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == recipe.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state_dict()}
            checkpoint.save({**state, "step": step + 1}, state_file)
            if watch is not None and (step + 1) % (4 * KEEP_EVERY) == 0:
                average.swap()
                log(f"{name} {step + 1}/{recipe.steps} {watch(model)}")
                average.swap()
    average.swap()
    return model.eval()


@torch.no_grad()
def explained(model: Denoiser, material: Material, scale: float, count: int = 512) -> str:
    """How much of each kind of edit the model makes in one step from pure noise, on pairs it has not met.

    1 - |predicted - after|^2 / |before - after|^2 in latents, summed over pairs: 0 for the photograph returned as it
    was, 1 for the edit without fault. A move's goal cannot be known, so it stays well under 1. `nothing`: mean squared
    change where none was asked for.
    """
    draws = generator("tiny", "explained")
    rows = torch.randperm(len(material.before), generator=draws)[:count]
    before, after = (material.latents[0, of[rows]].float() for of in (material.before, material.after))
    noise = torch.randn(after.shape, generator=draws)
    when = torch.full((len(rows),), STEPS - 1)
    predicted = model(torch.cat([noise, before], 1), when, material.sayings[0, rows, 0].long()) / scale
    left, whole = ((x - after).square().sum((1, 2, 3)) for x in (predicted, before))
    kind = material.kind[rows]
    shares = [f"{KINDS[k]} {1 - (left[kind == k].sum() / whole[kind == k].sum()).item():.3f}" for k in range(3)]
    still = (predicted - after)[kind == 3].square().mean().item()
    return f"explained in one step: {', '.join(shares)}; nothing {still:.4f}"
