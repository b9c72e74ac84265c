"""What a reader does who follows a page from its first line to its last: files saved, commands run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SHELL = ("", "sh", "bash", "console")  # languages of blocks that hold commands, one to a line

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_WORKFLOW = re.compile(r"^ *(?:- )?run: (addp-bench .*)$", re.MULTILINE)
_SAVED = re.compile(r"`([\w-]+\.py)`")
_CODE = re.compile(r"#\s*exit code (\d)\b")


@dataclass(frozen=True)
class Command:
    """One line of a shell block. line: where it begins in its page, from 1. code: the exit code that it promises."""

    page: str
    line: int
    text: str
    code: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"

    @property
    def words(self) -> list[str]:
        """What a shell makes of it, comments left out."""
        return shlex.split(self.text, comments=True)

    @property
    def arguments(self) -> list[str] | None:
        """What follows `addp-bench`, without a redirection; None for another program."""
        words = self.words[: self.words.index(">")] if ">" in self.words else self.words
        return words[1:] if words[0] == "addp-bench" else None


@dataclass(frozen=True)
class Saved:
    """A block that is a file: a plugin, which the page names before it, or a request, which it calls SPEC.yaml."""

    name: str
    content: str


@dataclass(frozen=True)
class Script:
    """A block of Python that is run as it stands, and the line at which it begins."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: Python"


Step: TypeAlias = "Command | Saved | Script"


def steps(page: str, text: str) -> Iterator[Step]:
    """What a page of this name has its reader do, in order. A block in `py` shows part of a file, to look at."""
    for block in _FENCE.finditer(text):
        language, body = block.groups()
        first = text[: block.start(2)].count("\n") + 1
        if language in SHELL:
            yield from _commands(page, body, first)
        elif language in ("yml", "yaml") and _WORKFLOW.search(body):
            for met in _WORKFLOW.finditer(body):
                yield Command(page, first + body[: met.start()].count("\n"), met[1].removesuffix(" || true"))
        elif language == "yaml":
            yield Saved("SPEC.yaml" if body.startswith("train:") else "FILE.yaml", body)
        elif language == "python" and "addp_bench_register" in body:
            named = _SAVED.findall(text[: block.start()])
            yield Saved(named[-1] if named else "plugin.py", body)
        elif language == "python":
            yield Script(page, first, body)


def commands(page: str, text: str) -> list[Command]:
    """The commands of a page alone."""
    return [step for step in steps(page, text) if isinstance(step, Command)]


def without_blocks(text: str) -> str:
    """What a page says outside of its fenced blocks."""
    return _FENCE.sub("", text)


def blocks(text: str, *languages: str) -> list[str]:
    """The contents of fenced blocks in these languages ("" for none)."""
    return [body for language, body in _FENCE.findall(text) if language in languages]


def _commands(page: str, body: str, first: int) -> Iterator[Command]:
    begun, at = "", first
    for number, line in enumerate(body.split("\n"), first):
        begun, at = (begun + " " + line.strip(), at) if begun else (line.strip().removeprefix("$ "), number)
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip()
            continue
        promised = _CODE.search(begun)
        for part in begun.split(" && "):
            if shlex.split(part, comments=True):
                yield Command(page, at, part, int(promised[1]) if promised else 0)
        begun = ""
