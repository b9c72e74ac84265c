"""A table by parts of the data: every group by itself, with what can and cannot be told there."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from results import record

from addp_bench.errors import BadRequest, NothingSelected, UnknownName
from addp_bench.records import load_all, write
from addp_bench.results.tables import leaderboard, render
from addp_bench.statistics import Statistics

LEVELS = np.array(["L0", "L1", "none", "L1"] * 10)


def levelled(runs, iou, attributes=None, **options):
    """A record of 40 expressions whose statistics know their level."""
    made = record(runs, iou, **options)
    plain = made.statistics
    columns = {name: np.array(column) for name, column in plain.columns.items()}
    known = {"level": LEVELS, **(attributes or {})}
    return write(made.folder, made.body, Statistics(np.array(plain.ids), np.array(plain.image_ids), columns, known))


def by_level(*iou):
    return np.select([LEVELS == "L0", LEVELS == "L1"], iou[:2], iou[2])


@pytest.fixture
def cells(tmp_path):
    """The second is better by 20 points at L0, equal at L1, and neither has anything where there is no target."""
    wobble = np.random.default_rng(0).uniform(-0.05, 0.05, 40) * (LEVELS != "none")
    return [
        levelled(tmp_path, by_level(0.3, 0.4, 0.0) + wobble, weights="uniform"),
        levelled(tmp_path, by_level(0.5, 0.4, 0.0) + wobble, weights="p2"),
    ]


def groups(table, weights):
    (row,) = [row for row in table.sections[0].rows if row["choices"]["weights"] == weights]
    return row["groups"]


def test_groups_by_hand(tmp_path):
    """Unions are equal, so oIoU is the plain mean of a group."""
    iou = np.linspace(0.1, 0.9, 40)
    (row,) = leaderboard([levelled(tmp_path, iou)], by="level").sections[0].rows
    for name, entry in row["groups"].items():
        assert entry["value"] == pytest.approx(iou[name == LEVELS].mean())
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["samples"] == {"L0": 10, "L1": 20, "none": 10}[name]


def test_another_metric_may_be_shown_and_ranks_stay_those_of_the_headline(cells):
    table = leaderboard(cells, by="level", of="miou")
    assert table.sections[0].of == "miou"
    assert groups(table, "p2")["L0"]["value"] == pytest.approx(
        cells[1].statistics.columns["iou"][LEVELS == "L0"].mean()
    )
    assert "mIoU ↑" in render(table, "table")
    assert "oIoU" not in render(table, "table")


def test_with_a_reference_rows_show_their_difference_and_which_are_separated(cells):
    table = leaderboard(cells, reference=["weights=uniform"], by="level")
    found = groups(table, "p2")
    assert found["L0"]["difference"]["value"] == pytest.approx(0.2)
    assert found["L1"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "p_holm": 1.0}
    assert found["L0"]["difference"]["p_holm"] == pytest.approx(3 * found["L0"]["difference"]["p"])  # three groups
    assert all(entry["difference"] is None for entry in groups(table, "uniform").values())
    better, reference = [line for line in render(table, "table").splitlines() if " tiny " in line]
    assert "+20.0 [+20.0, +20.0]†" in better
    assert better.count("†") == 1
    assert "+" not in reference


def test_a_group_that_tells_nothing_is_named(cells, tmp_path):
    assert any(
        note.startswith("none: no row has any oIoU") for note in leaderboard(cells, by="level").sections[0].notes
    )
    told = [levelled(tmp_path / "told", by_level(0.3, 0.4, 0.1))]
    assert not any("no row has any" in note for note in leaderboard(told, by="level").sections[0].notes)


def test_rows_that_are_not_ranked_have_no_groups(cells, tmp_path):
    partial = record(tmp_path, np.full(39, 0.5), weights="min_snr", asked=40)
    table = leaderboard([*cells, partial], by="level")
    assert groups(table, "min_snr") == {}
    (line,) = [line for line in render(table, "table").splitlines() if "min_snr" in line]
    assert line.count("–") >= 4  # rank, and three groups


def test_seeds_are_averaged_within_a_group(tmp_path):
    cells = [levelled(tmp_path, by_level(shift, 0.4, 0.2), seed=seed) for seed, shift in enumerate((0.2, 0.3, 0.4))]
    (row,) = leaderboard(cells, by="level").sections[0].rows
    assert row["groups"]["L0"]["value"] == pytest.approx(0.3)
    # samples of a group do not vary, so Student's t of .2 .3 .4 by hand: 4.3027 x .1 / sqrt 3
    assert row["groups"]["L0"]["high"] - 0.3 == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)


def test_a_row_judged_on_more_samples_is_broken_down_on_those_of_the_table(tmp_path):
    iou = by_level(0.3, 0.4, 0.2)
    cells = [
        levelled(tmp_path, iou),
        levelled(tmp_path, iou, trained=False, model="random"),
    ]
    more = record(tmp_path, np.r_[iou, np.ones(20)], trained=False, model="largest_object")
    plain = more.statistics
    columns = {name: np.array(column) for name, column in plain.columns.items()}
    levels = {"level": np.r_[LEVELS, np.full(20, "L0")]}
    more = write(more.folder, more.body, Statistics(np.array(plain.ids), np.array(plain.image_ids), columns, levels))
    for row in leaderboard([*cells, more], by="level").sections[0].rows:
        assert row["groups"]["L0"]["value"] == pytest.approx(0.3)
        assert row["groups"]["L0"]["samples"] == 10


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"by": "levle"}, UnknownName, "Did you mean 'level'"),
        ({"by": "level", "of": "miuo"}, UnknownName, "Did you mean 'miou'"),
        ({"by": "number"}, BadRequest, "takes 40 values"),
    ],
)
def test_what_cannot_be_broken_down_is_said(tmp_path, options, error, says):
    made = levelled(tmp_path, by_level(0.3, 0.4, 0.2), {"number": np.arange(40)})
    with pytest.raises(error, match=says):
        leaderboard([made], **options)


def test_a_metric_of_another_making_cannot_be_broken_down(tmp_path):
    entry = {"label": "AP", "value": 0.5, "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    made = levelled(tmp_path, by_level(0.3, 0.4, 0.2), result_metrics={"ap": entry})
    with pytest.raises((NothingSelected, UnknownName)):
        leaderboard([made], by="level")


@pytest.mark.parametrize("style", ["table", "markdown", "latex", "csv", "json"])
def test_every_style_shows_the_groups(cells, style):
    text = render(leaderboard(cells, by="level"), style)
    for level in ("L0", "L1", "none"):
        assert level in text


def test_csv_and_json_hold_groups_as_stored(cells):
    table = leaderboard(cells, reference=["weights=uniform"], by="level")
    expected = groups(table, "p2")["L0"]
    (line,) = [row for row in csv.DictReader(io.StringIO(render(table, "csv"))) if row["weights"] == "p2"]
    assert float(line["level=L0"]) == expected["value"]
    assert float(line["level=L0 high"]) == expected["high"]
    assert float(line["level=L0 p_holm"]) == expected["difference"]["p_holm"]
    (section,) = json.loads(render(table, "json"))["sections"]
    assert section["groups"] == {"L0": 10, "L1": 20, "none": 10}
    assert section["rows"][0]["groups"]["L0"] == expected


def test_the_command_breaks_down_and_a_metric_alone_is_a_mistake(cells, tmp_path, shell, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert len(load_all(tmp_path).records) == 2
    code, out, _ = shell("leaderboard", "--runs", tmp_path, "--group-by", "level", "--metric", "miou")
    assert code == 0
    assert "L0 (n = 10)" in out
    code, out, err = shell("leaderboard", "--runs", tmp_path, "--metric", "miou")
    assert (code, out) == (2, "")
    assert "--group-by" in err
