"""The comparison in benchmarks/headline: every file can be planned, and its commands find one reference."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import results

from addp_bench.keys import placeless
from addp_bench.loading import load
from addp_bench.resolve import Cards, resolve
from addp_bench.specfile import read

FOLDER = Path(__file__).parents[1] / "benchmarks" / "headline"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def cells():
    registry = load().registry
    cards = Cards(registry)
    found = {}
    for file in FILES:
        resolutions = [resolve(request, registry, cards) for request in read(file, {})]
        assert not any(r.impossible for r in resolutions), file.name
        found[file.name] = [cell for r in resolutions for cell in r.cells]
    return found


def test_every_file_is_named_and_has_three_seeds_of_every_row(cells):
    page = (FOLDER / "README.md").read_text()
    for name, its in cells.items():
        assert f"`{name}`" in page
        assert {cell.seed for cell in its} == {0, 1, 2}
        assert {cell.budget.name for cell in its} == {"standard"}


def test_the_commands_of_the_page_find_one_reference(cells, tmp_path, shell):
    for cell in (cell for its in cells.values() for cell in its):
        choices = {k: placeless(c) for k, c in cell.choices.items()}
        training = {
            "dataset": placeless(cell.dataset("train")),
            "steps": cell.budget.steps_for(1),
            "batch_size": cell.budget.batch_size,
            "precision": cell.precision,
        }
        rng = np.random.default_rng(len(list(tmp_path.rglob("record.json"))))
        results.record(
            tmp_path,
            rng.random(20),
            seed=cell.seed,
            budget=cell.budget.name,
            result_choices=choices,
            result_training=training,
            result_sampling_steps=cell.budget.sampling_steps,
        )
    page = (FOLDER / "README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^addp-bench (leaderboard .*)$", page, re.MULTILINE)
    assert commands
    for command in commands:
        code, out, err = shell(*shlex.split(command), "--runs", tmp_path, "--format", "csv")
        assert code == 0, err
    x0 = [cell for its in cells.values() for cell in its if cell.name("target") == "x0"]
    rows = {(c.name("weights"), c.name("aug"), str(c.dataset("train")), c.budget) for c in x0}
    assert len(out.splitlines()) == 1 + len(rows), "one row for all seeds, and the columns' names"
