"""What makes two cells one, and two records one row: everything that can change a result, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import bench
import pytest
from safetensors.torch import load_file, save_file

from addp_bench import facts
from addp_bench import keys as key_parts
from addp_bench.contribution import representatives
from addp_bench.errors import BadRequest
from addp_bench.evaluation import recorded
from addp_bench.loading import load
from addp_bench.resolve import resolve
from addp_bench.results.selection import rows_of
from addp_bench.results.tables import leaderboard
from addp_bench.spec import Choice

PREDICTOR = """
import numpy as np
from pathlib import Path
from addp_bench.hookspecs import hookimpl

class FromFile:
    \"\"\"Everything or nothing, as a file says.

    path: the file.
    \"\"\"
    denoises = False
    uses_truth = False

    def __init__(self, path: str) -> None:
        self.all = Path(path).read_text() == "all"

    def predict(self, sample, task, generator):
        return np.full(sample.image.shape[:2], self.all)

class Table:
    \"\"\"Weights from a file.

    path: the file.
    \"\"\"
    needs_contribution = False

    def __init__(self, path: str) -> None:
        self.values = np.loadtxt(path)

    def bind(self, noise, target, contribution):
        from addp_bench.timesteps import VectorDraws, spread
        return VectorDraws("table", spread(self.values, noise.steps), "probability", "prob", noise, target)

@hookimpl
def addp_bench_register(registry):
    registry.add("model", "from_file", FromFile)
    registry.add("weights", "table", Table)
"""


@pytest.fixture
def loaded(tmp_path: Path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PREDICTOR)
    return load([bench.DOTS, plugin])


@pytest.fixture(scope="module")
def other(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model folder with one weight changed."""
    folder = shutil.copytree(sd15, tmp_path_factory.mktemp("models") / "other")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_in.bias"] = weights["conv_in.bias"] + 1
    save_file(weights, file)
    return folder


def records(asked, runs, loaded):
    return list(bench.run(asked, runs, loaded)[2].records.values())


def test_two_models_of_one_name_are_two_rows_and_told_apart(sd15, other, tmp_path, loaded):
    found = [r for m in (sd15, other) for r in records(bench.request(m), tmp_path / "runs", loaded)]
    assert len(rows_of(found)) == 2
    shown = leaderboard(found).sections[0].rows
    names = {row["choices"]["model"] for row in shown}
    assert len(names) == 2
    assert all("instruct_pix2pix:fingerprint=" in name for name in names)
    moved = shutil.copytree(sd15, tmp_path / "elsewhere")
    assert bench.plans(bench.request(moved), tmp_path / "runs", loaded)[1][0].id == found[0].id


@pytest.mark.parametrize(
    "one, two",
    [
        ({}, {"sampling_seed": 1}),
        ({}, {"axes": {"task": ["ris:no_target=0"]}}),
        (
            {"axes": {"weights": ["perception_stats"]}},
            {"axes": {"weights": ["perception_stats"]}, "overrides": {"stats_samples": 13}},
        ),
        ({"axes": {"weights": ["perception_stats"]}}, {"axes": {"weights": ["perception_stats:from=FILE"]}}),
    ],
)
def test_cells_that_differ_are_rows_that_differ_and_seeds_are_not(sd15, tmp_path, loaded, one, two):
    measured = {"contribution": None}

    def made(given, **more):
        given = {**given, **more}
        axes = {k: [v.replace("FILE", str(tmp_path / "s.json")) for v in vs] for k, vs in given.get("axes", {}).items()}
        asked = bench.request(sd15, **{**given, "axes": axes})
        found = records(asked, tmp_path / "runs", loaded)
        measured["contribution"] = found[0].result["contribution"]
        if measured["contribution"]:
            (tmp_path / "s.json").write_text(json.dumps(measured["contribution"]))
        return found

    found = [*made(one), *made(two)]
    assert len({r.id for r in found}) == 2
    assert len(rows_of(found)) == 2
    assert len(rows_of([*found, *made(one, seeds=(1,))])) == 2


def test_a_predictor_is_known_by_what_is_in_its_file(sd15, tmp_path, loaded):
    a, b, c = (tmp_path / name for name in "abc")
    for file, said in ((a, "all"), (b, "nothing"), (c, "all")):
        file.write_text(said)
    asked = bench.request(sd15, {"model": [f"from_file:path={file}" for file in (a, b, c)]})
    _, plans, finished = bench.run(asked, tmp_path / "runs", loaded)
    first, second, third = plans
    assert first.id == third.id != second.id
    values = [finished.records[p.id].value("miou") for p in (first, second)]
    assert values[0] > values[1] == 0.0
    assert str(tmp_path) not in json.dumps(finished.records[first.id].result)


