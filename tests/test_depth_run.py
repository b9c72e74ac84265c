"""Depth on the whole road of a run, with a dataset of a stranger's; and the mean, which learns from the train split."""

import json

import bench
import numpy as np
import pytest

from addp_bench.baselines.naive import Constant, Mean, RandomObject
from addp_bench.errors import BadData, BadRequest, UnknownName
from addp_bench.loading import load
from addp_bench.reopen import Reopened
from addp_bench.resolve import resolve
from addp_bench.stages import Planner
from addp_bench.types import Sample

PLUGIN = '''
from dataclasses import replace

import numpy as np
from dots import Dots

from addp_bench.hookspecs import hookimpl


class Rooms(Dots):
    """Dots whose brightness tells their depth; nobody knows that of the first row."""

    tasks = ("depth",)

    def samples(self, split, task):
        samples = super().samples(split, task)
        whole = type(samples).__getitem__

        class Deep(type(samples)):
            def text(self, index):
                return ""

            def __getitem__(self, index):
                sample = whole(self, index)
                depth = 1.0 + sample.image.mean(2).astype(np.float32) / 64 + np.linspace(0, 1, self.size, dtype="f4")
                depth[0] = 0.0
                return replace(sample, truth=depth, text="", hints={})

        return Deep(samples.split, samples.count, samples.size)

    def protocol(self, task):
        return "tabletop_depth"


@hookimpl
def addp_bench_register(registry):
    registry.add("dataset", "rooms", Rooms)
'''


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugins") / "rooms.py"
    file.write_text(PLUGIN)
    return load([bench.DOTS, file])


def asked(model, axes=None, **given):
    return bench.request(model, {"task": ["depth"], "dataset": ["rooms"], **(axes or {})}, **given)


def cells(request, loaded):
    return resolve(request, loaded.registry)


def test_a_cell_is_trained_measured_and_judged_and_holes_stay_out_of_the_loss(sd15, tmp_path, loaded):
    axes = {"objective": ["mse", "masked_mse"], "weights": ["perception_stats:samples=8:groups=2:steps=4"],
            "aug": ["linear"]}  # fmt: skip
    request = asked(sd15, axes, transform=["flip"], corruption=["blur:kernel=7"])
    at, plans, finished = bench.run(request, tmp_path / "runs", loaded)
    assert not finished.failures
    trained = [next(s for s in reversed(plan.stages()) if s.kind == "train") for plan in plans]
    valid = np.load(at.folder(trained[0].input("latents")) / "valid.npy")
    assert (valid[:, 0] == 0).all()
    assert (valid[:, 1:] == 1).all()
    logs = [json.loads((at.folder(stage) / "log.json").read_text())["loss"] for stage in trained]
    assert logs[0] != logs[1]
    record = json.loads((tmp_path / "runs" / "records" / plans[0].id / "record.json").read_text())
    metrics = record["result"]["metrics"]
    assert next(iter(metrics)) == "absrel"
    assert metrics["absrel"]["value"] > 0
    assert metrics["skipped"]["value"] == 0
    assert record["result"]["choices"]["encoding"]["name"] == "depth_affine"
    assert sum(record["result"]["contribution"]["group_probabilities"]) == pytest.approx(1)


@pytest.mark.parametrize("encoding, protocol, reason", [
    ("depth_disparity", None, "disparity up to scale and shift, and alignment=least_square"),
    ("depth_affine", "tabletop_depth_metric", "depth up to scale and shift, and alignment=none"),
    ("depth_gray", "tabletop_depth_metric", None),
    ("depth_disparity", "tabletop_depth_disparity", None),
    ("depth_log", "tabletop_depth_disparity", None),
])  # fmt: skip
def test_what_could_not_be_judged_is_impossible_before_anything_is_trained(sd15, loaded, encoding, protocol, reason):
    found = cells(asked(sd15, {"encoding": [encoding]}, protocol=protocol), loaded)
    if reason is None:
        assert len(found.cells) == 1
    else:
        ((_, why),) = found.impossible
        assert why.startswith(f"encoding {encoding} under protocol {protocol or 'tabletop_depth'}: {reason}")


# ------------------------------------------------------------------------------------------------ the mean


def room(truth, size=None):
    truth = np.asarray(truth, np.float32)
    return Sample("a", "a", np.zeros((*(size or truth.shape), 3), np.uint8), truth)


