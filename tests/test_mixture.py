"""Several tasks trained together by one model."""

import json
from collections import Counter

import bench
import numpy as np
import pytest
import torch

from addp_bench.batches import Batches
from addp_bench.contribution import averaged, read_contribution
from addp_bench.errors import BadOption, BadRequest
from addp_bench.loading import load
from addp_bench.mixture import Turns
from addp_bench.spec import Choice, Wanted, parse_mixture, shares
from addp_bench.tasks.ris import Ris

BOTH = (Wanted("ris", 0.75), Wanted("ground", 0.25))


class Ground(Ris):
    """Everything but the named square, drawn white on black."""

    encoding = "binary_mask"
    corruptions = ("location",)


@pytest.fixture(scope="module")
def loaded():
    """`dots` with a second task, whose truth is the first one's, so that only names and drawings differ."""
    found = load([bench.DOTS])
    found.registry.add("task", "ground", Ground)
    dots = found.registry.get("dataset", "dots").factory
    before, dots.tasks = dots.tasks, ("ris", "ground")
    yield found
    dots.tasks = before


# ------------------------------------------------------------------------------------------------ turns


@pytest.mark.parametrize("given", [[1.0], [0.3, 0.3, 0.4], [0.9, 0.1], [0.01, 0.99], [1 / 7] * 7])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_every_place_of_every_batch_belongs_to_one_source_and_none_is_left_out(given, size):
    turns = Turns(given, size)
    done = [0] * len(given)
    for step in range(300):
        places = turns.places(step)
        assert [p.start for p in places] == done
        assert sum(map(len, places)) == size
        done = [p.stop for p in places]
    wanted = np.array(given) * 300 * size
    assert np.abs(np.array(done) - wanted).max() < 3  # a random draw of 300 x 64 places would be off by about 60


def test_turns_are_known_from_the_number_of_a_step_alone():
    asked_late = Turns([0.3, 0.7], 5)
    asked_early = Turns([0.3, 0.7], 5)
    for step in range(2100):
        asked_early.places(step)
    assert asked_late.places(2099) == asked_early.places(2099)


def test_turns_are_those_of_the_golden_ratio():
    fraction = (np.arange(4000) * ((5**0.5 - 1) / 2)) % 1
    counts = np.histogram(fraction.reshape(1000, 4), bins=[0, 0.3, 0.6, 1])[0]
    assert [p.stop for p in Turns([0.3, 0.3, 0.4], 4).places(999)] == counts.tolist()


# ------------------------------------------------------------------------------------------- what is asked for


def test_a_mixture_is_tasks_and_shares():
    assert parse_mixture("depth=0.3+Semantic=0.7") == (Wanted("depth", 0.3), Wanted("semantic", 0.7))
    assert shares(parse_mixture("depth+semantic")) == [0.5, 0.5]
    assert shares(parse_mixture("depth=0.3+semantic=0.3+detection=0.4")) == [0.3, 0.3, 0.4]


@pytest.mark.parametrize(
    "text, why",
    [
        ("depth=0.3+semantic=0.6", "add up to 1, met 0.3 [+] 0.6"),
        ("depth=1.5+semantic=-0.5", "above 0"),
        ("depth=0.3+semantic", "to every task, or to none"),
        ("depth=0.5+depth=0.5", "names task depth twice"),
        ("depth=half+semantic", "write task=share"),
    ],
)
def test_shares_that_cannot_be_meant_are_refused(text, why):
    with pytest.raises(BadOption, match=why):
        shares(parse_mixture(text))


# ------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def ran(sd15, loaded, tmp_path_factory):
    asked = bench.request(
        sd15, {"task": ["ris", "ground"], "weights": ["perception_stats:groups=2"], "aug": ["linear"]}, mixture=BOTH
    )
    return asked, *bench.run(asked, tmp_path_factory.mktemp("runs"), loaded)


def test_one_training_is_judged_on_each_of_its_tasks(ran):
    _, _, plans, finished = ran
    assert not finished.failures
    assert [plan.cell.name("task") for plan in plans] == ["ris", "ground"]
    trained = {plan.score.inputs[0].input("train").key for plan in plans}
    assert len(trained) == 1
    records = [finished.records[plan.id].result for plan in plans]
    assert [r["training"]["tasks"] for r in records] == ["ris=0.75+ground=0.25"] * 2
    assert [r["choices"]["encoding"]["name"] for r in records] == ["red_mask", "binary_mask"]
    assert [[c["name"] for c in r["choices"]["corruption"]] for r in records] == [
        ["location", "shape", "color"],
        ["location"],
    ]


