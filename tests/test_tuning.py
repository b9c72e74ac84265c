"""Thresholds chosen on a split that is not judged: what is tried and taken, where it counts, and what is refused."""

from __future__ import annotations

import json
import math

import bench
import numpy as np
import pytest
import torch

from addp_bench.errors import BadRequest, Degenerate
from addp_bench.evaluation import Answer, Drawn, answers
from addp_bench.loading import load
from addp_bench.pictures.charts import charts_of
from addp_bench.plugins.encodings import BinaryMask, RedMask, SolidMask
from addp_bench.plugins.encodings_labels import ClassMask, Palette
from addp_bench.plugins.encodings_transparent import TransparentMask
from addp_bench.reopen import Reopened
from addp_bench.resolve import resolve
from addp_bench.results.selection import rows_of
from addp_bench.specfile import read
from addp_bench.tasks.depth import DepthTask
from addp_bench.tasks.ris import Ris
from addp_bench.tuning import candidates, chosen
from addp_bench.types import Sample, Sweep

SIDE = 24
NAMES = ("background", "cone", "cube")


# ------------------------------------------------------------------------------------------------ what is read


def _made(encoding, value, **options):
    return type(encoding)(**{**options, encoding.sweep.option: value})


@pytest.mark.parametrize(
    "encoding, options",
    [
        (RedMask(), {}),
        (RedMask(change=60.0), {"change": 60.0}),
        (SolidMask("blue", 30.0), {"color": "blue"}),
        (BinaryMask(), {}),
        (BinaryMask(reads="red"), {"reads": "red"}),
        (TransparentMask(), {}),
        (TransparentMask(alpha=0.2, contrast=90.0), {"alpha": 0.2, "contrast": 90.0}),
        (Palette(), {}),
        (Palette(distance="square"), {"distance": "square"}),
        (ClassMask(), {}),
        (ClassMask("solid"), {"drawing": "solid"}),
    ],
    ids=lambda made: type(made).__name__ if not isinstance(made, dict) else "-".join(made),
)
def test_a_sweep_reads_as_decoders_that_were_made_with_each_value(encoding, options):
    photo = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    queries = encoding.queries(Sample("a", "a", photo, None, "the cup"), NAMES)
    whole = np.random.default_rng(0).integers(0, 256, (len(queries), 3, SIDE, SIDE))
    whole[..., :12] = np.clip(
        [[[255]], [[0]], [[0]]] + whole[..., :12] // 8 * [[[-1]], [[1]], [[1]]], 0, 255
    )  # near red
    drawings = torch.from_numpy(whole).float() / 127.5 - 1
    image = torch.from_numpy(photo).permute(2, 0, 1).float() / 127.5 - 1
    values = candidates(encoding.sweep)
    read = encoding.decode_swept(drawings, image, queries, values)
    one_by_one = [_made(encoding, value, **options).decode(drawings, image, queries) for value in values]
    assert len(read) == len(values) > 15
    assert all(torch.equal(a, b) for a, b in zip(read, one_by_one))
    assert len({a.numpy().tobytes() for a in one_by_one}) > 5, "the values make a difference here"
    own = encoding.decode(drawings, image, queries)
    assert torch.equal(own, read[values.index(encoding.sweep.own)])


