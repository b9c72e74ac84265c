"""Timestep draws: the inverse CDF, both scalings, the conversion between targets, refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from addp_bench.errors import BadOption
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, Flow, V
from addp_bench.schedule import TableNoise
from addp_bench.timesteps import VectorDraws, converted, group_mass, spread

NOISE = ScaledLinear()
FOUR = TableNoise(np.array([0.9, 0.6, 0.3, 0.1]))
TARGETS = {"epsilon": Epsilon(), "x0": X0(), "v": V(), "flow": Flow()}


def draws(vector, native="probability", scaling="prob", noise=FOUR, target="x0"):
    return VectorDraws("mine", np.array(vector, dtype=float), native, scaling, noise, TARGETS[target])


def test_t_is_the_first_timestep_whose_cumulative_probability_exceeds_u():
    u = torch.tensor([0.0, 0.1249, 0.125, 0.3749, 0.375, 0.8749, 0.875, 0.9999], dtype=torch.float64)
    t, weight = draws([1, 2, 4, 1]).draw(u, 0)
    assert t.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert weight.tolist() == [1.0] * 8
    assert (t.dtype, weight.dtype) == (torch.int64, torch.float32)


def test_a_timestep_of_probability_0_is_never_drawn_whatever_u_is():
    u = torch.tensor([0.0, 0.5, 1.0 - 2**-53, 1.0], dtype=torch.float64)
    assert draws([0, 1, 1, 0]).draw(u, 0)[0].tolist() == [1, 2, 2, 2]
    assert draws([0, 0, 0, 1]).draw(u, 0)[0].tolist() == [3, 3, 3, 3]
    assert draws([1, 0, 0, 0]).draw(u, 0)[0].tolist() == [0, 0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=4).filter(lambda v: sum(v) > 1e-3), st.floats(0, 1))
def test_a_draw_is_always_a_timestep_that_can_be_drawn(vector, u):
    made = draws(vector)
    t = int(made.draw(torch.tensor([u], dtype=torch.float64), 0)[0])
    assert made.probabilities[t] > 0
    assert made.probabilities.sum() == pytest.approx(1)


def test_draws_follow_their_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(1000) ** 3
    u = torch.from_numpy(rng.random(200_000))
    t, _ = draws(p, noise=NOISE).draw(u, 0)
    seen = group_mass(np.bincount(t.numpy(), minlength=1000), 50)
    assert stats.chisquare(seen, group_mass(p / p.sum(), 50) * 200_000).pvalue > 0.01


def test_loss_scaling_draws_uniformly_and_weights_with_mean_1():
    made = draws([1, 2, 3, 4], scaling="loss")
    t, weight = made.draw(torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64), 0)
    assert t.tolist() == [0, 1, 2, 3]
    assert weight.tolist() == pytest.approx([0.4, 0.8, 1.2, 1.6])
    assert made.loss_weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("native", ["probability", "x0", "epsilon", "v", "flow"])
@pytest.mark.parametrize("target", TARGETS)
def test_both_scalings_have_the_same_expected_loss(native, target):
    vector = np.random.default_rng(1).random(1000)
    losses = np.random.default_rng(2).random(1000)
    by_prob = draws(vector, native, "prob", NOISE, target)
    by_loss = draws(vector, native, "loss", NOISE, target)
    assert (by_prob.probabilities * by_prob.loss_weights * losses).sum() == pytest.approx(
        (by_loss.probabilities * by_loss.loss_weights * losses).sum(), rel=1e-12
    )


def test_conversion_by_hand_at_snr_9():
    snr_9 = TableNoise(np.array([0.9]))
    one = np.ones(1)
    assert converted(one, "x0", snr_9, Epsilon()) == pytest.approx(1 / 9)
    assert converted(one, "x0", snr_9, V()) == pytest.approx(1 / 10)
    assert converted(one, "epsilon", snr_9, X0()) == pytest.approx(9)
    assert converted(one, "epsilon", snr_9, V()) == pytest.approx(0.9)
    assert converted(one, "v", snr_9, X0()) == pytest.approx(10)
    assert converted(one, "v", snr_9, Epsilon()) == pytest.approx(10 / 9)
    assert converted(one, "x0", snr_9, Flow()) == pytest.approx(1 / 16)
    assert converted(one, "flow", snr_9, Epsilon()) == pytest.approx(16 / 9)


@pytest.mark.parametrize("there", TARGETS)
@pytest.mark.parametrize("here", TARGETS)
def test_conversion_goes_there_and_back(here, there):
    weight = np.random.default_rng(0).random(1000)
    gone = converted(weight, here, NOISE, TARGETS[there])
    np.testing.assert_allclose(converted(gone, there, NOISE, TARGETS[here]), weight, rtol=1e-12)


def test_a_weight_for_the_trained_target_is_untouched_at_snr_0():
    ends = TableNoise(np.array([0.5, 0.0]))
    for name, target in TARGETS.items():
        assert converted(np.array([2.0, 3.0]), name, ends, target).tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "vector, words",
    [
        ([1, 2, 3], r"expected one value for each of 4 timesteps, got shape \(3,\)"),
        ([1, np.nan, 1, 1], "got nan at t = 1"),
        ([1, 1, np.inf, 1], "got inf at t = 2"),
        ([1, 1, 1, -1e-9], "got -1e-09 at t = 3"),
        ([0, 0, 0, 0], "add up to 0"),
    ],
)
def test_a_vector_that_cannot_be_drawn_from_is_refused_by_the_strategys_name(vector, words):
    with pytest.raises(BadOption, match=f"weights mine: .*{words}"):
        draws(vector)


def test_a_conversion_that_divides_by_0_is_refused_and_not_repaired():
    ends = TableNoise(np.array([0.9, 0.6, 0.3, 0.0]))
    with pytest.raises(BadOption, match=r"weights mine: .*at t = 3.*zero terminal SNR"):
        draws([1, 1, 1, 1], native="x0", noise=ends, target="epsilon")


def test_a_fixed_strategy_learns_nothing_and_keeps_nothing():
    made = draws([1, 1, 1, 1])
    assert made.combine(torch.tensor([1.0, 3.0]), torch.tensor([0, 1]), 0).item() == 2.0
    assert not made.parameters()
    assert made.state_dict() == {}
    made.load_state_dict({})
    with pytest.raises(ValueError, match="no state"):
        made.load_state_dict({"s": 1})


def test_group_mass_adds_blocks_and_spread_shares_them():
    assert group_mass(np.arange(6.0), 3).tolist() == [1.0, 5.0, 9.0]
    assert spread(np.array([1.0, 5.0, 9.0]), 6).tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5]
    assert group_mass(np.ones(7), 3).tolist() == [2.0, 2.0, 3.0]
    np.testing.assert_allclose(group_mass(spread(np.array([0.2, 0.3, 0.5]), 7), 3), [0.2, 0.3, 0.5])
    assert group_mass(np.ones(1000)).tolist() == [100.0] * 10


@pytest.mark.parametrize("groups", [0, 5])
def test_groups_that_do_not_fit_the_timesteps_are_refused(groups):
    with pytest.raises(BadOption, match="groups"):
        group_mass(np.ones(4), groups)
