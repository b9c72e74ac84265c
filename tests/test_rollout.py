"""The exposure cure that trains on the model's own trajectories, against DDIM by hand and diffusers' (0.35 on)."""

from types import SimpleNamespace

import bench
import diffusers
import pytest
import torch

from addp_bench import training
from addp_bench.batches import Batch, Recipe
from addp_bench.legality import Illegal
from addp_bench.loading import load
from addp_bench.plugins.exposures import InputPerturbation, NoExposure, Rollout
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.objectives import MSE
from addp_bench.plugins.schedules import NoAug
from addp_bench.plugins.targets import X0, EpsilonCorrected, V
from addp_bench.plugins.weights import Uniform

NOISE = ScaledLinear()
ENDS = ScaledLinear(zero_snr=True)


def latents(n, seed):
    return torch.randn(n, 2, 3, 3, generator=torch.Generator().manual_seed(seed))


def rolled(t, network, noise=NOISE, made=None, u=None):
    """What is shown to samples at timesteps t, and the noise they came from."""
    white, x_t = latents(len(t), 1), torch.full((len(t), 2, 3, 3), 77.0)
    u = torch.zeros(len(t), 1) if u is None else u
    return (made or Rollout()).train_input(x_t, torch.tensor(t), noise, white, network, u), white


def per(values):
    return values[:, None, None, None]


@pytest.mark.parametrize("noise", [NOISE, ENDS])
@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_a_network_that_knows_x0_arrives_at_x0_and_the_noise_it_started_from(noise, steps):
    """DDIM with the true x0 keeps one noise estimate: x_t = a x0 + s eps, eps = (white - a_T x0) / s_T."""
    t, x0 = [0, 17, 500, 998, 999], latents(5, 0)
    shown, white = rolled(t, lambda x, now: x0, noise, Rollout(steps))
    last, at = torch.tensor([999] * 5), torch.tensor(t)
    eps = (white - per(noise.a(last)) * x0) / per(noise.s(last))
    torch.testing.assert_close(shown, per(noise.a(at)) * x0 + per(noise.s(at)) * eps, atol=1e-5, rtol=0)


def test_the_path_is_that_of_diffusers_ddim():
    """From 999 by 200 to 199, with a network whose answer changes with x and t."""

    def network(x, now):
        return torch.tanh(x) * per(1 + now / 1000)

    shown, x = rolled([199, 199], network)
    theirs = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        prediction_type="sample", timestep_spacing="trailing",
    )  # fmt: skip
    theirs.set_timesteps(5)
    assert theirs.timesteps.tolist() == [999, 799, 599, 399, 199]
    for now in theirs.timesteps[:4]:
        x = theirs.step(network(x, now.expand(2)), now, x).prev_sample
    torch.testing.assert_close(shown, x, atol=1e-4, rtol=0)


def test_each_sample_goes_to_its_own_timestep_in_equal_steps():
    asked = []

    def network(x, now):
        asked.append(now.tolist())
        return 0.5 * x

    rolled([999, 997, 599, 0], network)
    assert asked == [[999] * 4, [999, 999, 899, 749], [999, 998, 799, 499], [999, 997, 699, 250]]


def test_at_the_last_timestep_the_input_is_the_fresh_noise_bit_for_bit():
    shown, white = rolled([999, 999], lambda x, now: x * 3.0 + 1.0)
    assert torch.equal(shown, white)


def test_a_share_of_the_samples_is_rolled_out_and_the_others_keep_their_input():
    u = torch.tensor([[0.0], [0.29], [0.3], [0.99]])
    shown, _ = rolled([400] * 4, lambda x, now: 0 * x, made=Rollout(share=0.3), u=u)
    assert [bool((row == 77).all()) for row in shown] == [False, False, True, True]
    everyone, _ = rolled([400] * 4, lambda x, now: 0 * x, u=torch.ones(4, 1))
    assert not (everyone == 77).any(), "at share 1, also where u was rounded up to 1"


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"share": 0.0}, {"share": 1.5}])
def test_no_step_and_no_sample_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rollout(**wrong)


# ------------------------------------------------------------------------------------------ in a training step


class Seen(MSE):
    """Keeps what an objective is shown."""

    def losses(self, attempt):
        self.attempt, self.estimate = attempt, attempt.estimate()
        return super().losses(attempt)


def step(target, exposure, scale):
    """One batch of a network that multiplies: (objective, shown inputs, batch)."""
    x0, shown = latents(3, 0), []

    def forward(x, t, image, text):
        shown.append(x)
        return scale * x

    recipe = Recipe(NOISE, target, Uniform().bind(NOISE, target, None), NoAug(), exposure, Seen())
    model = SimpleNamespace(forward=forward, network=torch.nn.Identity(), codec=SimpleNamespace(decode=None))
    t = torch.tensor([0, 400, 999])
    draws = torch.zeros(3, 1) if getattr(exposure, "draws", 0) else None
    batch = Batch(x0, x0, latents(3, 2), latents(3, 3), t, torch.ones(3), x0, x0, chance=draws)
    losses = training.losses_of(model, recipe, batch)
    return losses, recipe.objective, shown, batch


