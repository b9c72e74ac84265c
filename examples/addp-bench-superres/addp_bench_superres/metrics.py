"""PSNR and SSIM as super-resolution reports them: of 8-bit pictures, on luma, without the border."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

PEAK = 255.0
LUMA = np.array([65.481, 128.553, 24.966]) / PEAK  # ITU-R BT.601 in studio swing, as MATLAB's rgb2ycbcr
SIGMA, TRUNCATE, BORDER = 1.5, 3.5, 5  # pixels: a Gaussian window of 11 x 11, and what of it hangs over an edge
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> Y of YCbCr (H, W) float64 in [16, 235], not rounded."""
    return 16.0 + picture.astype(np.float64) @ LUMA


def shaved(picture: np.ndarray, border: int) -> np.ndarray:
    """Without `border` pixels on each side."""
    return picture[border : picture.shape[0] - border, border : picture.shape[1] - border]


def psnr(one: np.ndarray, other: np.ndarray, most: float) -> float:
    """10 log10(255^2 / MSE) in dB, over all numbers of two arrays; at most `most`, which equals have too."""
    mse = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return most if mse == 0 else min(most, 10.0 * np.log10(PEAK**2 / mse))


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Mean structural similarity of two (H, W) arrays of range 255, sides above 10, in [-1, 1] (Wang et al., 2004).

    Population moments in a Gaussian window of 11 x 11 and standard deviation 1.5; windows that hang over an edge are
    not counted.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    shared = _blurred(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * shared + C2) / (var_x + var_y + C2)
    return float(shaved(light * structure, BORDER).mean())


def _blurred(values: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian_filter(values, SIGMA, truncate=TRUNCATE))
