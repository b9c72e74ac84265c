"""Protocol cards: what a name asks of a request, what a record says of it, and what may stand in one table."""

from __future__ import annotations

import json
from typing import ClassVar

import bench
import data_miniature as make
import pytest
import results

from addp_bench.errors import BadRequest
from addp_bench.loading import load
from addp_bench.protocol_cards import Protocol, deviations, hash_of, known, listed
from addp_bench.resolve import resolve
from addp_bench.results.tables import leaderboard
from addp_bench.spec import Request
from addp_bench.specfile import read
from addp_bench.stages import Planner
from addp_bench.store import digest
from addp_bench.tasks.depth import DepthTask
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.ris import Ris
from addp_bench.tasks.semantic import Semantic
from addp_bench.types import ProtocolCard

DEPTH = ("nyuv2", "kitti", "eth3d", "scannet", "diode")


class Carded(Ris):
    """`ris` with a card for `dots` alone."""

    cards: ClassVar = {
        "paper": {"dots": ProtocolCard("lavt", split="stats", steps=4, ensemble=2, resolution=512, version=3)}
    }


@pytest.fixture(scope="module")
def loaded():
    found = load([bench.DOTS])
    found.registry.add("task", "carded", Carded)
    found.registry.get("dataset", "dots").factory.tasks = ("ris", "carded")
    yield found
    found.registry.get("dataset", "dots").factory.tasks = ("ris",)


def asked(model, axes=None, **given):
    """A request that leaves the steps of the evaluation open."""
    return bench.request(
        model,
        {"task": ["carded"], **(axes or {})},
        overrides={"sampling_steps": None, **given.pop("numbers", {})},
        **given,
    )


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """NYUv2 in miniature."""
    return make.nyuv2(tmp_path_factory.mktemp("data") / "nyu")


# ------------------------------------------------------------------------------------------------ which there are


@pytest.mark.parametrize(
    "name, split, resolution, judged",
    [
        ("nyuv2", "test", "native", {"mask": "eigen_nyu", "valid_above": 1e-3, "valid_below": 10.0, "clip_max": 10.0}),
        (
            "kitti",
            "test",
            "native",
            {"mask": "eigen", "crop": "kitti_benchmark", "mask_frame": "crop", "clip_max": 80.0},
        ),
        ("eth3d", "test", 756, {"alignment_max_size": 1024, "alignment_subsampling": "width", "clip_max": None}),
        ("scannet", "val", "native", {"mask": "none", "crop": "none", "valid_below": 10.0, "clip_max": 10.0}),
        ("diode", "val", 640, {"valid_below": None, "clip_min": 0.6, "clip_max": 350.0}),
    ],
)
def test_marigold_means_on_each_dataset_what_was_published_with_it(name, split, resolution, judged):
    card = known(DepthTask(), name)["marigold"]
    assert card.asks == {"split": split, "steps": 50, "ensemble": 10, "resolution": resolution}
    assert card.settings["alignment"] == "least_square"
    assert judged.items() <= card.settings.items()
    addp = known(DepthTask(), name)["addp"]
    assert (addp.settings, addp.asks, addp.hash != card.hash) == (card.settings, card.asks, True)
    lotus = known(DepthTask(), name)["lotus"]
    assert lotus.settings == {**card.settings, "alignment": "least_square_disparity"}
    assert lotus.asks == {"split": split}


def test_other_cards_say_what_is_known_and_leave_the_rest_open():
    assert known(Ris(), "refcocog")["addp"].asks == {"steps": 100}
    assert known(Ris(), "refcoco")["addp"].settings["eval_size"] == 512
    compat = [known(DepthTask(), "nyuv2"), known(Semantic(), "ade20k"), known(Detection(), "coco")]
    asks = [protocols["instructcv_compat"].asks for protocols in compat]
    assert [a.pop("split", None) for a in asks] == [None, "validation", "val2017"]
    assert asks == [{"steps": 100, "resolution": 512}] * 3
    assert compat[0]["instructcv_compat"].settings["instructcv"] is True
    assert known(Ris(), "tabletop")["addp"].asks == {}, "elsewhere its name stands for the judge alone"
    assert "marigold" not in known(DepthTask(), "hypersim")


