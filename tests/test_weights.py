"""Timestep strategies, against worked values and the identities between them."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from addp_bench.contribution import estimate
from addp_bench.errors import BadData, BadOption, Degenerate
from addp_bench.plugins.noise import Flow as FlowNoise
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.plugins.weights import P2, Diffusion, LastGroup, MinSNR, PerceptionStats, ShuffledStats, Uniform
from addp_bench.schedule import TableNoise
from addp_bench.timesteps import converted, group_mass

NOISE = ScaledLinear()
SNR = NOISE.snr(torch.arange(1000)).numpy()
DIFFUSION_GROUPS = [
    0.000262, 0.001043, 0.002418, 0.004864, 0.009407, 0.018430, 0.038008, 0.085331, 0.215043, 0.625194,
]  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """Statistics of 60 samples whose quality is mostly decided by the noisiest groups."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(60, 10)) * np.array([5, 3, 2, 1, 0.9, 0.8, 0.5, 0.2, 0.1, 0.05])
    return estimate(steps.cumsum(axis=1), [990 - 100 * i for i in range(10)], bootstrap=0)


@pytest.mark.parametrize("scaling", ["prob", "loss"])
def test_uniform_draws_every_timestep_alike_with_weight_1(scaling):
    made = Uniform(scaling).bind(NOISE, Epsilon(), None)
    np.testing.assert_allclose(made.probabilities, 1e-3)
    np.testing.assert_allclose(made.loss_weights, 1.0)


def test_diffusion_has_its_worked_probabilities_and_loss_weights():
    t = [0, 250, 500, 750, 999]
    p = Diffusion().bind(NOISE, Epsilon(), None)
    assert p.probabilities[t] == pytest.approx(
        [4.18956e-08, 2.38423e-05, 1.28970e-04, 8.27506e-04, 0.0105186], rel=5e-6
    )
    assert p.loss_weights.tolist() == [1.0] * 1000
    w = Diffusion("loss").bind(NOISE, Epsilon(), None)
    assert w.loss_weights[t] == pytest.approx([4.18956e-05, 0.0238423, 0.128970, 0.827506, 10.5186], rel=5e-6)
    np.testing.assert_allclose(w.probabilities, 1e-3)
    assert (1 / SNR).sum() == pytest.approx(20305.773167, abs=1e-6)


@pytest.mark.parametrize("grouped", [False, True])
def test_diffusion_has_its_worked_group_masses_grouped_or_not(grouped):
    made = Diffusion(grouped=grouped).bind(NOISE, Epsilon(), None)
    assert group_mass(made.probabilities) == pytest.approx(DIFFUSION_GROUPS, abs=6e-7)
    assert (len(set(made.probabilities[900:])) == 1) == grouped


def test_diffusion_on_an_epsilon_model_is_plain_uniform_x0_training():
    for scaling in ("prob", "loss"):
        made = Diffusion(scaling).bind(NOISE, Epsilon(), None)
        effective = made.probabilities * made.loss_weights * SNR  # the weight on x0's squared error
        np.testing.assert_allclose(effective, effective[0], rtol=1e-9)


def test_diffusion_as_a_loss_weight_follows_the_target_that_is_trained():
    np.testing.assert_allclose(Diffusion("loss").bind(NOISE, X0(), None).loss_weights, 1.0)
    on_v = Diffusion("loss").bind(NOISE, V(), None).loss_weights
    np.testing.assert_allclose(on_v, (1 - NOISE.alphas_cumprod) / (1 - NOISE.alphas_cumprod).mean())


@pytest.mark.parametrize("noise", [ScaledLinear(zero_snr=True), FlowNoise()])
def test_diffusion_as_a_loss_weight_is_constant_on_x0_to_the_last_timestep_where_snr_is_bounded(noise):
    snr = np.maximum(noise.snr(torch.arange(1000)).numpy(), 0.0047)
    bounded = Diffusion("loss", snr_min=0.0047)
    np.testing.assert_allclose(bounded.bind(noise, X0(), None).loss_weights, 1.0)
    on_v = 1.0 / (1.0 + snr)
    np.testing.assert_allclose(bounded.bind(noise, V(), None).loss_weights, on_v / on_v.mean())
    on_flow = 1.0 / (1.0 + np.sqrt(snr)) ** 2
    np.testing.assert_allclose(bounded.bind(noise, Flow(), None).loss_weights, on_flow / on_flow.mean())


