"""Whole probes, on photographs of three shades and a model of two layers, or one of Stable Diffusion's shape."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import numpy as np
import pytest

from addp_bench import probing
from addp_bench.errors import BadData, BadOption, BadRequest, UnknownName
from addp_bench.loading import load
from addp_bench.pictures.probe_charts import confused, tried
from addp_bench.resolve import resolve

SHADES = Path(__file__).with_name("shades.py")
PROBE = "probe:epochs=60:batch_size=8:lr=0.05:t=0+300"


@pytest.fixture(scope="module")
def loaded():
    return load([bench.DOTS, SHADES])


def asked(task=PROBE, axes=None, **given):
    overrides = {"limit": 12, "stats_samples": 15, **given.pop("overrides", {})}
    basic = {"task": task if isinstance(task, list) else [task], "dataset": ["shades"]}
    return bench.Request(axes={**basic, "model": ["prism"], **(axes or {})}, overrides=overrides, **given)


@pytest.fixture(scope="module")
def finished(loaded, tmp_path_factory):
    """A probe with a choice of layers and timesteps, and the naive rows."""
    runs = tmp_path_factory.mktemp("runs")
    models = ["prism", "constant", "random", "truth"]
    return (runs, *bench.run(asked(axes={"model": models}), runs, loaded))


def record_of(finished, model):
    _, _, plans, done = finished
    (found,) = [done.records[p.id] for p in plans if p.cell.name("model") == model]
    return found


def test_a_probe_reads_three_splits_and_leaves_a_record(finished):
    _, _, plans, done = finished
    assert not done.failures
    record, plan = record_of(finished, "prism"), plans[0]
    assert [stage.kind for stage in plan.stages()] == ["features", "features", "probe", "features", "score"]
    result = record.result
    assert (result["task"], list(result["metrics"])) == ("probe", ["top1", "alignment", "uniformity"])
    assert record.value("top1") == 1.0, "a shade is the mean of its photograph"
    assert 0 < record.value("alignment") < 4
    assert -8 < record.value("uniformity") < 0
    assert result["probe"]["classes"] == ["dark", "middle", "light"]
    assert len(tried(record)) == 4, "two layers at two timesteps"
    assert result["training"]["samples"] == 48
    assert result["training"]["steps"] == 60 * 6
    assert (result["training"]["batch_size"], result["training"]["lr"]) == (8, 0.05)
    assert result["choices"].keys() == {"task", "model", "transform"}, "nothing was drawn"
    assert (result["sampling_steps"], result["read_at"]) == (None, None)
    assert result["slices"]["class"]["dark"]["samples"] == 4
    assert set(record.provenance["attempts"].values()) == {1}
    best = max(tried(record), key=lambda one: one["accuracy"])
    assert {k: result["probe"][k] for k in ("layer", "t", "accuracy")} == {
        k: best[k] for k in ("layer", "t", "accuracy")
    }


def test_who_knows_nothing_stands_beside_it_and_only_truth_sees_the_truth(finished):
    constant, random, truth = (record_of(finished, name) for name in ("constant", "random", "truth"))
    assert constant.value("top1") == pytest.approx(1 / 3)
    assert 0 < random.value("top1") < 0.8
    assert truth.value("top1") == 1.0
    assert [r.result["uses_truth"] for r in (constant, random, truth)] == [[], [], ["model"]]
    assert constant.result["choices"]["task"] == {"name": "probe", "options": {}}
    assert constant.value("alignment") is None
    assert constant.result["metrics"]["uniformity"]["reason"]


def test_axes_that_mean_nothing_to_a_probe_make_no_cells(loaded):
    axes = {
        "weights": ["uniform", "min_snr"], "aug": ["none", "linear"], "target": ["x0", "epsilon"],
        "sampler": ["ddim", "ddpm"], "guidance": ["none"], "encoding": ["red_mask"], "noise": ["own", "cosine"],
    }  # fmt: skip
    found = resolve(asked(axes=axes, overrides={"train_steps": 7, "sampling_steps": 3}), loaded.registry)
    (cell,) = found.cells
    assert not found.impossible
    assert cell.choices.keys() == {"task", "dataset", "model"}
    given = cell.options["given"]
    assert not {"weights", "aug", "sampler", "budget.train_steps"} & given.keys()
    assert {"task", "task.t", "budget.limit"} <= given.keys()


def test_options_that_mean_nothing_to_a_naive_model_make_no_cells(loaded):
    tasks = ["probe:layer=out_1", "probe:layer=out_2", "probe:of=random"]
    found = resolve(asked(tasks, axes={"model": ["constant"]}), loaded.registry)
    (cell,) = found.cells
    assert cell["task"].options["of"] == "published"


def test_seeds_and_the_number_of_samples_do_matter(loaded, tmp_path):
    def key(**given):
        return bench.plans(asked(**given), tmp_path, loaded)[1][0].key

    plain = key()
    assert plain == key(overrides={"batch_size": 99, "ema": 0.5}), "those are the denoiser's"
    others = [
        key(seeds=(1,)), key(sampling_seed=1), key(precision="bf16"), key(overrides={"train_samples": 9}),
        key(overrides={"stats_samples": 9}), key(task="probe:of=random"), key(task="probe:image=photo"),
        key(task="probe:layer=out_1:t=0"), key(task="probe:draws=3"), key(transform=("flip",)), key(split="stats"),
    ]  # fmt: skip
    assert len({plain, *others}) == 12


def test_a_model_folder_is_read_layer_by_layer(sd15, loaded, tmp_path):
    model = f"instruct_pix2pix:path={sd15}"
    _, (plan,), done = bench.run(asked("probe:epochs=1:t=0", {"model": [model]}), tmp_path, loaded)
    record = done.records[plan.id]
    assert [one["layer"] for one in tried(record)] == ["out_1", "out_2", "out_3", "out_4"]
    assert 0 <= record.value("top1") <= 1


def test_probes_that_differ_in_the_head_alone_share_their_features(finished, loaded):
    runs, *_ = finished
    head = "probe:epochs=5:batch_size=8:lr=0.05:t=0+300:layer=out_2+out_1"
    _, _, again = bench.run(asked(head), runs, loaded)
    assert not again.failures
    assert again.computed == 2, "the head and its score"


def test_one_layer_at_one_timestep_leaves_nothing_to_choose(finished, loaded):
    runs, *_ = finished
    _, (plan,), done = bench.run(asked("probe:layer=out_2:t=300:epochs=3"), runs, loaded)
    assert [stage.spec["data"]["split"] for stage in plan.stages() if stage.kind == "features"] == ["train", "val"]
    record = done.records[plan.id]
    assert (record.result["probe"]["layer"], record.result["probe"]["t"]) == ("out_2", 300)
    assert tried(record) == []


def test_shuffled_classes_are_read_by_chance(loaded, tmp_path):
    shuffled = asked(axes={"dataset": ["shades:told=others"]})
    _, (plan,), done = bench.run(shuffled, tmp_path, loaded)
    assert done.records[plan.id].value("top1") < 0.75


def test_a_random_network_is_another_network_for_every_seed(finished, loaded):
    runs, *_ = finished
    task = "probe:of=random:layer=out_2:t=0"
    at, plans, done = bench.run(asked(task, seeds=(0, 1)), runs, loaded)
    assert not done.failures
    folders = [at.folder(plan.score.inputs[1]) for plan in plans]
    made = [probing.Features.open(folder).at(0, "out_2") for folder in folders]
    assert not np.allclose(*made, atol=1e-3)
    assert {r.result["choices"]["task"]["options"]["of"] for r in done.records.values()} == {"random"}


def test_a_finished_cell_is_read_as_it_was_fine_tuned(finished, loaded):
    runs, at, plans, _ = finished
    tuned = bench.request(bench.DOTS, {"model": ["prism"]}, overrides={"lr": 0.01, "train_steps": 20, "ema": 0.0})
    _, (source,), drawn = bench.run(tuned, runs, loaded)
    assert not drawn.failures
    task = f"probe:of={source.id[:9]}:epochs=60:batch_size=8:lr=0.05:t=0+300"
    _, (plan,), done = bench.run(asked(task), runs, loaded)
    assert not done.failures
    record = done.records[plan.id]
    assert record.result["choices"]["task"]["options"]["of"] == source.id, "its whole id, however it was called"
    ours, published = (p.score.inputs[1] for p in (plan, plans[0]))
    read = [probing.Features.open(at.folder(stage)).at(300, "out_1") for stage in (ours, published)]
    assert not np.allclose(*read, atol=1e-4)
    assert not ours.shared, "it cannot be made again without the cell, so it is no cache"
    assert published.shared
    tuned_stage = next(stage for stage in source.stages() if stage.kind == "train")
    assert ours.spec["network"] == tuned_stage.key
    with pytest.raises(BadOption, match=f"cell {plan.id} trained nothing, so no features can be read from it"):
        bench.plans(asked(f"probe:of={plan.id}"), runs, loaded)
    with pytest.raises(BadOption, match=r"trained prism of fingerprint .* and --model is tiny"):
        bench.plans(asked(task, axes={"model": ["tiny"]}), runs, loaded)


@pytest.mark.parametrize(
    "task, kind, words",
    [
        ("probe:layer=out_9", UnknownName, "no layer of model prism is called 'out_9'.*Known: out_1, out_2"),
        ("probe:t=1000", BadOption, "t=1000: the schedule has timesteps 0 to 999"),
        ("probe:t=-1", BadOption, "t=-1: the schedule"),
        ("probe:of=abcdef", UnknownName, "no cell is called 'abcdef'"),
    ],
)
def test_what_would_be_found_wrong_after_the_work_is_refused_before(loaded, tmp_path, task, kind, words):
    with pytest.raises(kind, match=words):
        bench.plans(asked(task), tmp_path, loaded)


def test_weights_that_are_measured_have_nothing_to_be_measured_on(loaded):
    found = resolve(asked(axes={"weights": ["perception_stats"]}), loaded.registry)
    assert not found.cells
    ((_, why),) = found.impossible
    assert "perception_stats are measured on the quality of answers, and task probe has none: it reads features" in why


def test_a_model_without_features_is_impossible(loaded):
    point = load([SHADES, Path(__file__).with_name("point.py")])
    found = resolve(asked(axes={"model": ["point"]}), point.registry)
    ((_, why),) = found.impossible
    assert why == "task probe reads features, and model point has none that can be read (`features`)"


def test_training_on_what_is_judged_or_chosen_on_is_refused(loaded):
    for split, use in (("val", "which is judged"), ("stats", "what layer and t of task probe are chosen on")):
        with pytest.raises(BadRequest, match=use):
            resolve(asked(train_split=split), loaded.registry)
    (cell,) = resolve(asked("probe:layer=out_1:t=0", train_split="stats"), loaded.registry).cells
    assert cell.splits["train"] == "stats", "nothing is chosen there"


def test_a_class_that_its_split_does_not_name_is_refused_with_the_sample(tmp_path):
    plugin = tmp_path / "shades.py"
    plugin.write_text(SHADES.read_text().replace("return ShadeSamples(", "return Short(") + SHORT)
    _, (plan,), done = bench.run(asked(), tmp_path / "runs", load([plugin]))
    assert isinstance(done.failures[plan.id], BadData)
    assert "sample shades/train/2: its class is 2, and its split names 2 classes" in str(done.failures[plan.id])


SHORT = """

