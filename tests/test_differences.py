"""Why two cells are not one."""

from __future__ import annotations

import json

import bench

from addp_bench.differences import Difference, differences, nearest, parts

KEY = "a" * 64


def test_the_cells_own_stages_are_told_from_those_of_its_source():
    specs = [("train", {"seed": 1}), ("predict", {"train": KEY, "steps": 2}), ("train", {"seed": 3})]
    stages = [(kind, str(i), spec) for i, (kind, spec) in enumerate(specs)]
    assert parts(stages) == {"train": {"seed": 3}, "predict": {"steps": 2}, "source train": {"seed": 1}}


def test_differences_are_told_by_place_and_keys_of_inputs_are_not():
    here = parts([("train", KEY, {"choices": {"weights": {"name": "p2"}}, "latents": KEY})])
    there = parts([("train", KEY, {"choices": {"weights": {"name": "ant"}}, "latents": "b" * 64, "seed": 0})])
    assert differences(here, there) == [
        Difference("train.choices.weights.name", "p2", "ant"),
        Difference("train.seed", None, 0),
    ]


def test_a_cell_that_is_read_elsewhere_differs_in_that_alone(sd15, tmp_path):
    final, best = (
        parts([(s.kind, s.key, s.spec) for s in bench.plans(bench.request(sd15, read_at=at), tmp_path)[1][0].stages()])
        for at in ("final", "best_on_stats")
    )
    found = differences(final, best)
    assert {d.place.split(".")[0] for d in found} == {"score", "reading predict", "reading latents"}
    assert [d.place for d in found if d.place.startswith("score")] == ["score.read_at"]


def test_the_nearest_cell_has_the_fewest_differences():
    name, found = nearest({"a": 1, "b": 2}, {"far": {"a": 0, "b": 0}, "near": {"a": 1, "b": 0}})
    assert name == "near"
    assert [d.place for d in found] == ["b"]
    assert nearest({}, {}) is None


def test_why_names_the_option_that_was_changed(sd15, tmp_path, shell):
    bench.run(bench.request(sd15), tmp_path)
    small = [f"--{k.replace('_', '-')}={v}" for k, v in bench.SMALL.items() if k != "sampling_steps"]
    code, out, _ = shell(
        *("why", "--runs", tmp_path, "--plugin", bench.DOTS, "--dataset", "dots", "--steps", "10"),
        *("--model", f"instruct_pix2pix:path={sd15}", "--weights", "uniform:scaling=loss", *small, "--json"),
    )
    assert code == 0
    (answer,) = json.loads(out)
    assert not answer["done"]
    assert answer["options"]["given"]["weights.scaling"] == "loss"
    assert answer["options"]["defaulted"]["read_at"] == "final"
    assert answer["differences"] == [
        {"place": "train.choices.weights.options.scaling", "here": "loss", "there": "prob"}
    ]
