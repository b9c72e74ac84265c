"""Stage 0: the autoencoder, from 64 px to 8 x 8 latents of 16 channels, faithful to drawings as to photographs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from addp_bench.randomness import generator

from . import checkpoint
from .drawings import boxes, draw
from .pool import Scenes

CHANNELS = 16
WIDTHS = (16, 32, 64, 128)
BATCH = 16
DECAY = 0.998
KEEP_EVERY = 250  # steps between checkpoints


@dataclass(frozen=True)
class Phase:
    """steps with one cosine of the learning rate, from `peak`.

    kl: weight per latent number, against the mean error per channel; keeps latents near unit variance and robust to
    noise. emphasis: further weight of pixels at the border of a drawn region.
    """

    steps: int
    peak: float
    kl: float
    emphasis: float = 3.0
    warm_up: int = 100


# First a smooth latent space; then sharp borders, which need more bits.
PHASES = (Phase(4500, peak=1.5e-3, kl=2e-4, warm_up=300), Phase(2800, peak=1.2e-3, kl=2e-5, emphasis=6.0))


def build() -> AutoencoderKL:
    """Untrained, 2.8 million parameters."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(WIDTHS),
        up_block_types=("UpDecoderBlock2D",) * len(WIDTHS),
        block_out_channels=WIDTHS,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=1.0,
    )


def to_unit(pictures: Tensor) -> Tensor:
    """Pictures in [0, 255], integer or float, to float32 in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def to_bytes(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] to float32 whole numbers in 0 .. 255."""
    return ((pictures.float() + 1) * 127.5).round().clamp(0, 255)


