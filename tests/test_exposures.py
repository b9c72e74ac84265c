"""Cures for exposure bias, against worked numbers."""

import pytest
import torch

from addp_bench.plugins.exposures import EpsilonScaling, InputPerturbation, NoExposure
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import Epsilon
from addp_bench.sampling import exposed

NOISE = ScaledLinear()


def shown(x_t, t):
    """A network whose noise estimate is 1 everywhere, as x0."""
    at = torch.tensor(t)
    return Epsilon().to_x0(torch.ones_like(x_t), x_t, NOISE.a(at), NOISE.s(at))


def test_no_exposure_changes_nothing():
    x = torch.randn(2, 4, 3, 3)
    assert NoExposure().train_input(x, torch.tensor([3, 5]), NOISE, None, shown) is x
    assert torch.equal(exposed(shown, NoExposure(), NOISE, [999, 0])(x, 999), shown(x, 999))


@pytest.mark.parametrize("gamma, factor", [(0.1, 1.004988), (0.15, 1.011187)])
def test_input_perturbation_raises_the_noise_by_its_worked_factor(gamma, factor):
    eps, white = torch.randn(2, 1, 1, 400, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([400])
    s = NOISE.s(at).double().view(1, 1, 1, 1)
    made = InputPerturbation(gamma).train_input(s * eps, at, NOISE, white, shown)
    assert (made.std() / s).item() == pytest.approx(factor, abs=0.004)
    torch.testing.assert_close(made, s * (eps + gamma * white))


@pytest.mark.parametrize(
    "gamma, snr_250, snr_0, shrunk", [(0.1, 2.04508, 1163.83, 0.990099), (0.15, None, None, 0.977995)]
)
def test_input_perturbation_shows_the_worked_snr_and_shrinks_the_best_answer(gamma, snr_250, snr_0, shrunk):
    t = torch.tensor([0, 250])
    moved = InputPerturbation(gamma).train_input(torch.zeros(2, 1, 1, 1), t, NOISE, torch.ones(2, 1, 1, 1), shown)
    extra = (moved.flatten() / NOISE.s(t)).double().square()  # gamma^2, of noise of variance 1
    if snr_0 is not None:
        assert (NOISE.snr(t) / (1 + extra)).tolist() == pytest.approx([snr_0, snr_250], rel=5e-6)
    assert (1 / (1 + extra)).tolist() == pytest.approx([shrunk] * 2, abs=1e-6)
    assert InputPerturbation() == InputPerturbation(0.1)


def test_input_perturbation_leaves_sampling_alone_and_epsilon_scaling_training():
    x = torch.randn(2, 4, 3, 3)
    assert InputPerturbation().sampled(x, 3) is x
    assert EpsilonScaling(b=1.01).train_input(x, torch.tensor([3, 5]), NOISE, None, shown) is x


@pytest.mark.parametrize(
    "t, shift", [(999, 0.072710), (750, 0.020394), (500, 0.008051), (250, 0.003462), (0, 0.000145)]
)
def test_epsilon_scaling_shifts_x0_by_its_worked_amount(t, shift):
    x = torch.zeros(1, 1, 1, 1)
    scaled = exposed(shown, EpsilonScaling(b=1.005), NOISE, [999, 750, 500, 250, 0])
    assert (scaled(x, t) - shown(x, t)).item() == pytest.approx(shift, abs=2e-6)


def test_the_divisor_counts_steps_from_the_least_noisy():
    made = EpsilonScaling(k=0.5, b=2.0)
    assert made.sampled(torch.tensor(6.0), 0).item() == 3.0
    assert made.sampled(torch.tensor(6.0), 2).item() == 2.0
    x = torch.zeros(1, 1, 1, 1)
    linear = exposed(shown, EpsilonScaling(k=0.5, b=1.0), NOISE, [900, 500, 100])
    assert torch.equal(linear(x, 100), shown(x, 100))
    torch.testing.assert_close(linear(x, 900), shown(x, 900) / 2.0)


def test_epsilon_scaling_leaves_a_timestep_without_signal_as_it_is():
    """There the noise estimate is x_t itself and says nothing of x0."""
    zero = ScaledLinear(zero_snr=True)
    x = torch.randn(1, 4, 2, 2)
    scaled = exposed(lambda x_t, t: 0.5 * x_t, EpsilonScaling(b=1.01), zero, [999, 500])
    assert torch.equal(scaled(x, 999), 0.5 * x)
    assert not torch.allclose(scaled(x, 500), 0.5 * x)


@pytest.mark.parametrize("wrong", [{"b": 0.0}, {"b": -1.0}, {"k": -0.1}])
def test_a_divisor_that_may_reach_0_is_refused(wrong):
    with pytest.raises(ValueError, match="divisor"):
        EpsilonScaling(**wrong)


def test_a_negative_perturbation_is_refused():
    with pytest.raises(ValueError, match="gamma"):
        InputPerturbation(-0.1)