def test_a_hash_covers_all_that_a_protocol_says_and_nothing_else():
    one = Protocol("p", {"size": 512}, 1, {"steps": 50})
    assert one.hash == digest({"name": "p", "settings": {"size": 512}, "version": 1, "asks": {"steps": 50}})
    others = [Protocol("q", one.settings, 1, one.asks), Protocol("p", {"size": 480}, 1, one.asks),
              Protocol("p", one.settings, 2, one.asks), Protocol("p", one.settings, 1, {"steps": 20}),
              Protocol("p", one.settings)]  # fmt: skip
    assert len({p.hash for p in (one, *others)}) == 6
    assert hash_of(json.loads(json.dumps(others[-1].plain()))) == others[-1].hash
    every = [row["hash"] for task in (DepthTask(), Ris(), Semantic(), Detection()) for row in listed(task)]
    assert len(every) == len(set(every)) + 2, "the three of RefCOCO are one"


# ------------------------------------------------------------------------------------------------ what is asked for


def test_a_card_fills_in_what_a_request_leaves_open(sd15, loaded):
    (cell,) = resolve(asked(sd15, protocol="paper"), loaded.registry).cells
    assert (cell.splits["eval"], cell.budget.sampling_steps, cell.ensemble) == ("stats", 4, 2)
    assert cell.protocol == "paper"
    assert {"split", "ensemble", "budget.sampling_steps"} <= cell.options["defaulted"].keys()
    (own,) = resolve(asked(sd15), loaded.registry).cells
    assert (own.protocol, own.splits["eval"], own.budget.sampling_steps, own.ensemble) == ("tabletop_ris", "val", 20, 1)


def test_what_somebody_says_wins_over_the_card_also_where_it_is_the_default(sd15, loaded, tmp_path):
    said = asked(sd15, protocol="paper", split="val", ensemble=1, numbers={"sampling_steps": 5})
    (cell,) = resolve(said, loaded.registry).cells
    assert (cell.splits["eval"], cell.budget.sampling_steps, cell.ensemble) == ("val", 5, 1)
    text = "train: {tasks: {carded: {dataset: dots}}, model: 'instruct_pix2pix:path=%s', train_steps: 3, warmup: 1}\n"
    entries = "eval: [{protocol: paper}, {protocol: paper, ensemble: 1, steps: 5, split: val}]"
    (tmp_path / "s.yaml").write_text(text % sd15 + entries)
    cells = [resolve(request, loaded.registry).cells[0] for request in read(tmp_path / "s.yaml", {})]
    assert [(c.splits["eval"], c.budget.sampling_steps, c.ensemble) for c in cells] == [("stats", 4, 2), ("val", 5, 1)]


def test_marigold_names_the_card_of_whatever_dataset_is_judged(sd15, loaded, rooms):
    model = f"instruct_pix2pix:path={sd15}"
    axes = {"task": ["depth"], "dataset": [f"nyuv2:path={rooms}"], "model": [model, "constant"]}
    cell, naive = resolve(Request(axes=axes, protocol="marigold", split="test"), loaded.registry).cells
    assert (cell.splits["eval"], cell.budget.sampling_steps, cell.ensemble) == ("test", 50, 10)
    planner = Planner(loaded.registry, rooms)
    spec = planner.plan(cell).score.spec["protocol"]
    assert spec["settings"]["mask"] == "eigen_nyu"
    assert len(planner.plan(cell).score.inputs) == 10
    asks = {"split": "test", "steps": 50, "ensemble": 10, "resolution": "native"}
    assert deviations(asks, cell, 3, 64) == {"resolution": {"card": "native", "here": "64 x 64"}}
    assert deviations(asks, naive, 3, None) == {}
    with pytest.raises(BadRequest, match=r"no protocol of ris on dots is called 'paper'"):
        resolve(asked(sd15, {"task": ["ris"]}, protocol="paper"), loaded.registry)
    with pytest.raises(
        BadRequest, match=r"called 'marigold'.*A card 'marigold' is there for nyuv2, kitti, eth3d, scan"
    ):
        resolve(Request(axes={"task": ["depth"]}, protocol="marigold"), loaded.registry)


def test_fewer_samples_than_the_split_has_are_not_the_card(sd15, loaded):
    def limits(number, there):
        (cell,) = resolve(asked(sd15, protocol="paper", numbers={"limit": number}), loaded.registry).cells
        return deviations({"split": "stats"}, cell, there, 64)

    assert limits(13, 14) == limits(13, None) == {"limit": {"card": None, "here": 13}}
    assert limits(14, 14) == {}


# ------------------------------------------------------------------------------------------------ what is said of it


