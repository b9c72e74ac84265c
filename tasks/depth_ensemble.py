"""One depth map of several answers to the same photograph, by Marigold's own code."""

from __future__ import annotations

import numpy as np

REGULAR = 0.02  # weight of the term that keeps the median's ends at 0 and 1
STEPS, TOLERANCE = 50, 1e-6  # of BFGS; diffusers' own defaults are those of Marigold's first release, 2 and 1e-3
LARGEST = 1024  # pixels of the longer side of the copies on which maps are aligned


def ensemble(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """maps (N, H, W), each up to its own scale and shift -> one in [0, 1], and its uncertainty, (H, W) float32.

    Scales and shifts minimise the sum over pairs of maps of their root mean square difference
    + 0.02 (|min m| + |1 - max m|), m the median of the aligned maps, by BFGS. m, stretched to [0, 1], is the answer;
    the median absolute deviation from it, in shares of m's range, the uncertainty. The median of an even number is the
    lower of the middle two. One map is left as it is.

    Taken from diffusers and not written anew, because the result is not that of the formula alone: its true minimum has
    all maps shrunk to nothing, and what ends BFGS long before is the single precision in which the code takes
    differences.
    """
    import torch
    from diffusers import MarigoldDepthPipeline

    if len(maps) == 1:
        return maps[0].astype(np.float32), np.zeros(maps.shape[1:], np.float32)
    given = torch.from_numpy(np.asarray(maps, np.float32))[:, None]
    found, doubt = MarigoldDepthPipeline.ensemble_depth(
        given,
        output_uncertainty=True,
        reduction="median",
        regularizer_strength=REGULAR,
        max_iter=STEPS,
        tol=TOLERANCE,
        max_res=LARGEST,
    )
    return found[0, 0].numpy(), doubt[0, 0].numpy()


def lower_median(maps: np.ndarray) -> np.ndarray:
    """The median over the first axis of (N, H, W); of an even number of values the lower of the middle two."""
    place = (len(maps) - 1) // 2
    found: np.ndarray = np.partition(maps, place, axis=0)[place]
    return found
