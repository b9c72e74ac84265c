"""Cells side by side: what may be compared, in which direction, corrected over what, and what is said of the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from results import METRICS, record

from addp_bench.errors import BadData, BadRequest, Incomparable, NothingSelected, UnknownName
from addp_bench.metrics import MeanOf
from addp_bench.records import write
from addp_bench.results.comparison import compare, conditions
from addp_bench.results.uncertainty import Panel, Runs, holm
from addp_bench.statistics import Statistics

BASE = np.random.default_rng(0).uniform(0.2, 0.7, 200)


def scores(shift=0.0, spread=0.05, seed=1):
    """IoUs of 200 expressions of 100 images, better than BASE by `shift` exactly in the mean."""
    noise = np.random.default_rng([seed, int(shift * 1e4)]).normal(0, spread, 200)
    return BASE + shift + noise - noise.mean()


def described(made, **attributes):
    """The record with attributes of its samples."""
    plain = made.statistics
    columns = {name: np.array(column) for name, column in plain.columns.items()}
    kept = Statistics(np.array(plain.ids), np.array(plain.image_ids), columns, attributes)
    return write(made.folder, made.body, kept)


@pytest.fixture
def cells(tmp_path):
    """Three seeds each of a reference and of two others, the second better by 10 points."""
    rows = (("uniform", 0.0), ("p2", 0.1), ("min_snr:gamma=5", 0.01))
    return [
        record(tmp_path, scores(shift + 0.002 * seed, seed=seed), weights=weights, seed=seed)
        for weights, shift in rows
        for seed in range(3)
    ]


def difference(made, metric="oiou", side=0):
    return made["metrics"][metric]["differences"][side]


# ---------------------------------------------------------------------------------------------------- the sides


@pytest.mark.parametrize(
    ("words", "key", "read"),
    [
        ("4b7C", "4b7c", []),
        ("weights=uniform,aug=none", "", ["weights=uniform", "aug=none"]),
        ("4b7c,seed=0", "4b7c", ["seed=0"]),
        ("cell=4b7c, seed=0,1", "4b7c", ["seed=0,1"]),
        (
            "weights=min_snr:gamma=5,min_snr:gamma=1,aug=none",
            "",
            ["weights=min_snr:gamma=5,min_snr:gamma=1", "aug=none"],
        ),
        ("weights.gamma=5", "", ["weights.gamma=5"]),
    ],
)
def test_a_side_is_a_key_or_conditions(words, key, read):
    assert conditions(words) == (key, read)


@pytest.mark.parametrize("words", ["uniform", "", "4b7g", "=uniform", "uniform,aug=none"])
def test_a_side_that_is_neither_is_refused(words):
    with pytest.raises(BadRequest, match="neither the beginning of a cell's key nor"):
        conditions(words)


def test_a_key_stands_for_its_row_and_a_seed_picks_one(cells):
    made = compare(cells, [cells[0].id[:9], cells[4].id])
    assert [side["seeds"] for side in made["sides"]] == [[0, 1, 2], [0, 1, 2]]
    assert [side["about"] for side in made["sides"]] == ["method", "method"]
    one = compare(cells, [f"{cells[0].id},seed=1", f"cell={cells[4].id},seed=1"])
    assert [side["seeds"] for side in one["sides"]] == [[1], [1]]
    assert difference(one)["about"] == "checkpoint"
    assert difference(one)["value"] == pytest.approx(cells[4].value("oiou") - cells[1].value("oiou"))


def test_two_seeds_of_one_row_are_two_checkpoints(cells):
    made = compare(cells, ["weights=uniform,seed=0", "weights=uniform,seed=2"])
    assert difference(made)["value"] == pytest.approx(0.004)
    assert difference(made)["needed"]["seeds"] is None


@pytest.mark.parametrize(
    ("sides", "error", "says"),
    [
        (["weights=uniform"], BadRequest, "two sides at least"),
        (["weights=uniform,p2", "weights=min_snr"], BadRequest, "fits 2 rows, say more: .*weights"),
        (["weights=uniform", "weights=uniform,seed=0"], BadRequest, "nothing to compare"),
        (["weights=uniform", "weights=ant"], NothingSelected, "no record has weights=ant"),
        (["weights=uniform", "fade"], NothingSelected, "no record has cell=fade"),
        (["weights=uniform", "wieghts=p2"], UnknownName, "Did you mean 'weights'"),
    ],
)
def test_a_side_must_be_one_row(cells, sides, error, says):
    with pytest.raises(error, match=says):
        compare(cells, sides)


def test_conditions_beside_a_key_are_on_its_row(cells):
    with pytest.raises(NothingSelected, match=r"no record has weights=p2 \(3 looked at; met uniform\)"):
        compare(cells, [f"{cells[0].id},weights=p2", "weights=p2"])


def test_an_older_record_is_compared_where_its_own_key_asks_for_it(tmp_path):
    old = record(tmp_path, scores(), result_code="old")
    new = record(tmp_path, scores(0.1), result_code="new")
    new.body["provenance"]["finished"] = "2027-01-01"
    made = compare([old, new], [old.id, new.id])
    assert [side["cells"] for side in made["sides"]] == [[old.id], [new.id]]
    assert difference(made)["value"] == pytest.approx(0.1)


def test_where_narrows_all_sides(cells):
    made = compare(cells, ["weights=uniform", "weights=p2"], ["seed=0,1"])
    assert [side["seeds"] for side in made["sides"]] == [[0, 1], [0, 1]]


# ----------------------------------------------------------------------------------------- what may be compared


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"result_task": "semantic"}, "task ris and semantic"),
        ({"budget": "standard"}, "budget quick and standard"),
        (
            {"result_dataset": {"name": "tabletop", "options": {}, "split": "test", "fingerprint": "f0"}},
            "split val and test",
        ),
        (
            {"result_dataset": {"name": "tabletop", "options": {}, "split": "val", "fingerprint": "f1"}},
            "data fingerprint f0 and f1",
        ),
        (
            {"result_protocol": {"name": "tabletop_ris", "version": 1, "settings": {"eval_size": 64}}},
            "eval_size original and 64",
        ),
        (
            {"result_protocol": {"name": "tabletop_ris", "version": 2, "settings": {"eval_size": "original"}}},
            "protocol version 1 and 2",
        ),
        ({"metrics": (MeanOf(id="oiou", label="oIoU", column="iou", version=2),)}, "version of oiou 1 and 2"),
        ({"metrics": METRICS[::-1]}, "headline oiou and miou"),
        ({"asked": 201}, "only 99.5% of its samples"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_cells_that_were_judged_otherwise_are_refused_with_the_reason(tmp_path, change, says):
    made = [record(tmp_path, scores()), record(tmp_path, scores(0.1), weights="p2", **change)]
    with pytest.raises(Incomparable, match=says) as refused:
        compare(made, ["weights=uniform", "weights=p2"])
    assert refused.value.exit_code == 4


def test_a_custom_budget_is_compared_number_by_number(tmp_path):
    longer = {"steps": 200, "batch_size": 8, "lr": 1e-4, "samples": 64}
    made = [record(tmp_path, scores(), budget="custom")]
    made += [record(tmp_path, scores(), budget="custom", weights="p2", result_training=longer)]
    with pytest.raises(Incomparable, match="steps 100 and 200"):
        compare(made, ["weights=uniform", "weights=p2"])


def test_a_row_without_training_stands_beside_any_budget_on_its_samples(tmp_path):
    more = np.concatenate([np.full(200, 0.3), np.ones(100)])
    made = [record(tmp_path, np.full(200, 0.4)), record(tmp_path, more, trained=False, model="largest_object")]
    found = compare(made, ["model=largest_object", "model=tiny"])
    assert found["heading"]["samples"] == 200
    assert found["heading"]["budget"] == "quick"
    assert difference(found)["value"] == pytest.approx(0.1)
    assert found["metrics"]["oiou"]["values"][0]["value"] == pytest.approx(0.3)


def test_what_stands_between_two_of_three_sides_is_named(tmp_path):
    made = [record(tmp_path, scores(), trained=False, model="random")]
    made += [record(tmp_path, scores(), budget=budget) for budget in ("quick", "standard")]
    with pytest.raises(Incomparable, match="budget quick and standard"):
        compare(made, ["model=random", "budget=quick", "budget=standard"])
    fewer = [record(tmp_path, scores()[:n], trained=False, model=m) for n, m in ((100, "constant"), (120, "truth"))]
    with pytest.raises(Incomparable, match="samples asked for 100 and 120"):
        compare(fewer, ["model=constant", "model=truth"])


def test_other_samples_are_refused_with_their_number(tmp_path):
    first, second = record(tmp_path, scores()), record(tmp_path, scores(0.1), weights="p2")
    plain = second.statistics
    renamed = np.array([f"x{i}" if k < 40 else str(i) for k, i in enumerate(plain.ids.tolist())])
    columns = {name: np.array(column) for name, column in plain.columns.items()}
    second = write(second.folder, second.body, Statistics(renamed, np.array(plain.image_ids), columns))
    with pytest.raises(Incomparable, match="160 of the 200"):
        compare([first, second], ["weights=uniform", "weights=p2"])


def test_damaged_statistics_are_named(cells):
    file = cells[4].folder / "statistics.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadData, match="SHA-256"):
        compare(cells, ["weights=uniform", "weights=p2"])


# -------------------------------------------------------------------------------------------------- differences


def test_the_first_side_is_subtracted_and_the_direction_says_who_is_better(tmp_path):
    error = MeanOf(id="rmse", label="RMSE", unit="m", higher_is_better=False, column="iou")
    made = [
        record(tmp_path, scores(shift, seed=seed), weights=weights, seed=seed, metrics=(METRICS[0], error))
        for weights, shift in (("uniform", 0.0), ("p2", 0.1))
        for seed in range(3)
    ]
    found = compare(made, ["weights=uniform", "weights=p2"])
    assert difference(found)["value"] == pytest.approx(0.1)
    assert difference(found, "rmse")["value"] == pytest.approx(0.1)
    assert (difference(found)["better"], difference(found, "rmse")["better"]) == ("B", "A")
    turned = compare(made, ["weights=p2", "weights=uniform"])
    assert difference(turned)["value"] == pytest.approx(-0.1)
    assert (difference(turned)["better"], difference(turned, "rmse")["better"]) == ("A", "B")


def test_numbers_are_those_of_the_panel_and_holm_is_over_the_table(cells):
    made = compare(cells, ["weights=uniform", "weights=p2", "weights=min_snr"])
    rows = [Runs({c.result["seed"]: c.statistics for c in cells[3 * k : 3 * k + 3]}) for k in range(3)]
    expected = [Panel(metric, rows).difference(k, 0) for metric in METRICS for k in (1, 2)]
    found = [d for metric in made["metrics"].values() for d in metric["differences"]]
    assert [(d["value"], d["low"], d["high"], d["p"]) for d in found] == [
        (d.value, d.low, d.high, d.p) for d in expected
    ]
    assert [d["p_holm"] for d in found] == holm([d.p for d in expected])
    assert made["tests"] == 4
    assert [d["side"] for d in found] == ["B", "C", "B", "C"]
    alone = compare(cells, ["weights=uniform", "weights=p2"], metrics=["miou"])
    assert list(alone["metrics"]) == ["miou"]
    assert difference(alone, "miou")["p_holm"] == difference(alone, "miou")["p"]


def test_what_a_difference_would_take_is_told_only_where_it_was_not_separated(tmp_path):
    """One seed each: 7.849 s^2 / d^2 images, a few more for t, of the differences within images."""
    made = [record(tmp_path, scores()), record(tmp_path, scores(0.1), weights="p2")]
    made.append(record(tmp_path, scores(0.003), weights="min_snr"))
    found = compare(made, ["weights=uniform", "weights=p2", "weights=min_snr"], metrics=["miou"])
    assert difference(found, "miou", 0)["needed"] == {}
    small = difference(found, "miou", 1)
    d = made[2].statistics.columns["iou"] - made[0].statistics.columns["iou"]
    of_images = d.reshape(100, 2).mean(axis=1)
    assert small["needed"]["images"] == pytest.approx(7.849 * of_images.var() / 0.003**2, rel=0.08)
    assert small["needed"]["images"] > 100
    assert small["needed"]["seeds"] is None
    assert small["detectable"] == pytest.approx(2.83 * of_images.std() / 10, rel=0.04)


def test_one_image_gives_values_and_no_test(tmp_path):
    made = [record(tmp_path, np.array(iou), weights=w) for w, iou in (("a", [0.2, 0.4]), ("b", [0.6, 0.4]))]
    found = difference(compare(made, ["weights=a", "weights=b"]))
    assert found["value"] == pytest.approx(0.2)
    assert (found["p"], found["p_holm"], found["better"], found["variance"], found["needed"]) == (
        None,
        None,
        None,
        None,
        {},
    )


def test_metrics_that_cannot_be_made_again_are_named(tmp_path):
    entry = {"label": "AP", "value": 0.5, "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    none = {**entry, "value": None, "reason": "no object is large"}
    first = record(tmp_path, scores())
    body = first.body["result"]["metrics"]
    other = {**body["miou"], "version": 2}
    cells = [
        record(tmp_path, scores(), weights=w, result_metrics={**body, "ap": entry, "apl": none, "miou": m})
        for w, m in (("a", body["miou"]), ("b", other))
    ]
    made = compare(cells, ["weights=a", "weights=b"])
    assert list(made["metrics"]) == ["oiou"]
    assert made["left_out"] == {
        "miou": "its version differs",
        "ap": "its formula is not among its record's",
        "apl": "no object is large",
    }
    with pytest.raises(NothingSelected, match="its formula is not among"):
        compare(cells, ["weights=a", "weights=b"], metrics=["ap"])
    with pytest.raises(UnknownName, match="Did you mean 'oiou'"):
        compare(cells, ["weights=a", "weights=b"], metrics=["oiuo"])


def test_flips_are_told_of_every_metric(cells):
    made = compare(cells, ["weights=uniform", "weights=p2"])
    for metric in ("oiou", "miou"):
        found = difference(made, metric)["flips"]
        assert found["n01"] > 20
        assert found["n10"] == 0
        assert found["gained"][0]["reference"] < 0.5 <= found["gained"][0]["other"]


def test_the_answer_is_plain(cells):
    made = compare(cells, ["weights=uniform", "weights=p2"])
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["same"]["aug"] == "none"
    assert [side["choices"]["weights"] for side in made["sides"]] == ["uniform", "p2"]
    assert (made["heading"]["samples"], made["heading"]["images"]) == (200, 100)


# ------------------------------------------------------------------------------------------------------- groups


def test_a_difference_may_lie_in_one_group_of_samples(tmp_path):
    """Only the largest objects are drawn better."""
    share = np.r_[np.zeros(20), np.linspace(0.01, 0.6, 180)]
    large = share >= np.quantile(share[20:], 2 / 3)
    made = [
        described(record(tmp_path, scores() + gain * large, weights=w), share=share, words=np.arange(200) % 3)
        for w, gain in (("uniform", 0.0), ("p2", 0.2))
    ]
    found = compare(made, ["weights=uniform", "weights=p2"], by="size")
    assert list(found["groups"]) == ["oiou"]
    group = found["groups"]["oiou"][1]
    assert list(group) == ["0.0100 to 0.2045", "0.2078 to 0.4022", "0.4055 to 0.6000", "none"]
    assert [entry["samples"] for entry in group.values()] == [60, 60, 60, 20]
    gains = [entry["difference"]["value"] for entry in group.values()]
    assert gains == pytest.approx([0, 0, 0.2, 0], abs=1e-9)
    assert group["0.4055 to 0.6000"]["difference"]["p_holm"] < 0.05
    both = compare(made, ["weights=uniform", "weights=p2"], by="words", metrics=["miou", "oiou"])
    assert list(both["groups"]) == ["oiou", "miou"]
    assert list(both["groups"]["oiou"][0]) == ["0", "1", "2"]
    assert both["groups"]["oiou"][0]["0"]["difference"] is None


def test_an_attribute_that_samples_do_not_have_is_refused(cells, tmp_path):
    with pytest.raises(UnknownName, match="size needs the attribute share"):
        compare(cells, ["weights=uniform", "weights=p2"], by="size")
    names = np.array([f"n{k}" for k in range(200)])
    made = [described(record(tmp_path / "n", scores(), weights=w), name=names) for w in ("a", "b")]
    with pytest.raises(BadRequest, match="takes 200 values"):
        compare(made, ["weights=a", "weights=b"], by="name")
