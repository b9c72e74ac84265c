"""How long does it take to plan ten thousand cells?

    python benchmarks/planning.py [--seeds 250]

Five weightings, four augmentations and two targets with as many seeds: resolved, and every stage named by its key, as
`addp-bench plan` does. Importing torch and the plugins is not counted; it is told beside.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

WEIGHTS = ("uniform", "perception_stats", "min_snr", "p2", "diffusion:snr_min=0.01")
AUGS = ("none", "linear", "constant", "tada")
TARGETS = ("x0", "v")


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--seeds", type=int, default=250, help="of each of the 40 combinations")
    given = asked.parse_args()
    begun = time.perf_counter()
    from addp_bench.cards import Cards
    from addp_bench.loading import load
    from addp_bench.resolve import resolve
    from addp_bench.spec import Request
    from addp_bench.stages import Planner

    registry = load().registry
    loaded = time.perf_counter()
    axes = {"task": ["ris"], "weights": WEIGHTS, "aug": AUGS, "target": TARGETS}
    with TemporaryDirectory() as runs:
        cards = Cards(registry)
        cells = resolve(Request(axes=axes, seeds=range(given.seeds)), registry, cards).cells
        resolved = time.perf_counter()
        planner = Planner(registry, Path(runs), cards)
        stages = {stage.key for cell in cells for stage in planner.plan(cell).stages()}
    ended = time.perf_counter()
    print(f"{len(cells)} cells, {len(stages)} stages: {ended - loaded:.2f} s")
    print(f"  resolved in {resolved - loaded:.2f} s, planned in {ended - resolved:.2f} s")
    print(f"  (importing torch and all plugins before it: {loaded - begun:.2f} s)")


if __name__ == "__main__":
    main()
