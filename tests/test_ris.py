"""The RIS judge, against worked examples, Pillow and a brute-force implementation."""

import logging
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.tasks.ris import Ris, majority, nearest
from addp_bench.types import Sample

RIS = Ris()


def sample(truth, id="s", size=None):
    truth = np.asarray(truth, bool)
    return Sample(id, id, np.zeros((*(size or truth.shape), 3), np.uint8), truth, "the left one")


def strip(intersection, union, predicted_only=0):
    """A truth and a prediction, one row high, with these overlaps: the union's pixels first."""
    truth, prediction = np.zeros((1, 200), bool), np.zeros((1, 200), bool)
    truth[0, : union - predicted_only] = True
    prediction[0, :intersection] = True
    prediction[0, union - predicted_only : union] = True
    return truth, prediction


def judge(pairs, protocol="tabletop_ris", **settings):
    """Metrics by id and the columns of (truth, prediction) pairs under a named protocol with changes."""
    evaluator = RIS.evaluator({**RIS.protocols()[protocol], **settings})
    rows = [evaluator.statistics(sample(truth, f"s{k}"), prediction) for k, (truth, prediction) in enumerate(pairs)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {metric.id: float(metric.value(columns)) for metric in evaluator.metrics}, columns


@pytest.mark.parametrize("protocol", ["tabletop_ris", "refcoco"])
def test_a_truth_of_another_size_than_its_photograph_is_refused_by_name(protocol):
    evaluator = RIS.evaluator(RIS.protocols()[protocol])
    odd = sample(np.ones((4, 6)), "dots/val/7", size=(8, 6))
    with pytest.raises(BadData, match=r"dots/val/7: its truth is 4 x 6, its photograph 8 x 6 \(height x width\)"):
        evaluator.statistics(odd, np.ones((8, 6), bool))


def test_oiou_weighs_large_objects_and_miou_does_not():  # R1
    scores, _ = judge([strip(8, 10), strip(1, 100)])
    assert scores["oiou"] == pytest.approx(9 / 110)
    assert scores["miou"] == pytest.approx(0.405)
    assert scores["pr50"] == 0.5


@pytest.mark.parametrize("comparator, pr90", [(">=", 1 / 3), (">", 0.0)])
def test_three_sentences_by_hand_under_both_comparators(comparator, pr90):  # R2
    scores, _ = judge([strip(90, 100), strip(90, 110), strip(0, 150, 50)], pr_comparator=comparator)
    assert scores["oiou"] == pytest.approx(0.5)
    assert scores["miou"] == pytest.approx(0.572727, abs=1e-6)
    assert [scores[f"pr{x}0"] for x in (5, 6, 7, 8)] == pytest.approx([2 / 3] * 4)
    assert scores["pr90"] == pytest.approx(pr90)


def test_a_mask_one_column_too_wide():  # R3
    truth, prediction = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    truth[1:3, 1:3] = True
    prediction[1:3, 1:4] = True
    _, columns = judge([(truth, prediction)])
    assert (columns["intersection"], columns["union"]) == (4, 6)
    assert columns["iou"] == pytest.approx(0.666667, abs=1e-6)
    assert RIS.quality(torch.from_numpy(prediction), truth) == pytest.approx(0.666667, abs=1e-6)


@pytest.mark.parametrize("size, expected", [("original", 0.788462), (512, 0.682927), (400, 0.682927)])
def test_a_common_size_reweighs_the_images(size, expected):  # R5
    pairs = []
    for side, intersection, union in ((100, 20, 40), (400, 200, 250)):  # columns of a square image
        column = np.arange(side)[None].repeat(side, 0)
        pairs.append((column < union, column < intersection))
    scores, columns = judge(pairs, "refcoco", eval_size=size)
    if size == "original":
        assert columns["intersection"].tolist() == [2000, 80000]
        assert columns["union"].tolist() == [4000, 100000]
    # 102.4 columns do not fit into 512
    assert scores["oiou"] == pytest.approx(expected, abs=2e-3 if size == 512 else 1e-6)


EMPTY = np.zeros((4, 4), bool)
FULL = ~EMPTY


@pytest.mark.parametrize(
    "protocol, rule, iou, miou",
    [
        ("refcoco", {}, 0.0, 0.5),
        ("refcoco", {"empty_empty": 1}, 1.0, 1.0),
        ("refcoco", {"empty_empty": "skip"}, math.nan, 1.0),
    ],
)
def test_an_empty_answer_to_an_empty_truth_follows_the_rule_and_never_touches_oiou(protocol, rule, iou, miou):  # R6
    scores, columns = judge([(EMPTY, EMPTY), (FULL, FULL)], protocol, eval_size="original", **rule)
    assert columns["union"].tolist() == [0, 16]
    assert columns["iou"][0] == pytest.approx(iou, nan_ok=True)
    assert scores["miou"] == miou
    assert scores["oiou"] == 1.0
    assert "n_acc" not in scores


def test_tabletop_rewards_silence_about_what_is_not_there_and_reports_n_acc():
    scores, columns = judge([(EMPTY, EMPTY), (EMPTY, FULL), (FULL, EMPTY), (FULL, FULL)])
    assert columns["iou"].tolist() == [1, 0, 0, 1]
    assert scores["n_acc"] == 0.5
    assert scores["oiou"] == pytest.approx(16 / 48)
    assert RIS.quality(EMPTY, EMPTY) == 1.0
    assert Ris(no_target=0).quality(EMPTY, EMPTY) == 0.0


def test_a_target_lost_by_resizing_is_reported_and_is_no_no_target_sample(caplog):
    truth = np.zeros((64, 64), bool)
    truth[0, 0] = True
    with caplog.at_level(logging.WARNING):
        _, columns = judge([(truth, np.zeros((8, 8), bool))], eval_size=8)
    assert (columns["vanished"], columns["no_target"], columns["iou"]) == (1, 0, 0)
    assert "s0" in caplog.text
    assert "8 x 8" in caplog.text


def brute_force(truth, prediction, size):
    """Pixel by pixel, with the pixel under each centre found in fractions."""

    def at(mask, y, x):
        height, width = mask.shape
        return mask[
            math.floor(Fraction(2 * y + 1, 2 * size) * height), math.floor(Fraction(2 * x + 1, 2 * size) * width)
        ]

    inter = union = 0
    for y in range(size):
        for x in range(size):
            g, p = at(truth, y, x), at(prediction, y, x)
            inter += g and p
            union += g or p
    return inter, union


@pytest.mark.parametrize("seed", range(12))
def test_the_judge_agrees_with_a_pixel_by_pixel_one(seed):
    rng = np.random.default_rng(seed)
    comparator, size = rng.choice([">=", ">"]), int(rng.integers(3, 24))
    pairs = []
    for _ in range(6):
        shape = tuple(rng.integers(2, 30, 2))
        pairs.append((rng.random(shape) < rng.random(), rng.random(shape) < rng.random()))
    scores, columns = judge(pairs, "refcoco", eval_size=size, pr_comparator=comparator)
    truth = [brute_force(*pair, size) for pair in pairs]
    assert list(zip(columns["intersection"], columns["union"])) == truth
    ious = [i / u if u else 0.0 for i, u in truth]
    assert scores["oiou"] == pytest.approx(sum(i for i, _ in truth) / sum(u for _, u in truth))
    assert scores["miou"] == pytest.approx(sum(ious) / 6)
    for x in (0.5, 0.7, 0.9):
        hits = sum(iou >= x if comparator == ">=" else iou > x for iou in ious)
        assert scores[f"pr{round(x * 100)}"] == pytest.approx(hits / 6)


def degenerate(rng, shape):
    """A mask that is often empty, full, or of one pixel."""
    kind = rng.integers(5)
    if kind < 2:
        return np.full(shape, bool(kind))
    if kind == 2:
        return np.arange(shape[0] * shape[1]).reshape(shape) == rng.integers(shape[0] * shape[1])
    return rng.random(shape) < rng.random()


def test_two_thousand_small_splits_of_degenerate_masks_agree_with_counting_in_sets():
    rng = np.random.default_rng(0)
    silences = 0
    for _ in range(2000):
        shapes = [tuple(rng.integers(1, 5, 2)) for _ in range(rng.integers(1, 5))]
        pairs = [(degenerate(rng, shape), degenerate(rng, shape)) for shape in shapes]
        rule, silent = ([0, 1, "skip"][rng.integers(3)] for _ in range(2))
        silent = None if rng.random() < 0.3 else silent
        comparator = str(rng.choice([">=", ">"]))
        scores, _ = judge(pairs, empty_empty=rule, no_target=silent, pr_comparator=comparator)
        ious, inter, union, quiet = [], 0, 0, []
        for truth, said in pairs:
            g, p = set(np.flatnonzero(truth)), set(np.flatnonzero(said))
            inter, union = inter + len(g & p), union + len(g | p)
            here = rule if silent is None else silent
            if g | p or here != "skip":
                ious.append(Fraction(len(g & p), len(g | p)) if g | p else Fraction(here))
            if not g:
                quiet.append(not p)
        silences += len(quiet)
        expected = {"oiou": inter / union if union else math.nan, "n_acc": np.mean(quiet) if quiet else math.nan}
        expected["miou"] = float(sum(ious) / len(ious)) if ious else math.nan
        for tenth in range(5, 10):
            passed = [iou > Fraction(tenth, 10) or (comparator == ">=" and iou == Fraction(tenth, 10)) for iou in ious]
            expected[f"pr{tenth}0"] = sum(passed) / len(ious) if ious else math.nan
        assert scores == pytest.approx(expected, nan_ok=True), pairs
    assert silences > 500


def test_one_pixel_that_is_no_number_is_enough_wherever_it_lies():
    rng = np.random.default_rng(1)
    evaluator = RIS.evaluator(RIS.protocols()["tabletop_ris"])
    for k in range(500):
        shape = tuple(rng.integers(1, 6, 2))
        prediction = degenerate(rng, shape).astype(float)
        prediction[tuple(rng.integers(shape))] = np.nan
        with pytest.raises(BadPrediction, match=f"sample cat/{k}: the prediction holds NaN"):
            evaluator.statistics(sample(degenerate(rng, shape), f"cat/{k}"), prediction)


@pytest.mark.parametrize("old, new", [((7, 5), (512, 512)), ((480, 640), (512, 512)), ((33, 21), (4, 9))])
def test_nearest_is_the_nearest_of_pillow_and_torch(old, new):
    mask = np.random.default_rng(0).random(old) < 0.5
    ours = nearest(mask, new)
    theirs = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(new[::-1], Image.Resampling.NEAREST)).astype(bool)
    torch_ = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), size=new, mode="nearest-exact")
    assert np.array_equal(ours, theirs)
    assert np.array_equal(ours, torch_[0, 0].numpy() > 0)


