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


def test_planning_is_told_by_its_cells_and_stages():
    asked = [sys.executable, str(SCRIPTS / "planning.py"), "--seeds", "2"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"80 cells, 252 stages: [\d.]+ s\n  resolved in [\d.]+ s, planned in [\d.]+ s\n", ended.stdout)


def test_resampling_is_told_beside_a_plain_loop_of_equal_intervals():
    asked = [sys.executable, str(SCRIPTS / "resampling.py"), "--repeats", "1", "--resamples", "250", "--loop", "10"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"250 resamples of 10834 expressions in 1500 photographs, two runs: [\d.]+ s of a", ended.stdout)
    assert re.search(r"a plain loop [\d.]+ s of a processor, \d+ times as long", ended.stdout)


def test_a_loop_that_says_another_interval_ends_the_measurement(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import resampling

    first, second = resampling.made_up()
    plain = resampling.loop(first, second, resampling.resample_counts(resampling.PHOTOGRAPHS, 0, 0)[:10])
    resampling.same(first, second, plain)
    with pytest.raises(SystemExit, match="differ by"):
        resampling.same(first, second, plain + 1e-9)


def test_what_intervals_cover_is_told_as_tables():
    asked = [sys.executable, str(SCRIPTS / "intervals.py"), "--repetitions", "20", "--resamples", "50"]
    asked += ["--seeds", "1", "3", "--images", "40", "--only", "oIoU", "A/A"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    covered = re.findall(
        r"^\| oIoU \| (\d) \| ([\w ]+) \| 20 \| ([\d.]+)% \| ([\d.]+)% \|$", ended.stdout, re.MULTILINE
    )
    assert [(seeds, name) for seeds, name, *_ in covered] == [
        ("1", "one checkpoint"),
        ("3", "seeds alike"),
        ("3", "seeds differ"),
        ("3", "no interaction"),
    ]
    assert all(float(share) >= 70 for _, _, *shares in covered for share in shares)
    counted = r"^\| (oiou|miou|pr50) \| [13] \| \d+ of 10 \| \d+ of 10 \| \d+ of 10 \|$"
    assert len(re.findall(counted, ended.stdout, re.MULTILINE)) == 6


def test_a_judge_that_says_another_number_ends_the_measurement(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import metrics

    case = metrics.Case("odd", "1", lambda: np.ones(2), lambda: np.array([1.0, 1.1]), allowed=1e-9)
    with pytest.raises(SystemExit, match=r"odd: differs by 0\.091, at most 1e-09 is allowed"):
        metrics.told(case, 1)


@pytest.mark.slow
def test_help_and_list_start_in_time_beside_twenty_plugins_of_others():
    asked = [sys.executable, str(SCRIPTS / "startup.py"), "--plugins", "20", "--repeats", "3"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    told = re.findall(r"^(.+): [\d.]+ s \(.*\), of the processor ([\d.]+) s$", ended.stdout, re.MULTILINE)
    taken = {what: float(seconds) for what, seconds in told}  # wall time hangs on what else the machine does
    assert 0 < taken["python -c pass"] < taken["addp-bench --help"] <= 0.2
    assert taken["addp-bench list"] <= 1
    assert taken["addp-bench list, cold"] > 2 * taken["addp-bench list"]
    assert taken["a word completed"] <= 0.3
