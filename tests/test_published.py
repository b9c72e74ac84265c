"""Published numbers stand below the table they fit, with their source, and change nothing in it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from results import record

from addp_bench.loading import load
from addp_bench.results.published import read

ROW = {
    "method": "Somebody's",
    "task": "ris",
    "dataset": "tabletop",
    "split": "val",
    "protocol": "tabletop_ris",
    "metric": "oiou",
    "value": 81.25,
    "source": "https://example.org/paper, Table 3",
}


def written(folder, *rows):
    file = folder / "published.yaml"
    file.write_text(yaml.safe_dump(list(rows)))
    return file


@pytest.fixture
def runs(tmp_path):
    iou = np.random.default_rng(0).uniform(0.2, 0.6, 60)
    record(tmp_path, iou, weights="uniform")
    record(tmp_path, iou + 0.1, weights="p2")
    return tmp_path


def board(shell, runs, file, *more):
    code, out, err = shell("leaderboard", "--runs", runs, "--published", file, *more)
    return code, out, err.replace("loading every plugin once, to make the catalogue of what there is\n", "")


def test_they_stand_apart_with_their_source_and_the_table_is_as_before(shell, runs):
    file = written(runs, ROW, {**ROW, "metric": "miou", "value": 79}, {**ROW, "method": "Older", "protocol": "other"})
    code, out, err = board(shell, runs, file)
    assert (code, err) == (0, "")
    table, below = out.split("Published: ")
    assert table.rstrip() == shell("leaderboard", "--runs", runs)[1].rstrip()
    first, second = (line for line in below.splitlines() if "Table 3" in line)
    assert all(text in first for text in ("Somebody's", "81.2", "79.0", "tabletop_ris "))
    assert "other!" in second
    assert "not ranked" in below
    assert "another protocol" in below


@pytest.mark.parametrize("style", ["markdown", "latex"])
def test_every_format_tells_the_source(shell, runs, style):
    assert "example.org/paper" in board(shell, runs, written(runs, ROW), "--format", style)[1]


def test_numbers_are_stored_as_those_of_records_are(shell, runs):
    file = written(runs, ROW)
    (section,) = json.loads(board(shell, runs, file, "--json")[1])["sections"]
    assert section["published"][0]["metrics"] == {"oiou": 0.8125}
    assert [row["rank"] for row in section["rows"]] == [1, 2]
    *measured, last = csv.DictReader(io.StringIO(board(shell, runs, file, "--format", "csv")[1]))
    assert [row["method"] for row in measured] == ["", ""]
    assert (last["method"], last["oiou"], last["rank"], last["source"]) == ("Somebody's", "0.8125", "", ROW["source"])


def test_what_fits_no_table_is_named(shell, runs):
    file = written(runs, ROW, {**ROW, "dataset": "refcoco"}, {**ROW, "split": "test"}, {**ROW, "metric": "ap"})
    code, out, err = board(shell, runs, file)
    assert code == 0
    assert [line.split("(")[1].split(")")[0].split(", ")[1] for line in err.splitlines()] == ["row 2", "row 3", "row 4"]
    assert out.count("Table 3") == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{**ROW, "valeu": 1}], "Did you mean 'value'"),
        ([{k: v for k, v in ROW.items() if k != "source"}], "row 1: has no source"),
        ([{**ROW, "source": "  "}], "source: String should have at least 1 character"),
        ([{**ROW, "value": "81"}], "value: Input should be a valid number"),
        ([{**ROW, "value": float("nan")}], "value: Input should be a finite number"),
        ([{**ROW, "value": 0.8}, {**ROW, "value": 101}], "the same number as"),
        ([{**ROW, "value": 101}], "from 0 to 100, met 101"),
        ([{**ROW, "value": -1}], "from 0 to 100, met -1"),
        (["text"], "expected a list of rows"),
    ],
)
def test_a_mistake_is_told_with_its_place(shell, runs, rows, said):
    code, out, err = board(shell, runs, written(runs, *rows))
    assert (code, out) == (2, "")
    assert said in err
    assert "published.yaml" in err


def test_every_mistake_is_told_at_once_and_nothing_is_run(shell, runs):
    file = runs / "published.yaml"
    file.write_text("- {method: A, value: x}\n- 3\n")
    assert "expected a list" in board(shell, runs, file)[2]
    file.write_text("- {method: A, value: x}\n")
    said = board(shell, runs, file)[2]
    assert all(f"has no {name}" in said for name in ("task", "dataset", "split", "protocol", "metric", "source"))
    file.write_text("- !!python/object/apply:os.system ['touch hacked']\n")
    assert "cannot be read as YAML" in board(shell, runs, file)[2]
    assert "cannot be read" in board(shell, runs, runs / "nowhere.yaml")[2]


def test_a_page_shows_them_below_its_table_as_text(shell, runs):
    file = written(runs, {**ROW, "method": "<i>Somebody's</i>"})
    page = runs / "page.html"
    code, _, err = board(shell, runs, file, "--format", "html", "--samples", "0", "--out", page)
    assert code == 0, err
    html = page.read_text()
    below = html[html.index(">Published</h3>") :]
    assert html.index('class="board"') < html.index(">Published</h3>")
    assert '<th scope="row">&lt;i&gt;Somebody&#39;s&lt;/i&gt;</th><td>81.2</td>' in below
    assert "https://example.org/paper, Table 3</td>" in below
    assert "not measured here, not ranked" in below
    without = runs / "without.html"
    shell("leaderboard", "--runs", runs, "--format", "html", "--samples", "0", "--out", without)
    assert ">Published</h3>" not in without.read_text()


def test_the_numbers_that_are_shipped_name_tasks_data_protocols_and_metrics_that_exist():
    registry = load().registry
    (file,) = (Path(__file__).parents[1] / "baselines" / "published").glob("*.yaml")
    rows = read([file])
    assert len(rows) == 13
    for row in rows:
        task = registry.build("task", row.task)
        assert row.task in registry.get("dataset", row.dataset).factory.tasks
        assert row.protocol in task.protocols()
        metrics = task.evaluator(task.protocols()[row.protocol], ()).metrics
        assert next(m for m in metrics if m.id == row.metric).unit == "points"
        assert "Table" in row.source
    by_method = {row.method.removeprefix("ADDP's model, "): row.value for row in rows}
    assert by_method["uniform timesteps"] == 56.42
    assert by_method["timesteps by perception statistics"] == 64.0