@pytest.mark.parametrize(
    "prediction", [torch.ones(4, 4), np.ones((4, 4), np.uint8), torch.ones(4, 4, dtype=torch.bool)]
)
def test_masks_of_zeros_and_ones_are_masks(prediction):
    evaluator = RIS.evaluator(RIS.protocols()["tabletop_ris"])
    assert evaluator.statistics(sample(FULL), prediction)["iou"] == 1.0


@pytest.mark.parametrize(
    "prediction, words",
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), 0.5), "other than 0 and 1"),
        (np.ones((1, 4, 4), bool), "shape"),
        (np.ones((5, 4), bool), "5 x 4.*expected 4 x 4 or 8 x 8"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_samples_name(prediction, words):
    evaluator = RIS.evaluator({"eval_size": 8})
    with pytest.raises(BadPrediction, match=f"(?s)sample cat/7.*{words}"):
        evaluator.statistics(sample(FULL, "cat/7"), prediction)


def test_a_mask_at_the_models_size_is_taken_under_mask_nearest():
    evaluator = RIS.evaluator({"eval_size": 8, "pred_resize": "mask_nearest"})
    assert evaluator.drawing_size(sample(FULL)) is None
    assert evaluator.statistics(sample(FULL), np.ones((2, 2), bool))["intersection"] == 64


def test_drawings_are_asked_for_at_the_size_of_judging():
    photograph = sample(np.ones((6, 4), bool))
    assert RIS.evaluator(RIS.protocols()["refcoco"]).drawing_size(photograph) == (512, 512)
    assert RIS.evaluator(RIS.protocols()["lavt"]).drawing_size(photograph) == (480, 480)
    assert RIS.evaluator(RIS.protocols()["tabletop_ris"]).drawing_size(photograph) == (6, 4)


def test_the_headline_is_oiou_and_every_metric_is_in_points():
    metrics = RIS.evaluator(RIS.protocols()["tabletop_ris"]).metrics
    assert [m.label for m in metrics] == ["oIoU", "mIoU", "Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9", "N-acc"]
    assert {m.unit for m in metrics} == {"points"}
    assert all(m.higher_is_better for m in metrics)


@pytest.mark.parametrize(
    "protocol, error, words",
    [
        ({"eval_size": 8, "comparator": ">"}, UnknownName, "pr_comparator"),
        ({"eval_size": 0}, BadOption, "side in pixels"),
        ({"eval_size": "native"}, BadOption, "eval_size='native'"),
        ({}, BadOption, "eval_size"),
        ({"eval_size": 8, "pr_comparator": "=>"}, BadOption, "pr_comparator='=>'"),
        ({"eval_size": 8, "empty_empty": 2}, BadOption, "0, 1 or skip"),
    ],
)
def test_a_protocol_with_a_wrong_setting_is_refused(protocol, error, words):
    with pytest.raises(error, match=words):
        RIS.evaluator(protocol)


def test_settings_that_come_as_text_mean_what_they_say():
    evaluator = RIS.evaluator({"eval_size": "8", "empty_empty": "1"})
    assert (evaluator.settings.eval_size, evaluator.settings.empty_empty) == (8, 1)


def test_truths_are_collated_to_a_batch_of_bools():
    batch = RIS.collate([EMPTY, torch.ones(4, 4)])
    assert batch.dtype == torch.bool
    assert batch.sum((1, 2)).tolist() == [0, 16]


# ------------------------------------------------------------------------------------------------ votes


def test_masks_are_written_and_read_as_other_programs_do(tmp_path):
    mask = np.random.default_rng(0).random((5, 7)) > 0.5
    sample = Sample("a", "a", np.zeros((5, 7, 3), np.uint8), mask)
    RIS.write(mask, tmp_path / "mask.png")
    assert set(np.unique(np.asarray(Image.open(tmp_path / "mask.png")))) == {0, 255}
    assert np.array_equal(RIS.read(tmp_path / "mask.png", sample), mask)
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "ones.png")
    Image.fromarray(mask).save(tmp_path / "bits.png")
    Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2)).save(tmp_path / "colour.png")
    for name in ("ones", "bits", "colour"):
        assert np.array_equal(RIS.read(tmp_path / f"{name}.png", sample), mask), name


