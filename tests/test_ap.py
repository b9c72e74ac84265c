"""AP and AR of any resample, against pycocotools 2.0.11 and counting by hand."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from coco_reference import NAMES, detections, evaluated, objects, photograph, reference

from addp_bench.average_precision import IOUS, RECALLS, AveragePrecision, recalls_reached
from addp_bench.records import metric_entry, metric_of
from addp_bench.results.uncertainty import Runs, interval
from addp_bench.statistics import Statistics, columns_of
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.matching import AREAS, matched, ranked
from addp_bench.types import Detections, Sample

TASK = Detection()
JUDGE = TASK.evaluator(TASK.protocols()["coco"])
PHOTO = np.zeros((100, 100, 3), np.uint8)


def columns(photographs):
    return columns_of([JUDGE.statistics(Sample(f"s{k}", f"s{k}", PHOTO, o), d) for k, (o, d) in enumerate(photographs)])


def twelve(statistics, counts=None):
    metrics = {m.id: m for m in JUDGE.metrics}
    return np.array([metrics[name].value(statistics, counts) for name in NAMES])


def test_thresholds_recalls_and_areas_are_those_of_pycocotools():
    params = evaluated([(objects([0, 0, 5, 5]), detections())]).params
    assert params.iouThrs.tolist() == IOUS.tolist()
    assert params.recThrs.tolist() == RECALLS.tolist()
    assert [list(limits) for limits in AREAS.values()] == params.areaRng
    assert list(AREAS) == params.areaRngLbl


def test_every_photograph_is_matched_as_pycocotools_matches_it():
    rng = np.random.default_rng(0)
    photographs = [photograph(rng) for _ in range(2500)]
    judge = evaluated(photographs, classes=2)
    theirs = np.array(judge.evalImgs, object).reshape(2, len(AREAS), len(photographs))
    compared = 0
    for i, (there, seen) in enumerate(photographs):
        found = ranked(seen, 100)
        hit, skip, ignored = matched(found, there)
        for label, a in itertools.product(range(2), range(len(AREAS))):
            entry = theirs[label, a, i]
            if entry is None:
                assert label not in found.labels
                assert label not in there.labels
                continue
            its = found.labels == label
            assert found.scores[its].tolist() == entry["dtScores"]
            missed = entry["dtMatches"] == 0
            assert np.array_equal(skip[a][:, its], entry["dtIgnore"])
            assert np.array_equal(hit[a][:, its], ~missed & ~entry["dtIgnore"])
            assert (~ignored[a, there.labels == label]).sum() == (entry["gtIgnore"] == 0).sum()
            compared += 1
    assert compared > 10000


@pytest.mark.parametrize("seed", range(6))
def test_the_twelve_numbers_are_those_of_pycocotools(seed):
    """60 splits of 1 to 8 photographs each, with crowds, ties, nothing there and nothing found."""
    rng = np.random.default_rng(seed)
    undefined = 0
    for _ in range(60):
        classes = int(rng.integers(1, 4))
        photographs = [photograph(rng, classes) for _ in range(rng.integers(1, 9))]
        theirs = reference(photographs, classes)
        np.testing.assert_allclose(twelve(columns(photographs)), theirs, rtol=0, atol=1e-12)
        undefined += np.isnan(theirs).sum()
    assert undefined > 0


def degenerate(rng, classes):
    """Photographs with boxes of no width, of one pixel, all alike, crowds alone, nothing there or nothing found."""
    there, seen = photograph(rng, classes)
    kind = rng.integers(5)
    if kind == 0:
        there = replace(there, crowd=np.ones(len(there.crowd), bool))
    if kind == 1 and len(there.labels):
        seen = replace(seen, xyxy=np.repeat(there.xyxy[:1], len(seen.xyxy), 0))
    if kind == 2:
        far = there.xyxy[:, :2] + rng.choice([0, 1], (len(there.labels), 2))
        there = replace(there, xyxy=np.concatenate([there.xyxy[:, :2], far], 1), area=(far - there.xyxy[:, :2]).prod(1))
        seen = detections(*(([*box[:2], 1, 1], rng.integers(3) / 2) for box in there.xyxy.tolist()))
    if kind == 3:
        seen = detections()
    return there, seen


def test_degenerate_photographs_are_judged_as_pycocotools_does_and_their_counts_are_its_matches():
    rng = np.random.default_rng(8)
    empty = 0
    for _ in range(120):
        classes = int(rng.integers(1, 4))
        photographs = [degenerate(rng, classes) for _ in range(rng.integers(1, 6))]
        made = columns(photographs)
        np.testing.assert_allclose(twelve(made), reference(photographs, classes), rtol=0, atol=1e-12)
        judged = [e for e in evaluated(photographs, classes).evalImgs if e and e["aRng"] == [0, 1e10]]
        counts = np.zeros(3)  # right at an IoU of a half, found, there
        for entry in judged:
            counted = ~entry["dtIgnore"][0].astype(bool)
            hits = (entry["dtMatches"][0] > 0) & counted
            counts += hits.sum(), counted.sum(), (entry["gtIgnore"] == 0).sum()
        empty += counts[1] == 0
        right, found, there = counts
        expected = [right / n if n else np.nan for n in (found, there, (found + there) / 2)]
        ours = {m.id: float(m.value(made)) for m in JUDGE.metrics}
        assert [ours[name] for name in ("precision50", "recall50", "f50")] == pytest.approx(expected, nan_ok=True)
        assert not ours["ap_low"] > ours["ap"] + 1e-12
        assert not ours["ap_high"] < ours["ap"] - 1e-12
    assert empty > 10


def test_more_detections_than_count_are_left_out_as_pycocotools_does():
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.integers(0, 60, (1200, 2)), rng.integers(5, 40, (1200, 2))], axis=1).tolist()
    there = objects(*boxes[:9], labels=[0, 0, 0, 0, 0, 0, 1, 1, 1])
    found = detections(*zip(boxes[::-1], rng.random(1200)), labels=[0] * 1100 + [1] * 100)
    judge = TASK.evaluator({"max_dets": [100, 300, 1000]})
    made = columns_of([judge.statistics(Sample("s", "s", PHOTO, there), found)])
    ours = [float(m.value(made)) for m in judge.metrics[:12]]
    np.testing.assert_allclose(ours, reference([(there, found)], 2, (100, 300, 1000)), rtol=0, atol=1e-12)
    at_most_100 = twelve(columns([(there, found)]))
    np.testing.assert_allclose(at_most_100, reference([(there, found)], 2), rtol=0, atol=1e-12)
    assert ours[1] != at_most_100[1]
    assert ours[0] == at_most_100[0], "AP is taken at 100 either way"


@pytest.mark.parametrize("seed", range(8))
def test_a_resample_is_the_split_with_its_photographs_repeated(seed):
    """Scores tie across photographs, as they may; within one they differ, for there a repetition stands in a row."""
    rng = np.random.default_rng(seed)
    photographs = [photograph(rng, 3, tied=False) for _ in range(6)]
    counts = rng.multinomial(6, np.ones(6) / 6, size=4)
    ours = twelve(columns(photographs), counts)
    assert ours.shape == (12, 4)
    for times, values in zip(counts, ours.T):
        repeated = [photo for photo, n in zip(photographs, times) for _ in range(n)]
        np.testing.assert_allclose(values, reference(repeated, 3), rtol=0, atol=1e-12)


def test_any_subset_of_samples_is_judged_without_matching_again():
    rng = np.random.default_rng(3)
    photographs = [photograph(rng) for _ in range(30)]
    whole, some = columns(photographs), np.array([21, 4, 4 + 3, 0, 29])
    cut = {name: column[some] for name, column in whole.items()}
    np.testing.assert_array_equal(twelve(cut), twelve(columns([photographs[k] for k in some])))
    chosen = np.isin(np.arange(30), some)
    in_order = {name: column[chosen] for name, column in whole.items()}
    np.testing.assert_array_equal(twelve(in_order), twelve(columns([photographs[k] for k in sorted(some)])))
    np.testing.assert_allclose(twelve(in_order), twelve(whole, chosen[None])[:, 0], rtol=0, atol=1e-12)


def test_each_photograph_alone_is_a_resample_too():
    rng = np.random.default_rng(7)
    photographs = [photograph(rng) for _ in range(15)]
    alone = JUDGE.metrics[0].value(columns(photographs), np.eye(15))
    np.testing.assert_allclose(alone, [reference([photo], 2)[0] for photo in photographs], rtol=0, atol=1e-12)


def test_blocks_of_resamples_do_not_change_the_numbers(monkeypatch):
    rng = np.random.default_rng(4)
    statistics = columns([photograph(rng) for _ in range(12)])
    counts = rng.multinomial(12, np.ones(12) / 12, size=100)
    at_once = twelve(statistics, counts)
    monkeypatch.setattr("addp_bench.average_precision._ROOM", 1)
    np.testing.assert_allclose(twelve(statistics, counts), at_once, rtol=0, atol=1e-12)
    one_by_one = np.stack([twelve(statistics, times[None])[:, 0] for times in counts], 1)
    np.testing.assert_allclose(one_by_one, at_once, rtol=0, atol=1e-12)


def test_an_interval_of_ap_is_the_percentiles_of_its_resamples():
    rng = np.random.default_rng(5)
    photographs = [photograph(rng) for _ in range(40)]
    ids = np.array([f"s{k}" for k in range(40)])
    found = interval(JUDGE.metrics[0], Runs({0: Statistics(ids, ids, columns(photographs))}), resamples=300)
    assert found.value == pytest.approx(reference(photographs, 2)[0], abs=1e-12)
    assert found.low < found.value < found.high
    assert (found.clusters, found.resamples) == (40, 300)


def test_recalls_that_are_reached_are_counted_as_searchsorted_counts_them():
    for objects_ in (1, 2, 3, 7, 25, 29, 50, 100, 101, 333, 36335):
        recall = np.arange(objects_ + 1) / objects_
        assert np.array_equal(recalls_reached(recall), np.searchsorted(RECALLS, recall, side="right"))


# ------------------------------------------------------------------------------------------------ ties


def ap_of(order, objects_):
    """AP of hits (True), misses (False) and what does not count (None) in this order, recall by recall."""
    hits = misses = 0
    reached = []
    for hit in order:
        hits, misses = hits + (hit is True), misses + (hit is False)
        reached.append((hits / objects_, hits / max(1, hits + misses)))
    best = [max([p for r, p in reached if r >= wanted], default=0.0) for wanted in RECALLS]
    return sum(best) / len(best)


@pytest.mark.parametrize("seed", range(12))
def test_ap_low_and_high_are_the_extremes_over_all_orders_of_equal_scores(seed):
    """At each IoU and class, over every order of detections that have one score; then the mean."""
    rng = np.random.default_rng(seed)
    photographs = []
    while not 5 <= sum(len(d.labels) for _, d in photographs) <= 7:
        drawn = [photograph(rng) for _ in range(3)]
        photographs = [(o, Detections(d.xyxy, d.labels, np.minimum(d.scores, 0.25))) for o, d in drawn]
    photographs.append((objects([0, 0, 9, 9], [50, 50, 9, 9], labels=[0, 1]), detections()))
    low, high = [], []
    for label, k in itertools.product(range(2), range(len(IOUS))):
        by_score, there = {}, 0
        for objects_, seen in photographs:
            found = ranked(seen, 100)
            hit, skip, ignored = matched(found, objects_)
            there += int((~ignored[0, objects_.labels == label]).sum())
            for d in np.flatnonzero(found.labels == label):
                state = None if skip[0, k, d] else bool(hit[0, k, d])
                by_score.setdefault(found.scores[d], []).append(state)
        groups = [by_score[score] for score in sorted(by_score, reverse=True)]
        orders = itertools.product(*(set(itertools.permutations(group)) for group in groups))
        values = [ap_of(itertools.chain(*order), there) for order in orders]
        low.append(min(values))
        high.append(max(values))
    metrics = {m.id: m for m in JUDGE.metrics}
    statistics = columns(photographs)
    assert float(metrics["ap_low"].value(statistics)) == pytest.approx(np.mean(low), abs=1e-12)
    assert float(metrics["ap_high"].value(statistics)) == pytest.approx(np.mean(high), abs=1e-12)
    assert np.mean(low) - 1e-12 <= float(metrics["ap"].value(statistics)) <= np.mean(high) + 1e-12


def test_pycocotools_reaches_both_ends_by_the_order_of_photographs_alone():
    """One detection in each photograph, all of one score: 120 orders of photographs."""
    near, far = [10, 10, 20, 20], [60, 60, 20, 20]
    photographs = [(objects(near), detections((box, 0.5))) for box in (near, far, near, far, [10, 10, 20, 11])]
    values = [reference(order)[1] for order in itertools.permutations(photographs)]
    for ties, expected in (("worst", min(values)), ("best", max(values)), ("given", values[0])):
        metric = AveragePrecision(id="x", label="x", iou=0, ties=ties)
        assert float(metric.value(columns(photographs))) == pytest.approx(expected, abs=1e-12)
    assert min(values) < values[0] < max(values)


def test_c5_the_order_of_the_list_decides_between_a_half_and_one():
    hit, miss = ([10, 10, 20, 20], 1.0), ([60, 60, 20, 20], 1.0)
    for order, expected in (((miss, hit), 0.5), ((hit, miss), 1.0)):
        statistics = columns([(objects([10, 10, 20, 20]), detections(*order))])
        found = {m.id: float(m.value(statistics)) for m in JUDGE.metrics}
        assert [found["ap"], found["ap_low"], found["ap_high"]] == pytest.approx([expected, 0.5, 1.0])


def test_a_repeated_tie_keeps_its_extremes():
    hit, miss = ([10, 10, 20, 20], 1.0), ([60, 60, 20, 20], 1.0)
    photographs = [(objects([10, 10, 20, 20]), detections(hit)), (objects([10, 10, 20, 20]), detections(miss, miss))]
    counts = np.array([[1, 1], [2, 1], [1, 3], [0, 2], [5, 0]])
    for ties in ("best", "worst"):
        metric = AveragePrecision(id="x", label="x", ties=ties)
        made = metric.value(columns(photographs), counts)
        for times, value in zip(counts, made):
            states = [True] * times[0] + [False] * 2 * times[1]
            order = states if ties == "best" else states[::-1]
            assert value == pytest.approx(ap_of(order, times.sum()), abs=1e-12)


def test_nothing_to_find_has_no_value_in_its_resample_and_counts_elsewhere():
    nothing = (objects(), detections(([0, 0, 9, 9], 0.5)))
    one = (objects([10, 10, 20, 20]), detections(([10, 10, 20, 20], 0.5)))
    made = JUDGE.metrics[0].value(columns([nothing, one]), np.array([[2, 0], [0, 2], [1, 1]]))
    assert made.tolist() == pytest.approx([np.nan, 1.0, 0.5], nan_ok=True)


def test_a_record_leaves_the_formula_so_that_tables_can_make_it_again():
    rng = np.random.default_rng(6)
    statistics = columns([photograph(rng) for _ in range(10)])
    for metric in JUDGE.metrics:
        entry = json.loads(json.dumps(metric_entry(metric, float(metric.value(statistics)), "nothing to find")))
        kept = type("Record", (), {"result": {"metrics": {metric.id: entry}}})()
        assert metric_of(kept, metric.id) == metric
