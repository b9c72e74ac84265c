"""Average ranks: only over what all methods share, by hand and against scipy; a missing cell never helps anybody."""

from __future__ import annotations

import csv
import io
import json
from itertools import permutations, product

import numpy as np
import pytest
from results import record
from scipy import stats

from addp_bench.errors import BadRequest, NothingSelected
from addp_bench.metrics import MeanOf
from addp_bench.results.across import _ranks, average_ranks, friedman_test, render
from addp_bench.results.tables import leaderboard

BASE = np.random.default_rng(0).uniform(0.1, 0.5, 60)
ERROR = (MeanOf(id="absrel", label="AbsRel", higher_is_better=False, column="iou"),)
SHIFTS = {"uniform": (0.0, 0.2, 0.0), "p2": (0.1, 0.1, 0.1), "ant": (0.2, 0.0, 0.2)}  # of ris, semantic, depth's error


def cells(runs, shifts=SHIFTS, **more):
    made = []
    for weights, (ris, semantic, depth) in shifts.items():
        tasks = [("ris", ris, "red_mask", {}), ("semantic", semantic, "palette", {})]
        for task, shift, encoding, metrics in [*tasks, ("depth", depth, "depth_log", {"metrics": ERROR})]:
            if shift is not None:
                asked = {"weights": weights, "encoding": encoding, "result_task": task, **metrics, **more}
                made.append(record(runs, BASE + shift, **asked))
    return made


def averages(found):
    return {method.choices["weights"]: method.average for method in found.methods}


def test_ranks_are_averaged_in_the_direction_of_each_metric(tmp_path):
    made = cells(tmp_path)
    (found,) = average_ranks(leaderboard(made), made)
    # ris: ant p2 uniform; semantic: uniform p2 ant; depth, where less is better: uniform p2 ant
    assert averages(found) == pytest.approx({"uniform": 5 / 3, "p2": 2.0, "ant": 7 / 3})
    assert [method.choices["weights"] for method in found.methods] == ["uniform", "p2", "ant"]
    assert found.axes == ["model", "weights"]
    assert all(method.tables == 3 for method in found.methods)


def test_a_method_that_is_missing_somewhere_has_no_average_and_takes_no_place(tmp_path):
    shifts = {**SHIFTS, "best": (0.4, None, None), "between": (0.15, 0.05, None)}
    made = cells(tmp_path, shifts)
    (found,) = average_ranks(leaderboard(made), made)
    assert averages(found) == pytest.approx({"uniform": 5 / 3, "p2": 2.0, "ant": 7 / 3, "best": None, "between": None})
    assert [method.tables for method in found.methods] == [3, 3, 3, 2, 1]
    assert {place["rank"] for method in found.methods[3:] for place in method.places.values()} == {None}
    assert "2 methods are not ranked" in render([found], "table")


def test_an_incomplete_row_counts_as_missing(tmp_path):
    made = cells(tmp_path)
    made.append(record(tmp_path, (BASE + 0.4)[:59], asked=60, weights="p3"))
    made.append(record(tmp_path, BASE + 0.4, weights="p3", encoding="palette", result_task="semantic"))
    made.append(record(tmp_path, BASE, weights="p3", encoding="depth_log", result_task="depth", metrics=ERROR))
    (found,) = average_ranks(leaderboard(made), made)
    assert averages(found)["p3"] is None
    assert averages(found)["uniform"] == pytest.approx(5 / 3)


def test_equals_share_their_ranks(tmp_path):
    made = cells(tmp_path, {"uniform": (0.1, 0.1, 0.1), "p2": (0.1, 0.1, 0.1), "ant": (0.0, 0.0, 0.0)})
    (found,) = average_ranks(leaderboard(made), made)
    both = (1.5 + 1.5 + 2.5) / 3
    assert averages(found) == pytest.approx({"uniform": both, "p2": both, "ant": 7 / 3})
    assert _ranks([3.0, 1.0, 3.0, 2.0]).tolist() == stats.rankdata([-3, -1, -3, -2]).tolist()


