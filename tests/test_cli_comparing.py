"""compare as a command: what it says, in which formats, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from results import record

STANDARD = Path(__file__).parents[1] / "benchmarks" / "records" / "standard"


@pytest.fixture
def runs(tmp_path):
    """Three seeds of a reference, of one better by 20 points, and of one hardly better; and another budget."""
    iou = np.random.default_rng(0).uniform(0.2, 0.6, 60)
    for k, (weights, shift) in enumerate((("uniform", 0.0), ("p2", 0.2), ("min_snr", 0.01))):
        for seed in range(3):
            noise = np.random.default_rng([k, seed]).normal(0, 0.05, 60)
            record(tmp_path, np.clip(iou + shift + noise, 0, 1), weights=weights, seed=seed)
    record(tmp_path, iou, weights="uniform", budget="standard")
    return tmp_path


def said(shell, runs, *arguments):
    code, out, err = shell("compare", *arguments, "--runs", runs, "--where", "budget=quick")
    assert (code, err) == (0, "")
    return out


def test_both_sides_their_difference_and_what_it_means_are_said(shell, runs):
    out = said(shell, runs, "weights=uniform", "weights=p2")
    assert "ris · tabletop val · protocol tabletop_ris · budget quick · 60 samples of 30 images" in out
    (a,) = [line for line in out.splitlines() if line.startswith("A ")]
    assert "uniform" in a
    assert "0, 1, 2" in a
    (oiou,) = [line for line in out.splitlines() if line.startswith("oIoU ↑")]
    assert "+" in oiou
    assert oiou.split()[-1] == "B"
    assert "B minus A: above 0 the number of A is the lower one" in out
    assert "corrected over the 2 differences" in out
    assert "speaks of methods" in out
    assert "only B" in out


def test_a_difference_that_is_not_separated_says_what_it_would_take(shell, runs):
    out = said(shell, runs, "weights=uniform", "weights=min_snr", "--metric", "miou")
    (line,) = [line for line in out.splitlines() if line.startswith("mIoU ↑")]
    assert "not separated" in line
    assert any(word in line for word in ("images", "seeds", "more of both"))
    assert "80 % power" in out
    assert "oIoU" not in out


def test_numbers_that_are_guesses_are_told_to_two_digits():
    from addp_bench.cli.comparing import _needed

    assert _needed({"needed": {"images": 45_919, "seeds": 7}}) == "46 000 images or 7 seeds"
    assert _needed({"needed": {"images": 963, "seeds": None}}) == "960 images"
    assert _needed({"needed": {"images": None, "seeds": 97}}) == "97 seeds"
    assert _needed({"needed": {"images": None, "seeds": None}}) == "more of both"
    assert _needed({"needed": {}}) == ""


def test_a_seed_each_speaks_of_checkpoints(shell, runs):
    assert "these checkpoints, not of a method" in said(shell, runs, "weights=uniform,seed=0", "weights=p2,seed=0")


def test_as_many_flips_are_shown_as_asked_for(shell, runs):
    def lines(flips):
        out = said(shell, runs, "weights=uniform", "weights=p2", "--flips", flips)
        return [line for line in out.splitlines() if line.startswith("only B ")]

    assert len(lines(3)) == 3
    assert len(lines(7)) == 7
    out = said(shell, runs, "weights=uniform", "weights=p2", "--flips", 0)
    assert "single samples" not in out


def test_three_sides_are_compared_with_the_first(shell, runs):
    out = said(shell, runs, "weights=uniform", "weights=p2", "weights=min_snr")
    assert len([line for line in out.splitlines() if "B - A" in line]) == 2
    assert len([line for line in out.splitlines() if "C - A" in line]) == 2
    assert "corrected over the 4 differences" in out


def test_markdown_holds_the_same_rows(shell, runs):
    table = said(shell, runs, "weights=uniform", "weights=p2")
    markdown = said(shell, runs, "weights=uniform", "weights=p2", "--format", "markdown")
    assert markdown.startswith("### ris")
    (line,) = [line for line in markdown.splitlines() if line.startswith("| oIoU ↑")]
    (plain,) = [line for line in table.splitlines() if line.startswith("oIoU ↑")]
    assert line.replace("|", " ").replace("&lt;", "<").split() == plain.split()


@pytest.mark.parametrize("asked", [["--json"], ["--format", "json"]])
def test_json_holds_everything(shell, runs, asked):
    made = json.loads(said(shell, runs, "weights=uniform", "weights=p2", *asked))
    found = made["metrics"]["oiou"]["differences"][0]
    assert found["value"] == pytest.approx(0.2, abs=0.02)
    assert found["p_holm"] >= found["p"]
    assert len(found["flips"]["gained"]) == found["flips"]["n01"] > 7
    assert {"seeds", "both", "images"} == set(found["variance"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["weights=uniform"], 2, "two sides at least"),
        (["uniform", "p2"], 2, "FIELD=VALUE"),
        (["weights=uniform", "weights=p2"], 2, "fits 2 rows, say more"),
        (["budget=standard", "weights=p2"], 4, "budget standard and quick"),
        (["weights=p2", "weights=ant"], 4, "no record has weights=ant"),
        (["weights=p2", "weights=min_snr", "--metric", "miuo"], 2, "Did you mean 'miou'"),
        (["weights=p2", "weights=min_snr", "--by", "level"], 2, "level"),
        (["weights=p2", "weights=min_snr", "--format", "latex"], 2, "latex"),
    ],
)
def test_what_cannot_be_compared_is_said(shell, runs, arguments, code, words):
    met, out, err = shell("compare", *arguments, "--runs", runs)
    assert (met, out) == (code, "")
    assert words in err


def test_real_records_by_size_and_level(shell):
    sides = ("weights=uniform,aug=none,target=x0,train_steps=1000", "weights=perception_stats,aug=linear")
    code, out, _ = shell("compare", *sides, "--runs", STANDARD, "--by", "size", "--metric", "oiou")
    assert code == 0
    assert "oIoU ↑ by size" in out
    assert "none: no side has any oIoU there." in out
    made = json.loads(shell("compare", *sides, "--runs", STANDARD, "--by", "level", "--json")[1])
    assert set(made["groups"]["oiou"][1]) == {"L0", "L1", "L2", "L3", "L4", "none", "plural"}
    assert next(iter(made["metrics"])) == "oiou"
    assert made["heading"]["samples"] == 1000


def test_comparing_needs_neither_torch_nor_plugins():
    program = (
        "import sys; from addp_bench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert not {'torch', 'matplotlib', 'scipy.stats'} & set(sys.modules)"
    )
    sides = ["weights=uniform,aug=none,target=x0,train_steps=1000", "weights=perception_stats,aug=linear"]
    asked = [sys.executable, "-c", program, "compare", *sides, "--runs", str(STANDARD), "--json"]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
