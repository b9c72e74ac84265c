"""What is asked and how answers are judged: numbers by hand, contracts, and refusals."""

import numpy as np
import pytest
import torch
from addp_bench_superres.drawing import WholePicture
from addp_bench_superres.metrics import luma, psnr, shaved, ssim
from addp_bench_superres.naive import Bicubic
from addp_bench_superres.task import SuperResolution

from addp_bench import checks
from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.spec import Choice
from addp_bench.statistics import columns_of
from addp_bench.types import Query, Sample

TASK = SuperResolution()
X4 = TASK.evaluator(TASK.protocols()["superres_x4"])


def sample(seed=0, size=(32, 40), name="s"):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 256, (*size, 3), np.uint8)
    return Sample(name, name, (truth // 2 + 40).astype(np.uint8), truth)


@pytest.mark.parametrize(
    "kind, name",
    [("task", "superres"), ("dataset", "superres_tabletop"), ("encoding", "whole_picture"), ("model", "bicubic")],
)
def test_it_keeps_the_contract_of_its_kind(registry, kind, name):
    assert registry.get(kind, name).origin == "addp-bench-superres 0.1.0"
    checks.require(registry, kind, Choice(name))


def test_a_folder_keeps_the_contract_of_datasets(registry, photographs):
    options = {"path": str(photographs(60)), "size": "32"}
    checks.require(registry, "dataset", Choice("superres_folder", options))


def test_a_judge_says_what_its_functions_say_of_the_shaved_luma():
    one, answer = sample(), sample(1).truth
    inside = [shaved(luma(picture), 4) for picture in (answer, one.truth, one.image)]
    found = X4.statistics(one, answer)
    assert found == {
        "psnr_y": psnr(inside[0], inside[1], 100.0),
        "gain": psnr(inside[0], inside[1], 100.0) - psnr(inside[2], inside[1], 100.0),
        "ssim_y": ssim(inside[0], inside[1]),
        "psnr_rgb": psnr(answer[4:-4, 4:-4], one.truth[4:-4, 4:-4], 100.0),
    }


def test_a_border_as_wide_as_the_scale_is_not_judged():
    one = sample()
    edge = one.truth.copy()
    edge[:4], edge[:, -4:] = 0, 255
    assert X4.statistics(one, edge)["psnr_y"] == X4.statistics(one, edge)["psnr_rgb"] == 100.0
    edge[4] = 255 - edge[4]
    assert X4.statistics(one, edge)["psnr_y"] < 40
    x2 = TASK.evaluator(TASK.protocols()["superres_x2"])
    assert x2.statistics(one, edge)["psnr_y"] < X4.statistics(one, edge)["psnr_y"]


def test_metrics_are_means_over_pictures_of_decibels():
    """Not the decibels of the mean error: of errors 10 and 1 everywhere in RGB the mean is (28.13 + 48.13) / 2."""
    grey = np.full((32, 32, 3), 100, np.uint8)
    rows = [X4.statistics(Sample(str(e), str(e), grey, grey), (grey + e).astype(np.uint8)) for e in (10, 1)]
    value = {metric.id: float(metric.value(columns_of(rows))) for metric in X4.metrics}
    assert value["psnr_rgb"] == pytest.approx((20 * np.log10(25.5) + 20 * np.log10(255)) / 2)
    # of luma an error of e is 219 / 255 e, and the photograph, which is the truth here, counts as 100 dB
    assert value["psnr_y"] == pytest.approx(value["psnr_rgb"] + 20 * np.log10(255 / 219))
    assert value["gain"] == pytest.approx(value["psnr_y"] - 100.0)


def test_who_adds_nothing_gains_nothing():
    one = sample()
    answer = Bicubic().predict(one, "superres", np.random.default_rng(0))
    assert X4.statistics(one, answer)["gain"] == 0.0
    assert X4.statistics(one, one.truth)["gain"] > 50
    with pytest.raises(UnknownName, match="depth"):
        Bicubic().predict(one, "depth", np.random.default_rng(0))


def test_quality_by_hand():
    truth = np.zeros((4, 4, 3), np.uint8)
    assert TASK.quality(truth, truth) == 1.0
    assert TASK.quality(np.full_like(truth, 255), truth) == 0.0
    half = truth.copy()
    half[:2] = 51  # RMSE 51 / sqrt 2, 51 a fifth of 255
    assert TASK.quality(half, truth) == pytest.approx(1 - 0.2 / np.sqrt(2))


@pytest.mark.parametrize("answer", [None, np.zeros((32, 40), np.uint8), np.zeros((16, 20, 3), np.uint8), "png"])
def test_answers_that_are_no_picture_of_that_size_are_refused_by_name(answer):
    with pytest.raises(BadPrediction, match="sample s"):
        X4.statistics(sample(), answer)
    with pytest.raises(BadPrediction, match="float64"):
        X4.statistics(sample(), np.zeros((32, 40, 3)))


def test_truths_that_are_none_and_pictures_too_small_are_refused_by_name():
    one = sample(name="odd")
    for truth in (None, one.truth[:8], one.truth.astype(np.float32)):
        with pytest.raises(BadData, match="sample odd"):
            TASK.require(Sample("odd", "odd", one.image, truth))
    TASK.require(one)
    small = sample(size=(18, 40), name="small")  # 18 - 8 = 10 leave SSIM nothing
    with pytest.raises(BadData, match="sample small"):
        X4.statistics(small, small.truth)
    X4.statistics(sample(size=(19, 40)), sample(size=(19, 40)).truth)


def test_protocols_know_their_settings():
    with pytest.raises(UnknownName, match="Did you mean 'shave'"):
        TASK.evaluator({"shav": 2})
    with pytest.raises(BadOption, match="shave is 0 or more"):
        TASK.evaluator({"shave": -1})


def test_a_drawn_picture_reads_back_to_the_bit():
    encoding, two = WholePicture(), [sample(k).truth for k in (0, 1)]
    asked = encoding.queries(sample(), ())
    assert asked == [Query("a sharp photo")]
    assert WholePicture("larger").queries(sample(), ()) == [Query("larger")]
    drawn = encoding.encode(torch.zeros(2, 3, 32, 40), TASK.collate(two), list(asked) * 2)
    assert drawn.valid is None
    assert drawn.rgb.abs().max() <= 1
    for k in (0, 1):
        assert np.array_equal(encoding.decode(drawn.rgb[k : k + 1], torch.zeros(3, 32, 40), asked), two[k])


def test_a_picture_written_is_a_picture_read(tmp_path):
    one = sample()
    TASK.write(one.truth, tmp_path / "answer.png")
    assert np.array_equal(TASK.read(tmp_path / "answer.png", one), one.truth)
    with pytest.raises(BadData, match=r"answer.png is \(32, 40, 3\)"):
        TASK.read(tmp_path / "answer.png", sample(size=(40, 32)))
    (tmp_path / "none.png").write_bytes(b"none")
    with pytest.raises(BadData, match="cannot be read"):
        TASK.read(tmp_path / "none.png", one)


def test_people_see_the_picture_and_other_sizes_are_bicubic():
    one = sample(size=(32, 32))
    assert TASK.picture(one.truth, one.image) is one.truth
    assert TASK.resize(one.truth, 32, 32) is one.truth
    assert TASK.resize(one.truth, 16, 16).shape == (16, 16, 3)