def test_files_that_other_plugins_read_count_by_their_content(sd15, tmp_path, loaded):
    even, late = tmp_path / "even.txt", tmp_path / "late.txt"
    even.write_text("1 1 1 1 1")
    late.write_text("1 1 1 1 9")
    asked = bench.request(sd15, {"weights": [f"table:path={file}" for file in (even, late)]})
    before = [plan.id for plan in bench.plans(asked, tmp_path, loaded)[1]]
    assert len(set(before)) == 2
    late.write_text("9 1 1 1 1")
    after = [plan.id for plan in bench.plans(asked, tmp_path, loaded)[1]]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    "module, weights",
    [("randomness", "uniform"), ("work", "uniform"), ("contribution", "perception_stats")],
)
def test_code_that_decides_a_result_is_part_of_its_key(sd15, tmp_path, loaded, monkeypatch, module, weights):
    def keys():
        trained = bench.plans(bench.request(sd15, {"weights": [weights]}), tmp_path, loaded)[1][0].key
        naive = bench.plans(bench.request(sd15, {"model": ["random"]}), tmp_path, loaded)[1][0].key
        return trained, naive

    before, real = keys(), key_parts.source_digest
    monkeypatch.setattr(key_parts, "source_digest", lambda file: "0" if file.stem == module else real(file))
    after = keys()
    assert after[0] != before[0]
    assert (after[1] != before[1]) is (module in ("randomness", "work")), "the score of a predictor is made by `work`"


def test_the_code_of_a_dataset_is_part_of_a_predictors_key(sd15, tmp_path, loaded, monkeypatch):
    asked = bench.request(sd15, {"model": ["truth"]})
    before = bench.plans(asked, tmp_path, loaded)[1][0].key
    real = facts.plugin_digest
    monkeypatch.setattr(facts, "plugin_digest", lambda file: "0" if file.name == "dots.py" else real(file))
    assert bench.plans(asked, tmp_path, loaded)[1][0].key != before


def test_a_cure_that_acts_in_sampling_alone_trains_nothing_anew(sd15, tmp_path, loaded):
    cures = ["none", "epsilon_scaling:b=1.005", "epsilon_scaling:b=1.01", "input_perturbation"]
    plans = bench.plans(bench.request(sd15, {"exposure": cures}), tmp_path, loaded)[1]
    trained = [plan.score.inputs[0].input("train").key for plan in plans]
    assert len({plan.key for plan in plans}) == 4
    assert trained[0] == trained[1] == trained[2] != trained[3]


def test_statistics_have_as_many_groups_as_were_asked_for(sd15, tmp_path, loaded):
    asked = bench.request(sd15, {"weights": ["perception_stats:groups=4:steps=12"], "target": ["x0"]})
    found = records(asked, tmp_path / "runs", loaded)[0].result["contribution"]
    registry = loaded.registry
    noise, sampler = (
        registry.build(*made) for made in (("noise", Choice("scaled_linear")), ("sampler", Choice("ddim")))
    )
    assert list(found["timesteps"]) == representatives(sampler.timesteps(noise, 12), 1000, 4)
    visited = list(range(975, -1, -25))
    for groups in (3, 10, 20, 40):
        kept = [visited[k] for k in recorded(visited, 1000, groups)]
        assert representatives(kept, 1000, groups) == representatives(visited, 1000, groups)
        assert len(kept) <= groups + 2


@pytest.mark.parametrize(
    "axes, given, words",
    [
        ({"objective": ["masked_mse"]}, {}, "draws every pixel"),
        ({"aug": ["none"]}, {"corruption": ["location"]}, "no --aug that was asked for corrupts targets"),
        ({}, {"overrides": {"train_steps": 3, "warmup": 3}}, "say a smaller --warmup"),
        ({"weights": ["perception_stats:from=s.json:samples=50"]}, {}, "is measured already"),
    ],
)
def test_what_would_be_ignored_is_refused(sd15, loaded, axes, given, words):
    try:
        (told,) = (why for _, why in resolve(bench.request(sd15, axes, **given), loaded.registry).impossible)
    except BadRequest as wrong:
        told = str(wrong)
    assert words in told


def test_corruptions_are_for_those_rows_of_a_grid_that_corrupt(sd15, loaded):
    asked = bench.request(sd15, {"aug": ["none", "linear"]}, corruption=["location"])
    assert [len(cell.corruption) for cell in resolve(asked, loaded.registry).cells] == [0, 1]
