"""Do the intervals hold? The program's own, simulated by benchmarks/intervals.py where what is true is known.

Bounds of counts are the 99 % ones of a test that keeps its 5 %: 37 of 500, 11 of 100.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from addp_bench.average_precision import AveragePrecision
from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast
from addp_bench.records import load_all, metric_of
from addp_bench.results.uncertainty import Panel, Runs, interval, only

SCRIPTS = Path(__file__).parents[1] / "benchmarks"
RECORDS = SCRIPTS / "records"


@pytest.fixture
def simulated(monkeypatch):
    """The module benchmarks/intervals.py."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import intervals

    return intervals


def world(simulated, name):
    (found,) = [world for world in simulated.WORLDS if world.name == name]
    return found


def spread(simulated, name):
    (found,) = [spread for spread in simulated.SPREADS if spread.name == name]
    return found


# ----------------------------------------------------------------------------------------------------- coverage


def test_what_is_true_is_known(simulated):
    """Of a symmetric ability the mean score is a half, and seeds that differ alike in both directions keep it there."""
    for name in ("seeds alike", "seeds differ"):
        assert simulated.truth(world(simulated, "mean"), spread(simulated, name), True)[0] == pytest.approx(
            0.5, abs=0.002
        )


def test_intervals_of_three_seeds_hold(simulated):
    """Seeds that differ only at single images: counted twice, their differences would be held in 99.7 %."""
    found = simulated.coverage(
        world(simulated, "mean"), 3, spread(simulated, "seeds alike"), repetitions=300, resamples=400
    )
    assert 0.92 <= found.row <= 0.98
    assert 0.92 <= found.difference <= 0.98


def test_a_simulation_that_takes_expressions_for_photographs_does_not_hold(simulated):
    """The control: three expressions of a photograph as if they were three photographs."""
    honest = world(simulated, "mean")

    def apart(rng, ability):
        return [dataclasses.replace(made, image_ids=made.ids) for made in honest.draw(rng, ability)]

    wrong = dataclasses.replace(honest, draw=apart)
    found = simulated.coverage(wrong, 1, spread(simulated, "seeds alike"), repetitions=200, resamples=400)
    assert found.row < 0.88


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean", "oIoU", "mIoU"])
@pytest.mark.parametrize(
    ("seeds", "seeds_are"), [(1, "seeds alike"), (3, "seeds alike"), (3, "seeds differ"), (5, "no interaction")]
)
def test_intervals_hold_in_93_to_97_of_100(simulated, name, seeds, seeds_are):
    """One seed on 500 photographs, as many as `records/standard` have; several on 200. To the nearest hundredth: 1000
    repetitions know a share to 0.007."""
    found = simulated.coverage(
        world(simulated, name), seeds, spread(simulated, seeds_are), images=500 if seeds == 1 else 200
    )
    assert 0.93 <= round(found.row, 2) <= 0.97
    assert 0.93 <= round(found.difference, 2) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_of_average_precision_hold(simulated, seeds):
    """Of 250 repetitions a true 95 % gives 91.2 to 98.4 in 99 of 100."""
    found = simulated.coverage(world(simulated, "AP50"), seeds, spread(simulated, "seeds alike"), repetitions=250)
    assert 0.912 <= found.row <= 0.984
    assert 0.912 <= found.difference <= 0.984


# --------------------------------------------------------------------------------------------------------- A/A


@pytest.mark.parametrize("seeds", [1, 3])
def test_real_answers_of_one_kind_are_seldom_told_apart(simulated, seeds):
    met = simulated.alarms("oiou", seeds, repetitions=100, resamples=400)
    assert max(met.pair, met.family, met.tiers) <= 11


def test_real_answers_of_two_kinds_are_told_apart(simulated):
    """The control: the same machinery, with one side of another row, by 30 points worse."""
    rows = {row.first.id: row for row in simulated.rows_of(load_all(simulated.STANDARD).records)}
    good, bad = ([r.statistics for r in rows[cell].records] for cell in ("ca28b8312fbb", "ebe6a22e090c"))
    made = [simulated.alike(np.random.default_rng(0), row, 1, 3)[0] for row in (good, bad)]
    metric = metric_of(rows["ca28b8312fbb"].first, "oiou")
    panel = Panel(metric, made, resamples=400)
    assert panel.difference(0, 1).p < 0.001
    assert panel.tiers() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("metric", ["oiou", "miou"])
