"""Flows: the schedule, the target, and that samplers meet them as the variance-preserving process they are."""

import json

import bench
import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addp_bench.errors import BadModel
from addp_bench.plugins.exposures import EpsilonScaling, NoExposure
from addp_bench.plugins.guidance import InstructDiffusion, NoGuidance
from addp_bench.plugins.noise import Flow, ScaledLinear
from addp_bench.plugins.samplers import DDIM, DDPM, DPMSolver, EulerAncestral
from addp_bench.plugins.targets import X0, Epsilon, EpsilonCorrected, V
from addp_bench.plugins.targets import Flow as FlowTarget
from addp_bench.sampling import begin, exposed, guided
from addp_bench.schedule import TableNoise, from_scheduler_config

T = torch.arange(1000)
NAMES = [("sample", i) for i in range(2)]
TARGETS = {"epsilon": Epsilon(), "epsilon_corrected": EpsilonCorrected(), "x0": X0(), "v": V(), "flow": FlowTarget()}
signals = st.lists(st.floats(1e-4, 0.999), min_size=6, max_size=6, unique=True).map(lambda v: sorted(v, reverse=True))


class Network:
    """A random conditional network that stays bounded; keeps what it is shown."""

    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.from_x, self.from_image = (torch.randn(4, 4, 3, 3, generator=g) * 0.2 for _ in range(2))
        self.shown = []

    def forward(self, x_t, t, image, text):
        self.shown.append((int(t[0]) if t.device.type != "meta" else None, x_t))
        conv, to = torch.nn.functional.conv2d, x_t
        seen = conv(x_t, self.from_x.to(to), padding=1) + conv(image.to(to), self.from_image.to(to), padding=1)
        return torch.tanh(seen + text.to(to).mean((1, 2))[:, None, None, None] + (t / 1000)[:, None, None, None])


def scene(count=2):
    g = torch.Generator().manual_seed(1)
    image, text = torch.randn(count, 4, 6, 6, generator=g), torch.randn(count, 7, 5, generator=g)
    return {"image_cond": image, "text": text, "null_text": torch.randn(7, 5, generator=g)}


def white(count=2, seed=2):
    return torch.randn(count, 4, 6, 6, generator=torch.Generator().manual_seed(seed))


class Scaled(TableNoise):
    """Another schedule's process in coordinates of another size at each timestep."""

    def start(self, white):
        return white * float(self.s(torch.tensor(self.steps - 1)) / (1 - self.alphas_cumprod[-1]) ** 0.5)


# ------------------------------------------------------------------------------------------------ the schedule


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.1])
def test_a_flow_has_the_sigmas_of_diffusers_and_keeps_a_plus_s_at_1(shift):
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift).sigmas.flip(0)  # of diffusers 0.42
    noise = Flow(shift)
    torch.testing.assert_close(noise.s(T), theirs, rtol=1e-6, atol=0)
    torch.testing.assert_close(noise.a(T) + noise.s(T), torch.ones(1000))
    assert (noise.a(T[-1]), noise.s(T[-1]), noise.alphas_cumprod[-1]) == (0, 1, 0)


def test_a_flow_by_hand():
    """t = 249: sigma 0.25, and 0.5 at shift 3; t = 499: sigma 0.5, and 0.75."""
    plain, shifted, at = Flow(), Flow(3.0), torch.tensor([249, 499])
    assert plain.s(at).tolist() == pytest.approx([0.25, 0.5])
    assert plain.snr(at).tolist() == pytest.approx([9.0, 1.0], rel=1e-9)
    assert plain.alphas_cumprod[[249, 499]].tolist() == pytest.approx([0.9, 0.5])
    assert shifted.s(at).tolist() == pytest.approx([0.5, 0.75])
    assert shifted.snr(at).tolist() == pytest.approx([1.0, 1 / 9], rel=1e-9)
    assert plain.betas[499] == pytest.approx(1 - plain.alphas_cumprod[499] / plain.alphas_cumprod[498])


