"""The examples are strangers: installed as such, they pass their own tests, and what their READMEs say is typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(folder.name for folder in (ROOT / "examples").iterdir() if (folder / "pyproject.toml").is_file())
LESS = "--train-samples 16 --train-steps 2 --batch-size 4 --stats-samples 16 --limit 4 --steps 2"
SIGMOIDS = ["min_snr", "sigmoid:k=0.0", "sigmoid:k=2.0", "uniform"]
IGNORED = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")

# What a reader types, in one process, since torch takes seconds to import; a cell goes by the name of its model
TYPED = """
import contextlib, io, json, sys
from pathlib import Path
from addp_bench.cli import main

def cell(model):
    records = [json.loads(file.read_text()) for file in Path("runs/records").glob("*/record.json")]
    return next(r["cell"] for r in records if r["result"]["choices"]["model"]["name"] == model)

said = []
for words in json.loads(sys.argv[1]):
    named = {"CELL": "tiny", "BICUBIC": "bicubic"}
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            main([cell(named[word]) if word in named else word for word in words])
    except SystemExit as left:
        if left.code:
            sys.exit(f"{words} ended with {left.code}: {out.getvalue()}")
    said.append(out.getvalue())
print(json.dumps(said))
"""
# after these words of a README come words that make it short, or its answer one that a program reads
MORE = {
    ("run",): LESS.split(),
    ("check", "encoding"): ["--limit", "4"],
    ("list",): ["--json"],
    ("leaderboard",): ["--json"],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the examples in `src`, so that none is built in the checkout, and both in `site`."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(ROOT / "examples", folder / "src", ignore=IGNORED)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    packages = [str(folder / "src" / name) for name in EXAMPLES]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *packages], check=True)
    return folder


def run(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A Python process that finds what was installed."""
    found = os.pathsep.join(filter(None, [str(installed / "site"), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": found}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True)


def commands(readme: str) -> list[list[str]]:
    """What a README tells to type, after `addp-bench`."""
    lines = [line for block in re.findall(r"^```\n(.*?)^```", readme, re.M | re.S) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("addp-bench ")]


def test_there_are_a_weighting_and_a_task_and_the_core_names_neither():
    assert EXAMPLES == ["addp-bench-sigmoid", "addp-bench-superres"]
    ours = [file for name in ("addp_bench", "plugins", "tasks", "baselines") for file in (ROOT / name).rglob("*.py")]
    assert len(ours) > 200
    assert [
        file for file in ours if re.search(r"superres|super_resolution|whole_picture", file.read_text(), re.I)
    ] == []
    asked = (ROOT / "examples").rglob("*.py")
    heads = [file.read_text() for file in asked if "addp_bench_register" in file.read_text()]
    assert len(heads) == 2
    assert all('requires_api = "1.0"' in head for head in heads)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_each_passes_its_own_tests(installed, name):
    tests = str(installed / "src" / name / "tests")  # from elsewhere: what lies in the working folder would win
    done = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=installed / "site")
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_what_its_readme_says_can_be_typed(installed, tmp_path, name):
    rng = np.random.default_rng(0)
    (tmp_path / "DIR").mkdir()
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), np.uint8)).save(tmp_path / "DIR" / f"{i}.png")
    shutil.copy(tmp_path / "DIR" / "0.png", tmp_path / "PHOTO")
    told = commands((ROOT / "examples" / name / "README.md").read_text())
    more = [next((extra for start, extra in MORE.items() if tuple(words[: len(start)]) == start), []) for words in told]
    typed = [[*words, *extra] for words, extra in zip(told, more)]
    done = run(installed, "-c", TYPED, json.dumps(typed), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    said = {words[0]: text for words, text in zip(told, json.loads(done.stdout))}
    (section,) = json.loads(said["leaderboard"])["sections"]
    assert {"run", "check"} < said.keys()
    if name == "addp-bench-sigmoid":
        assert sorted(row["choices"]["weights"] for row in section["rows"]) == SIGMOIDS
        return
    assert section["heading"]["task"] == "superres"
    assert sorted(row["choices"]["model"] for row in section["rows"]) == ["bicubic", "tiny", "tiny"]
    (listed,) = (one for one in json.loads(said["list"])["plugins"] if one["name"] == "superres")
    assert listed["origin"] == "addp-bench-superres 0.1.0"
    for file in ("drawn.png", "answer.png"):
        with Image.open(tmp_path / file) as drawn:
            assert drawn.size == (80, 70)
