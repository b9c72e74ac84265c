"""Weights on the whole road: statistics of several tasks, strategies that learn, batches that do not fit."""

from __future__ import annotations

import json

import bench
import numpy as np
import pytest

from addp_bench.contribution import estimate
from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.legality import Illegal

STATS = {"weights": ["perception_stats"]}


@pytest.fixture(scope="module")
def measured(sd15, tmp_path_factory):
    """Runs that hold a cell with statistics, and a file of others."""
    runs = tmp_path_factory.mktemp("several")
    _, (plan,), finished = bench.run(bench.request(sd15, STATS), runs)
    quality = np.random.default_rng(1).normal(size=(40, 10)).cumsum(axis=1)
    other = estimate(quality, list(range(950, 0, -100)), bootstrap=0)
    file = runs / "other.json"
    file.write_text(json.dumps(other.to_json()))
    return runs, plan, finished.records[plan.id].result["contribution"], other, file


def plan_of(sd15, runs, sources):
    return bench.plans(bench.request(sd15, {"weights": [f"perception_stats:from={sources}"]}), runs)[1][0]


def train_of(plan):
    return plan.score.inputs[0].input("train")


def test_statistics_of_several_sources_are_averaged_and_told_in_the_record(sd15, measured):
    runs, source, _, other, file = measured
    asked = bench.request(sd15, {"weights": [f"perception_stats:from={source.id}+{file}"]})
    at, (plan,), finished = bench.run(asked, runs)
    assert not finished.failures
    stage = train_of(plan).input("contribution")
    own = json.loads((at.folder(stage) / "contribution.json").read_text())
    result = finished.records[plan.id].result
    assert result["contribution"]["raw"] == pytest.approx(np.mean([own["raw"], other.raw], axis=0))
    assert result["contribution"]["averaged"] == 2
    mass = np.maximum(result["contribution"]["raw"], 0.01)
    assert result["timestep_mass"] == pytest.approx(mass / mass.sum(), abs=1e-6)
    assert result["choices"]["weights"]["options"]["from"].startswith(f"{stage.key}+")


def test_every_source_is_part_of_the_key_and_its_name_is_not(sd15, measured):
    runs, source, _, _, file = measured
    both = plan_of(sd15, runs, f"{source.id}+{file}")
    assert both.key == plan_of(sd15, runs, f"{source.id[:8]}+{file}").key
    copy = runs / "a copy.json"
    copy.write_text(file.read_text())
    assert both.key == plan_of(sd15, runs, f"{source.id}+{copy}").key
    alone = [plan_of(sd15, runs, name).key for name in (source.id, file, f"{file}+{copy}")]
    assert len({both.key, *alone}) == 4
    assert len(train_of(plan_of(sd15, runs, f"{source.id}+{source.id}")).inputs) == 3


def test_each_source_is_refused_by_its_own_name_before_anything_runs(sd15, measured):
    runs, source, _, _, file = measured
    with pytest.raises(UnknownName, match="no cell is called 'feedfeed'"):
        plan_of(sd15, runs, f"{file}+feedfeed")
    with pytest.raises(BadOption, match=r"absent\.json: no such file"):
        plan_of(sd15, runs, f"{source.id}+absent.json")
    torn = runs / "torn.json"
    torn.write_text("{")
    with pytest.raises(BadData, match=r"torn\.json"):
        plan_of(sd15, runs, f"{file}+{torn}")
    with pytest.raises(BadOption, match="made with groups=10, asked is groups=5"):
        plan_of(sd15, runs, f"{source.id}+{file}:groups=5")


def test_held_out_statistics_need_samples_and_say_so_while_planning(sd15, tmp_path):
    asked = bench.request(sd15, {"weights": ["perception_stats:r2=cross_validated"]})
    with pytest.raises(BadOption, match="need at least 15 samples, and 12 would be"):
        bench.plans(asked, tmp_path)
    few = {"weights": ["perception_stats:r2=cross_validated:groups=5:folds=4"]}
    (plan,) = bench.plans(bench.request(sd15, few), tmp_path)[1]
    settings = train_of(plan).input("contribution").spec["settings"]
    assert (settings["r2"], settings["folds"]) == ("cross_validated", 4)


@pytest.mark.slow
def test_strategies_that_learn_join_pair_or_redraw_train(sd15, tmp_path):
    names = [
        "ant:k=2", "ant:k=2:scaling=loss", "ant:k=2:scaling=loss:method=pcgrad",
        "ant:k=2:scaling=loss:method=nash:every=2", "speed", "soft_truncation",
    ]  # fmt: skip
    _, plans, finished = bench.run(bench.request(sd15, {"weights": names}), tmp_path)
    assert not finished.failures
    mass = {name: finished.records[plan.id].result["timestep_mass"] for name, plan in zip(names, plans)}
    assert all(sum(m) == pytest.approx(1.0, abs=1e-6) for m in mass.values())
    learnt = mass["ant:k=2:scaling=loss"]
    assert learnt[0] == pytest.approx(learnt[4])
    assert learnt[0] != pytest.approx(learnt[5], rel=1e-4), "it is what was learnt, not what it began with"


def test_a_batch_that_intervals_cannot_share_is_told_with_its_numbers(sd15, tmp_path):
    with pytest.raises(Illegal, match="weights ant: a batch of 4 cannot be shared evenly by k=5 intervals") as told:
        bench.plans(bench.request(sd15, {"weights": ["ant:scaling=loss"]}), tmp_path)
    assert "--batch-size 5" in str(told.value)
