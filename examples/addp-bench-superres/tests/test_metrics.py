"""PSNR and SSIM against numbers worked by hand and against scikit-image (0.24 to 0.26)."""

import numpy as np
import pytest
from addp_bench_superres.metrics import luma, psnr, shaved, ssim

skimage = pytest.importorskip("skimage")


def pictures(seed=0, noise=12.0, size=(40, 52)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    one = 128 + 90 * np.sin(x / 3.0 + seed)[..., None] * np.cos(y / 4.0)[..., None] * np.array([1.0, 0.7, -0.5])
    other = one + rng.normal(0, noise, one.shape)
    return tuple(np.clip(p, 0, 255).round().astype(np.uint8) for p in (one, other))


def test_psnr_by_hand():
    zero = np.zeros((2, 2), np.uint8)
    assert psnr(zero, np.full((2, 2), 255, np.uint8), 100) == 0.0  # MSE = 255^2
    assert psnr(zero, np.array([[1, 0], [0, 0]], np.uint8), 100) == pytest.approx(54.1514, abs=1e-4)  # MSE 1/4
    assert psnr(np.array([[200]], np.uint8), np.array([[100]], np.uint8), 100) == pytest.approx(8.1308, abs=1e-4)


def test_equal_pictures_count_as_the_most_and_nothing_as_more():
    one, _ = pictures()
    assert psnr(one, one, 100.0) == 100.0
    assert psnr(np.zeros((9, 9)), np.full((9, 9), 1e-6), 100.0) == 100.0  # 168 dB
    assert psnr(np.zeros((9, 9)), np.ones((9, 9)), 40.0) == 40.0  # 48.13 dB


def test_luma_by_hand_of_black_white_and_the_primaries():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert luma(colours)[0] == pytest.approx([16.0, 235.0, 81.481, 144.553, 40.966], abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_all_three_are_scikit_images(seed):
    from skimage.color import rgb2ycbcr
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    one, other = pictures(seed, noise=4.0 + 8 * seed)
    assert luma(one) == pytest.approx(rgb2ycbcr(one)[..., 0], abs=1e-9)
    assert psnr(one, other, 100) == pytest.approx(peak_signal_noise_ratio(one, other), abs=1e-9)
    found = structural_similarity(
        luma(one), luma(other), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(luma(one), luma(other)) == pytest.approx(found, abs=1e-9)


def test_ssim_of_flat_pictures_by_hand():
    """Without structure what is left is (2 a b + C1) / (a^2 + b^2 + C1), C1 = 6.5025."""
    flat = [np.full((16, 16), value, np.uint8) for value in (100, 150)]
    assert ssim(*flat) == pytest.approx((2 * 15000 + 6.5025) / (10000 + 22500 + 6.5025), abs=1e-9)
    assert ssim(flat[0], flat[0]) == pytest.approx(1.0)


def test_ssim_falls_below_0_where_structure_is_turned_over():
    x = np.mgrid[:30, :30][1]
    stripes = (128 + 100 * np.sin(x)).round()
    assert ssim(stripes, 256 - stripes) < -0.5


def test_a_border_is_cut_on_all_sides_and_0_cuts_nothing():
    numbers = np.arange(30).reshape(5, 6)
    assert shaved(numbers, 2).tolist() == [[14, 15]]
    assert shaved(numbers, 0).tolist() == numbers.tolist()
