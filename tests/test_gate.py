"""A gate fails where results got worse, and only there; what it cannot tell it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from results import METRICS, record
from scipy import stats

from addp_bench.errors import BadOption, UnknownName
from addp_bench.gates.gate import Gate, judge
from addp_bench.metrics import MeanOf
from addp_bench.records import load_all
from addp_bench.results.uncertainty import Panel, Runs, holm
from addp_bench.statistics import Statistics

STANDARD = Path(__file__).parents[1] / "benchmarks" / "records" / "standard"
BASE = np.random.default_rng(0).uniform(0.1, 0.7, 200)


@pytest.fixture
def before(tmp_path):
    return tmp_path / "before"


@pytest.fixture
def now(tmp_path):
    return tmp_path / "now"


def shifted(mean: float, spread: float = 0.02, seed: int = 1) -> np.ndarray:
    """IoUs that are `mean` above BASE, exactly in the mean, and differ from it by more and by less."""
    noise = np.random.default_rng(seed).normal(0, spread, 200)
    return BASE + mean + noise - noise.mean()


def word(gate: Gate) -> str:
    (verdict,) = gate.verdicts
    return verdict.word


# ---------------------------------------------------------------------------------------------------- verdicts


def interval_of(shift: float) -> tuple[float, float]:
    """Ends of the interval of `shifted(shift)` minus BASE, found another way: all images, numpy's own draws."""
    difference = shifted(shift) - BASE
    drawn = np.random.default_rng(5).integers(0, 100, (4000, 100))
    by_image = difference.reshape(100, 2).mean(axis=1)
    low, high = np.quantile(by_image[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize(
    "shift, tolerance, expected",
    [
        (-0.03, 0.5, "regressed"),  # [-3.2, -2.8] of -0.5
        (-0.03, 3.5, "passed"),
        (-0.03, 3.0, "inconclusive"),  # straddles -3
        (0.0, 0.0, "inconclusive"),
        (0.0, 0.5, "passed"),
        (0.03, 0.5, "improved"),
        (0.03, 3.0, "passed"),  # better, and not shown to be so by more than the tolerance
    ],
)
def test_the_word_is_read_off_the_interval_and_the_tolerance(before, now, shift, tolerance, expected):
    low, high = interval_of(shift)
    bound = tolerance / 100
    by_hand = "regressed" if high < -bound else "improved" if low > bound else "passed" if low >= -bound else ""
    assert (by_hand or "inconclusive") == expected
    gate = judge([record(before, BASE)], [record(now, shifted(shift))], {"oiou": tolerance})
    (verdict,) = gate.verdicts
    assert (verdict.word, gate.failed) == (expected, expected == "regressed")
    assert verdict.difference == pytest.approx(shift)
    assert (verdict.low, verdict.high) == pytest.approx((low, high), abs=0.0004)
    assert verdict.tolerance == pytest.approx(bound)


@pytest.mark.parametrize("unit, tolerance", [("points", 2.0), ("m", 0.02)])
def test_of_an_error_less_is_better_and_other_units_are_their_own(before, now, unit, tolerance):
    error = MeanOf(id="rmse", label="RMSE", unit=unit, higher_is_better=False, column="iou")
    old = record(before, BASE, metrics=(error,))
    for shift, expected in (
        (0.03, "regressed"),
        (0.02, "inconclusive"),  # straddles the tolerance
        (0.01, "passed"),
        (-0.02, "passed"),
        (-0.03, "improved"),
    ):
        new = record(now, shifted(shift), metrics=(error,))
        assert word(judge([old], [new], {"rmse": tolerance})) == expected


def test_a_loss_of_just_the_tolerance_is_not_beyond_it(before, now):
    old = record(before, np.full(20, 0.5))
    assert word(judge([old], [record(now, np.full(20, 0.495))], {"oiou": 0.5})) == "passed"
    assert word(judge([old], [record(now, np.full(20, 0.4949))], {"oiou": 0.5})) == "regressed"
    assert word(judge([old], [record(now, np.full(20, 0.505))], {"oiou": 0.5})) == "passed"
    assert word(judge([old], [record(now, np.full(20, 0.5051))], {"oiou": 0.5})) == "improved"


def test_the_same_records_pass_at_tolerance_0_and_are_said_to_be_the_same(before):
    records = load_all(STANDARD).records
    gate = judge(records, records, {})
    assert {verdict.word for verdict in gate.verdicts} == {"passed"}
    assert {(verdict.difference, verdict.low, verdict.high) for verdict in gate.verdicts} == {(0.0, 0.0, 0.0)}
    assert any("11 rows are the very cells of the baseline" in note for note in gate.notes)


def test_samples_are_paired(before, now):
    """Unpaired, the interval of this difference is wider than it is large."""
    gate = judge([record(before, BASE)], [record(now, shifted(-0.01))], {"miou": 0.5})
    by_metric = {verdict.metric: verdict for verdict in gate.verdicts}
    assert by_metric["miou"].word == "regressed"
    alone = Panel(METRICS[1], [Runs({0: record(now, shifted(-0.01)).statistics})]).interval(0)
    assert alone.high - alone.low > 0.03


def test_the_headline_and_metrics_with_a_tolerance_are_gated(before, now):
    old, new = record(before, BASE), record(now, shifted(-0.03))
    assert [v.metric for v in judge([old], [new], {}).verdicts] == ["oiou"]
    assert [v.metric for v in judge([old], [new], {"miou": 5}).verdicts] == ["oiou", "miou"]
    assert [v.tolerance for v in judge([old], [new], {"miou": 5}).verdicts] == [0.0, 0.05]
    with pytest.raises(UnknownName, match="Did you mean 'miou'"):
        judge([old], [new], {"miuo": 1})
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadOption, match="a number from 0 on"):
            judge([old], [new], {"miou": wrong})


# -------------------------------------------------------------------------------------------------- many rows


def test_alarms_are_holm_corrected_over_all_comparisons(before, now):
    """Against p values of the shifted differences, corrected as `uncertainty.holm` does: one-sided at 2.5 %."""
    rng = np.random.default_rng(3)
    olds, news = [], []
    for k in range(12):
        values = {seed: rng.uniform(0.3, 0.5) for seed in range(4)}
        for seed, value in values.items():
            olds.append(record(before, np.full(20, value), weights=f"w{k}", seed=seed))
            moved = value - 0.01 * (k < 5) + rng.normal(0, 0.004)
            news.append(record(now, np.full(20, moved), weights=f"w{k}", seed=seed))
    gate = judge(olds, news, {"oiou": 0.3})
    p = {}
    for verdict in gate.verdicts:
        ours = [next(r for r in news if r.id == cell).value("oiou") + 0.003 for cell in verdict.cells]
        theirs = [next(r for r in olds if r.id == cell).value("oiou") for cell in verdict.before]
        moved = Panel(METRICS[0], [_flat(ours), _flat(theirs)]).difference(0, 1)
        p[verdict.row] = moved.p / 2 if moved.value < 0 else 1 - moved.p / 2
    expected = {row for row, corrected in zip(p, holm(list(p.values()))) if corrected < 0.025}
    alone = {row for row, value in p.items() if value < 0.025}
    assert {verdict.row for verdict in gate.verdicts if verdict.word == "regressed"} == expected
    assert 0 < len(expected) < len(alone)
    short = [verdict for verdict in gate.verdicts if verdict.row in alone - expected]
    assert all(v.word == "inconclusive" and "12 comparisons" in v.reason for v in short)


def test_the_correction_steps_down_by_hand(before, now):
    """One-sided p of .001, .007, .02 and .5, held against .025 / 4, / 3, / 2 and / 1: the first two fall. Bonferroni
    would take the first alone, no correction the first three."""
    spread = np.array([-1.5, -0.5, 0.5, 1.5]) * 0.002
    error = spread.std(ddof=1) / 2
    for k, p in enumerate((0.001, 0.007, 0.02, 0.5)):
        lost = 0.003 + stats.t.isf(p, 3) * error  # beyond a tolerance of 0.3 points
        for seed, noise in enumerate(spread):
            record(before, np.full(20, 0.5), weights=f"w{k}", seed=seed)
            record(now, np.full(20, 0.5 - lost + noise), weights=f"w{k}", seed=seed)
    gate = judge(load_all(before).records, load_all(now).records, {"oiou": 0.3})
    found = {verdict.row.rpartition(" ")[2]: verdict.word for verdict in gate.verdicts}
    assert found == {"w0": "regressed", "w1": "regressed", "w2": "inconclusive", "w3": "inconclusive"}
    for k in (0, 2, 3):  # rows that are the baseline's own are no tests: the p of .007 is the only one left
        for seed in range(4):
            record(now, np.full(20, 0.5), weights=f"w{k}", seed=seed)
    gate = judge(load_all(before).records, load_all(now).records, {"oiou": 0.3})
    found = {verdict.row.rpartition(" ")[2]: verdict.word for verdict in gate.verdicts}
    assert found == {"w0": "passed", "w1": "regressed", "w2": "passed", "w3": "passed"}
    assert gate.notes[0].endswith("with 95 % intervals; 1 comparison.")


def _flat(values: list[float]) -> Runs:
    ids = np.array([f"e{k}" for k in range(20)])
    return Runs(
        {s: Statistics(ids, ids, {"intersection": np.full(20, v), "union": np.ones(20)}) for s, v in enumerate(values)}
    )


def test_a_row_that_did_not_change_does_not_hide_one_that_did(before, now):
    olds = [record(before, BASE, weights=f"w{k}") for k in range(6)]
    news = [record(now, shifted(-0.03 * (k == 4), seed=k), weights=f"w{k}") for k in range(6)]
    found = {v.row.rpartition(" ")[2]: v.word for v in judge(olds, news, {"oiou": 1}).verdicts}
    assert found == {**{f"w{k}": "passed" for k in range(6)}, "w4": "regressed"}


# --------------------------------------------------------------------------------------- what is not as it was


def test_a_row_that_is_gone_fails_and_a_further_one_is_new(before, now):
    olds = [record(before, BASE, weights=w) for w in ("uniform", "p2")]
    news = [record(now, BASE, weights=w) for w in ("uniform", "min_snr")]
    gate = judge(olds, news, {})
    found = {v.row: v for v in gate.verdicts}
    assert {v.word for v in gate.verdicts} == {"passed", "missing", "new"}
    missing = found["ris tabletop val, model tiny, weights p2"]
    assert missing.word == "missing"
    assert f"the nearest, cell {news[1].id}, differs in choices.weights.name (p2 → min_snr)" in missing.reason
    assert gate.failed
    assert not judge(olds[:1], news, {}).failed


@pytest.mark.parametrize(
    "change, said",
    [
        ({"budget": "standard"}, "budget (quick → standard)"),
        (
            {"result_protocol": {"name": "tabletop_ris", "version": 2, "settings": {"eval_size": "original"}}},
            "protocol.version (1 → 2)",
        ),
        (
            {"result_dataset": {"name": "tabletop", "options": {}, "split": "val", "fingerprint": "f1"}},
            "dataset.fingerprint (f0 → f1)",
        ),
        ({"result_sampling_steps": 50}, "sampling_steps (20 → 50)"),
        ({"asked": 201}, "samples (200 → 201)"),
        ({"metrics": (replace(METRICS[0], version=2), METRICS[1])}, "version (1 → 2)"),
        ({"metrics": (replace(METRICS[0], denominator="iou"), METRICS[1])}, "formula.denominator (union → iou)"),
        ({"metrics": (replace(METRICS[0], unit="m"), METRICS[1])}, "unit (points → m)"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_what_was_judged_otherwise_is_incomparable_and_fails(before, now, change, said):
    gate = judge([record(before, BASE)], [record(now, BASE, **change)], {})
    (verdict,) = gate.verdicts
    assert verdict.word == "incomparable"
    assert said in verdict.reason
    assert gate.failed


def test_new_code_new_weights_files_and_a_new_label_are_the_same_row(before, now):
    def chosen(content):
        return {"model": {"name": "tiny", "options": {}, "fingerprint": content}}

    old = record(before, BASE, result_choices=chosen("a" * 64), result_code="old")
    label = (replace(METRICS[0], label="overall IoU"), METRICS[1])
    new = record(now, BASE, result_choices=chosen("b" * 64), result_code="new", metrics=label)
    assert old.id != new.id
    assert word(judge([old], [new], {})) == "passed"


def test_of_rows_that_differ_in_contents_of_files_the_newest_is_judged(before, now):
    def scored(runs, iou, content, finished):
        made = record(
            runs, iou, result_choices={"model": {"name": "predictions", "options": {}, "fingerprint": content}}
        )
        made.body["provenance"]["finished"] = finished
        return made

    old = scored(before, BASE, "a", "2026-01-01")
    stale = scored(now, BASE, "a", "2026-01-01")
    new = scored(now, shifted(-0.1), "b", "2026-02-01")
    assert word(judge([old], [stale, new], {})) == "regressed"
    assert word(judge([old], [new, stale], {})) == "regressed"


def test_missing_seeds_are_missing_and_other_seeds_will_do(before, now):
    olds = [record(before, BASE, seed=seed) for seed in range(3)]
    gate = judge(olds, [record(now, BASE, seed=seed) for seed in (0, 2)], {})
    assert word(gate) == "missing"
    assert "the baseline has 3 seeds, the runs 2; not there: 1" in gate.verdicts[0].reason
    assert word(judge(olds, [record(now, BASE, seed=seed) for seed in (7, 8, 9)], {})) == "passed"


def test_seeds_are_paired_where_the_runs_have_those_of_the_baseline(before, now):
    """Seeds differ by ten points, code by half of one: only paired by seed can that be seen."""
    olds = [record(before, BASE + 0.1 * seed, seed=seed) for seed in range(3)]
    news = [record(now, shifted(-0.005, 0.01, seed) + 0.1 * seed, seed=seed) for seed in range(5)]
    gate = judge(olds, news, {"oiou": 0.1})
    (verdict,) = gate.verdicts
    assert (verdict.word, verdict.seeds, len(verdict.cells)) == ("regressed", 3, 3)
    assert verdict.difference == pytest.approx(-0.005)
    assert verdict.value == pytest.approx(np.mean([r.value("oiou") for r in news[:3]]))


def test_fewer_than_three_seeds_speak_of_checkpoints_and_the_gate_says_so(before, now):
    olds = [record(before, BASE, seed=seed) for seed in range(3)]
    news = [record(now, shifted(0.0), seed=seed) for seed in range(3)]
    few = judge(olds[:2], news, {})
    assert few.verdicts[0].about == "checkpoint"
    assert any("1 rows have fewer than 3 seeds" in note for note in few.notes)
    many = judge(olds, news, {})
    assert many.verdicts[0].about == "method"
    assert not any("fewer than 3 seeds" in note for note in many.notes)
    naive = judge(
        [record(before, BASE, trained=False, model="random")], [record(now, BASE, trained=False, model="random")], {}
    )
    assert naive.verdicts[0].about == "method"


def test_samples_that_are_no_longer_scored_are_new_failures(before, now):
    old = record(before, BASE[:198], asked=200)  # two failed then too
    gate = judge([old], [record(now, shifted(0.1)[:190], asked=200)], {})
    (verdict,) = gate.verdicts
    assert verdict.word == "new failure"
    assert verdict.reason.startswith("8 samples are no longer scored: e00190, e00191,")
    assert verdict.difference == pytest.approx(float(METRICS[0].value(_cut(now)) - METRICS[0].value(_cut(before))))
    assert gate.failed
    assert word(judge([old], [record(now, shifted(0.01))], {})) == "improved"


def _cut(runs: Path) -> dict[str, np.ndarray]:
    (only,) = [r for r in load_all(runs).records if len(r.statistics) != 200]
    return {name: column[:190] for name, column in only.statistics.columns.items()}


def test_a_sample_whose_statistic_became_nan_is_a_new_failure(before, now):
    mean = (MeanOf(id="miou", label="mIoU", column="iou"),)
    gone = shifted(0.2)
    gone[7] = np.nan
    gate = judge([record(before, BASE, metrics=mean)], [record(now, gone, metrics=mean)], {})
    assert word(gate) == "new failure"
    assert "1 samples are no longer scored: e00007" in gate.verdicts[0].reason
    assert not judge([record(before, gone, metrics=mean)], [record(now, shifted(0.3), metrics=mean)], {}).failed


def test_a_value_that_is_gone_is_a_new_failure(before, now):
    none = {"label": "oIoU", "value": None, "unit": "points", "higher_is_better": True, "version": 1}
    absent = {"oiou": {**none, "reason": "no sample could be scored", "formula": None}}
    absent["oiou"]["formula"] = record(before, BASE).result["metrics"]["oiou"]["formula"]
    gate = judge([record(before, BASE)], [record(now, BASE, result_metrics=absent)], {})
    assert word(gate) == "new failure"
    assert "no sample could be scored" in gate.verdicts[0].reason


def test_a_metric_without_a_formula_passes_only_where_it_is_equal(before, now):
    entry = {"label": "AP", "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    old = record(before, BASE, result_metrics={"ap": {**entry, "value": 0.4}})
    for value, expected in ((0.4, "passed"), (0.3, "inconclusive")):
        new = record(now, BASE, result_metrics={"ap": {**entry, "value": value}})
        assert word(judge([old], [new], {})) == expected
    known = judge([old], [new], {}, rebuild=lambda record, name: MeanOf(id=name, label="AP", column="iou"))
    assert known.verdicts[0].low == 0.0


def test_one_photograph_decides_nothing(before, now):
    gate = judge([record(before, BASE[:2])], [record(now, BASE[:2] - 0.1)], {})
    assert word(gate) == "inconclusive"
    assert (gate.verdicts[0].low, gate.failed) == (None, False)
    assert judge([record(before, BASE[:2])], [record(now, BASE[:2] - 0.1)], {}, strict=True).failed
    assert word(judge([record(before, BASE[:2])], [record(now, BASE[:2])], {})) == "passed"


def test_a_baseline_without_a_value_can_lose_nothing(before, now):
    none = {"label": "oIoU", "unit": "points", "higher_is_better": True, "version": 1, "value": None, "reason": "none"}
    gate = judge(*([record(runs, BASE, result_metrics={"oiou": none})] for runs in (before, now)), {})
    assert (word(gate), gate.failed, gate.verdicts[0].reason) == (
        "inconclusive",
        False,
        "the baseline has no value for it",
    )
