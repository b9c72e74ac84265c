"""Whether `tiny` can be taught to see: a quick fine-tuning on expressions, measured at every denoising step.

    python -m addp_bench.baselines.tiny.gates --samples 16384 --minutes 3 --judged 512

Trains on the split `train` and judges on `stats`; `val` and `test` are never looked at. Deliberately a plain loop: a
second opinion on what the benchmark's own training and sampling report.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from addp_bench.randomness import generator

from . import WEIGHTS, checkpoint
from .autoencoder import to_bytes, to_unit
from .material import tokenized
from .networks import STEPS, light_attention, noised

RED = (255.0, 0.0, 0.0)
RADIUS = 50.0


@dataclass
class Model:
    """A stage loaded from its folder, in float32."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler

    @staticmethod
    def load(folder: Path) -> Model:
        def part(kind: Any, name: str) -> Any:
            return kind.from_pretrained(folder / name, torch_dtype=torch.float32, local_files_only=True)

        return Model(
            part(AutoencoderKL, "vae").eval(),
            part(UNet2DConditionModel, "unet"),
            part(CLIPTextModel, "text_encoder").eval(),
            CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
            DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        )


@dataclass
class Asked:
    """N expressions: photo (N, 16, 8, 8) unscaled, clean (N, 16, 8, 8) scaled, text (N, L, D), mask (N, H, W) bool."""

    photo: Tensor
    clean: Tensor
    text: Tensor
    mask: Tensor
    level: list[str]


@torch.no_grad()
def asked(model: Model, split: str, count: int) -> Asked:
    """The first `count` expressions of a split, encoded."""
    from addp_bench.tasks.tabletop.dataset import Tabletop

    samples = Tabletop().samples(split, "ris")
    chosen = [samples[i] for i in range(min(count, len(samples)))]
    image = torch.from_numpy(np.stack([sample.image for sample in chosen])).permute(0, 3, 1, 2)
    mask = torch.from_numpy(np.stack([sample.truth for sample in chosen]))
    painted = torch.where(mask[:, None], torch.tensor(RED).view(1, 3, 1, 1), image.float())
    photo, clean = (
        torch.cat([model.vae.encode(to_unit(part)).latent_dist.mode() for part in pictures.split(128)])
        for pictures in (image, painted)
    )
    tokens = tokenized(model.tokenizer, [sample.text for sample in chosen]).long()
    text = torch.cat([model.text_encoder(part).last_hidden_state for part in tokens.split(256)])
    clean = clean * model.vae.config.scaling_factor
    return Asked(photo, clean, text, mask, [str(sample.attributes["level"]) for sample in chosen])


def nothing_said(model: Model) -> Tensor:
    """Embedding (L, D) of the empty prompt."""
    with torch.no_grad():
        return model.text_encoder(tokenized(model.tokenizer, [""]).long()).last_hidden_state[0]


def predicted(
    unet: UNet2DConditionModel, target: str, latents: Tensor, when: Tensor, text: Tensor, kept: Tensor
) -> Tensor:
    """x0 (B, 16, 8, 8) from latents [noisy, photo] (B, 32, 8, 8), whatever the network was taught to predict."""
    out, noisy = unet(latents, when, text).sample.float(), latents[:, :16]
    a, s = (x.view(-1, 1, 1, 1) for x in (kept[when].sqrt(), (1 - kept[when]).sqrt()))
    return {"x0": lambda: out, "epsilon": lambda: (noisy - s * out) / a, "v": lambda: a * noisy - s * out}[target]()


