"""What stands on the pages for something else, and what of them is not run: all of it, with its reason.

A new page needs a line here where one of its commands names something that nobody has (a cell, a folder of data), would
take long, or cannot run. Nothing here may be stale: `test_docs_commands.py` looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from docs_world import World

Filled = Callable[[World], object]


def newest(world: World) -> str:
    """The id of the record that was written last in the folder at hand."""
    return max(Path("runs/records").iterdir(), key=lambda folder: folder.stat().st_mtime).name


def cell(name: str) -> Filled:
    """The id of a finished cell, by its name in `World.cells`."""
    return lambda world: world.cells[name]


# words that stand for something, whole or between other characters; (page, word) wins over the word alone
FILLED: Mapping[str | tuple[str, str], Filled] = {
    "CELL": cell("ris uniform none 0"),
    "3f8a": cell("ris uniform none 0"),
    "91c2": cell("ris uniform none 1"),
    "77e0": cell("ris uniform none 2"),
    "4b7c": cell("ris uniform none 0"),
    "ca28": cell("ris perception_stats linear 0"),
    "1a2b3c": cell("classification"),
    "BOXES": cell("detection"),
    ("timesteps.md", "CELL"): cell("ris perception_stats none 0"),
    "NEWEST": newest,
    ("first-run.md", "CELL"): newest,
    ("results.md", "ID"): cell("ris uniform none 0"),
    "RUNS": lambda world: "runs",
    "masks/": lambda world: world.predictions("ris", "refcoco", "testA"),
    "said/": lambda world: world.predictions("classification", "coco", "val2017"),
    "prediction/": lambda world: world.predictions("depth", "nyuv2", "test"),
    ("scoring.md", "results.json"): lambda world: world.results("coco", "val2017"),
    "/data/nyuv2": lambda world: world.dataset("nyuv2"),
}

# pages that begin without a finished cell, and what the pages before them did
BEGIN: Mapping[str, Sequence[str]] = {
    "first-run.md": (),
    "first-plugin.md": ("run --task ris --limit 4",),
    "first-grid.md": ("run --task ris --limit 4",),
    "first-gate.md": ("run --task ris --limit 4", "run --task ris --limit 4 --weights late --plugin late.py"),
    "plugins.md": (),
    "stable-diffusion.md": (),
}

# pages that need the files of another
FILES: Mapping[str, str] = {
    "first-gate.md": "first-plugin.md",
    "contracts.md": "plugins.md",
    "loading.md": "plugins.md",
    "scale.md": "results.md",
}

# numbers after these options are made no larger than this; `0..2` becomes `0..1`
SMALLER: Mapping[str, str] = {
    "--limit": "4",
    "--steps": "2",
    "--train-steps": "2",
    "--batch-size": "5",
    "--seeds": "0..1",
    "--ensemble": "2",
    "--samples": "2",
}


class Edit(NamedTuple):
    """In commands of a page ("" for all) that hold `old`, `new` stands in its place; why."""

    page: str
    old: str
    new: str
    why: str


EDITS = (
    Edit("README.md", "--reference train_steps=1000", "--reference train_steps=2", "two steps are trained here"),
    Edit("", "run benchmarks/headline/", "run --seeds 0 benchmarks/headline/", "one seed"),
    Edit("", "more_training.yaml", "more_training.yaml --extra-steps 1", "it asks for 1312 steps more"),
    Edit("encodings.md", "transparent_learned+", "transparent_learned:samples=8:steps=2+", "400 steps of learning"),
    Edit("metrics.md", "boundary_f", "oiou", "acme.py has no such metric here"),
    Edit("metrics.md", "acme_task.all", "ris.all", "acme.py has no such task here"),
    Edit("interchange.md", "export coco 3f8a", "export coco BOXES", "a cell whose answers are boxes"),
    Edit("other-protocol.md", "t=449", "t=499", "of two steps"),
    Edit("sampling.md", "t=449", "t=499", "of two steps"),
    Edit(
        "protocols.md",
        "SD --protocol marigold",
        "SD --protocol marigold --ensemble 2 --limit 1",
        "aligning ten answers is slow",
    ),
    Edit(
        "scale.md",
        "ray:address=auto:cpus=4:gpus=0.5 --runs /shared/runs",
        "local --seeds 0",
        "tests/test_executors_clusters.py",
    ),
    Edit(
        "scale.md",
        "slurm:partition=gpu:gpus=1:cpus=8:minutes=240 --runs /shared/runs",
        "local --seeds 0",
        "tests/test_executors_clusters.py",
    ),
    Edit("results.md", "compare CELL CELL", "compare 4b7c ca28", "two different cells"),
    Edit(
        "results.md", "x0,train_steps=1000", "x0,train_steps=2,task=ris", "two steps are trained here, for every task"
    ),
    Edit("results.md", "run SPEC.yaml", "run SPEC.yaml --seeds 0", "one seed"),
    Edit("results.md", "weights.scaling=loss", "weights.scaling=prob", "no loss was scaled here"),
    Edit("results.md", "--where budget=standard", "--where budget=custom", "no budget is this small"),
    Edit("results.md", " --track trackio", "", "trackio is no requirement of the tests"),
    Edit("real-data.md", "--device cuda", "--device cpu", "there is no GPU"),
    Edit("real-data.md", "--precision bf16", "--precision fp32", "slow on a processor"),
)

# beginnings of lines that are not run, and why
NOT_RUN: Mapping[str, str] = {
    "pip install": "needs the network; .ci/run installs the checkout, and the wheel elsewhere",
    "python -m venv": ".ci/run makes its environments",
    ". .venv/bin/activate": ".ci/run makes its environments",
    "pytest": "runs this test",
    "ruff": ".ci/run runs it",
    "mypy": ".ci/run runs it",
    "python benchmarks/": "simulates for minutes; tests/test_intervals.py and test_benchmarks.py do so in small",
    "chromium": "tests/test_page_browser.py opens the page in one",
    "sphinx-build": ".ci/run builds the site, and tests/test_site.py in small",
}

# commands that may end otherwise here than on the page, with these exit codes
ENDS: Mapping[tuple[str, str], set[int]] = {
    # the miniatures hold less than what was published
    ("data.md", "addp-bench data verify nyuv2"): {3},
    ("own-dataset.md", "addp-bench data verify nyuv2"): {3},
    # two steps of training are too few to be spoilt
    (
        "first-gate.md",
        "addp-bench gate --baseline baseline.zip --runs today --where weights=late --strict  # exit code 1",
    ): {0, 1},
}

# programs of the system whose lines are run as they are
PROGRAMS = ("sed",)
