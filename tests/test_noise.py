"""Noise schedules, against worked values and against diffusers."""

import diffusers
import numpy as np
import pytest
import torch

from addp_bench.errors import BadModel, BadOption
from addp_bench.plugins.noise import Cosine, Linear, ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, EpsilonCorrected, Flow, V
from addp_bench.schedule import TableNoise, from_betas, from_scheduler_config, require_recoverable

# t: beta, alphas_cumprod, a, s, SNR, ln SNR of Stable Diffusion's schedule
STABLE_DIFFUSION = {
    0: (0.00085000, 0.99915000, 0.999575, 0.029155, 1175.4706, 7.069424),
    1: (0.00085470, 0.99829603, 0.999148, 0.041279, 585.86405, 6.373088),
    100: (0.00138397, 0.89422348, 0.945634, 0.325233, 8.4538937, 2.134627),
    250: (0.00242776, 0.67379263, 0.820849, 0.571146, 2.0655346, 0.725389),
    500: (0.00481495, 0.27633268, 0.525674, 0.850686, 0.38185044, -0.962726),
    750: (0.00801158, 0.05616985, 0.237002, 0.971509, 0.059512665, -2.821566),
    900: (0.01031808, 0.01415114, 0.118959, 0.992899, 0.014354271, -4.243708),
    999: (0.01200000, 0.00466010, 0.068265, 0.997667, 0.0046819167, -5.364048),
}
# t: alphas_cumprod and SNR of DDPM's linear schedule, then of Stable Diffusion's at zero terminal SNR
OTHERS = {
    0: (0.99990000, 9999, 0.99915000, 1175.4706),
    1: (0.99978009, 4546.3577, 0.99823345, 565.07388),
    100: (0.89514159, 8.5366696, 0.88676128, 7.830902),
    250: (0.52142303, 1.089528, 0.65245702, 1.8773419),
    500: (0.07779666, 0.084359549, 0.24101878, 0.31755566),
    750: (0.00330016, 0.0033110855, 0.03279912, 0.033911382),
    900: (0.00027024, 0.00027031757, 0.00296039, 0.0029691834),
    999: (0.00004036, 4.0359927e-05, 0, 0),
}


@pytest.mark.parametrize("t", STABLE_DIFFUSION)
def test_stable_diffusions_schedule_has_its_worked_values(t):
    noise, at = ScaledLinear(), torch.tensor([t])
    beta, signal, a, s, snr, log_snr = STABLE_DIFFUSION[t]
    assert noise.betas[t] == pytest.approx(beta, abs=6e-9)
    assert noise.alphas_cumprod[t] == pytest.approx(signal, abs=6e-9)
    assert noise.a(at).item() == pytest.approx(a, abs=6e-7)
    assert noise.s(at).item() == pytest.approx(s, abs=6e-7)
    assert noise.snr(at).item() == pytest.approx(snr, rel=1e-7)
    assert noise.snr(at).log().item() == pytest.approx(log_snr, abs=6e-7)


@pytest.mark.parametrize("t", OTHERS)
def test_the_linear_and_the_zero_snr_schedules_have_their_worked_values(t):
    linear, linear_snr, zero, zero_snr = OTHERS[t]
    at = torch.tensor([t])
    assert Linear().alphas_cumprod[t] == pytest.approx(linear, abs=6e-9)
    assert Linear().snr(at).item() == pytest.approx(linear_snr, rel=1e-7)
    assert ScaledLinear(zero_snr=True).alphas_cumprod[t] == pytest.approx(zero, abs=6e-9)
    assert ScaledLinear(zero_snr=True).snr(at).item() == pytest.approx(zero_snr, rel=1e-7, abs=0)


def test_snr_at_0_is_that_of_doubles_where_diffusers_keeps_floats():
    float32 = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float32) ** 2, 0)[0]
    assert float(float32.double() / (1 - float32.double())) == pytest.approx(1175.4403, abs=1e-3)
    assert ScaledLinear().snr(torch.tensor(0)).item() == pytest.approx(1175.4706, abs=1e-4)
    assert Linear().alphas_cumprod[10] == pytest.approx(0.997807, abs=5e-7), "DDAE's t = 11, which counts from 1"


