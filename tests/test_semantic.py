"""The judge of class maps, against worked examples and a pixel-by-pixel one with numpy's confusion."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.tasks.semantic import PROTOCOLS, Semantic, colour_map
from addp_bench.types import UNLABELLED, Sample

TASK = Semantic()
FOUR = ("wall", "floor", "bed", "sky")
nan = math.nan

# datasets.md's worked examples: truth and prediction of two images
ONE = [[0, 0, 1], [0, 1, 255]], [[0, 1, 1], [0, 1, 2]]
TWO = [[2, 2, 2], [1, 255, 0]], [[2, 2, 0], [1, 1, 0]]


def sample(truth, id="s", size=None):
    truth = np.asarray(truth, np.int64)
    return Sample(id, id, np.zeros((*(size or truth.shape), 3), np.uint8), truth)


def judge(pairs, protocol="ade20k", vocabulary=FOUR, **settings):
    """Metrics by id and the columns of (truth, prediction) pairs under a named protocol with changes."""
    evaluator = TASK.evaluator({**TASK.protocols()[protocol], **settings}, vocabulary)
    rows = [evaluator.statistics(sample(truth, f"s{k}"), np.asarray(said)) for k, (truth, said) in enumerate(pairs)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {metric.id: float(metric.value(columns)) for metric in evaluator.metrics}, columns


def ious(scores, vocabulary=FOUR):
    return [scores[f"iou_{name}"] for name in vocabulary]


def test_two_images_by_hand():  # S1
    scores, columns = judge([ONE, TWO])
    sums = {name: column.sum() for name, column in columns.items()}
    assert [sums[f"intersection.{name}"] for name in FOUR] == [3, 3, 2, 0]
    assert [sums[f"true.{name}"] for name in FOUR] == [4, 3, 3, 0]
    assert [sums[f"union.{name}"] for name in FOUR] == [5, 4, 3, 0]
    said = [sums[f"union.{n}"] - sums[f"true.{n}"] + sums[f"intersection.{n}"] for n in FOUR]
    assert said == [4, 4, 2, 0]
    assert ious(scores) == pytest.approx([0.6, 0.75, 0.666667, nan], abs=1e-6, nan_ok=True)
    assert scores["miou"] == pytest.approx(0.672222, abs=1e-6)
    assert scores["macc"] == pytest.approx(0.805556, abs=1e-6)
    assert scores["aacc"] == pytest.approx(0.8)
    assert scores["fwiou"] == pytest.approx((4 * 0.6 + 3 * 0.75 + 3 * 2 / 3) / 10)


def test_a_class_that_is_nowhere_counts_as_nothing_under_zero():  # S1
    scores, _ = judge([ONE, TWO], "csail")
    assert scores["miou"] == pytest.approx(0.504167, abs=1e-6)
    assert scores["macc"] == pytest.approx((0.75 + 1 + 2 / 3 + 0) / 4)
    assert scores["fwiou"] == judge([ONE, TWO])[0]["fwiou"]


def test_a_class_that_is_drawn_and_not_there_counts_in_miou_and_not_in_macc():  # S2
    scores, _ = judge([ONE, (TWO[0], [[2, 3, 0], [1, 1, 0]])])
    assert ious(scores) == pytest.approx([0.6, 0.75, 0.333333, 0], abs=1e-6)
    assert scores["miou"] == pytest.approx(0.420833, abs=1e-6)
    assert scores["macc"] == pytest.approx(0.694444, abs=1e-6)
    assert scores["aacc"] == pytest.approx(0.7)


@pytest.mark.parametrize("outside", [9, 4, -1, UNLABELLED, 300])
def test_a_label_that_is_no_class_is_wrong_and_is_nobodys(outside):  # S3
    scores, _ = judge([ONE, (TWO[0], [[2, outside, 0], [1, 1, 0]])])
    assert ious(scores) == pytest.approx([0.6, 0.75, 0.333333, nan], abs=1e-6, nan_ok=True)
    assert scores["miou"] == pytest.approx(0.561111, abs=1e-6)
    assert scores["aacc"] == pytest.approx(0.7)


def test_a_mean_over_images_is_another_number():  # S4
    scores, columns = judge([ONE, TWO], average="images")
    assert columns["iou"] == pytest.approx([0.666667, 0.722222], abs=1e-6)
    assert scores == {"miou_images": pytest.approx(0.694444, abs=1e-6)}
    assert TASK.quality(torch.tensor(TWO[1]), np.array(TWO[0])) == pytest.approx(0.722222, abs=1e-6)
    assert TASK.quality(np.array(ONE[1]), np.array(ONE[0])) == pytest.approx(0.666667, abs=1e-6)


def test_the_challenge_score_is_the_mean_of_two_of_ours():  # S5: labels 0..3, 0 ignored
    truth, said = np.array([[0, 1, 1, 2, 3]]), np.array([[5, 1, 2, 2, 3]])
    scores, columns = judge([(np.where(truth == 0, UNLABELLED, truth - 1), said - 1)], "csail", FOUR[:3])
    assert [columns[f"intersection.{n}"][0] for n in FOUR[:3]] == [1, 1, 1]
    assert [columns[f"union.{n}"][0] for n in FOUR[:3]] == [2, 2, 1]
    assert scores["miou"] == pytest.approx(0.666667, abs=1e-6)
    assert scores["aacc"] == 0.75
    assert (scores["miou"] + scores["aacc"]) / 2 == pytest.approx(0.708333, abs=1e-6)


def by_confusion(pairs, classes, zero):
    """The same metrics of a confusion matrix with one column for whatever is no class, accumulated pixel by pixel."""
    confusion = np.zeros((classes, classes + 1))
    images = []
    for truth, said in pairs:
        own = np.zeros_like(confusion)
        for g, p in zip(truth.ravel().tolist(), said.ravel().tolist()):
            if g != 255:
                own[g, p if 0 <= p < classes else classes] += 1
        confusion += own
        hit, here = np.diag(own), own.sum(1)
        shares = [hit[c] / (here[c] + own[:, c].sum() - hit[c]) for c in range(classes) if here[c]]
        if shares:
            images.append(sum(shares) / len(shares))
    hit, true, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)[:classes]
    if not true.sum():
        return {**dict.fromkeys(("miou", "macc", "aacc", "fwiou", "images"), nan), "each": [nan] * classes}
    with np.errstate(invalid="ignore"):
        iou, acc = hit / (true + said - hit), hit / true
    mean = (lambda x: np.nan_to_num(x).mean()) if zero else np.nanmean
    return {
        "miou": mean(iou),
        "macc": mean(acc),
        "aacc": hit.sum() / true.sum(),
        "fwiou": np.nansum(true * iou) / true.sum(),
        "images": sum(images) / len(images),
        "each": iou.tolist(),
    }


def test_two_thousand_small_splits_agree_with_a_pixel_by_pixel_judge():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        classes = int(rng.integers(1, 6))
        labels = np.append(np.arange(classes), 255)
        pairs = []
        for _ in range(int(rng.integers(1, 4))):
            shape = tuple(rng.integers(1, 5, 2))
            there = rng.choice(labels, rng.integers(1, len(labels) + 1), replace=False)  # some classes are absent
            said = rng.choice([*labels, 9, -3], shape if rng.random() < 0.7 else ())  # or one class everywhere
            pairs.append((rng.choice(there, shape), np.broadcast_to(said, shape)))
        zero = bool(rng.integers(2))
        expected = by_confusion(pairs, classes, zero)
        names = FOUR[:classes] if classes < 5 else (*FOUR, "sea")
        scores, _ = judge(pairs, "csail" if zero else "ade20k", names)
        for name in ("miou", "macc", "aacc", "fwiou"):
            assert scores[name] == pytest.approx(expected[name], nan_ok=True), (name, pairs)
        assert ious(scores, names) == pytest.approx(expected["each"], nan_ok=True), pairs
        images, _ = judge(pairs, vocabulary=names, average="images")
        assert images["miou_images"] == pytest.approx(expected["images"], nan_ok=True)
        for truth, said in pairs:
            own = by_confusion([(truth, said)], classes, zero)["images"]
            assert TASK.quality(np.where(said >= classes, 300, said), truth) == pytest.approx(own, nan_ok=True)


def test_nothing_labelled_is_no_number_and_one_pixel_is_enough():
    nothing = np.full((2, 2), UNLABELLED)
    scores, columns = judge([(nothing, np.zeros((2, 2), int))])
    assert all(math.isnan(value) for value in scores.values())
    assert columns["labelled"].tolist() == [0]
    scores, _ = judge([(nothing, nothing)], "csail")
    assert math.isnan(scores["miou"]), "0 would make nothing look like something bad"
    assert math.isnan(TASK.quality(nothing, nothing))
    scores, _ = judge([([[255, 1]], [[0, 1]])])
    assert (scores["miou"], scores["aacc"]) == (1.0, 1.0)
    skipped, _ = judge([(nothing, nothing), ([[1]], [[1]])], average="images")
    assert skipped["miou_images"] == 1.0


def test_every_class_has_a_number_where_the_vocabulary_is_short():
    names = tuple(f"class {k}" for k in range(22))
    metrics = TASK.evaluator(PROTOCOLS["ade20k"].__dict__, names[:21]).metrics
    assert [m.label for m in metrics[:5]] == ["mIoU", "mAcc", "aAcc", "fwIoU", "IoU class 0"]
    assert len(metrics) == 25
    assert metrics[-1].id == "iou_class_20"
    assert len(TASK.evaluator(PROTOCOLS["ade20k"].__dict__, names).metrics) == 4
    assert len(TASK.evaluator({"eval_size": 8, "per_class": 0}, FOUR).metrics) == 4


@pytest.mark.parametrize("names, words", [((), "has 0"), (["x"] * 256, "has 256"), (("sea", "Sea "), "'sea' stands")])
def test_a_vocabulary_names_up_to_255_classes_once(names, words):
    with pytest.raises(BadData, match=words):
        TASK.evaluator({"eval_size": 8}, names)


@pytest.mark.parametrize(
    "protocol, error, words",
    [
        ({"eval_size": 8, "absent": "nan"}, UnknownName, "absent_class"),
        ({"eval_size": 0}, BadOption, "side in pixels"),
        ({"eval_size": "native"}, BadOption, "eval_size='native'"),
        ({}, BadOption, "eval_size"),
        ({"eval_size": 8, "absent_class": "one"}, BadOption, "absent_class='one'"),
        ({"eval_size": 8, "per_class": -1}, BadOption, "number of classes"),
    ],
)
def test_a_protocol_with_a_wrong_setting_is_refused(protocol, error, words):
    with pytest.raises(error, match=words):
        TASK.evaluator(protocol, FOUR)


@pytest.mark.parametrize(
    "prediction, words",
    [
        (np.zeros((4, 4)), "float64"),
        (np.full((4, 4), np.nan), "float64"),
        (np.ones((4, 4), bool), "bool"),
        (np.ones((1, 4, 4), int), "shape"),
        (np.ones((5, 4), int), "5 x 4.*expected 4 x 4 or 8 x 8"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_samples_name(prediction, words):
    evaluator = TASK.evaluator({"eval_size": 8}, FOUR)
    with pytest.raises(BadPrediction, match=f"(?s)sample cat/7.*{words}"):
        evaluator.statistics(sample(np.zeros((4, 4)), "cat/7"), prediction)


@pytest.mark.parametrize(
    "odd, words",
    [
        (sample([[0, 4]], "cat/7"), r"cat/7: .* label 4; the vocabulary has 4 classes, 0 \(wall\) to 3 \(sky\)"),
        (sample([[0, 254]], "cat/7"), "cat/7: .* label 254"),
        (sample([[0, 256]], "cat/7"), "cat/7: .* label 256"),
        (sample([[0, -1]], "cat/7"), "cat/7: .* label -1"),
        (sample([[0, 1]], "cat/7", size=(2, 2)), "cat/7: its truth is 1 x 2, its photograph 2 x 2"),
        (Sample("cat/7", "7", np.zeros((1, 2, 3), np.uint8), np.zeros((1, 2))), "cat/7: its truth holds float64"),
    ],
)
def test_a_truth_that_is_no_class_map_is_refused_by_name(odd, words):
    with pytest.raises(BadData, match=words):
        TASK.evaluator({"eval_size": "original"}, FOUR).statistics(odd, np.zeros((1, 2), int))


def test_drawings_are_asked_for_at_the_size_of_judging():
    photograph = sample(np.zeros((6, 4)))
    assert TASK.evaluator({"eval_size": "original"}, FOUR).drawing_size(photograph) == (6, 4)
    assert TASK.evaluator({"eval_size": 512}, FOUR).drawing_size(photograph) == (512, 512)
    later = TASK.evaluator({"eval_size": 8, "pred_resize": "labels_nearest"}, FOUR)
    assert later.drawing_size(photograph) is None
    assert later.statistics(photograph, np.zeros((2, 2), int))["intersection.wall"] == 64


def test_a_class_map_is_resized_by_the_nearest_pixel_and_collated_as_whole_numbers():
    truth = np.random.default_rng(0).choice([0, 3, 255], (7, 5))
    ours = TASK.resize(truth, 33, 21)
    theirs = Image.fromarray(truth.astype(np.uint8)).resize((21, 33), Image.Resampling.NEAREST)
    assert np.array_equal(ours, np.asarray(theirs))
    batch = TASK.collate([ours, torch.from_numpy(ours)])
    assert (batch.dtype, tuple(batch.shape)) == (torch.int64, (2, 33, 21))


# ----------------------------------------------------------------------------------------- votes, files, pictures


def test_most_votes_win_and_of_equals_the_lowest_class():
    votes = [[[3, 1, 2, 0]], [[3, 2, 255, 255]], [[0, 3, 255, 2]]]
    assert TASK.ensemble([np.array(v) for v in votes]).tolist() == [[3, 1, 255, 0]]
    assert TASK.ensemble([torch.tensor(votes[0])]).tolist() == votes[0]


@pytest.mark.parametrize("seed", range(5))
def test_a_majority_is_what_counting_says(seed):
    votes = np.random.default_rng(seed).choice([0, 1, 5, 255], (seed + 1, 6, 5))
    found = TASK.ensemble(list(votes))
    for y, x in np.ndindex(6, 5):
        cast = votes[:, y, x].tolist()
        assert found[y, x] == min(set(cast), key=lambda c: (-cast.count(c), c))


@pytest.mark.parametrize(
    "votes, words", [([], "none"), ([np.zeros((2, 2), int), np.zeros((2, 3), int)], "2 x 2, 2 x 3")]
)
def test_what_cannot_be_voted_on_is_refused(votes, words):
    with pytest.raises(BadPrediction, match=words):
        TASK.ensemble(votes)


def test_a_file_holds_labels_and_other_programs_read_them(tmp_path):
    labels = np.random.default_rng(0).choice([0, 1, 149, 255], (6, 5))
    TASK.write(torch.from_numpy(labels), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == "L"
        assert np.array_equal(np.asarray(opened), labels)
    assert np.array_equal(TASK.read(tmp_path / "a.png", sample(labels)), labels)
    coloured = Image.fromarray(labels.astype(np.uint8))
    coloured.putpalette(bytes(reversed(range(256))) * 3)
    coloured.save(tmp_path / "p.png")
    again = TASK.read(tmp_path / "p.png", sample(labels))
    assert np.array_equal(again, labels), "indices, not the colours they stand for"
    assert again.dtype == np.int64
    with pytest.raises(BadPrediction, match="label 256"):
        TASK.write(np.array([[256]]), tmp_path / "b.png")


def test_what_is_no_file_of_labels_is_refused_with_the_samples_name(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "rgb.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, words in (("rgb.png", "mode RGB"), ("text.png", "cannot be read"), ("none.png", "cannot be read")):
        with pytest.raises(BadData, match=f"{name}, for sample cat/7: .*{words}"):
            TASK.read(tmp_path / name, sample([[0]], "cat/7"))


def test_people_see_classes_over_the_photograph():
    colours = colour_map()
    assert len(set(map(tuple, colours.tolist()))) == 256
    assert colours[[0, 1, 2, 3, 15]].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128]]
    photo = np.full((1, 3, 3), 100, np.uint8)
    assert TASK.picture(np.array([[0, 1, 255]]), photo).tolist() == [[[35, 35, 35], [118, 35, 35], [100, 100, 100]]]
    assert TASK.picture(np.array([[1]]), np.zeros((4, 6, 3), np.uint8)).shape == (4, 6, 3)
