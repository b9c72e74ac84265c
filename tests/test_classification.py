"""The judge of answers to yes or no, by hand and against a slower way; which questions are asked."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from addp_bench.baselines.naive import Constant, Mean, RandomObject, Truth
from addp_bench.errors import BadData, BadOption, BadPrediction, UnknownName
from addp_bench.evaluation import ask
from addp_bench.statistics import columns_of
from addp_bench.tasks.classification import Classification
from addp_bench.tasks.presence_metrics import MeanAveragePrecision
from addp_bench.types import Presence, Sample

TASK = Classification()
THREE = ("cup", "fork", "dog")
nan = math.nan


def sample(truth, id="s", vocabulary=THREE):
    return Sample(id, id, np.zeros((4, 4, 3), np.uint8), np.array(truth, bool), hints={"vocabulary": vocabulary})


def judge(pairs, protocol="every_class", vocabulary=THREE, **settings):
    """Metrics by id, and columns, of (truth, scores) pairs."""
    evaluator = TASK.evaluator({**TASK.protocols()[protocol], **settings}, vocabulary)
    rows = [
        evaluator.statistics(sample(truth, f"s{k}"), np.array(scores, float)) for k, (truth, scores) in enumerate(pairs)
    ]
    columns = columns_of(rows)
    return {metric.id: float(metric.value(columns)) for metric in evaluator.metrics}, columns


BY_HAND = [([1, 0, 1], [0.9, 0.6, 0.3]), ([0, 0, 1], [0.2, 0.5, 0.8]), ([0, 0, 0], [0.9, 0.1, 0.8])]


def test_three_photographs_by_hand():
    """Right: cup in the first, cup and dog in the second, fork in the third; fork in the second is not answered."""
    scores, columns = judge(BY_HAND)
    assert {name: columns[name].sum() for name in ("posed", "right", "said", "unread")} == {
        "posed": 9, "right": 4, "said": 5, "unread": 1
    }  # fmt: skip
    assert scores == {
        "bacc": pytest.approx((2 / 3 + 2 / 6) / 2),
        "acc": pytest.approx(4 / 9),
        "precision": pytest.approx(2 / 5),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 * 2 / (5 + 3)),
        "mf1": pytest.approx((2 / 3 + 0 + 1 / 2) / 3),
        "map": pytest.approx((1 / 2 + (1 / 2 * 1 / 2 + 1 / 2 * 2 / 3)) / 2),  # no fork is anywhere
        "specificity": pytest.approx(2 / 6),
        "unread": pytest.approx(1 / 9),
        "f1_cup": pytest.approx(2 / 3),
        "f1_fork": 0.0,
        "f1_dog": pytest.approx(1 / 2),
    }


def test_the_headline_is_what_a_constant_cannot_win():
    rare = [([k == 0, 0, 0], [0.0] * 3) for k in range(10)]
    scores, _ = judge(rare)
    assert scores["acc"] == pytest.approx(29 / 30)
    assert scores["bacc"] == 0.5
    assert TASK.evaluator({}, THREE).metrics[0].id == "bacc"


def test_answers_that_were_never_due_leave_the_mean_and_nothing_asked_for_is_no_number():
    scores, _ = judge([([1, 1, 1], [1.0, 0.0, 0.4])])
    assert scores["bacc"] == pytest.approx(1 / 3), "there was no question to be answered by no"
    scores, _ = judge([([0, 0, 0], [0.0] * 3)])
    assert (scores["bacc"], scores["acc"]) == (1.0, 1.0)
    assert all(math.isnan(scores[name]) for name in ("precision", "recall", "f1", "mf1", "map"))


# ------------------------------------------------------------------------------------------------ average precision


def precision_of(ranked):
    """Average precision by its definition: ranked is a list of (score, true); over the distinct scores downwards."""
    there = sum(true for _, true in ranked)
    total, before = 0.0, 0.0
    for threshold in sorted({score for score, _ in ranked}, reverse=True):
        kept = [true for score, true in ranked if score >= threshold]
        recall = sum(kept) / there
        total += (recall - before) * sum(kept) / len(kept)
        before = recall
    return total


def literally(samples):
    """Mean over the classes that are somewhere. samples: lists of (class, score, true)."""
    every = [question for questions in samples for question in questions]
    found = []
    for label in {question[0] for question in every}:
        ranked = [(score, true) for c, score, true in every if c == label]
        if any(true for _, true in ranked):
            found.append(precision_of(ranked))
    return sum(found) / len(found) if found else nan


def as_columns(samples):
    names = ("question_class", "question_score", "question_true")
    return columns_of(
        [{name: np.array([q[k] for q in questions], float) for k, name in enumerate(names)} for questions in samples]
    )


def test_average_precision_is_its_definition_for_any_resample():
    rng = np.random.default_rng(0)
    metric, undefined = MeanAveragePrecision(), 0
    for _ in range(300):
        samples = [
            [
                (int(c), float(rng.integers(0, 5)) / 4, bool(rng.random() < 0.4))
                for c in rng.permutation(4)[: rng.integers(0, 5)]
            ]
            for _ in range(rng.integers(1, 7))
        ]
        counts = rng.integers(0, 4, (3, len(samples)))
        expected = [
            literally([s for s, times in zip(samples, row) for _ in range(times)]) for row in (*counts, [1] * 9)
        ]
        columns = as_columns(samples)
        assert metric.value(columns, counts) == pytest.approx(expected[:3], nan_ok=True)
        assert float(metric.value(columns)) == pytest.approx(expected[3], nan_ok=True)
        undefined += math.isnan(expected[3])
    assert 0 < undefined < 100


def test_resamples_beyond_what_fits_in_memory_are_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    columns = as_columns([[(c, rng.random(), rng.random() < 0.5) for c in range(3)] for _ in range(20)])
    counts = rng.integers(0, 3, (50, 20))
    whole = MeanAveragePrecision().value(columns, counts)
    monkeypatch.setattr("addp_bench.tasks.presence_metrics._ROOM", 70)
    assert np.array_equal(MeanAveragePrecision().value(columns, counts), whole)
    assert len(set(whole)) > 40


# ------------------------------------------------------------------------------------------------ which questions


def test_balanced_questions_are_those_that_are_there_and_as_many_that_are_not():
    truth = np.zeros(80, bool)
    truth[[3, 17, 60]] = True
    for number in range(50):
        asked = TASK.balanced(sample(truth, f"coco/{number}"))
        assert {3, 17, 60} < asked
        assert len(asked) == 6
    assert len(TASK.balanced(sample(np.zeros(80)))) == 1, "of a photograph of nothing one is asked"
    assert TASK.balanced(sample([1, 1, 0])) == {0, 1, 2}
    assert TASK.balanced(sample([1, 1, 1])) == {0, 1, 2}


def test_what_is_absent_is_drawn_by_the_samples_id_and_each_class_equally_often():
    truth = np.zeros(21, bool)
    truth[20] = True
    drawn = [min(TASK.balanced(sample(truth, f"a/{k}"))) for k in range(2000)]
    assert drawn == [min(TASK.balanced(sample(truth, f"a/{k}"))) for k in range(2000)]
    assert drawn != [min(TASK.balanced(sample(truth, f"b/{k}"))) for k in range(2000)]
    assert np.abs(np.bincount(drawn, minlength=20) - 100).max() < 50  # five standard deviations


def test_a_balanced_protocol_hears_no_other_answers():
    truth = np.zeros(30, bool)
    truth[[4, 9]] = True
    names = tuple(f"class {k}" for k in range(30))
    one = sample(truth, "x/1", names)
    asked = sorted(TASK.balanced(one))
    said = np.full(30, 1.0)
    said[asked] = truth[asked]
    row = TASK.evaluator({"class_list": "balanced"}, names).statistics(one, said)
    assert (row["posed"], row["right"], row["question_class"].tolist()) == (4, 4, asked)
    only = Presence(np.array(asked), said[asked], [names[k] for k in asked])
    again = TASK.evaluator({"class_list": "balanced"}, names).statistics(one, only)
    assert {k: np.asarray(v).tolist() for k, v in again.items()} == {k: np.asarray(v).tolist() for k, v in row.items()}
    with pytest.raises(BadPrediction, match=r"sample x/1: the prediction says nothing of 'class 0'"):
        TASK.evaluator({}, names).statistics(one, only)


@pytest.mark.parametrize(
    "protocol, error, words",
    [
        ({"class_list": "present"}, BadOption, "who always says yes would be right every time; take all or balanced"),
        ({"class_list": "some"}, BadOption, "class_list='some'"),
        ({"classes": "all"}, UnknownName, "class_list"),
        ({"per_class": -1}, BadOption, "number of classes"),
    ],
)
def test_a_protocol_with_a_wrong_setting_is_refused(protocol, error, words):
    with pytest.raises(error, match=words):
        TASK.evaluator(protocol, THREE)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "prediction, words",
    [
        (np.zeros(2), r"float64 \(2,\); expected scores \(3,\)"),
        (np.zeros(3, int), r"int64 \(3,\)"),
        (np.array([0.0, nan, 1.0]), "score nan"),
        (np.array([0.0, 1.01, 1.0]), "score 1.01"),
        (np.array([0.0, -0.01, 1.0]), "score -0.01"),
        (Presence(np.array([0, 0, 1]), np.ones(3), THREE), r"labels \[0, 0, 1\]"),
        (Presence(np.array([0, 1, 3]), np.ones(3), THREE), r"labels \[0, 1, 3\]"),
        (Presence(np.array([0, 1, -1]), np.ones(3), THREE), r"labels \[0, 1, -1\]"),
        (Presence(np.arange(3), np.ones(2), THREE), r"scores \(2,\)"),
        (Presence(np.array([0, 2]), np.ones(2), THREE), "nothing of 'fork'"),
        ("yes", "str|<U3"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_samples_name(prediction, words):
    with pytest.raises(BadPrediction, match=f"sample cat/7: the prediction .*(?:{words})"):
        TASK.evaluator({}, THREE).statistics(sample([1, 0, 0], "cat/7"), prediction)


@pytest.mark.parametrize(
    "truth, words",
    [
        (np.ones(3), r"its truth is float64 \(3,\)"),
        (np.ones((1, 3), bool), r"bool \(1, 3\)"),
        (np.ones(0, bool), r"bool \(0,\)"),
        (np.ones(4, bool), "about 4 classes, and the split names 3"),
        (2, r"int64 \(\)"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused_by_name(truth, words):
    odd = Sample("cat/7", "7", np.zeros((4, 4, 3), np.uint8), truth)
    with pytest.raises(BadData, match=f"sample cat/7: its truth is .*{words.removeprefix('its truth is ')}"):
        TASK.evaluator({}, THREE).statistics(odd, np.zeros(3))


@pytest.mark.parametrize("names, words", [((), "this one has none"), (("sea", "Sea "), "'sea' stands there twice")])
def test_a_vocabulary_names_every_class_once(names, words):
    with pytest.raises(BadData, match=words):
        TASK.evaluator({}, names)


def test_every_class_has_a_number_where_the_vocabulary_is_short():
    names = tuple(f"class {k}" for k in range(22))
    assert [m.id for m in TASK.evaluator({}, names[:21]).metrics][9:11] == ["f1_class_0", "f1_class_1"]
    assert len(TASK.evaluator({}, names[:21]).metrics) == 30
    assert len(TASK.evaluator({}, names).metrics) == 9


# ------------------------------------------------------------------------------------------------ the task's members


def test_quality_is_how_far_answers_lean_to_the_right_side():
    assert TASK.quality(np.array([0.9, 0.6, 0.3]), np.array([1, 0, 1], bool)) == pytest.approx((0.9 + 0.4 + 0.3) / 3)
    some = Presence(np.array([2, 0]), np.array([0.3, 0.9]), ("dog", "cup"))
    assert TASK.quality(some, torch.tensor([True, False, True])) == pytest.approx(0.6)
    assert math.isnan(TASK.quality(Presence(np.zeros(0, int), np.zeros(0), ()), np.array([True])))


def test_truths_of_any_size_are_the_same_and_collate():
    assert TASK.resize(np.array([True, False]), 8, 9).tolist() == [True, False]
    batch = TASK.collate([np.array([True, False]), torch.tensor([False, False])])
    assert (batch.dtype, batch.tolist()) == (torch.bool, [[True, False], [False, False]])


def test_votes_are_mean_scores_of_the_same_questions():
    votes = [Presence(np.array([0, 2]), np.array(scores), ("cup", "dog")) for scores in ([0.2, 1.0], [0.9, 0.0])]
    joined = TASK.ensemble(votes)
    assert joined.scores.tolist() == pytest.approx([0.55, 0.5])
    assert (joined.labels.tolist(), list(joined.names)) == ([0, 2], ["cup", "dog"])
    with pytest.raises(BadPrediction, match="met none"):
        TASK.ensemble([])
    with pytest.raises(BadPrediction, match="same questions"):
        TASK.ensemble([votes[0], Presence(np.array([0, 1]), np.ones(2), ("cup", "fork"))])


def test_a_file_names_classes_and_other_programs_may_say_true_and_false(tmp_path):
    said = Presence(np.array([2, 0]), np.array([0.25, 1.0]), ("dog", "cup"))
    TASK.write(said, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"dog": 0.25, "cup": 1.0}
    again = TASK.read(tmp_path / "a.json", sample([0, 0, 0]))
    assert (again.labels.tolist(), again.scores.tolist()) == ([2, 0], [0.25, 1.0])
    (tmp_path / "b.json").write_text('{"cup": true, "fork": false, "dog": 0}')
    row = TASK.evaluator({}, THREE).statistics(sample([1, 0, 1]), TASK.read(tmp_path / "b.json", sample([1, 0, 1])))
    assert (row["right.yes"], row["right.no"]) == (1, 1)


@pytest.mark.parametrize(
    "content, words",
    [
        ("cup", "cannot be read as JSON"),
        ("[0.5]", "holds a list"),
        ('{"cups": 1}', r"no class is called 'cups'. Did you mean 'cup'\?"),
        ('{"cup": "yes"}', "the score of 'cup' is 'yes'"),
        ('{"cup": 1.5}', "the score of 'cup' is 1.5"),
        ('{"cup": NaN}', "the score of 'cup' is nan"),
        ('{"cup": null}', "the score of 'cup' is None"),
        (None, "cannot be read as JSON"),
    ],
)
def test_what_is_no_file_of_answers_is_refused_with_the_samples_name(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadData, match=f"a.json, for sample cat/7: .*{words}"):
        TASK.read(tmp_path / "a.json", sample([1, 0, 0], "cat/7"))


def test_people_see_a_line_for_every_class_that_was_asked_for():
    photo = np.full((64, 64, 3), 100, np.uint8)
    yes, no, neither = (TASK.picture(np.array([score, nan, nan][:1]), photo, THREE[:1]) for score in (0.9, 0.1, 0.5))
    assert yes.shape == (256, 256, 3)
    assert (yes == (0, 158, 115)).all(-1).any()
    assert (no == (213, 94, 0)).all(-1).any()
    assert not (neither == (213, 94, 0)).all(-1).any()
    many = TASK.picture(np.ones(80), photo, [f"class {k}" for k in range(80)])
    assert many.shape == (256, 256, 3)
    assert TASK.picture(np.array([True]), np.zeros((300, 400, 3), np.uint8), ("cup",)).shape == (300, 400, 3)


# ------------------------------------------------------------------------------------------------ who knows nothing


def test_naive_answers_stand_in_the_order_of_what_is_known():
    samples = [sample([k % 4 != 0, k % 4 == 1, 0], str(k)) for k in range(200)]
    mean = Mean()
    mean.learn(samples, 200, "classification")
    evaluator, found = TASK.evaluator({}, THREE), {}
    for name, model in {"no": Constant(), "yes": Constant("everything"), "random": RandomObject(), "mean": mean,
                        "truth": Truth()}.items():  # fmt: skip
        rows = [evaluator.statistics(one, ask(model, one, "classification", 0, THREE)) for one in samples]
        found[name] = {m.id: float(m.value(columns_of(rows))) for m in evaluator.metrics}
    assert found["no"]["bacc"] == found["yes"]["bacc"] == 0.5
    assert (found["no"]["specificity"], found["yes"]["specificity"]) == (1.0, 0.0)
    assert abs(found["random"]["bacc"] - 0.5) < 0.12  # five standard deviations of 600 questions
    # yes to cups: 150 of 200 rightly; no to the rest: 50 forks missed, 150 + 200 rightly absent
    assert found["mean"]["bacc"] == pytest.approx((150 / 200 + 350 / 400) / 2)
    assert found["mean"]["map"] == pytest.approx((150 / 200 + 50 / 200) / 2)
    assert found["truth"]["bacc"] == found["truth"]["map"] == 1.0
    with pytest.raises(BadData, match="sample 0 comes without the names"):
        ask(Constant(), samples[0], "classification", 0)
