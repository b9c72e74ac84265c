"""The judge of depth, against worked examples, numpy's least squares and a brute force pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from addp_bench.errors import BadData
from addp_bench.tasks import depth
from addp_bench.tasks.depth import DepthTask
from addp_bench.tasks.depth_alignment import least_squares, subsampled
from addp_bench.types import Depth, Sample

TASK = DepthTask()
PLAIN = {"alignment": "none"}


def sample(truth, id="s"):
    truth = np.atleast_2d(np.asarray(truth, np.float64))
    return Sample(id, id, np.zeros((*truth.shape, 3), np.uint8), truth)


def judged(truth, predicted, space="affine", **settings):
    """The columns of one image under these settings; lists are single rows."""
    evaluator = TASK.evaluator({"alignment": "least_square", **settings})
    return evaluator.statistics(sample(truth), Depth(np.atleast_2d(np.asarray(predicted, np.float64)), space))


def protocol_of(name):
    return dict(TASK.protocols()[name])


def agree(found, **expected):
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_errors_without_alignment_by_hand():  # D1
    found = judged([1, 2, 4, 8], [1.1, 1.8, 4.4, 6.0], "metric", alignment="none")
    agree(found, absrel=0.1375, sqrel=0.1425, rmse=1.025914, rmselog=0.167354, log10=0.063370, irmse=0.058317)
    agree(found, delta1=0.75, delta2=1, delta3=1, silog=0.15951974, scale=1, shift=0, valid=4, few=1, skipped=0)


def test_a_pixel_without_truth_is_not_judged():  # D2
    found = judged([1, 2, 4, 0], [1.1, 1.8, 4.4, 6.0], "metric", alignment="none")
    agree(found, absrel=0.1, sqrel=0.023333, rmse=0.264575, rmselog=0.098774, log10=0.042848, delta1=1)
    agree(found, silog=0.09459707, valid=3)


def test_a_ratio_of_exactly_one_and_a_quarter_fails():  # D3
    found = judged([1, 1, 1], [1.25, 0.8, 1.2], "metric", alignment="none")
    assert found["delta1"] == 1 / 3
    assert judged([1], [1.25**2], "metric", alignment="none")["delta2"] == 0
    assert judged([1], [1.25**3], "metric", alignment="none")["delta3"] == 0


def test_scale_and_shift_are_solved_for_in_depth():  # D4
    found = judged([1, 2, 3.5, 1.5], [0, 0.5, 1, 0.25])
    agree(found, scale=2.514286, shift=0.9, absrel=0.055527, rmse=0.103510, log10=0.024392, delta1=1, silog=0.06609640)
    aligned = found["scale"] * np.array([0, 0.5, 1, 0.25]) + found["shift"]
    assert aligned == pytest.approx([0.9, 2.157143, 3.414286, 1.528571], abs=1e-6)
    found = judged([1, 2, 3.2, 1.4], [0, 0.5, 1, 0.25])
    agree(found, scale=2.24, shift=0.92, absrel=0.042411, delta1=1)


def test_a_constant_prediction_gets_the_solution_of_least_norm():  # D5
    found = judged([1, 2, 3], [0.5, 0.5, 0.5])
    agree(found, scale=0.8, shift=1.6, absrel=0.444444, rmse=0.816497, delta1=1 / 3, delta2=2 / 3)


def test_an_inverted_prediction_is_righted_and_its_sign_is_reported():  # D6
    found = judged([1, 2, 3], [1, 0.5, 0])
    agree(found, scale=-2, shift=3, absrel=0, delta1=1, negative_scale=1)
    evaluator = TASK.evaluator({"alignment": "least_square"})
    columns = {name: np.array([value, judged([1, 2], [0, 1])[name]]) for name, value in found.items()}
    assert {m.id: float(m.value(columns)) for m in evaluator.metrics}["negative_scale"] == 0.5


def test_aligned_depths_are_clipped_to_the_datasets_limits():  # D7
    found = judged([0.5, 1, 1, 9.5], [0, 0.05, 0.5, 1], clip_min=1e-3, clip_max=10.0)
    agree(found, scale=8.283797, shift=-0.209971, absrel=1.218958, rmse=1.696499, delta1=0.25)
    aligned = found["scale"] * np.array([0, 0.05, 0.5, 1]) + found["shift"]
    assert aligned == pytest.approx([-0.209971, 0.204219, 3.931927, 8.073826], abs=1e-6)
    unclipped = judged([0.5, 1, 1, 9.5], [0, 0.05, 0.5, 1])  # to 1e-6 all the same
    assert unclipped["irmse"] == pytest.approx(
        math.sqrt((((1e6 - 2) ** 2) + (1 / 0.204219 - 1) ** 2) / 4 + (1 / 3.931927 - 1) ** 2 / 4), rel=1e-4
    )


def test_disparity_is_aligned_to_one_over_depth():  # D8
    found = judged([1, 2, 4, 8], [0.9, 0.5, 0.2, 0.1], "disparity", alignment="least_square_disparity")
    agree(found, scale=1.072581, shift=0.012903, absrel=0.062848, rmse=0.271158, delta1=1)
    depths = 1 / (found["scale"] * np.array([0.9, 0.5, 0.2, 0.1]) + found["shift"])
    assert depths == pytest.approx([1.022259, 1.820852, 4.397163, 8.322148], abs=1e-6)


def test_an_aligned_disparity_is_at_least_a_thousandth_and_what_has_none_is_not_fitted():
    p, g = np.array([1.0, 0.5, 0.0, -3.0]), np.array([1.0, 2.0, 4.0, 5.0])
    found = judged(g, p, "disparity", alignment="least_square_disparity")
    agree(found, scale=1, shift=0)
    assert found["rmse"] == pytest.approx(math.sqrt((996**2 + 995**2) / 4))


def test_metric_depth_is_turned_into_disparity_where_that_is_aligned():
    g = np.array([1.0, 2.0, 4.0, 8.0])
    found = judged(g, 2 * g, "metric", alignment="least_square_disparity")
    agree(found, scale=2, shift=0, absrel=0)
    agree(judged(g, [0, 2, 4, 8], "metric", alignment="least_square_disparity"), scale=1, shift=0)  # 0 is no distance


def test_a_common_factor_is_seen_by_all_but_silog():  # D9
    found = judged([1, 2, 4], [2, 4, 8], "metric", alignment="none")
    agree(found, absrel=1, rmselog=0.693147, log10=0.301030, delta1=0, silog=0)


def test_images_weigh_alike_however_many_pixels_they_have():  # D10
    evaluator = TASK.evaluator(PLAIN)
    a = evaluator.statistics(sample([1, 1]), np.full((1, 2), 1.5))
    b = evaluator.statistics(sample([10] * 8), np.full((1, 8), 10.0))
    columns = {name: np.array([a[name], b[name]]) for name in a}
    scores = {m.id: float(m.value(columns)) for m in evaluator.metrics}
    assert scores["absrel"] == pytest.approx(0.25)
    assert scores["rmse"] == pytest.approx(0.25)


def test_one_pixel_is_met_exactly():
    found = judged([3], [0.5])
    agree(found, scale=1.2, shift=2.4, absrel=0, few=1, skipped=0)
    assert judged(np.ones(10), np.arange(10))["few"] == 0


def test_the_median_is_a_scale_alone():
    agree(
        judged([1, 2, 9], [1, 4, 5], "metric", alignment="median"),
        scale=0.5,
        shift=0,
        rmse=math.sqrt((0.25 + 42.25) / 3),
    )
    agree(judged([1, 2, 9], [0, 0, 5], "metric", alignment="median"), scale=0)


def test_an_image_without_truth_is_left_out_of_every_mean_and_counted():
    evaluator = TASK.evaluator({"alignment": "least_square", "valid_below": 10.0})
    rows = [evaluator.statistics(sample(g), Depth(np.ones((1, 3)), "affine")) for g in ([0, 0, 50], [1, 2, 3])]
    assert rows[0].keys() == rows[1].keys()
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    scores = {m.id: float(m.value(columns)) for m in evaluator.metrics}
    assert scores["skipped"] == 0.5
    assert scores["rmse"] == pytest.approx(math.sqrt(2 / 3))
    assert [m.scored(columns) for m in evaluator.metrics if m.id != "skipped"] == [1] * (len(evaluator.metrics) - 1)


def test_what_instructcv_reports_is_read_off_odd_metres_only():
    g, p = [1.5, 2.5, 3.5, 4.5], [1, 3.5, 3, 6.5]
    found = judged(g, p, "metric", **protocol_of("nyuv2_instructcv_compat"))
    agree(found, rmse_icv=0.353553, absrel_icv=0.119048, delta1_icv=0.75)
    agree(judged(g, p, "metric", alignment="none"), rmse=1.172604, absrel=0.330159, delta1=0.25)
    constant = judged(g, [2.0] * 4, "metric", **protocol_of("nyuv2_instructcv_compat"))
    agree(constant, rmse_icv=0, delta1_icv=1)
    agree(judged(g, [2.0] * 4, "metric", alignment="none"), rmse=1.5)
    hole = judged([0, 3.5], [3.0, 3.0], "metric", **protocol_of("nyuv2_instructcv_compat"))
    agree(hole, rmse_icv=0.5 / math.sqrt(2))
    for truth, answer in ((1.4, 1.6), (1.6, 1.4)):  # both are one whole metre
        agree(judged([truth], [answer], "metric", **protocol_of("nyuv2_instructcv_compat")), rmse_icv=0.2)


# ------------------------------------------------------------------------------------- against a second implementation


def brute_force(g, p, settings):
    """One image in plain Python: the pixels one at a time, least squares by numpy.linalg.lstsq."""
    low, high = settings["valid_above"], settings["valid_below"] or math.inf
    pairs = [(float(a), float(b)) for a, b in zip(g.ravel(), p.ravel()) if low < a < high]
    if not pairs:
        return None
    how, s, t = settings["alignment"], 1.0, 0.0
    if how in ("least_square", "least_square_disparity"):
        fit = [(a, b) for a, b in pairs if how == "least_square" or b > 0]
        rows = np.array([[b, 1.0] for _, b in fit]).reshape(-1, 2)
        goal = np.array([a if how == "least_square" else 1 / a for a, _ in fit])
        s, t = (float(x) for x in np.linalg.lstsq(rows, goal, rcond=None)[0])
    elif how == "median":
        s = float(np.median([a for a, _ in pairs])) / float(np.median([b for _, b in pairs]))
    total = dict.fromkeys(("absrel", "sqrel", "rmse", "rmselog", "log10", "irmse", "d1", "d2", "d3", "e"), 0.0)
    for a, b in pairs:
        b = s * b + t
        if how == "least_square_disparity":
            b = 1 / max(b, 1e-3)
        if settings["clip_min"] is not None:
            b = max(b, settings["clip_min"])
        if settings["clip_max"] is not None:
            b = min(b, settings["clip_max"])
        b = max(b, 1e-6)
        total["absrel"] += abs(b - a) / a
        total["sqrel"] += (b - a) ** 2 / a
        total["rmse"] += (b - a) ** 2
        total["rmselog"] += math.log(b / a) ** 2
        total["log10"] += abs(math.log10(b / a))
        total["irmse"] += (1 / b - 1 / a) ** 2
        total["e"] += math.log(b / a)
        for k in (1, 2, 3):
            total[f"d{k}"] += max(a / b, b / a) < 1.25**k
    mean = {name: value / len(pairs) for name, value in total.items()}
    return {
        **{name: mean[name] for name in ("absrel", "sqrel", "log10")},
        **{name: math.sqrt(mean[name]) for name in ("rmse", "rmselog", "irmse")},
        **{f"delta{k}": mean[f"d{k}"] for k in (1, 2, 3)},
        "silog": math.sqrt(max(0.0, mean["rmselog"] - mean["e"] ** 2)),
        "scale": s,
        "shift": t,
        "negative_scale": float(s < 0),
        "valid": len(pairs),
        "few": float(len(pairs) < 10),
        "skipped": 0.0,
    }


def image(rng):
    """A truth and an answer of some size, often degenerate: constant, of one pixel, without a truth."""
    shape = tuple(rng.integers(1, 7, 2))
    g = rng.uniform(0.2, 12.0, shape).astype(np.float32)
    p = (
        rng.choice([1.0, 0.2, 5.0]) * g + rng.normal(0, 0.3, shape)
        if rng.random() < 0.5
        else rng.uniform(-0.2, 1, shape)
    )
    kind = rng.integers(8)
    if kind == 0:
        p = np.full(shape, rng.uniform(-1, 2))
    if kind == 1:
        g = np.full(shape, rng.uniform(0.5, 5), np.float32)
    if kind == 2:
        g = np.zeros(shape, np.float32)
    if kind == 3:
        g = np.where(np.arange(g.size).reshape(shape) == rng.integers(g.size), g, 0)
    if kind >= 6:
        g = np.where(rng.random(shape) < 0.4, 0, g)
    return g, p.astype(np.float32)


@pytest.mark.parametrize("alignment, space", [
    ("least_square", "affine"), ("least_square_disparity", "disparity"), ("median", "metric"), ("none", "metric"),
])  # fmt: skip
def test_the_judge_agrees_with_one_that_looks_at_each_pixel(alignment, space):
    rng, met = np.random.default_rng(len(alignment)), 0
    for _ in range(500):
        g, p = image(rng)
        settings = {
            "alignment": alignment,
            "valid_above": float(rng.choice([0.0, 1e-3, 1.0])),
            "valid_below": rng.choice([None, 10.0]),
            "clip_min": rng.choice([None, 0.5]),
            "clip_max": rng.choice([None, 10.0]),
        }
        expected = brute_force(g, p, settings)
        found = judged(g, p, space, **settings)
        if expected is None:
            assert found["skipped"] == 1
            assert all(math.isnan(found[name]) for name in ("absrel", "rmse", "delta1", "scale"))
            continue
        met += 1
        if abs(expected["scale"]) < 1e-9:  # rounding decides its sign
            expected["negative_scale"] = found["negative_scale"]
        # numbers beyond 1e3 come of depths clipped to 1e-6, where one rounding of the fit is worth much
        assert {k: found[k] for k in expected} == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert met > 350


def test_least_squares_are_numpys_also_where_a_fit_is_nearly_degenerate():
    rng = np.random.default_rng(3)
    for spread in (1.0, 1e-3, 1e-6, 1e-9, 0.0):
        for centre in (0.0, 0.3, -40.0):
            p, g = centre + spread * rng.normal(size=50), rng.uniform(1, 5, 50)
            if not spread:
                p[:] = centre
            expected = np.linalg.lstsq(np.stack([p, np.ones(50)], 1), g, rcond=None)[0]
            # numpy solves without centring, and loses the digits of the centre's square over the spread's
            loose = 1e-9 if spread in (0.0, 1.0) else max(1e-9, 1e-14 * (1 + centre**2) / spread**2)
            if loose < 1:
                assert least_squares(p, g) == pytest.approx(tuple(expected), rel=loose)
    assert least_squares(np.zeros(0), np.zeros(0)) == (0, 0)


# ----------------------------------------------------------------------------------------------- crops and subsampling


def mask_of(height, width, **settings):
    """The judged pixels of a photograph, read off a truth of which each pixel alone is wrong."""
    read = depth.Settings.read({"alignment": "none", **settings})
    whole = sample(np.ones((height, width)))
    mask = np.zeros((height, width), bool)
    window = depth._window(read, whole)
    mask[window] = depth._mask(read, whole)[window]
    return mask


def box(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask.sum() == len(rows) * len(columns)
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@pytest.mark.parametrize("size, settings, expected", [
    ((480, 640), {"mask": "eigen_nyu"}, (45, 471, 41, 601)),
    ((375, 1242), {"crop": "kitti_benchmark"}, (23, 375, 13, 1229)),
    ((370, 1224), {"crop": "kitti_benchmark"}, (18, 370, 4, 1220)),
    ((374, 1238), {"crop": "kitti_benchmark"}, (22, 374, 11, 1227)),
    ((376, 1241), {"crop": "kitti_benchmark"}, (24, 376, 12, 1228)),
    ((352, 1216), {"crop": "kitti_benchmark", "mask": "eigen"}, (117, 321, 43, 1172)),
    ((352, 1216), {"crop": "kitti_benchmark", "mask": "garg"}, (143, 349, 43, 1172)),
    ((375, 1242), {"crop": "kitti_benchmark", "mask": "eigen"}, (23 + 117, 23 + 321, 13 + 43, 13 + 1172)),
    ((375, 1242), {"crop": "none", "mask": "eigen"}, (124, 342, 44, 1197)),
    ((375, 1242), {"crop": "kitti_benchmark", "mask": "eigen", "mask_frame": "full"}, (124, 342, 44, 1197)),
    ((375, 1242), {"crop": "kitti_benchmark", "mask": "garg", "mask_frame": "full"}, (153, 371, 44, 1197)),
])  # fmt: skip
def test_crops_keep_the_rows_and_columns_that_are_published(size, settings, expected):
    assert box(mask_of(*size, **settings)) == expected


def test_the_published_crops_have_the_published_number_of_pixels():
    assert mask_of(480, 640, mask="eigen_nyu").sum() == 238_560
    assert mask_of(352, 1216, crop="kitti_benchmark", mask="eigen").sum() == 230_316
    assert mask_of(352, 1216, crop="kitti_benchmark", mask="garg").sum() == 232_574
    assert mask_of(375, 1242, mask="eigen").sum() == 251_354


def test_errors_outside_of_a_crop_do_not_count():
    truth, answer = np.full((480, 640), 2.0), np.full((480, 640), 9.0)
    answer[45:471, 41:601] = 2.0
    settings = {**protocol_of("nyuv2"), "alignment": "none"}
    found = judged(truth, answer, "metric", **settings)
    agree(found, rmse=0, valid=238_560)
    answer[45, 41] = 9.0
    assert judged(truth, answer, "metric", **settings)["rmse"] > 0


@pytest.mark.parametrize("size, protocol, words", [
    ((64, 64), "nyuv2", "s: its photograph is 64 x 64; eigen_nyu"),
    ((300, 1242), "kitti", "s: its photograph is 300 x 1242; the KITTI"),
])  # fmt: skip
def test_a_photograph_that_a_crop_was_not_made_for_is_refused(size, protocol, words):
    with pytest.raises(BadData, match=words):
        judged(np.ones(size), np.ones(size), **protocol_of(protocol))


def test_the_whole_frame_cannot_be_had_of_what_is_cut():
    with pytest.raises(BadData, match="mask_frame=full"):
        mask_of(352, 1216, crop="kitti_benchmark", mask="eigen", mask_frame="full")


def test_a_map_is_thinned_out_in_width_alone_as_shipped_or_in_both():
    ramp = np.arange(24).reshape(4, 6)
    assert subsampled(ramp, 3, "width").tolist() == [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18, 20, 22]]
    assert subsampled(ramp, 3, "both").tolist() == [[0, 2, 4], [12, 14, 16]]
    assert subsampled(ramp, 6, "width") is ramp
    assert subsampled(np.zeros((1, 4032, 6048), bool), 1024, "width").shape == (1, 4032, 1024)
    odd = np.arange(7 * 10).reshape(7, 10)
    torchs = torch.nn.functional.interpolate(torch.from_numpy(odd)[None].float(), size=4, mode="nearest")[0]
    assert np.array_equal(subsampled(odd, 4, "width"), torchs.numpy())


def test_scale_and_shift_of_a_large_map_come_of_its_thinned_out_copy():
    rng = np.random.default_rng(0)
    g, p = rng.uniform(1, 5, (6, 20)), rng.uniform(0, 1, (6, 20))
    found = judged(g, p, alignment_max_size=10, alignment_subsampling="width")
    assert (found["scale"], found["shift"]) == pytest.approx(least_squares(p[:, ::2].ravel(), g[:, ::2].ravel()))
    assert found["valid"] == 120
    found = judged(g, p, alignment_max_size=10)
    assert (found["scale"], found["shift"]) == pytest.approx(least_squares(p[::2, ::2].ravel(), g[::2, ::2].ravel()))
