"""leaderboard and view as commands: what they select, show and refuse."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from dots import Dots
from PIL import Image
from results import record

from addp_bench.cli import main
from addp_bench.records import load_all

DOTS = Path(__file__).with_name("dots.py")

HOOKS = """
from addp_bench.hookspecs import hookimpl

@hookimpl
def addp_bench_columns(records):
    return {"mood": [f"seed {r['result']['seed']} is fine" for r in records]}

@hookimpl
def addp_bench_render(rows, style):
    if style == "haiku":
        return " / ".join(f"{row['task']} {row['cells'][0]}" for row in rows)
"""


@pytest.fixture
def shell(shell):
    """The command line, without what it says when the catalogue was made again."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code, out, err = shell(*arguments)
        return code, out, err.replace(_STALE, "")

    return run


_STALE = "loading every plugin once, to make the catalogue of what there is\n"


@pytest.fixture
def runs(tmp_path):
    """Two strategies, the second better by 10 points in every sample, and another task."""
    iou = np.random.default_rng(0).uniform(0.2, 0.6, 60)
    record(tmp_path, iou, weights="uniform")
    record(tmp_path, iou + 0.1, weights="p2")
    record(tmp_path, iou, weights="uniform", result_task="depth")
    return tmp_path


def test_better_rows_come_first_and_the_reference_is_compared_with(shell, runs):
    code, out, err = shell("leaderboard", "--runs", runs, "--task", "ris", "--reference", "weights=uniform")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if " tiny" in line]
    assert ["p2" in line for line in lines] == [True, False]
    assert "+10.0 [+10.0, +10.0]" in lines[0]
    assert "reference" in lines[1]
    assert "depth" not in out


def test_conditions_select_and_json_is_the_whole_answer(shell, runs):
    code, out, _ = shell("leaderboard", "--runs", runs, "--where", "weights=p2,min_snr", "--json")
    (section,) = json.loads(out)["sections"]
    assert code == 0
    assert [row["metrics"]["miou"]["value"] for row in section["rows"]] == pytest.approx([0.5], abs=0.03)


def test_the_format_may_come_from_the_environment(shell, runs, monkeypatch):
    monkeypatch.setenv("ADDP_BENCH_RUNS", str(runs))
    monkeypatch.setenv("ADDP_BENCH_FORMAT", "csv")
    rows = list(csv.DictReader(io.StringIO(shell("leaderboard")[1])))
    assert {row["task"] for row in rows} == {"ris", "depth"}


@pytest.mark.parametrize("style", ["table", "markdown", "latex", "html"])
def test_every_format_names_the_cells(shell, runs, style):
    code, out, _ = shell("leaderboard", "--runs", runs, "--format", style)
    assert code == 0
    for folder in (runs / "records").iterdir():
        assert folder.name in out


def test_rows_can_be_ordered_by_another_metric_and_keep_their_rank(shell, tmp_path):
    rng = np.random.default_rng(0)
    low = rng.uniform(0.1, 0.2, 40)
    record(tmp_path, np.where(np.arange(40) < 20, 0.9, 0.1), weights="uniform")
    record(tmp_path, low + 0.3, weights="p2")
    headline = json.loads(shell("leaderboard", "--runs", tmp_path, "--json")[1])["sections"][0]
    by_miou = json.loads(shell("leaderboard", "--runs", tmp_path, "--json", "--sort", "miou")[1])["sections"][0]
    values = [row["metrics"]["miou"]["value"] for row in by_miou["rows"]]
    assert values == sorted(values, reverse=True)
    assert {row["cells"][0]: row["rank"] for row in by_miou["rows"]} == {
        row["cells"][0]: row["rank"] for row in headline["rows"]
    }


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--where", "weights=min_snr"], 4, "no record has weights=min_snr"),
        (["--where", "wieghts=p2"], 2, "Did you mean 'weights'"),
        (["--where", "weights"], 2, "field=value"),
        (["--reference", "weights=min_snr"], 4, "weights=min_snr"),
        (["--format", "markdwn"], 2, "Did you mean 'markdown'"),
        (["--sort", "miuo"], 2, "Did you mean 'miou'"),
        (["--runs", "nowhere"], 4, "there is no record here yet"),
    ],
)
def test_what_cannot_be_shown_is_said(shell, runs, arguments, code, said):
    met, out, err = shell("leaderboard", "--runs", runs, *arguments)
    assert (met, out) == (code, "")
    assert said in err


