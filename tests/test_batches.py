"""What a training step is shown, and what comes of its weights: the wiring that every cell rests on."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import bench
import numpy as np
import pytest
import torch

from addp_bench import cache
from addp_bench.batches import Batch, Batches, Recipe, drawn
from addp_bench.evaluation import Drawn
from addp_bench.plugins.exposures import NoExposure
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.objectives import MSE
from addp_bench.plugins.schedules import Linear, NoAug
from addp_bench.plugins.targets import X0
from addp_bench.plugins.weights import Uniform
from addp_bench.randomness import uniform
from addp_bench.training import loss_of, losses_of


@pytest.fixture(scope="module")
def ran(sd15, tmp_path_factory):
    """A finished cell with augmentation, its parts, and batches of 6."""
    at, (plan,), finished = bench.run(bench.request(sd15, {"aug": ["linear"]}), tmp_path_factory.mktemp("runs"))
    assert not finished.failures
    work, cell = at.work, plan.cell
    model = work.model(cell)
    recipe = work.recipe(cell, model, None)
    return work.sources(cell, plan.score.inputs[0].input("train")), model, recipe


def batch(ran, step=3, **changes):
    sources, model, recipe = ran
    batches = Batches(sources, model, dataclasses.replace(recipe, **changes), 6, 0, torch.device("cpu"))
    return batches, batches.batch(step, batches.raw(step))


def test_where_nothing_is_damaged_the_shown_target_is_the_clean_one_with_the_same_vae_noise(ran):
    _, still = batch(ran, aug=Linear(0.0))
    # encoded again, in another batch than the cached one; other posterior noise would be off by about its own size
    torch.testing.assert_close(still.x0_shown, still.x0, atol=1e-4, rtol=1e-4)


def test_the_shown_target_is_the_damaged_truth_drawn_and_encoded(ran):
    (source,), model, recipe = ran
    batches, found = batch(ran)
    raw = batches.raw(3)[0]
    ids = source.names(batches.items(3)[0])
    strength = recipe.aug.strength(found.t, recipe.noise)

    def chance(corruption):
        return uniform((corruption.draws,), [(type(corruption).__name__, 0, 3, name) for name in ids]).float()

    damaged = drawn(source.encoding, raw.photos, raw.truth, raw.queries, source.corruptions, strength, chance)
    posterior = cache.posterior_noise(ids, found.x0.shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(found.x0_shown, model.codec.encode(damaged.rgb, posterior))
    assert (found.x0_shown - found.x0).abs().max() > 0.01
    assert len(source.corruptions) == 3


def test_each_corruption_that_is_asked_for_takes_part(ran):
    (source,), model, recipe = ran
    shown = []
    for left_out in (None, *source.corruptions):
        kept = [c for c in source.corruptions if c is not left_out]
        batches = Batches([dataclasses.replace(source, corruptions=kept)], model, recipe, 6, 0, torch.device("cpu"))
        shown.append(batches.batch(3, batches.raw(3)).x0_shown)
    assert all(not torch.equal(shown[0], other) for other in shown[1:])


def test_every_loss_is_multiplied_by_the_weight_of_its_timestep():
    noise, x0 = ScaledLinear(), torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(noise, X0(), Uniform().bind(noise, X0(), None), NoAug(), NoExposure(), MSE())
    model = SimpleNamespace(
        forward=lambda x, t, image, text: 0.5 * x, network=torch.nn.Identity(), codec=SimpleNamespace(decode=None)
    )
    t, eps = torch.tensor([10, 500, 900]), torch.ones(3, 2, 4, 4)
    plain = Batch(x0, x0, eps, None, t, torch.ones(3), x0, x0)
    weighed = dataclasses.replace(plain, weight=torch.tensor([0.0, 1.0, 3.0]))
    one, other = losses_of(model, recipe, plain), losses_of(model, recipe, weighed)
    assert (one > 0).all()
    torch.testing.assert_close(other, one * torch.tensor([0.0, 1.0, 3.0]))
    assert float(loss_of(model, recipe, weighed, 0)) == pytest.approx(float((one[1] + 3 * one[2]) / 3))


def test_a_cure_that_acts_in_sampling_changes_what_is_sampled_and_trains_nothing_anew(sd15, tmp_path):
    asked = bench.request(sd15, {"exposure": ["none", "epsilon_scaling:b=1.2"]})
    at, plans, finished = bench.run(asked, tmp_path)
    assert not finished.failures
    plain, cured = (next(Drawn.open(at.folder(p.score.inputs[0])).shards())[1] for p in plans)
    assert len({p.score.inputs[0].input("train").key for p in plans}) == 1
    assert np.abs(plain - cured).max() > 1e-3
