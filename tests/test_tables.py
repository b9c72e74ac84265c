"""A table ranks only what was judged alike, says how sure it is, and hides nothing that is missing."""

import csv
import io
import json
import re
import time

import numpy as np
import pytest
from results import METRICS, record

from addp_bench.errors import BadRequest, NothingSelected, UnknownName
from addp_bench.metrics import MeanOf
from addp_bench.records import load_all
from addp_bench.results.selection import select
from addp_bench.results.tables import leaderboard, render

GENERATOR = np.random.default_rng(0)
BASE = GENERATOR.uniform(0.1, 0.7, 200)


def scores(shift=0.0, spread=0.05):
    """IoUs of 200 expressions that are `shift` better than BASE, exactly in the mean."""
    noise = GENERATOR.normal(0, spread, 200)
    return BASE + shift + noise - noise.mean()


@pytest.fixture
def runs(tmp_path):
    return tmp_path


def rows(records, *args, section=0, **kwargs):
    return leaderboard(records, *args, **kwargs).sections[section].rows


# ------------------------------------------------------------------------------------------------------- rows


def test_a_row_is_the_mean_over_its_seeds(runs):
    cells = [record(runs, np.full(8, iou), seed=seed) for seed, iou in enumerate((0.25, 0.5, 0.75))]
    (row,) = rows(cells)
    assert row["metrics"]["oiou"]["value"] == pytest.approx(0.5)
    assert row["metrics"]["miou"]["value"] == pytest.approx(0.5)
    assert row["seeds"] == [0, 1, 2]
    assert row["cells"] == [cell.id for cell in cells]
    # images do not vary, so the t interval of .25 .5 .75 by hand: 4.3027 x .25 / sqrt 3
    assert row["metrics"]["oiou"]["high"] - 0.5 == pytest.approx(4.302653 * 0.25 / 3**0.5, rel=1e-5)
    assert row["about"] == "method"


def test_only_choices_in_which_rows_differ_get_a_column(runs):
    cells = [
        record(runs, scores(), weights="uniform:scaling=prob", aug="none"),
        record(runs, scores(0.1), weights="min_snr:gamma=5:scaling=prob", aug="none"),
        record(runs, scores(0.2), weights="min_snr:gamma=1:scaling=prob", aug="none"),
    ]
    section = leaderboard(cells).sections[0]
    assert section.axes == ["model", "weights"]
    assert [row["choices"]["weights"] for row in section.rows] == ["min_snr:gamma=1", "min_snr:gamma=5", "uniform"]
    assert section.same["aug"] == "none"
    assert section.same["train lr"] == "0.0001"


def test_a_training_without_transforms_is_told_from_one_with(runs):
    """A record says nothing of transforms that are not there."""
    cells = [record(runs, BASE), record(runs, BASE + 0.01, transform="flip")]
    cells.append(record(runs, BASE - 0.1, trained=False, model="random"))
    section = leaderboard(cells, reference=["transform=none"]).sections[0]
    assert [row["choices"].get("transform") for row in section.rows] == ["flip", "none", None]
    assert [row["cells"] for row in section.rows if row["reference"]] == [[cells[0].id]]
    assert "transform" not in leaderboard(cells[::2]).sections[0].same


def test_missing_seeds_are_said(runs):
    cells = [record(runs, scores(), seed=seed) for seed in (0, 1, 2, 4)]
    cells.append(record(runs, scores(), weights="p2", seed=1))
    table = leaderboard(cells)
    row = next(r for r in table.sections[0].rows if r["choices"]["weights"] == "p2")
    assert row["missing_seeds"] == [0, 2, 4]
    assert row["about"] == "checkpoint"
    text = render(table, "table")
    assert "1 of 4*" in text
    assert f"Missing seeds: {row['cells'][0]}: 0, 2, 4." in text
    assert "speaks of these checkpoints" in text