@pytest.mark.parametrize("shift", [0.2, 1.0, 7.0])
def test_the_shift_of_a_flow_divides_the_snr_by_its_square(shift):
    torch.testing.assert_close(Flow(shift).snr(T), Flow().snr(T) / shift**2, rtol=1e-8, atol=0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_a_shift_that_moves_nowhere_is_refused(wrong):
    with pytest.raises(ValueError, match="shift"):
        Flow(wrong)


def test_a_flow_answers_on_the_device_of_its_question():
    assert Flow().a(torch.tensor([3], device="meta")).device.type == "meta"


@pytest.mark.parametrize("config", [{"_class_name": "FlowMatchEulerDiscreteScheduler"}, {"use_flow_sigmas": True}])
def test_a_model_that_was_trained_as_a_flow_is_refused_and_not_read_as_ddpm(config):
    with pytest.raises(BadModel, match="flow on continuous timesteps"):
        from_scheduler_config(config)


# ------------------------------------------------------------------------------------------------ the target


def test_the_flow_target_is_the_derivative_of_x_by_sigma():
    noise, at = Flow(), torch.tensor([300, 301])
    a, s = noise.a(at).double(), noise.s(at).double()
    x0, eps = 0.8, -0.3
    x = a * x0 + s * eps
    u = FlowTarget().of(torch.tensor(x0), x, torch.tensor(eps), a, s)
    assert u.tolist() == pytest.approx([eps - x0] * 2, abs=1e-6)
    assert ((x[1] - x[0]) / (s[1] - s[0])).item() == pytest.approx(eps - x0, abs=1e-4)


def test_the_flow_target_by_hand_leads_from_a_corrupted_input_to_the_clean_x0():
    """a = 0.6, s = 0.8; x0 = 1, shown as 2, eps = 0.5: x = 1.6, eps' = 1.25, u = 0.25, and back (1.6 - 0.2) / 1.4."""
    a, s, x0, eps = (torch.tensor(v, dtype=torch.float64) for v in (0.6, 0.8, 1.0, 0.5))
    x_t = a * 2.0 + s * eps
    u = FlowTarget().of(x0, x_t, eps, a, s)
    assert u.item() == pytest.approx(0.25)
    assert FlowTarget().to_x0(u, x_t, a, s).item() == pytest.approx(1.0)
    assert FlowTarget().error_scale(a**2 / s**2).item() == pytest.approx((1 + 0.75) ** 2)


# ------------------------------------------------------------------------------------------------ coordinates


@pytest.mark.parametrize("steps", [1, 4, 20, 100])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_ddim_on_a_flow_is_eulers_step_of_diffusers(shift, steps):
    network, noise, start, given = Network(), Flow(shift), white(), scene()
    denoise = guided(network, NoGuidance(), FlowTarget(), noise=noise, **given)
    made = DDIM().trajectory(denoise, begin(noise, start), noise, steps, NAMES)

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    x, shown = start, list(network.shown)
    for (t, ours), step, sigma in zip(shown, made, scheduler.timesteps, strict=True):
        assert t == step.t
        torch.testing.assert_close(ours, x, rtol=1e-5, atol=2e-6)
        output = network.forward(x, torch.full((2,), t), given["image_cond"], given["text"])
        x = scheduler.step(output, sigma, x).prev_sample
    torch.testing.assert_close(made[-1].x0, x, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(signals, st.lists(st.floats(0.1, 10), min_size=6, max_size=6), st.sampled_from(list(TARGETS)), st.booleans())
def test_an_answer_does_not_depend_on_the_coordinates_of_the_schedule(signal, scale, name, stochastic):
    """A network that undoes the scale must be led to the same answer, whatever the scale is."""
    plain, scaled = TableNoise(np.array(signal)), Scaled(np.array(signal), np.array(scale))
    target = TARGETS[name]

    class Undoes(Network):
        """Says the same x0 for x and for c x."""

        def forward(self, x_t, t, image, text):
            c = (scaled.a(t) ** 2 + scaled.s(t) ** 2).sqrt()[:, None, None, None]
            a, s, x = scaled.a(t)[:, None, None, None], scaled.s(t)[:, None, None, None], x_t / c
            x0 = super().forward(x, t, image, text)
            return target.of(x0, x_t, (x_t - a * x0) / s, a, s)

    def answer(noise, network, target):
        denoise = exposed(
            guided(network, NoGuidance(), target, noise=noise, **scene()),
            EpsilonScaling(b=1.01),
            noise,
            range(5, -1, -1),
        )
        sampler = DDPM() if stochastic else DDIM()
        return sampler.trajectory(denoise, begin(noise, white()), noise, 6, NAMES)[-1].x0

    torch.testing.assert_close(answer(scaled, Undoes(), target), answer(plain, Network(), X0()), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("noise", [ScaledLinear(), ScaledLinear(zero_snr=True), ScaledLinear(shift=0.1)])
def test_a_variance_preserving_schedule_is_left_alone_bit_for_bit(noise):
    network, x = Network(), white()
    assert begin(noise, x) is x
    denoise = guided(network, NoGuidance(), V(), noise=noise, **scene())
    for t in T.tolist():
        denoise(x, t)
    assert all(torch.equal(x, shown) for _, shown in network.shown)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("whole", [ScaledLinear(), Flow()])
def test_epsilon_scaling_shifts_x0_alike_for_every_target_and_on_a_flow(whole, name):
    """x0 moves by (s / a)(1 - 1 / b) eps, whatever the network said it in."""
    size = (whole.a(T) ** 2 + whole.s(T) ** 2).sqrt().numpy()
    noise, t = Scaled(whole.alphas_cumprod[:900], size[:900]), 700  # without the end, where epsilon says nothing
    denoise = guided(Network(), NoGuidance(), TARGETS[name], noise=noise, **scene())
    x = white()
    x0, a, s = denoise(x, t), noise.alphas_cumprod[t] ** 0.5, (1 - noise.alphas_cumprod[t]) ** 0.5
    changed = exposed(denoise, EpsilonScaling(b=1.005), noise, [t])(x, t)
    torch.testing.assert_close(changed - x0, s / a * (1 - 1 / 1.005) * (x - a * x0) / s, rtol=1e-4, atol=2e-6)


def test_epsilon_scaling_leaves_the_start_of_a_flow_as_it_is():
    noise = Flow()
    denoise = guided(Network(), NoGuidance(), FlowTarget(), noise=noise, **scene())
    x = begin(noise, white())
    assert torch.equal(exposed(denoise, EpsilonScaling(b=1.01), noise, [999, 499])(x, 999), denoise(x, 999))
    assert exposed(denoise, NoExposure(), noise, [499])(x, 499).equal(denoise(x, 499))


@pytest.mark.parametrize(
    "sampler", [DDIM(), DDIM(eta=1.0), DDPM(), DDPM(variance="large"), EulerAncestral(), DPMSolver()]
)
def test_a_guided_trajectory_on_a_flow_runs_on_meta_where_a_hidden_wait_would_raise(sampler):
    there = {name: value.to("meta") for name, value in scene().items()}
    noise = Flow()
    denoise = guided(Network(), InstructDiffusion(), FlowTarget(), noise=noise, **there)
    denoise = exposed(denoise, EpsilonScaling(b=1.01), noise, sampler.timesteps(noise, 5))
    made = sampler.trajectory(denoise, begin(noise, white().to("meta")), noise, 5, NAMES)
    assert [step.x0.device.type for step in made] == ["meta"] * 5


# ------------------------------------------------------------------------------------------------ a whole run


def test_a_flow_is_trained_and_sampled_by_every_sampler(sd15, tmp_path):
    samplers = ["ddim", "ddpm:variance=large", "euler_ancestral", "dpm_solver"]
    axes = {"noise": ["flow:shift=3"], "target": ["flow"], "aug": ["linear"], "sampler": samplers}
    _, planned, finished = bench.run(bench.request(sd15, axes), tmp_path)
    assert not finished.failures
    assert len({stage.key for plan in planned for stage in plan.stages() if stage.kind == "train"}) == 1
    curves = [tuple(finished.records[plan.id].result["curve"]["t"]) for plan in planned]
    assert [curve[0] for curve in curves] == [999] * 4, "a flow begins at pure noise"
    assert [curve[-1] for curve in curves] == [99, 99, 0, 99]
    losses = [json.loads(file.read_text())["loss"] for file in tmp_path.glob("stages/train/*/log.json")]
    assert all(np.isfinite(loss) for _, loss in losses[0])
    drawn = [np.load(file) for file in tmp_path.glob("stages/predict/*/*.npy")]
    assert len(drawn) == 4
    assert all(np.isfinite(x0).all() for x0 in drawn)
    assert len({x0[:, -1].tobytes() for x0 in drawn}) == 4
