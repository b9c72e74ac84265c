"""A protocol may tell which classes there are: only who is judged is told, and the record says so."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import numpy as np
import pytest

from addp_bench import records
from addp_bench.cache import Index, OnlySome
from addp_bench.legality import Illegal
from addp_bench.loading import load
from addp_bench.plugins.encodings_labels import ClassMask
from addp_bench.reopen import Reopened
from addp_bench.tasks.semantic import Semantic
from addp_bench.types import UNLABELLED

PATCHES = Path(__file__).with_name("patches.py")


@pytest.fixture
def loaded():
    return load([PATCHES])


def asked(sd15, encoding="class_mask", **given):
    axes = {"task": ["semantic"], "dataset": ["patches"], "encoding": [encoding]}
    return bench.request(sd15, axes, **given)


def stage(plan, kind):
    return next(s for s in plan.stages() if s.kind == kind)


def test_the_classes_of_a_truth_are_its_labels():
    assert Semantic().present(np.array([[0, 3], [UNLABELLED, 3]])) == {0, 3}


def test_only_what_is_in_the_truth_is_asked_for_and_of_an_empty_one_the_first(loaded):
    samples = loaded.registry.build("dataset", "patches").samples("val", "semantic")
    told = OnlySome(samples, lambda sample: Semantic().present(sample.truth))
    assert (told.ids, len(told), told.vocabulary) == (samples.ids, len(samples), samples.vocabulary)
    index = Index.of(told, 6, ClassMask())
    for number in range(6):
        there = sorted(set(samples[number].truth.ravel().tolist()) - {0, UNLABELLED})
        prompts = [item.prompt for item in index.items if item.sample == number]
        assert prompts == [f"segment the {samples.vocabulary[label]}" for label in there]
    assert len(Index.of(samples, 6, ClassMask()).items) == 18
    nothing = OnlySome(samples, lambda sample: set())
    assert [item.prompt for item in Index.of(nothing, 2, ClassMask()).items] == ["segment the green"] * 2


def test_who_is_told_trains_as_everybody_does(sd15, tmp_path, loaded):
    plain, told = (
        bench.plans(asked(sd15, protocol=name), tmp_path, loaded)[1][0]
        for name in ("tabletop_semantic", "instructcv_compat")
    )
    assert stage(plain, "train").key == stage(told, "train").key
    assert stage(plain, "predict").key != stage(told, "predict").key


def test_statistics_are_measured_without_the_list(sd15, tmp_path, loaded):
    request = asked(sd15, protocol="instructcv_compat")
    request.axes["weights"] = ["perception_stats:samples=8:groups=2:steps=4"]
    (plan,) = bench.plans(request, tmp_path, loaded)[1]
    lists = [s.spec.get("class_list", "all") for s in plan.stages() if s.kind == "latents"]
    assert sorted(lists) == ["all", "all", "present"]
    measured = stage(plan, "contribution").input("predict").input("latents")
    assert "class_list" not in measured.spec


def test_a_drawing_of_all_classes_at_once_cannot_be_asked_for_some(sd15, tmp_path, loaded):
    with pytest.raises(
        Illegal, match=r"instructcv_compat asks .* palette draws all at once; take --encoding class_mask"
    ):
        bench.plans(asked(sd15, "palette", protocol="instructcv_compat"), tmp_path, loaded)


def test_a_run_that_was_told_says_so(sd15, tmp_path, loaded):
    at, (plan,), finished = bench.run(asked(sd15, protocol="instructcv_compat"), tmp_path / "runs", loaded)
    assert not finished.failures
    drawn = json.loads((at.folder(stage(plan, "predict")) / "index.json").read_text())
    assert [sample for sample, _, _ in drawn["items"]] == [0, 1, 1, 2, 3, 3, 4, 5, 5]
    (record,) = records.load_all(tmp_path / "runs").records
    assert record.result["uses_truth"] == ["protocol"]
    assert list(record.result["metrics"]) == ["miou_images"]
    assert record.coverage == 1
    judged = record.statistics
    (picture,) = Reopened(record, at).pictures([judged.ids[3]])
    assert len(picture["drawing"]) == 2
    assert Semantic().quality(picture["prediction"], picture["truth"]) == judged.columns["iou"][3]
