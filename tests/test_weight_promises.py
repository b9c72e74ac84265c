"""What every strategy promises, whatever it is called: a distribution, one expected gradient, draws that fit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from addp_bench.contribution import estimate
from addp_bench.errors import BenchError
from addp_bench.loading import load
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.schedule import TableNoise
from addp_bench.spec import Choice
from addp_bench.timesteps import group_mass

REGISTRY = load().registry
NOISE = ScaledLinear()
MEASURED = estimate(
    np.random.default_rng(0).normal(size=(60, 10)).cumsum(axis=1), list(range(990, 0, -100)), bootstrap=0
)


class Flow(X0):
    """A target outside of the three: eps - x0 on a straight path, whose error is (1 + sqrt(SNR))^2 times x0's."""

    def error_scale(self, snr):
        return (1 + snr.sqrt()) ** 2


TARGETS = {"epsilon": Epsilon(), "x0": X0(), "v": V(), "flow": Flow()}
# each strategy in the forms that compute differently; those that measure draw what was measured
FORMS = [
    "uniform", "diffusion", "diffusion:grouped=true", "perception_stats", "shuffled_stats", "last_group", "p2",
    "p2:gamma=0.5", "min_snr", "min_snr:form=x0", "min_snr:form=epsilon", "min_snr:form=v", "ant:clusters=log_snr",
    "ant:method=none", "speed:dual=false", "speed:weight=draws", "speed:weight=none", "speed:version=1:dual=false",
    "soft_truncation", "soft_truncation:form=marginal", "soft_truncation:form=cdf", "soft_truncation:k=2",
    "logit_normal", "edm", "edm:weighted=false",
]  # fmt: skip


def bound(form, scaling, noise=NOISE, target="epsilon"):
    made = REGISTRY.build("weights", f"{form}:scaling={scaling}")
    draws = made.bind(noise, TARGETS[target], MEASURED if made.needs_contribution else None)
    if list(draws.parameters()):  # what it may have learnt
        draws.load_state_dict({"s": torch.tensor([-1.0, 0.5, 0.0, -0.3, 2.0])})
    return draws


def test_every_strategy_is_asked():
    assert {form.split(":")[0] for form in FORMS} == set(REGISTRY.names("weights"))


# ------------------------------------------------------------------ one expected gradient


def gradient(draws, steps=100, batch=2000):
    """The mean gradient of a small linear network over many batches, as the trainer makes it: (2,) and its errors."""
    weight = torch.nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.float64))
    level = torch.linspace(-2.0, 2.0, 1000, dtype=torch.float64)
    inputs = torch.stack([torch.ones(1000), level], dim=1)
    goal = 1.5 * level.square() - level
    found = []
    generator = torch.Generator().manual_seed(11)
    for step in range(steps):
        u = torch.rand(batch, dtype=torch.float64, generator=generator)
        t, w = draws.draw(u, step)
        losses = (inputs[t] @ weight - goal[t]).square() * w
        (found_now,) = torch.autograd.grad(draws.combine(losses, t, step), weight)
        found.append(found_now.numpy())
    return np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(steps)


@pytest.mark.parametrize("form", FORMS)
def test_drawing_and_weighing_have_the_same_expected_gradient_up_to_its_length(form):
    (drawn, drawn_error), (weighed, weighed_error) = (gradient(bound(form, s)) for s in ("prob", "loss"))
    direction = np.arctan2(*drawn), np.arctan2(*weighed)
    error = sum(np.hypot(*e) / np.hypot(*g) for g, e in ((drawn, drawn_error), (weighed, weighed_error)))
    assert error < 0.1, "precise enough to tell strategies apart"
    apart = abs(np.angle(np.exp(1j * (direction[0] - direction[1]))))
    assert apart < 4 * error + 1e-9


