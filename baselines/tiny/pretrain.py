"""Make the shipped weights: autoencoder, then `generate`, then `edit`. Kill it anywhere; the same command goes on.

    python -m addp_bench.baselines.tiny.pretrain --work FOLDER --out FOLDER

Rendered scenes, latents and training states lie in --work; only finished stages are written to --out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline
from transformers import CLIPTextModel, CLIPTokenizer

from . import WEIGHTS, autoencoder, editing, networks, pool, stages, vocabulary
from .autoencoder import Phase
from .material import Material, tokenized
from .stages import Denoiser, Recipe

GENERATE = Recipe(steps=1500)
EDIT = Recipe(steps=14000, peak=8e-4)
HELD_OUT = 7  # seed of scenes that no stage trains on


@dataclass(frozen=True)
class Plan:
    """Sizes of everything; the defaults are those of the shipped weights.

    scenes: for the autoencoder. bases: scenes that are edited, four times each; a multiple of 64, as is held.
    """

    scenes: int = 4096
    bases: int = 12032
    held: int = 128
    autoencoder: tuple[Phase, ...] = autoencoder.PHASES
    generate: Recipe = GENERATE
    edit: Recipe = EDIT
    seed: int = 0
    workers: int = 2


@dataclass
class Parts:
    """What all stages share."""

    vae: AutoencoderKL
    tokenizer: CLIPTokenizer
    train: Material
    held: Material

    @property
    def empty(self) -> torch.Tensor:
        """Tokens (L,) int64 of the empty prompt."""
        return tokenized(self.tokenizer, [""])[0].long()

    @property
    def scale(self) -> float:
        return self.vae.config.scaling_factor


def make(plan: Plan, work: Path, out: Path, log: Callable[[str], None], *, fast: bool = False) -> None:
    """All stages in order, each exported to `out` when it is done."""
    tokenizer = vocabulary.write(out / "edit" / "tokenizer")
    vae = make_autoencoder(plan, work, out, log, fast=fast)
    parts = Parts(
        vae,
        tokenizer,
        Material.of(editing.edit_pool(1, plan.bases, work, plan.workers), vae, tokenizer, work / "latents.safetensors"),
        Material.of(
            editing.edit_pool(HELD_OUT, plan.held, work, plan.workers), vae, tokenizer, work / "held.safetensors"
        ),
    )
    log(f"{parts.train.latents.shape[1]} scenes and {len(parts.train.before)} edits, each twice with its mirror image")
    model = make_generate(plan, parts, work, log, fast=fast)
    export(model, parts, out / "generate", StableDiffusionPipeline)
    shutil.rmtree(out / "generate" / "vae", ignore_errors=True)  # the same as edit's; shipped once
    model = make_edit(plan, model, parts, work, log, fast=fast)
    export(model, parts, out / "edit", StableDiffusionInstructPix2PixPipeline)


def make_autoencoder(plan: Plan, work: Path, out: Path, log: Callable[[str], None], *, fast: bool) -> AutoencoderKL:
    """The trained autoencoder in float32, after rounding to what is shipped; its ceilings go to the log."""
    folder = out / "edit" / "vae"
    if not (folder / "config.json").exists():
        scenes = pool.scene_pool(1, plan.scenes, work, plan.workers)
        vae = autoencoder.train(scenes, plan.seed, work / "autoencoder.pt", log, phases=plan.autoencoder, fast=fast)
        autoencoder.scaled(vae, scenes, plan.seed).half().save_pretrained(folder)
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True).eval()
    ceilings = autoencoder.ceilings(vae, pool.scene_pool(HELD_OUT, plan.held, work, plan.workers))
    log(f"ceilings {json.dumps(ceilings)}")
    return vae


def make_generate(plan: Plan, parts: Parts, work: Path, log: Callable[[str], None], *, fast: bool) -> Denoiser:
    """Scenes from captions; UNet and text encoder from scratch."""
    torch.manual_seed(plan.seed)  # initial weights
    model = Denoiser(networks.build_unet(), networks.build_text_encoder(parts.tokenizer))
    batches = partial(stages.captioned, parts.train, parts.scale, parts.empty, plan.generate)
    return stages.train("generate", model, batches, plan.generate, plan.seed, work / "generate.pt", log, fast=fast)


def make_edit(
    plan: Plan, generator: Denoiser, parts: Parts, work: Path, log: Callable[[str], None], *, fast: bool
) -> Denoiser:
    """Edits by instruction; from the generator's weights."""
    model = Denoiser(networks.for_editing(generator.unet), generator.text_encoder)
    batches = partial(stages.instructed, parts.train, parts.scale, parts.empty, plan.edit)
    watch = partial(stages.explained, material=parts.held, scale=parts.scale)
    return stages.train("edit", model, batches, plan.edit, plan.seed, work / "edit.pt", log, watch=watch, fast=fast)


def export(model: Denoiser, parts: Parts, folder: Path, pipeline: type) -> None:
    """A diffusers folder in float16; the model that goes on training keeps its own precision."""
    with torch.no_grad():
        unet = type(model.unet).from_config(model.unet.config)
        unet.load_state_dict(model.unet.state_dict())
        text_encoder = CLIPTextModel(model.text_encoder.config)
        text_encoder.load_state_dict(model.text_encoder.state_dict())
        # without the name of the folder it was read from, which is nobody else's business
        vae = AutoencoderKL.from_config({k: v for k, v in parts.vae.config.items() if k != "_name_or_path"})
        vae.load_state_dict(parts.vae.state_dict())
    pipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=parts.tokenizer,
        unet=unet.half(),
        scheduler=networks.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be made again")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the finished stages")
    parser.add_argument("--bases", type=int, default=Plan.bases, help="scenes to edit, a multiple of 64")
    parser.add_argument("--generate-steps", type=int, default=Plan.generate.steps)
    parser.add_argument("--edit-steps", type=int, default=Plan.edit.steps)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--fast", action="store_true", help="bfloat16, for CPUs that have it; the shipped weights used it"
    )
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    plan = Plan(
        bases=asked.bases,
        generate=replace(Plan.generate, steps=asked.generate_steps),
        edit=replace(Plan.edit, steps=asked.edit_steps),
    )
    make(
        plan,
        asked.work,
        asked.out,
        lambda line: print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True),
        fast=asked.fast,
    )


if __name__ == "__main__":
    main()