def test_the_edge_of_a_radius_belongs_to_it_in_a_sweep_too():
    rgb = torch.tensor([[255, 0, 0], [205, 0, 0], [204, 0, 0], [255, 30, 40], [255, 36, 36]]).T.view(1, 3, 1, 5)
    masks = RedMask().decode_swept(rgb.float() / 127.5 - 1, torch.zeros(3, 1, 5), [], [0.0, 49.9, 50.0, 51.0])
    assert masks[:, 0].int().tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 1, 1]]
    grey = torch.tensor([126.0, 127.0, 128.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3) / 127.5 - 1
    assert BinaryMask().decode_swept(grey, None, [], [126.0, 127.0])[:, 0].int().tolist() == [[0, 1, 1], [0, 0, 1]]


def test_a_palette_that_rejects_nothing_and_one_that_was_not_told_are_one():
    assert Palette().sweep == Sweep("ignore_radius", 765.0, Palette().sweep.values)
    assert Palette(distance="square", ignore_radius=40).sweep.own == 40
    assert math.sqrt(3) * 255 <= max(Palette(distance="square").sweep.values) == 442
    assert ClassMask().sweep == BinaryMask().sweep
    assert ClassMask("solid", radius=33.0).sweep.own == 33
    assert candidates(Sweep("radius", 33.0, (10, 50))) == [10.0, 33.0, 50.0]


# ------------------------------------------------------------------------------------------------ what is taken


def found(*samples):
    """Answers of samples (truth, predictions) as `evaluation.answers` gives them."""
    for i, (truth, predictions) in enumerate(samples):
        truth = np.asarray(truth)
        sample = Sample(str(i), str(i), np.zeros((*truth.shape, 3), np.uint8), truth)
        yield Answer(sample, [predictions])


def masks(*rows):
    return [np.array([row], bool) for row in rows]


def test_the_best_value_over_all_samples_is_taken_by_the_headline():
    judge = Ris().evaluator(Ris().protocols()["tabletop_ris"])
    true = np.array([[1, 1, 0, 0]], bool)
    other = np.array([[1, 0, 0, 0]], bool)
    tuned = chosen(
        found(
            (true, masks([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1])), (other, masks([1, 0, 0, 0], [1, 1, 1, 0], [1] * 4))
        ),
        judge,
        Sweep("radius", 20.0, (10, 20, 30)),
    )
    assert tuned.curve == pytest.approx([2 / 3, 3 / 5, 3 / 8])  # oIoU: intersections and unions of both
    assert (tuned.value, tuned.option, tuned.metric, tuned.samples) == (10.0, "radius", "oiou", 2)
    assert tuned.plain("stats")["values"] == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("own, taken", [(20.0, 20.0), (25.0, 20.0), (26.0, 30.0), (5.0, 10.0), (99.0, 30.0)])
def test_of_equals_the_nearest_to_the_encodings_own_is_taken(own, taken):
    judge = Ris().evaluator(Ris().protocols()["tabletop_ris"])
    values = sorted({10.0, 20.0, 30.0, own})
    right = np.array([[1, 0]], bool)
    answered = [right if v in (10, 20, 30) else ~right for v in values]
    assert chosen(found((right, answered)), judge, Sweep("radius", own, (10, 20, 30))).value == taken


def test_where_less_is_better_the_least_is_taken_and_what_has_no_value_never():
    judge = DepthTask().evaluator(DepthTask().protocols()["tabletop_depth_metric"])
    true = np.full((2, 2), 2.0, np.float32)
    sweep = Sweep("x", 1.0, (1, 2, 3))
    tuned = chosen(found((true, [true * 1.5, true * 1.1, true * 1.2])), judge, sweep)
    assert (tuned.value, tuned.metric) == (2.0, "absrel")
    with pytest.raises(Degenerate, match=r"x cannot be chosen: AbsRel has no value on the 1 samples"):
        chosen(found((true * 0, [true] * 3)), judge, sweep)


# ------------------------------------------------------------------------------------------------ in a run


@pytest.fixture(scope="module")
def loaded():
    return load([bench.DOTS])


@pytest.fixture(scope="module")
def tuned(sd15, tmp_path_factory, loaded):
    """A cell of two answers, without and with a threshold that is chosen: (runs, plan, record) of each."""
    runs = tmp_path_factory.mktemp("runs")
    axes = {"encoding": ["red_mask:radius=30"]}
    results = []
    for given in ({}, {"tune_on": "stats", "read_at": "t=299"}):
        at, (plan,), finished = bench.run(bench.request(sd15, axes, ensemble=2, **given), runs, loaded)
        assert not finished.failures
        results.append((at, plan, finished.records[plan.id], finished.computed))
    return results


def test_nothing_but_answers_on_the_tuning_split_is_computed_anew(tuned):
    (_, plain, without, _), (_, plan, record, computed) = tuned
    assert computed == 3, "latents and answers of the tuning split, and the score"
    assert [s.key for s in plan.score.inputs[:2]] == [s.key for s in plain.score.inputs]
    assert plan.score.spec["tuning"] == plan.score.inputs[2].key
    assert plan.score.inputs[2].input("latents").spec["data"]["split"] == "stats"
    assert "tuning" not in plain.score.spec.keys() | without.result.keys()
    assert without.result["choices"] == record.result["choices"], "what was trained is the same"


def test_the_value_is_the_best_of_the_tuning_split_at_the_step_that_is_read_of_one_answer(tuned):
    _, (at, plan, record, _) = tuned
    said = record.result["tuning"]
    work, cell = at.work, plan.cell
    samples, _ = work.samples(cell, "stats", None)
    judge = work.build("task", cell).evaluator(record.result["protocol"]["settings"])
    drawn = Drawn.open(at.folder(plan.score.inputs[2]))
    curve = []
    for value in said["values"]:
        step = drawn.timesteps.index(299)
        said_at = answers(drawn, samples, RedMask(value), work.model(cell), at.device, judge.drawing_size)
        rows = [judge.statistics(answer.sample, answer.predictions[step]) for answer in said_at]
        curve.append(sum(r["intersection"] for r in rows) / sum(r["union"] for r in rows))
    assert said["curve"] == pytest.approx(curve)
    assert len(set(curve)) > 3
    assert said["value"] == said["values"][int(np.argmax(curve))] != said["own"] == 30.0
    assert (said["split"], said["samples"], said["option"], said["metric"]) == ("stats", 12, "radius", "oiou")


def test_the_judged_split_is_read_with_what_was_taken_and_so_are_pictures_and_new_answers(tuned, sd15, loaded):
    _, (at, _, record, _) = tuned
    value = record.result["tuning"]["value"]
    asked = bench.request(sd15, {"encoding": [f"red_mask:radius={value:g}"]}, ensemble=2, read_at="t=299")
    _, (plain,), finished = bench.run(asked, at.runs.root, loaded)
    by_hand = finished.records[plain.id]
    for name, column in by_hand.statistics.columns.items():
        assert np.array_equal(column, record.statistics.columns[name], equal_nan=True), name
    first = str(record.statistics.ids[0])
    here, there = Reopened(record, at), Reopened(by_hand, at)
    (one,), (other,) = here.pictures([first]), there.pictures([first])
    assert np.array_equal(one["prediction"], other["prediction"])
    masks = [cell.answer(one["photo"], one["text"])[1] for cell in (here, there)]
    assert torch.equal(torch.as_tensor(masks[0]), torch.as_tensor(masks[1]))


def test_tables_tell_tuned_rows_apart_and_views_draw_the_curve(tuned, shell):
    (at, _, without, _), (_, _, record, _) = tuned
    assert len(rows_of([without, record])) == 2
    code, out, _ = shell("leaderboard", "--runs", at.runs.root, "--where", "tuned_on=stats", "--json")
    assert code == 0
    assert [row["cells"] for s in json.loads(out)["sections"] for row in s["rows"]] == [[record.id]]
    assert rows_of([record])[0].axes["read at"][0]["name"] == "t=299, radius tuned on 12 of stats"
    assert len(charts_of(record)) == len(charts_of(without)) + 1
    code, out, err = shell("view", record.id, "--runs", at.runs.root, "--plugin", bench.DOTS, "--each", 1)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.endswith("taken")]
    assert line.split()[0] == f"{record.result['tuning']['value']:g}"


