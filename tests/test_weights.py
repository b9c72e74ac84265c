"""Timestep strategies, against worked values and the identities between them."""

import json

import numpy as np
import pytest
import torch

from addp_bench.contribution import estimate
from addp_bench.errors import BadData, BadOption, Degenerate
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.plugins.weights import Diffusion, LastGroup, PerceptionStats, ShuffledStats, Uniform
from addp_bench.timesteps import group_mass

NOISE = ScaledLinear()
SNR = NOISE.snr(torch.arange(1000)).numpy()
DIFFUSION_GROUPS = [
    0.000262, 0.001043, 0.002418, 0.004864, 0.009407, 0.018430, 0.038008, 0.085331, 0.215043, 0.625194,
]  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """Statistics of 60 samples whose quality is mostly decided by the noisiest groups."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(60, 10)) * np.array([5, 3, 2, 1, 0.9, 0.8, 0.5, 0.2, 0.1, 0.05])
    return estimate(steps.cumsum(axis=1), [990 - 100 * i for i in range(10)], bootstrap=0)


@pytest.mark.parametrize("scaling", ["prob", "loss"])
def test_uniform_draws_every_timestep_alike_with_weight_1(scaling):
    made = Uniform(scaling).bind(NOISE, Epsilon(), None)
    np.testing.assert_allclose(made.probabilities, 1e-3)
    np.testing.assert_allclose(made.loss_weights, 1.0)


def test_diffusion_has_its_worked_probabilities_and_loss_weights():
    t = [0, 250, 500, 750, 999]
    p = Diffusion().bind(NOISE, Epsilon(), None)
    assert p.probabilities[t] == pytest.approx(
        [4.18956e-08, 2.38423e-05, 1.28970e-04, 8.27506e-04, 0.0105186], rel=5e-6
    )
    assert p.loss_weights.tolist() == [1.0] * 1000
    w = Diffusion("loss").bind(NOISE, Epsilon(), None)
    assert w.loss_weights[t] == pytest.approx([4.18956e-05, 0.0238423, 0.128970, 0.827506, 10.5186], rel=5e-6)
    np.testing.assert_allclose(w.probabilities, 1e-3)
    assert (1 / SNR).sum() == pytest.approx(20305.773167, abs=1e-6)


@pytest.mark.parametrize("grouped", [False, True])
def test_diffusion_has_its_worked_group_masses_grouped_or_not(grouped):
    made = Diffusion(grouped=grouped).bind(NOISE, Epsilon(), None)
    assert group_mass(made.probabilities) == pytest.approx(DIFFUSION_GROUPS, abs=6e-7)
    assert (len(set(made.probabilities[900:])) == 1) == grouped


def test_diffusion_on_an_epsilon_model_is_plain_uniform_x0_training():
    for scaling in ("prob", "loss"):
        made = Diffusion(scaling).bind(NOISE, Epsilon(), None)
        effective = made.probabilities * made.loss_weights * SNR  # the weight on x0's squared error
        np.testing.assert_allclose(effective, effective[0], rtol=1e-9)


def test_diffusion_as_a_loss_weight_follows_the_target_that_is_trained():
    np.testing.assert_allclose(Diffusion("loss").bind(NOISE, X0(), None).loss_weights, 1.0)
    on_v = Diffusion("loss").bind(NOISE, V(), None).loss_weights
    np.testing.assert_allclose(on_v, (1 - NOISE.alphas_cumprod) / (1 - NOISE.alphas_cumprod).mean())


def test_diffusion_as_a_probability_is_drawn_as_it_is_whatever_is_trained():
    as_epsilon = Diffusion().bind(NOISE, Epsilon(), None).probabilities
    for target in (X0(), V()):
        np.testing.assert_array_equal(Diffusion().bind(NOISE, target, None).probabilities, as_epsilon)


def test_diffusion_refuses_a_schedule_that_ends_in_pure_noise_unless_snr_is_bounded():
    zero = ScaledLinear(zero_snr=True)
    with pytest.raises(BadOption, match="diffusion:snr_min"):
        Diffusion().bind(zero, V(), None)
    made = Diffusion(snr_min=0.0047).bind(zero, V(), None)
    bounded = np.maximum(zero.snr(torch.arange(1000)).numpy(), 0.0047)
    np.testing.assert_allclose(made.probabilities, 1 / bounded / (1 / bounded).sum())


@pytest.mark.parametrize("snr_min", [0.0, -1.0])
def test_diffusion_refuses_a_bound_that_bounds_nothing(snr_min):
    with pytest.raises(ValueError, match="snr_min"):
        Diffusion(snr_min=snr_min)


@pytest.mark.parametrize("target", [Epsilon(), X0(), V()])
def test_perception_stats_draws_what_was_measured_whatever_is_trained(measured, target):
    made = PerceptionStats().bind(NOISE, target, measured)
    np.testing.assert_allclose(group_mass(made.probabilities), measured.group_probabilities, rtol=1e-12)
    np.testing.assert_allclose(made.probabilities, measured.probabilities(1000))
    assert made.loss_weights.tolist() == [1.0] * 1000
    by_loss = PerceptionStats("loss").bind(NOISE, target, measured)
    np.testing.assert_allclose(by_loss.loss_weights, made.probabilities * 1000)


def test_perception_stats_applies_its_own_floor_to_what_was_measured(measured):
    exact = PerceptionStats(floor=0.02, floor_rule="exact").bind(NOISE, X0(), measured)
    assert group_mass(exact.probabilities).min() == pytest.approx(0.02)
    bare = PerceptionStats(floor=0.0).bind(NOISE, X0(), measured)
    np.testing.assert_allclose(group_mass(bare.probabilities), measured.raw, rtol=1e-9)


def test_perception_stats_reads_a_file_and_draws_the_same(measured, tmp_path):
    file = tmp_path / "stats.json"
    file.write_text(json.dumps(measured.to_json()))
    made = PerceptionStats(from_=str(file)).bind(NOISE, X0(), None)
    np.testing.assert_array_equal(made.probabilities, PerceptionStats().bind(NOISE, X0(), measured).probabilities)


def test_perception_stats_needs_something_measured(tmp_path):
    assert PerceptionStats.needs_contribution
    assert not Uniform.needs_contribution
    for nothing in (None, "a_cell"):
        with pytest.raises(Degenerate, match="perception_stats: nothing was measured"):
            PerceptionStats(from_=nothing).bind(NOISE, X0(), None)
    with pytest.raises(BadData, match=r"absent\.json"):
        PerceptionStats(from_=str(tmp_path / "absent.json")).bind(NOISE, X0(), None)
    (tmp_path / "torn.json").write_text('{"schema": 1')
    with pytest.raises(BadData, match=r"torn\.json"):
        PerceptionStats(from_=str(tmp_path / "torn.json")).bind(NOISE, X0(), None)


@pytest.mark.parametrize("asked", [{"groups": 5}, {"mode": "paper_literal"}, {"adjusted": True}])
def test_statistics_made_otherwise_than_asked_are_refused(measured, asked):
    (option,) = asked
    with pytest.raises(BadOption, match=f"made with {option}="):
        PerceptionStats(**asked).bind(NOISE, X0(), measured)


@pytest.mark.parametrize("wrong", [{"groups": 0}, {"floor": -0.1}, {"floor": 0.11}, {"samples": 11}, {"steps": 9}])
def test_perception_stats_refuses_settings_that_cannot_be_measured(wrong):
    (option,) = wrong
    with pytest.raises(ValueError, match=option):
        PerceptionStats(**wrong)


def test_last_group_puts_all_that_is_not_floor_on_the_noisiest():
    mass = group_mass(LastGroup().bind(NOISE, X0(), None).probabilities)
    assert mass == pytest.approx([0.01] * 9 + [0.91])
    assert group_mass(LastGroup(groups=4, floor=0.1).bind(NOISE, X0(), None).probabilities, 4) == pytest.approx(
        [0.1, 0.1, 0.1, 0.7]
    )


@pytest.mark.parametrize("seed", range(30))
def test_shuffled_stats_has_the_measured_values_in_an_order_that_moves_the_largest(measured, seed):
    right = group_mass(PerceptionStats().bind(NOISE, X0(), measured).probabilities)
    wrong = group_mass(ShuffledStats(seed=seed).bind(NOISE, X0(), measured).probabilities)
    assert sorted(wrong) == pytest.approx(sorted(right))
    assert wrong[right.argmax()] < right.max()


def test_shuffled_stats_orders_by_its_seed_alone(measured):
    def order(seed):
        return ShuffledStats(seed=seed).bind(NOISE, X0(), measured).probabilities.tolist()

    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_shuffled_stats_refuses_what_has_no_other_order(measured):
    with pytest.raises(Degenerate, match="same probability"):
        ShuffledStats(floor=0.1, floor_rule="exact").bind(NOISE, X0(), measured)
