"""Several answers to one question, each from a start of its own, made one."""

from __future__ import annotations

import bench
import numpy as np
import pytest

from addp_bench.errors import BadRequest
from addp_bench.evaluation import Drawn, answers
from addp_bench.loading import load
from addp_bench.reopen import Reopened
from addp_bench.resolve import resolve
from addp_bench.tasks.ris import Ris


@pytest.fixture(scope="module")
def three(sd15, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    alone = bench.run(bench.request(sd15), runs)
    return alone, bench.run(bench.request(sd15, ensemble=3), runs)


def test_an_ensemble_rests_on_the_training_and_the_answers_of_the_cell_without_one(three):
    (_, (alone,), _), (_, (plan,), finished) = three
    assert not finished.failures
    assert plan.key != alone.key
    members = [s for s in plan.score.inputs if s.kind == "predict"]
    assert len({s.key for s in members}) == 3
    assert members[0].key == alone.score.inputs[0].key
    assert finished.computed == 3, "two more members and a score"


def test_its_members_start_from_different_noise(three):
    _, (at, (plan,), _) = three
    x0 = [next(Drawn.open(at.folder(s)).shards())[1] for s in plan.score.inputs]
    assert not np.allclose(x0[0], x0[1])
    assert not np.allclose(x0[1], x0[2])


def test_what_is_judged_is_the_majority_of_its_members(three):
    _, (at, (plan,), finished) = three
    work, cell = at.work, plan.cell
    samples, _ = work.samples(cell, "eval", None)
    encoding, model = work.build("encoding", cell), work.model(cell)
    by_hand = []
    members = [Drawn.open(at.folder(s)) for s in plan.score.inputs]
    found = [answers(d, samples, encoding, model, at.device, lambda s: s.image.shape[:2]) for d in members]
    last = len(members[0].timesteps) - 1
    for several in zip(*found):
        votes = np.sum([np.asarray(answer.predictions[last]) for answer in several], 0)
        by_hand.append((several[0].sample, votes >= 2))
    columns = finished.records[plan.id].statistics.columns
    assert [float((mask & s.truth).sum()) for s, mask in by_hand] == columns["intersection"].tolist()
    assert [float((mask | s.truth).sum()) for s, mask in by_hand] == columns["union"].tolist()


def test_a_record_and_its_pictures_tell_of_all_members(three):
    _, (at, (plan,), finished) = three
    record = finished.records[plan.id]
    assert record.result["ensemble"] == 3
    picture = Reopened(record, at).pictures([str(record.statistics.ids[0])])[0]
    assert len(picture["drawing"]) == 3
    drawing, mask = Reopened(record, at).answer(picture["photo"], picture["text"])
    assert (len(drawing), mask.shape) == (3, picture["photo"].shape[:2])


def test_a_task_that_cannot_join_answers_refuses_an_ensemble_with_the_reason(sd15, tmp_path, monkeypatch):
    class Alone(Ris):
        ensemble = property()  # as if it were not there

    loaded = load([bench.DOTS])
    loaded.registry.add("task", "alone", Alone)
    monkeypatch.setattr(loaded.registry.get("dataset", "dots").factory, "tasks", ("ris", "alone"))
    found = resolve(bench.request(sd15, {"task": ["alone"]}, ensemble=2), loaded.registry)
    assert found.cells == []
    assert "task alone does not say how several answers become one" in found.impossible[0][1]


def test_an_ensemble_of_none_is_refused(sd15, tmp_path):
    with pytest.raises(BadRequest, match="--ensemble 0: expected 1 answer or more"):
        bench.plans(bench.request(sd15, ensemble=0), tmp_path)
