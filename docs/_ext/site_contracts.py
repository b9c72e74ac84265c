"""Contracts and hooks as their source files say them, comments included: these tell what is optional."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from site_words import escaped, fenced, page, paragraphs

_PART = re.compile(r"^# -{20,} (.+)$")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def contracts(file: Path) -> str:
    """Every class of a file of protocols in its order, under the headings of its comments."""
    text = file.read_text()
    tree, lines = ast.parse(text), text.splitlines()
    parts = ["# Contracts", paragraphs(ast.get_docstring(tree) or "")]
    headings = {k: met[1] for k, line in enumerate(lines, 1) if (met := _PART.match(line))}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            before = [k for k in headings if k < node.lineno]
            parts += [f"## {headings.pop(k).capitalize()}" for k in before]
            parts += [f"### {node.name}", *_members(node, lines)]
    return page(*parts)


def hooks(file: Path) -> str:
    """Every hook of a file of specifications."""
    tree = ast.parse(file.read_text())
    parts = ["# Hooks", paragraphs(ast.get_docstring(tree) or "")]
    for node in tree.body:
        if isinstance(node, _Function):
            parts += [f"## {node.name}", *_function(node)]
    return page(*parts)


def _members(node: ast.ClassDef, lines: list[str]) -> Iterator[str]:
    """What stands in a class, in the order in which it stands there."""
    yield paragraphs(ast.get_docstring(node) or "")
    last = node.lineno
    for member in node.body:
        yield _comments(lines[last : member.lineno - 1])
        if isinstance(member, _Function):
            yield from _function(member)
        elif isinstance(member, ast.AnnAssign):
            yield _attribute(member, lines[member.end_lineno - 1 if member.end_lineno else member.lineno - 1])
        last = member.end_lineno or member.lineno
    end = node.end_lineno or last
    yield _comments(_indented(lines[end:]))


def _function(node: _Function) -> Iterator[str]:
    decorated = "".join(f"@{ast.unparse(d)}\n" for d in node.decorator_list if ast.unparse(d) in ("property",))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    yield fenced(f"{decorated}def {node.name}({ast.unparse(node.args)}){returns}", "python")
    yield paragraphs(ast.get_docstring(node) or "")


def _attribute(node: ast.AnnAssign, line: str) -> str:
    _, _, words = line.partition("  # ")
    default = f" = {ast.unparse(node.value)}" if node.value else ""
    said = fenced(f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}{default}", "python")
    return page(said, escaped(words)).rstrip()


def _indented(lines: list[str]) -> Iterator[str]:
    """The lines that still belong to a class: those after its last member which are indented or empty."""
    for line in lines:
        if line and not line.startswith(" "):
            return
        yield line


def _comments(lines: Iterator[str] | list[str]) -> str:
    found = [line.strip().removeprefix("#").strip() for line in lines if line.strip().startswith("#")]
    return escaped("\n".join(found))
