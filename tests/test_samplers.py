"""Samplers: printed timesteps, worked numbers, and step-by-step equality with diffusers 0.42."""

import diffusers
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.samplers import DDIM
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.randomness import normal

NOISE = ScaledLinear()
TARGETS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
NAMES = [("sample", i) for i in range(2)]


@pytest.mark.parametrize(
    "sampler, steps, first, last",
    [
        (DDIM(spacing="leading"), 50, [981, 961], [21, 1]),
        (DDIM(spacing="leading"), 100, [991, 981], [11, 1]),
        (DDIM(spacing="leading", steps_offset=0), 50, [980, 960], [20, 0]),
        (DDIM(spacing="leading", steps_offset=0), 100, [990, 980], [10, 0]),
        (DDIM(), 50, [999, 979], [39, 19]),
        (DDIM(), 100, [999, 989], [19, 9]),
        (DDIM(), 4, [999, 749], [499, 249]),
        (DDIM(spacing="linspace"), 50, [999, 979, 958], [20, 0]),
    ],
)
def test_the_timesteps_visited_are_the_printed_ones(sampler, steps, first, last):
    visited = sampler.timesteps(NOISE, steps)
    assert len(visited) == steps
    assert visited[: len(first)] == first
    assert visited[-len(last) :] == last


def test_one_trailing_step_begins_at_pure_noise_and_one_leading_step_does_not():
    assert DDIM().timesteps(NOISE, 1) == [999]
    assert DDIM(spacing="leading").timesteps(NOISE, 1) == [1]


def fixed_network(scale=0.3):
    """A random network of x_t and t that stays bounded."""
    weight = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * scale

    def network(x, t):
        return torch.tanh(torch.nn.functional.conv2d(x, weight, padding=1) + t / 1000)

    return network


def as_x0(network, target):
    def denoise(x_t, t):
        at = torch.tensor(t)
        return target.to_x0(network(x_t, t), x_t, NOISE.a(at), NOISE.s(at))

    return denoise


def theirs(prediction, spacing, set_alpha_to_one, offset=1):
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type=prediction,
        timestep_spacing=spacing,
        set_alpha_to_one=set_alpha_to_one,
        steps_offset=offset,
    )
    # its float32 table is off by 7e-5 in 1 - alphas_cumprod at t = 0; the comparison is of the algorithm
    scheduler.alphas_cumprod = torch.tensor(NOISE.alphas_cumprod)
    scheduler.final_alpha_cumprod = torch.tensor(1.0) if set_alpha_to_one else scheduler.alphas_cumprod[0]
    return scheduler


@pytest.mark.parametrize("steps", [1, 4, 7, 50])
@pytest.mark.parametrize("set_alpha_to_one", [False, True])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("prediction", TARGETS)
def test_every_step_equals_diffusers(prediction, spacing, set_alpha_to_one, steps):
    network, scheduler = fixed_network(), theirs(prediction, spacing, set_alpha_to_one)
    scheduler.set_timesteps(steps)
    start = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    x, expected = start, []
    for t in scheduler.timesteps:
        out = scheduler.step(network(x, int(t)), t, x)
        expected.append((int(t), out.pred_original_sample))
        x = out.prev_sample
    sampler = DDIM(spacing=spacing, set_alpha_to_one=set_alpha_to_one)
    if not set_alpha_to_one or expected[-1][0] < 1000 // steps:
        expected[-1] = (expected[-1][0], x)  # pipelines answer with the last sample, which may hold noise: see below
    made = sampler.trajectory(as_x0(network, TARGETS[prediction]), start, NOISE, steps, NAMES)
    assert [step.t for step in made] == [t for t, _ in expected]
    for step, (_, x0) in zip(made, expected):
        torch.testing.assert_close(step.x0.double(), x0.double(), rtol=1e-5, atol=2e-5)


def test_the_answer_of_ddim_is_its_last_estimate_for_any_number_of_steps():
    start, answer = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(1)), torch.ones(1, 4, 2, 2)
    noisy = []
    for steps in range(1, 1001):
        last = DDIM().timesteps(NOISE, steps)[-1]
        if last >= 1000 // steps:
            noisy.append(steps)  # in diffusers
    assert (len(noisy), noisy[:4]) == (377, [6, 7, 11, 13])
    for steps in (1, 4, 6, 7, 11, 13, 60):
        made = DDIM().trajectory(lambda x, t: answer, start, NOISE, steps, NAMES[:1])
        assert torch.equal(made[-1].x0, answer), steps


