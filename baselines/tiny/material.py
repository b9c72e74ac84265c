"""What the diffusion stages train on: latents and tokens of a pool of edits, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from addp_bench.tasks.tabletop.solids import COLOURS

from .autoencoder import to_unit
from .editing import read
from .language import mirrored

KINDS = ("recolour", "move", "remove", "nothing")


@dataclass
class Material:
    """N images and P pairs, each as it is and mirrored (the leading 2).

    latents (2, N, 16, 8, 8) float16: posterior modes, unscaled · captions (2, N, C, L) int16 tokens ·
    before, after (P,) int64 rows of latents · sayings (2, P, S, L) int16 · kind (P,) int64 index of KINDS.
    """

    latents: Tensor
    captions: Tensor
    before: Tensor
    after: Tensor
    sayings: Tensor
    kind: Tensor

    @staticmethod
    def of(pool: dict[str, Tensor], vae: AutoencoderKL, tokenizer: CLIPTokenizer, file: Path) -> Material:
        """Encoded from a pool of edits (see editing.random_edits), or read from `file` where it exists."""
        if not file.exists():
            straight = pool["images"].permute(0, 3, 1, 2)
            there = (pool["before"] >= 0).nonzero()[:, 0]
            sayings = [read(lines) for lines in pool["sayings"][there].unbind(1)]
            before, after = pool["before"][there], pool["after"][there]
            same = (straight[before] == straight[after]).flatten(1).all(1)
            fields = {
                "latents": torch.stack([encoded(vae, straight), encoded(vae, straight.flip(-1))]),
                "captions": tokens(tokenizer, [read(lines) for lines in pool["captions"].unbind(1)]),
                "before": before,
                "after": after,
                "sayings": tokens(tokenizer, sayings),
                "kind": torch.tensor([3 if s else kind_of(text) for s, text in zip(same, sayings[0], strict=True)]),
            }
            save_file({name: value.contiguous() for name, value in fields.items()}, file.with_suffix(".partial"))
            file.with_suffix(".partial").replace(file)
        return Material(**load_file(file))


@torch.no_grad()
def encoded(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Pictures (N, 3, 64, 64) uint8 to posterior modes (N, 16, 8, 8) float16, not scaled."""
    parts = (to_unit(part).contiguous(memory_format=torch.channels_last) for part in pictures.split(128))
    return torch.cat([vae.encode(part).latent_dist.mode().half().contiguous() for part in parts])


def tokens(tokenizer: CLIPTokenizer, columns: Sequence[Sequence[str]]) -> Tensor:
    """Columns of texts, S of N each, as tokens (2, N, S, L) int16: as they are, and mirrored."""
    return torch.stack(
        [
            torch.stack([tokenized(tokenizer, [change(text) for text in column]) for column in columns], 1)
            for change in (str, mirrored)
        ]
    )


def tokenized(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Texts as (N, L) int16, padded and cut to the tokenizer's length."""
    ids = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids.to(torch.int16)


def kind_of(text: str) -> int:
    """What an instruction asks for, as an index of KINDS."""
    if text.startswith("move "):
        return 1
    return 0 if text.split()[-1] in COLOURS and "no " not in text and not text.startswith("remove") else 2
