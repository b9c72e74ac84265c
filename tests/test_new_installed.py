"""The way of an idea of each kind: `new`, `pip install`, `list`, `check`, `run`, a row, and the package's own tests."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from addp_bench import scaffold
from addp_bench.scaffold.guides import GUIDES
from addp_bench.spec import KINDS

# the first run of a README, with still less of everything: later flags win
LESS = "--train-samples 16 --train-steps 2 --batch-size 4 --limit 4 --steps 2"

# Several commands in one process, as torch takes seconds to import; then the tests of the package
COMMANDS = """
import contextlib, io, json, sys
import pytest
from addp_bench.cli import main

done = []
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            main(words)
    except SystemExit as left:
        done.append([words[0], left.code, said.getvalue()])
with contextlib.redirect_stdout(sys.stderr):
    tests = pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[2]])
print(json.dumps([*done, ["tests", int(tests), ""]]))
"""


def first_commands(kind: str) -> list[list[str]]:
    """What a README tells to type once the package is installed, with less training and judging."""
    listed = [["list", kind, "--json"], *(["show", one, "idea", "--json"] for one in scaffold.registers(kind))]
    told = [shlex.split(line)[1:] for line in scaffold.commands(kind, "idea")]
    assert all(words[0] in ("check", "run", "leaderboard") for words in told)
    less = shlex.split(LESS if "--train-steps" in GUIDES[kind].small else "--limit 4")
    more = {"run": less, "leaderboard": ["--json"]}
    return [*listed, *([*words, *more.get(words[0], [])] for words in told)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_from_an_idea_to_a_row(shell, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    assert shell("new", kind, "idea")[0] == 0
    folder, site, elsewhere = tmp_path / "addp-bench-idea", tmp_path / "site", tmp_path / "elsewhere"
    pip = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *pip], check=True)
    assert (site / "addp_bench_idea.py").is_file()

    elsewhere.mkdir()
    found = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(first_commands(kind)), str(folder / "tests")],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": found},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [(words, code) for words, code, _ in answers if code] == [], done.stderr
    said = {words: text for words, _, text in answers}
    (plugin,) = (p for p in json.loads(said["list"])["plugins"] if p["name"] == "idea")
    assert plugin["origin"] == "addp-bench-idea 0.1.0"
    assert plugin["summary"]
    _see_the_row(kind, said.get("leaderboard"), elsewhere)


def _see_the_row(kind: str, leaderboard: str | None, elsewhere: Path) -> None:
    """The result is on the leaderboard, under its name where its kind is one of a result's."""
    if kind == "agent":  # no run asks one, as its README says
        assert leaderboard is None
        return
    assert leaderboard is not None
    (section,) = json.loads(leaderboard)["sections"]
    rows = section["rows"]
    if kind == "tracker":
        lines = [json.loads(line) for line in (elsewhere / "idea.jsonl").read_text().splitlines()]
        assert "begins" in lines[0]
        assert [line["step"] for line in lines if "step" in line][-1] == 2
        assert lines[-1]["ended"]["eval/oiou"] == rows[0]["metrics"]["oiou"]["value"]
    elif kind in ("task", "dataset"):
        assert section["heading"][kind] == "idea"
        assert len(rows) == 2
    elif kind != "executor":
        assert sum("idea" in json.dumps(row) for row in rows) == 1
    assert len(rows) == (1 if kind == "tracker" else 2)
