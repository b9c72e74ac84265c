"""Samplers that draw, and the multistep solver, step by step against diffusers 0.42 and against their formulas."""

import math

import diffusers
import numpy as np
import pytest
import torch

from addp_bench.plugins.noise import Flow, ScaledLinear
from addp_bench.plugins.samplers import DDIM, DDPM, DPMSolver, EulerAncestral, posterior_variance
from addp_bench.randomness import seed_of
from addp_bench.schedule import TableNoise

NOISE, ZERO = ScaledLinear(), ScaledLinear(zero_snr=True)
NAMES = [("sample", i) for i in range(2)]
START = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ALL = [DDIM(), DDIM(eta=0.5), DDPM(), DDPM(variance="large"), EulerAncestral(), DPMSolver(), DPMSolver(order=3)]
WEIGHT = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.3


def x0_of(x, t):
    """A random estimate of x0 that stays bounded."""
    return torch.tanh(torch.nn.functional.conv2d(x, WEIGHT.to(x), padding=1) + t / 1000)


def streams(t):
    """Generators at the start of the streams that samplers draw from at timestep t."""
    return [torch.Generator().manual_seed(seed_of(*name, "ddim", int(t))) for name in NAMES]


def watched(sampler, noise, steps, start=START):
    """Every x_t that the network was shown, then the answer; and the visited timesteps."""
    shown, visited = [], []

    def denoise(x, t):
        shown.append(x)
        visited.append(t)
        return x0_of(x, t)

    made = sampler.trajectory(denoise, start, noise, steps, NAMES)
    assert [step.t for step in made] == visited
    return [*shown, made[-1].x0], visited


def close(ours, theirs, tolerance=2e-5):
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-5, atol=tolerance)


# ------------------------------------------------------------------------------------------------ DDPM


@pytest.mark.parametrize("t, worked", [(0, 0.0), (1, 0.00042635313), (250, 0.0024155571), (999, 0.011999318)])
def test_the_posterior_variance_has_its_worked_values(t, worked):
    signal = [*NOISE.alphas_cumprod, 1.0]  # t - 1 = -1 is the clean end
    assert posterior_variance(signal[t], signal[t - 1]) == pytest.approx(worked, rel=5e-8, abs=1e-15)


@pytest.mark.parametrize("spacing, steps", [("leading", 10), ("trailing", 7), ("linspace", 13), ("trailing", 1)])
@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_every_ddpm_step_equals_diffusers(zero_snr, variance, spacing, steps):
    noise = ZERO if zero_snr else NOISE
    theirs = diffusers.DDPMScheduler(
        variance_type=f"fixed_{variance}", clip_sample=False, prediction_type="sample", timestep_spacing=spacing,
        steps_offset=0, **STABLE_DIFFUSION,
    )  # fmt: skip
    theirs.alphas_cumprod = torch.tensor(noise.alphas_cumprod)
    theirs.set_timesteps(steps)
    offset = 0 if spacing == "leading" else 1  # an offset of others is refused
    shown, visited = watched(DDPM(spacing, offset, variance), noise, steps)
    assert visited == theirs.timesteps.tolist()
    x = START
    for k, t in enumerate(visited):
        close(shown[k], x)
        last = k + 1 == steps
        # theirs draws at a last step above t = 0, though nothing is left to be drawn
        x = x0_of(x, t) if last else theirs.step(x0_of(x, t), t, x, generator=streams(t)).prev_sample
    close(shown[-1], x)


def test_the_mean_of_a_ddpm_step_is_that_of_the_posterior():
    """By Bayes' rule in double precision, from q(x_t' | x0) and q(x_t | x_t')."""
    noise, t, before = NOISE, 999, 749
    now, then = noise.alphas_cumprod[t], noise.alphas_cumprod[before]
    alpha = now / then
    precision = 1 / (1 - then) + alpha / (1 - alpha)
    x, x0 = START.double(), x0_of(START.double(), t)
    mean = (then**0.5 * x0 / (1 - then) + alpha**0.5 * x / (1 - alpha)) / precision
    white = torch.stack([torch.randn(4, 6, 6, generator=g) for g in streams(t)])
    shown, visited = watched(DDPM(), noise, 4, x)
    assert visited[:2] == [t, before]
    close(shown[1], mean + precision**-0.5 * white, 1e-6)


# ------------------------------------------------------------------------------------------------ Euler-ancestral


@pytest.mark.parametrize("steps", [4, 28])
def test_every_euler_ancestral_step_equals_diffusers(steps):
    """In diffusers' coordinates x / a, at the same whole timesteps; its steps are in epsilon."""
    theirs = diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="linspace", **STABLE_DIFFUSION)
    shown, visited = watched(EulerAncestral(), NOISE, steps)
    theirs.set_timesteps(steps)
    signal = NOISE.alphas_cumprod[visited]
    theirs.timesteps = torch.tensor(visited, dtype=torch.float32)
    theirs.sigmas = torch.tensor([*((1 - signal) / signal) ** 0.5, 0.0], dtype=torch.float32)
    x = START / signal[0] ** 0.5
    for k, t in enumerate(theirs.timesteps):
        at = theirs.scale_model_input(x, t)  # variance preserving
        close(shown[k], at, 5e-5)
        eps = (at - signal[k] ** 0.5 * x0_of(at, int(t))) / (1 - signal[k]) ** 0.5
        x = theirs.step(eps.float(), t, x, generator=streams(t)).prev_sample
    close(shown[-1], x, 5e-5)


