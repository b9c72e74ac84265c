"""Whole runs, on a random model of Stable Diffusion's shape and a dataset of coloured squares."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import bench
import numpy as np
import pytest
import torch

from addp_bench import training
from addp_bench.batches import Batch, Batches, Source
from addp_bench.cache import Latents
from addp_bench.ceiling import ceiling
from addp_bench.errors import BadRequest, StorageProblem
from addp_bench.hookspecs import hookimpl
from addp_bench.loading import load
from addp_bench.types import Budget
from addp_bench.work import Work

MAIN = {"weights": ["perception_stats"], "aug": ["linear"]}


@pytest.fixture(scope="module")
def main_job(sd15: Path, tmp_path_factory: pytest.TempPathFactory):
    """`run --task ris --weights perception_stats --aug linear`, in miniature."""
    runs = tmp_path_factory.mktemp("runs")
    return (runs, *bench.run(bench.request(sd15, MAIN), runs))


def test_the_main_job_trains_measures_trains_again_and_leaves_a_record(main_job):
    _, _, (plan,), finished = main_job
    assert not finished.failures
    kinds = [stage.kind for stage in plan.stages()]
    drawn = ["latents", "train", "latents", "predict", "contribution", "train", "latents", "predict"]
    assert kinds == [*drawn, "ceiling", "score"]
    record = finished.records[plan.id]
    result = record.result
    assert result["choices"]["target"]["name"] == "x0", "what --aug linear implies"
    assert [c["name"] for c in result["choices"]["corruption"]] == ["location", "shape", "color"]
    assert result["samples"] == {"asked": 6, "scored": 6, "failed": 0}
    assert sum(result["timestep_mass"]) == pytest.approx(1.0)
    assert result["timestep_mass"] == pytest.approx(result["contribution"]["group_probabilities"])
    assert result["curve"]["t"] == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert set(record.provenance["attempts"].values()) == {1}
    assert None not in record.provenance["seconds"].values()
    assert len(record.statistics.ids) == 6


def test_a_record_holds_the_ceiling_of_its_encoding_on_its_own_samples(main_job, sd15, tmp_path):
    _, _, (plan,), finished = main_job
    registry = bench.plans(bench.request(sd15, MAIN), tmp_path)[0].registry
    task, encoding, model = (registry.build(kind, plan.cell[kind]) for kind in ("task", "encoding", "model"))
    dataset = registry.build("dataset", plan.cell["dataset"])
    samples = dataset.samples(plan.cell.splits["eval"], "ris")
    evaluator = task.evaluator(plan.score.spec["protocol"]["settings"], ())
    measured = ceiling(samples, 6, task, encoding, model, evaluator, torch.device("cpu"), lambda *_: None)
    values = {m.id: float(m.value(measured.statistics.columns)) for m in evaluator.metrics}
    expected = {name: None if np.isnan(value) else value for name, value in values.items()}
    said = finished.records[plan.id].result["ceiling"]
    assert said == {"samples": 6, "metrics": pytest.approx(expected)}
    assert plan.ceiling.key not in str(plan.score.spec), "it is no part of the cell's key"


def test_a_finished_run_is_not_done_again(main_job, sd15):
    runs, _, (plan,), finished = main_job
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file()}
    _, _, again = bench.run(bench.request(sd15, MAIN), runs)
    assert again.computed == 0
    assert again.records[plan.id].body == finished.records[plan.id].body
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("file", ["record.json", "statistics.npz"])
def test_a_damaged_record_is_made_again_from_its_finished_stages(main_job, sd15, tmp_path, capsys, file):
    runs, _, (plan,), finished = main_job
    copied = shutil.copytree(runs, tmp_path / "runs")
    damaged = copied / "records" / plan.id / file
    damaged.write_bytes(damaged.read_bytes()[:-20])
    at, _, again = bench.run(bench.request(sd15, MAIN), copied)
    assert (again.computed, again.failures) == (0, {})
    assert again.records[plan.id].result == finished.records[plan.id].result
    assert len(again.records[plan.id].statistics.ids) == 6
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the record of {plan.id} is damaged and is made again" in told
    assert at.done(plan)


def test_a_record_of_another_cell_does_not_stand_for_this_one(main_job, sd15, tmp_path):
    runs, _, (plan,), _ = main_job
    copied = shutil.copytree(runs, tmp_path / "runs")
    file = copied / "records" / plan.id / "record.json"
    file.write_text(file.read_text().replace(f'"cell": "{plan.key}"', f'"cell": "{plan.key[:12] + "0" * 52}"'))
    loaded, _ = bench.plans(bench.request(sd15, MAIN), copied)
    at = bench.Bench(loaded.registry, loaded.hooks, copied, progress=bench.Progress(quiet=True))
    assert not at.done(plan)
    assert "another cell" in at.damage(plan)


def test_a_record_says_what_was_given_and_what_defaulted(main_job):
    *_, (plan,), finished = main_job
    options = finished.records[plan.id].provenance["options"]
    assert not options["given"].keys() & options["defaulted"].keys()
    assert options["given"] == {
        **{"task": "ris", "dataset": "dots", "model": "instruct_pix2pix", "weights": "perception_stats"},
        **{"aug": "linear", "model.path": plan.cell["model"].options["path"]},
        **{f"budget.{name}": value for name, value in bench.SMALL.items()},
    }
    filled = options["defaulted"]
    assert (filled["weights.groups"], filled["aug.intensity"], filled["budget"], filled["seed"]) == (
        10,
        1.0,
        "quick",
        0,
    )
    assert (filled["target"], filled["corruption"].split("+")[0][:8], filled["split"]) == ("x0", "location", "val")


def test_a_field_that_is_given_its_default_is_given(sd15, tmp_path):
    asked = bench.request(sd15, {"weights": ["uniform:scaling=prob"]}, given=frozenset({"seeds", "budget"}))
    options = bench.plans(asked, tmp_path)[1][0].cell.options
    assert {"weights.scaling", "seed", "budget"} <= options["given"].keys()
    assert options["given"]["budget"] == "quick"
    assert "read_at" in options["defaulted"]


def test_cells_share_their_source_and_its_statistics(main_job, sd15):
    runs, _, _, _ = main_job
    _, planned, finished = bench.run(bench.request(sd15, {**MAIN, "aug": ["none", "linear"], "target": ["x0"]}), runs)
    assert len(planned) == 2
    assert finished.computed == 3, "only train, predict and score of the cell without augmentation are new"
    uniform = bench.plans(bench.request(sd15, {"target": ["x0"]}), runs)[1][0]
    assert uniform.score.inputs[0].input("train").key == planned[1].stages()[1].key, "the uniform cell is the source"


def test_statistics_do_not_depend_on_how_the_evaluation_is_cut(sd15, tmp_path):
    def contribution(**overrides):
        planned = bench.plans(bench.request(sd15, MAIN, overrides=overrides), tmp_path)[1][0]
        return next(s.key for s in planned.stages() if s.kind == "contribution")

    assert contribution() == contribution(limit=3) == contribution(sampling_steps=20)
    assert contribution() != contribution(stats_samples=13)


def test_answers_do_not_depend_on_batch_size_or_on_how_many_are_judged(main_job, sd15):
    runs, at, (plan,), _ = main_job
    whole = _x0(at, plan)
    loaded = load([bench.DOTS])
    small, (few,), _ = bench.run(bench.request(sd15, MAIN, overrides={"limit": 5}), runs, loaded, batch=2)
    assert few.id != plan.id
    np.testing.assert_allclose(_x0(small, few), whole[:5], atol=1e-4)


def _x0(at, plan):
    predict = next(s for s in reversed(plan.stages()) if s.kind == "predict")
    return np.concatenate([np.load(p) for p in sorted(at.folder(predict).glob("x0-*.npy"))])


class Dies:
    """Stands for a process that is killed at a training step: what it raises is not caught as a cell's failure."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def addp_bench_train_step(self, cell, step, loss):
        if step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("axes", [{"aug": ["linear"]}, {"exposure": ["rollout:steps=2:share=0.5"], "target": ["x0"]}])