def test_a_record_holds_version_and_hash_and_what_is_not_as_the_card_asks(sd15, tmp_path, loaded, shell):
    runs = tmp_path / "runs"
    models = [f"instruct_pix2pix:path={sd15}", "truth"]
    _, plans, finished = bench.run(asked(sd15, {"model": models}, protocol="paper", ensemble=1), runs, loaded)
    assert not finished.failures
    drawn, naive = (finished.records[plan.id].result["protocol"] for plan in plans)
    assert (drawn["name"], drawn["version"]) == ("paper", 3)
    assert drawn["asks"] == {"split": "stats", "steps": 4, "ensemble": 2, "resolution": 512}
    card = known(Carded(), "dots")["paper"]
    assert drawn["hash"] == naive["hash"] == card.hash
    assert drawn["deviates"] == {
        "limit": {"card": None, "here": 6},
        "ensemble": {"card": 2, "here": 1},
        "resolution": {"card": 512, "here": "64 x 64"},
    }
    assert naive["deviates"] == {"limit": {"card": None, "here": 6}}
    (section,) = leaderboard(list(finished.records.values())).sections
    (note,) = [note for note in section.notes if "card" in note]
    assert f"{plans[0].id}: limit 6 (all), ensemble 1 (2), resolution 64 x 64 (512)" in note
    code, out, err = shell("leaderboard", "--runs", runs, "--where", "protocol=paper", "--json")
    assert code == 0, err
    assert {row["cells"][0]: row["deviates"] for row in json.loads(out)["sections"][0]["rows"]}[plans[1].id] == naive[
        "deviates"
    ]


def test_a_record_of_a_judge_alone_says_no_card(sd15, tmp_path, loaded):
    _, (plan,), finished = bench.run(bench.request(sd15, {"model": ["truth"]}), tmp_path / "runs", loaded)
    said = finished.records[plan.id].result["protocol"]
    assert said.keys() == {"name", "version", "settings", "hash"}
    assert said["hash"] == known(Ris(), "dots")["tabletop_ris"].hash
    assert plan.score.spec["protocol"] == {"name": "tabletop_ris", "settings": said["settings"]}, (
        "as keys had it before"
    )


def test_protocols_never_share_a_table_and_what_deviates_is_a_row_of_its_own(tmp_path):
    iou = [0.2, 0.4, 0.6, 0.8]
    settings = {"eval_size": 512}
    plain = {"name": "addp", "version": 1, "settings": settings}
    card = {**plain, "asks": {"steps": 100}, "hash": "h"}
    few = {**card, "deviates": {"steps": {"card": 100, "here": 20}}}
    other, later = {**card, "name": "lotus"}, {**card, "version": 2}
    shown = [
        results.record(tmp_path, iou, result_protocol=protocol, result_sampling_steps=steps)
        for protocol, steps in (
            (plain, 20),
            ({**plain, "hash": "h"}, 50),
            (card, 100),
            (few, 20),
            (other, 100),
            (later, 100),
        )
    ]
    sections = leaderboard(shown).sections
    cells = [{cell for row in section.rows for cell in row["cells"]} for section in sections]
    ids = [record.id for record in shown]
    expected = [{ids[0], ids[1]}, {ids[2], ids[3]}, {ids[4]}, {ids[5]}]
    assert sorted(map(sorted, cells)) == sorted(map(sorted, expected)), "records from before there were hashes fit too"
    both = next(section for section in sections if len(section.rows) == 2 and "asks" in str(section.notes))
    assert len([row for row in both.rows if row["deviates"]]) == 1


def test_list_and_show_tell_of_protocols(shell):
    code, out, _ = shell("list", "protocol", "--json")
    assert code == 0
    every = json.loads(out)["protocols"]
    assert {p["dataset"] for p in every if (p["task"], p["name"]) == ("depth", "marigold")} == set(DEPTH)
    code, out, _ = shell("show", "protocol", "marigold")
    assert code == 0
    assert f"on diode: version 1, hash {known(DepthTask(), 'diode')['marigold'].hash}" in out
    assert "asks for  split=val steps=50 ensemble=10 resolution=640" in out
    assert "clip_max=350.0" in out
    code, _, err = shell("show", "protocol", "marigld")
    assert code == 2
    assert "Did you mean 'marigold'" in err
    assert "hash" in shell("list", "protocol")[1]


def test_who_plans_a_card_is_told_what_is_not_as_it_asks(sd15, shell, tmp_path, rooms):
    asked = (
        "plan",
        "--task",
        "depth",
        "--dataset",
        f"nyuv2:path={rooms}",
        "--protocol",
        "marigold",
        "--runs",
        tmp_path,
    )
    code, _, err = shell(*asked, "--model", f"instruct_pix2pix:path={sd15}", "--steps", "20", "--device", "cpu")
    assert code == 0, err
    assert "warning: not as protocol marigold asks (in brackets): steps 20 (50), resolution 64 x 64 (the ph" in err
    code, _, err = shell(*asked, "--model", "constant", "--device", "cpu")
    assert code == 0
    assert "warning" not in err
