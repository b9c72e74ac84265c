"""What the training loop really draws and weights, started from the command line, against what a strategy declares."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from addp_bench import training
from addp_bench.cli import main
from addp_bench.contribution import estimate, read_contribution
from addp_bench.loading import load
from addp_bench.spec import Choice

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
    entry = loaded.registry.get("weights", name)
    needs = getattr(entry.factory, "needs_contribution", False)
    text = f"{name}:scaling={scaling}" + (f":from={statistics}" if needs else "")

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    losses_of = training.losses_of

    def watched(model, recipe, batch):
        seen.append((batch.t.clone(), batch.weight.clone()))
        return losses_of(model, recipe, batch)

    monkeypatch.setattr(training, "losses_of", watched)
    plugins = ["--plugin", str(bench.DOTS), "--plugin", str(POINT)]
    asked = ["--task", "ris", "--dataset", "dots", "--model", "point", "--weights", text, "--aug", "none"]
    with pytest.raises(SystemExit) as left:
        main(["run", *asked, *plugins, "--runs", str(tmp_path / "runs"), "--device", "cpu"])
    assert left.value.code == 0
    t, weight = (torch.cat(part).numpy() for part in zip(*seen))
    assert len(t) == 100_000

    point = loaded.registry.build("model", loaded.registry.resolve("model", Choice("point")))
    x0 = loaded.registry.build("target", loaded.registry.resolve("target", Choice("x0")))
    strategy = loaded.registry.build("weights", loaded.registry.resolve("weights", Choice.parse(text)))
    declared = strategy.bind(point.noise, x0, read_contribution(statistics) if needs else None)
    assert fits(t, declared.probabilities) > 1e-4
    np.testing.assert_allclose(weight, declared.loss_weights[t], rtol=1e-6)


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