def test_a_seed_may_take_another_value_and_is_still_a_seed_of_the_row(tuned):
    _, (_, _, record, _) = tuned
    result = {**record.result, "seed": 1, "tuning": {**record.result["tuning"], "value": 5.0}}
    other = type(record)({**record.body, "result": result}, record.folder)
    assert len(rows_of([record, other])) == 1
    elsewhere = {**result, "tuning": {**result["tuning"], "split": "train"}}
    assert len(rows_of([record, type(record)({**record.body, "result": elsewhere}, record.folder)])) == 2


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "given, words",
    [
        (
            {"tune_on": "val"},
            "--tune-on val: 6 of the 6 photographs it chooses on are in split val, which is judged, and no",
        ),
        ({"tune_on": "stats", "split": "stats"}, "are in split stats, which is judged"),
        ({"tune_on": "val", "force": True}, "nothing is chosen on what it is judged on"),
        (
            {"read_at": "best_on_stats", "split": "stats"},
            "--read-at best_on_stats: 7 of the 7 photographs it chooses on",
        ),
        ({"tune_on": "stat"}, "no split of dots is called 'stat'. Did you mean 'stats'"),
    ],
)
def test_a_threshold_is_never_chosen_on_what_is_judged(sd15, loaded, given, words):
    with pytest.raises(BadRequest, match=words):
        resolve(bench.request(sd15, **given), loaded.registry)


def test_where_nothing_could_be_chosen_a_cell_is_impossible_and_predictors_do_not_care(sd15, loaded, tmp_path):
    asked = bench.request(sd15, {"task": ["detection"], "dataset": ["tabletop"]}, tune_on="stats")
    ((_, why),) = resolve(asked, loaded.registry).impossible
    assert "--tune-on stats: encoding box_fill" in why
    assert "is read by no threshold" in why
    (cell,) = resolve(bench.request(sd15, {"model": ["truth"]}, tune_on="val"), loaded.registry).cells
    assert "tune" not in cell.splits
    (tmp_path / "s.yaml").write_text("train: {tasks: {ris: {}}}\neval: [{tune_on: stats}, {}]")
    assert [request.tune_on for request in read(tmp_path / "s.yaml", {})] == ["stats", None]