@pytest.mark.parametrize("noise", [NOISE, ZERO, Flow()])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_ddim_with_eta_1_ddpm_and_euler_ancestral_are_one_step_between_the_same_timesteps(spacing, noise):
    offset = 0 if spacing == "leading" else 1
    ddim, ddpm, euler = (
        watched(sampler, noise, 10)[0]
        for sampler in (DDIM(spacing, offset, eta=1.0), DDPM(spacing, offset), EulerAncestral(spacing, offset))
    )
    for one, two, three in zip(ddim, ddpm, euler, strict=True):
        assert torch.equal(two, three)
        close(one, two)


def test_euler_ancestral_goes_from_both_ends():
    assert EulerAncestral().timesteps(NOISE, 5) == [999, 749, 500, 250, 0]
    assert DDPM().timesteps(NOISE, 5) == [999, 799, 599, 399, 199]


# ------------------------------------------------------------------------------------------------ DPM-Solver++


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("steps", [4, 20])
def test_dpm_solver_on_our_tables_is_diffusers_own(steps, zero_snr, order):
    theirs = diffusers.DPMSolverMultistepScheduler(
        solver_order=order, prediction_type="sample", timestep_spacing="trailing", rescale_betas_zero_snr=zero_snr,
        **STABLE_DIFFUSION,
    )  # fmt: skip
    theirs.set_timesteps(steps)
    shown, visited = watched(DPMSolver(order=order), ZERO if zero_snr else NOISE, steps)
    assert visited == theirs.timesteps.tolist()
    x = START
    for k, t in enumerate(visited):
        close(shown[k], x, 2e-4)  # its float32 table
        x = theirs.step(x0_of(x, t), t, x).prev_sample
    close(shown[-1], x, 2e-4)


@pytest.mark.parametrize("noise", [NOISE, ZERO, Flow(), Flow(5.0)])
def test_dpm_solver_is_the_papers_algorithm(noise):
    """DPM-Solver++(2M) of Lu et al. (2022), algorithm 2, in double precision."""
    visited = DPMSolver().timesteps(noise, 16)
    signal = np.maximum(noise.alphas_cumprod[visited], 2.0**-24)
    lam = np.log(signal / (1 - signal)) / 2
    x, before, path = START.double(), None, []
    for k, t in enumerate(visited):
        path.append(x)
        x0 = x0_of(x, t)
        if k + 1 == len(visited):
            x = x0
            break
        h = lam[k + 1] - lam[k]
        d = x0 if k == 0 else x0 + (x0 - before) * h / (lam[k] - lam[k - 1]) / 2
        a, s = signal[k + 1] ** 0.5, (1 - signal[k + 1]) ** 0.5
        x, before = s / (1 - signal[k]) ** 0.5 * x - a * math.expm1(-h) * d, x0
    ours, _ = watched(DPMSolver(), noise, 16)
    for one, other in zip(ours, [*path, x], strict=True):
        close(one, other, 2e-4)


@pytest.mark.parametrize("noise", [NOISE, Flow()])
def test_dpm_solver_of_order_1_is_ddim(noise):
    for one, other in zip(watched(DPMSolver(order=1), noise, 20)[0], watched(DDIM(), noise, 20)[0], strict=True):
        close(one, other, 5e-4)


def test_the_stand_in_for_no_signal_keeps_away_from_a_neighbour_that_is_nearly_without():
    """At equal alphas_cumprod the solver would divide the change of x0 by a step of no length."""
    noise, shown = TableNoise(np.array([0.5, 2**-24 * 1.0001, 0.0])), []

    def denoise(x, t):
        shown.append(x)
        return torch.full_like(x, 0.1 * t)

    DPMSolver().trajectory(denoise, START, noise, 3, NAMES)
    assert shown[2].abs().max() < 10


@pytest.mark.parametrize("order", [0, 4])
def test_an_order_that_does_not_exist_is_refused(order):
    with pytest.raises(ValueError, match="order is 1, 2 or 3"):
        DPMSolver(order=order)


# ------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("sampler", ALL)
def test_a_sample_is_drawn_alike_in_any_batch(sampler):
    both = sampler.trajectory(x0_of, START, NOISE, 10, NAMES)
    alone = sampler.trajectory(x0_of, START[1:], NOISE, 10, NAMES[1:])
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one.x0[1:], other.x0)


@pytest.mark.parametrize("sampler", [DDIM(eta=0.5), DDPM(), DDPM(variance="large"), EulerAncestral()])
def test_who_draws_draws_anew_for_another_name_and_the_same_for_the_same(sampler):
    first, again = (sampler.trajectory(x0_of, START, NOISE, 10, NAMES)[-1].x0 for _ in range(2))
    other = sampler.trajectory(x0_of, START, NOISE, 10, [("sample", 5), ("sample", 6)])[-1].x0
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 1e-3


@pytest.mark.parametrize("sampler", ALL)
def test_a_trajectory_runs_without_reading_a_single_value_back(sampler):
    made = sampler.trajectory(lambda x, t: x * 0.5, START.to("meta"), ZERO, 5, NAMES)
    assert [step.x0.device.type for step in made] == ["meta"] * 5