def test_budgets_are_not_mixed_and_one_table_has_no_average(tmp_path):
    made = [*cells(tmp_path), *cells(tmp_path, {"uniform": (0.0, 0.1, 0.0)}, budget="standard")]
    assert sorted(found.budget for found in average_ranks(leaderboard(made), made)) == ["quick", "standard"]
    with pytest.raises(NothingSelected, match="two tables"):
        average_ranks(leaderboard(made[:1]), made[:1])


def test_two_encodings_of_one_method_are_refused_rather_than_the_better_taken(tmp_path):
    made = [*cells(tmp_path), record(tmp_path, BASE + 0.3, weights="p2", encoding="solid_mask")]
    with pytest.raises(BadRequest, match="encoding or data"):
        average_ranks(leaderboard(made), made)


def test_a_mixture_is_another_method_than_each_task_alone(tmp_path):
    def training(tasks):
        return {"steps": 100, "batch_size": 8, "lr": 1e-4, "samples": 64, "tasks": tasks}

    made = []
    for task in ("ris", "semantic"):
        for tasks in (task, "ris=0.5+semantic=0.5"):
            made.append(record(tmp_path, BASE, result_task=task, result_training=training(tasks)))
    (found,) = average_ranks(leaderboard(made), made)
    assert {method.choices["tasks learnt"] for method in found.methods} == {"each alone", "ris=0.5+semantic=0.5"}
    assert [method.average for method in found.methods] == [1.5, 1.5]


# ------------------------------------------------------------------------------------------------ Friedman


def test_friedmans_statistic_is_scipys_with_ties_and_without():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=(6, 4)), rng.integers(0, 3, (7, 5)).astype(float)):
        ranks = np.array([_ranks(row) for row in values])
        assert friedman_test(ranks)[0] == pytest.approx(stats.friedmanchisquare(*values.T).statistic)


def test_its_p_is_that_of_all_orders():
    ranks = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
    statistic, p = friedman_test(ranks)
    every = [
        stats.friedmanchisquare(*np.array(orders, float).T).statistic
        for orders in product(list(permutations((1, 2, 3))), repeat=3)
    ]
    assert p == pytest.approx(np.mean(np.array(every) >= statistic - 1e-9), abs=0.015)
    assert friedman_test(np.full((4, 3), 2.0)) == (None, 1.0)


def test_it_is_told_only_where_tables_are_independent(tmp_path):
    made = cells(tmp_path)
    (found,) = average_ranks(leaderboard(made), made)
    assert found.friedman is not None
    data = {"name": "tabletop", "options": {}, "split": "test", "fingerprint": "f0"}
    made += [record(tmp_path, BASE + s[0], weights=w, result_dataset=data) for w, s in SHIFTS.items()]
    (found,) = average_ranks(leaderboard(made), made)
    assert found.friedman is None
    assert any("not independent" in note for note in found.notes)
    two = cells(tmp_path / "two", {name: SHIFTS[name] for name in ("uniform", "p2")})
    assert average_ranks(leaderboard(two), two)[0].friedman is None


# ------------------------------------------------------------------------------------------------ as text


def test_the_command_shows_them_in_every_format(shell, tmp_path):
    cells(tmp_path)
    code, out, _ = shell("leaderboard", "--runs", tmp_path, "--average-rank")
    assert code == 0
    (line,) = [line for line in out.splitlines() if " uniform " in line]
    assert "1.67" in line
    assert "3 of 3" in line
    for style in ("markdown", "latex"):
        assert "1.67" in shell("leaderboard", "--runs", tmp_path, "--average-rank", "--format", style)[1]
    text = shell("leaderboard", "--runs", tmp_path, "--average-rank", "--format", "csv")[1]
    assert len(list(csv.DictReader(io.StringIO(text)))) == 9
    (found,) = json.loads(shell("leaderboard", "--runs", tmp_path, "--average-rank", "--json")[1])["averages"]
    assert found["methods"][0]["average"] == pytest.approx(5 / 3)
    code, _, err = shell("leaderboard", "--runs", tmp_path, "--average-rank", "--sort", "oiou")
    assert code == 2
    assert "only --task, --where and --format" in err
