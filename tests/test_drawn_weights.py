"""SpeeD, Soft Truncation and log-normal noise levels, against worked values, scipy and draws."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from addp_bench.errors import BadOption
from addp_bench.plugins.drawn_weights import EDM, LogitNormal, SoftTruncation, Speed, mirrored, normal_mass
from addp_bench.plugins.noise import Flow as FlowNoise
from addp_bench.plugins.noise import Linear, ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.schedule import TableNoise
from addp_bench.timesteps import group_mass

NOISE, ZERO = ScaledLinear(), ScaledLinear(zero_snr=True)
SNR = NOISE.snr(torch.arange(1000)).numpy()
AT = [0, 250, 500, 750, 999]
EVEN = TableNoise(1.0 - (np.arange(100) + 1) / 101)  # 1 - alphas_cumprod rises by the same everywhere


def masses(weights, noise=NOISE, target=None):
    return group_mass(weights.bind(noise, target or Epsilon(), None).probabilities)


def test_speed_has_its_worked_distribution_weights_and_group_masses():
    alone = Speed(weight="none").bind(NOISE, Epsilon(), None)
    assert alone.probabilities[AT] == pytest.approx([0.00131579] * 3 + [0.00026316] * 2, abs=6e-9)
    assert alone.loss_weights.tolist() == [1.0] * 1000
    assert group_mass(alone.probabilities) == pytest.approx([0.131579] * 7 + [0.026316] * 3, abs=6e-7)
    released = Speed().bind(NOISE, Epsilon(), None)
    assert released.loss_weights[AT] == pytest.approx([0.497986, 0.594636, 0.557133, 1.0, 1.0], abs=6e-7)
    full = Speed(weight="draws").bind(NOISE, Epsilon(), None)
    assert full.probabilities[AT] == pytest.approx(
        [0.00111210, 0.00132794, 0.00124419, 0.00044664, 0.00044664], abs=6e-9
    )
    assert group_mass(full.probabilities) == pytest.approx(
        [0.116517, 0.126299, 0.132541, 0.133346, 0.128468, 0.119536, 0.109302, *[0.044664] * 3], abs=6e-7
    )


def test_speeds_weight_is_greatest_where_the_noise_level_rises_fastest():
    slope = np.gradient(1 - NOISE.alphas_cumprod)
    assert (int(slope.argmax()), slope.max()) == (313, pytest.approx(0.001684124, abs=6e-10))
    w = Speed(lambda_=0.9).bind(NOISE, Epsilon(), None).loss_weights
    assert (int(w[:700].argmax()), w[313]) == (313, pytest.approx(0.9))


def test_speeds_first_version_has_its_worked_distribution_and_p2s_weight():
    first = Speed(version=1, weight="none").bind(NOISE, Epsilon(), None)
    assert first.probabilities[AT] == pytest.approx([0.00112078] * 4 + [0.00022416], abs=6e-9)
    assert group_mass(first.probabilities) == pytest.approx([0.112078] * 8 + [0.080964, 0.022416], abs=6e-7)
    assert Speed(version=1).bind(NOISE, Epsilon(), None).loss_weights == pytest.approx(1 / (1 + SNR))


def test_speeds_weight_is_epsilons_and_converted_before_it_is_used():
    on_epsilon = Speed().bind(NOISE, Epsilon(), None)
    on_v = Speed().bind(NOISE, V(), None)
    np.testing.assert_array_equal(on_v.probabilities, on_epsilon.probabilities)
    np.testing.assert_allclose(on_v.loss_weights, on_epsilon.loss_weights * SNR / (1 + SNR))
    p = Speed(weight="none").bind(NOISE, Epsilon(), None).probabilities
    expected = p * on_epsilon.loss_weights * SNR
    drawn = Speed(weight="draws").bind(NOISE, X0(), None).probabilities
    weighed = Speed("loss").bind(NOISE, X0(), None).loss_weights
    np.testing.assert_allclose(drawn, expected / expected.sum())
    np.testing.assert_allclose(weighed, expected / expected.mean())
    np.testing.assert_allclose(Speed("loss", weight="none").bind(NOISE, X0(), None).loss_weights, p * 1000)


def test_a_timestep_is_mirrored_about_the_first_flat_one():
    for noise, m in ((NOISE, 866), (Linear(), 642)):
        mirror = mirrored(noise)
        assert (mirror[0], mirror[1], mirror[m - 1], mirror[m], mirror[999]) == (m, m - 1, 1, 0, 999 - m)


@pytest.mark.parametrize("batch, own", [(8, 4), (7, 4), (1, 1)])
def test_half_of_a_batch_is_the_mirror_image_of_the_other(batch, own):
    u = torch.rand(batch, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t, weight = Speed().bind(NOISE, Epsilon(), None).draw(u, 0)
    alone, _ = Speed(weight="none").bind(NOISE, Epsilon(), None).draw(u, 0)
    assert t[:own].tolist() == alone[:own].tolist()
    assert t[own:].tolist() == mirrored(NOISE)[t[: batch - own]].tolist()
    expected = Speed(dual=False).bind(NOISE, Epsilon(), None).loss_weights[t.numpy()]
    assert weight.tolist() == pytest.approx(expected.tolist())


def test_mirrored_pairs_have_the_distribution_that_is_declared_and_not_that_of_one_half():
    u = torch.from_numpy(np.random.default_rng(0).random(100_000))
    made, alone = Speed().bind(NOISE, Epsilon(), None), Speed(weight="none").bind(NOISE, Epsilon(), None)
    t = made.draw(u, 0)[0].numpy()
    # the two halves depend on each other; a timestep in each pair's first or second place is independent of the others
    for place, p in ((t[:50_000], alone.probabilities), (t[50_000:], 2 * made.probabilities - alone.probabilities)):
        seen, expected = group_mass(np.bincount(place, minlength=1000), 50), group_mass(p, 50) * 50_000
        assert (seen[expected == 0] == 0).all()
        assert stats.chisquare(seen[expected > 0], expected[expected > 0]).pvalue > 0.01
    assert abs(made.probabilities - alone.probabilities).sum() > 0.1


def test_where_the_schedule_is_nowhere_flat_nothing_is_mirrored():
    steep = ScaledLinear(shift=30.0)  # still rising at its end
    assert mirrored(steep) is None
    made = Speed().bind(steep, Epsilon(), None)
    assert made.probabilities == pytest.approx(Speed(weight="none").bind(steep, Epsilon(), None).probabilities)
    with pytest.raises(BadOption, match="weights speed: dual=true"):
        Speed(dual=True).bind(steep, Epsilon(), None)


def test_where_only_the_last_timestep_is_flat_nothing_is_mirrored():
    """The image of t = 0 would be t = T."""
    root = np.concatenate([np.linspace(0.1, 0.9, 9), [0.90005]])
    assert np.flatnonzero(np.gradient(root) < 1e-4).tolist() == [9]
    assert mirrored(TableNoise(1 - root**2)) is None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"version": 3}, "version"), ({"k": 0}, "k must"), ({"tau": -1}, "tau"), ({"lambda_": 5}, "lambda"),
        ({"version": 1, "tau": 600}, "version 2"), ({"dual": True, "scaling": "loss"}, "dual=true"),
        ({"dual": True, "weight": "draws"}, "dual=true"), ({"weight": "none", "lambda_": 0.9}, "lambda belongs"),
    ],
)  # fmt: skip
def test_speed_refuses_options_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        Speed(**options)


def test_speed_refuses_schedules_that_it_is_not_defined_on():
    with pytest.raises(BadOption, match="weights speed: tau=700"):
        Speed().bind(EVEN, Epsilon(), None)
    with pytest.raises(BadOption, match="weights speed: the noise level rises evenly"):
        Speed(tau=2).bind(TableNoise(np.array([0.75, 0.5, 0.25])), X0(), None)
    Speed(version=1).bind(EVEN, Epsilon(), None)  # it has no tau
    with pytest.raises(BadOption, match="weights speed: a schedule of one timestep has no slope"):
        Speed(tau=0).bind(TableNoise(np.array([0.5])), X0(), None)


def test_soft_truncation_has_its_worked_values():
    cdf = SoftTruncation().cdf(np.arange(1, 1001) / 1000)
    assert cdf[AT] == pytest.approx([0.400000, 0.879935, 0.939968, 0.975128, 1.0], abs=6e-7)
    form = SoftTruncation(form="cdf")
    assert form.bind(NOISE, X0(), None).probabilities[AT] == pytest.approx(
        [0.00043787, 0.00096323, 0.00102895, 0.00106744, 0.00109467], abs=6e-9
    )
    assert masses(form) == pytest.approx(
        [0.078371, 0.091279, 0.096241, 0.099466, 0.101865, 0.103778, 0.105369, 0.106731, 0.107921, 0.108979], abs=6e-7
    )
    for made in (SoftTruncation(), SoftTruncation(form="marginal")):
        assert made.bind(NOISE, X0(), None).probabilities[AT] == pytest.approx(
            [0.00040000, 0.00090469, 0.00099992, 0.00109533, 0.00164948], abs=6e-9
        )
        assert masses(made) == pytest.approx(
            [0.072024, 0.084776, 0.090394, 0.094584, 0.098228, 0.101722, 0.105368, 0.109562, 0.115192, 0.128150],
            abs=6e-7,
        )


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 1.0 + 1e-9, 1.2, 2.0, 3.0])
def test_tau_has_the_density_that_is_asked_for(k):
    made = SoftTruncation(k=k, epsilon=0.01)
    times = np.array([0.005, 0.01, 0.02, 0.1, 0.5, 1.0])
    whole = integrate.quad(lambda x: x**-k, 0.01, 1.0)[0]
    expected = [0.0, *(integrate.quad(lambda x: x**-k, 0.01, time)[0] / whole for time in times[1:])]
    assert made.cdf(times) == pytest.approx(expected, abs=1e-7)
    for u in (0.0, 0.1, 0.5, 0.99):
        assert made.cdf(np.array([made.tau(u)]))[0] == pytest.approx(u, abs=1e-7)
        assert 0.01 * (1 - 1e-12) <= made.tau(u) <= 1.0


def test_one_step_of_soft_truncation_has_one_tau_and_is_uniform_above_it():
    made = SoftTruncation(epsilon=0.3).bind(NOISE, X0(), None)
    u = torch.linspace(0, 1 - 1e-9, 50_001, dtype=torch.float64)
    for step in range(5):
        t, weight = made.draw(u, step)
        first = int(t.min())
        assert first >= 299
        assert set(t.tolist()) == set(range(first, 1000))
        counts = torch.bincount(t)[first:]
        assert counts.max() - counts.min() <= 2
        assert weight.tolist() == [1.0] * 50_001
    assert len({int(made.draw(u, step)[0].min()) for step in range(5)}) == 5


def test_soft_truncations_sampler_repeats_itself_and_differs_between_seeds_and_steps():
    made = SoftTruncation().bind(NOISE, X0(), None)
    u = torch.rand(8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    other = SoftTruncation().bind(NOISE, X0(), None)
    assert torch.equal(made.draw(u, 7)[0], other.draw(u, 7)[0])
    shared = torch.full((2,), 0.0, dtype=torch.float64)  # the first timestep that is trained
    shared[1] = 0.25

    def first(step, seed):
        u = shared.clone()
        u[0] = seed * 1e-9
        return int(made.draw(u, step)[0][0])

    assert len({first(step, 0) for step in range(20)}) > 5
    assert len({first(0, seed) for seed in range(20)}) > 5


def test_soft_truncations_sampler_comes_to_its_marginal_over_many_steps():
    made = SoftTruncation().bind(NOISE, X0(), None)
    u = torch.from_numpy(np.random.default_rng(1).random(20_000))
    t = [int(made.draw(u[i : i + 1], i)[0]) for i in range(20_000)]
    seen = group_mass(np.bincount(t, minlength=1000), 50)
    assert stats.chisquare(seen, group_mass(made.probabilities, 50) * 20_000).pvalue > 0.01
    assert stats.chisquare(seen, np.full(50, 400)).pvalue < 1e-6, "uniform draws would be told apart"


@pytest.mark.parametrize("k", [0.0, 1.0, 2.0])
def test_on_few_timesteps_the_sampler_fits_each_ones_probability(k):
    noise = TableNoise(np.linspace(0.9, 0.1, 5))
    made = SoftTruncation(k=k, epsilon=0.05).bind(noise, X0(), None)
    u = torch.from_numpy(np.random.default_rng(2).random(4000))
    seen = np.bincount([int(made.draw(u[i : i + 1], i)[0]) for i in range(4000)], minlength=5)
    assert stats.chisquare(seen, made.probabilities * 4000).pvalue > 0.01


@pytest.mark.parametrize("wrong", [{"k": -1}, {"epsilon": 0.0}, {"epsilon": 1.0}])
def test_soft_truncation_refuses_what_has_no_density(wrong):
    (option,) = wrong
    with pytest.raises(ValueError, match=option):
        SoftTruncation(**wrong)


@pytest.mark.parametrize("noise", [NOISE, ZERO, Linear(), EVEN])
@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (-1.2, 1.2), (3.0, 0.2)])
def test_a_timestep_has_the_normals_mass_about_its_noise_level(noise, mean, std):
    mass = normal_mass(noise, mean, std)
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    assert (mass >= 0).all()
    with np.errstate(divide="ignore"):
        level = np.log(np.sqrt(1 - noise.alphas_cumprod)) - np.log(np.sqrt(noise.alphas_cumprod))
    for t in (0, 10, 50, len(level) - 2, len(level) - 1):
        low = -np.inf if t == 0 else (level[t - 1] + level[t]) / 2
        high = np.inf if t == len(level) - 1 else (level[t] + level[t + 1]) / 2
        expected = stats.norm.cdf(high, mean, std) - stats.norm.cdf(low, mean, std)
        assert mass[t] == pytest.approx(expected, abs=1e-12)


def test_logit_normal_is_that_of_a_flows_time():
    """On x = (1 - time) x0 + time eps, logit(time) is normal (Esser et al., 2024)."""
    time = (np.arange(1000) + 0.5) / 1000
    flow = TableNoise((1 - time) ** 2 / ((1 - time) ** 2 + time**2))
    p = LogitNormal().bind(flow, X0(), None).probabilities
    for share in (0.1, 0.3, 0.5, 0.8):
        expected = stats.norm.cdf(np.log(share / (1 - share)))
        assert p[time < share].sum() == pytest.approx(expected, abs=2e-4)
    shifted = LogitNormal(mean=1.0, std=0.5).bind(flow, X0(), None).probabilities
    assert (time * shifted).sum() > (time * p).sum() + 0.1


@pytest.mark.parametrize("target", [X0(), V(), Epsilon()])
def test_logit_normal_is_drawn_as_it_is_whatever_is_trained(target):
    p = LogitNormal().bind(NOISE, target, None)
    np.testing.assert_array_equal(p.probabilities, LogitNormal().bind(NOISE, X0(), None).probabilities)
    np.testing.assert_allclose(LogitNormal("loss").bind(NOISE, target, None).loss_weights, p.probabilities * 1000)


def test_edm_weighs_x0_as_its_paper_and_every_other_target_by_conversion():
    sigma = np.sqrt(1 / SNR)
    paper = (sigma**2 + 0.5**2) / (sigma * 0.5) ** 2
    np.testing.assert_allclose(EDM().bind(NOISE, X0(), None).loss_weights, paper)
    np.testing.assert_allclose(EDM().bind(NOISE, Epsilon(), None).loss_weights, paper / SNR)
    np.testing.assert_allclose(EDM().bind(NOISE, V(), None).loss_weights, paper / (1 + SNR))
    assert EDM(weighted=False).bind(NOISE, X0(), None).loss_weights.tolist() == [1.0] * 1000
    p = EDM().bind(NOISE, X0(), None).probabilities
    np.testing.assert_allclose(p, LogitNormal(mean=-1.2, std=1.2).bind(NOISE, X0(), None).probabilities)
    np.testing.assert_allclose(EDM("loss").bind(NOISE, V(), None).loss_weights, (w := p * paper / (1 + SNR)) / w.mean())


def test_edm_is_finite_where_no_signal_is_left_and_refuses_what_is_not():
    made = EDM().bind(ZERO, X0(), None)
    assert made.loss_weights[-1] == pytest.approx(4.0)
    assert made.probabilities[-1] == 0.0
    with pytest.raises(BadOption, match=r"weights edm: .*got inf at t = 999"):
        EDM().bind(ZERO, Epsilon(), None)


@pytest.mark.parametrize("made", [LogitNormal, EDM])
@pytest.mark.parametrize("wrong", [{"std": 0.0}, {"std": np.inf}, {"mean": np.nan}])
def test_a_normal_without_width_or_place_is_refused(made, wrong):
    (option,) = wrong
    with pytest.raises(ValueError, match=option):
        made(**wrong)


def test_edm_refuses_a_spread_that_nothing_would_use():
    with pytest.raises(ValueError, match="sigma_data belongs to the loss weight"):
        EDM(weighted=False, sigma_data=3.0)


@pytest.mark.parametrize("noise", [ScaledLinear(zero_snr=True), FlowNoise()])
@pytest.mark.parametrize("target", [X0(), V()])
def test_speed_trains_the_step_that_sampling_begins_with(noise, target):
    made = Speed().bind(noise, target, None)
    assert (made.probabilities * made.loss_weights)[-1] > 0


def test_edm_refuses_data_without_spread():
    with pytest.raises(ValueError, match="sigma_data"):
        EDM(sigma_data=0.0)