def test_strategies_that_differ_have_gradients_that_differ():
    """So that the test above could fail."""
    angles = {
        form: np.arctan2(*gradient(bound(form, "prob"))[0])
        for form in ("uniform", "p2", "diffusion", "min_snr:form=x0")
    }
    assert np.diff(sorted(angles.values())).min() > 0.02


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("diffusion")])
def test_the_declared_vectors_of_both_scalings_are_one_expected_loss(form, target):
    """But for diffusion, whose two readings differ on other targets than epsilon: see test_weights."""
    by_prob, by_loss = (bound(form, scaling, target=target) for scaling in ("prob", "loss"))
    effect = [draws.probabilities * draws.loss_weights for draws in (by_prob, by_loss)]
    np.testing.assert_allclose(effect[0] / effect[0].sum(), effect[1] / effect[1].sum(), rtol=1e-9, atol=1e-15)
    if not form.startswith("ant"):
        assert by_loss.loss_weights.mean() == pytest.approx(1.0)
        np.testing.assert_allclose(by_loss.probabilities, 1e-3)


APART = {  # half the sum of differences between the two readings' effective distributions
    ("speed", "epsilon"): 0.138, ("speed", "x0"): 0.039, ("speed", "v"): 0.093, ("speed", "flow"): 0.100,
    ("diffusion", "epsilon"): 0.0, ("diffusion", "x0"): 0.644, ("diffusion", "v"): 0.529, ("diffusion", "flow"): 0.460,
}  # fmt: skip


@pytest.mark.parametrize("form, target", APART)
def test_the_two_strategies_whose_readings_differ_differ_as_documented(form, target):
    """diffusion is a probability of its own and, as a weight, epsilon's; speed mirrors what it draws."""
    effect = [d.probabilities * d.loss_weights for d in (bound(form, s, target=target) for s in ("prob", "loss"))]
    shares = [e / e.sum() for e in effect]
    assert np.abs(shares[0] - shares[1]).sum() / 2 == pytest.approx(APART[form, target], abs=6e-4)


LOSS_WEIGHTS = {"p2": "epsilon", "min_snr": "x0", "speed:weight=draws": "epsilon"}


@pytest.mark.parametrize("form", LOSS_WEIGHTS)
@pytest.mark.parametrize("scaling", ["prob", "loss"])
def test_a_loss_weight_has_one_effect_on_x0_whatever_is_trained(form, scaling):
    """Loss weights are converted before they are used: w_x0 = k w, with k each target's error scale."""
    snr, effects = NOISE.snr(torch.arange(1000)), []
    for name, target in TARGETS.items():
        draws = bound(form, scaling, target=name)
        effects.append(draws.probabilities * draws.loss_weights * target.error_scale(snr).numpy())
    for effect in effects[1:]:
        np.testing.assert_allclose(effect / effect.sum(), effects[0] / effects[0].sum(), rtol=1e-9)


# ------------------------------------------------------------------ draws


@pytest.mark.parametrize("scaling", ["prob", "loss"])
@pytest.mark.parametrize(
    "form", [f for f in FORMS if not f.startswith("soft_truncation")] + ["soft_truncation:form=cdf"]
)
def test_draws_fit_the_declared_distribution(form, scaling):
    """The sampler of soft_truncation and mirrored pairs, whose draws hang together, are in test_drawn_weights."""
    draws = bound(form, scaling)
    u = torch.from_numpy(np.random.default_rng(4).random(100_000))
    t, weight = draws.draw(u, 0)
    seen, expected = group_mass(np.bincount(t.numpy(), minlength=1000), 200), group_mass(draws.probabilities, 200) * 1e5
    rare = expected < 5  # joined, as the test needs five of each
    seen, expected = (np.append(x[~rare], x[rare].sum()) for x in (seen, expected))
    assert stats.chisquare(*(x[expected > 0] for x in (seen, expected))).pvalue > 1e-3
    learnt = bool(list(draws.parameters()))
    applied = np.ones(1000) if learnt else draws.loss_weights  # learnt weights are applied where losses are joined
    np.testing.assert_allclose(weight.numpy(), applied[t.numpy()], rtol=1e-6)