@pytest.mark.parametrize("options", [{"spacing": "trailing"}, {"spacing": "linspace"}])
def test_an_offset_that_nothing_would_use_is_refused(options):
    with pytest.raises(ValueError, match="steps_offset belongs to spacing=leading"):
        DDIM(steps_offset=500, **options)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_the_noise_on_the_way_is_diffusers_with_each_samples_own_stream(eta):
    network, scheduler = fixed_network(), theirs("epsilon", "trailing", False)
    scheduler.set_timesteps(10)
    start = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    x = start
    for t in scheduler.timesteps:
        white = normal((4, 6, 6), [(*name, "ddim", int(t)) for name in NAMES])
        out = scheduler.step(network(x, int(t)), t, x, eta=eta, variance_noise=white)
        x = out.prev_sample
    made = DDIM(eta=eta, set_alpha_to_one=False).trajectory(as_x0(network, Epsilon()), start, NOISE, 10, NAMES)
    torch.testing.assert_close(made[-1].x0.double(), x.double(), rtol=1e-5, atol=2e-5)


def test_a_sample_draws_the_same_noise_in_any_batch():
    network = as_x0(fixed_network(), Epsilon())
    start = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    both = DDIM(eta=1.0).trajectory(network, start, NOISE, 10, NAMES)[-1].x0
    alone = DDIM(eta=1.0).trajectory(network, start[1:], NOISE, 10, NAMES[1:])[-1].x0
    torch.testing.assert_close(both[1:], alone)


def test_the_worked_first_step_of_stable_diffusion():
    seen = []

    def denoise(x_t, t):
        seen.append((t, x_t.item()))
        return constant(x_t, t)

    made = DDIM(spacing="leading").trajectory(denoise, torch.full((1, 1, 1, 1), 0.5), NOISE, 50, NAMES[:1])
    assert (made[0].t, made[0].x0.item()) == (981, pytest.approx(9.859338, abs=5e-6))
    assert seen[1] == (961, pytest.approx(0.592239, abs=2e-6))


@pytest.mark.parametrize("set_alpha_to_one, answer", [(True, 0.510755), (False, 0.503249)])
def test_the_worked_last_step_of_stable_diffusion(set_alpha_to_one, answer):
    sampler = DDIM(spacing="leading", set_alpha_to_one=set_alpha_to_one)
    made = sampler.trajectory(constant, torch.full((1, 1, 1, 1), 0.5), NOISE, 1, NAMES[:1])
    assert (made[0].t, made[0].x0.item()) == (1, pytest.approx(answer, abs=6e-7))


def constant(x_t, t):
    """A noise estimate of -0.25 everywhere."""
    at = torch.tensor(t)
    return Epsilon().to_x0(torch.full_like(x_t, -0.25), x_t, NOISE.a(at), NOISE.s(at))


def test_a_perfect_x0_model_is_followed_exactly_from_pure_noise():
    zero, answer = ScaledLinear(zero_snr=True), torch.randn(2, 4, 6, 6)
    seen = []

    def denoise(x_t, t):
        seen.append(x_t)
        return answer

    start = torch.randn(2, 4, 6, 6)
    made = DDIM().trajectory(denoise, start, zero, 10, NAMES)
    assert torch.equal(made[-1].x0, answer)
    at = torch.tensor(899)  # the second visited: the same noise, seen with more signal
    torch.testing.assert_close(seen[1], zero.a(at) * answer + zero.s(at) * start)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_number_of_steps_that_does_not_fit_is_refused(steps):
    with pytest.raises(BadOption, match="between 1 and 1000"):
        DDIM().timesteps(NOISE, steps)


def test_leading_steps_that_would_begin_past_the_schedule_are_refused():
    with pytest.raises(BadOption, match=r"begin at t = 1000.*spacing=trailing"):
        DDIM(spacing="leading", steps_offset=1).timesteps(NOISE, 1000)


@pytest.mark.parametrize("wrong", [{"eta": -0.1}, {"eta": 1.1}, {"steps_offset": -1}])
def test_options_out_of_range_are_refused(wrong):
    (option,) = wrong
    with pytest.raises(ValueError, match=option):
        DDIM(**wrong)


def test_a_trajectory_runs_without_reading_a_single_value_back():
    start = torch.randn(2, 4, 6, 6, device="meta")
    made = DDIM().trajectory(lambda x_t, t: x_t * 0.5, start, NOISE, 5, NAMES)
    assert made[-1].x0.device.type == "meta"
