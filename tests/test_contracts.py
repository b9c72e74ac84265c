"""Optional members of the contracts, each used by a stranger's plugin."""

from __future__ import annotations

import bench
import numpy as np
import pytest
import torch

from addp_bench.cache import Latents, whole_pixels
from addp_bench.errors import BadData
from addp_bench.evaluation import ask
from addp_bench.loading import load
from addp_bench.types import Drawing, Sample

PLUGIN = '''
from dataclasses import replace

import numpy as np
import torch
from dots import Dots

from addp_bench.hookspecs import hookimpl
from addp_bench.plugins.encodings import SolidMask
from addp_bench.plugins.exposures import NoExposure
from addp_bench.timesteps import VectorDraws
from addp_bench.types import Drawing

SEEN = {}


class LeftHalf(SolidMask):
    """A red mask of which only the left half means something."""

    partial = True

    def __init__(self) -> None:
        super().__init__("red")

    def encode(self, image, truth, queries):
        drawn = super().encode(image, truth, queries)
        valid = torch.zeros(drawn.rgb[:, 0].shape, dtype=torch.bool)
        valid[..., : valid.shape[-1] // 2] = True
        return Drawing(drawn.rgb, valid)


class Misfit(Dots):
    """Dots whose third truth of every split is cut short."""

    def samples(self, split, task):
        samples = super().samples(split, task)
        whole = type(samples).__getitem__

        class Cut(type(samples)):
            def __getitem__(self, index):
                sample = whole(self, index)
                return replace(sample, truth=sample.truth[:-1]) if index == 2 else sample

        return Cut(samples.split, samples.count, samples.size)


class Undeclared(LeftHalf):
    """The same, and does not say so."""

    partial = False


class Aligned:
    """Mean squared error and a learnt scale of one of the network's layers."""

    features = ("conv_in",)
    learning_rate = 0.5

    def bind(self, model):
        self.scale = torch.nn.Parameter(torch.ones(()))
        SEEN["bound to"] = type(model).__name__
        return self

    def losses(self, attempt):
        SEEN["layer"] = attempt.features["conv_in"].shape
        SEEN["estimate"] = attempt.estimate().shape
        SEEN["pictures"] = attempt.decode(attempt.x0[:1]).shape
        error = (attempt.estimate() - attempt.x0).square().mean(dim=(1, 2, 3))
        return error + (self.scale * attempt.features["conv_in"].mean(dim=(1, 2, 3))).square()

    def parameters(self):
        return [self.scale]

    def state_dict(self):
        SEEN["scale"] = self.scale.item()
        return {"scale": self.scale.detach().clone()}

    def load_state_dict(self, state):
        self.scale.data.copy_(state["scale"])


class Conversion:
    """Plain error of an epsilon target, which looks at what the x0 estimate is made of."""

    def bind(self, model):
        self.noise = model.noise
        return self

    def losses(self, attempt):
        a, s = (part(attempt.t)[:, None, None, None] for part in (self.noise.a, self.noise.s))
        expected = s / a * (attempt.goal - attempt.output)
        off = (attempt.estimate() - attempt.x0 - expected).abs().max() / expected.abs().max()
        SEEN["off"] = max(SEEN.get("off", 0.0), off.item())
        return (attempt.output - attempt.goal).square().mean(dim=(1, 2, 3))


class OwnAnswers(NoExposure):
    """Train on what the network itself would have been shown: its estimate from pure noise, noised again."""

    trains = True

    def train_input(self, x_t, t, noise, white, denoise):
        last = torch.full_like(t, noise.steps - 1)
        estimate = denoise(torch.ones_like(x_t), last)
        SEEN["gradient"] = estimate.requires_grad
        a, s = noise.a(t)[:, None, None, None], noise.s(t)[:, None, None, None]
        return a * estimate + s * (x_t - a * estimate)


class SumOfSigns:
    """Joins gradients instead of losses: the sign of each half's, added."""

    needs_contribution = False

    def bind(self, noise, target, contribution):
        return Signed("signed", np.ones(noise.steps), "probability", "prob", noise, target)


class Signed(VectorDraws):
    def backward(self, losses, t, step, parameters):
        halves = [half.mean() for half in losses.chunk(2)]
        each = [torch.autograd.grad(half, parameters, retain_graph=True) for half in halves]
        for parameter, *gradients in zip(parameters, *each):
            parameter.grad = sum(gradient.sign() for gradient in gradients)
        SEEN["joined"] = SEEN.get("joined", 0) + 1
        return losses.mean()


@hookimpl
def addp_bench_register(registry):
    registry.add("encoding", "left_half", LeftHalf)
    registry.add("encoding", "undeclared", Undeclared)
    registry.add("objective", "aligned", Aligned)
    registry.add("objective", "conversion", Conversion)
    registry.add("exposure", "own_answers", OwnAnswers)
    registry.add("dataset", "misfit", Misfit)
    registry.add("weights", "sum_of_signs", SumOfSigns)
'''


@pytest.fixture
def loaded(tmp_path):
    file = tmp_path / "stranger.py"
    file.write_text(PLUGIN)
    return load([bench.DOTS, file])