def test_a_broken_record_is_left_out_and_named(shell, runs):
    (first, *_) = sorted((runs / "records").iterdir())
    (first / "record.json").write_text("{")
    code, out, err = shell("leaderboard", "--runs", runs)
    assert code == 0
    assert first.name not in out
    assert first.name in err


def test_plugins_may_add_columns_and_styles(shell, runs):
    (runs / "hooks.py").write_text(HOOKS)
    plugin = ("--plugin", runs / "hooks.py", "--no-plugin", "addp-bench")
    assert "seed 0 is fine" in shell("leaderboard", "--runs", runs, *plugin)[1]
    out = shell("leaderboard", "--runs", runs, "--task", "depth", "--format", "haiku", *plugin)[1]
    assert out.startswith("depth ")
    assert shell("leaderboard", "--runs", runs, "--format", "haiku", "--no-plugin", "addp-bench")[0] == 2


# ------------------------------------------------------------------------------------------------ view


@pytest.fixture(scope="module")
def ran(tmp_path_factory, sd15):
    """A naive cell and a trained one, run by the command line: (runs, ids of both)."""
    runs = tmp_path_factory.mktemp("runs")
    asked = ["--task", "ris", "--dataset", "dots", "--plugin", DOTS, "--runs", runs, "--limit", 6]
    small = ["--train-steps", 2, "--batch-size", 2, "--train-samples", 4, "--steps", 3]
    for model in (["constant"], [f"instruct_pix2pix:path={sd15}", *small]):
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in ("run", *asked, "--model", *model)])
        assert not left.value.code
    found = load_all(runs).records
    return runs, {record.result["choices"]["model"]["name"]: record.id for record in found}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["constant", "instruct_pix2pix"])
def test_view_draws_a_sheet_and_says_the_numbers(shell, ran, model):
    runs, ids = ran
    code, out, _ = shell("view", ids[model][:6], "--runs", runs, "--plugin", DOTS)
    assert code == 0
    file = runs / "views" / f"{ids[model]}.png"
    assert str(file) in out
    with Image.open(file) as sheet:
        assert sheet.width == 2600
        sheet.load()
    record = load_all(runs).records[0]
    assert all(metric["label"] in out for metric in record.result["metrics"].values())
    assert ("timestep" in out) == (model == "instruct_pix2pix")


@pytest.mark.slow
def test_view_as_json_is_the_record_and_where_its_sheet_is(shell, ran, tmp_path):
    runs, ids = ran
    out = shell("view", ids["constant"], "--runs", runs, "--plugin", DOTS, "--out", tmp_path / "a.png", "--json")[1]
    answer = json.loads(out)
    assert answer["id"] == ids["constant"]
    assert answer["sheet"] == str(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_view_of_a_cell_that_is_not_there_selects_nothing(shell, runs):
    code, out, err = shell("view", "abcdef", "--runs", runs, "--no-plugin", "addp-bench")
    assert (code, out) == (4, "")
    assert "abcdef" in err


# ------------------------------------------------------------------------------------------------ the page


@pytest.mark.slow
def test_the_page_shows_the_pictures_of_every_cell(shell, ran, tmp_path):
    runs, ids = ran
    file = tmp_path / "page.html"
    asked = ["--format", "html", "--samples", 4, "--out", file, "--plugin", DOTS]
    code, out, err = shell("leaderboard", "--runs", runs, *asked)
    assert (code, out) == (0, "")
    assert str(file) in err
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', file.read_text())
    cells = {cell["id"]: (cell, shown["samples"]) for shown in map(json.loads, blocks) for cell in shown["cells"]}
    assert cells.keys() == set(ids.values())
    dots = Dots().samples("val", "ris")
    truths = {id_: dots[k].truth for k, id_ in enumerate(dots.ids)}
    for model, id_ in ids.items():
        cell, samples = cells[id_]
        assert len(cell["shown"]) == len(samples) == 4
        for one, sample in zip(cell["shown"], samples):
            assert (one["drawing"] is not None) == (model != "constant")
            assert one["answer"]["kind"] in ("mask", "text")
            assert np.array_equal(_painted(sample["truth"]["src"]), truths[sample["id"]])


def _painted(uri: str) -> np.ndarray:
    """Where a picture in a page is not transparent."""
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))[..., 3] > 0
