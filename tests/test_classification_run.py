"""Questions about classes from plan to record: which are asked of whom, and what a cell and a file are answered by."""

from __future__ import annotations

import json
import math
from pathlib import Path

import bench
import numpy as np
import pytest

from addp_bench import records
from addp_bench.errors import UnknownName
from addp_bench.legality import Illegal
from addp_bench.loading import load
from addp_bench.reopen import Reopened
from addp_bench.resolve import resolve
from addp_bench.spec import Request, Wanted
from addp_bench.tasks.classification import Classification, answers
from addp_bench.types import Query

TASK = Classification()
PATCHES = Path(__file__).with_name("patches.py")
nan = math.nan


@pytest.fixture
def loaded():
    return load([PATCHES])


def asked_for(sd15, **given):
    axes = {"task": given.pop("task", ["classification"]), "dataset": ["patches"]}
    return bench.request(sd15, axes, **given)


def stage(plan, kind):
    return [s for s in plan.stages() if s.kind == kind]


def test_training_asks_balanced_questions_and_the_protocol_says_what_is_judged(sd15, tmp_path, loaded):
    (every,) = bench.plans(asked_for(sd15), tmp_path, loaded)[1]
    (half,) = bench.plans(asked_for(sd15, protocol="balanced"), tmp_path, loaded)[1]
    (all_,) = bench.plans(asked_for(sd15, task=["classification:questions=all"]), tmp_path, loaded)[1]
    lists = [[s.spec.get("class_list", "all") for s in stage(plan, "latents")] for plan in (every, half, all_)]
    assert [sorted(several) for several in lists] == [["all", "balanced"], ["balanced", "balanced"], ["all", "all"]]
    assert stage(every, "train")[0].key == stage(half, "train")[0].key != stage(all_, "train")[0].key


def test_statistics_are_measured_on_balanced_questions(sd15, tmp_path, loaded):
    request = asked_for(sd15)
    request.axes["weights"] = ["perception_stats:samples=8:groups=2:steps=4"]
    (plan,) = bench.plans(request, tmp_path, loaded)[1]
    (contribution,) = stage(plan, "contribution")
    assert contribution.input("predict").input("latents").spec["class_list"] == "balanced"


def test_what_makes_no_sense_is_impossible_with_its_reason():
    registry = load().registry
    axes = {"task": ["classification"], "encoding": ["palette"], "dataset": ["tabletop"]}
    (first,) = resolve(Request(axes=axes), registry).impossible
    assert "encoding palette draws labels, task classification is about classes" in first[1]
    for given, words in (
        ({"transform": ["crop"]}, "a crop may remove what the answer says is there"),
        ({"corruption": ["location"], "axes": {"aug": ["linear"]}}, "corruption location damages mask"),
    ):
        more = {"task": ["classification"], "dataset": ["tabletop"], **given.pop("axes", {})}
        found = resolve(Request(axes=more, **given), registry)
        assert not found.cells
        assert words in found.impossible[0][1]
    cells = resolve(Request(axes={**more, "aug": ["linear"]}, transform=["flip"]), registry).cells
    assert [[c.name for c in cell.corruption] for cell in cells] == [["color"]]


class AllAtOnce:
    """Draws the answers of all classes in one picture."""

    truth = "classes"

    def queries(self, sample, vocabulary):
        return [Query("everything")]


def test_a_drawing_of_all_answers_cannot_be_asked_for_some(sd15, tmp_path, loaded):
    loaded.registry.add("encoding", "all_at_once", AllAtOnce)
    request = asked_for(sd15, protocol="balanced")
    request.axes["encoding"] = ["all_at_once"]
    with pytest.raises(Illegal, match="balanced asks for some of the classes alone, each in a drawing of its own"):
        bench.plans(request, tmp_path, loaded)


