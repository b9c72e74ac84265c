"""Pictures (H, W, 3) uint8 made smaller and larger, by Pillow's bicubic filter.

Its kernel has a = -0.5 and is widened where a picture is made smaller, as that of MATLAB's `imresize`, by which the
field's small pictures are made; the two differ in the rounding of single pixels.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """At `size` (H, W)."""
    if picture.shape[:2] == tuple(size):
        return picture
    height, width = size
    # a copy, since Pillow's own memory cannot be written to, and tensors want that
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """What is left of a picture made `scale` times smaller and as large again; its sides are multiples of `scale`."""
    height, width = picture.shape[:2]
    return resized(resized(picture, (height // scale, width // scale)), (height, width))
