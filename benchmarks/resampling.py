"""How long resampling takes: two runs of 10 834 expressions of 1500 photographs, the paired difference of their oIoU.

    python benchmarks/resampling.py [--repeats 5] [--resamples 5000] [--loop 100]

RefCOCO's validation split has 10 834 expressions of 1500 photographs, which is what is made up here. Ours is
uncertainty.difference, from the statistics to the interval and p. Beside it a plain loop: of each resample the
photographs are drawn, their rows gathered, and both runs summed; `--loop` resamples are timed, of as many as
`--resamples` the time is told. The script fails where both do not give the same interval.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from addp_bench.metrics import RatioOfSums
from addp_bench.results.uncertainty import Runs, difference, resample_counts
from addp_bench.statistics import Statistics

EXPRESSIONS, PHOTOGRAPHS = 10_834, 1500
OIOU = RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union")


def made_up() -> tuple[Statistics, Statistics]:
    """Two runs on the same expressions, alike in what they find hard; every photograph has some."""
    rng = np.random.default_rng(0)
    image = np.concatenate([np.arange(PHOTOGRAPHS), rng.integers(0, PHOTOGRAPHS, EXPRESSIONS - PHOTOGRAPHS)])
    ids, images = (np.array([f"{k:05d}" for k in of]) for of in (np.arange(EXPRESSIONS), image))
    hard = rng.beta(2, 2, EXPRESSIONS)
    union = rng.integers(500, 50_000, EXPRESSIONS).astype(np.float64)

    def run() -> Statistics:
        iou = np.clip(hard + rng.normal(0, 0.1, EXPRESSIONS), 0, 1)
        return Statistics(ids, images, {"intersection": np.round(iou * union), "union": union})

    return run(), run()


def loop(first: Statistics, second: Statistics, counts: np.ndarray) -> np.ndarray:
    """The difference in each resample, of which counts (R, C) say how often each photograph stands in it."""
    _, image = np.unique(first.image_ids, return_inverse=True)
    rows = [np.flatnonzero(image == k) for k in range(counts.shape[1])]
    found = []
    for times in counts.astype(int):
        drawn = np.concatenate([rows[k] for k in np.repeat(np.arange(len(times)), times)])
        ratio = [
            run.columns["intersection"][drawn].sum() / run.columns["union"][drawn].sum() for run in (first, second)
        ]
        found.append(ratio[0] - ratio[1])
    return np.array(found)


def main() -> None:
    asked = argparse.ArgumentParser(description="How long resampling takes. See the head of this file.")
    asked.add_argument("--repeats", type=int, default=5, help="of ours; the median is told")
    asked.add_argument("--resamples", type=int, default=5000)
    asked.add_argument("--loop", type=int, default=100, help="resamples of the plain loop, 250 at most")
    given = asked.parse_args()
    first, second = made_up()
    walls, processors = [], []
    for _ in range(given.repeats):
        wall, processor = time.perf_counter(), time.process_time()
        found = difference(OIOU, Runs({0: first}), Runs({0: second}), resamples=given.resamples)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    counts = resample_counts(PHOTOGRAPHS, 0, 0)[: given.loop]
    begun = time.process_time()
    plain = loop(first, second, counts)
    of_loop = (time.process_time() - begun) / len(plain) * given.resamples
    same(first, second, plain)
    ours = statistics.median(processors)
    print(
        f"{given.resamples} resamples of {EXPRESSIONS} expressions in {PHOTOGRAPHS} photographs, two runs: "
        f"{ours:.2f} s of a processor, {statistics.median(walls):.2f} s on the clock; "
        f"a plain loop {of_loop:.1f} s of a processor, {of_loop / ours:.0f} times as long; "
        f"difference {found.value:.5f} [{found.low:.5f}, {found.high:.5f}]"
    )


def same(first: Statistics, second: Statistics, plain: np.ndarray) -> None:
    """Ends the program where ours, of the resamples of the loop, has another interval."""
    ours = difference(OIOU, Runs({0: first}), Runs({0: second}), resamples=len(plain))
    if (apart := float(np.abs(np.quantile(plain, [0.025, 0.975]) - [ours.low, ours.high]).max())) > 1e-12:
        raise SystemExit(f"ours and the loop differ by {apart:.2g}")


if __name__ == "__main__":
    main()
