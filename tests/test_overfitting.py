"""That the whole road can learn at all: the shipped model, four expressions, until it paints them."""

from __future__ import annotations

import json

import pytest

from addp_bench.cli import main

pytestmark = pytest.mark.slow


def said(capsys, *arguments: str) -> dict:
    """What a command answers in JSON."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--json"])
    assert left.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_four_samples_are_learnt_up_to_the_ceiling_of_the_drawing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))
    four = ("--task", "ris", "--split", "train", "--limit", "4")
    taught = ("--weights", "uniform", "--train-samples", "4", "--train-steps", "400", "--batch-size", "16")
    said(capsys, "run", *four, *taught, "--lr", "1e-3", "--runs", str(tmp_path))
    (file,) = tmp_path.glob("records/*/record.json")
    reached = json.loads(file.read_text())["result"]["metrics"]["oiou"]["value"]
    ceiling = said(capsys, "check", "encoding", "red_mask", "--codec", "tiny", *four)["ceiling"]["oiou"]
    assert reached >= 0.9 * ceiling
