"""The scripts in benchmarks/ run; what they measure is no test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_overhead_of_both_steps_is_told_as_a_ratio():
    asked = [sys.executable, str(SCRIPTS / "overhead.py"), "--steps", "4", "--batch", "2", "--threads", "1"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    for step in ("training", "sampling"):
        assert re.search(rf"{step} step: ours [\d.]+ ms, bare [\d.]+ ms, ratio [\d.]+", ended.stdout)


@pytest.mark.slow
def test_the_shares_of_a_step_are_told_for_each_strategy():
    asked = [sys.executable, str(SCRIPTS / "shares.py"), "--steps", "1", "--batch", "4", "--threads", "1"]
    asked += ["--weights", "uniform", "perception_stats", "diffusion"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in ("uniform", "perception_stats"):
        assert re.search(rf"^{name}: step \d+ ms; draws [\d.]+ %, corruption [\d.]+ %", ended.stdout, re.MULTILINE)
    assert "diffusion: weights diffusion: the schedule ends in pure noise" in ended.stdout


def test_judges_are_told_beside_references_of_equal_digits():
    asked = [
        sys.executable,
        str(SCRIPTS / "metrics.py"),
        "--size",
        "40",
        "--count",
        "2",
        "--threads",
        "1",
        "--repeats",
        "1",
    ]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    said = r"^(.+): .+; reference [\d.e-]+ s, ours [\d.e-]+ s, ratio [\d.]+, largest difference (.+)$"
    told = dict(re.findall(said, ended.stdout, re.MULTILINE))
    exact = ["red decoding", "oIoU, LAVT", "oIoU, bools", "mIoU, histograms", "mIoU, bincount"]
    assert list(told) == [*exact, "depth fit", "depth, all", "AP", "AP, a resample"]
    assert {told[name] for name in exact} == {"0"}
    assert all(float(apart) < 1e-9 for apart in told.values())


def test_a_judge_that_says_another_number_ends_the_measurement(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import metrics

    case = metrics.Case("odd", "1", lambda: np.ones(2), lambda: np.array([1.0, 1.1]), allowed=1e-9)
    with pytest.raises(SystemExit, match=r"odd: differs by 0\.091, at most 1e-09 is allowed"):
        metrics.told(case, 1)
