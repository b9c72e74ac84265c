"""Contracts of what a diffusion model is trained and sampled with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from addp_bench.contribution import estimate, is_file, sources_of
from addp_bench.randomness import numpy_generator, uniform
from addp_bench.registry import Registry
from addp_bench.types import Attempt

from .given import LATENT, Finding, built, finite, latents_of, names, noise_of, said, shaped


def noise(noise: Any, registry: Registry) -> Iterator[Finding]:
    t = torch.arange(noise.steps)
    a, s, snr = noise.a(t).double(), noise.s(t).double(), noise.snr(t).double()
    yield finite("a and s are numbers at every timestep", torch.stack([a, s]))
    yield "t = T - 1 is the noisiest", said((snr.diff() <= 0).all(), "the SNR rises somewhere with t")
    agree = torch.allclose(snr, a.square() / s.square(), rtol=1e-3, atol=1e-7)
    yield "snr is a^2 / s^2", said(agree, "they differ")
    share = torch.from_numpy(np.asarray(noise.alphas_cumprod))
    agree = torch.allclose(share, a.square() / (a.square() + s.square()), rtol=1e-4, atol=1e-6)
    yield "alphas_cumprod is a^2 / (a^2 + s^2)", said(agree, "they differ")
    white = latents_of("white", 2)
    yield shaped("training noise has the shape of white noise", noise.draw(white, t[:2]), white.shape)
    yield shaped("a trajectory starts from something of that shape", noise.start(white), white.shape)


def target(target: Any, registry: Registry) -> Iterator[Finding]:
    noise = noise_of(registry)
    t = torch.tensor([10, 300, 600, 990])
    a, s = (part[:, None, None, None] for part in (noise.a(t), noise.s(t)))
    x0, eps = latents_of("x0", 4), latents_of("eps", 4)
    x_t = a * x0 + s * eps
    goal = target.of(x0, x_t, eps, a, s)
    yield shaped("the goal is a latent", goal, x0.shape)
    error = (target.to_x0(goal, x_t, a, s) - x0).abs().max()
    yield "x0 is read back from the goal", said(error < 1e-3, f"off by {error:.2g}")
    moved = goal + 0.01 * latents_of("error", 4)
    of_target, of_x0 = (
        (moved - goal).square().sum((1, 2, 3)),
        (target.to_x0(moved, x_t, a, s) - x0).square().sum((1, 2, 3)),
    )
    agree = torch.allclose(of_target.double(), target.error_scale(noise.snr(t)) * of_x0.double(), rtol=0.05)
    yield "error_scale turns an error of x0 into one of the goal", said(agree, "the two errors differ")


def weights(weights: Any, registry: Registry) -> Iterator[Finding]:
    noise, target = noise_of(registry), built("target", registry, "x0")
    contribution = None
    sources = sources_of(getattr(weights, "from_", None))
    if weights.needs_contribution and not (sources and all(map(is_file, sources))):
        groups = getattr(weights, "groups", 10)
        quality = numpy_generator("checks", "quality").random((60, groups)).cumsum(1)
        visited = [(2 * g + 1) * noise.steps // (2 * groups) for g in reversed(range(groups))]
        options = ("mode", "r2", "folds")
        as_asked: dict[str, Any] = {name: getattr(weights, name) for name in options if hasattr(weights, name)}
        contribution = estimate(quality, visited, groups=groups, bootstrap=0, **as_asked)
    draws = weights.bind(noise, target, contribution)
    batch = 840  # which any number of strata up to 8 shares evenly
    u = torch.linspace(0.0, 1.0 - 2.0**-53, batch, dtype=torch.float64)  # both ends of [0, 1)
    t, weight = draws.draw(u, 0)
    yield shaped("a timestep for every sample", t, (batch,))
    yield (
        "timesteps are code indices",
        said(not t.is_floating_point() and t.min() >= 0 and t.max() < noise.steps, str(t)),
    )
    yield finite("weights are numbers", weight)
    yield "no weight is negative", said((weight >= 0).all(), f"met {weight.min()}")
    yield "the same draws at the same step", said(torch.equal(draws.draw(u, 0)[0], t), "a second call differs")
    losses = (torch.ones(batch) * weight).requires_grad_()
    if hasattr(draws, "backward"):
        yield "joins gradients", None
    else:
        total = draws.combine(losses, t, 0)
        yield shaped("losses combine to one number", total, ())
        total.backward()
        yield finite(
            "every sample's loss has a gradient", losses.grad if losses.grad is not None else torch.tensor([torch.nan])
        )
    draws.load_state_dict(draws.state_dict())
    yield "its state can be restored", None


def exposure(exposure: Any, registry: Registry) -> Iterator[Finding]:
    noise, x_t = noise_of(registry), latents_of("x_t", 2)
    white = latents_of("white", 2) if exposure.perturbs else None
    draws = getattr(exposure, "draws", 0)
    chance = {"u": uniform((draws,), names("exposure", 2)).float()} if draws else {}
    shown = exposure.train_input(x_t, torch.tensor([100, 900]), noise, white, lambda x, t: x, **chance)
    yield shaped("the network is shown a latent", shown, x_t.shape)
    if not getattr(exposure, "trains", True):
        yield (
            "training is that of `none`",
            said(torch.equal(shown, x_t), "its input is changed, and `trains` is False"),
        )
    for index in (0, 19):
        yield shaped(f"a noise estimate for step {index}", exposure.sampled(x_t, index), x_t.shape)


def objective(objective: Any, registry: Registry) -> Iterator[Finding]:
    if hasattr(objective, "bind") or getattr(objective, "features", None):
        yield "asks for a model, and is checked where one is trained", None
        return
    output, goal = latents_of("output", 3).requires_grad_(), latents_of("goal", 3)
    valid = torch.ones(3, *LATENT[1:], dtype=torch.bool) if getattr(objective, "needs_valid", False) else None
    attempt = Attempt(output, goal, goal, torch.tensor([1, 2, 3]), valid, {}, lambda: output, lambda z: z[:, :3])
    losses = objective.losses(attempt)
    yield shaped("a loss for every sample", losses, (3,))
    yield finite("losses are numbers", losses)
    losses.sum().backward()
    yield "the output has a gradient", said(output.grad is not None and output.grad.abs().sum() > 0, "it has none")


def sampler(sampler: Any, registry: Registry) -> Iterator[Finding]:
    noise, truth = noise_of(registry), latents_of("truth", 2)
    start = noise.start(latents_of("start", 2))
    for steps in (1, 10, 50):
        visited = list(sampler.timesteps(noise, steps))
        falling = all(x > y for x, y in pairwise(visited)) and visited[-1] >= 0 and visited[0] < noise.steps
        yield f"{steps} steps visit timesteps, noisiest first", said(falling, str(visited[:5]))
        seen = sampler.trajectory(lambda x, t: truth, start, noise, steps, names("sampler", 2))
        yield f"{steps} steps keep an estimate each", said([s.t for s in seen] == visited, f"met {len(seen)}")
        error = (seen[-1].x0 - truth).abs().mean()
        yield f"{steps} steps end near what the network says", said(error < 0.1, f"off by {error:.2g} on average")


def guidance(guidance: Any, registry: Registry) -> Iterator[Finding]:
    found = guidance.coefficients()
    total = sum(found.values())
    yield "coefficients sum to 1", said(abs(total - 1) < 1e-9, f"they sum to {total:g}")
    known = {(text, image) for text in ("full", "null", "correction") for image in ("full", "null")}
    yield "conditionings are known ones", said(found.keys() <= known, f"met {sorted(set(found) - known)}")