@pytest.mark.parametrize("target", [X0(), V(), EpsilonCorrected()])
def test_the_goal_and_the_estimate_speak_of_the_input_that_was_shown(target):
    """The goal, read as x0 at the shown input, is the clean x0; so is a network's output without error."""
    _, seen, shown, batch = step(target, Rollout(), torch.tensor(0.1))
    a, s = per(NOISE.a(batch.t)), per(NOISE.s(batch.t))
    back = target.to_x0(seen.attempt.goal, shown[-1], a, s)
    torch.testing.assert_close(back, batch.x0, atol=2e-5, rtol=0)
    torch.testing.assert_close(seen.estimate, target.to_x0(0.1 * shown[-1], shown[-1], a, s))
    assert not torch.allclose(shown[-1], a * batch.x0 + s * batch.eps, atol=0.1)


def test_a_cure_that_does_not_retarget_leaves_the_goal_of_x_t():
    _, seen, shown, batch = step(V(), InputPerturbation(0.5), torch.tensor(0.1))
    a, s = per(NOISE.a(batch.t)), per(NOISE.s(batch.t))
    torch.testing.assert_close(seen.attempt.goal, a * batch.eps - s * batch.x0, atol=1e-5, rtol=0)
    assert not torch.allclose(shown[-1], a * batch.x0 + s * batch.eps)


def test_the_way_to_the_input_has_no_gradient():
    """The gradient is that of the last forward alone: d/dw of mean (w x - x0)^2 at the input that was shown."""
    scale = torch.tensor(0.1, requires_grad=True)
    losses, _, shown, batch = step(X0(), Rollout(), scale)
    assert len(shown) == 5, "four steps more, and the one that is trained"
    assert not any(x.requires_grad for x in shown)
    losses.sum().backward()
    by_hand = (2 * (0.1 * shown[-1] - batch.x0) * shown[-1]).mean(dim=(1, 2, 3)).sum()
    assert scale.grad.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert len(step(X0(), NoExposure(), torch.tensor(0.1))[2]) == 1


# ------------------------------------------------------------------------------------------ from a request


@pytest.mark.parametrize(
    "axes, words",
    [
        ({"target": ["epsilon"]}, "not in the input the network is shown; take --target x0"),
        ({"target": ["x0"], "aug": ["linear"]}, "a corrupted target has no part; take --aug none"),
    ],
)
def test_what_makes_no_sense_with_it_is_refused_unless_forced(sd15, axes, words):
    loaded = load([bench.DOTS])
    asked = {"exposure": ["rollout"], **axes}
    found = bench.resolve(bench.request(sd15, asked), loaded.registry)
    assert not found.cells
    ((_, why),) = found.impossible
    assert words in why
    assert bench.resolve(bench.request(sd15, asked, force=True), loaded.registry).cells


def test_it_trains_on_a_schedule_without_signal_at_its_end_and_epsilon_is_refused_there(sd15, tmp_path):
    axes = {"exposure": ["rollout:steps=2"], "noise": ["scaled_linear:zero_snr=true"]}
    at, (plan,), finished = bench.run(bench.request(sd15, {**axes, "target": ["x0"]}), tmp_path)
    assert not finished.failures
    train = next(stage for stage in plan.stages() if stage.kind == "train")
    assert (at.folder(train) / "denoiser.safetensors").is_file()
    with pytest.raises(Illegal, match="x0 would be divided by 0"):
        bench.plans(bench.request(sd15, {**axes, "target": ["epsilon_corrected"]}), tmp_path)


def test_it_begins_where_sampling_begins():
    """A schedule may start its trajectories from other noise than the white it is given."""

    class Doubled(ScaledLinear):
        def start(self, white):
            return 2.0 * white

    shown, white = rolled([999], lambda x, now: x, Doubled())
    assert torch.equal(shown, 2.0 * white)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_in_bf16_the_pass_without_gradient_takes_none_from_the_training_pass(name):
    """Autocast may keep casts of weights; those made without gradient must not serve the pass that is trained on."""
    layer = torch.nn.Linear(4, 4)
    x = torch.ones(2, 4)
    with training.autocast("bf16", torch.device("cpu")):
        with torch.no_grad():
            layer(x)
        layer(x).float().square().sum().backward()
        assert not torch.is_autocast_cache_enabled()
    assert getattr(layer, name).grad.abs().sum() > 0
