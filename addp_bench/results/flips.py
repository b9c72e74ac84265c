"""Which samples tell two sides apart: those that one gets right and the other does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from addp_bench.metrics import OfSums
from addp_bench.protocols import Metric

from .uncertainty import Runs

RIGHT = 0.5  # a sample's own number from which on it counts as right


def flips(metric: Metric, reference: Runs, other: Runs) -> dict[str, Any] | None:
    """Samples that the other side gets right and the reference does not, and the reverse.

    Both sides hold the same samples in the same order. A sample's own number is the metric of that sample alone, in the
    mean over seeds. It is right from 0.5 on, where the metric is a share of which more is better (an IoU, a hit, a
    threshold passed); of any other metric, samples flip that changed at all.

    Returns None for a metric that has no number for single samples (AP). Else `rule` ("right" or "changed") · gained
    and lost: id, image_id, reference and other, largest change first; by `changed`, better and worse · n01, n10: how
    many · images: of those on which one side gets more samples right, how many gained and lost · p: two-sided, exact
    binomial over these images, which are independent where expressions of one are not; with one sample an image, that
    is McNemar's test (1947). It speaks of these runs, not of other seeds. None by `changed`, or where no image flips.
    """
    if not isinstance(metric, OfSums):
        return None
    before, after = (_of_samples(metric, runs) for runs in (reference, other))
    known = ~np.isnan(before) & ~np.isnan(after)
    share = metric.unit == "points" and metric.higher_is_better and _within(before[known]) and _within(after[known])
    sign = 1 if metric.higher_is_better else -1
    change = np.where(known, sign * (after - before), 0.0)
    flipped = (known & (after >= RIGHT)).astype(int) - (known & (before >= RIGHT)) if share else np.sign(change)
    first = next(iter(reference.by_seed.values()))

    def listed(at: np.ndarray) -> list[dict[str, Any]]:
        ordered = sorted(np.flatnonzero(at).tolist(), key=lambda k: (-abs(change[k]), str(first.ids[k])))
        return [
            {
                "id": str(first.ids[k]),
                "image_id": str(first.image_ids[k]),
                "reference": float(before[k]),
                "other": float(after[k]),
            }
            for k in ordered
        ]

    gained, lost = listed(flipped > 0), listed(flipped < 0)
    _, image = np.unique(first.image_ids, return_inverse=True)
    net = np.bincount(image, flipped)
    images = {"gained": int((net > 0).sum()), "lost": int((net < 0).sum())}
    p = binomial(images["gained"], images["lost"]) if share else None
    rule = "right" if share else "changed"
    return {
        "rule": rule,
        "n01": len(gained),
        "n10": len(lost),
        "images": images,
        "p": p,
        "gained": gained,
        "lost": lost,
    }


def binomial(ones: int, others: int) -> float | None:
    """Two-sided exact p that both are as likely; None where there is none of either."""
    if not ones + others:
        return None
    return min(1.0, 2 * float(special.bdtr(min(ones, others), ones + others, 0.5)))


def _of_samples(metric: OfSums, runs: Runs) -> np.ndarray:
    """Each sample's own number (N,), in the mean over seeds; nan where a seed has none."""
    return np.mean([metric.of_sums(metric.addends(run.columns)) for run in runs.by_seed.values()], axis=0)


def _within(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())