def test_a_cell_answers_every_question_and_one_in_words(sd15, tmp_path, loaded):
    at, _, finished = bench.run(asked_for(sd15), tmp_path / "runs", loaded)
    assert not finished.failures
    (record,) = records.load_all(tmp_path / "runs").records
    assert record.result["protocol"]["settings"]["class_list"] == "all"
    assert record.result["uses_truth"] == []
    assert record.statistics.columns["posed"].tolist() == [3.0] * 6
    assert record.statistics.columns["posed.yes"].tolist() == [1, 2] * 3
    judged = TASK.evaluator({}, ("green", "blue", "yellow")).metrics
    for metric in judged:
        value = record.result["metrics"][metric.id]["value"]
        assert (nan if value is None else value) == pytest.approx(
            float(metric.value(record.statistics.columns)), nan_ok=True
        )
    reopened = Reopened(record, at)
    (picture,) = reopened.pictures([record.statistics.ids[1]])
    assert picture["drawing"].shape[0] == 3
    assert picture["shown"]["prediction"].shape == picture["shown"]["truth"].shape == (256, 256, 3)
    said = answers(picture["prediction"], 3, "it")
    assert record.statistics.columns["question_score"][np.array([1])].values.tolist() == said.tolist()
    photo = np.full((20, 30, 3), 90, np.uint8)
    drawing, everything = reopened.answer(photo, "")
    assert (len(drawing), list(everything.names)) == (3, ["green", "blue", "yellow"])
    drawing, one = reopened.answer(photo, "blue")
    assert (len(drawing), list(one.names), one.labels.tolist()) == (1, ["blue"], [1])
    with pytest.raises(UnknownName, match="no class is called 'purple'"):
        reopened.answer(photo, "purple")


def test_a_batch_draws_the_questions_that_were_encoded(sd15, tmp_path, loaded):
    """A corrupted target is drawn anew from the dataset, and must be that of the item's own question."""
    request = asked_for(sd15)
    request.axes["aug"] = ["linear"]
    at, (plan,), finished = bench.run(request, tmp_path / "runs", loaded)
    assert not finished.failures
    (source,) = at.work.sources(plan.cell, stage(plan, "train")[0])
    every = range(len(source.latents))
    raw = source.raw(every, 32)
    assert [query.prompt for query in raw.queries] == [source.latents.items[i].prompt for i in every]
    asked = [len(TASK.balanced(one)) for one in source.samples.samples]
    assert len(every) == sum(asked)
    assert set(asked) == {2, 3}


def test_it_trains_beside_other_tasks(sd15, tmp_path, loaded):
    both = (Wanted("semantic", 0.5), Wanted("classification", 0.5))
    request = asked_for(sd15, mixture=both)
    request.axes.pop("task")
    _, plans, finished = bench.run(request, tmp_path / "runs", loaded)
    assert not finished.failures
    found = records.load_all(tmp_path / "runs").records
    assert sorted(record.result["task"] for record in found) == ["classification", "semantic"]
    (train,) = {s.key: s for plan in plans for s in stage(plan, "train")}.values()
    lists = {s.spec["task"]["name"]: s.spec.get("class_list", "all") for s in train.inputs if s.kind == "latents"}
    assert lists == {"semantic": "all", "classification": "balanced"}


def test_what_another_program_said_is_judged_alike(shell, tmp_path, loaded):
    samples = loaded.registry.build("dataset", "patches").samples("val", "classification")
    folder = tmp_path / "said"
    for k in range(6):
        file = folder / f"{samples.ids[k]}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        truth = dict(zip(samples.vocabulary, samples[k].truth.tolist()))
        file.write_text(json.dumps({**truth, "green": True}))
    words = ["--task", "classification", "--dataset", "patches", "--plugin", PATCHES, "--runs", tmp_path / "runs"]
    code, out, err = shell("score", "--predictions", folder, *words, "--json")
    assert code == 0, err
    metrics = json.loads(out)["records"][0]["result"]["metrics"]
    greens = sum(bool(samples[k].truth[0]) for k in range(6))
    assert metrics["recall"]["value"] == 1.0
    assert metrics["precision"]["value"] == pytest.approx(9 / (9 + 6 - greens))
    (folder / f"{samples.ids[2]}.json").write_text('{"green": true, "blue": false}')
    code, _, err = shell("score", "--predictions", folder, *words)
    assert code == 3
    assert "sample patches/val/2: the prediction says nothing of 'yellow'" in err
