"""Boxes leave as COCO's result file and come back through `score` as the same average precision."""

from __future__ import annotations

import json

import data_miniature as make
import numpy as np
import pytest

from addp_bench.exports.coco import image_ids
from addp_bench.records import Record, load_all
from addp_bench.tasks.coco import CATEGORIES

FOUND = [
    {"image_id": 139, "category_id": 90, "bbox": [10.5, 20, 30.25, 4], "score": 0.9},
    {"image_id": 139, "category_id": 1, "bbox": [0, 0, 20, 20], "score": 0.8},
    {"image_id": 785, "category_id": 13, "bbox": [1, 2, 3, 4], "score": 0.5},
]  # of 632 nothing


def only(runs) -> Record:
    (record,) = load_all(runs).records
    return record


def test_results_of_coco_come_back_as_they_went_in(shell, tmp_path):
    data = make.coco(tmp_path / "coco", dict(CATEGORIES))
    (tmp_path / "in.json").write_text(json.dumps(FOUND))
    asked = ("score", "--task", "detection", "--dataset", f"coco:path={data}", "--device", "cpu")
    assert shell(*asked, "--predictions", tmp_path / "in.json", "--runs", tmp_path / "a")[0] == 0
    first = only(tmp_path / "a")
    code, said, _ = shell("export", "coco", first.id, "--runs", tmp_path / "a", "--out", tmp_path / "out.json")
    assert code == 0
    assert "3 boxes in 2 of 3 photographs" in said
    key = lambda line: (line["image_id"], line["category_id"])  # noqa: E731
    assert sorted(json.loads((tmp_path / "out.json").read_text()), key=key) == sorted(FOUND, key=key)


def test_a_cell_has_the_same_ap_through_its_result_file(shell, tmp_path):
    """A predictor that draws nothing, on the built-in world, whose ids are no numbers and whose classes have no ids."""
    data = ("--task", "detection", "--dataset", "tabletop", "--limit", 8, "--device", "cpu")
    assert shell("run", *data, "--model", "random", "--runs", tmp_path / "a")[0] == 0
    first = only(tmp_path / "a")
    out = tmp_path / "results.json"
    told = json.loads(shell("export", "coco", first.id[:6], "--runs", tmp_path / "a", "--out", out, "--json")[1])
    lines = json.loads(out.read_text())
    assert (told["boxes"], told["cell"]) == (len(lines), first.id)
    assert len(lines) > 8
    assert shell("score", *data, "--predictions", out, "--runs", tmp_path / "b")[0] == 0
    again = only(tmp_path / "b")
    for name, metric in first.result["metrics"].items():
        assert again.value(name) == pytest.approx(metric["value"], abs=1e-12), name
    for name in ("found_all", "found_class", "truth_all"):
        ours, theirs = (r.statistics.columns[name] for r in (first, again))
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.offsets, theirs.offsets)


def test_photographs_are_called_by_the_last_part_of_their_ids_where_that_tells_them_apart():
    assert image_ids(["coco/val/139", "coco/val/785"]) == [139, 785]
    assert image_ids(["a/007", "a/8"]) == ["007", 8]
    assert image_ids(["a/1", "b/1", "b/2"]) == ["a/1", "b/1", 2]
    assert image_ids(["v/scene-3"]) == ["scene-3"]


def test_answers_that_are_no_boxes_are_refused(shell, tmp_path):
    run = ("run", "--task", "ris", "--dataset", "tabletop", "--model", "random", "--limit", 2, "--device", "cpu")
    assert shell(*run, "--runs", tmp_path)[0] == 0
    code, out, err = shell("export", "coco", only(tmp_path).id, "--runs", tmp_path, "--out", tmp_path / "r.json")
    assert (code, out) == (2, "")
    assert "answers of ris are no boxes" in err
    assert not (tmp_path / "r.json").exists()
