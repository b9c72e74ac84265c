"""What a training step of `tiny` spends on weights and draws, on corruption, and on encoding corrupted answers.

    python benchmarks/shares.py [--steps 20] [--batch 64] [--threads N] [--weights NAME ...]

Every strategy is trained with `aug linear` and the task's corruptions, on statistics that were made up where it needs
some. Shares are sums over all steps, of the time from drawing a batch to its optimiser step; reading photographs from
the dataset happens beside it, in another thread, and is told apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from addp_bench import cache
from addp_bench.batches import Batches, Source
from addp_bench.contribution import estimate, read_contribution
from addp_bench.errors import BenchError
from addp_bench.legality import Illegal
from addp_bench.loading import Loaded, load
from addp_bench.progress import Progress
from addp_bench.resolve import resolve
from addp_bench.run import Bench
from addp_bench.spec import Request
from addp_bench.stages import Planner
from addp_bench.training import Trainer

SAMPLES = 256
PARTS = ("draws", "corruption", "encoding", "reading")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--weights", nargs="+", help="strategies; all of them without it")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    loaded = load()
    with TemporaryDirectory() as folder:
        for name in asked.weights or loaded.registry.names("weights"):
            try:
                step, spent = measured(loaded, Path(folder), name, asked)
            except (BenchError, Illegal) as refused:
                print(f"{name}: {refused}")
                continue
            said = ", ".join(f"{part} {100 * spent[part] / step:.2f} %" for part in PARTS[:3])
            ours = 100 * (spent["draws"] + spent["corruption"]) / step
            print(
                f"{name}: step {1e3 * step / asked.steps:.0f} ms; {said}; draws and corruption together {ours:.2f} %; "
                f"reading, in another thread, {1e3 * spent['reading'] / asked.steps:.0f} ms",
                flush=True,
            )


def measured(loaded: Loaded, folder: Path, name: str, asked: argparse.Namespace) -> tuple[float, Counter[str]]:
    """Seconds of all steps, and of each part of them."""
    needs = loaded.registry.get("weights", name).factory.needs_contribution
    weights = f"{name}:from={statistics(folder)}" if needs else name
    overrides = {"train_samples": SAMPLES, "batch_size": asked.batch}
    request = Request(axes={"task": ["ris"], "weights": [weights], "aug": ["linear"]}, overrides=overrides)
    (cell,) = resolve(request, loaded.registry).cells
    bench = Bench(loaded.registry, loaded.hooks, folder, progress=Progress(quiet=True))
    stage = Planner(loaded.registry, folder).plan(cell).stages()[0]
    bench.store(stage).ensure(stage, lambda f: bench.work.do(stage, f))
    latents = cache.Latents.open(bench.folder(stage))

    model = bench.work.model(cell)
    recipe = bench.work.recipe(cell, model, read_contribution(statistics(folder)) if needs else None)
    samples, _ = bench.work.samples(cell, "train", SAMPLES)
    task, encoding = bench.work.build("task", cell), bench.work.build("encoding", cell)
    corruptions = [bench.work.registry.build("corruption", choice) for choice in cell.corruption]
    source = Source(latents, samples, task, encoding, corruptions)
    batches = Batches([source], model, recipe, asked.batch, 0, torch.device("cpu"))
    trainer = Trainer(model, recipe, cell.budget, "fp32")

    spent: Counter[str] = Counter()
    for method in ("draw", "combine"):
        watch(recipe.draws, method, "draws", spent)
    watch(recipe.aug, "strength", "corruption", spent)
    for corruption in corruptions:
        watch(corruption, "corrupt", "corruption", spent)
    watch(model.codec, "encode", "encoding", spent)
    watch(batches, "raw", "reading", spent)

    seconds = 0.0
    for turn in range(asked.steps + 1):
        if turn == 1:
            spent.clear()  # the first step does not count
            seconds = 0.0
        raw = batches.raw(trainer.step)
        begun = time.perf_counter()
        trainer.update(batches.batch(trainer.step, raw))
        seconds += time.perf_counter() - begun
    return seconds, spent


def watch(owner: Any, method: str, part: str, spent: Counter[str]) -> None:
    """Add the seconds of every call of a method to a part."""
    call: Callable[..., Any] = getattr(owner, method)

    def timed(*args: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            spent[part] += time.perf_counter() - begun  # type: ignore[assignment]  # a Counter may count seconds

    object.__setattr__(owner, method, timed)  # frozen dataclasses too


def statistics(folder: Path) -> Path:
    """A file of perception statistics of curves that were made up."""
    path = folder / "contribution.json"
    if not path.exists():
        curves = np.cumsum(np.random.default_rng(0).normal(size=(200, 10)), axis=1)
        path.write_text(json.dumps(estimate(curves, list(range(900, -1, -100)), steps=1000).to_json()))
    return path


if __name__ == "__main__":
    main()
