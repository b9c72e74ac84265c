"""What the depth task takes for an answer, joins several to, shows, writes and reads; and what its settings refuse."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.tasks.depth import PROTOCOLS, DepthTask
from addp_bench.tasks.depth_ensemble import ensemble, lower_median
from addp_bench.types import Depth, Sample

TASK = DepthTask()
TRUTH = np.array([[1, 2, 4], [0, 8, 3]], np.float32)
SAMPLE = Sample("rooms/7", "rooms/7", np.zeros((2, 3, 3), np.uint8), TRUTH)


def statistics(prediction, sample=SAMPLE, **settings):
    return TASK.evaluator({"alignment": "none", **settings}).statistics(sample, prediction)


# ------------------------------------------------------------------------------------------------ answers and truths


@pytest.mark.parametrize("prediction", [
    TRUTH, torch.from_numpy(TRUTH), Depth(TRUTH, "metric"), Depth(torch.from_numpy(TRUTH), "metric"),
    TRUTH.astype(np.int64),
])  # fmt: skip
def test_arrays_and_tensors_are_metres(prediction):
    assert statistics(prediction)["absrel"] == 0


@pytest.mark.parametrize("prediction, words", [
    (np.where(TRUTH == 8, np.nan, TRUTH), "holds NaN or infinity"),
    (np.where(TRUTH == 0, np.inf, TRUTH), "holds NaN or infinity"),  # also where nothing is judged
    (TRUTH.T, r"3 x 2 \(height x width\); expected 2 x 3"),
    (TRUTH[None], r"expected a depth map \(height, width\)"),
    (TRUTH > 1, "bool .* expected a depth map"),
    (Depth(TRUTH, "relative"), "said to be 'relative'; expected metric, affine, disparity"),
    (Depth(TRUTH, "affine"), "up to scale and shift, and alignment=none makes no metres .* alignment=least_square$"),
])  # fmt: skip
def test_what_cannot_be_judged_is_refused_with_the_samples_name(prediction, words):
    with pytest.raises(BadPrediction, match=f"sample rooms/7: the prediction .*{words}"):
        statistics(prediction)


def test_one_pixel_that_is_no_number_is_enough_wherever_it_lies():
    rng = np.random.default_rng(0)
    for k in range(300):
        size = tuple(rng.integers(1, 6, 2))
        truth = rng.choice([0.0, 1.5, 4.0], size).astype(np.float32)  # often unknown, constant or one pixel
        answer = rng.choice([0.0, 1.0, 2.5], size)
        answer[tuple(rng.integers(size))] = rng.choice([np.nan, np.inf, -np.inf])
        photograph = Sample(f"rooms/{k}", "r", np.zeros((*size, 3), np.uint8), truth)
        space, alignment = [("metric", "none"), ("affine", "least_square"), ("metric", "median")][k % 3]
        with pytest.raises(BadPrediction, match=f"sample rooms/{k}: the prediction holds NaN or infinity"):
            statistics(Depth(answer, space), photograph, alignment=alignment)


@pytest.mark.parametrize("space, fits", [
    ("metric", {"least_square", "least_square_disparity", "median", "none"}),
    ("affine", {"least_square"}),
    ("disparity", {"least_square_disparity"}),
])  # fmt: skip
def test_each_space_meets_the_alignments_that_mean_something(space, fits):
    class Encoding:
        pass

    Encoding.space = space
    for alignment in ("least_square", "least_square_disparity", "median", "none"):
        refused = TASK.refuses({"alignment": alignment}, Encoding)
        if alignment in fits:
            assert refused is None
            statistics(Depth(TRUTH, space), alignment=alignment)
        else:
            assert alignment in refused
            with pytest.raises(BadPrediction, match=alignment):
                statistics(Depth(TRUTH, space), alignment=alignment)


@pytest.mark.parametrize("truth, words", [
    (TRUTH[:, :2], "rooms/8: its truth is 2 x 2, its photograph 2 x 3"),
    (-TRUTH, "rooms/8: its depth holds"),
    (np.where(TRUTH == 0, np.nan, TRUTH), "rooms/8: its depth holds"),
])  # fmt: skip
def test_a_truth_that_is_no_depth_of_its_photograph_is_refused_by_name(truth, words):
    odd = Sample("rooms/8", "rooms/8", SAMPLE.image, truth)
    for ask in (TASK.require, lambda sample: statistics(np.ones((2, 3)), sample)):
        with pytest.raises(BadData, match=words):
            ask(odd)
    TASK.require(SAMPLE)


def test_a_drawing_is_brought_to_the_photographs_own_size():
    for settings in TASK.protocols().values():
        assert TASK.evaluator(settings).drawing_size(SAMPLE) == (2, 3)


def test_resizing_takes_the_nearest_pixel_so_that_holes_stay_holes():
    assert TASK.resize(TRUTH, 4, 6).tolist() == np.repeat(np.repeat(TRUTH, 2, 0), 2, 1).tolist()
    assert set(TASK.resize(TRUTH, 5, 7).ravel()) <= set(TRUTH.ravel())
    batch = TASK.collate([TRUTH, torch.from_numpy(TRUTH) * 2])
    assert (batch.dtype, batch.shape) == (torch.float32, (2, 2, 3))


def test_quality_is_minus_the_rmse_in_metres_once_the_space_is_solved_for():
    assert TASK.quality(TRUTH + 0.5, TRUTH) == pytest.approx(-0.5)
    assert TASK.quality(Depth(3 - 0.1 * TRUTH, "affine"), TRUTH) == pytest.approx(0, abs=1e-5)
    inverse = np.divide(1, TRUTH, out=np.ones_like(TRUTH), where=TRUTH > 0)
    assert TASK.quality(Depth(2 * inverse + 1, "disparity"), TRUTH) == pytest.approx(0, abs=1e-6)
    off = TRUTH + np.array([[0, 0, 1], [50, 0, -1]])
    g = TRUTH[TRUTH > 0].astype(float)
    s, t = np.polyfit(off[TRUTH > 0], g, 1)
    expected = -np.sqrt(np.mean((s * off[TRUTH > 0] + t - g) ** 2))
    assert TASK.quality(Depth(off, "affine"), TRUTH) == pytest.approx(expected)
    assert np.isnan(TASK.quality(TRUTH, np.zeros_like(TRUTH)))


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("protocol, error, words", [
    ({"alignment": "none", "clip": 3}, UnknownName, "clip_max"),
    ({"alignment": "affine"}, BadOption, "alignment='affine'"),
    ({"alignment": "none", "clip_min": 2, "clip_max": 1}, BadOption, "clip_min < clip_max"),
    ({"alignment": "none", "valid_above": -1}, BadOption, "valid_above < valid_below"),
    ({"alignment": "none", "alignment_max_size": 0}, BadOption, "alignment_max_size"),
    ({"alignment": "none", "headline": "abs_rel"}, UnknownName, "absrel"),
    ({"alignment": "median", "instructcv": True}, BadOption, "instructcv aligns nothing"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(protocol, error, words):
    with pytest.raises(error, match=words):
        TASK.evaluator(protocol)


def test_limits_of_datasets_are_the_published_ones_and_both_ends_are_out():
    limits = {n: (p.valid_above, p.valid_below, p.clip_min, p.clip_max) for n, p in PROTOCOLS.items()}
    assert limits["nyuv2"] == limits["scannet"] == limits["nyuv2_lotus"] == (1e-3, 10, 1e-3, 10)
    assert limits["kitti"] == (1e-5, 80, 1e-5, 80)
    assert limits["eth3d"] == (1e-5, None, 1e-5, None)
    assert limits["diode"] == (0, None, 0.6, 350)
    assert statistics(TRUTH, valid_above=1.0, valid_below=8.0)["valid"] == 3


def test_headlines_come_first_and_each_protocol_says_what_it_reports():
    def ids(name):
        return [m.id for m in TASK.evaluator(TASK.protocols()[name]).metrics]

    assert ids("nyuv2")[:2] == ["absrel", "delta1"]
    assert "negative_scale" in ids("nyuv2")
    assert ids("nyuv2_metric")[0] == "rmse"
    assert "negative_scale" not in ids("nyuv2_metric")
    assert ids("nyuv2_instructcv_compat") == ["rmse_icv", "absrel_icv", "delta1_icv", "skipped"]
    assert not any("_icv" in one for name in PROTOCOLS if "instructcv" not in name for one in ids(name))
    (absrel, *_) = TASK.evaluator(TASK.protocols()["nyuv2"]).metrics
    assert (absrel.unit, absrel.higher_is_better) == ("points", False)


# ------------------------------------------------------------------------------------------------ ensembles

MEMBER = np.array([[0, 0.5], [1, 0.25]])


def cost(maps, scale, shift):
    """The objective of an ensemble by its definition, for maps (N, n)."""
    d = scale[:, None] * maps + shift[:, None]
    m = torch.median(torch.from_numpy(d), 0).values
    pairs = sum(np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.combinations(d, 2))
    return pairs + 0.02 * (abs(m.min().item()) + abs(1 - m.max().item()))


def test_members_that_agree_up_to_scale_and_shift_give_back_the_map():
    for several in ([MEMBER, 0.5 * MEMBER + 0.2], [0.1 * MEMBER + 0.6, MEMBER, 0.7 * MEMBER]):
        middle, doubt = ensemble(np.stack(several))
        assert middle == pytest.approx(MEMBER, abs=1e-6)
        assert doubt == pytest.approx(np.zeros((2, 2)), abs=1e-6)
    assert cost(np.stack([MEMBER, 0.5 * MEMBER + 0.2]).reshape(2, -1), np.array([1, 2]), np.array([0, -0.4])) < 1e-15


def test_one_member_is_left_as_it_is():
    map_ = Depth(np.array([[0.2, 0.7]], np.float32), "affine")
    assert TASK.ensemble([map_]).values.tolist() == map_.values.tolist()


def test_the_median_is_the_lower_one_as_torchs():
    assert lower_median(np.array([[0.0], [1.0]])).tolist() == [0.0]
    maps = np.random.default_rng(0).normal(size=(6, 4, 5))
    assert np.array_equal(lower_median(maps), torch.median(torch.from_numpy(maps), 0).values.numpy())


def noisy(members, seed):
    rng = np.random.default_rng(seed)
    clean = np.linspace(0, 1, 400).reshape(20, 20)
    noise = rng.normal(0, 0.02, (members, 20, 20))
    scale, shift = rng.uniform(0.3, 0.9, (members, 1, 1)), rng.uniform(0, 0.3, (members, 1, 1))
    return clean, noise, scale * (clean + noise) + shift


def test_noisy_members_are_brought_together_and_their_spread_is_told():
    clean, noise, maps = noisy(6, 2)
    middle, doubt = ensemble(maps)
    assert (middle.min(), middle.max()) == (0, 1)
    joined = np.abs(np.polyval(np.polyfit(middle.ravel(), clean.ravel(), 1), middle) - clean).mean()
    assert joined < 0.6 * np.abs(noise).mean()
    assert 0.005 < doubt.mean() < 0.02  # the median of |normal| is 0.67 standard deviations
    assert np.array_equal(TASK.ensemble([Depth(one, "affine") for one in maps]).values, middle)


def test_the_formula_of_an_ensemble_alone_would_shrink_its_maps_to_nothing():
    _, _, maps = noisy(6, 2)
    flat = maps.reshape(6, -1)
    low, high = flat.min(1), flat.max(1)
    scale, shift = 1 / (high - low), -low / (high - low)
    assert cost(flat, 0.01 * scale, 0.01 * shift) < 0.1 * cost(flat, scale, shift)
    assert np.ptp(ensemble(maps)[0]) == 1


def test_metric_members_keep_their_metres():
    found = TASK.ensemble([Depth(np.full((1, 2), v), "metric") for v in (2.0, 9.0, 3.0, 4.0)])
    assert (found.space, found.values.tolist()) == ("metric", [[3.0, 3.0]])


@pytest.mark.parametrize("members", [[], [Depth(TRUTH, "metric"), Depth(TRUTH, "affine")], [TRUTH, TRUTH.T]])
def test_an_ensemble_needs_members_of_one_kind(members):
    with pytest.raises(BadPrediction, match="one space and size, met"):
        TASK.ensemble(members)


# ------------------------------------------------------------------------------------------------ pictures and files


def test_near_is_red_far_is_violet_and_what_is_unknown_is_black():
    red, violet = [158, 1, 66], [94, 79, 162]  # the ends of matplotlib's Spectral
    shown = TASK.picture(TRUTH, SAMPLE.image)
    assert (shown.dtype, shown.shape) == (np.uint8, (2, 3, 3))
    assert (shown[0, 0].tolist(), shown[1, 1].tolist(), shown[1, 0].tolist()) == (red, violet, [0, 0, 0])
    shown = TASK.picture(Depth(TRUTH, "disparity"), SAMPLE.image)
    assert (shown[1, 0].tolist(), shown[1, 1].tolist()) == (violet, red)
    assert TASK.picture(np.zeros((2, 3)), SAMPLE.image).sum() == 0
    assert TASK.picture(np.ones((2, 3)), SAMPLE.image)[0, 0].tolist() == red


@pytest.mark.parametrize("files", ["affine", "disparity", "metric"])
def test_a_map_that_was_written_is_read_back(tmp_path, files):
    task = DepthTask(files)
    path = tmp_path / f"pred_0001{task.suffix}"
    task.write(Depth(TRUTH, files), path)
    assert np.load(path).dtype == np.float32
    found = task.read(path, SAMPLE)
    assert (found.space, found.values.tolist()) == (files, TRUTH.tolist())


def test_millimetres_are_metric_whatever_other_files_hold(tmp_path):
    path = tmp_path / "depth.png"
    TASK.write(TRUTH + 0.1234, path)
    with Image.open(path) as opened:
        assert np.asarray(opened)[0].tolist() == [1123, 2123, 4123]
    found = TASK.read(path, SAMPLE)
    assert found.space == "metric"
    assert found.values == pytest.approx(TRUTH + 0.1234, abs=5.01e-4)


@pytest.mark.parametrize("prediction, name, words", [
    (Depth(TRUTH, "affine"), "a.png", "affine depth is written as .npy"),
    (TRUTH * 9, "a.png", "holds 0 to 65.535 m, met 0 to 72"),
    (TRUTH, "a.exr", "metric depth is written as .npy"),
])  # fmt: skip
def test_what_a_file_cannot_hold_is_not_written(tmp_path, prediction, name, words):
    with pytest.raises(BadPrediction, match=words):
        TASK.write(prediction, tmp_path / name)


def test_files_that_hold_no_map_of_the_photograph_are_refused_by_name(tmp_path):
    def refused(name, words):
        with pytest.raises(BadData, match=f"{name}.*{words}"):
            TASK.read(tmp_path / name, SAMPLE)

    refused("gone.npy", "cannot be read")
    (tmp_path / "text.npy").write_text("no map")
    refused("text.npy", "cannot be read")
    (tmp_path / "text.png").write_text("no map")
    refused("text.png", "cannot be read")
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    refused("objects.npy", "cannot be read")
    np.save(tmp_path / "turned.npy", TRUTH.T)
    refused("turned.npy", "of sample rooms/7")
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "bytes.png")
    refused("bytes.png", "not 16-bit")
    np.save(tmp_path / "trailing.npy", TRUTH[..., None])
    assert TASK.read(tmp_path / "trailing.npy", SAMPLE).values.shape == (2, 3)