def test_diffusion_has_the_printed_values_beside_zero_snr_and_not_those_of_c():
    at_zero = ScaledLinear(zero_snr=True)
    inverse = 1.0 / at_zero.snr(torch.arange(999)).numpy()  # t = 999 is infinite
    assert inverse[998] == pytest.approx(5.08e6, rel=2e-3)
    assert inverse.sum() == pytest.approx(8.25e6, rel=2e-3)
    assert inverse[998] / inverse.sum() == pytest.approx(0.62, abs=5e-3)
    with pytest.raises(BadOption, match="ends in pure noise"):  # at any alphas_cumprod below 1e-8
        Diffusion().bind(TableNoise(np.array([0.5, 9e-9])), X0(), None)
    Diffusion().bind(TableNoise(np.array([0.5, 2e-8])), X0(), None)


def test_diffusion_as_a_probability_is_drawn_as_it_is_whatever_is_trained():
    as_epsilon = Diffusion().bind(NOISE, Epsilon(), None).probabilities
    for target in (X0(), V()):
        np.testing.assert_array_equal(Diffusion().bind(NOISE, target, None).probabilities, as_epsilon)


def test_diffusion_refuses_a_schedule_that_ends_in_pure_noise_unless_snr_is_bounded():
    zero = ScaledLinear(zero_snr=True)
    with pytest.raises(BadOption, match="diffusion:snr_min"):
        Diffusion().bind(zero, V(), None)
    made = Diffusion(snr_min=0.0047).bind(zero, V(), None)
    bounded = np.maximum(zero.snr(torch.arange(1000)).numpy(), 0.0047)
    np.testing.assert_allclose(made.probabilities, 1 / bounded / (1 / bounded).sum())


@pytest.mark.parametrize("snr_min", [0.0, -1.0])
def test_diffusion_refuses_a_bound_that_bounds_nothing(snr_min):
    with pytest.raises(ValueError, match="snr_min"):
        Diffusion(snr_min=snr_min)


AT = [0, 250, 500, 750, 999]


@pytest.mark.parametrize(
    "gamma, target, expected",
    [
        (1.0, Epsilon(), [0.000850, 0.326207, 0.723667, 0.943830, 0.995340]),
        (0.5, Epsilon(), [0.029155, 0.571146, 0.850686, 0.971509, 0.997667]),
        (1.0, X0(), [0.999150, 0.673793, 0.276333, 0.056170, 0.004660]),
        (1.0, V(), [0.000849, 0.219796, 0.199973, 0.053015, 0.004638]),
    ],
)
def test_p2_has_its_worked_weights_on_every_target(gamma, target, expected):
    by_loss = P2("loss", gamma).bind(NOISE, target, None)
    formula = converted((1 + SNR) ** -gamma, "epsilon", NOISE, target)
    assert formula[AT] == pytest.approx(expected, abs=6e-7)
    assert by_loss.loss_weights == pytest.approx(formula / formula.mean())


def test_p2_has_its_worked_probabilities_and_group_masses():
    p = P2().bind(NOISE, Epsilon(), None).probabilities
    assert p[AT] == pytest.approx([1.35648e-06, 5.20580e-04, 1.15487e-03, 1.50622e-03, 1.58842e-03], rel=5e-6)
    for gamma, masses in (
        (1.0, [0.007905, 0.027572, 0.052018, 0.078571, 0.103905, 0.125105, 0.140593, 0.150397, 0.155732, 0.158202]),
        (0.5, [0.027928, 0.055205, 0.076164, 0.093742, 0.107870, 0.118402, 0.125535, 0.129847, 0.132132, 0.133176]),
    ):
        made = P2(gamma=gamma).bind(NOISE, Epsilon(), None)
        assert group_mass(made.probabilities) == pytest.approx(masses, abs=6e-7)


