"""ANT: intervals, stratified batches, learnt weights and joined gradients, each against a slower way."""

import copy
import itertools

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.plugins.interval_weights import ANT, bargained, clustered, projected
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import X0
from addp_bench.schedule import TableNoise

NOISE = ScaledLinear()
U = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
UNEQUAL = (0.2, 0.1, 0.05, 0.02, 0.01)  # mean losses of five intervals


def ant(**options):
    return ANT(**options).bind(NOISE, X0(), None)


def edges(clusters, k=5):
    return ant(scaling="loss", clusters=clusters, k=k, method="none").edges.tolist()


# ------------------------------------------------------------------ intervals


def test_intervals_of_stable_diffusions_schedule_are_the_worked_ones():
    assert edges("timestep") == [0, 200, 400, 600, 800, 1000]
    assert edges("log_snr") == [0, 149, 372, 605, 816, 1000]
    assert edges("snr") == [0, 1, 6, 29, 136, 1000]


def cost(level, bounds):
    pairs = itertools.pairwise(bounds)
    return sum(abs(level[a:b] - level[(a + b - 1) // 2]).sum() for a, b in pairs)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_cut_costs_less(k, seed):
    level = -np.random.default_rng(seed).exponential(size=9).cumsum()
    cuts = (np.array([0, *inner, 9]) for inner in itertools.combinations(range(1, 9), k - 1))
    found = clustered(level, k)
    assert len(found) == k + 1
    assert (np.diff(found) > 0).all()
    assert cost(level, found) == pytest.approx(min(cost(level, c) for c in cuts))


def test_equal_lengths_are_a_cheapest_cut_of_the_timesteps_themselves():
    t = np.arange(1000.0)
    assert cost(t, [0, 200, 400, 600, 800, 1000]) == pytest.approx(cost(t, clustered(t, 5)))


def test_intervals_that_cannot_be_made_are_refused():
    with pytest.raises(BadOption, match="weights ant: k=5 intervals do not fit into 3 timesteps"):
        ANT().bind(TableNoise(np.array([0.9, 0.5, 0.1])), X0(), None)
    with pytest.raises(BadOption, match=r"weights ant: .* pure noise"):
        ANT(clusters="log_snr").bind(ScaledLinear(zero_snr=True), X0(), None)
    assert ANT(clusters="snr").bind(ScaledLinear(zero_snr=True), X0(), None).probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"k": 0}, "k must"), ({"every": 0, "method": "nash", "scaling": "loss"}, "every must"), ({"every": 5}, "nash"),
        ({"method": "pcgrad"}, "say scaling=loss"), ({"method": "nash"}, "say scaling=loss"),
    ],
)  # fmt: skip
def test_ant_refuses_options_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        ANT(**options)


# ------------------------------------------------------------------ batches


@pytest.mark.parametrize("method", ["none", "uw", "pcgrad", "nash"])
def test_a_batch_has_the_same_number_of_samples_from_each_interval(method):
    t, weight = ant(scaling="loss", method=method, clusters="log_snr").draw(U, 0)
    assert np.histogram(t.numpy(), [0, 149, 372, 605, 816, 1000])[0].tolist() == [4] * 5
    assert weight.tolist() == [1.0] * 20
    assert (t.dtype, weight.dtype) == (torch.int64, torch.float32)


def test_inside_its_interval_a_timestep_is_uniform_up_to_both_ends():
    ends = torch.tensor([0.0, 1.0 - 2.0**-53, 0.0, 1.0], dtype=torch.float64)
    assert ant(scaling="loss", method="none", k=2).draw(ends, 0)[0].tolist() == [0, 499, 500, 999]
    u = torch.linspace(0, 1 - 1e-9, 50_000, dtype=torch.float64)
    t = ant(scaling="loss", method="none", k=1).draw(u, 0)[0]
    assert torch.bincount(t).unique().tolist() == [50]


def test_a_batch_that_cannot_be_shared_evenly_is_refused_with_the_numbers():
    with pytest.raises(BadOption, match=r"weights ant: a batch of 16 .* k=5 .*--batch-size 20"):
        ant(scaling="loss").draw(U[:16], 0)
    assert len(ant().draw(U[:16], 0)[0]) == 16, "probabilities need no strata"