def test_the_cosine_schedule_ends_where_beta_is_capped():
    made = Cosine()
    assert made.betas.max() == pytest.approx(0.999)
    before = (np.cos((999 / 1000 + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2
    assert made.alphas_cumprod[-1] == pytest.approx(before * 1e-3, rel=1e-9)


def test_snr_falls_below_5_at_147_and_below_1_at_354():
    snr = ScaledLinear().snr(torch.arange(1000))
    assert int((snr <= 5).int().argmax()) == 147
    assert int((snr <= 1).int().argmax()) == 354


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("made", [ScaledLinear, Linear, Cosine])
def test_shift_multiplies_the_snr_at_every_timestep(made, zero_snr):
    t = torch.arange(1000)
    torch.testing.assert_close(made(zero_snr, shift=0.25).snr(t), 0.25 * made(zero_snr).snr(t), rtol=1e-9, atol=0)


@pytest.mark.parametrize("made", [ScaledLinear, Linear, Cosine])
def test_signal_and_noise_keep_the_variance_at_one(made):
    t = torch.arange(1000)
    noise = made()
    torch.testing.assert_close(noise.a(t) ** 2 + noise.s(t) ** 2, torch.ones(1000))
    assert noise.a(t).dtype == noise.s(t).dtype == torch.float32
    assert noise.snr(t).dtype == torch.float64
    torch.testing.assert_close((noise.a(t).double() / noise.s(t).double()) ** 2, noise.snr(t), rtol=1e-5, atol=0)


def test_training_noise_and_start_are_the_white_noise_itself():
    white = torch.randn(2, 4, 3, 3)
    assert torch.equal(ScaledLinear().draw(white, torch.tensor([3, 999])), white)
    assert torch.equal(ScaledLinear().start(white), white)


def test_a_schedule_answers_on_the_device_of_its_question():
    assert ScaledLinear().a(torch.tensor([3], device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    "config",
    [
        {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
        {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True},
        {"beta_schedule": "linear", "num_train_timesteps": 400},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": np.linspace(0.001, 0.03, 50).tolist(), "num_train_timesteps": 50},
        {},
    ],
)
def test_a_scheduler_config_means_what_diffusers_makes_of_it(config):
    theirs = diffusers.DDIMScheduler(**config).alphas_cumprod.double().numpy()  # of diffusers 0.42
    ours = from_scheduler_config(config)
    np.testing.assert_allclose(ours.alphas_cumprod, theirs, rtol=2e-5, atol=1e-7)
    assert ours.steps == len(theirs)


def test_our_schedules_are_those_of_the_configs_that_are_shipped_with_the_models():
    sd = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    np.testing.assert_array_equal(ScaledLinear().alphas_cumprod, from_scheduler_config(sd).alphas_cumprod)
    np.testing.assert_array_equal(Linear().alphas_cumprod, from_scheduler_config({}).alphas_cumprod)
    cosine = from_scheduler_config({"beta_schedule": "squaredcos_cap_v2"})
    np.testing.assert_array_equal(Cosine().alphas_cumprod, cosine.alphas_cumprod)


def test_a_shifted_schedule_survives_being_written_as_trained_betas():
    shifted = ScaledLinear(shift=0.1)
    read = from_scheduler_config({"trained_betas": shifted.betas.tolist(), "num_train_timesteps": 1000})
    np.testing.assert_allclose(read.alphas_cumprod, shifted.alphas_cumprod, rtol=1e-10)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid'"),
        ({"trained_betas": [0.1, 0.2]}, "num_train_timesteps is 1000"),
        ({"trained_betas": [0.1, -0.2], "num_train_timesteps": 2}, "fall strictly"),
    ],
)
def test_a_config_that_is_no_schedule_is_refused_with_the_reason(config, words):
    with pytest.raises(BadModel, match=words):
        from_scheduler_config(config)


@pytest.mark.parametrize(
    "table", [[], [[0.5]], [0.9, 0.9], [0.5, 0.6], [1.0, 0.5], [0.5, -0.1], [0.5, np.nan], [0.5, 0, 0]]
)
def test_a_table_that_does_not_fall_from_1_to_0_is_refused(table):
    with pytest.raises(ValueError, match="alphas_cumprod"):
        TableNoise(np.array(table))


@pytest.mark.parametrize("shift", [0.0, -1.0, np.inf, np.nan])
def test_a_shift_that_is_not_positive_is_refused(shift):
    with pytest.raises(ValueError, match="shift"):
        from_betas(np.full(3, 0.1), shift=shift)


def test_only_targets_that_know_x0_without_signal_may_end_in_pure_noise():
    for target in (X0(), V(), Flow()):
        require_recoverable(ScaledLinear(zero_snr=True), target)
    for target in (Epsilon(), EpsilonCorrected()):
        require_recoverable(ScaledLinear(), target)
        with pytest.raises(BadOption, match="Take --target x0, v or flow, or a schedule"):
            require_recoverable(ScaledLinear(zero_snr=True), target)
