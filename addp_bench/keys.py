"""What keys are made of: choices by their content, and digests of the code that computes."""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path
from typing import Any

from addp_bench.loading import source_files
from addp_bench.spec import Choice
from addp_bench.store import digest

KEY_SCHEMA = 1
# The core modules that decide what each kind of stage makes.
CODE = {
    "latents": ("types", "randomness", "cache"),
    "train": (
        "types",
        "randomness",
        "schedule",
        "timesteps",
        "contribution",
        "cache",
        "mixture",
        "batches",
        "training",
        "work",
    ),
    "predict": ("types", "randomness", "schedule", "sampling", "cache", "evaluation", "work"),
    "decoder": ("types", "randomness", "cache", "decoders"),
    "contribution": ("regression", "contribution", "evaluation", "work"),
    "answers": ("types", "randomness", "evaluation"),
    "score": (
        "types",
        "pixelwise",
        "metrics",
        "average_precision",
        "statistics",
        "evaluation",
        "outcome",
        "tuning",
        "work",
    ),
    "ceiling": (
        "types",
        "pixelwise",
        "metrics",
        "average_precision",
        "statistics",
        "cache",
        "evaluation",
        "ceiling",
        "work",
    ),
    "features": ("types", "randomness", "schedule", "cache", "probing", "probe_work"),
    "probe": ("randomness", "probing", "probe_work"),
    "judged": ("types", "metrics", "statistics", "evaluation", "outcome", "work", "probing", "probe_work"),
}
_FILES = {name: Path(__file__).parent / f"{name}.py" for names in CODE.values() for name in names}


def placeless(choice: Choice) -> dict[str, Any]:
    """A model or a dataset without its `path`: the fingerprint beside it names the contents."""
    return {"name": choice.name, "options": {k: v for k, v in choice.options.items() if k != "path"}}


def by_content(choice: Choice) -> dict[str, Any]:
    """Any other choice; `path` and `from` that name a file or folder are replaced by the SHA-256 of what is in it."""
    options = {k: _content(v) if k in ("path", "from") and isinstance(v, str) else v for k, v in choice.options.items()}
    return {"name": choice.name, "options": options}


def _content(name: str) -> str:
    place = Path(name).expanduser()
    if place.is_file():
        return file_digest(place)
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file())
        return digest([[str(file.relative_to(place)), file_digest(file)] for file in files])
    return name


@functools.cache
def source_digest(path: Path) -> str:
    """Digest of what a source file does: its syntax tree without docstrings, so that words and layout change no key."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


@functools.cache
def plugin_digest(source: Path) -> str:
    """Digest of the file that defines a plugin and of those of its package that it imports."""
    return digest([[file.name, source_digest(file)] for file in source_files(source)])[:16]


def code_digest(stage: str) -> dict[str, str]:
    """Core module -> digest of its source, for those that decide what a kind of stage makes."""
    return {name: source_digest(_FILES[name]) for name in CODE[stage]}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()
