"""Words of the program as Markdown: docstrings are plain text in which only `code` and *stress* mean something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`\n]+`)")
_STRESS = re.compile(r"(?<!\w)\*(\w+)\*(?!\w)")
_SPECIAL = re.compile(r"([\\*_<>\[\]{}|$#~^])")


def escaped(words: str) -> str:
    """Plain words, nothing of which is Markdown but `code` and *stress*."""
    pieces = _CODE.split(words)
    return "".join(piece if k % 2 else _plain(piece) for k, piece in enumerate(pieces))


def flat(words: str) -> str:
    """The same on one line."""
    return escaped(" ".join(words.split()))


def paragraphs(words: str) -> str:
    """A docstring: its paragraphs, and as code what is indented."""
    parts = []
    for part in re.split(r"\n\s*\n", words.strip("\n")):
        code = all(line.startswith("    ") for line in part.splitlines())
        parts.append(fenced("\n".join(line[4:] for line in part.splitlines())) if code else escaped(part))
    return "\n\n".join(parts)


def fenced(code: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{code.rstrip()}\n```"


def code(words: str) -> str:
    """Inline code; "" stays nothing."""
    return f"`{words}`" if words else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown; "" where there is no row."""
    lines = [[cell.replace("\n", " ").replace("|", r"\|") for cell in row] for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(headers), ["---"] * len(headers), *lines])


def page(*parts: str) -> str:
    """Parts of a page, those that are empty left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(words: str) -> str:
    stressed = _STRESS.split(words)
    return "".join(f"*{piece}*" if k % 2 else _SPECIAL.sub(r"\\\1", piece) for k, piece in enumerate(stressed))