def seen(loaded, kind, name):
    """What the plugin file noted down."""
    plugin = loaded.registry.get(kind, name).factory
    method = {"objective": "losses", "exposure": "train_input", "weights": "bind"}[kind]
    return getattr(plugin, method).__globals__["SEEN"]


def trained(at, plan):
    return next(stage for stage in plan.stages() if stage.kind == "train")


def test_what_a_drawing_leaves_open_is_kept_and_left_out_of_the_loss(sd15, tmp_path, loaded):
    axes = {"encoding": ["left_half"], "objective": ["mse", "masked_mse"]}
    at, plans, finished = bench.run(bench.request(sd15, axes), tmp_path / "runs", loaded)
    assert not finished.failures
    latents = Latents.open(at.folder(trained(at, plans[0]).input("latents")))
    side = latents.targets.shape[-1]
    valid = latents.validity([0, 5])
    assert valid.shape == (2, side, side)
    assert valid[..., : side // 2].all()
    assert not valid[..., side // 2 :].any()
    logs = [(at.folder(trained(at, plan)) / "log.json").read_text() for plan in plans]
    assert logs[0] != logs[1], "the two objectives saw different losses"


def test_a_latent_pixel_is_valid_where_all_of_its_pixels_are():
    rgb = torch.zeros(1, 3, 4, 4)
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[0, 0, 3] = False
    assert whole_pixels(Drawing(rgb, valid), (4, 2, 2)).tolist() == [[[1.0, 0.0], [1.0, 1.0]]]
    assert whole_pixels(Drawing(rgb), (4, 2, 2)).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]


def test_an_encoding_that_leaves_something_open_must_say_so(sd15, tmp_path, loaded):
    _, (plan,), finished = bench.run(bench.request(sd15, {"encoding": ["undeclared"]}), tmp_path / "runs", loaded)
    assert isinstance(finished.failures[plan.id], BadData)
    assert "partial = True" in str(finished.failures[plan.id])


def test_an_objective_sees_layers_estimates_and_pictures_and_may_learn(sd15, tmp_path, loaded, monkeypatch):
    monkeypatch.setattr("addp_bench.training.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("addp_bench.training.LOG_EVERY", 1)
    asked = bench.request(sd15, {"objective": ["aligned"], "target": ["x0"]})
    _, _, finished = bench.run(asked, tmp_path / "runs", loaded)
    assert not finished.failures
    noted = seen(loaded, "objective", "aligned")
    assert noted["bound to"] == "InstructPix2Pix"
    assert noted["estimate"][1:] == (4, 8, 8)
    assert noted["layer"][2:] == (8, 8)
    assert noted["pictures"][1] == 3
    assert noted["scale"] != 1.0, "it was trained, and is in the checkpoint"


def test_the_estimate_is_of_the_noised_latent_though_the_network_was_shown_another(sd15, tmp_path, loaded):
    axes = {"objective": ["conversion"], "target": ["epsilon"], "exposure": ["input_perturbation:gamma=0.5"]}
    _, _, finished = bench.run(bench.request(sd15, axes), tmp_path / "runs", loaded)
    assert not finished.failures
    assert seen(loaded, "objective", "conversion")["off"] < 1e-4


def test_a_truth_that_does_not_fit_is_refused_where_it_is_drawn(sd15, tmp_path, loaded):
    _, (plan,), finished = bench.run(bench.request(sd15, {"dataset": ["misfit"]}), tmp_path / "runs", loaded)
    assert isinstance(finished.failures[plan.id], BadData)
    assert "sample dots/train/2: its truth is 31 x 32" in str(finished.failures[plan.id])


def test_a_cure_may_ask_the_network_for_its_own_answers(sd15, tmp_path, loaded):
    axes = {"exposure": ["none", "own_answers"], "target": ["x0"]}
    at, plans, finished = bench.run(bench.request(sd15, axes), tmp_path / "runs", loaded)
    assert not finished.failures
    assert seen(loaded, "exposure", "own_answers")["gradient"] is False
    weights = [(at.folder(trained(at, plan)) / "denoiser.safetensors").read_bytes() for plan in plans]
    assert weights[0] != weights[1]


def test_a_strategy_may_join_gradients(sd15, tmp_path, loaded):
    _, _, finished = bench.run(bench.request(sd15, {"weights": ["sum_of_signs"]}), tmp_path / "runs", loaded)
    assert not finished.failures
    assert seen(loaded, "weights", "sum_of_signs")["joined"] == bench.SMALL["train_steps"]


class Looks:
    """Answers with whatever it is shown."""

    denoises = False

    def predict(self, sample, task, generator):
        return sample.truth, dict(sample.hints), dict(sample.attributes), sample.text


class Declares(Looks):
    uses_truth = True


def test_who_does_not_declare_it_is_not_shown_the_truth():
    truth = np.ones((4, 4), bool)
    sample = Sample("a", "a", np.zeros((4, 4, 3), np.uint8), truth, "the cup", {"instance": truth}, {"level": "L0"})
    assert ask(Looks(), sample, "ris", 0) == (None, {}, {}, "the cup")
    assert ask(Declares(), sample, "ris", 0)[0] is truth
