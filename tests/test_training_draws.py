"""What the training loop really draws and weights, started from the command line, against what a strategy declares."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import bench
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from addp_bench import training
from addp_bench.cli import main
from addp_bench.contribution import estimate
from addp_bench.loading import load

POINT = Path(__file__).with_name("point.py")
STRATEGIES = load([]).registry.names("weights")


@pytest.fixture(scope="module")
def statistics(tmp_path_factory) -> Path:
    """A file of perception statistics, measured on curves that were made up."""
    rng = np.random.default_rng(0)
    curves = np.cumsum(rng.normal(size=(60, 10)), axis=1)
    measured = estimate(curves, list(range(900, -1, -100)), steps=1000)
    path = tmp_path_factory.mktemp("statistics") / "contribution.json"
    path.write_text(json.dumps(measured.to_json()))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["prob", "loss"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_loop_trains_the_timesteps_and_weights_that_a_strategy_declares(
    name, scaling, statistics, tmp_path, monkeypatch
):
    loaded = load([bench.DOTS, POINT])
    needs = loaded.registry.get("weights", name).factory.needs_contribution
    text = f"{name}:scaling={scaling}" + (f":from={statistics}" if needs else "")
    # what draws one number for a whole batch is asked for more batches, and each gives one timestep that is its own
    together = text == "soft_truncation:scaling=prob"
    steps, batch = (4000, 25) if together else (50, 2000)

    seen: list[tuple[np.ndarray, np.ndarray]] = []
    declared: list[tuple[np.ndarray, np.ndarray]] = []  # at each step, for those that learn
    learns = []
    losses_of = training.losses_of

    def watched(model, recipe, batch):
        seen.append((batch.t.numpy().copy(), batch.weight.numpy().copy()))
        declared.append((recipe.draws.probabilities, recipe.draws.loss_weights))
        learns.append(bool(recipe.draws.state_dict()))
        found = losses_of(model, recipe, batch)
        with torch.no_grad():
            alike = losses_of(model, recipe, dataclasses.replace(batch, weight=torch.ones_like(batch.weight)))
        torch.testing.assert_close(found.detach(), alike * batch.weight)
        return found

    monkeypatch.setattr(training, "losses_of", watched)
    plugins = ["--plugin", str(bench.DOTS), "--plugin", str(POINT)]
    asked = ["--task", "ris", "--dataset", "dots", "--model", "point", "--weights", text, "--aug", "none"]
    asked += ["--train-steps", str(steps), "--batch-size", str(batch), "--runs", str(tmp_path / "runs")]
    with pytest.raises(SystemExit) as left:
        main(["run", *asked, *plugins, "--device", "cpu"])
    assert left.value.code == 0
    assert sum(len(t) for t, _ in seen) == 100_000

    drawn = np.concatenate([t[:1] if together else t for t, _ in seen])
    assert fits(drawn, np.mean([p for p, _ in declared], axis=0)) > 1e-4
    for (t, weight), (_, expected) in zip(seen, declared):
        # a strategy that learns puts its weights on losses where it joins them
        np.testing.assert_allclose(weight, 1.0 if learns[0] else expected[t], rtol=1e-6)


def fits(t: np.ndarray, probabilities: np.ndarray) -> float:
    """p value of a chi-square test; neighbouring timesteps are joined until each bin expects 20."""
    expected, met = probabilities * len(t), np.bincount(t, minlength=len(probabilities))
    assert met[probabilities == 0].sum() == 0
    bins = np.minimum(np.floor(np.cumsum(expected) / 20), np.floor(expected.sum() / 20) - 1).astype(int)
    bins = np.unique(bins, return_inverse=True)[1]
    return float(chisquare(np.bincount(bins, met), np.bincount(bins, expected)).pvalue)


def test_the_fit_notices_a_distribution_that_is_a_little_off():
    rng = np.random.default_rng(0)
    p = np.linspace(1.0, 2.0, 1000) / np.linspace(1.0, 2.0, 1000).sum()
    t = rng.choice(1000, 100_000, p=p)
    assert fits(t, p) > 1e-4
    assert fits(t, np.roll(p, 30)) < 1e-6
    assert fits(t, p[::-1]) < 1e-6
    assert fits(t, np.full(1000, 1e-3)) < 1e-6
