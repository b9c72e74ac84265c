"""What `plan` says a run will take."""

from __future__ import annotations

import json

import bench
import pytest
import torch

from addp_bench import estimates
from addp_bench.progress import size

CPU = torch.device("cpu")


@pytest.fixture
def train(sd15, tmp_path):
    """A train stage that was planned, with rates of its own."""
    (plan,) = bench.plans(bench.request(sd15), tmp_path)[1]
    return plan.score.inputs[0].input("train")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))


def test_nothing_is_said_of_what_was_never_done_here(train):
    assert estimates.seconds(train, CPU, estimates.read()) is None
    assert estimates.disk(train, estimates.read()) is None
    assert estimates.memory(train, estimates.read()) is None


def test_a_training_leaves_its_weights_and_needs_five_times_them(train, sd15, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "denoiser.safetensors").write_bytes(bytes(1000))
    estimates.learn(train, CPU, 6.0, tmp_path / "made")
    longer = bench.plans(bench.request(sd15, overrides={"train_steps": 30}), tmp_path)[1][0].score.inputs[0]
    rates = estimates.read()
    assert estimates.seconds(longer.input("train"), CPU, rates) == pytest.approx(60.0), "10 times the steps"
    assert estimates.disk(longer.input("train"), rates) == pytest.approx(1000), "the same weights"
    assert estimates.memory(longer.input("train"), rates) == pytest.approx(5000)


def test_an_epoch_is_every_photograph_once_and_plan_and_training_agree(sd15, tmp_path):
    few = {"train_steps": None, "warmup": 0, "train_samples": 9, "batch_size": 128, "limit": 2}
    asked = bench.request(sd15, budget="paper", overrides=few)
    _, (plan,), finished = bench.run(asked, tmp_path / "runs")
    steps = 3  # 60 epochs of the 5 photographs that 9 expressions speak of, 128 at once: 2.3 batches
    assert finished.records[plan.id].result["training"]["steps"] == steps
    assert estimates.units(plan.score.inputs[0].input("train")) == steps * 128


def test_latents_and_predictions_grow_with_the_samples_that_are_there(sd15, tmp_path):
    def predict(**overrides):
        return bench.plans(bench.request(sd15, overrides=overrides), tmp_path)[1][0].score.inputs[0]

    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "arrays").write_bytes(bytes(600))
    few = predict(limit=6)
    for stage in (few, few.input("latents")):
        estimates.learn(stage, CPU, 1.0, tmp_path / "made")
    rates = estimates.read()
    all_of_them = predict(limit=500)
    assert estimates.disk(all_of_them, rates) == pytest.approx(1200), "the split holds 12"
    assert estimates.disk(all_of_them.input("latents"), rates) == pytest.approx(1200)
    assert estimates.disk(few.input("train").input("latents"), rates) is None, "with targets it is another size"


def test_a_plan_says_time_disk_and_memory_once_they_are_known(shell, sd15, tmp_path):
    def plan(*more):
        small = [f"--{k.replace('_', '-')}={v}" for k, v in bench.SMALL.items() if k != "sampling_steps"]
        where = ["--runs", tmp_path / "runs", "--plugin", bench.DOTS, "--dataset", "dots", "--steps", "10"]
        code, out, err = shell("plan", *where, "--model", f"instruct_pix2pix:path={sd15}", *small, *more)
        assert code == 0, err
        return out

    (before,) = json.loads(plan("--json"))["cells"]
    assert (before["seconds"], before["disk_bytes"], before["memory_bytes_at_least"]) == (None, None, None)
    bench.run(bench.request(sd15), tmp_path / "runs")
    (after,) = json.loads(plan("--json", "--seed", "1"))["cells"]
    weights = next((tmp_path / "runs").glob("stages/train/*/denoiser.safetensors")).stat().st_size
    assert after["seconds"] > 0
    assert weights < after["disk_bytes"] < 3 * weights
    assert 5 * weights < after["memory_bytes_at_least"] < 6 * weights
    assert "of disk, 0 impossible" in (text := plan("--seed", "1"))
    assert "memory: training needs at least" in text


@pytest.mark.parametrize("count, words", [(820, "1 kB"), (820_000, "820 kB"), (3.44e6, "3.4 MB"), (35.2e9, "35 GB")])
def test_sizes_are_said_for_people(count, words):
    assert size(count) == words
