"""What KITTI and Virtual KITTI 2 share: the crop of the KITTI benchmark."""

from __future__ import annotations

import numpy as np

from addp_bench.errors import BadData

HEIGHT, WIDTH = 352, 1216


def benchmark_crop(values: np.ndarray, where: str) -> np.ndarray:
    """The lowest 352 rows and the middle 1216 columns of (H, W, ...); a spare column is left at the right.

    where: the photograph's name. Raises BadData for one that is smaller.
    """
    height, width = values.shape[:2]
    if height < HEIGHT or width < WIDTH:
        raise BadData(f"{where} is {width} x {height} pixels, smaller than KITTI's crop of {WIDTH} x {HEIGHT}.")
    top, left = height - HEIGHT, int((width - WIDTH) / 2)
    return np.ascontiguousarray(values[top : top + HEIGHT, left : left + WIDTH])
