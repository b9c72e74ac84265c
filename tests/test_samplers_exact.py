"""Samplers on problems whose answers are known without any program: a perfect model, and Gaussian data."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addp_bench.plugins.noise import Flow, ScaledLinear
from addp_bench.plugins.samplers import DDIM, DDPM, DPMSolver, EulerAncestral
from addp_bench.schedule import TableNoise

NAMES = [("picture", 0)]
MEAN, VARIANCE = 0.7, 0.3  # of the data
tables = st.lists(st.floats(1e-3, 0.99), min_size=12, max_size=12, unique_by=lambda v: round(v, 4)).map(
    lambda v: TableNoise(np.array(sorted(v, reverse=True)))
)
ends = st.booleans()  # without signal


def picture(seed, side=64):
    return torch.randn(1, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ended(noise, without_signal):
    return TableNoise(np.array([*noise.alphas_cumprod[:-1], 0.0])) if without_signal else noise


def watched(sampler, denoise, start, noise, steps):
    """(t, x_t) as the network was shown them, and the answer."""
    shown = []

    def through(x, t):
        shown.append((t, x))
        return denoise(x, t)

    made = sampler.trajectory(through, start, noise, steps, NAMES)
    return shown, made[-1].x0


@settings(max_examples=40, deadline=None)
@given(tables, ends, st.sampled_from([1, 2, 3, 4, 6, 12]), st.sampled_from([DDIM(), DPMSolver(), DPMSolver(order=3)]))
def test_a_perfect_model_is_followed_along_its_own_noise(noise, without_signal, steps, sampler):
    noise = ended(noise, without_signal)
    x0, eps = picture(1, 8), picture(2, 8)
    level = noise.alphas_cumprod
    start = level[-1] ** 0.5 * x0 + (1 - level[-1]) ** 0.5 * eps
    shown, answer = watched(sampler, lambda x, t: x0, start, noise, steps)
    for t, x in shown:
        expected = level[t] ** 0.5 * x0 + (1 - level[t]) ** 0.5 * eps
        torch.testing.assert_close(x, expected, rtol=0, atol=2e-3)  # float32, and 2^-12 for no signal
    torch.testing.assert_close(answer, x0, rtol=1e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    tables, ends, st.sampled_from([2, 4, 12]), st.sampled_from([DDIM(eta=0.6), DDIM(eta=1), DDPM(), EulerAncestral()])
)
def test_with_a_perfect_model_the_noise_is_renewed_and_keeps_its_variance(noise, without_signal, steps, sampler):
    noise = ended(noise, without_signal)
    x0, eps = picture(1), picture(2)
    level = noise.alphas_cumprod
    start = level[-1] ** 0.5 * x0 + (1 - level[-1]) ** 0.5 * eps
    shown, answer = watched(sampler, lambda x, t: x0, start, noise, steps)
    for t, x in shown:
        left = (x - level[t] ** 0.5 * x0) / (1 - level[t]) ** 0.5
        assert left.std().item() == pytest.approx(1, abs=0.06)
        assert abs((left * x0).mean().item()) < 0.08
    torch.testing.assert_close(answer, x0, rtol=1e-9, atol=1e-9)


def posterior(noise):
    """E[x0 | x_t] of Gaussian data: what a perfectly trained network says."""

    def denoise(x, t):
        signal = noise.alphas_cumprod[t]
        return MEAN + signal**0.5 * VARIANCE / (signal * VARIANCE + 1 - signal) * (x - signal**0.5 * MEAN)

    return denoise


def answers(sampler, noise, steps, start):
    return sampler.trajectory(posterior(noise), start, noise, steps, NAMES)[-1].x0


@pytest.mark.parametrize("noise", [ScaledLinear(), ScaledLinear(zero_snr=True), Flow(), Flow(3.0)])
def test_ddim_and_dpm_solver_converge_to_the_exact_flow_of_gaussian_data(noise):
    """(x_t - a m) / sqrt(a^2 v + s^2) stays constant along the probability-flow equation."""
    z = torch.linspace(-2.5, 2.5, 21, dtype=torch.float64).view(1, 1, 1, 21)
    last = noise.alphas_cumprod[-1]
    exact = MEAN + VARIANCE**0.5 * (z - last**0.5 * MEAN) / (last * VARIANCE + 1 - last) ** 0.5

    def error(sampler, steps):
        return (answers(sampler, noise, steps, z) - exact).abs().max().item()

    first = [error(DDIM(), steps) for steps in (50, 200, 1000)]
    second = [error(DPMSolver(), steps) for steps in (50, 200, 1000)]
    assert first[0] > 2.5 * first[1] > 5 * first[2]
    assert second[0] > 2.5 * second[1] > 5 * second[2]
    assert first[2] < 6e-3
    assert all(two < one / 2 for one, two in zip(first, second))


@pytest.mark.parametrize("noise", [ScaledLinear(zero_snr=True), Flow()])
@pytest.mark.parametrize("sampler", [DDPM(), DDPM(variance="large"), EulerAncestral(), DDIM(eta=0.5)])
def test_who_draws_comes_to_draw_the_data(sampler, noise):
    start = picture(3, 120).float()
    rough, fine = answers(sampler, noise, 10, start), answers(sampler, noise, 200, start)
    assert fine.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert fine.var().item() == pytest.approx(VARIANCE, rel=0.09)
    assert abs(rough.var().item() - VARIANCE) > 1.5 * abs(fine.var().item() - VARIANCE)
