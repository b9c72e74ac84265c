"""The task of boxes: COCO's worked examples, settings, quality, votes, files and pictures."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from coco_reference import NAMES, detections, objects, photograph, reference

from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.statistics import columns_of
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.matching import overlaps, suppressed
from addp_bench.types import Detections, Objects, Sample

TASK = Detection()
PHOTO = np.full((100, 100, 3), 90, np.uint8)
B = [10, 10, 20, 20]
NAN = math.nan


def sample(truth, id="s"):
    return Sample(id, id, PHOTO, truth)


def judged(there, found, protocol="coco", **changes):
    """Metrics by id of one photograph."""
    evaluator = TASK.evaluator({**TASK.protocols()[protocol], **changes})
    columns = columns_of([evaluator.statistics(sample(there), found)])
    return {m.id: float(m.value(columns)) for m in evaluator.metrics}


def hit(height, score=0.9):
    return ([10, 10, 20, height], score)


FAR = ([60, 60, 20, 20], 0.9)
CASES = [
    ("C1", objects(B), detections((B, 0.9)),
     {"ap": 1, "ap50": 1, "ap75": 1, "aps": 1, "apm": NAN, "apl": NAN, "ar1": 1}),
    ("C2 .5", objects(B), detections(hit(10)), {"ap": 0.1, "ap50": 1, "ap75": 0}),
    ("C2 .6", objects(B), detections(hit(12)), {"ap": 0.3, "ap50": 1, "ap75": 0}),
    ("C2 .7", objects(B), detections(hit(14)), {"ap": 0.5, "ap50": 1, "ap75": 0}),
    ("C2 .75", objects(B), detections(hit(15)), {"ap": 0.6, "ap50": 1, "ap75": 1}),
    ("C3", objects(B, [40, 40, 10, 10]), detections(FAR, (B, 0.8)),
     {"ap": 0.252475, "ap50": 0.252475, "ar1": 0, "ar10": 0.5}),
    ("C4", objects(B, [40, 40, 10, 10]), detections((FAR[0], 0.7), (B, 0.8)), {"ap": 0.504950, "ar1": 0.5}),
    ("C5 miss first", objects(B), detections((FAR[0], 1), (B, 1)), {"ap": 0.5}),
    ("C5 hit first", objects(B), detections((B, 1), (FAR[0], 1)), {"ap": 1}),
    ("C6", objects(B, [60, 10, 20, 20]), detections((B, 0.9), (B, 0.8), ([60, 10, 20, 20], 0.7)), {"ap": 0.834983}),
    ("C7", objects(B, [50, 50, 40, 40], crowd=[1]), detections(([55, 55, 10, 10], 0.95), (B, 0.9)), {"ap": 1}),
    ("C7 flag lost", objects(B, [50, 50, 40, 40]), detections(([55, 55, 10, 10], 0.95), (B, 0.9)), {"ap": 0.252475}),
    ("C8", objects(B, crowd=[0]), detections((B, 0.9)), dict.fromkeys(NAMES, NAN)),
    ("C9", objects(B), detections(), {"ap": 0, "ar100": 0, "aps": 0, "apm": NAN}),
    ("C10", objects(B), detections((B, 0.9), FAR, labels=[0, 1]), {"ap": 1}),
    ("C11", objects([10, 10, 32, 32]), detections(([10, 10, 32, 32], 0.9)), {"aps": 1, "apm": 1, "apl": NAN}),
    ("C12", objects([10, 10, 40, 40], area=[300]), detections(([10, 10, 40, 40], 0.9)), {"aps": 1, "apm": NAN}),
    (
        "C13",
        objects(B, [60, 60, 20, 20]),
        detections(([0, 50, 5, 5], 1), ([70, 0, 5, 5], 1), (hit(18)[0], 1), ([0, 90, 5, 5], 1)),
        {"ap": 0.151485, "ap50": 0.168317},
    ),
]  # fmt: skip


@pytest.mark.parametrize("there, found, expected", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cocos_worked_examples_to_their_printed_digits_and_by_pycocotools(there, found, expected):
    ours, theirs = judged(there, found), dict(zip(NAMES, reference([(there, found)], 2)))
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=5e-7, nan_ok=True), name
        assert ours[name] == pytest.approx(theirs[name], abs=1e-12, nan_ok=True), name


def test_c13_a_filter_by_the_truth_triples_ap_and_its_numbers_have_other_names():
    _, there, found, _ = CASES[-1]
    filtered = judged(there, found, "instructcv_compat")
    assert filtered["ap_icv"] == pytest.approx(0.454455, abs=5e-7)
    assert filtered["ap50_icv"] == pytest.approx(0.504950, abs=5e-7)
    assert filtered["precision50_icv"] == 1.0, "no false positive survives"
    assert not set(filtered) & set(judged(there, found))


def test_the_filter_keeps_one_detection_for_each_true_box_above_a_half():
    there = objects(B, [10, 10, 20, 19], [60, 60, 20, 20], labels=[0, 0, 1])
    found = detections((B, 0.3), ([60, 60, 20, 10], 0.2), ([60, 60, 20, 20], 0.1), hit(15), labels=[0, 1, 0, 0])
    made = judged(there, found, "instructcv_compat")
    # one stays for two boxes; half of the third is not above a half; the full one is of another class
    assert (made["precision50_icv"], made["recall50_icv"]) == (1.0, pytest.approx(1 / 3))


def test_a_hundred_misses_before_a_hit_count_where_a_thousand_detections_do():
    misses = [([i % 10 * 4, 50 + i // 10 * 4, 3, 3], 0.9) for i in range(100)]
    there, found = objects(B), detections(*misses, (B, 0.5))
    assert judged(there, found)["ap50"] == 0
    wide = judged(there, found, max_dets=(100, 300, 1000))
    assert (wide["ap"], wide["ap50"]) == (0, pytest.approx(0.009901, abs=5e-7))


def test_iou_is_over_the_detection_for_a_crowd_and_has_no_plus_one():
    iou = overlaps(np.array([[10, 10, 30, 22], [55, 55, 65, 65.0]]), np.array([[10, 10, 30, 30], [50, 50, 90, 90.0]]))
    assert iou == pytest.approx(np.array([[0.6, 0], [0, 0.0625]]))
    assert overlaps(np.array([[55, 55, 65, 65.0]]), np.array([[50, 50, 90, 90.0]]), np.array([True])) == 1.0


def test_constant_scores_are_one_and_ordered_by_area_x_and_y_whatever_the_list():
    """The two largest are misses, and of the three next the true one has the least x and the least y."""
    several = [
        ([60, 60, 30, 30], 0.1),
        ([0, 60, 31, 30], 0.4),
        (B, 0.9),
        ([10, 40, 20, 20], 0.3),
        ([40, 0, 20, 20], 0.2),
    ]
    several.append(([0, 90, 5, 5], 0.8))
    rng = np.random.default_rng(0)
    for _ in range(40):
        found = detections(*(several[k] for k in rng.permutation(6)))
        made = judged(objects(B), found, score_rule="constant")
        assert [made["ap"], made["ap_low"], made["ap_high"]] == pytest.approx([1 / 3, 1 / 6, 1])
        assert judged(objects(B), found)["ap"] == pytest.approx(1)


def test_precision_recall_and_f1_at_half_count_boxes_over_all_photographs():
    evaluator = TASK.evaluator(TASK.protocols()["coco"])
    photographs = [
        (objects(B, FAR[0]), detections((B, 0.1), ([0, 50, 5, 5], 0.9), ([0, 70, 5, 5], 0.9))),
        (objects(B, [50, 50, 40, 40], crowd=[1]), detections((B, 0.5), ([55, 55, 10, 10], 0.9))),
        (objects(), detections((B, 0.2))),
    ]
    columns = columns_of([evaluator.statistics(sample(o, f"s{k}"), d) for k, (o, d) in enumerate(photographs)])
    found = {m.id: float(m.value(columns)) for m in evaluator.metrics}
    assert [found["precision50"], found["recall50"], found["f50"]] == pytest.approx([2 / 5, 2 / 3, 4 / 8])


def test_protocols_say_all_their_settings_and_the_headline_is_ap():
    protocols = TASK.protocols()
    assert set(protocols) == {"tabletop_detection", "coco", "instructcv_compat"}
    assert protocols["coco"]["max_dets"] == (1, 10, 100)
    metrics = TASK.evaluator(protocols["coco"]).metrics
    assert [m.label for m in metrics[:9]] == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100"]
    assert len({m.id for m in metrics}) == len(metrics)
    assert {m.unit for m in metrics} == {"points"}
    assert TASK.evaluator({}).drawing_size(sample(objects())) == (100, 100)
    assert TASK.evaluator(json.loads(json.dumps(protocols["coco"]))).settings == TASK.evaluator({}).settings


@pytest.mark.parametrize(
    "protocol, error, words",
    [
        ({"max_det": 3}, UnknownName, "max_dets"),
        ({"max_dets": [1, 10]}, BadOption, "max_dets"),
        ({"max_dets": [10, 1, 100]}, BadOption, "rising"),
        ({"max_dets": [1, 10, 10]}, BadOption, "rising"),
        ({"score_rule": "vote"}, BadOption, "score_rule='vote'"),
        ({"oracle_iou": 1}, BadOption, "oracle_iou"),
    ],
)
def test_a_protocol_with_a_wrong_setting_is_refused(protocol, error, words):
    with pytest.raises(error, match=words):
        TASK.evaluator(protocol)


def raw(boxes, labels=None, scores=None):
    n = len(boxes)
    return Detections(np.array(boxes, float), np.array(labels or [0] * n), np.array(scores or [1.0] * n))


@pytest.mark.parametrize(
    "prediction, words",
    [
        (np.ones((4, 4)), "is a ndarray; expected addp_bench.types.Detections"),
        (raw([[0, 0, 5]]), r"has boxes \(1, 3\)"),
        (raw([[0, 0, 5, np.nan]]), "has boxes or scores that are not finite"),
        (raw([[0, 0, 5, 5]], scores=[np.inf]), "has boxes or scores that are not finite"),
        (raw([[5, 0, 0, 5]]), r"has the box \[5.0, 0.0, 0.0, 5.0\]; expected x0, y0, x1, y1"),
        (raw([[0, 0, 5, 5]], labels=[-1]), r"has labels int64 \[-1\]; expected whole numbers from 0"),
        (raw([[0, 0, 5, 5]], labels=[0.5]), r"has labels float64 \[0.5\]; expected whole numbers from 0"),
        (raw([[0, 0, 5, 5]], labels=[2]), r"has class 2; the split's classes are 0..1 \(cone, ball\)"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_samples_name(prediction, words):
    with pytest.raises(BadPrediction, match=f"sample cat/7: the prediction {words}"):
        TASK.evaluator({}, ("cone", "ball")).statistics(sample(objects(B), "cat/7"), prediction)


def test_one_number_that_is_none_is_enough_wherever_it_stands():
    rng = np.random.default_rng(0)
    for k in range(500):
        found = raw([[0, 0, 5, 5]] * int(rng.integers(1, 5)))
        spoilt = rng.choice([found.xyxy, found.scores[:, None]][k % 2].size)
        ([found.xyxy, found.scores][k % 2].reshape(-1))[spoilt] = rng.choice([np.nan, np.inf])
        with pytest.raises(BadPrediction, match=f"sample cat/{k}: the prediction has boxes or scores that are not fin"):
            TASK.evaluator({}).statistics(sample([objects(B), objects()][k % 2], f"cat/{k}"), found)


def truth(**changes):
    good = objects(B)
    return Objects(**{**{name: getattr(good, name) for name in ("xyxy", "labels", "crowd", "area", "size")}, **changes})


@pytest.mark.parametrize(
    "there, words",
    [
        (np.ones((100, 100), bool), "its truth is a ndarray; expected addp_bench.types.Objects"),
        (truth(size=(100, 80)), r"are of a photograph of 100 x 80, its photograph is 100 x 100 \(height x width\)"),
        (truth(area=np.ones(2)), "shapes"),
        (truth(xyxy=np.array([[20.0, 0, 10, 10]])), "inside out"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused_by_name(there, words):
    for ask in (TASK.require, lambda s: TASK.evaluator({}).statistics(s, detections())):
        with pytest.raises(BadData, match=f"sample dots/3: .*{words}"):
            ask(sample(there, "dots/3"))


# ------------------------------------------------------------------------------------------------ truths as batches


def test_boxes_scale_with_the_photograph_each_axis_for_itself():
    there = TASK.resize(objects([10, 20, 30, 40], area=[600], size=(200, 100)), 50, 50)
    assert there.xyxy.tolist() == [[5, 5, 20, 15]]
    assert (there.area.tolist(), there.size) == ([600 * 0.125], (50, 50))


def test_objects_are_collated_to_padded_boxes_without_crowds():
    several = [objects(B, FAR[0], B, labels=[2, 1, 0], crowd=[1]), objects(), objects(FAR[0], labels=[3])]
    batch = TASK.collate(several)
    assert batch.xyxy.shape == (3, 2, 4)
    assert batch.valid.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.labels[0].tolist() == [2, 0]
    assert batch.xyxy[2, 0].tolist() == [60, 60, 80, 80]
    assert (batch.xyxy.dtype, batch.labels.dtype, batch.size) == (torch.float32, torch.int64, (100, 100))
    assert TASK.collate([objects()]).xyxy.shape == (1, 0, 4)


# ------------------------------------------------------------------------------------------------ quality and votes


@pytest.mark.parametrize(
    "there, found, expected",
    [
        (objects(B), detections((B, 0.1)), 1.0),
        (objects(B), detections(hit(12)), 0.6),
        (objects(B), detections(), 0.0),
        (objects(), detections(FAR), 0.0),
        (objects(), detections(), 1.0),
        (objects(B), detections((B, 0.1), FAR), 2 / 3),
        (objects(B, FAR[0]), detections((B, 0.1)), 2 / 3),
        (objects(B), detections((B, 0.1), labels=[1]), 0.0),
        (objects(B), detections((B, 0.5), (B, 0.5)), 2 / 3),
        (objects(B, [50, 50, 40, 40], crowd=[1]), detections((B, 0.1), ([55, 55, 10, 10], 0.9)), 1.0),
        (objects([0, 0, 10, 10], [5, 0, 10, 10]), detections(([2, 0, 10, 10], 1), ([0, 0, 10, 10], 1)), (1 + 7 / 13)),
    ],
)
def test_quality_is_f1_with_every_hit_worth_its_iou(there, found, expected):
    scale = 2 if expected > 1 else 1  # the last: the best assignment gives one box 1 and the other 7 / 13, of two
    assert TASK.quality(found, there) == pytest.approx(expected / scale)


@pytest.mark.parametrize("seed", range(30))
def test_quality_is_the_best_of_all_assignments(seed):
    there, found = photograph(np.random.default_rng(seed))
    there = Objects(there.xyxy, there.labels, np.zeros(len(there.labels), bool), there.area, there.size)
    iou = overlaps(found.xyxy, there.xyxy) * (found.labels[:, None] == there.labels)
    few, many = sorted((iou, iou.T), key=len)[0], max(iou.shape)
    best = max(sum(few[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(many), len(few)))
    boxes = len(found.labels) + len(there.labels)
    assert TASK.quality(found, there) == pytest.approx(2 * best / boxes if boxes else 1.0)


def test_a_vote_scores_a_box_by_the_share_of_drawings_that_hold_it():
    drawings = [
        detections((B, 0.2), FAR),
        detections(hit(16, 0.7), labels=[0]),
        detections(hit(12, 0.9), ([60, 60, 20, 20], 0.1), labels=[0, 1]),
        detections(),
    ]
    made = TASK.ensemble(drawings)
    # B overlaps the second by 0.8 and the third by 0.6, and these two each other by 0.75: three of four hold each
    assert made.scores.tolist() == [0.75, 0.25, 0.25]
    assert made.xyxy.tolist() == [[10, 10, 30, 22], [60, 60, 80, 80], [60, 60, 80, 80]]
    assert made.labels.tolist() == [0, 0, 1]
    assert TASK.ensemble([detections()] * 3).labels.tolist() == []
    half = TASK.ensemble([detections((B, 1.0)), detections(hit(10, 0.5))])
    assert (half.scores.tolist(), half.xyxy.tolist()) == ([1.0], [[10, 10, 30, 30]]), "an IoU of a half is enough"
    with pytest.raises(BadPrediction, match="one prediction at least"):
        TASK.ensemble([])


def test_suppression_keeps_the_best_of_those_that_overlap_more():
    found = detections(hit(12, 0.9), (B, 0.8), hit(20, 0.7), (B, 0.6), labels=[0, 0, 1, 0])
    assert suppressed(found, 0.6).scores.tolist() == [0.9, 0.8, 0.7], "0.6 is not more; the fourth is the second"
    assert suppressed(found, 0.59).scores.tolist() == [0.9, 0.7]


# ------------------------------------------------------------------------------------------------ files and pictures


def test_a_result_file_is_cocos_and_reads_back(tmp_path):
    found = detections((B, 0.25), ([1.5, 2, 3, 4], 1.0), labels=[0, 4])
    TASK.write(found, tmp_path / "139.json")
    lines = json.loads((tmp_path / "139.json").read_text())
    assert lines[0] == {"image_id": 139, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.25}
    assert lines[1]["category_id"] == 5
    again = TASK.read(tmp_path / "139.json", sample(objects()))
    for part in ("xyxy", "labels", "scores"):
        assert getattr(again, part).tolist() == getattr(found, part).tolist()
    TASK.write(detections(), tmp_path / "none.json")
    assert TASK.read(tmp_path / "none.json", sample(objects())).xyxy.shape == (0, 4)


LINE = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "cannot be read as JSON"),
        ("{}", "holds a dict; expected a list"),
        ("[3]", "detection 0: is 3"),
        (json.dumps([{"bbox": [0, 0, 1, 1]}]), "has no category_id, score"),
        (json.dumps([LINE, {**LINE, "bbox": [0, 0, -1, 5]}]), "detection 1: bbox is"),
        (json.dumps([{**LINE, "bbox": [0, 0, 5, float("nan")]}]), "bbox is"),
        (json.dumps([{**LINE, "category_id": 0}]), "classes are numbered from 1"),
        (json.dumps([{**LINE, "score": None}]), "score is None"),
        (json.dumps([LINE, {**LINE, "image_id": 2}]), "answers for 2 photographs"),
    ],
)
def test_a_file_that_is_no_result_is_refused_by_name(tmp_path, content, words):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadData, match=rf"sample cat/7: .*x\.json.*{words}"):
        TASK.read(tmp_path / "x.json", sample(objects(), "cat/7"))
    with pytest.raises(BadData, match=r"gone\.json"):
        TASK.read(tmp_path / "gone.json", sample(objects()))


def test_pictures_have_boxes_and_names_on_the_photograph():
    there = objects([20, 40, 60, 50], [70, 20, 25, 15], labels=[1, 7], crowd=[1])
    seen = TASK.picture(there, PHOTO, ("cone", "ball"))
    assert seen.shape == PHOTO.shape
    assert (PHOTO == 90).all(), "the photograph itself is left alone"
    changed = (seen != PHOTO).any(2)
    assert changed[89, 20:80].all()
    assert changed[40:90, 79].all()
    assert not changed[60:85, 30:70].any()
    assert not changed[90:].any()
    other = TASK.picture(there, PHOTO, ("cone", "cube"))
    assert not np.array_equal(seen, other), "the name of the class is written"
    scored = detections(([20, 40, 60, 50], 0.5), (B, 0.75))
    assert not np.array_equal(
        TASK.picture(scored, PHOTO), TASK.picture(Detections(scored.xyxy, scored.labels, np.ones(2)), PHOTO)
    )
    assert np.array_equal(TASK.picture(objects(), PHOTO), PHOTO)
    TASK.picture(detections(([-20, -10, 300, 5], 1.0), ([99.9, 99.9, 0, 0], 0.2)), PHOTO)


@pytest.mark.parametrize("protocol, told", [("instructcv_compat", ["protocol"]), ("tabletop_detection", [])])
def test_a_row_says_that_its_judge_let_the_truth_drop_predictions(shell, tmp_path, protocol, told):
    asked = ("--task", "detection", "--model", "constant", "--protocol", protocol, "--limit", "2")
    code, out, err = shell("run", *asked, "--runs", tmp_path, "--json")
    assert code == 0, err
    (record,) = json.loads(out)["records"]
    assert record["result"]["uses_truth"] == told