def test_a_file_that_is_no_mask_is_refused_with_the_name_of_the_sample(tmp_path):
    sample = Sample("a/1", "a", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool))
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).save(tmp_path / "soft.png")
    for name, why in (("text", "is no image of a mask"), ("soft", "has 16 values"), ("gone", "is no image of a mask")):
        with pytest.raises(BadData, match=f"sample a/1: .*{name}.png {why}"):
            RIS.read(tmp_path / f"{name}.png", sample)


def test_a_majority_of_masks_by_hand_and_a_tie_is_background():  # R7
    assert majority([[[1, 1, 0]], [[1, 0, 0]], [[0, 1, 0]]]).tolist() == [[True, True, False]]
    one, two, three = [[1, 1, 0, 0]], [[1, 0, 1, 0]], [[1, 0, 0, 1]]
    assert majority([one, two, three]).tolist() == [[True, False, False, False]]
    assert majority([one, two]).tolist() == [[True, False, False, False]]
    assert majority([one]).tolist() == [[True, True, False, False]]
    assert majority([one, two, one, three]).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 300])
def test_a_majority_is_what_counting_says(k):
    masks = np.random.default_rng(k).random((k, 5, 7)) < 0.5
    found = majority(torch.from_numpy(masks))
    for y, x in np.ndindex(5, 7):
        assert found[y, x] == (sum(int(mask[y, x]) for mask in masks) > k / 2)


@pytest.mark.parametrize(
    "masks, words",
    [([], "met none"), ([np.ones((2, 2)), np.ones((2, 3))], "met 2 x 2, 2 x 3"), ([np.full((2, 2), 0.7)], "a vote")],
)
def test_what_cannot_be_voted_on_is_refused(masks, words):
    with pytest.raises(BadPrediction, match=words):
        majority(masks)
