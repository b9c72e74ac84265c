"""A run inside the test's own process: the road of the command line from parsed flags on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from addp_bench.loading import Loaded, load
from addp_bench.progress import Progress
from addp_bench.resolve import resolve
from addp_bench.run import Bench, Finished
from addp_bench.spec import Request
from addp_bench.stages import Plan, Planner

DOTS = Path(__file__).with_name("dots.py")
SMALL: Mapping[str, Any] = {
    "train_steps": 3,
    "batch_size": 4,
    "warmup": 1,
    "lr": 1e-3,
    "stats_samples": 12,
    "limit": 6,
    "sampling_steps": 10,
}


def request(model: Path, axes: Mapping[str, Sequence[str]] | None = None, **given: Any) -> Request:
    """A request on `dots` with the model in a folder; other axes and fields as given."""
    overrides = {**SMALL, **given.pop("overrides", {})}
    basic = {"task": ["ris"], "dataset": ["dots"], "model": [f"instruct_pix2pix:path={model}"]}
    return Request(axes={**basic, **(axes or {})}, overrides=overrides, **given)


def plans(asked: Request, runs: Path, loaded: Loaded | None = None) -> tuple[Loaded, list[Plan]]:
    """Planned cells; raises what the command line would show."""
    loaded = loaded or load([DOTS])
    planner = Planner(loaded.registry, runs)
    return loaded, [planner.plan(cell) for cell in resolve(asked, loaded.registry).cells]


def run(asked: Request, runs: Path, loaded: Loaded | None = None, **options: Any) -> tuple[Bench, list[Plan], Finished]:
    """Run a request to its end."""
    loaded, planned = plans(asked, runs, loaded)
    bench = Bench(loaded.registry, loaded.hooks, runs, progress=Progress(quiet=True), **options)
    return bench, planned, bench.run(planned, loaded.registry.build("executor", "local"))
