"""Seconds of a leaderboard over many records: the command itself, and its parts.

    python benchmarks/leaderboard.py                    1000 records: 200 rows of 5 seeds, 1000 samples each
    python benchmarks/leaderboard.py --seeds 1          1000 rows

The records are copies of one that was really made (benchmarks/records/standard), with other weights, other seeds, and
other answers: every sample's intersection is scaled by lot, so that rows differ and are tested in earnest.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.records import Record, load_all, write
from addp_bench.results.tables import leaderboard, render
from addp_bench.statistics import Statistics

STANDARD = Path(__file__).with_name("records") / "standard"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5, help="of each row")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        made = copies(runs, asked.records, asked.seeds)
        size = sum(file.stat().st_size for file in runs.rglob("*") if file.is_file()) / 1e6
        print(f"{made} records of {-(-made // asked.seeds)} rows, {size:.0f} MB")
        command = [sys.executable, "-m", "addp_bench", "leaderboard", "--runs", folder]
        told("the command", asked.repeats, lambda: run(command))
        told("its start, --help", asked.repeats, lambda: run([*command, "--help"]))
        told("reading", asked.repeats, lambda: load_all(runs))
        records = load_all(runs).records
        fresh = [[Record(r.body, r.folder) for r in records] for _ in range(asked.repeats)]  # without their statistics
        told("statistics, intervals, tiers, ranks", asked.repeats, lambda: leaderboard(fresh.pop()))
        table = leaderboard(records)
        told("as text", asked.repeats, lambda: render(table, "table"))


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def told(what: str, repeats: int, call: Callable[[], object]) -> None:
    """Say the best of some times by the clock, which a busy machine disturbs least, and by the processors."""
    clock, busy = [], []
    for _ in range(repeats):
        begun, worked = time.perf_counter(), processors()
        call()
        clock.append(time.perf_counter() - begun)
        busy.append(processors() - worked)
    print(f"{what}: {min(clock):.2f} s, {min(busy):.2f} s of all processors", flush=True)


def processors() -> float:
    """Seconds that this process and those it waited for have computed."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def copies(runs: Path, count: int, seeds: int) -> int:
    """Write `count` records, `seeds` of each row."""
    rng = np.random.default_rng(0)
    trained = [record for record in load_all(STANDARD).records if record.result["training"] is not None]
    first = min(trained, key=lambda record: record.id)
    statistics = first.statistics
    for k in range(count):
        row, seed = divmod(k, seeds)
        body: dict[str, Any] = copy.deepcopy(dict(first.body))
        body["cell"] = hashlib.sha256(f"{k}".encode()).hexdigest()
        body["id"] = body["cell"][:12]
        body["result"]["seed"] = seed
        body["result"]["choices"]["weights"] = {"name": f"w{row}", "options": {"scaling": "prob"}}
        scale = rng.uniform(0.9, 1.0) * rng.uniform(0.9, 1.0, len(statistics))
        columns = dict(statistics.columns)
        columns["intersection"] = columns["intersection"] * scale
        changed = Statistics(statistics.ids, statistics.image_ids, columns, dict(statistics.attributes))
        value = float(columns["intersection"].sum() / columns["union"].sum())
        body["result"]["metrics"]["oiou"]["value"] = value
        write(runs / "records" / body["id"], json.loads(json.dumps(body)), changed)
    return count


if __name__ == "__main__":
    main()
