"""Effects from records: which rows form the grid, what is named as left out, and what the command shows."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from results import METRICS, record

from addp_bench.errors import BadRequest, NothingSelected, UnknownName
from addp_bench.results.attribution import attribute, render

RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.1, 0.6, 80)
STALE = "loading every plugin once, to make the catalogue of what there is\n"


def cell(runs, shift=0.0, seed=0, **choices):
    return record(runs, BASE + shift + RNG.normal(0, 0.002, 80), seed=seed, **choices)


def two_by_two(runs, seeds=(0, 1, 2)):
    """p2 adds 5 points, linear 10, both together 20."""
    return [
        cell(runs, shift, seed, weights=w, aug=a)
        for (w, a), shift in {
            ("uniform", "none"): 0.0,
            ("uniform", "linear"): 0.1,
            ("p2", "none"): 0.05,
            ("p2", "linear"): 0.2,
        }.items()
        for seed in seeds
    ]


def test_a_two_by_two_is_told_with_the_reference_first(tmp_path):
    (found,) = attribute(two_by_two(tmp_path), reference=["weights=uniform", "aug=none"])
    assert found.factors == {"weights": ["uniform", "p2"], "aug": ["none", "linear"]}
    weights, aug, both = found.effects
    assert (weights["of"], weights["value"]) == ("p2 − uniform", pytest.approx(0.075, abs=0.002))
    assert (aug["of"], aug["value"]) == ("linear − none", pytest.approx(0.125, abs=0.002))
    assert (both["factors"], both["value"]) == (["weights", "aug"], pytest.approx(0.05, abs=0.002))
    assert weights["low"] < 0.075 < weights["high"]
    assert both["p_holm"] < 0.05
    assert (found.rows, found.seeds, weights["about"]) == (4, [0, 1, 2], "method")
    # main effects 0.075 and 0.125, interaction 0.05 / 2: squares over 4 rows
    squares = np.array([0.075, 0.125, 0.025]) ** 2
    said = [found.shares[name] for name in ("weights", "aug", "weights × aug")]
    assert said == pytest.approx(squares / squares.sum(), abs=0.02)
    assert not found.left_out


def test_a_reference_on_an_axis_that_another_table_lacks_is_that_tables_alone(tmp_path):
    lone = [cell(tmp_path, 0.1 * k, weights=w, aug="none", budget="standard") for k, w in enumerate(("uniform", "p2"))]
    found = attribute([*two_by_two(tmp_path, (0,)), *lone], reference=["weights=p2", "aug=linear"])
    assert {tuple(table.factors): [levels[0] for levels in table.factors.values()] for table in found} == {
        ("weights", "aug"): ["p2", "linear"],
        ("weights",): ["p2"],
    }


def test_the_level_that_most_rows_have_comes_first(tmp_path):
    cells = [*two_by_two(tmp_path), *(cell(tmp_path, seed=s, weights="ant", aug="none") for s in range(3))]
    (found,) = attribute(cells)
    assert found.factors["aug"] == ["none", "linear"]


def test_what_stands_outside_of_the_grid_is_named_and_counts_for_nothing(tmp_path):
    cells = two_by_two(tmp_path)
    whole = attribute(cells)[0].effects
    cells.append(cell(tmp_path, 0.9, weights="min_snr", aug="none"))  # has no row with linear
    cells.append(cell(tmp_path, 0.9, seed=3, weights="p2", aug="none"))  # a seed that the others lack
    cells.append(record(tmp_path, BASE[:79], asked=80, weights="ant", aug="none"))
    cells.append(record(tmp_path, np.ones(80), trained=False, model="truth", result_uses_truth=["model"]))
    (found,) = attribute(cells, reference=["aug=linear", "weights=p2"])
    assert [abs(e["value"]) for e in found.effects] == pytest.approx([abs(e["value"]) for e in whole], abs=1e-12)
    said = "; ".join(found.left_out)
    for record_, why in ((cells[12], "weights min_snr"), (cells[14], "not scored"), (cells[15], "looks at the truth")):
        assert f"{record_.id}: " in said
        assert why in said
    assert "seeds 3" in said
    assert said in render([found], "table")


def test_a_missing_cell_leaves_a_smaller_grid_and_not_a_guess(tmp_path):
    cells = [c for c in two_by_two(tmp_path) if c.result["choices"]["aug"]["name"] == "none" or c.result["seed"]]
    (found,) = attribute(cells)  # linear lacks seed 0 in both rows
    assert found.seeds == [1, 2]
    missing = {"weights": "p2", "aug": "linear"}
    without = [c for c in cells if any(c.result["choices"][k]["name"] != name for k, name in missing.items())]
    (found,) = attribute(without)
    assert found.factors == {"weights": ["uniform", "p2"]}
    assert found.effects[0]["value"] == pytest.approx(0.05, abs=0.002)
    assert found.rows == 2


def test_only_the_factors_that_were_asked_for_vary(tmp_path):
    (found,) = attribute(two_by_two(tmp_path), factors=["aug"])
    assert list(found.factors) == ["aug"]
    assert any("Held at: weights" in note for note in found.notes)


def test_choices_that_always_go_together_are_one_factor(tmp_path):
    cells = [
        cell(tmp_path, 0.1 * k, seed, target=t, guidance=g)
        for k, (t, g) in enumerate((("x0", "image_text:text=3"), ("epsilon", "image_text:text=7")))
        for seed in (0, 1)
    ]
    (found,) = attribute(cells, factors=["guidance"])
    assert list(found.factors) == ["target = guidance"]
    assert sorted(found.factors["target = guidance"]) == ["epsilon, image_text:text=7", "x0, image_text:text=3"]


def test_rows_that_no_choice_tells_apart_are_left_out(tmp_path):
    longer = {"steps": 100, "batch_size": 8, "lr": 1e-4, "samples": 64, "extra": 5}
    cells = two_by_two(tmp_path, seeds=(0,))
    cells.append(cell(tmp_path, 0.9, weights="p2", aug="linear", result_training=longer))
    (found,) = attribute(cells)
    assert found.rows == 2
    assert sum("no choice tells it" in why for why in found.left_out) == 2


def test_another_metric_than_the_headline_may_be_asked_for(tmp_path):
    cells = two_by_two(tmp_path, seeds=(0,))
    (found,) = attribute(cells, metric="miou")
    assert (found.metric["id"], found.metric["label"]) == ("miou", "mIoU")
    assert found.effects[0]["about"] == "checkpoint"
    assert any("these checkpoints" in note for note in found.notes)
    with pytest.raises(UnknownName, match="Did you mean 'miou'"):
        attribute(cells, metric="miuo")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"factors": ["wieghts"]}, UnknownName, "Did you mean 'weights'"),
        ({"reference": ["aug=liner"]}, UnknownName, "Did you mean 'linear'"),
        ({"reference": ["aug"]}, BadRequest, "axis=level"),
        ({"where": ["weights=p2", "aug=none"]}, NothingSelected, "no two of its 1 rows"),
    ],
)
def test_what_cannot_be_told_is_said(tmp_path, asked, error, said):
    with pytest.raises(error, match=said):
        attribute(two_by_two(tmp_path), **asked)


def test_a_metric_that_cannot_be_made_again_has_no_effects(tmp_path):
    entry = {"label": "AP", "value": 0.5, "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    cells = [cell(tmp_path, weights=w, result_metrics={"ap": entry}) for w in ("uniform", "p2")]
    with pytest.raises(NothingSelected, match="cannot make ap again"):
        attribute(cells)


def test_a_lower_number_being_better_changes_no_sign(tmp_path):
    from dataclasses import replace

    errors = (replace(METRICS[1], id="absrel", higher_is_better=False),)
    cells = [cell(tmp_path, shift, weights=w, metrics=errors) for w, shift in (("uniform", 0.0), ("p2", 0.1))]
    (found,) = attribute(cells, reference=["weights=uniform"])
    assert found.effects[0]["value"] == pytest.approx(0.1, abs=0.002)
    assert "↓" in render([found], "table")


# ------------------------------------------------------------------------------------------------ as text


def test_the_command_tells_effects_in_every_format(shell, tmp_path):
    two_by_two(tmp_path)
    code, out, err = shell("effects", "--runs", tmp_path, "--reference", "aug=none", "--reference", "weights=uniform")
    assert (code, err.replace(STALE, "")) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("aug ")]
    assert "linear − none" in line
    assert "+12." in line
    for style in ("markdown", "latex"):
        assert "linear" in shell("effects", "--runs", tmp_path, "--format", style)[1]
    rows = list(csv.DictReader(io.StringIO(shell("effects", "--runs", tmp_path, "--format", "csv")[1])))
    told, shared = ["weights", "aug", "weights × aug"], ["weights", "aug", "seed", "weights × aug", "rest"]
    assert [row["factors"] for row in rows] == told + shared
    assert sum(float(row["share"] or 0) for row in rows) == pytest.approx(1)
    (section,) = json.loads(shell("effects", "--runs", tmp_path, "--json")[1])["sections"]
    assert float(rows[0]["value"]) == section["effects"][0]["value"]
    assert shell("effects", "--runs", tmp_path, "--format", "markdwn")[0] == 2
    assert shell("effects", "--runs", tmp_path / "nowhere")[0] == 4