def test_the_newest_of_repeated_cells_is_shown_and_the_rest_counted(runs):
    old = record(runs, scores(), result_code="old")
    new = record(runs, scores(0.1), result_code="new")
    new.body["provenance"]["finished"] = "2027-01-01"
    (row,) = rows([new, old])
    assert row["cells"] == [new.id]
    assert "1 older records" in render(leaderboard([old, new]), "table")


# ------------------------------------------------------------------------------------------------ comparable


@pytest.mark.parametrize(
    "change",
    [
        {"result_task": "semantic"},
        {"budget": "standard"},
        {"result_dataset": {"name": "tabletop", "options": {}, "split": "test", "fingerprint": "f0"}},
        {"result_dataset": {"name": "tabletop", "options": {}, "split": "val", "fingerprint": "f1"}},
        {"result_protocol": {"name": "tabletop_ris", "version": 1, "settings": {"eval_size": 64}}},
        {"result_protocol": {"name": "tabletop_ris", "version": 2, "settings": {"eval_size": "original"}}},
        {"metrics": (MeanOf(id="oiou", label="oIoU", column="iou", version=2),)},
        {"metrics": METRICS[::-1]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_rows_that_were_judged_otherwise_are_never_ranked_together(runs, change):
    cells = [record(runs, scores(), weights="uniform"), record(runs, scores(0.1), weights="p2", **change)]
    table = leaderboard(cells)
    assert [len(section.rows) for section in table.sections] == [1, 1]
    assert [section.rows[0]["rank"] for section in table.sections] == [1, 1]
    titles = [line for line in render(table, "table").splitlines() if " · " in line]
    if titles[0] == titles[1]:
        assert all(any("Not comparable" in note for note in section.notes) for section in table.sections)


def test_changed_numbers_of_a_budget_are_kept_apart(runs):
    longer = {"steps": 200, "batch_size": 8, "lr": 1e-4, "samples": 64}
    cells = [record(runs, scores(), budget="custom"), record(runs, scores(), budget="custom", result_training=longer)]
    table = leaderboard(cells)
    assert len(table.sections) == 2
    assert any("steps 200" in note for section in table.sections for note in section.notes)


def test_incomplete_rows_are_shown_and_never_ranked(runs):
    cells = [record(runs, scores(), weights="uniform"), record(runs, scores(0.2)[:199], weights="p2", asked=200)]
    table = leaderboard(cells)
    best, partial = table.sections[0].rows
    assert (best["rank"], best["tier"]) == (1, 1)
    assert (partial["rank"], partial["tier"], partial["metrics"]["oiou"]["low"]) == (None, None, None)
    text = render(table, "table")
    assert "199 of 200" in text
    assert "only 99.5 % of its samples were scored" in text


def test_a_metric_without_a_value_is_not_ranked_and_says_why(runs):
    none = {"label": "oIoU", "value": None, "unit": "points", "higher_is_better": True, "version": 1}
    absent = {"oiou": {**none, "reason": "no sample could be scored"}}
    cells = [record(runs, scores()), record(runs, scores(), weights="p2", result_metrics=absent)]
    last = rows(cells)[-1]
    assert last["rank"] is None
    assert last["problem"] == "no sample could be scored"


def test_damaged_statistics_take_a_row_out_of_the_ranking_only(runs):
    cells = [record(runs, scores()), record(runs, scores(0.3), weights="p2")]
    file = cells[1].folder / "statistics.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    good, bad = rows(cells)
    assert good["cells"] == [cells[0].id]
    assert bad["rank"] is None
    assert "SHA-256" in bad["problem"]


def test_rows_without_training_join_every_budget_on_its_samples(runs):
    trained = [record(runs, scores(0.1), budget=budget) for budget in ("quick", "standard")]
    more = np.concatenate([np.full(200, 0.3), np.full(100, 1.0)])  # judged on 100 more samples, where it is perfect
    naive = record(runs, more, trained=False, model="largest_object")
    table = leaderboard([*trained, naive])
    assert [section.heading["budget"] for section in table.sections] == ["quick", "standard"]
    for section in table.sections:
        guest = next(row for row in section.rows if row["cells"] == [naive.id])
        assert guest["metrics"]["oiou"]["value"] == pytest.approx(0.3)
        assert guest["metrics"]["miou"]["value"] == pytest.approx(0.3)
        assert guest["samples"] == {"asked": 200, "scored": 200}
        assert guest["marks"] == "°"
    (alone,) = leaderboard([naive]).sections
    assert alone.rows[0]["metrics"]["oiou"]["value"] == pytest.approx(160 / 300)


def test_a_row_that_saw_the_truth_is_marked_and_takes_no_rank(runs):
    cells = [record(runs, scores())]
    cells.append(record(runs, np.ones(200), trained=False, model="truth", result_uses_truth=["model"]))
    oracle, best = rows(cells)
    assert (oracle["rank"], oracle["tier"], oracle["marks"]) == (None, None, "°‡")
    assert oracle["metrics"]["oiou"]["low"] == 1.0
    assert (best["rank"], best["tier"]) == (1, 1)
    assert "looks at the truth (model)" in render(leaderboard(cells), "markdown")


# -------------------------------------------------------------------------------------- ranks and differences


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_rows_are_ranked_in_the_direction_of_their_metric(runs, higher_is_better):
    metric = MeanOf(id="m", label="M", unit="m", higher_is_better=higher_is_better, column="iou")
    cells = [record(runs, scores(shift), weights=f"w{k}", metrics=(metric,)) for k, shift in enumerate((0, 0.2, 0.1))]
    table = leaderboard(cells)
    order = [row["choices"]["weights"] for row in table.sections[0].rows]
    assert order == (["w1", "w2", "w0"] if higher_is_better else ["w0", "w2", "w1"])
    assert [row["tier"] for row in table.sections[0].rows] == [1, 2, 3]
    assert f"M (m) {'↑' if higher_is_better else '↓'}" in render(table, "table")


def test_rows_that_cannot_be_told_apart_share_a_tier(runs):
    cells = [record(runs, scores(shift), weights=f"w{k}") for k, shift in enumerate((0, 0.1, 0.1005))]
    assert [(r["rank"], r["tier"]) for r in rows(cells)] == [(1, 1), (2, 1), (3, 2)]


def test_every_ranked_row_says_which_ranks_it_may_have(runs):
    cells = [record(runs, scores(shift), weights=f"w{k}") for k, shift in enumerate((0, 0.1, 0.1005))]
    cells.append(record(runs, np.ones(200), trained=False, model="truth", result_uses_truth=["model"]))
    table = leaderboard(cells)
    spans = [row["rank_interval"] for row in table.sections[0].rows]
    assert spans == [None, {"low": 1, "high": 2}, {"low": 1, "high": 2}, {"low": 3, "high": 3}]
    first = [line.split("  ")[0] for line in render(table, "table").splitlines() if " tiny" in line]
    assert first == ["1 [1, 2]", "2 [1, 2]", "3"]
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [(line["rank"], line["rank_low"], line["rank_high"]) for line in lines] == [
        ("", "", ""),
        ("1", "1", "2"),
        ("2", "1", "2"),
        ("3", "3", "3"),
    ]


def test_differences_from_a_reference_are_paired_and_corrected(runs):
    cells = [record(runs, scores(shift), weights=f"w{k}") for k, shift in enumerate((0.0, 0.012, 0.1))]
    found = {r["choices"]["weights"]: r for r in rows(cells, reference=["weights=w0"])}
    assert found["w0"]["reference"]
    assert found["w0"]["difference"] is None
    far, near = found["w2"]["difference"], found["w1"]["difference"]
    assert far["value"] == pytest.approx(0.1)
    assert far["low"] < 0.1 < far["high"]
    assert far["high"] - far["low"] < 0.03  # paired: standard error 0.005, not 0.017
    assert far["p_holm"] == pytest.approx(2 * far["p"])
    assert near["p_holm"] == pytest.approx(near["p"])
    assert far["about"] == "checkpoint"
    assert "+10.0 [" in render(leaderboard(cells, reference=["weights=w0"]), "table")


def test_a_ceiling_stands_beside_the_rows_that_have_one_and_the_rest_are_named(runs):
    def said(value):
        return {"samples": 8, "metrics": {"oiou": value, "miou": 0.0}}

    cells = [
        record(runs, np.full(8, 0.4), seed=0, result_ceiling=said(0.7)),
        record(runs, np.full(8, 0.4), seed=1, result_ceiling=said(0.9)),
        record(runs, np.full(8, 0.2), encoding="binary_mask"),
        record(runs, np.full(8, 0.1), trained=False, model="random_object"),
    ]
    section = leaderboard(cells, ceiling=True).sections[0]
    assert [row["ceiling"] for row in section.rows] == [pytest.approx(0.8), None, None]
    assert section.notes[-2].startswith("Ceiling: what the truth itself scores")
    assert section.notes[-1] == f"No ceiling in the records of {cells[2].id}."
    assert "80.0 (50%)" in render(leaderboard(cells, ceiling=True), "table"), "the share is of the mean over seeds"
    assert "ceiling" not in render(leaderboard(cells), "table")


def test_of_an_error_the_ceiling_is_shown_and_no_share(runs):
    metric = MeanOf(id="e", label="E", unit="m", higher_is_better=False, column="iou")
    said = {"samples": 8, "metrics": {"e": 0.02}}
    shown = render(
        leaderboard([record(runs, np.full(8, 0.1), metrics=(metric,), result_ceiling=said)], ceiling=True), "table"
    )
    assert "0.02" in shown
    assert "%)" not in shown


def test_a_ceiling_of_other_samples_is_not_shown(runs):
    said = {"samples": 10, "metrics": {"oiou": 0.9}}
    ours = record(runs, np.full(10, 0.4), trained=False, model="empty", result_ceiling=said)
    cells = [record(runs, np.full(8, 0.3)), ours]
    found = {row["restricted"]: row["ceiling"] for row in rows(cells)}
    assert found == {False: None, True: None}


def test_a_reference_must_be_one_row(runs):
    cells = [record(runs, scores(), weights=w, aug=a) for w in ("uniform", "p2") for a in ("none", "linear")]
    with pytest.raises(BadRequest, match="fits 2 rows"):
        leaderboard(cells, reference=["weights=uniform"])
    with pytest.raises(NothingSelected, match="weights=ant"):
        leaderboard(cells, reference=["weights=ant"])
    one = [row for row in rows(cells, reference=[f"cell={cells[0].id[:8]}"]) if row["reference"]]
    assert one[0]["cells"] == [cells[0].id]


def test_a_metric_of_another_making_is_ranked_without_intervals(runs):
    entry = {"label": "AP", "value": 0.5, "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    cells = [
        record(runs, scores(), weights=w, result_metrics={"ap": {**entry, "value": v}})
        for w, v in (("a", 0.4), ("b", 0.5))
    ]
    table = leaderboard(cells)
    assert [row["choices"]["weights"] for row in table.sections[0].rows] == ["b", "a"]
    assert table.sections[0].rows[0]["tier"] is None
    assert "No intervals" in render(table, "table")
    known = leaderboard(cells, rebuild=lambda record, name: MeanOf(id=name, label="AP", column="iou"))
    assert known.sections[0].rows[0]["tier"] == 1


# -------------------------------------------------------------------------------------------------- selection


def test_conditions_select_by_plugin_option_and_number(runs):
    cells = [
        record(runs, scores(), weights="min_snr:gamma=5", seed=0),
        record(runs, scores(), weights="min_snr:gamma=1", seed=1),
        record(runs, scores(), weights="uniform", seed=1, budget="standard"),
        record(runs, scores(), trained=False, model="random"),
    ]

    def selected(*where):
        return [cells.index(r) for r in select(cells, where)]

    assert selected() == [0, 1, 2, 3]
    assert selected("weights=min_snr") == [0, 1]
    assert selected("weights=Min-SNR:gamma=5") == [0]
    assert selected("weights.gamma=1") == [1]
    assert selected("weights=uniform,min_snr", "seed=1") == [1, 2]
    assert selected("weights=uniform", "weights=min_snr:gamma=1") == [1, 2]
    assert selected("model=random") == [3]
    assert selected("budget=quick", "task=ris", "dataset=tabletop", "split=val", "protocol=tabletop_ris") == [0, 1]
    assert selected("read_at=final", "sampling_steps=20", "seed=0") == [0]
    assert selected(f"cell={cells[1].key[:9]}") == [1]
    with pytest.raises(UnknownName, match="Did you mean 'weights'"):
        select(cells, ["weigths=uniform"])
    with pytest.raises(NothingSelected, match=r"no record has weights=ant \(4 looked at; met min_snr, uniform\)"):
        select(cells, ["weights=ant"])
    with pytest.raises(BadRequest, match="field=value"):
        select(cells, ["uniform"])
    with pytest.raises(NothingSelected, match="addp-bench run"):
        leaderboard([])


# -------------------------------------------------------------------------------------------------- rendering


@pytest.fixture
def table(runs):
    cells = [record(runs, scores(), weights="a|b<script>\x1b[31m"), record(runs, scores(0.1), weights="p2_100%")]
    return leaderboard(cells, reference=["weights=p2_100%"], extra={"note": ["x|y\x07", "plain"]})


@pytest.mark.parametrize("style", ["table", "markdown", "latex", "csv", "json"])
def test_every_style_holds_every_row_and_no_control_character(table, style):
    text = render(table, style)
    for row in table.sections[0].rows:
        assert row["cells"][0] in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


def test_text_from_data_stays_text_in_every_style(table):
    markdown = render(table, "markdown")
    assert "<script>" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert (
        len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    )  # every row has as many cells as the header
    assert r"p2\_100\%" in render(table, "latex")


def test_json_and_csv_hold_stored_numbers(table):
    plain = json.loads(render(table, "json"))
    row = plain["sections"][0]["rows"][0]
    assert row["metrics"]["oiou"] == table.sections[0].rows[0]["metrics"]["oiou"]
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert float(lines[0]["oiou"]) == row["metrics"]["oiou"]["value"]
    assert lines[0]["weights"] == "p2_100%"
    assert lines[0]["target"] == "x0"
    assert lines[1]["note"] == "x|y"


def test_points_are_shown_times_a_hundred(runs):
    text = render(leaderboard([record(runs, np.full(20, 0.12345))]), "table")
    assert "12.3 [12.3, 12.3]" in text


def test_an_unknown_style_is_refused(table):
    with pytest.raises(UnknownName, match="Did you mean 'markdown'"):
        render(table, "markdwon")


def test_a_thousand_records_make_a_table_in_three_seconds(runs):
    first = record(runs, scores())
    text = (first.folder / "record.json").read_text()
    content = (first.folder / "statistics.npz").read_bytes()
    for k in range(1000):
        key = f"{k:08x}" * 8
        folder = first.folder.with_name(key[:12])
        folder.mkdir()
        changed = text.replace(first.key, key).replace(first.id, key[:12]).replace('"uniform"', f'"w{k // 5}"')
        (folder / "record.json").write_text(re.sub(r'"seed": 0', f'"seed": {k % 5}', changed))
        (folder / "statistics.npz").write_bytes(content)
    start = time.process_time()
    table = leaderboard(load_all(runs).records)
    assert len(render(table, "table")) > 0
    assert len(table.sections[0].rows) == 201
    assert time.process_time() - start < 3.0
