"""Predictions as other programs write them: COCO's results for a whole split, and Marigold's names of depth maps."""

from __future__ import annotations

import json

import data_miniature as make
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from addp_bench.errors import BadData
from addp_bench.tasks.coco import CATEGORIES, Coco
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.kitti import Kitti
from addp_bench.tasks.nyuv2 import NyuV2
from addp_bench.types import Detections

TASK = Detection()
FOUND = [
    {"image_id": 139, "category_id": 90, "bbox": [10.5, 20, 30.25, 4], "score": 0.9},
    {"image_id": 139, "category_id": 1, "bbox": [0, 0, 20, 20], "score": 0.8},
    {"image_id": 785, "category_id": 13, "bbox": [1, 2, 3, 4], "score": 0.5},
    {"image_id": 785, "category_id": 90, "bbox": [5, 5, 3, 4], "score": 0.95},
]  # of 632 nothing


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return make.coco(tmp_path_factory.mktemp("data") / "coco", dict(CATEGORIES))


@pytest.fixture
def score(shell, tmp_path):
    def run(task, dataset, predictions, *more):
        asked = ("score", "--task", task, "--dataset", dataset, "--predictions", predictions, "--device", "cpu")
        code, out, err = shell(*asked, "--runs", tmp_path / "runs", "--json", *more)
        return code, json.loads(out)["records"] if code == 0 else err

    return run


def written(file, lines):
    file.write_text(json.dumps(lines))
    return file


# ------------------------------------------------------------------------------------------------ detection


def test_one_file_for_a_split_is_judged_as_pycocotools_judges_it(coco, tmp_path, score):
    code, records = score("detection", f"coco:path={coco}", written(tmp_path / "results.json", FOUND))
    assert code == 0, records
    theirs = COCO(str(coco / "annotations" / "instances_val2017.json"))
    judged = COCOeval(theirs, theirs.loadRes([dict(line) for line in FOUND]), "bbox")  # pycocotools 2.0
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    metrics = records[0]["result"]["metrics"]
    names = ["ap", "ap50", "ap75", "aps", "apm", "apl", "ar1", "ar10", "ar100", "ars", "arm", "arl"]
    for name, expected in zip(names, judged.stats):
        assert metrics[name]["value"] == (pytest.approx(expected) if expected >= 0 else None), name
    assert 0 < metrics["ap"]["value"] < 1
    assert records[0]["result"]["samples"]["scored"] == 3, "the one without a detection too"


def test_a_part_of_the_split_may_be_judged_by_the_file_of_the_whole(coco, tmp_path, score):
    file = written(tmp_path / "results.json", FOUND)
    code, records = score("detection", f"coco:path={coco}", file, "--limit", 1)
    assert code == 0, records
    assert records[0]["result"]["samples"]["scored"] == 1


def test_files_of_single_photographs_have_cocos_ids_too(coco, tmp_path, score):
    samples = Coco(str(coco)).samples("val2017", "detection")
    for i, name in enumerate(samples.ids):
        file = tmp_path / "boxes" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        there = samples[i].truth
        single = ~there.crowd
        perfect = Detections(there.xyxy[single], there.labels[single], np.ones(single.sum()))
        TASK.write(perfect, file, samples.category_ids)
        again = TASK.read(file, samples[i])
        assert again.labels.tolist() == perfect.labels.tolist()
    assert {line["category_id"] for line in json.loads((tmp_path / "boxes/coco/val2017/785.json").read_text())} == {13}
    code, records = score("detection", f"coco:path={coco}", tmp_path / "boxes")
    assert code == 0, records
    assert records[0]["result"]["metrics"]["ap"]["value"] == pytest.approx(1)