class Short(ShadeSamples):
    vocabulary = NAMES[:2]
"""


def test_a_killed_run_goes_on_after_the_shards_it_finished(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "SHARD", 8)
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "quiet home"))
    _, (plan,), quiet = bench.run(asked(), tmp_path / "quiet", loaded)
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))
    pooled, passes = probing._pooled, []

    def dies(seen, how):
        if len(passes) == 3:
            raise KeyboardInterrupt
        passes.append(seen[0].id)
        return pooled(seen, how)

    monkeypatch.setattr(probing, "_pooled", dies)
    with pytest.raises(KeyboardInterrupt):
        bench.run(asked(), tmp_path / "killed", loaded)
    later = []
    monkeypatch.setattr(probing, "_pooled", lambda seen, how: later.append(seen[0].id) or pooled(seen, how))
    at, _, done = bench.run(asked(), tmp_path / "killed", loaded)
    assert passes == [f"shades/train/{i}" for i in (0, 8, 16)]
    assert later[:3] == [f"shades/train/{i}" for i in (24, 32, 40)]
    assert done.records[plan.id].result == quiet.records[plan.id].result
    assert at.shared.attempts(plan.stages()[0]) == 2


def test_batches_change_no_answer(finished, loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))
    _, (plan,), done = bench.run(asked(), tmp_path / "runs", loaded, batch=5)
    ours, theirs = done.records[plan.id], record_of(finished, "prism")
    assert ours.id == theirs.id
    for name, column in theirs.statistics.columns.items():
        np.testing.assert_allclose(ours.statistics.columns[name], column, atol=1e-4)
    assert ours.result["probe"]["layer"] == theirs.result["probe"]["layer"]


def test_a_probe_of_other_classes_is_not_judged(tmp_path):
    plugin = tmp_path / "shades.py"
    renamed = (
        SHADES.read_text().replace('"light")', '"bright")').replace('"shades"', '"tones"').replace('"prism"', '"lens"')
    )
    plugin.write_text(renamed.replace("shades/", "tones/").replace("shades-1", "tones-1"))
    both = load([SHADES, plugin])
    _, (plan,), done = bench.run(asked(trained_on="tones"), tmp_path / "runs", both)
    assert isinstance(done.failures[plan.id], BadData)
    assert "the probe was trained on 3 classes (dark, middle, bright, ...)" in str(done.failures[plan.id])


# ------------------------------------------------------------------------------------------------ the commands


def test_plan_view_why_and_leaderboard_know_probes(finished, shell, tmp_path):
    runs, *_ = finished
    record = record_of(finished, "prism")
    common = ("--plugin", SHADES, "--plugin", bench.DOTS, "--runs", runs)
    code, out, err = shell(
        "plan", "--task", PROBE, "--dataset", "shades", "--model", "prism",
        "--model", "constant", "--limit", 12, "--stats-samples", 15, *common,
    )  # fmt: skip
    assert code == 0, err
    assert "2 done, 0 to do" in out
    code, out, err = shell("view", record.id, "--out", tmp_path / "sheet.png", *common)
    assert code == 0, err
    assert "accuracy on stats" in out
    assert f"read: {record.result['probe']['layer']} at t = {record.result['probe']['t']}" in out
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    naive = record_of(finished, "constant")
    assert shell("view", naive.id, "--out", tmp_path / "naive.png", *common)[0] == 0
    code, out, err = shell("why", record.id, *common)
    assert code == 0, err
    code, out, err = shell("leaderboard", "--task", "probe", "--group-by", "class", "--runs", runs)
    assert code == 0, err
    assert "constant" in out
    code, out, err = shell("leaderboard", "--task", "probe", "--json", "--runs", runs)
    rows = [row for section in json.loads(out)["sections"] for row in section["rows"]]
    (row,) = [row for row in rows if record.id in row["cells"]]
    assert row["about"] == "checkpoint", "a head was trained, with one seed"
    code, out, err = shell("predict", "--cell", record.id, "--image", bench.DOTS.parent / "none.png", "--out", "x.png")
    assert code == 2


def test_confusions_are_counted_by_class(finished):
    record = record_of(finished, "prism")
    assert confused(record) == [], "every answer is right"
    statistics = record.statistics
    wrong = np.where(np.arange(12) % 3 == 0, 2.0, statistics.columns["truth"])
    columns = {**statistics.columns, "predicted": np.where(np.arange(12) == 3, 1.0, wrong)}

    class Edited:
        result = record.result
        statistics = type(record.statistics)(record.statistics.ids, record.statistics.image_ids, columns)

    assert confused(Edited()) == [("dark", "light", 3, 4), ("dark", "middle", 1, 4)]
