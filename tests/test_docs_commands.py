"""Every command on every page runs: page by page, in order, in a folder of the page's own, as small as can be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import docs_declared as declared
import pytest
from docs_pages import PAGES, ROOT, Command, Saved, Script, Step, commands, steps
from docs_world import CELLS, PHOTOGRAPHS, World, copied, environment

Shell = Callable[..., tuple[int, str, str]]

_PATH = re.compile(r"(\w+):path=[^:]*")


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """What the pages speak of, shared by all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "docs-world"
    folder.mkdir(exist_ok=True)
    return World(folder)


@pytest.fixture
def runs(world, shell, monkeypatch) -> Path:
    """A finished runs folder; the options' variables are set."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ADDP_HOME", str(world.folder / "home"))  # what a page adopts is no other test's

    def make(place: Path) -> None:
        for line in CELLS:
            code, _, said = shell(*line.split(), "--runs", place)
            assert code == 0, said

    return world.runs(make)


def edited(step: Command | Script) -> str:
    """The text of a step as `EDITS` have it."""
    text = step.text
    for edit in declared.EDITS:
        if edit.page == step.page:
            text = text.replace(edit.old, edit.new)
    return text


def filled(command: Command, world: World) -> list[str]:
    """The words of a command with everything that stands for something else put in."""
    words = Command(command.page, command.line, edited(command)).words
    return _smaller([_word(word, command.page, world) for word in words])


def _word(word: str, page: str, world: World) -> str:
    if (met := _PATH.match(word)) and met[1] not in ("predictions",):
        place = world.model() if met[1] == "instruct_pix2pix" else world.dataset(met[1])
        return f"{met[1]}:path={place}{word[met.end() :]}"
    for key, fill in declared.FILLED.items():
        where, name = key if isinstance(key, tuple) else (page, key)
        own = (page, name) in declared.FILLED
        whole = not name.isalnum()
        if where != page or (own and not isinstance(key, tuple)) or (whole and word != name):
            continue
        pattern = re.escape(name) if whole else rf"(?<![\w-]){name}(?![\w-])"
        if re.search(pattern, word):
            word = re.sub(pattern, lambda _: str(fill(world)), word)  # noqa: B023  called at once
    return word


def _smaller(words: list[str]) -> list[str]:
    made = words[:1]
    for flag, word in pairwise(words):
        most = declared.SMALLER.get(flag)
        if most and word.isdecimal() and most.isdecimal():
            word = str(min(int(word), int(most)))
        elif most and ".." in word:
            word = most
        made.append(word)
    return made


def why_not(step: Command | Script) -> str | None:
    """Why a step is not taken; None for one that is."""
    return next((why for text, why in declared.NOT_RUN.items() if step.text.startswith(text)), None)


def taken(step: Step, world: World, shell: Shell) -> str:
    """Take a step; what was wrong with it, "" for nothing."""
    if isinstance(step, Saved):
        Path(step.name).write_text(step.content)
        return ""
    if why_not(step):
        return ""
    if isinstance(step, Script):
        text = re.sub(r"\b[A-Z]{2,}\b", lambda word: _word(word[0], step.page, world), edited(step))
        finished = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
        return finished.stderr if finished.returncode else ""
    prepare(step)
    words = filled(step, world)
    if words[0] != "addp-bench":
        finished = subprocess.run(edited(step), shell=True, capture_output=True, text=True)
        return finished.stderr if finished.returncode else ""
    *words, file = words if ">" in words else [*words, ">", ""]
    code, printed, said = shell(*words[1:-1])
    if file:
        Path(file).write_text(printed)
    expected = declared.ENDS.get((step.page, step.text), {step.code})
    if code in expected:
        return ""
    return f"ran as: {' '.join(words[:-1])}\nexit code {code}, where {expected} was promised\n{said}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if commands(p.name, p.read_text())], ids=lambda p: p.name)
def test_every_command_of_a_page_runs(page, world, runs, shell, tmp_path, monkeypatch):
    copied(runs, tmp_path / "runs")
    if page.name in declared.BEGIN:  # stages alone, which make it quick
        shutil.rmtree(tmp_path / "runs" / "records")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for name in PHOTOGRAPHS:
        shutil.copy(world.photograph(), tmp_path / name)
    shutil.copy(ROOT / "tests" / "dots.py", tmp_path / "acme.py")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / "baselines").symlink_to(ROOT / "baselines")
    wrong = []
    monkeypatch.chdir(tmp_path)
    for line in declared.BEGIN.get(page.name, ()):
        assert shell(*line.split())[0] == 0
    for step in steps(page.name, page.read_text()):
        if why := taken(step, world, shell):
            wrong.append(f"{step}\n{why}")
    assert not wrong, "\n\n".join([f"{len(wrong)} commands do not run; tests/docs_declared.py fills in", *wrong])


def prepare(command: Command) -> None:
    """What a command finds beside what those before it left."""
    if "git:" in command.text:  # a repository whose main branch holds what is here
        who = ("-c", "user.name=reader", "-c", "user.email=reader@example.org")
        for line in ("init -q .", "add baseline.zip", "commit -q -m x", "update-ref refs/remotes/origin/main HEAD"):
            subprocess.run(["git", *who, *line.split()], check=True, capture_output=True)
