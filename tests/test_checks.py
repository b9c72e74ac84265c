"""Every plugin that comes along keeps its contract, and the checks find those that do not."""

from __future__ import annotations

import bench
import pytest

from addp_bench import checks
from addp_bench.errors import BadPlugin
from addp_bench.loading import load
from addp_bench.registry import REQUIRED
from addp_bench.spec import Choice

REGISTRY = load([bench.DOTS]).registry


def builtin():
    for kind in checks.CHECKS:
        for name in REGISTRY.names(kind):
            if all(option.default is not REQUIRED for option in REGISTRY.get(kind, name).options):
                yield kind, name


@pytest.mark.parametrize("kind, name", list(builtin()))
def test_it_keeps_its_contract(kind, name):
    if kind == "tracker":
        pytest.importorskip(name)  # each is named by the package that it needs
    found = list(checks.check(REGISTRY, kind, Choice(name)))
    assert found
    checks.require(REGISTRY, kind, Choice(name))


def test_a_model_folder_keeps_its_contract(sd15):
    checks.require(REGISTRY, "model", Choice("instruct_pix2pix", {"path": str(sd15)}))


BROKEN = """
import torch
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Step
from addp_bench.plugins.corruptions import Color
from addp_bench.plugins.encodings import RedMask
from addp_bench.plugins.encodings_labels import Palette
from addp_bench.plugins.exposures import EpsilonScaling
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.samplers import DDIM
from addp_bench.plugins.targets import V
from addp_bench.plugins.transforms import Flip
from addp_bench.plugins.weights import Uniform


class Weights(Uniform):
    def bind(self, noise, target, contribution):
        draws = super().bind(noise, target, contribution)
        real = draws.draw
        draws.draw = lambda u, step: (real(u, step)[0] + 1, -real(u, step)[1])
        return draws


class Aug:
    corrupts = True

    def strength(self, t, noise):
        return t / 100.0


class Corruption(Color):
    def corrupt(self, target, strength, u):
        return super().corrupt(target, strength, torch.rand_like(u))


class Writes(Color):
    def corrupt(self, target, strength, u):
        target.rgb.mul_(0.9)
        return target


class Exposure(EpsilonScaling):
    def train_input(self, x_t, t, noise, white, denoise):
        return x_t * 1.1


class Target(V):
    def to_x0(self, output, x_t, a, s):
        return a * x_t + s * output


class Noise(ScaledLinear):
    def snr(self, t):
        return super().snr(t).sqrt()


class Objective:
    def losses(self, attempt):
        return (attempt.output.detach() - attempt.goal).square().mean()


class Sampler(DDIM):
    def timesteps(self, noise, steps):
        return super().timesteps(noise, steps)[::-1]


class Guidance:
    def coefficients(self):
        return {("full", "full"): 2.0, ("none", "full"): -0.5}


class Encoding(RedMask):
    def decode(self, drawings, image, queries):
        return ~super().decode(drawings, image, queries)


class Classes(Palette):
    def _read(self, drawings, queries, radii):
        return [1 - read for read in super()._read(drawings, queries, radii)]


class Sweeps(Palette):
    def decode_swept(self, drawings, image, queries, values):
        return [1 - read for read in super().decode_swept(drawings, image, queries, values)]


class Invents(Flip):
    truths = ("labels",)

    def apply(self, photos, truth, u):
        photos, truth = super().apply(photos, truth, u)
        return photos, torch.where(truth == 1, 2, truth)


class Model:
    denoises = False

    def predict(self, sample, task, generator):
        return torch.rand(8, 8).numpy() > 0.5


class Executor:
    def run(self, jobs):
        for job in jobs:
            job.run()
            yield job


@hookimpl
def addp_bench_register(registry):
    for kind, made in (("weights", Weights), ("aug", Aug), ("corruption", Corruption), ("exposure", Exposure),
                       ("target", Target), ("noise", Noise), ("objective", Objective), ("sampler", Sampler),
                       ("guidance", Guidance), ("encoding", Encoding), ("model", Model), ("executor", Executor)):
        registry.add(kind, "broken", made)
    registry.add("corruption", "writes", Writes)
    registry.add("encoding", "classes", Classes)
    registry.add("encoding", "sweeps", Sweeps)
    registry.add("transform", "invents", Invents)
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugins") / "broken.py"
    file.write_text(BROKEN)
    return file


@pytest.mark.parametrize(
    "kind, promises",
    [
        ("weights", ["timesteps are code indices", "no weight is negative"]),
        ("aug", ["strengths lie in [0, 2]"]),
        ("corruption", ["all randomness comes in"]),
        ("exposure", ["training is that of `none`"]),
        ("target", ["x0 is read back from the goal"]),
        ("noise", ["snr is a^2 / s^2"]),
        ("objective", ["a loss for every sample"]),
        ("sampler", ["10 steps visit timesteps, noisiest first"]),
        ("guidance", ["coefficients sum to 1", "conditionings are known ones"]),
        ("encoding", ["a drawing is read back as what was drawn", "several drawings are read as each of them"]),
        ("model", ["a mask of the photograph's size", "all randomness comes in"]),
        ("executor", ["does what it is asked"]),
    ],
)
def test_a_broken_promise_is_found(broken, kind, promises):
    registry = load([broken]).registry
    found = [promise for promise, problem in checks.check(registry, kind, Choice("broken")) if problem]
    assert set(promises) <= set(found)
    with pytest.raises(BadPlugin, match="broken"):
        checks.require(registry, kind, Choice("broken"))


@pytest.mark.parametrize("kind, name, promise", [
    ("encoding", "classes", "a drawing is read back as what was drawn"),
    ("encoding", "sweeps", "at its own value the sweep reads as `decode` does"),
    ("transform", "invents", "labels: no label is invented"),
])  # fmt: skip
def test_a_broken_promise_about_class_maps_is_found(broken, kind, name, promise):
    registry = load([broken]).registry
    assert [p for p, problem in checks.check(registry, kind, Choice(name)) if problem] == [promise]


def test_a_corruption_that_writes_into_its_target_is_found(broken):
    registry = load([broken]).registry
    (problem,) = (p for _, p in checks.check(registry, "corruption", Choice("writes")) if p)
    assert "writes into the target" in problem


def test_the_command_says_what_is_kept_and_what_is_not(shell, broken):
    code, out, err = shell("check", "plugin", "guidance=broken", "--plugin", broken)
    assert (code, err) == (3, "")
    assert "FAILED  coefficients sum to 1: they sum to 1.5" in out
    code, out, _ = shell("check", "plugin", "guidance=image_text:text=7.5")
    assert (code, out.count("ok  ")) == (0, 2)
    code, _, err = shell("check", "plugin", "image_text")
    assert code == 2
    assert "KIND=NAME" in err
