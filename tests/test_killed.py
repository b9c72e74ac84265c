"""What `kill -9` does to a run, and two runs to one folder: nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import DOTS

pytestmark = pytest.mark.slow

# A process as the command line makes it, with checkpoints often enough to be of use within seconds.
PROGRAM = """
import sys
from addp_bench import training
training.CHECKPOINT_SECONDS, training.CHECKPOINT_SHARE, training.LOG_EVERY = 0.0, float("inf"), 5
from addp_bench.cli import main
main(sys.argv[1:])
"""
STEPS = 400


def start(model: Path, runs: Path, home: Path) -> subprocess.Popen:
    arguments = [
        *("run", "--task", "ris", "--dataset", "dots", "--model", f"instruct_pix2pix:path={model}"),
        *("--weights", "perception_stats", "--aug", "linear", "--train-steps", str(STEPS), "--batch-size", "4"),
        *("--stats-samples", "12", "--limit", "8", "--steps", "10", "--plugin", str(DOTS), "--runs", str(runs)),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "ADDP_HOME": str(home), "OMP_NUM_THREADS": "1"},
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


def begun(runs: Path, kind: str) -> int:
    """How often stages of a kind were begun so far, finished or not."""
    files = [*runs.glob(f"work/{kind}-*/attempts.json"), *runs.glob(f"stages/{kind}/*/attempts.json")]
    return sum(len(json.loads(f.read_text())["begun"]) for f in files)


def kill_inside(model: Path, runs: Path, home: Path, kind: str, delay: float) -> bool:
    """Start the run, kill it `delay` seconds after it begins a stage of a kind. False: it ended before."""
    before = begun(runs, kind)
    process = start(model, runs, home)
    while begun(runs, kind) == before:
        if process.poll() is not None:
            process.communicate()
            return False
        time.sleep(0.02)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return True


def test_ten_kills_change_no_number_and_no_finished_stage_runs_twice(sd15, tmp_path):
    quiet = tmp_path / "quiet"
    finish(start(sd15, quiet, tmp_path / "home of quiet"))
    expected, attempts = result(quiet)
    assert set(attempts.values()) == {1}

    runs, home, chance = tmp_path / "killed", tmp_path / "home", random.Random(0)
    moments = [("train", chance.uniform(0.2, 1.5)) for _ in range(6)]
    moments += [("predict", 0.05), ("train", 1.0), ("train", 0.6), ("score", 0.01)]
    kills = sum(kill_inside(sd15, runs, home, kind, delay) for kind, delay in moments)
    finish(start(sd15, runs, home))
    found, attempts = result(runs)
    assert found == expected
    assert kills >= 8
    inside_training = sum(n - 1 for name, n in attempts.items() if name.startswith("train/"))
    assert inside_training >= 5
    assert sum(attempts.values()) - len(attempts) <= kills, "each kill cost at most one more attempt at one stage"


def test_two_runs_on_one_folder_do_no_stage_twice(sd15, tmp_path):
    both = [start(sd15, tmp_path / "runs", tmp_path / "home") for _ in range(2)]
    told = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n\n".join(told)
    _, attempts = result(tmp_path / "runs")
    assert set(attempts.values()) == {1}
