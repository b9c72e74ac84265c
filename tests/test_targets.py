"""Prediction targets: conversions, identities and the worked numbers for corrupted inputs."""

import bench
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, EpsilonCorrected, Flow, V
from addp_bench.visits import Visits

NOISE = ScaledLinear()
ALL = [Epsilon(), EpsilonCorrected(), X0(), V(), Flow()]


def scene(t=(0, 1, 250, 999), corrupted=False):
    """x0, x_t, eps in float64 at timesteps t, with coefficients (B, 1, 1, 1)."""
    g = torch.Generator().manual_seed(1)
    at = torch.tensor(t)
    signal = torch.tensor(NOISE.alphas_cumprod)[at].view(-1, 1, 1, 1)
    a, s = signal.sqrt(), (1 - signal).sqrt()
    x0, eps, damage = (torch.randn(len(t), 4, 3, 3, dtype=torch.float64, generator=g) for _ in range(3))
    return x0, a * (x0 + damage * corrupted) + s * eps, eps, a, s


@pytest.mark.parametrize("target", ALL)
def test_a_perfect_output_gives_the_clean_x0_back(target):
    x0, x_t, eps, a, s = scene()
    torch.testing.assert_close(target.to_x0(target.of(x0, x_t, eps, a, s), x_t, a, s), x0, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("target", [t for t in ALL if t.accepts_corruption])
def test_targets_that_accept_corruption_lead_back_to_the_clean_x0(target):
    x0, x_t, eps, a, s = scene(corrupted=True)
    torch.testing.assert_close(target.to_x0(target.of(x0, x_t, eps, a, s), x_t, a, s), x0, rtol=1e-9, atol=1e-9)


def test_plain_epsilon_refuses_corruption_because_it_leads_to_the_corrupted_target():
    x0, x_t, eps, a, s = scene(corrupted=True)
    learnt = Epsilon().to_x0(Epsilon().of(x0, x_t, eps, a, s), x_t, a, s)
    assert (learnt - x0).abs().mean() > 0.5
    assert not Epsilon.accepts_corruption


@pytest.mark.parametrize("target", ALL)
def test_the_error_scale_is_the_ratio_of_squared_errors_at_the_same_output(target):
    x0, x_t, eps, a, s = scene((1, 100, 500, 999))
    goal = target.of(x0, x_t, eps, a, s)
    output = goal + torch.randn(goal.shape, dtype=goal.dtype, generator=torch.Generator().manual_seed(2))
    ours = (output - goal).square().sum(dim=(1, 2, 3))
    in_x0 = (target.to_x0(output, x_t, a, s) - x0).square().sum(dim=(1, 2, 3))
    snr = NOISE.snr(torch.tensor([1, 100, 500, 999]))
    torch.testing.assert_close(ours, target.error_scale(snr) * in_x0, rtol=1e-9, atol=0)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.02, 20), st.floats(0.02, 20), st.sampled_from(ALL))
def test_on_any_schedule_x0_is_read_back_and_the_error_scale_hangs_on_the_snr_alone(a, s, target):
    g = torch.Generator().manual_seed(3)
    x0, shown, eps, error = (torch.randn(1, 4, 3, 3, dtype=torch.float64, generator=g) for _ in range(4))
    a, s = (torch.full((1, 1, 1, 1), v, dtype=torch.float64) for v in (a, s))
    x_t = a * (shown if target.accepts_corruption else x0) + s * eps
    goal = target.of(x0, x_t, eps, a, s)
    torch.testing.assert_close(target.to_x0(goal, x_t, a, s), x0, rtol=1e-7, atol=1e-7)
    in_x0 = (target.to_x0(goal + error, x_t, a, s) - x0).square().sum()
    scale = target.error_scale((a / s).square())
    torch.testing.assert_close(error.square().sum(), (scale * in_x0).sum(), rtol=1e-5, atol=0)


def test_the_three_targets_by_hand():
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    a = one * NOISE.alphas_cumprod[250] ** 0.5
    s = one * (1 - NOISE.alphas_cumprod[250]) ** 0.5
    x0, eps = 0.8 * one, -0.3 * one
    clean, corrupted = a * x0 + s * eps, a * 0.6 + s * eps
    assert clean.item() == pytest.approx(0.485335, abs=6e-7)
    assert V().of(x0, clean, eps, a, s).item() == pytest.approx(-0.703171, abs=6e-7)
    assert corrupted.item() == pytest.approx(0.321166, abs=6e-7)
    corrected = EpsilonCorrected().of(x0, corrupted, eps, a, s)
    assert corrected.item() == pytest.approx(-0.587439, abs=6e-7)
    assert (a * x0 + s * corrected).item() == pytest.approx(corrupted.item(), abs=1e-12)
    assert V().of(x0, corrupted, eps, a, s).item() == pytest.approx((a * corrected - s * x0).item(), abs=1e-12)
    assert Epsilon().of(x0, corrupted, eps, a, s).item() == -0.3
    assert X0().of(x0, corrupted, eps, a, s).item() == 0.8


def test_the_scale_of_the_corrected_noise_explodes_near_clean_steps():
    t = torch.tensor([0, 1, 100, 250, 500, 750, 900, 999])
    worked = torch.tensor([34.285137, 24.204629, 2.907558, 1.437197, 0.617940, 0.243952, 0.119809, 0.068425])
    torch.testing.assert_close(NOISE.snr(t).sqrt().float(), worked, rtol=2e-5, atol=0)


def test_velocity_and_x0_are_read_where_no_signal_is_left():
    x_t, zero, one = torch.randn(2, 4, 3, 3), torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    x0 = torch.randn(2, 4, 3, 3)
    assert torch.equal(V().to_x0(V().of(x0, x_t, x_t, zero, one), x_t, zero, one), x0)
    assert torch.equal(X0().to_x0(x0, x_t, zero, one), x0)
    assert torch.equal(Flow().to_x0(x_t - x0, x_t, zero, one), x_t - (x_t - x0))


@pytest.mark.parametrize(
    "axes, times",
    [
        ({"target": ["v"], "aug": ["constant"]}, 34), ({"target": ["epsilon_corrected"], "aug": ["tada"]}, 34),
        ({"target": ["flow"], "exposure": ["rollout"]}, 34), ({"target": ["x0"], "exposure": ["rollout"]}, None),
        ({"target": ["v"], "aug": ["linear"]}, None), ({"target": ["epsilon"], "aug": ["none"]}, None),
    ],
)  # fmt: skip
def test_a_goal_that_little_but_the_cleanest_timesteps_make_is_warned_of(sd15, tmp_path, axes, times):
    loaded, (plan,) = bench.plans(bench.request(sd15, {"noise": ["scaled_linear"], **axes}), tmp_path)
    said = Visits(loaded.registry).goal_warning(plan.cell)
    assert (said is None) == (times is None)
    if times:
        assert f"near t = 0 the goal holds {times} times" in said
        assert "--target x0" in said