def test_of_500_comparisons_without_a_difference_37_at_most_are_significant(simulated, metric, seeds):
    met = simulated.alarms(metric, seeds)
    assert met.repetitions == 500
    assert met.pair <= 37
    assert met.family <= 37  # any of five rows, after Holm
    assert met.tiers <= 37  # two groups of seeds of one model stay together in 95 of 100


# ------------------------------------------------------------------------------------- numbers from stored sums


def test_every_number_of_the_shipped_records_is_made_again_from_its_sums():
    """To 1e-12, by the metric and by a table's panel; of every kind of metric there is."""
    kinds: dict[str, int] = {}
    for folder in sorted(RECORDS.iterdir()):
        for record in load_all(folder).records:
            for name, entry in record.result["metrics"].items():
                if (metric := metric_of(record, name)) is None:
                    continue
                kinds[type(metric).__name__] = kinds.get(type(metric).__name__, 0) + 1
                value = float(metric.value(record.statistics.columns))
                if entry["value"] is None:
                    assert math.isnan(value)
                else:
                    assert value == pytest.approx(entry["value"], rel=0, abs=1e-12), (record.id, name)
    assert set(kinds) == {
        "AveragePrecision",
        "AverageRecall",
        "LogOfPairs",
        "MeanOf",
        "MeanOfRatios",
        "RatioOfSums",
        "ShareAtLeast",
    }
    assert min(kinds.values()) >= 5


def test_stored_sums_give_the_numbers_that_the_formulas_say():
    """oIoU, mIoU and Pr@0.5 in plain Python."""
    record = load_all(RECORDS / "standard").records[0]
    columns = {name: column.tolist() for name, column in record.statistics.columns.items()}
    iou = columns["iou"]
    assert record.value("oiou") == pytest.approx(
        math.fsum(columns["intersection"]) / math.fsum(columns["union"]), abs=1e-12
    )
    assert record.value("miou") == pytest.approx(math.fsum(iou) / len(iou), abs=1e-12)
    assert record.value("pr50") == sum(one >= 0.5 for one in iou) / len(iou)


def first_with(kind, task=None):
    """A shipped record of a trained model and a metric of it, of this kind of formula."""
    for folder in ("standard", "tasks"):
        for record in load_all(RECORDS / folder).records:
            if record.result["training"] is None or (task and record.result["task"] != task):
                continue
            for name, entry in record.result["metrics"].items():
                metric = metric_of(record, name)
                if type(metric) is kind and entry["value"] not in (None, 0.0, 1.0):
                    return record.statistics, metric
    raise LookupError(kind)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        (RatioOfSums, "ris"),
        (ShareAtLeast, "ris"),
        (MeanOf, "depth"),
        (MeanOfRatios, "semantic"),
        (AveragePrecision, "detection"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_the_bootstraps_standard_error_is_that_of_repeated_halves(kind, task):
    """Half of the images, without replacement, again and again: s^2 / (C / 2) (1 - 1 / 2) = s^2 / C of a mean."""
    statistics, metric = first_with(kind, task)
    error = Panel(metric, [Runs({0: statistics})], resamples=2000).variance(0).total ** 0.5
    names, image = np.unique(statistics.image_ids, return_inverse=True)
    rng = np.random.default_rng(0)
    halves = []
    for _ in range(500):
        kept = np.isin(image, rng.permutation(len(names))[: len(names) // 2])
        halves.append(float(metric.value(only(statistics, statistics.ids[kept]).columns)))
    assert np.std(halves) == pytest.approx(error, rel=0.12)


def test_the_interval_of_a_real_ratio_is_scipys():
    """scipy 1.17, which resamples pairs of sums of images: its percentile interval and standard error."""
    statistics, metric = first_with(RatioOfSums, "ris")
    _, image = np.unique(statistics.image_ids, return_inverse=True)
    sums = [np.bincount(image, statistics.columns[name]) for name in ("intersection", "union")]
    theirs = stats.bootstrap(
        sums,
        lambda i, u, axis=-1: i.sum(axis=axis) / u.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=5000,
        random_state=np.random.default_rng(1),
    )
    ours = interval(metric, Runs({0: statistics}))
    wide = ours.high - ours.low
    ends = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((ends.low, ends.high), abs=0.03 * wide)
    error = Panel(metric, [Runs({0: statistics})]).variance(0).total ** 0.5
    assert error == pytest.approx(theirs.standard_error, rel=0.04)