def test_equal_weights_draw_every_interval_alike_with_either_scaling():
    for scaling in ("prob", "loss"):
        made = ant(scaling=scaling, method="none", clusters="log_snr")
        for a, b in itertools.pairwise([0, 149, 372, 605, 816, 1000]):
            assert made.probabilities[a:b] == pytest.approx([0.2 / (b - a)] * (b - a))
        assert made.loss_weights.tolist() == [1.0] * 1000


# ------------------------------------------------------------------ uncertainty weighting


def fed(draws, steps, losses=UNEQUAL):
    """Train s on intervals with these losses, as the trainer does."""
    u = torch.linspace(0.0, 1.0 - 1e-9, 200, dtype=torch.float64)  # rare intervals are in every batch
    optimizer = torch.optim.AdamW(draws.parameters(), lr=draws.learning_rate, weight_decay=0.0)
    for step in range(steps):
        t, _ = draws.draw(u, step)
        optimizer.zero_grad()
        draws.combine(torch.tensor(losses)[t // 200], t, step).backward()
        optimizer.step()
    return draws


def test_the_learnt_sum_is_the_papers_by_hand():
    draws = ant(scaling="loss", k=2)
    draws.load_state_dict({"s": torch.tensor([0.5, -1.0])})
    t = torch.tensor([0, 499, 500, 999])
    total = draws.combine(torch.tensor([1.0, 3.0, 0.2, 0.4]), t, 0)
    by_hand = 0.5 * (np.exp(-0.5) * 2.0 / 2 + 0.5) + 0.5 * (np.exp(1.0) * 0.3 / 2 - 1.0)
    assert total.item() == pytest.approx(by_hand)
    assert draws.loss_weights[[0, 999]] == pytest.approx([0.5 * np.exp(-0.5), 0.5 * np.exp(1.0)])
    assert draws.probabilities == pytest.approx(np.full(1000, 0.001))


@pytest.mark.parametrize("scaling", ["prob", "loss"])
def test_at_the_optimum_weights_are_inverse_to_losses(scaling):
    """e^-s = k / L; as probabilities the worked (0.027027, 0.054054, 0.108108, 0.270270, 0.540541)."""
    draws = ant(scaling=scaling)
    draws.load_state_dict({"s": torch.log(torch.tensor(UNEQUAL) / 5)})
    t = torch.arange(0, 1000, 50)
    draws.combine(torch.tensor(UNEQUAL)[t // 200], t, 0).backward()
    assert draws.s.grad.abs().max() < 1e-6
    if scaling == "prob":
        worked = [0.027027, 0.054054, 0.108108, 0.270270, 0.540541]
        assert draws.probabilities.reshape(5, 200).sum(axis=1) == pytest.approx(worked, abs=6e-7)
        assert draws.loss_weights.tolist() == [1.0] * 1000


@pytest.mark.parametrize("scaling", ["prob", "loss"])
def test_s_learns_its_optimum_and_starts_from_equal_weights(scaling):
    draws = ant(scaling=scaling)
    assert draws.learning_rate == 0.025
    assert draws.probabilities == pytest.approx(np.full(1000, 0.001))
    fed(draws, 450)
    assert draws.s.detach().numpy() == pytest.approx(np.log(np.array(UNEQUAL) / 5), abs=0.05)


def test_an_interval_without_loss_is_bounded():
    draws = fed(ant(scaling="loss"), 450, (1.0, 1.0, 1.0, 1.0, 0.0))
    assert draws.s[4].item() == pytest.approx(-10.0, abs=0.03)
    assert draws.loss_weights[-1] <= 0.5 * np.exp(10.0) * (1 + 1e-9)
    fed(draws, 100)
    assert draws.s[4].item() > -9, "it comes back once there is a loss again"


def test_as_probabilities_the_network_sees_plain_losses_and_s_only_their_values():
    draws = ant()
    losses = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    total = draws.combine(losses, torch.tensor([0, 1, 999]), 0)
    assert total.item() == pytest.approx(8 / 3)
    total.backward()
    assert losses.grad.tolist() == pytest.approx([1 / 3] * 3)
    # d/ds (e^-s L / k + s) / 2 at s = 0; intervals that are not in the batch learn nothing
    assert draws.s.grad.tolist() == pytest.approx([0.5 * (1 - 1.5 / 5), 0, 0, 0, 0.5 * (1 - 5.0 / 5)])


# ------------------------------------------------------------------ joined gradients


class Line(torch.nn.Module):
    """A small linear network that is asked for another answer at each t, so that gradients conflict."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.weight = torch.nn.Parameter(0.1 * torch.randn(3, 4, generator=generator))
        self.bias = torch.nn.Parameter(torch.zeros(3))
        self.unused = torch.nn.Parameter(torch.ones(2))

    def losses(self, t):
        generator = torch.Generator().manual_seed(6)
        goals, inputs = (torch.randn(1000, n, generator=generator) for n in (3, 4))
        asked = 4.0 - 8.0 * t[:, None] / 999.0 + goals[t]
        return (inputs[t] @ self.weight.T + self.bias - asked).square().mean(dim=1)


def gradients(network, t, k=5):
    """The flattened gradient of each interval's mean loss, one autograd call each: (k, P) float64."""
    losses = network.losses(t)
    rows = []
    for i in range(k):
        own = losses[t * k // 1000 == i].mean()
        found = torch.autograd.grad(own, [network.weight, network.bias], retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in found]).double().numpy())
    return np.array(rows)


def joined(draws, step=0, k=5):
    """What `backward` leaves, and the gradients it was made of."""
    network = Line()
    t, _ = draws.draw(U, step)
    returned = draws.backward(network.losses(t), t, step, list(network.parameters()))
    assert network.unused.grad is None
    assert returned.item() == pytest.approx(network.losses(t).mean().item())
    left = torch.cat([network.weight.grad.flatten(), network.bias.grad]).double().numpy()
    return left, gradients(network, t, k)


def pcgrad(g, orders):
    """As its paper's algorithm 1, on the gradients themselves."""
    out = []
    for i, order in enumerate(orders):
        own = g[i].copy()
        for j in order:
            if j != i and own @ g[j] < 0:
                own -= own @ g[j] / (g[j] @ g[j]) * g[j]
        out.append(own)
    return np.array(out)


@pytest.mark.parametrize("seed", range(10))
def test_projection_of_mixtures_is_projection_of_gradients(seed):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(4, 6))
    orders = [rng.permutation(4) for _ in range(4)]
    found = projected(g @ g.T, orders) @ g
    np.testing.assert_allclose(found, pcgrad(g, orders), atol=1e-12)


def test_two_conflicting_gradients_by_hand():
    g = np.array([[1.0, 0.0], [-1.0, 1.0]])
    np.testing.assert_allclose(projected(g @ g.T, [[1], [0]]) @ g, [[0.5, 0.5], [0.0, 1.0]])
    agree = np.array([[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(projected(agree @ agree.T, [[1], [0]]), np.eye(2))


def test_pcgrad_leaves_the_sum_of_projected_gradients():
    left, g = joined(ant(scaling="loss", method="pcgrad", k=2), k=2)
    assert g[0] @ g[1] < 0
    np.testing.assert_allclose(left, pcgrad(g, [[1], [0]]).sum(axis=0), rtol=1e-4)
    assert not np.allclose(left, g.sum(axis=0), rtol=0.1)


def test_pcgrads_order_is_random_and_named_by_step_and_batch():
    def left(step):
        return joined(ant(scaling="loss", method="pcgrad"), step)[0]

    np.testing.assert_array_equal(left(3), left(3))
    assert len({tuple(left(step).round(4)) for step in range(12)}) > 3
    assert ant(scaling="loss", method="pcgrad").state_dict() == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_bargain_solves_its_equation(seed):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(5, 8)) * 10.0 ** rng.uniform(-4, 4, size=(5, 1))
    gram = g @ g.T
    alpha = bargained(gram)
    assert (alpha > 0).all()
    np.testing.assert_allclose(gram / np.linalg.norm(gram) @ alpha, 1 / alpha, rtol=1e-8)


def test_a_bargain_between_two_orthogonal_gradients_by_hand():
    # G = diag(9, 16) / sqrt(337): alpha = 1 / sqrt(G)
    gram = np.diag([9.0, 16.0])
    np.testing.assert_allclose(bargained(gram), 337**0.25 / np.array([3.0, 4.0]), rtol=1e-10)


@pytest.mark.parametrize("g", [[[1.0, 0.0], [-2.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_gradients_that_cancel_have_no_bargain(g):
    g = np.array(g)
    assert bargained(g @ g.T) is None


def test_nash_leaves_the_mean_of_bargained_gradients_and_keeps_alpha_until_the_next():
    draws = ant(scaling="loss", method="nash", every=3)
    left, g = joined(draws, 0)
    alpha = bargained(g @ g.T)
    np.testing.assert_allclose(left, alpha @ g / 5, rtol=1e-4)
    np.testing.assert_allclose(draws.loss_weights[::200], alpha, rtol=1e-4)
    kept = draws.alpha.copy()
    draws.alpha[:] = kept = kept * [1, 2, 3, 4, 5]  # told apart from what a new bargain would give
    between, g = joined(draws, 2)
    np.testing.assert_allclose(between, kept @ g / 5, rtol=1e-4)
    joined(draws, 3)
    np.testing.assert_allclose(draws.alpha, alpha, rtol=1e-4)


def test_a_bargain_that_fails_keeps_the_last_weights():
    draws = ant(scaling="loss", method="nash", k=2)
    draws.load_state_dict({"alpha": torch.tensor([2.0, 3.0], dtype=torch.float64)})
    network = torch.nn.Linear(1, 1, bias=False)
    t, _ = draws.draw(U, 0)
    losses = network.weight.flatten() * torch.where(t < 500, 1.0, -1.0)
    draws.backward(losses, t, 0, list(network.parameters()))
    assert draws.alpha.tolist() == [2.0, 3.0]
    assert network.weight.grad.item() == pytest.approx((2.0 - 3.0) / 2, abs=1e-6)


@pytest.mark.parametrize("seed", [240, 343, 612])
def test_a_bargain_among_gradients_that_nearly_cancel_needs_steps_that_are_damped(seed):
    """Newton's whole steps leave the positive numbers at these."""
    rng = np.random.default_rng(seed)
    k = rng.integers(2, 6)
    along = rng.normal(size=(1, k)) * rng.choice([-1, 1], size=(k, 1))
    g = along + rng.normal(size=(k, k)) * 10.0 ** rng.uniform(-3, 0)
    gram = g @ g.T
    alpha = bargained(gram)
    assert (alpha > 0).all()
    np.testing.assert_allclose(gram / np.linalg.norm(gram) @ alpha, 1 / alpha, rtol=1e-5)


def test_joining_gradients_leaves_others_parameters_their_own():
    """An objective that learns beside the network."""
    for method in ("pcgrad", "nash"):
        draws, network, scale = ant(scaling="loss", method=method), Line(), torch.nn.Parameter(torch.ones(()))
        t, _ = draws.draw(U, 0)
        draws.backward(scale * network.losses(t), t, 0, list(network.parameters()))
        assert scale.grad.item() == pytest.approx(5 * network.losses(t).mean().item(), rel=1e-5)


# ------------------------------------------------------------------ restarts


@pytest.mark.parametrize(
    "options",
    [
        {}, {"scaling": "loss"}, {"scaling": "loss", "method": "nash", "every": 4},
        {"scaling": "loss", "method": "pcgrad"}, {"scaling": "loss", "method": "none"},
    ],
)  # fmt: skip
def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(options):
    def run(network, draws, optimizer, first, last):
        for step in range(first, last):
            u = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
            t, weight = draws.draw(u, step)
            optimizer.zero_grad()
            losses = network.losses(t) * weight
            if hasattr(draws, "backward"):
                draws.backward(losses, t, step, list(network.parameters()))
            else:
                draws.combine(losses, t, step).backward()
            optimizer.step()

    def fresh():
        network, draws = Line(), ant(**options)
        learnt = {"params": list(draws.parameters()), "lr": 0.5}
        return network, draws, torch.optim.AdamW([{"params": network.parameters(), "lr": 0.01}, learnt])

    whole, killed, resumed = fresh(), fresh(), fresh()
    run(*whole, 0, 10)
    run(*killed, 0, 6)
    for part, saved in zip(resumed, killed):
        part.load_state_dict(copy.deepcopy(saved.state_dict()))
    run(*resumed, 6, 10)
    for one, other in zip(whole[0].parameters(), resumed[0].parameters()):
        assert torch.equal(one, other)
    assert str(whole[1].state_dict()) == str(resumed[1].state_dict())
    np.testing.assert_array_equal(whole[1].loss_weights, resumed[1].loss_weights)