def test_the_mean_is_of_the_pixels_that_have_a_depth_each_on_its_own():
    model = Mean()
    model.learn([room([[1, 0, 4]]), room([[3, 0, 0]]), room([[5, 0, 2]])], 2, "depth")  # of the first two
    found = model.predict(room([[9, 9, 9]]), "depth", None)
    assert found.space == "metric"
    assert found.values.tolist() == [[2.0, pytest.approx(8 / 3), 4.0]]  # nobody knew the middle: the mean of all
    few = Mean(samples=1)
    few.learn([room([[1, 2, 4]]), room([[3, 3, 3]])], 2, "depth")
    assert few.predict(room([[9, 9, 9]]), "depth", None).values.tolist() == [[1, 2, 4]]


def test_maps_of_other_sizes_meet_by_the_nearest_pixel_and_answers_are_of_the_photographs_size():
    model = Mean()
    model.learn([room([[1, 3], [1, 3]]), room(np.full((4, 4), 3.0))], 2, "depth")
    assert model.predict(room([[0, 0]], size=(2, 2)), "depth", None).values.tolist() == [[2, 3], [2, 3]]
    wide = model.predict(room([[0, 0]], size=(6, 8)), "depth", None).values
    assert wide.shape == (6, 8)
    assert (wide.min(), wide.max()) == (2, 3)
    assert 2 < wide[0, 3] < wide[0, 4] < 3


def test_a_mean_of_nothing_and_of_another_task_is_refused():
    with pytest.raises(BadData, match="no pixel of the first 2"):
        Mean().learn([room([[0, 0]])] * 2, 2, "depth")
    with pytest.raises(UnknownName, match="ris"):
        Mean().learn([], 0, "ris")
    with pytest.raises(ValueError, match="got 0"):
        Mean(samples=0)


def test_constants_and_guesses_of_depth_are_metres_of_the_photographs_size():
    photo, rng = room(np.ones((3, 4))), np.random.default_rng(0)
    plane = Constant().predict(photo, "depth", rng)
    assert (plane.space, set(plane.values.ravel().tolist()), plane.values.shape) == ("metric", {5.0}, (3, 4))
    guess = RandomObject().predict(room(np.ones((100, 100))), "depth", np.random.default_rng(0)).values
    again = RandomObject().predict(room(np.ones((100, 100))), "depth", np.random.default_rng(0)).values
    assert np.array_equal(guess, again)
    assert 0 <= guess.min() < 0.1
    assert 9.9 < guess.max() <= 10
    assert guess.mean() == pytest.approx(5, abs=0.15)


def test_the_mean_is_learnt_in_a_run_from_the_train_split_which_is_part_of_the_cell(sd15, tmp_path, loaded):
    models = ["constant", "mean", "mean:samples=1", "truth"]
    at, plans, finished = bench.run(asked(sd15, {"model": models}), tmp_path / "runs", loaded)
    assert not finished.failures
    rooms = loaded.registry.build("dataset", "rooms")
    train = rooms.samples("train", "depth")
    expected = np.mean([train[i].truth for i in range(len(train))], 0)
    folder = tmp_path / "runs"
    absrel = {}
    for name, plan in zip(models, plans):
        record = json.loads((folder / "records" / plan.id / "record.json").read_text())
        absrel[name] = record["result"]["metrics"]["absrel"]["value"]
    assert absrel["truth"] == 0
    assert 0 < absrel["mean"] < absrel["mean:samples=1"]
    assert absrel["mean"] < absrel["constant"]
    model = Mean()
    model.learn(train, len(train), "depth")
    assert model.predict(rooms.samples("val", "depth")[0], "depth", None).values[1:] == pytest.approx(expected[1:])
    specs = {name: plan.stages()[0].spec for name, plan in zip(models, plans)}
    assert specs["mean"]["train"]["split"] == "train"
    assert "train" not in specs["constant"]
    record = finished.records[plans[1].id]
    assert record.result["choices"]["model"]["options"] == {"samples": 1000, "learnt_from": "rooms train dots-1-32"}
    (shown,) = Reopened(finished.records[plans[1].id], at).pictures(["dots/val/0"])
    assert shown["prediction"].values[1:] == pytest.approx(expected[1:]), "it has learnt again where it is shown"


def test_where_it_learnt_is_part_of_its_key(sd15, tmp_path, loaded):
    def key(**given):
        (cell,) = cells(asked(sd15, {"model": ["mean"]}, **given), loaded).cells
        return Planner(loaded.registry, tmp_path).plan(cell).key

    assert len({key(), key(train_split="stats"), key(trained_on="rooms:size=16")}) == 3
    with pytest.raises(BadRequest, match="train on another split"):
        cells(asked(sd15, {"model": ["mean"]}, train_split="val"), loaded)