def taught(
    model: Model,
    data: Asked,
    *,
    steps: int,
    batch: int,
    peak: float,
    decay: float,
    target: str,
    warm_up: int,
    minutes: float,
) -> int:
    """Fine-tune model.unet by uniform timesteps and plain squared error; returns the steps made in the time given."""
    unet = model.unet.to(memory_format=torch.channels_last).train()
    light_attention(unet)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=peak, weight_decay=0.01, fused=True)
    average = checkpoint.Average(unet.parameters(), decay)
    kept, empty = model.scheduler.alphas_cumprod.float(), nothing_said(model)
    begun, heard = time.monotonic(), 0.0
    for step in range(steps):
        draws = generator("tiny", "gates", step)
        rows = torch.randint(len(data.clean), (batch,), generator=draws)
        when = torch.randint(STEPS, (batch,), generator=draws)
        clean, noise = data.clean[rows], torch.randn((batch, 16, 8, 8), generator=draws)
        u = torch.rand(batch, 1, 1, generator=draws)
        text = torch.where(u < 0.10, empty, data.text[rows])
        photo = data.photo[rows] * ((u < 0.05) | (u >= 0.15)).float()[..., None]
        noisy = noised(clean, noise, when, kept)
        with torch.autocast("cpu", torch.bfloat16):
            out = unet(torch.cat([noisy, photo], 1).contiguous(memory_format=torch.channels_last), when, text).sample
        a, s = (x.view(-1, 1, 1, 1) for x in (kept[when].sqrt(), (1 - kept[when]).sqrt()))
        wanted = {"x0": clean, "epsilon": noise, "v": a * noise - s * clean}[target]
        loss = F.mse_loss(out.float(), wanted)
        optimizer.param_groups[0]["lr"] = checkpoint.rate(step, steps, peak=peak, warm_up=warm_up)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.update()
        heard += loss.item()
        if (step + 1) % 50 == 0:
            print(f"{step + 1}/{steps} {heard / 50:.4f} {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            heard = 0.0
        if minutes and time.monotonic() - begun > 60 * minutes:
            break
    average.swap()
    unet.eval()
    return step + 1


@torch.no_grad()
def trajectory(model: Model, data: Asked, *, target: str, sampling: int, guided: bool) -> Tensor:
    """Masks read from x0 at every step of DDIM: (sampling, N, H, W) bool; the first is the noisiest step's."""
    scheduler, kept = model.scheduler, model.scheduler.alphas_cumprod.float()
    scheduler.set_timesteps(sampling)
    empty, red = nothing_said(model), torch.tensor(RED).view(1, 3, 1, 1)
    out = []
    for rows in torch.arange(len(data.clean)).split(128):
        photo, text = data.photo[rows], data.text[rows]
        noisy = torch.randn(photo.shape, generator=generator("tiny", "gates", "start", int(rows[0])))
        empties = empty.expand_as(text)
        masks = []
        for i, t in enumerate(scheduler.timesteps):
            asks = [(photo, text)]  # what the network is asked with, and how much each answer counts
            shares = [1.0]
            if guided:
                asks = [(photo, text), (photo, empties), (torch.zeros_like(photo), empties)]
                shares = [3.0, 1.5 - 3.0, 1 - 1.5]
            clean = sum(
                share * predicted(model.unet, target, torch.cat([noisy, image], 1), t.expand(len(rows)), words, kept)
                for share, (image, words) in zip(shares, asks, strict=True)
            )
            parts = (clean / model.vae.config.scaling_factor).split(16)  # larger ones cost more than they save
            drawn = to_bytes(torch.cat([model.vae.decode(part).sample for part in parts]))
            masks.append((drawn - red).norm(dim=1) <= RADIUS)
            noise = (noisy - kept[t].sqrt() * clean) / (1 - kept[t]).sqrt()
            last = i + 1 == sampling
            now = torch.tensor(1.0) if last else kept[scheduler.timesteps[i + 1]]
            noisy = now.sqrt() * clean + (1 - now).sqrt() * noise
        out.append(torch.stack(masks))
    return torch.cat(out, 1)


def oiou(masks: Tensor, truth: Tensor) -> float:
    """Intersections over unions of (N, H, W), each summed over samples."""
    return ((masks & truth).sum() / (masks | truth).sum().clamp(min=1)).item()


def figures(masks: Tensor, data: Asked) -> dict[str, object]:
    """oIoU by level at the last step, its curve over steps, and the share of variance that each step explains."""
    levels = {}
    for level in ("L0", "L1", "L2", "L3", "L4", "plural"):
        rows = torch.tensor([i for i, name in enumerate(data.level) if name == level])
        levels[level] = round(oiou(masks[-1, rows], data.mask[rows]), 3) if len(rows) else None
    named = data.mask.flatten(1).any(1)
    silent = masks[-1, ~named].flatten(1).sum(1) == 0
    each = ((masks & data.mask).sum((2, 3)) / (masks | data.mask).sum((2, 3)).clamp(min=1)).double()[:, named]
    curve = [round(oiou(step, data.mask), 3) for step in masks]
    wrong = (each[-1] < 0.1).double().mean().item()
    return {
        "oiou": curve[-1], "curve": curve, "levels": levels, "no_target_kept": round(silent.double().mean().item(), 3),
        "share_under_0.1": round(wrong, 3), "increments": increments(each),
    }  # fmt: skip


def increments(quality: Tensor) -> list[float]:
    """ADDP's Algorithm A over ten groups: R2 gained by each, noisiest first. quality (steps, N), the last is final."""
    steps, final = quality[len(quality) // 10 - 1 :: len(quality) // 10], quality[-1]
    centred = final - final.mean()
    before, gained = 0.0, []
    for m in range(1, len(steps) + 1):
        columns = (steps[:m] - steps[:m].mean(1, keepdim=True)).T
        rest = centred - columns @ torch.linalg.lstsq(columns, centred[:, None], driver="gelsd").solution[:, 0]
        r2 = 1 - (rest.square().sum() / centred.square().sum()).item()
        gained.append(round(r2 - before, 4))
        before = r2
    return gained


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=WEIGHTS / "edit")
    parser.add_argument("--samples", type=int, default=8192, help="expressions to train on")
    parser.add_argument("--judged", type=int, default=512, help="expressions of `stats` to judge on")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--decay", type=float, default=0.99)
    parser.add_argument("--warm-up", type=int, default=30)
    parser.add_argument("--target", choices=("x0", "epsilon", "v"), default="x0")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop training after so long; 0: after --steps")
    parser.add_argument("--sampling", type=int, default=20, help="steps of DDIM")
    asked_for = parser.parse_args(arguments)
    model = Model.load(asked_for.folder)
    train, judged = asked(model, "train", asked_for.samples), asked(model, "stats", asked_for.judged)
    begun = time.monotonic()
    made = taught(
        model, train, steps=asked_for.steps, batch=asked_for.batch, peak=asked_for.lr, decay=asked_for.decay,
        target=asked_for.target, warm_up=asked_for.warm_up, minutes=asked_for.minutes,
    )  # fmt: skip
    print(
        json.dumps({"steps": made, "seen": made * asked_for.batch, "seconds": round(time.monotonic() - begun)}),
        flush=True,
    )
    for guided in (False, True):
        masks = trajectory(model, judged, target=asked_for.target, sampling=asked_for.sampling, guided=guided)
        print(json.dumps({"guided": guided, **figures(masks, judged)}), flush=True)


if __name__ == "__main__":
    main()