def test_an_interrupted_training_goes_on_and_makes_the_same_weights(sd15, tmp_path, monkeypatch, axes):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", float("inf"))
    monkeypatch.setattr(training, "LOG_EVERY", 2)
    asked = bench.request(sd15, axes, overrides={"train_steps": 9, "limit": 2})
    _, (plan,), quiet = bench.run(asked, tmp_path / "quiet")

    loaded = load([bench.DOTS])
    dying = Dies(6)
    loaded.hooks.register(dying)
    with pytest.raises(KeyboardInterrupt):
        bench.run(asked, tmp_path / "killed", loaded)
    steps: list[int] = []

    class Sees:
        @hookimpl
        def addp_bench_train_step(self, cell, step, loss):
            steps.append(step)

    loaded.hooks.unregister(dying)
    loaded.hooks.register(Sees())
    again, _, resumed = bench.run(asked, tmp_path / "killed", loaded)
    assert steps == [6, 8, 9], "it began after the checkpoint of step 4"
    train = next(s for s in plan.stages() if s.kind == "train")
    assert again.runs.attempts(train) == 2
    assert resumed.records[plan.id].result == quiet.records[plan.id].result
    one, other = (tmp_path / name / "stages" / train.name / "denoiser.safetensors" for name in ("quiet", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert not list((tmp_path / "killed" / "work").iterdir()), "nothing half-done is left"


def test_a_checkpoint_holds_what_a_network_counts_beside_its_parameters(sd15):
    """Batch normalisation's running statistics, in a plugin's network."""

    def trainer():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.BatchNorm2d(2))
        model = SimpleNamespace(network=network, weight_decay=0.0)
        draws = SimpleNamespace(parameters=list, state_dict=dict, load_state_dict=lambda s: None)
        recipe = SimpleNamespace(draws=draws, objective=SimpleNamespace())
        return training.Trainer(model, recipe, Budget("b", 2, 1, 1e-3, 0, None, None, 1, 0.9, 1), "fp32")

    one, other = trainer(), trainer()
    one.network(torch.randn(4, 2, 3, 3))
    assert not torch.equal(one.network[1].running_mean, other.network[1].running_mean)
    other.load(one.state())
    for name, tensor in one.weights().items():
        torch.testing.assert_close(other.weights()[name], tensor)


def test_a_sample_that_stands_in_a_batch_twice_draws_twice(sd15, tmp_path):
    loaded, ((small),) = bench.plans(bench.request(sd15, overrides={"train_samples": 3}), tmp_path)
    at, *_ = bench.run(bench.request(sd15, overrides={"train_samples": 3}), tmp_path, loaded)
    stage = small.score.inputs[0].input("train")
    work, cell = at.work, small.cell
    model = work.model(cell)
    latents = Latents.open(at.folder(stage.input("latents")))
    recipe = work.recipe(cell, model, None)
    source = Source(latents, None, work.build("task", cell), work.build("encoding", cell))
    batch = Batches([source], model, recipe, 7, 0, torch.device("cpu")).batch(0, [None])
    assert len({tuple(row.flatten().tolist()) for row in batch.eps}) == 7
    assert len(set(batch.t.tolist())) > 3


def test_a_cell_that_diverges_fails_alone(sd15, tmp_path, monkeypatch):
    asked = bench.request(sd15, {"weights": ["uniform", "diffusion"]})
    loaded, planned = bench.plans(asked, tmp_path)
    train = next(s for s in planned[0].stages() if s.kind == "train")
    at = bench.Bench(loaded.registry, loaded.hooks, tmp_path, progress=bench.Progress(quiet=True))
    real = Work._train

    def spoilt(self, stage, cell, folder):
        if stage.key == train.key:
            raise training.Diverged("the loss is nan after step 20")
        real(self, stage, cell, folder)

    monkeypatch.setattr(Work, "_train", spoilt)
    local = loaded.registry.build("executor", "local")
    stopped = at.run(planned, local, stop=True)
    assert (list(stopped.failures), list(stopped.records)) == ([planned[0].id], [])
    finished = at.run(planned, local)
    assert list(finished.failures) == [planned[0].id]
    assert isinstance(finished.failures[planned[0].id], training.Diverged)
    assert list(finished.records) == [planned[1].id]


class Watches:
    """Keeps the order of cells, and refuses those of one weighting."""

    def __init__(self, refused: str) -> None:
        self.refused, self.seen = refused, []

    @hookimpl
    def addp_bench_run_started(self, cell):
        self.seen.append(f"started {cell.name('weights')}")
        if cell.name("weights") == self.refused:
            raise RuntimeError("not this one")

    @hookimpl
    def addp_bench_run_finished(self, record):
        self.seen.append(f"finished {record['result']['choices']['weights']['name']}")


def test_a_hook_that_raises_fails_its_own_cell_and_each_cell_begins_in_its_turn(sd15, tmp_path):
    loaded = load([bench.DOTS])
    loaded.hooks.register(watches := Watches("last_group"))
    asked = bench.request(sd15, {"weights": ["last_group", "uniform", "diffusion"]})
    _, (first, *others), finished = bench.run(asked, tmp_path, loaded)
    expected = ["started last_group", "started uniform", "finished uniform", "started diffusion", "finished diffusion"]
    assert watches.seen == expected
    assert {id_: str(error) for id_, error in finished.failures.items()} == {first.id: "not this one"}
    assert list(finished.records) == [plan.id for plan in others]
    own = next(s for s in first.stages() if s.kind == "train")
    assert not (tmp_path / "stages" / own.name).exists(), "nothing is made for a cell that was not begun"


def test_a_stage_that_another_cell_needs_is_made_although_its_first_cell_was_refused(sd15, tmp_path):
    loaded = load([bench.DOTS])
    loaded.hooks.register(Watches("uniform"))
    asked = bench.request(sd15, {"weights": ["uniform", "perception_stats"], "target": ["x0"]})
    _, (uniform, stats), finished = bench.run(asked, tmp_path, loaded)
    assert list(finished.failures) == [uniform.id]
    assert list(finished.records) == [stats.id]


def test_a_learning_rate_that_breaks_the_network_is_said_so(sd15, tmp_path):
    asked = bench.request(sd15, overrides={"lr": 1e30, "train_steps": 4})
    _, (plan,), finished = bench.run(asked, tmp_path)
    assert isinstance(finished.failures[plan.id], training.Diverged)
    assert "--lr" in str(finished.failures[plan.id])


def test_statistics_from_a_file_and_from_a_cell_are_those_of_the_cell(main_job, sd15, tmp_path):
    runs, _, (plan,), finished = main_job
    file = tmp_path / "stats.json"
    file.write_text(json.dumps(finished.records[plan.id].result["contribution"]))
    asked = bench.request(sd15, {"weights": [f"perception_stats:from={file}"], "aug": ["linear"]})
    _, (from_file,), done = bench.run(asked, runs)
    assert [s.kind for s in from_file.stages()] == ["latents", "train", "latents", "predict", "ceiling", "score"]
    assert done.records[from_file.id].result["timestep_mass"] == finished.records[plan.id].result["timestep_mass"]
    whole = f"perception_stats:from={runs}/records/{plan.id}/record.json"
    (same,) = bench.plans(bench.request(sd15, {"weights": [whole], "aug": ["linear"]}), runs)[1]
    assert same.id == from_file.id, "the same statistics, in whatever file"

    source = bench.run(bench.request(sd15, {"target": ["x0"]}), runs)[1][0]
    asked = bench.request(sd15, {"weights": [f"perception_stats:from={source.id}"], "aug": ["linear"]})
    (from_cell,) = bench.plans(asked, runs)[1]
    mine, its = ([s.key for s in p.stages() if s.kind == "contribution"] for p in (plan, from_cell))
    assert mine == its


def test_statistics_from_a_cell_are_measured_as_that_cell_was_made(main_job, sd15):
    """Its own network, not its source's, read as it was taught to answer, whatever the new cell does."""
    runs, _, (plan,), _ = main_job
    asked = bench.request(sd15, {"weights": [f"perception_stats:from={plan.id}"], "target": ["epsilon"]})
    (new,) = bench.plans(asked, runs)[1]
    stage = next(s for s in new.stages() if s.kind == "contribution")
    assert stage.inputs[0].input("train").key == plan.score.inputs[0].input("train").key
    assert stage.context["cell"].name("target") == "x0"
    assert new.cell.name("target") == "epsilon"


def test_how_statistics_are_named_does_not_change_what_they_are(main_job, sd15):
    runs, _, (plan,), _ = main_job
    names = [f"perception_stats:from={name}" for name in (plan.id, plan.id[:8], f"cell:{plan.id}")]
    assert len({p.key for p in bench.plans(bench.request(sd15, {"weights": names}), runs)[1]}) == 1


def test_the_seed_of_the_evaluation_trains_nothing_anew(sd15, tmp_path):
    one, other = (bench.plans(bench.request(sd15, MAIN, sampling_seed=n), tmp_path)[1][0] for n in (0, 1))
    assert one.key != other.key
    assert one.score.inputs[0].input("train").key == other.score.inputs[0].input("train").key


def test_own_is_what_the_model_was_made_with(sd15, tmp_path):
    axes = {"noise": ["own"], "target": ["own"], "guidance": ["own"]}
    (plain,), (own,) = (bench.plans(bench.request(sd15, given), tmp_path)[1] for given in ({}, axes))
    assert own.key == plain.key
    resolution = bench.resolve(bench.request(sd15, {**axes, "aug": ["linear"]}), load([bench.DOTS]).registry)
    assert "draw the corrupted answer" in resolution.impossible[0][1]


def test_guidance_by_corrections_is_refused_before_anything_is_trained(sd15):
    resolution = bench.resolve(bench.request(sd15, {"guidance": ["correctional"]}), load([bench.DOTS]).registry)
    assert not resolution.cells
    assert "corrections" in resolution.impossible[0][1]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"precision": "fp16"}, "--precision fp16: expected fp32 or bf16"),
        ({"overrides": {"lr": -1.0}}, "--lr -1.0"),
        ({"overrides": {"limit": -3}}, "--limit -3: expected 1 or more"),
        ({"overrides": {"sampling_steps": 0}}, "--steps 0: expected 1 or more"),
        ({"overrides": {"ema": 1.5}}, "--ema 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused_wherever_they_were_written(sd15, tmp_path, given, words):
    with pytest.raises(BadRequest) as told:
        bench.plans(bench.request(sd15, **given), tmp_path)
    assert words in str(told.value)


def test_epsilon_with_corrupted_targets_is_refused_with_the_reason_unless_forced(sd15, tmp_path):
    loaded = load([bench.DOTS])
    axes = {"aug": ["linear"], "target": ["epsilon"]}
    resolution = bench.resolve(bench.request(sd15, axes), loaded.registry)
    assert not resolution.cells
    assert "draw the corrupted answer" in resolution.impossible[0][1]
    assert bench.resolve(bench.request(sd15, axes, force=True), loaded.registry).cells


def test_every_mistake_of_a_request_is_told_at_once(sd15, tmp_path):
    axes = {"weights": ["unifrom", "min_snr:gamma=x"], "aug": ["linear:intensty=2"]}
    with pytest.raises(BadRequest) as told:
        bench.plans(bench.request(sd15, axes), tmp_path)
    text = str(told.value)
    assert "Did you mean 'uniform'?" in text
    assert "Did you mean 'intensity'?" in text
    assert len(told.value.problems) == 3


def test_a_runs_folder_that_cannot_be_written_is_one_clear_error(sd15, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StorageProblem, match="runs"):
        bench.run(bench.request(sd15), blocked / "runs")


@pytest.mark.parametrize("axes", [{"aug": ["linear"]}, {"exposure": ["rollout:share=0.5"]}])
def test_a_training_step_and_a_sampling_step_run_on_the_meta_device(sd15, axes):
    """No hidden synchronisation and no stray device: values that do not exist cannot be waited for."""
    loaded = load([bench.DOTS])
    _, (plan,) = bench.plans(bench.request(sd15, {**axes, "target": ["x0"]}), Path("nowhere"), loaded)
    at = bench.Bench(loaded.registry, loaded.hooks, Path("nowhere"), progress=bench.Progress(quiet=True))
    model = at.work.build("model", plan.cell)
    recipe = at.work.recipe(plan.cell, model, None)
    model = model.to("meta")
    model.network.to("meta")

    def on_meta(*shape):
        return torch.empty(shape, device="meta")

    latent = on_meta(2, 4, 8, 8)
    t = torch.zeros(2, dtype=torch.int64, device="meta")
    text = on_meta(2, 77, 32)
    draws = getattr(recipe.exposure, "draws", 0)
    chance = on_meta(2, draws) if draws else None
    batch = Batch(latent, latent, latent, latent, t, on_meta(2), latent, text, chance=chance)
    training.loss_of(model, recipe, batch, 0).backward()
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in model.network.parameters())