def test_p2_is_defined_where_no_signal_is_left_unless_k_is_0():
    zero = ScaledLinear(zero_snr=True)
    made = P2("loss").bind(zero, Epsilon(), None)
    assert made.loss_weights[-1] == made.loss_weights.max()
    for target in (X0(), V(), Flow()):  # the step that sampling begins with is trained on any target
        assert P2().bind(zero, target, None).probabilities[-1] > 0
    halves = P2(k=4.0, gamma=0.5).bind(TableNoise(np.array([0.5, 0.0])), X0(), None).probabilities
    assert halves[1] / halves[0] == pytest.approx(0.5 / (1 / 5**0.5))  # 1 / k^gamma beside SNR w at SNR 1
    with pytest.raises(BadOption, match=r"weights p2: .*got inf at t = 999"):
        P2(k=0.0).bind(zero, Epsilon(), None)
    assert P2(k=0.0).bind(NOISE, Epsilon(), None).probabilities == pytest.approx(
        Diffusion().bind(NOISE, Epsilon(), None).probabilities
    )


MIN_SNR = {
    "x0": ([5.000000, 2.065535, 0.381850, 0.059513, 0.004682],
           [0.00365924, 0.00151166, 2.79457e-04, 4.35543e-05, 3.42646e-06],
           [0.365924, 0.324029, 0.156207, 0.076902, 0.039712, 0.020342, 0.009942, 0.004486, 0.001814, 0.000641]),
    "epsilon": ([0.004254, 1.0, 1.0, 1.0, 1.0],
                [4.64079e-06, 1.09102e-03, 1.09102e-03, 1.09102e-03, 1.09102e-03],
                [0.029015, 0.098167, *[0.109102] * 8]),
    "v": ([0.004250, 0.673793, 0.276333, 0.056170, 0.004660],
          [1.44396e-05, 2.28924e-03, 9.38852e-04, 1.90839e-04, 1.58329e-05],
          [0.084144, 0.251272, 0.229008, 0.172477, 0.118544, 0.073407, 0.040435, 0.019561, 0.008205, 0.002946]),
}  # fmt: skip
TARGETS = {"x0": X0(), "epsilon": Epsilon(), "v": V()}


@pytest.mark.parametrize("form", MIN_SNR)
def test_min_snr_has_its_worked_values_in_every_form_and_auto_follows_the_target(form):
    weights, probabilities, masses = MIN_SNR[form]
    for other in TARGETS.values():  # a named form is that formula, whatever is trained
        named = MinSNR(form=form).bind(NOISE, other, None)
        assert named.probabilities[AT] == pytest.approx(probabilities, rel=5e-6)
        assert group_mass(named.probabilities) == pytest.approx(masses, abs=6e-7)
    auto = MinSNR("loss").bind(NOISE, TARGETS[form], None)
    assert auto.loss_weights == pytest.approx(named.probabilities * 1000)
    one = weights[1] / auto.loss_weights[250]  # makes up for the mean of 1
    assert auto.loss_weights[AT] * one == pytest.approx(weights, rel=3e-4)  # the sheet's smallest has four digits


def test_min_snr_at_100_by_hand():
    for form, expected in (("x0", 5.0), ("epsilon", 0.591443), ("v", 0.528883)):
        made = MinSNR("loss", form=form).bind(NOISE, X0(), None).loss_weights
        assert made[100] / made[250] * MIN_SNR[form][0][1] == pytest.approx(expected, rel=2e-6)


class Flow(X0):
    """A target outside of the three: eps - x0 at a + s = 1, whose error is that of x0 times (1 + sqrt(SNR))^2."""

    def error_scale(self, snr):
        return (1 + snr.sqrt()) ** 2


def test_min_snr_has_its_worked_probabilities_at_100():
    for form, expected in (("x0", 0.00365924), ("epsilon", 6.45279e-04), ("v", 1.79690e-03)):
        assert MinSNR(form=form).bind(NOISE, X0(), None).probabilities[100] == pytest.approx(expected, rel=5e-6)


def test_min_snr_leaves_small_snr_as_they_are():
    noise = TableNoise(np.array([0.5, 5e-4, 0.0]))
    made = MinSNR(form="x0").bind(noise, X0(), None).probabilities
    assert made[1] / made[0] == pytest.approx(5e-4 / (1 - 5e-4))