def test_its_statistics_are_measured_for_each_task_on_one_source_and_averaged(ran):
    _, at, plans, finished = ran
    train = plans[0].score.inputs[0].input("train")
    measured = [s for s in train.inputs if s.kind == "contribution"]
    assert len(measured) == 2
    assert len({s.input("predict").input("train").key for s in measured}) == 1
    of = averaged([read_contribution(at.folder(s) / "contribution.json") for s in measured])
    assert finished.records[plans[1].id].result["contribution"] == json.loads(json.dumps(of.to_json()))


def test_every_batch_holds_what_the_shares_say_and_each_task_its_own_drawings(ran):
    _, at, plans, _ = ran
    work, cell = at.work, plans[0].cell
    train = plans[0].score.inputs[0].input("train")
    sources = work.sources(cell, train)
    assert [type(s.encoding).__name__ for s in sources] == ["RedMask", "BinaryMask"]
    assert [[type(c).__name__ for c in s.corruptions] for s in sources] == [
        ["Location", "Shape", "Color"],
        ["Location"],
    ]
    model = work.model(cell)
    batches = Batches(sources, model, work.recipe(cell, model, work._measured(train, cell)), 16, 0, torch.device("cpu"))
    met: Counter[int] = Counter()
    for step in range(6):
        items = batches.items(step)
        met.update({k: len(mine) for k, mine in enumerate(items)})
        batch = batches.batch(step, batches.raw(step))
        clean = torch.cat([source.latents.target(mine) for source, mine in zip(sources, items)])
        assert torch.equal(batch.x0, clean)
        assert not torch.equal(batch.x0_shown, clean)
        assert len({tuple(row.flatten().tolist()) for row in batch.eps}) == 16
    assert abs(met[0] - 72) <= 2


def test_a_batch_of_a_mixture_does_not_hang_on_the_batches_before_it(ran):
    _, at, plans, _ = ran
    work, cell = at.work, plans[0].cell
    train = plans[0].score.inputs[0].input("train")
    model = work.model(cell)
    recipe = work.recipe(cell, model, work._measured(train, cell))
    first, second = (Batches(work.sources(cell, train), model, recipe, 5, 0, torch.device("cpu")) for _ in range(2))
    for step in range(4):
        first.batch(step, first.raw(step))
    late, alone = first.batch(4, first.raw(4)), second.batch(4, second.raw(4))
    for name in ("x0", "x0_shown", "eps", "t", "weight", "text", "image"):
        assert torch.equal(getattr(late, name), getattr(alone, name)), name


def test_a_mixture_and_its_tasks_alone_are_different_cells(sd15, loaded, tmp_path):
    together = bench.plans(bench.request(sd15, {"task": ["ris"]}, mixture=BOTH), tmp_path, loaded)[1]
    otherwise = bench.plans(
        bench.request(sd15, {"task": ["ris"]}, mixture=(Wanted("ris", 0.5), Wanted("ground", 0.5))), tmp_path, loaded
    )[1]
    alone = bench.plans(bench.request(sd15), tmp_path, loaded)[1]
    assert len({plan.key for plan in (*together, *otherwise, *alone)}) == 3
    assert Choice("ris") != together[0].cell.mixture[1].task


@pytest.mark.parametrize(
    "axes, given, why",
    [
        ({"task": ["depth_of_field"]}, {}, "depth_of_field"),
        ({"encoding": ["red_mask", "binary_mask"]}, {}, "two encodings for task ris of one mixture"),
        ({}, {"mixture": (Wanted("ris"), Wanted("nothing"))}, "nothing"),
        ({}, {"mixture": (Wanted("ris", 0.2), Wanted("ground", 0.2))}, "add up to 1"),
    ],
)
def test_a_mixture_that_cannot_be_meant_is_refused(sd15, loaded, tmp_path, axes, given, why):
    with pytest.raises(BadRequest, match=why):
        bench.plans(bench.request(sd15, axes, **{"mixture": BOTH, **given}), tmp_path, loaded)
