"""What tracker my_idea writes, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_a_line_for_everything_that_happens(tmp_path: Path) -> None:
    file = tmp_path / "made" / "lines.jsonl"
    tracker = REGISTRY.build("tracker", Choice("my_idea", {"file": str(file)}))
    tracker.begin("a", {"seed": 0})
    tracker.log("a", 1, {"train/loss": 0.5})
    tracker.end("a", {"eval/oiou": 0.25})
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"run": "a", "begins": {"seed": 0}},
        {"run": "a", "step": 1, "train/loss": 0.5},
        {"run": "a", "ended": {"eval/oiou": 0.25}},
    ]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="folder"):
        REGISTRY.build("tracker", Choice("my_idea", {"file": str(tmp_path)}))
