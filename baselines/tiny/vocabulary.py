"""A tokenizer of CLIP's kind in which every word of the world is one token, and any other text still has tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from addp_bench.tasks.tabletop.words import VOCABULARY

LENGTH = 28  # tokens of a prompt, its start and end among them; the world's longest expression has 20 words
START, END = "<|startoftext|>", "<|endoftext|>"

# What prompts of the edit stage and of tasks say beyond the world's own words.
_SAID = """
absent area around away background black border box bright change class color colour cyan dark delete depth detect
distance draw edit empty erase estimate every far fill find floor gray grey ground have here highlight image into is
it its label magenta make map mark mask metres middle more move near no none one other outline paint palette part
picture pixels place present put region remain remove rest scene segment segmentation semantic shade shape show
solid surface take them there these they this unchanged up wall white with yellow
"""
TASK_WORDS = tuple(_SAID.split())
WORDS = tuple(sorted({*VOCABULARY, *TASK_WORDS}))


def bytes_to_characters() -> dict[int, str]:
    """The printable character that stands for each byte in byte-level BPE (GPT-2, and CLIP after it)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


def merged(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one word: the pair of lowest rank is joined, until no pair has a rank."""
    while pairs := [pair for pair in pairwise(symbols) if pair in ranks]:
        best, joined, i = min(pairs, key=ranks.__getitem__), [], 0
        while i < len(symbols):
            whole = tuple(symbols[i : i + 2]) == best
            joined.append("".join(best) if whole else symbols[i])
            i += 2 if whole else 1
        symbols = joined
    return symbols


def merges_for(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges under which each word becomes one token.

    A word gets merges only for what the earlier ones leave apart. Later merges rank behind, so no earlier word changes.
    """
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        symbols = merged([*word[:-1], word[-1] + "</w>"], ranks)
        while len(symbols) > 1:
            ranks[symbols[0], symbols[1]] = len(ranks)
            symbols = merged([*word[:-1], word[-1] + "</w>"], ranks)
    return list(ranks)


def write(folder: Path) -> CLIPTokenizer:
    """Write vocab.json, merges.txt and the tokenizer's settings into `folder`; returns the tokenizer."""
    merges = merges_for(WORDS)
    characters = list(bytes_to_characters().values())
    tokens = [*characters, *(c + "</w>" for c in characters)]
    tokens += [token for token in dict.fromkeys("".join(pair) for pair in merges) if token not in set(tokens)]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate([*tokens, START, END])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH, local_files_only=True)
    tokenizer.save_pretrained(folder)
    return tokenizer
