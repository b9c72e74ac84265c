"""Runs that were really made, for simulations: their places are drawn by lot, so that nothing differs but by chance."""

from functools import cache
from pathlib import Path

import numpy as np

from addp_bench.records import load_all

STANDARD = Path(__file__).parents[1] / "benchmarks" / "records" / "standard"


@cache
def trained():
    """Runs of records that were really made: 21 networks of much the same quality, on 500 photographs."""
    records = [r for r in load_all(STANDARD).records if r.result["choices"].get("target", {}).get("name") == "x0"]
    found = [r.statistics for r in records if r.result["sampling_steps"] == 20]
    assert len(found) == 21
    rows = np.argsort(found[0].ids)
    images = np.unique(found[0].image_ids[rows], return_inverse=True)[1]
    sums = np.array([[s.columns[c][np.argsort(s.ids)] for c in ("intersection", "union")] for s in found])
    by_image = np.zeros((len(found), 2, images.max() + 1))
    for k in range(len(found)):
        for c in range(2):
            by_image[k, c] = np.bincount(images, sums[k, c])
    return by_image
