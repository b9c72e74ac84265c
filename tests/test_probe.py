"""The task `probe`: what it asks for, and how classes are judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.metrics import LogOfPairs
from addp_bench.records import Record, metric_entry, metric_of
from addp_bench.results.uncertainty import Runs, interval
from addp_bench.statistics import Statistics, statistics_of
from addp_bench.tasks.probe import Probe
from addp_bench.types import Classified, Sample

NAMES = ("a", "b", "c")


def sample(truth, name="s"):
    return Sample(name, name, np.zeros((2, 2, 3), np.uint8), truth)


def judged(truths, predictions, vocabulary=NAMES, top=5):
    """Every metric of these answers."""
    evaluator = Probe().evaluator({"top": top}, vocabulary)
    rows = [evaluator.statistics(sample(t), p) for t, p in zip(truths, predictions)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {m.id: float(m.value(columns)) for m in evaluator.metrics}


def scored(*rows):
    return Classified(np.array(rows, float))


def test_the_highest_score_is_the_answer_and_of_equals_the_first():
    scores = [[2, 1, 0], [0, 0, 5], [1, 1, 0], [0, 3, 3]]
    assert judged([0, 2, 1, 1], [scored(row) for row in scores])["top1"] == 0.75


def test_every_photograph_counts_once_and_a_repeated_one_is_refused():
    """Ten photographs on four ranks would be padded to twelve by the first two again: .75 where .7 is true."""
    right = [1, 1, 0, 1, 1, 1, 0, 1, 1, 0]
    assert judged([1] * 10, right, NAMES)["top1"] == pytest.approx(0.7)
    ids = [str(k) for k in range(10)]
    with pytest.raises(BadData, match="a sample id stands twice"):
        statistics_of([*ids, *ids[:2]], [*ids, *ids[:2]], [{"correct": float(r)} for r in [*right, *right[:2]]])


def test_accuracy_is_the_mean_over_noise_draws_and_what_is_predicted_the_first():
    evaluator = Probe().evaluator({"top": 5}, NAMES)
    found = evaluator.statistics(sample(1), scored([0, 1, 0], [1, 0, 0], [0, 2, 1], [0, 0, 1]))
    assert found["correct"] == 0.5
    assert (found["truth"], found["predicted"]) == (1, 1)
    assert found["near"] == 1.0, "with three classes five places hold all"


def test_top_five_is_there_where_there_are_more_than_five_classes():
    assert list(judged([0], [scored([1] * 5)], "abcde")) == ["top1", "alignment", "uniformity"]
    falling = scored([6, 5, 4, 3, 2, 1])
    found = judged([4, 5, 0], [falling, falling, falling], "abcdef")
    assert found["top5"] == pytest.approx(2 / 3), "the sixth place is none of five"
    assert found["top1"] == pytest.approx(1 / 3)
    assert judged([4, 5], [scored([1] * 6)] * 2, "abcdef")["top5"] == 0.5, "equal scores: the first classes go before"


def test_who_names_one_class_has_named_one():
    found = judged([0, 1, 2], [0, 0, np.int64(2)], "abcdef")
    assert (found["top1"], found["top5"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert math.isnan(found["alignment"])
    assert math.isnan(found["uniformity"])


@pytest.mark.parametrize(
    "prediction, words",
    [
        (scored([1, 2]), r"scores are \(1, 2\); expected \(draws, 3\)"),
        (Classified(np.zeros((0, 3))), r"scores are \(0, 3\)"),
        (scored([1, math.nan, 0]), "a score that is not finite"),
        (scored([1, math.inf, 0]), "a score that is not finite"),
        (3, "the prediction is 3; expected the index of one of 3 classes"),
        (-1, "the prediction is -1"),
        (True, "the prediction is True"),
        ("a", "the prediction is 'a'"),
        (0.0, "the prediction is 0.0"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_the_sample(prediction, words):
    with pytest.raises(BadPrediction, match=f"sample s: .*{words}"):
        judged([0], [prediction])


def test_two_thousand_small_splits_agree_with_sorting_in_plain_python():
    """Few values, so that scores tie; sometimes one class, all scores equal, or a class that is named."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        classes, top = int(rng.integers(1, 9)), int(rng.integers(2, 6))
        truths = rng.integers(0, classes, rng.integers(1, 6)).tolist()
        answers, first, near = [], [], []
        for truth in truths:
            if rng.random() < 0.2:
                answers.append(int(rng.integers(classes)))
                first.append(answers[-1] == truth)
                near.append(answers[-1] == truth)
                continue
            scores = rng.integers(0, rng.integers(1, 4), (rng.integers(1, 4), classes)).astype(float)
            answers.append(Classified(scores))
            orders = [sorted(range(classes), key=lambda c, row=row: (-row[c], c)) for row in scores.tolist()]
            first.append(sum(order[0] == truth for order in orders) / len(orders))
            near.append(sum(truth in order[:top] for order in orders) / len(orders))
        found = judged(truths, answers, "abcdefgh"[:classes], top)
        assert found["top1"] == pytest.approx(sum(first) / len(first))
        assert found.get(f"top{top}") == (pytest.approx(sum(near) / len(near)) if classes > top else None)


