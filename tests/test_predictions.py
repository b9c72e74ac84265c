"""What other programs predicted, from files, judged as anything else is."""

from __future__ import annotations

import json

import bench
import numpy as np
import pytest
from PIL import Image

from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.tasks.ris import Ris

ASKED = ("score", "--task", "ris", "--dataset", "dots", "--plugin", bench.DOTS)


@pytest.fixture
def masks(tmp_path):
    """The truth of every sample of `dots` val as another program would write it, the first one empty."""
    samples = _samples()
    for i in range(len(samples)):
        file = tmp_path / "masks" / f"{samples.ids[i]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Ris().write(samples[i].truth if i else np.zeros_like(samples[i].truth), file)
    return tmp_path / "masks"


def _samples():
    return load([bench.DOTS]).registry.build("dataset", Choice("dots")).samples("val", "ris")


def test_predictions_in_files_are_judged_as_rows_of_the_same_tables(shell, masks, tmp_path):
    code, out, err = shell(*ASKED, "--predictions", masks, "--runs", tmp_path / "runs", "--json")
    assert code == 0, err
    (record,) = json.loads(out)["records"]
    samples = _samples()
    areas = [sample.truth.sum() for sample in (samples[i] for i in range(len(samples)))]
    assert record["result"]["metrics"]["oiou"]["value"] == pytest.approx(sum(areas[1:]) / sum(areas))
    assert record["result"]["metrics"]["miou"]["value"] == pytest.approx(1 - 1 / len(samples))
    code, out, _ = shell("leaderboard", "--runs", tmp_path / "runs")
    assert code == 0
    assert "predictions" in out


def test_the_same_files_are_judged_once_and_others_again(shell, masks, tmp_path):
    asked = (*ASKED, "--predictions", masks, "--runs", tmp_path / "runs")
    assert shell(*asked)[0] == 0
    assert "nothing to do" in shell(*asked)[2]
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(sorted(masks.rglob("*.png"))[-1])
    assert "nothing to do" not in shell(*asked)[2]


def test_a_sample_without_its_file_is_named_and_nothing_is_scored_without_it(shell, masks, tmp_path):
    (masks / "dots/val/7.png").unlink()
    code, _, err = shell(*ASKED, "--predictions", masks, "--runs", tmp_path / "runs")
    assert code == 3
    assert "sample dots/val/7: no prediction; expected it in" in err
    assert not list((tmp_path / "runs" / "records").glob("*/record.json"))


def test_a_folder_that_is_not_there_is_refused_before_anything_begins(shell, tmp_path):
    code, _, err = shell(*ASKED, "--predictions", tmp_path / "nowhere", "--runs", tmp_path / "runs")
    assert code == 2
    assert "nowhere holds no files" in err
