"""The scripts in benchmarks/ run; what they measure is no test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "overhead.py"


@pytest.mark.slow
def test_the_overhead_of_both_steps_is_told_as_a_ratio():
    asked = [sys.executable, str(SCRIPT), "--steps", "4", "--batch", "2", "--threads", "1"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    for step in ("training", "sampling"):
        assert re.search(rf"{step} step: ours [\d.]+ ms, bare [\d.]+ ms, ratio [\d.]+", ended.stdout)
