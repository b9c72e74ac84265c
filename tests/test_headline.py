"""The comparison in benchmarks/headline: every file can be planned, and its commands find one reference."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import results

from addp_bench import records
from addp_bench.cards import Cards
from addp_bench.keys import placeless
from addp_bench.loading import load
from addp_bench.resolve import resolve
from addp_bench.results.rendering import with_interval
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


# ------------------------------------------------------------------------------------- figures that no command prints

ROOT = FOLDER.parents[1]


def trained(name):
    """(weights, aug) -> the committed records of a budget that learn x0 in its own number of steps, by seed."""
    found = {}
    for record in records.load_all(ROOT / "benchmarks" / "records" / name).records:
        choices, training = record.result["choices"], record.result["training"] or {"steps": 0}
        its = 0 < training["steps"] <= 1000 and record.result["sampling_steps"] > 1
        if its and choices["target"]["name"] == "x0":
            found.setdefault((choices["weights"]["name"], choices["aug"]["name"]), {})[record.result["seed"]] = record
    return found


def points(record, chosen):
    """oIoU of some samples, as it is written."""
    columns = record.statistics.columns
    return f"{100 * columns['intersection'][chosen].sum() / columns['union'][chosen].sum():.1f}"


def test_the_readme_tells_the_first_and_the_last_estimate_as_the_records_have_them():
    text = " ".join((ROOT / "README.md").read_text().split())
    for (weights, _), cells in trained("standard").items():
        curves = np.mean([record.result["curve"]["metrics"]["oiou"] for record in cells.values()], axis=0)
        assert curves[:2].max() == curves.max(), "one of the first two is the best"
        if weights in ("uniform", "perception_stats"):
            assert len(cells) == 3
            assert f"{100 * curves[0]:.1f} to {100 * curves[-1]:.1f}" in text


def test_the_table_of_tasks_is_what_the_leaderboard_shows(shell):
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| ([^|]+ [↑↓]) \| ([^|]+) \|([^|]*)\| mean ([^|]+) \|$", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["depth", "semantic", "detection", "classification", "probe"]
    folder = ROOT / "benchmarks" / "records" / "tasks"
    for task, metric, alone, mixed, mean in rows:
        code, out, _ = shell("leaderboard", "--runs", folder, "--task", task, "--format", "markdown")
        assert code == 0
        lines = [[c.strip() for c in line[1:-1].split("|")] for line in out.splitlines() if line.startswith("|")]
        column = lines[0].index(f"{metric} [95 %]")
        found = {}
        for line in lines[2:]:
            model = line[lines[0].index("model")]
            trained_on = line[lines[0].index("train tasks")] if "train tasks" in lines[0] else task
            found[model, trained_on if model == "tiny" else ""] = line[column]
        assert (found["tiny", task], found["mean°", ""]) == (alone, mean)
        assert found.get(("tiny", "depth=0.3+semantic=0.3+detection=0.4"), "") == mixed.strip()


def test_what_the_recipe_leads_by_at_equal_compute_is_what_the_leaderboard_says(shell):
    text = " ".join((ROOT / "README.md").read_text().split())
    same = ["--reference", "weights=uniform", "--reference", "aug=none", "--reference", "train_steps=2312"]
    code, out, _ = shell("leaderboard", "--runs", ROOT / "benchmarks" / "records" / "standard", *same, "--json")
    assert code == 0
    (section,) = json.loads(out)["sections"]
    more = next(row for row in section["rows"] if row["reference"])
    (recipe,) = (
        row for row in section["rows"] if row["choices"].get("aug") == "linear" and "perc" in str(row["choices"])
    )
    whole, lead = more["metrics"]["oiou"], recipe["difference"]
    assert f"reaches {with_interval(whole, 'points')}, and what the recipe leads by is then" in text
    assert f"is then {with_interval(lead, 'points', signed=True)}, each half by less" in text
    assert lead["p_holm"] > 0.05, "not shown"


def test_what_more_training_brings_on_the_same_expressions_is_what_the_records_say():
    text = " ".join((ROOT / "docs" / "tiny.md").read_text().split())
    few = trained("quick")["uniform", "none"][0]
    more = trained("standard")["uniform", "none"]
    brought = [points(more[seed], np.isin(more[seed].statistics.ids, few.statistics.ids)) for seed in (0, 1, 2)]
    whole = points(few, np.ones(len(few.statistics.ids), bool))
    first, second, third = brought
    assert f"bring {first}, {second} and {third} on the 200 expressions" in text
    assert f"on which `quick` reaches {whole}:" in text


def test_how_the_easiest_level_hangs_on_the_sentence_is_what_the_records_say():
    text = " ".join((ROOT / "docs" / "tiny.md").read_text().split())
    record = trained("standard")["uniform", "none"][0]
    level, kind = (record.statistics.attributes[name] for name in ("level", "kind"))
    one, two = (float(points(record, (level == "L0") & (kind == name))) / 100 for name in ("attribute", "two_hop"))
    assert f"({one:.2f} where an attribute names the object, {two:.2f} where two relations do, in seed 0)" in text


def test_what_each_choice_brings_over_the_two_by_two_is_what_the_effects_are(shell):
    text = " ".join((ROOT / "README.md").read_text().split())
    grid = ["weights=uniform,perception_stats", "target=x0", "train_steps=1000"]
    where = [word for condition in grid for word in ("--where", condition)]
    reference = ["--reference", "weights=uniform", "--reference", "aug=none"]
    runs = ROOT / "benchmarks" / "records" / "standard"
    code, out, err = shell("effects", "--runs", runs, *where, *reference, "--json")
    assert code == 0, err
    (section,) = json.loads(out)["sections"]
    found = {tuple(effect["factors"]): effect for effect in section["effects"]}

    def said(effect):
        return with_interval(effect, "points", signed=True)[1:]  # the text says of what it is an increase

    assert f"augmentation brings {said(found['aug',])}, separated after correction" in text
    assert f"and the weights {said(found['weights',])}" in text
    assert found["aug",]["p_holm"] <= 0.05 < found["weights",]["p_holm"]
