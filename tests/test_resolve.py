"""From a request to cells: what is filled in, what is fixed, what is refused and why."""

from __future__ import annotations

from typing import Any

import bench
import pytest

from addp_bench.cell import Cell
from addp_bench.errors import BadRequest
from addp_bench.loading import load
from addp_bench.resolve import Resolution, resolve
from addp_bench.spec import Request
from addp_bench.stages import Planner

GUESSER = """
from addp_bench.hookspecs import hookimpl

class Guesser:
    "Says nothing of what it does with the generator."
    denoises = False

@hookimpl
def addp_bench_register(registry):
    registry.add("model", "guesser", Guesser)
"""


JUDGED_ONLY = """
from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl

class JudgedOnly:
    "Has nothing to train on."
    tasks = ("ris",)
    def splits(self):
        return ("val",)
    def default_split(self, purpose):
        if purpose != "eval":
            raise BadOption(f"judged_only has no split for {purpose!r}")
        return "val"
    def protocol(self, task):
        return "tabletop_ris"

@hookimpl
def addp_bench_register(registry):
    registry.add("dataset", "judged_only", JudgedOnly)
"""


def asked(axes: dict[str, list[str]], **given: Any) -> Resolution:
    return resolve(Request(axes={"task": ["ris"], **axes}, **given), load().registry)


def one(axes: dict[str, list[str]], **given: Any) -> Cell:
    (cell,) = asked(axes, **given).cells
    return cell


def test_a_shortened_training_keeps_the_share_of_its_warm_up():
    def budget(**overrides: int) -> tuple[int, int]:
        cell = one({"weights": ["uniform"]}, overrides=overrides)
        return cell.budget.train_steps, cell.budget.warmup

    assert budget() == (350, 30)
    assert budget(train_steps=35) == (35, 3)
    assert budget(train_steps=3) == (3, 0)
    assert budget(train_steps=35, warmup=9) == (35, 9)


def test_seeds_multiply_only_predictors_that_they_can_change(tmp_path):
    (tmp_path / "guesser.py").write_text(GUESSER)
    models = ["truth", "constant", "largest_object", "random", "guesser"]
    request = Request(axes={"task": ["ris"], "model": models}, seeds=(1, 2), given=frozenset({"seeds"}))
    cells = resolve(request, load([tmp_path / "guesser.py"]).registry).cells
    seeds = {model: [cell.seed for cell in cells if cell.name("model") == model] for model in models}
    assert seeds == {"truth": [0], "constant": [0], "largest_object": [0], "random": [1, 2], "guesser": [1, 2]}
    assert ["seed" in cell.options["given"] for cell in cells] == [cell.seed > 0 for cell in cells]


@pytest.mark.parametrize("kind, needy", [("model", "instruct_pix2pix"), ("dataset", "refcoco")])
def test_of_all_those_that_need_a_path_are_impossible_and_the_others_go_on(kind, needy):
    found = asked({kind: ["all"]})
    assert {"model": "tiny", "dataset": "tabletop"}[kind] in [cell.name(kind) for cell in found.cells]
    (why,) = (why for what, why in found.impossible if what == f"{kind} {needy}")
    assert "path" in why


def test_the_split_that_is_trained_on_can_be_named_and_is_in_the_key(tmp_path):
    own, named = one({}), one({}, train_split="heldout_pairs", given=frozenset({"train_split"}))
    assert (own.splits["train"], named.splits["train"]) == ("train", "heldout_pairs")
    assert own.options["defaulted"]["train_split"] == "train"
    assert named.options["given"] == {"task": "ris", "train_split": "heldout_pairs"}
    planner = Planner(load().registry, tmp_path)
    assert planner.plan(own).id != planner.plan(named).id


@pytest.mark.parametrize(
    "axes, given, words",
    [
        ({}, {"train_split": "val"}, "photographs are in split val, which is judged"),
        ({"weights": ["perception_stats"]}, {"train_split": "stats"}, "weights perception_stats are measured on"),
        ({}, {"train_split": "stats", "read_at": "best_on_stats"}, "--read-at best_on_stats chooses on"),
        ({}, {"train_split": "trian"}, "Did you mean 'train'?"),
    ],
)
def test_training_on_what_is_judged_or_measured_is_refused(axes, given, words):
    with pytest.raises(BadRequest) as refused:
        asked(axes, **given)
    assert words in str(refused.value)


def test_training_on_the_split_of_the_statistics_is_fine_where_nothing_is_measured():
    assert one({"weights": ["uniform"]}, train_split="stats").splits["train"] == "stats"
    assert one({}, train_split="val", force=True).splits["train"] == "val"


def test_a_dataset_that_is_judged_on_alone_serves_those_who_do_not_learn_from_it(tmp_path):
    (tmp_path / "judged.py").write_text(JUDGED_ONLY)
    registry = load([tmp_path / "judged.py"]).registry
    axes = {"task": ["ris"], "dataset": ["judged_only"]}
    (naive,) = resolve(Request(axes={**axes, "model": ["constant"]}), registry).cells
    assert naive.splits == {"eval": "val"}
    (elsewhere,) = resolve(Request(axes=axes, trained_on="tabletop"), registry).cells
    assert elsewhere.splits == {"train": "train", "stats": "stats", "eval": "val"}
    with pytest.raises(BadRequest, match="judged_only has no split for 'train'"):
        resolve(Request(axes=axes), registry)
    with pytest.raises(BadRequest, match="split of judged_only is called 'trian'"):
        resolve(Request(axes={**axes, "model": ["constant"]}, train_split="trian"), registry)


@pytest.mark.parametrize(
    "corruption, damages",
    [
        ("blur", "depth"),
        ("relabel", "labels"),
        ("shift_labels", "labels"),
        ("jitter_boxes", "boxes"),
        ("drop_boxes", "boxes"),
    ],
)
def test_a_corruption_of_another_truth_is_impossible_with_one_reason(corruption, damages):
    found = asked({"aug": ["linear"]}, corruption=(corruption,))
    assert not found.cells
    ((_, why),) = found.impossible
    assert why == f"corruption {corruption} damages {damages}, task ris is about mask"


@pytest.mark.parametrize(
    "axes", [{"corruption": ["location+color+location"]}, {"transform": ["photometric+photometric"]}]
)
def test_a_part_that_stands_twice_in_a_set_is_refused(sd15, tmp_path, axes):
    with pytest.raises(BadRequest, match="stands twice, and would draw the same numbers twice"):
        bench.plans(bench.request(sd15, {"aug": ["linear"]}, **axes), tmp_path)


def test_cells_that_differ_in_anything_that_was_given_read_differently(sd15, tmp_path):
    axes = {"sampler": ["ddpm", "ddim"], "exposure": ["none", "input_perturbation"], "noise": ["cosine", "linear"]}
    planned = bench.plans(bench.request(sd15, axes), tmp_path)[1]
    assert len({plan.cell.describe() for plan in planned}) == len(planned) == 8


@pytest.mark.parametrize("axes", [{"guidance": ["image_text:image=nan"]}, {"aug": ["tada:kappa=inf"]}])
def test_numbers_that_are_none_are_a_mistake_of_the_request(sd15, tmp_path, axes):
    with pytest.raises(BadRequest, match="is a finite number"):
        bench.plans(bench.request(sd15, axes), tmp_path)