# ------------------------------------------------------------------ any schedule, any options


@st.composite
def tables(draw):
    """alphas_cumprod of 1 to 40 timesteps that fall at random, or along a straight flow; perhaps down to 0."""
    if draw(st.booleans()):
        n = draw(st.integers(1, 40))
        time = (np.arange(n) + draw(st.floats(0.01, 1.0))) / n
        signal = (1 - time) ** 2 / ((1 - time) ** 2 + time**2)
    else:
        falls = draw(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40))
        signal = 1 - np.cumsum(falls) / (np.sum(falls) * draw(st.floats(1.0, 1.5)) + 1e-9)
        if draw(st.booleans()):
            signal[-1] = 0.0
    return TableNoise(np.clip(signal, 0.0, 1 - 1e-12))


FRACTION = st.floats(0.001, 0.999)
OPTIONS = {
    "uniform": {},
    "diffusion": {"snr_min": st.none() | st.floats(1e-6, 10), "grouped": st.booleans()},
    "last_group": {"groups": st.integers(1, 12), "floor": st.floats(0, 0.08)},
    "p2": {"gamma": st.floats(0, 50), "k": st.floats(0, 10)},
    "min_snr": {"gamma": st.floats(1e-3, 1e3), "form": st.sampled_from(["auto", "x0", "epsilon", "v"])},
    "ant": {"k": st.integers(1, 8), "clusters": st.sampled_from(["timestep", "log_snr", "snr"])},
    "speed": {
        "k": st.floats(0.01, 100), "tau": st.integers(0, 45), "lambda": st.floats(0, 1), "dual": st.none(),
        "weight": st.sampled_from(["loss", "draws", "none"]),
    },
    "soft_truncation": {
        "k": st.floats(0, 30), "epsilon": FRACTION | st.floats(1e-12, 1e-3),
        "form": st.sampled_from(["sampler", "marginal", "cdf"]),
    },
    "logit_normal": {"mean": st.floats(-20, 20), "std": st.floats(0.01, 10)},
    "edm": {"mean": st.floats(-20, 20), "std": st.floats(0.01, 10), "sigma_data": st.floats(1e-3, 1e3)},
}  # fmt: skip


def bound_or_refused(choice, noise, target):
    """The draws, or None where one line says, by the strategy's name, why there are none."""
    told = None
    try:
        return REGISTRY.build("weights", choice).bind(noise, target, None)
    except BenchError as refused:
        told = str(refused)
    assert "\n" not in told
    assert f"weights {choice.name}" in told
    return None


@pytest.mark.parametrize("name", OPTIONS)
def test_an_ordinary_schedule_is_not_refused(name):
    """So that the test below sees distributions and not only refusals."""
    noise = TableNoise(np.linspace(0.99, 0.1, 60) ** 2)
    assert bound_or_refused(Choice(name, {"tau": 30} if name == "speed" else {}), noise, X0()) is not None


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_on_any_schedule_a_strategy_declares_a_distribution_or_says_why_not(name, data):
    noise = data.draw(tables())
    options = {key: data.draw(values) for key, values in OPTIONS[name].items()}
    target = TARGETS[data.draw(st.sampled_from(sorted(TARGETS)))]
    scaling = data.draw(st.sampled_from(["prob", "loss"]))
    draws = bound_or_refused(Choice(name, {**options, "scaling": scaling}), noise, target)
    if draws is None:
        return
    p, w = draws.probabilities, draws.loss_weights
    for vector in (p, w):
        assert vector.shape == (noise.steps,)
        assert vector.dtype == np.float64
        assert np.isfinite(vector).all()
        assert (vector >= 0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    u = torch.tensor([0.0, 0.3, 0.6, 1 - 2**-53] * 210, dtype=torch.float64)
    t, weight = draws.draw(u, 0)
    assert (p[t.numpy()] > 0).all()
    assert torch.isfinite(weight).all()
