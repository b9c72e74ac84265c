"""The weighting against numbers worked by hand, and against what the bench asks of any weighting."""

import math

import numpy as np
import pytest
import torch
from addp_bench_sigmoid import Sigmoid

from addp_bench import checks
from addp_bench.errors import BadOption, BenchError
from addp_bench.loading import load
from addp_bench.schedule import TableNoise, from_betas, scaled_linear
from addp_bench.spec import Choice

REGISTRY = load().registry
NOISE = TableNoise(from_betas(scaled_linear()))
EPSILON, X0 = (REGISTRY.build("target", name) for name in ("epsilon", "x0"))
# SNR e^2, 1 and e^-2: alphas_cumprod = SNR / (1 + SNR), log-SNR 2, 0, -2, which falls by 2 at every step
EVEN = TableNoise(np.array([math.e**2 / (1 + math.e**2), 0.5, math.e**-2 / (1 + math.e**-2)]))


@pytest.mark.parametrize("name", ["sigmoid", "sigmoid:k=2:over=logsnr", "sigmoid:k=-3", "sigmoid:scaling=loss"])
def test_it_keeps_the_contract_of_weights(name):
    checks.require(REGISTRY, "weights", Choice.parse(name))


def test_it_is_installed_and_nobody_elses():
    assert REGISTRY.get("weights", "sigmoid").origin == "addp-bench-sigmoid 0.1.0"


@pytest.mark.parametrize(
    "k, expected",
    [
        # sigmoid(k - lambda) at lambda = 2, 0, -2; the three add up to 1.5 and to 0.5 + 0.880797 + 0.982014
        (0.0, [0.119203 / 1.5, 0.5 / 1.5, 0.880797 / 1.5]),
        (2.0, [0.5 / 2.362811, 0.880797 / 2.362811, 0.982014 / 2.362811]),
    ],
)
def test_weights_worked_by_hand_where_log_snr_falls_evenly(k, expected):
    for over in ("t", "logsnr"):
        made = Sigmoid(k, over).bind(EVEN, EPSILON, None)
        assert made.probabilities == pytest.approx(expected, abs=1e-6)
        by_loss = Sigmoid(k, over, "loss").bind(EVEN, EPSILON, None).loss_weights
        assert by_loss == pytest.approx([3 * p for p in expected], abs=3e-6)


def test_a_timestep_counts_for_the_log_snr_that_it_covers():
    # log-SNR 3, 1, 0: slopes 2, (3 - 0) / 2, 1; sigmoid(-lambda) 0.0474259, 0.2689414, 0.5
    uneven = TableNoise(1 / (1 + np.exp([-3.0, -1.0, 0.0])))
    raw = np.array([0.0474259 * 2, 0.2689414 * 1.5, 0.5])
    assert Sigmoid(over="logsnr").bind(uneven, EPSILON, None).probabilities == pytest.approx(raw / raw.sum(), abs=1e-7)
    flat = np.array([0.0474259, 0.2689414, 0.5])
    assert Sigmoid().bind(uneven, EPSILON, None).probabilities == pytest.approx(flat / flat.sum(), abs=1e-7)


def test_unshifted_it_is_p2():
    """sigmoid(-lambda) = 1 / (1 + SNR), which is P2 with k = 1 and gamma = 1."""
    p2 = REGISTRY.build("weights", "p2").bind(NOISE, EPSILON, None)
    assert Sigmoid().bind(NOISE, EPSILON, None).probabilities == pytest.approx(p2.probabilities, rel=1e-9)


def test_on_x0_it_is_the_same_objective():
    made = Sigmoid(1.0, scaling="loss").bind(EVEN, X0, None).loss_weights
    on_epsilon = Sigmoid(1.0, scaling="loss").bind(EVEN, EPSILON, None).loss_weights
    snr = np.exp([2.0, 0.0, -2.0])  # |eps error|^2 = SNR |x0 error|^2
    assert made / made[1] == pytest.approx(on_epsilon * snr / on_epsilon[1], rel=1e-6)


def test_over_log_snr_the_objective_does_not_depend_on_the_schedule():
    """The share of the training between two noise levels is the same, however many timesteps lie between them."""
    lam = np.linspace(6, -6, 2001)
    bent = np.concatenate([np.linspace(6, 0, 1501), np.linspace(0, -6, 501)[1:]])
    shares = [
        made.probabilities[(grid > -2) & (grid < 1)].sum()
        for grid in (lam, bent)
        for made in [Sigmoid(0.5, "logsnr").bind(TableNoise(1 / (1 + np.exp(-grid))), EPSILON, None)]
    ]
    assert shares[0] == pytest.approx(shares[1], rel=2e-3)
    # by hand: the integral of sigmoid(k - x) from a to b is log(1 + e^(k - a)) - log(1 + e^(k - b))
    area = [math.log1p(math.exp(0.5 - a)) - math.log1p(math.exp(0.5 - b)) for a, b in ((-2, 1), (-6, 6))]
    assert shares[0] == pytest.approx(area[0] / area[1], rel=2e-3)


def test_it_never_rises_with_the_snr():
    for k in (-3.0, 0.0, 4.0):
        assert (np.diff(Sigmoid(k).bind(NOISE, EPSILON, None).probabilities) > 0).all()


def test_pure_noise_has_no_log_snr_to_cover_and_weighs_1_over_timesteps():
    zero = TableNoise(np.array([0.9, 0.5, 0.0]))
    with pytest.raises(BadOption, match="sigmoid:over=t"):
        Sigmoid(over="logsnr").bind(zero, EPSILON, None)
    made = Sigmoid().bind(zero, EPSILON, None).probabilities
    assert made == pytest.approx(np.array([0.1, 0.5, 1.0]) / 1.6)
    with pytest.raises(BadOption, match="sigmoid:over=t"):
        Sigmoid(over="logsnr").bind(TableNoise(np.array([0.5])), EPSILON, None)


def test_mistakes_of_the_request_are_told_by_name():
    with pytest.raises(BenchError, match="k is a finite number"):
        REGISTRY.build("weights", "sigmoid:k=inf")
    with pytest.raises(BenchError, match="over"):
        REGISTRY.build("weights", "sigmoid:over=time")


def test_draws_follow_the_probabilities():
    made = Sigmoid().bind(EVEN, EPSILON, None)
    t, weight = made.draw(torch.tensor([0.0, 0.0794, 0.0796, 0.4127, 0.4129, 0.999]), 0)
    assert t.tolist() == [0, 0, 1, 1, 2, 2]  # cumulative: 0.0795, 0.4128, 1
    assert weight.tolist() == [1] * 6
