"""What `kill -9` does to a run, and two runs to one folder: nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from bench import DOTS

pytestmark = pytest.mark.slow

# A process as the command line makes it, with checkpoints often enough to be of use within seconds. DIE_IN names a kind
# of stage and seconds: it is killed so long after it begins the next of that kind. A quicker stage waits for it.
PROGRAM = """
import os, signal, sys, threading
from addp_bench import training, work
training.CHECKPOINT_SECONDS, training.CHECKPOINT_SHARE, training.LOG_EVERY = 0.0, float("inf"), 5
kind, seconds = os.environ.get("DIE_IN", "none 0").split()
do = work.Work.do

def doomed(self, stage, folder):
    if stage.kind != kind:
        return do(self, stage, folder)
    end = threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL))
    end.start()
    do(self, stage, folder)
    end.join()

work.Work.do = doomed
from addp_bench.cli import main
main(sys.argv[1:])
"""
STEPS = 400


def start(model: Path, runs: Path, home: Path, die_in: str = "none 0") -> subprocess.Popen:
    arguments = [
        *("run", "--task", "ris", "--dataset", "dots", "--model", f"instruct_pix2pix:path={model}"),
        *("--weights", "perception_stats", "--aug", "linear", "--train-steps", str(STEPS), "--batch-size", "4"),
        *("--stats-samples", "12", "--limit", "8", "--steps", "10", "--plugin", str(DOTS), "--runs", str(runs)),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "ADDP_HOME": str(home), "OMP_NUM_THREADS": "1", "DIE_IN": die_in},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out


def result(runs: Path) -> tuple[dict, dict[str, int]]:
    """The result part of the one record, and how often each stage was begun."""
    (file,) = runs.glob("records/*/record.json")
    body = json.loads(file.read_text())
    return body["result"], body["provenance"]["attempts"]


def finished(*roots: Path) -> dict[str, list[str]]:
    """When each finished stage was begun."""
    files = [file for root in roots for file in root.glob("**/stages/*/*/attempts.json")]
    return {"/".join(file.parts[-3:-1]): json.loads(file.read_text())["begun"] for file in files}


def test_ten_kills_change_no_number_and_no_finished_stage_runs_twice(sd15, tmp_path):
    quiet = tmp_path / "quiet"
    finish(start(sd15, quiet, tmp_path / "home of quiet"))
    expected, attempts = result(quiet)
    assert set(attempts.values()) == {1}

    runs, home, chance = tmp_path / "killed", tmp_path / "home", random.Random(0)
    kinds = [*("train",) * 6, "predict", "train", "train", "score"]
    noted: dict[str, list[str]] = {}
    for kind in kinds:
        process = start(sd15, runs, home, f"{kind} {chance.uniform(0, 1.5):.3f}")
        out, _ = process.communicate(timeout=600)
        assert process.returncode == -signal.SIGKILL, out
        noted = finished(runs, home) | noted  # as it was when it was first seen
    finish(start(sd15, runs, home))

    found, attempts = result(runs)
    assert found == expected
    last = finished(runs, home)
    assert noted
    assert {name: last[name] for name in noted} == noted, "what was finished before a kill was not begun again after it"
    lost: Counter[str] = Counter()
    for name, times in attempts.items():
        lost[name.split("/")[0]] += times - 1
    assert +lost == Counter(kinds), "each kill cost one attempt at the stage it fell into, and nothing else"


def test_two_runs_on_one_folder_do_no_stage_twice(sd15, tmp_path):
    both = [start(sd15, tmp_path / "runs", tmp_path / "home") for _ in range(2)]
    told = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n\n".join(told)
    _, attempts = result(tmp_path / "runs")
    assert set(attempts.values()) == {1}