def test_one_score_that_is_no_number_is_enough_wherever_it_stands():
    rng = np.random.default_rng(1)
    for _ in range(500):
        scores = rng.integers(0, 2, (rng.integers(1, 4), 3)).astype(float)
        scores[tuple(rng.integers(scores.shape))] = rng.choice([math.nan, math.inf, -math.inf])
        with pytest.raises(BadPrediction, match="sample s: a class has a score that is not finite"):
            judged([0], [Classified(scores)])


def test_a_truth_that_is_no_class_is_refused_with_the_sample():
    with pytest.raises(BadData, match="sample s: its class is 3, and the split names 3 classes"):
        judged([3], [0])
    with pytest.raises(BadData, match="sample s: its truth is 'a'; expected the index of a class"):
        Probe().require(sample("a"))
    for wrong in (-1, True, 1.0, None):
        with pytest.raises(BadData, match="sample s: its truth"):
            Probe().require(sample(wrong))
    Probe().require(sample(np.int64(2)))


def test_a_protocol_of_another_kind_is_refused():
    with pytest.raises(UnknownName, match="no setting of a probe protocol is called 'topp'"):
        Probe().evaluator({"topp": 5})
    for top in (1, "5", 2.5):
        with pytest.raises(BadOption, match="top is a number of classes, 2 or more"):
            Probe().evaluator({"top": top})


def test_options_say_which_layers_and_timesteps():
    assert Probe().reading().layers == ()
    assert Probe().reading().timesteps == (0, 10, 20, 80, 120)
    asked = Probe(layer="out_3+out_1", t="7+5", of="random", image="photo", epochs=2, batch_size=4, lr=0.5, draws=3)
    reading = asked.reading()
    assert (reading.layers, reading.timesteps) == (("out_3", "out_1"), (7, 5))
    assert (reading.of, reading.image, reading.draws) == ("random", "photo", 3)
    assert (reading.epochs, reading.batch_size, reading.lr) == (2, 4, 0.5)
    assert Probe(t=11).reading().timesteps == (11,)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"draws": 0}, "draws is 1 or more"),
        ({"epochs": 0}, "epochs is 1 or more"),
        ({"batch_size": 0}, "batch_size is 1 or more"),
        ({"lr": 0.0}, "lr is above 0"),
        ({"lr": math.inf}, "lr is above 0"),
        ({"lr": math.nan}, "lr is above 0"),
        ({"t": "best"}, "t is a timestep, or several joined by"),
        ({"t": "1+1"}, "t names 1 twice"),
        ({"layer": "out_1+out_2+out_1"}, "layer names out_1 twice"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Probe(**options)


def test_a_batch_of_classes_is_whole_numbers():
    assert Probe().collate([2, np.int64(0)]).tolist() == [2, 0]
    assert Probe().collate([1]).dtype.is_floating_point is False
    assert Probe().resize(2, 7, 9) == 2


# --------------------------------------------------------------------------------- uniformity and its interval

METRIC = LogOfPairs(id="uniformity", label="uniformity", column="closeness")


def pairs_of(points):
    """Kernel exp(-2 d^2) of all pairs (N, N), and the mean of each row over the others."""
    kernel = np.exp(-2 * ((points[:, None] - points[None]) ** 2).sum(-1))
    return kernel, (kernel.sum(1) - 1) / (len(points) - 1)


def test_the_logarithm_of_a_mean_over_pairs_by_hand():
    columns = {"closeness": np.array([0.2, 0.4, 0.9])}
    assert float(METRIC.value(columns)) == pytest.approx(math.log(0.5))
    assert METRIC.value(columns, np.ones((2, 3))) == pytest.approx([math.log(0.5)] * 2)
    # the mean moves from 0.5 to 0.6, and twice as far, since a sample is in its own pairs and in those of others
    counts = np.array([[0, 1.5, 1.5]]) * np.array([[1, 1, 1]])
    assert METRIC.value(columns, counts) == pytest.approx([math.log(2 * 0.65 - 0.5)])
    assert np.isnan(METRIC.value({"closeness": np.array([0.0, 0.0, 0.9])}, np.array([[3, 0, 0]]))).all()
    assert np.isnan(METRIC.value({"closeness": np.full(3, np.nan)}))


def test_its_interval_is_as_wide_as_that_of_resampling_both_of_every_pair():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(150, 3)) + np.array([1.0, 0, 0])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kernel, closeness = pairs_of(points)
    statistics = Statistics(*[np.array([f"p{i}" for i in range(150)])] * 2, {"closeness": closeness})
    found = interval(METRIC, Runs({0: statistics}), resamples=1000)
    np.fill_diagonal(kernel, np.nan)  # a photograph drawn twice makes no pair with itself
    drawn = [rng.integers(0, 150, 150) for _ in range(600)]
    brute = [math.log(np.nanmean(kernel[np.ix_(rows, rows)])) for rows in drawn]
    low, high = np.quantile(brute, [0.025, 0.975])
    assert (found.high - found.low) / (high - low) == pytest.approx(1.0, abs=0.15)
    alone = np.quantile([math.log(closeness[rows].mean()) for rows in drawn], [0.025, 0.975])
    assert np.diff(alone)[0] < 0.65 * (high - low), "the rows alone would claim half the spread"


def test_a_record_can_make_it_again():
    metrics = {METRIC.id: metric_entry(METRIC, -0.5)}
    assert metrics["uniformity"]["formula"] == {"kind": "LogOfPairs", "column": "closeness"}
    record = object.__new__(Record)
    object.__setattr__(record, "body", {"result": {"metrics": metrics}})
    assert metric_of(record, "uniformity") == METRIC