def test_min_snr_follows_a_target_by_its_error_scale():
    made = MinSNR("loss").bind(NOISE, Flow(), None).loss_weights
    expected = np.minimum(SNR, 5.0) / (1 + np.sqrt(SNR)) ** 2
    np.testing.assert_allclose(made, expected / expected.mean())


@pytest.mark.parametrize("form", ["auto", "x0", "epsilon", "v"])
@pytest.mark.parametrize("target", [X0(), V(), Epsilon(), Flow()])
def test_min_snr_weighs_1_where_no_signal_is_left(form, target):
    noise = TableNoise(np.array([0.9, 0.5, 0.0]))  # SNR 9, 1, 0
    at_one = {"x0": 1.0, "epsilon": 1.0, "v": 0.5}.get(form, 1.0 / float(target.error_scale(torch.tensor(1.0))))
    made = MinSNR(form=form).bind(noise, target, None).probabilities
    assert made[2] / made[1] == pytest.approx(1.0 / at_one)


def test_min_snr_differs_from_a_wider_cap_only_where_it_caps():
    few, many = (MinSNR("loss", gamma=g, form="x0").bind(NOISE, X0(), None).loss_weights for g in (1.0, 5.0))
    same = few / many
    np.testing.assert_allclose(same[SNR <= 1.0], same[-1])
    assert (same[SNR > 1.0] < same[-1]).all()


@pytest.mark.parametrize(
    "made", [lambda: P2(gamma=-1), lambda: P2(k=-0.1), lambda: P2(gamma=np.inf), lambda: MinSNR(gamma=0)]
)
def test_p2_and_min_snr_refuse_what_is_no_weight(made):
    with pytest.raises(ValueError, match=r"gamma must|k must"):
        made()


@pytest.mark.parametrize("target", [Epsilon(), X0(), V()])
def test_perception_stats_draws_what_was_measured_whatever_is_trained(measured, target):
    made = PerceptionStats().bind(NOISE, target, measured)
    np.testing.assert_allclose(group_mass(made.probabilities), measured.group_probabilities, rtol=1e-12)
    np.testing.assert_allclose(made.probabilities, measured.probabilities(1000))
    assert made.loss_weights.tolist() == [1.0] * 1000
    by_loss = PerceptionStats("loss").bind(NOISE, target, measured)
    np.testing.assert_allclose(by_loss.loss_weights, made.probabilities * 1000)


def test_perception_stats_applies_its_own_floor_to_what_was_measured(measured):
    exact = PerceptionStats(floor=0.02, floor_rule="exact").bind(NOISE, X0(), measured)
    assert group_mass(exact.probabilities).min() == pytest.approx(0.02)
    bare = PerceptionStats(floor=0.0).bind(NOISE, X0(), measured)
    np.testing.assert_allclose(group_mass(bare.probabilities), measured.raw, rtol=1e-9)


def test_perception_stats_reads_a_file_and_draws_the_same(measured, tmp_path):
    file = tmp_path / "stats.json"
    file.write_text(json.dumps(measured.to_json()))
    made = PerceptionStats(from_=str(file)).bind(NOISE, X0(), None)
    np.testing.assert_array_equal(made.probabilities, PerceptionStats().bind(NOISE, X0(), measured).probabilities)


def test_perception_stats_averages_what_several_files_hold(measured, tmp_path):
    quality = np.random.default_rng(9).normal(size=(60, 10)).cumsum(axis=1)
    other = estimate(quality, [990 - 100 * i for i in range(10)], bootstrap=0)
    names = []
    for k, one in enumerate((measured, other)):
        (tmp_path / f"{k}.json").write_text(json.dumps(one.to_json()))
        names.append(str(tmp_path / f"{k}.json"))
    made = PerceptionStats(from_="+".join(names), floor=0.0).bind(NOISE, X0(), None)
    np.testing.assert_allclose(group_mass(made.probabilities), np.mean([measured.raw, other.raw], axis=0))
    with pytest.raises(Degenerate, match="nothing was measured"):
        PerceptionStats(from_=f"{names[0]}+a_cell").bind(NOISE, X0(), None)


