"""Every command on every page runs: page by page, in order, in a folder of the page's own, as small as can be."""

from __future__ import annotations

import os
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
        if edit.page in ("", step.page):
            text = text.replace(edit.old, edit.new)
    return text


def filled(command: Command, world: World) -> list[str]:
    """The words of a command with everything that stands for something else put in."""
    words = Command(command.page, command.line, edited(command)).words
    return _smaller([_word(word, command.page, world) for word in words])


def _word(word: str, page: str, world: World) -> str:
    if met := _PATH.search(word):
        place = world.model() if met[1] == "instruct_pix2pix" else world.dataset(met[1])
        return f"{word[: met.start()]}{met[1]}:path={place}{word[met.end() :]}"
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
    try:
        words = filled(step, world)
    except LookupError as missing:
        return str(missing)
    if words[0] == "cd":
        os.chdir(words[1])
        return ""
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
    ended = f"exit code {code}, where {expected} was promised"
    return f"ran as: {' '.join(words[:-1])}\n{ended}\n{printed[-2000:]}{said[-2000:]}"


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
    for step in steps_of(declared.FILES.get(page.name)):
        if isinstance(step, Saved):
            taken(step, world, shell)
    for line in declared.BEGIN.get(page.name, ()):
        assert shell(*line.split())[0] == 0
    for step in steps_of(page.name):
        if why := taken(step, world, shell):
            wrong.append(f"{step}\n{why}")
    assert not wrong, "\n\n".join(
        [f"{len(wrong)} do not run (tests/docs_declared.py says what stands for what):", *wrong]
    )


def steps_of(page: str | None) -> list[Step]:
    """The steps of a page by its name; none of None."""
    return [step for file in PAGES if file.name == page for step in steps(file.name, file.read_text())]


def prepare(command: Command) -> None:
    """What a command finds beside what those before it left."""
    if "git:" in command.text:  # a repository whose main branch holds what is here
        who = ("-c", "user.name=reader", "-c", "user.email=reader@example.org")
        made = (
            "init -q .",
            "add baseline.zip",
            "commit -q --allow-empty -m x",
            "update-ref refs/remotes/origin/main HEAD",
        )
        for line in (*made, "fetch -q . HEAD"):
            subprocess.run(["git", *who, *line.split()], check=True, capture_output=True)


# ------------------------------------------------------------------------------------------------ nothing is stale


EVERY = [step for page in PAGES for step in steps_of(page.name) if not isinstance(step, Saved)]


@pytest.mark.parametrize("begins", declared.NOT_RUN)
def test_what_is_said_not_to_run_stands_on_a_page(begins):
    assert any(step.text.startswith(begins) for step in EVERY)


@pytest.mark.parametrize("edit", declared.EDITS, ids=lambda edit: f"{edit.page}: {edit.old}")
def test_an_edit_changes_a_command_of_its_page(edit):
    assert any(edit.old in step.text for step in EVERY if edit.page in ("", step.page))


@pytest.mark.parametrize("key", declared.FILLED, ids=str)
def test_what_is_filled_in_stands_on_a_page(key):
    page, word = key if isinstance(key, tuple) else (None, key)
    assert any(word in edited(step) for step in EVERY if page in (None, step.page))


@pytest.mark.parametrize("key", declared.ENDS, ids=str)
def test_a_command_that_may_end_otherwise_stands_on_its_page(key):
    assert any((step.page, step.text) == key for step in EVERY)


def test_pages_that_begin_otherwise_exist():
    assert {*declared.BEGIN, *declared.FILES, *declared.FILES.values()} <= {page.name for page in PAGES}


def test_every_line_of_a_shell_block_is_a_command_that_is_run_or_listed():
    """What is no command belongs into a block that says its language: ```text."""
    known = ("addp-bench", "cd", *declared.PROGRAMS)
    strange = [str(s) for s in EVERY if isinstance(s, Command) and s.words[0] not in known and not why_not(s)]
    assert not strange, f"neither run nor listed in tests/docs_declared.py with a reason: {strange}"


def test_a_command_of_ours_is_never_left_out():
    assert not any(text.startswith("addp-bench") for text in declared.NOT_RUN)


def test_a_page_is_read_as_its_reader_does():
    page = (
        "Save it as `mine.py`:\n\n```python\ndef addp_bench_register(): ...\n```\n\n"
        "```\n# a word\naddp-bench run --task ris \\\n  --limit 3 && addp-bench list  # exit code 4\n```\n"
        "```text\naddp-bench no\n```\n```yml\n  - run: addp-bench gate || true\n```\n"
    )
    saved, run, listed, gate = steps("p.md", page)
    assert saved == Saved("mine.py", "def addp_bench_register(): ...\n")
    assert (run.line, run.text, run.code) == (9, "addp-bench run --task ris --limit 3", 4)
    assert (listed.arguments, listed.code) == (["list"], 4)
    assert gate.text == "addp-bench gate"


def test_data_models_and_cells_are_filled_in(tmp_path):
    world = World(tmp_path)
    world.cells = {"ris uniform none 0": "aaa", "ris uniform none 1": "bbb", "ris uniform none 2": "ccc"}
    text = "addp-bench check plugin dataset=pairs:path=X:y=1 3f8a,91c2 x3f8a CELL/record.json"
    words = filled(Command("interchange.md", 1, text), world)
    assert words[3] == f"dataset=pairs:path={tmp_path / 'data/pairs'}:y=1"
    assert words[4:] == ["aaa,bbb", "x3f8a", "aaa/record.json"]
    assert len(list((tmp_path / "data/pairs").glob("*.jpg"))) == 80
    with pytest.raises(LookupError, match="dataset unheard has no miniature"):
        filled(Command("p.md", 1, "addp-bench run --dataset unheard:path=DIR"), world)


def test_numbers_are_made_smaller_and_never_larger():
    words = ["run", "--limit", "200", "--steps", "1", "--seeds", "0..4", "--seeds", "3", "--lr", "200"]
    assert _smaller(words) == ["run", "--limit", "4", "--steps", "1", "--seeds", "0..1", "--seeds", "3", "--lr", "200"]


@pytest.mark.slow
def test_a_command_that_fails_is_told_with_its_page_and_line(world, runs, shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = Command("p.md", 7, "addp-bench leaderboard --task nothing --runs none")
    told = taken(wrong, world, shell)
    assert "exit code" in told
    assert str(wrong) == "p.md:7: addp-bench leaderboard --task nothing --runs none"
    assert taken(Command("p.md", 8, "addp-bench list task"), world, shell) == ""
    assert "promised" in taken(Command("p.md", 8, "addp-bench list task", code=1), world, shell)