def reconstruction(vae: AutoencoderKL, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (B, 3, 64, 64) in [-1, 1], noise (B, 16, 8, 8): the decoded posterior sample; KL per latent number."""
    posterior = vae.encode(pictures).latent_dist
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    latents = mean + (0.5 * log_variance).exp() * noise
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return vae.decode(latents).sample.float(), kl


def loss_of(decoded: Tensor, pictures: Tensor, emphasis: Tensor) -> Tensor:
    """Emphasised absolute and squared error; the absolute one makes a pixel choose between drawing and photograph."""
    error = decoded - pictures
    return (emphasis * (error.abs() + error.square())).mean()


def phase_at(step: int, phases: Sequence[Phase]) -> tuple[Phase, int]:
    """The phase a step belongs to, and the step's number in it."""
    for phase in phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise ValueError(f"step {step} lies after the last phase")


def train(
    scenes: Scenes,
    seed: int,
    state_file: Path,
    log: Callable[[str], None],
    *,
    phases: Sequence[Phase] = PHASES,
    fast: bool = False,
) -> AutoencoderKL:
    """The averaged autoencoder after all phases, in batches of BATCH; goes on from `state_file` where there is one.

    fast: bfloat16 and torch.compile, which is 1.5 times as fast on CPUs that have bfloat16 arithmetic.
    """
    torch.manual_seed(seed)  # initial weights
    vae = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=phases[0].peak, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    average = checkpoint.Average(vae.parameters(), DECAY)
    first, steps = 0, sum(phase.steps for phase in phases)
    if (state := checkpoint.load(state_file)) is not None:
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        first = state["step"]
    forward = torch.compile(reconstruction) if fast else reconstruction
    begun, heard = time.monotonic(), 0.0
    for step in range(first, steps):
        draws = generator("tiny", "autoencoder", seed, step)
        rows = torch.randint(len(scenes), (BATCH,), generator=draws)
        phase, number = phase_at(step, phases)
        drawn, emphasis = draw(scenes, rows, draws, phase.emphasis)
        pictures = to_unit(drawn).contiguous(memory_format=torch.channels_last)
        noise = torch.randn(BATCH, CHANNELS, 8, 8, generator=draws)
        for group in optimizer.param_groups:
            group["lr"] = checkpoint.rate(number, phase.steps, peak=phase.peak, warm_up=phase.warm_up)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            decoded, kl = forward(vae, pictures, noise)
        loss = loss_of(decoded, pictures, emphasis) + phase.kl * kl
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update()
        heard += loss.item()
        if (step + 1) % 100 == 0:
            pace = (time.monotonic() - begun) / (step + 1 - first)
            told = f"loss {heard / 100:.4f} kl {kl.item():.3f} {pace * 1e3 / BATCH:.1f} ms/image"
            log(f"autoencoder {step + 1}/{steps} {told}")
            heard = 0.0
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
            state = {"model": vae.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state_dict()}
            checkpoint.save({**state, "step": step + 1}, state_file)
    average.swap()
    return vae.eval()


@torch.no_grad()
def scaled(vae: AutoencoderKL, scenes: Scenes, seed: int, count: int = 1024) -> AutoencoderKL:
    """The same autoencoder with `scaling_factor` such that latents of photographs and drawings have variance 1."""
    draws = generator("tiny", "scaling", seed)
    pictures, _ = draw(scenes, torch.randint(len(scenes), (count,), generator=draws), draws)
    latents = torch.cat([vae.encode(to_unit(part)).latent_dist.mode() for part in pictures.split(64)])
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    return vae


@torch.no_grad()
def round_trip(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Pictures (B, 3, 64, 64) in [0, 255] through the posterior's mode and back, whole numbers in 0 .. 255."""
    return torch.cat(
        [to_bytes(vae.decode(vae.encode(to_unit(p)).latent_dist.mode()).sample) for p in pictures.split(64)]
    )


def ceilings(vae: AutoencoderKL, scenes: Scenes) -> dict[str, float]:
    """What a perfect denoiser could reach through this autoencoder, for each kind of drawing; all shares in [0, 1].

    One random solid of each scene. Masks: intersection over union, summed over scenes. Palette: share of pixels
    whose nearest palette colour is right. Depth: share of pixels within 1.25 of the truth (delta1), and 1 - AbsRel.
    """
    image = scenes.images.permute(0, 3, 1, 2).float()
    draws = generator("tiny", "ceilings")
    count = scenes.instance.amax((1, 2)).float()
    target = (torch.rand(len(scenes), generator=draws) * count).long() + 1
    mask = scenes.instance.long() == target[:, None, None]
    shares = {}
    for name, rgb in (("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255)), ("white", (255, 255, 255))):
        shares[f"{name}_mask"] = painted_share(vae, image, mask, rgb)
    black = torch.zeros_like(image)
    decoded = round_trip(vae, torch.where(mask[:, None], 255 - black, black))
    luminance = (decoded * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    shares["binary_mask"] = overlap(luminance > 127, mask)
    shares["box_fill"] = painted_share(vae, image, boxes(mask, draws, outline=False), (0, 0, 255))
    shares["box_outline"] = painted_share(vae, image, boxes(mask, draws, outline=True), (0, 0, 255))
    shares["palette"] = palette_share(vae, scenes)
    shares |= depth_shares(vae, scenes.depth.float())
    error = (round_trip(vae, image) - image).square().mean((1, 2, 3))
    shares["photo_psnr_db"] = (10 * (255**2 / error).log10()).mean().item()
    return {name: round(value, 4) for name, value in shares.items()}


def painted_share(vae: AutoencoderKL, image: Tensor, mask: Tensor, rgb: tuple[int, int, int]) -> float:
    """Overlap of the mask and what is read back after a round trip, within 50 of the colour (ADDP, A.1.2)."""
    colour = torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)
    decoded = round_trip(vae, torch.where(mask[:, None], colour, image))
    return overlap((decoded - colour).norm(dim=1) <= 50, mask)


def overlap(one: Tensor, two: Tensor) -> float:
    """Intersection over union of two stacks of masks, each summed over the stack."""
    return ((one & two).sum() / (one | two).sum()).item()


def palette_share(vae: AutoencoderKL, scenes: Scenes) -> float:
    """Share of pixels that are read back as their class, when classes are drawn in six corners of the RGB cube."""
    colours = torch.tensor([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]).float()
    classes = torch.cat([torch.zeros(len(scenes), 1, dtype=torch.uint8), scenes.classes], 1).long()
    truth = classes.gather(1, scenes.instance.long().flatten(1)).view(scenes.instance.shape)
    decoded = round_trip(vae, colours[truth].permute(0, 3, 1, 2))
    nearest = (decoded[:, None] - colours[None, :, :, None, None]).square().sum(2).argmin(1)
    return (nearest == truth).float().mean().item()


def depth_shares(vae: AutoencoderKL, depth: Tensor) -> dict[str, float]:
    """Gray depth from its 2nd to its 98th percentile, read back and returned to metres with the same ends."""
    low, high = (depth.flatten(1).quantile(q, 1)[:, None, None] for q in (0.02, 0.98))
    gray = ((depth - low) / (high - low)).clamp(0, 1)
    read = round_trip(vae, (gray * 255)[:, None].expand(-1, 3, -1, -1)).mean(1) / 255 * (high - low) + low
    truth = gray * (high - low) + low
    ratio = torch.maximum(read / truth, truth / read)
    return {
        "depth_delta1": (ratio < 1.25).float().mean().item(),
        "depth_one_minus_absrel": 1 - ((read - truth).abs() / truth).mean().item(),
        "depth_gray_within_5_percent": ((read - truth).abs() < 0.05 * (high - low)).float().mean().item(),
    }