@pytest.mark.parametrize(
    "changes, words",
    [
        ([{"category_id": 0}, {"category_id": 12}, {"category_id": 12}, {"category_id": 91}],
         "of categories that do not exist: 1 of 0, 2 of 12, 1 of 91; the dataset's 80 have ids of their own, 1 to 90, "
         "which are not their places"),
        ([{}, {"image_id": 140}], r"1 of its 3 photographs are none of the split's 3: 140; expected ids such as 139"),
        ([{"image_id": None}], "1 of its 3 photographs are none of the split's 3: None"),
        ([{"category_id": "dog"}], "detection 0: category_id is 'dog'; expected a whole number"),
        ([{"bbox": [0, 0, -1, 5]}], "detection 0: bbox is"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_of_this_split_is_refused_with_all_that_is_wrong(coco, tmp_path, score, changes, words):
    lines = [{**line, **change} for line, change in zip(FOUND, [*changes, {}, {}, {}])]
    code, said = score("detection", f"coco:path={coco}", written(tmp_path / "results.json", lines))
    assert code == 3
    with pytest.raises(BadData, match=words):
        TASK.require_of(
            tmp_path / "results.json",
            Coco(str(coco)).samples("val2017", "detection").ids,
            {"category_ids": tuple(CATEGORIES.values())},
        )
    assert "results.json" in said


def test_results_without_photographs_and_ends_of_several_ids_are_refused(tmp_path):
    bare = [{name: line[name] for name in ("category_id", "bbox", "score")} for line in FOUND[:2]]
    with pytest.raises(BadData, match="2 detections have no image_id"):
        TASK.require_of(written(tmp_path / "a.json", bare), ["x/1"], {})
    file = written(tmp_path / "b.json", [{**FOUND[2], "image_id": 1}])
    TASK.require_of(file, ["x/1", "x/2"], {})
    with pytest.raises(BadData, match="none of the split's 2: 1"):
        TASK.require_of(file, ["x/1", "y/1"], {})
    TASK.require_of(written(tmp_path / "c.json", [{**FOUND[2], "image_id": "y/1"}]), ["x/1", "y/1"], {})
    with pytest.raises(BadData, match="1 of 13; classes are numbered from 1 to 5"):
        TASK.require_of(file, ["x/1"], {"vocabulary": "abcde"})
    with pytest.raises(BadData, match=r"sample coco/val2017/139: .*9\.json holds answers for photograph 785"):
        TASK.read(written(tmp_path / "139.json", FOUND[2:3]), sample_139())


def sample_139():
    from addp_bench.types import Sample

    return Sample("coco/val2017/139", "coco/139", np.zeros((50, 60, 3), np.uint8), None)


# ------------------------------------------------------------------------------------------------ depth


def test_predictions_have_the_names_that_marigolds_programs_give_them(tmp_path):
    nyu = NyuV2(str(make.nyuv2(tmp_path / "nyu"))).samples("test", "depth")
    assert nyu.predictions[0] == "test/kitchen_0004/pred_0001"
    kitti = Kitti(str(make.kitti(tmp_path / "kitti"))).samples("test", "depth")
    assert kitti.predictions[0] == "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/pred_0000000069"
    name, (kind, maker, *_), split = "diode", make.DEPTH["diode"], "val"
    diode = kind(str(maker(tmp_path / name))).samples(split, "depth")
    assert all(p.startswith(("indoors/scene_", "outdoor/scene_")) for p in diode.predictions), "as the list has them"
    assert all("/pred_0" in p for p in diode.predictions)
    hypersim = make.hypersim(tmp_path / "hypersim")
    from addp_bench.tasks.hypersim import Hypersim

    names = Hypersim(str(hypersim)).samples("train", "depth").predictions
    assert any(name.endswith("/pred_cam_00_fr0000") for name in names)


def test_maps_under_marigolds_names_are_judged_by_its_card(tmp_path, score):
    root = make.nyuv2(tmp_path / "nyu")
    samples = NyuV2(str(root)).samples("test", "depth")
    for i, name in enumerate(samples.predictions):
        file = tmp_path / "maps" / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, (samples[i].truth * 0.05 + 0.01).astype(np.float32))
    code, records = score("depth", f"nyuv2:path={root}", tmp_path / "maps", "--protocol", "marigold")
    assert code == 0, records
    result = records[0]["result"]
    assert result["metrics"]["absrel"]["value"] == pytest.approx(0, abs=1e-5)
    assert result["protocol"]["name"] == "marigold"
    assert "deviates" not in result["protocol"]
    twice = tmp_path / "maps" / f"{samples.ids[0]}.npy"
    twice.parent.mkdir(parents=True, exist_ok=True)
    np.save(twice, samples[0].truth)
    code, said = score("depth", f"nyuv2:path={root}", tmp_path / "maps")
    assert code == 3
    assert f"sample {samples.ids[0]}: has two predictions; keep one of" in said
    twice.unlink()
    (tmp_path / "maps" / f"{samples.predictions[1]}.npy").unlink()
    code, said = score("depth", f"nyuv2:path={root}", tmp_path / "maps")
    assert code == 3
    assert f"sample {samples.ids[1]}: no prediction; expected it in" in said
    assert "pred_0002.npy" in said