def test_perception_stats_needs_something_measured(tmp_path):
    assert PerceptionStats.needs_contribution
    assert not Uniform.needs_contribution
    for nothing in (None, "a_cell"):
        with pytest.raises(Degenerate, match="perception_stats: nothing was measured"):
            PerceptionStats(from_=nothing).bind(NOISE, X0(), None)
    with pytest.raises(BadData, match=r"absent\.json"):
        PerceptionStats(from_=str(tmp_path / "absent.json")).bind(NOISE, X0(), None)
    (tmp_path / "torn.json").write_text('{"schema": 1')
    with pytest.raises(BadData, match=r"torn\.json"):
        PerceptionStats(from_=str(tmp_path / "torn.json")).bind(NOISE, X0(), None)


@pytest.mark.parametrize(
    "asked", [{"groups": 5}, {"mode": "paper_literal"}, {"r2": "adjusted"}, {"r2": "cross_validated", "folds": 4}]
)
def test_statistics_made_otherwise_than_asked_are_refused(measured, asked):
    option = next(iter(asked))
    with pytest.raises(BadOption, match=f"made with {option}="):
        PerceptionStats(**asked).bind(NOISE, X0(), measured)


def test_statistics_of_other_folds_alone_are_refused(measured):
    of_five = dataclasses.replace(measured, r2="cross_validated", folds=5)
    with pytest.raises(BadOption, match="made with folds=5, asked is folds=4"):
        PerceptionStats(r2="cross_validated", folds=4).bind(NOISE, X0(), of_five)


def test_one_step_for_each_group_is_enough():
    assert PerceptionStats(steps=10).steps == 10


@pytest.mark.parametrize("option", ["samples", "steps"])
def test_what_is_measured_already_is_not_measured_otherwise(measured, tmp_path, option):
    file = tmp_path / "contribution.json"
    file.write_text(json.dumps(measured.to_json()))
    with pytest.raises(ValueError, match=f"{option} belongs to a measurement"):
        PerceptionStats(from_=str(file), **{option: 50})


@pytest.mark.parametrize("wrong", [{"groups": 0}, {"floor": -0.1}, {"floor": 0.11}])
def test_last_group_refuses_what_is_no_distribution(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LastGroup(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": 0}, {"floor": -0.1}, {"floor": 0.11}, {"samples": 11}, {"samples": 14, "r2": "cross_validated"},
        {"steps": 9}, {"folds": 1, "r2": "cross_validated"}, {"folds": 4}, {"from_": "a.json+"},
    ],
)  # fmt: skip
def test_perception_stats_refuses_settings_that_cannot_be_measured(wrong):
    option = next(iter(wrong)).rstrip("_")
    with pytest.raises(ValueError, match=option):
        PerceptionStats(**wrong)


def test_last_group_puts_all_that_is_not_floor_on_the_noisiest():
    mass = group_mass(LastGroup().bind(NOISE, X0(), None).probabilities)
    assert mass == pytest.approx([0.01] * 9 + [0.91])
    assert group_mass(LastGroup(groups=4, floor=0.1).bind(NOISE, X0(), None).probabilities, 4) == pytest.approx(
        [0.1, 0.1, 0.1, 0.7]
    )


@pytest.mark.parametrize("seed", range(30))
def test_shuffled_stats_has_the_measured_values_in_an_order_that_moves_the_largest(measured, seed):
    right = group_mass(PerceptionStats().bind(NOISE, X0(), measured).probabilities)
    wrong = group_mass(ShuffledStats(seed=seed).bind(NOISE, X0(), measured).probabilities)
    assert sorted(wrong) == pytest.approx(sorted(right))
    assert wrong[right.argmax()] < right.max()


def test_shuffled_stats_orders_by_its_seed_alone(measured):
    def order(seed):
        return ShuffledStats(seed=seed).bind(NOISE, X0(), measured).probabilities.tolist()

    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_shuffled_stats_refuses_what_has_no_other_order(measured):
    for known_before in ({"floor": 0.1, "floor_rule": "exact"}, {"groups": 1}):
        with pytest.raises(ValueError, match="same probability"):
            ShuffledStats(**known_before)
    even = dataclasses.replace(measured, raw=(0.1,) * 10)
    with pytest.raises(Degenerate, match="same probability"):
        ShuffledStats().bind(NOISE, X0(), even)
