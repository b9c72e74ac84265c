"""Contracts of what a diffusion model is trained and sampled with: noise, target, exposure, sampler, guidance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from addp_bench.errors import BenchError
from addp_bench.randomness import uniform

from .common import Call
from .comparing import differ
from .given import Finding, Subject, finite, latents_of, names, noise_of, said, unseen

FOUR = 4
STEPS = (1, 10, 50)  # of samplers


def noise_calls(noise: Any, subject: Subject) -> Iterator[Call]:
    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        t, white = given["t"], given["white"]
        found = {"a": plugin.a(t), "s": plugin.s(t), "snr": plugin.snr(t)}
        return found | {"draw": plugin.draw(white, t), "start": plugin.start(white)}

    white = latents_of("white", FOUR)
    t = torch.tensor([0, noise.steps // 3, noise.steps // 2, noise.steps - 1])
    each, whole = ((FOUR,), torch.float32), (tuple(white.shape), torch.float32)
    expected = {"a": each, "s": each, "snr": ((FOUR,), torch.float64), "draw": whole, "start": whole}
    yield Call(lambda: {"t": t.clone(), "white": white.clone()}, asked, expected, FOUR)


def noise(noise: Any, subject: Subject) -> Iterator[Finding]:
    t = torch.arange(noise.steps)
    a, s, snr = noise.a(t).double(), noise.s(t).double(), noise.snr(t).double()
    yield finite("noise.finite", torch.stack([a, s]))
    yield said("noise.falls", (snr.diff() <= 0).all(), "the SNR rises somewhere with t")
    agree = torch.allclose(snr, a.square() / s.square(), rtol=1e-3, atol=1e-7)
    yield said("noise.snr", agree, "they differ")
    share = np.asarray(noise.alphas_cumprod)
    there = (a.square() / (a.square() + s.square())).numpy()
    kept = share.shape == there.shape and share.dtype == np.float64 and np.allclose(share, there, rtol=1e-4, atol=1e-6)
    yield said("noise.alphas_cumprod", kept, f"met {share.dtype} {share.shape}, or other values")


def target_calls(target: Any, subject: Subject) -> Iterator[Call]:
    noise = noise_of(subject.registry)

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        goal = plugin.of(given["x0"], given["x_t"], given["eps"], given["a"], given["s"])
        read = plugin.to_x0(goal, given["x_t"], given["a"], given["s"])
        return {"of": goal, "to_x0": read, "error_scale": plugin.error_scale(given["snr"])}

    def given() -> dict[str, Any]:
        x0, eps, a, s = _noised(noise)
        snr = noise.snr(torch.tensor([10, 300, 600, 990]))
        return {"x0": x0, "x_t": a * x0 + s * eps, "eps": eps, "a": a, "s": s, "snr": snr}

    whole = (tuple(latents_of("x0", FOUR).shape), torch.float32)
    yield Call(given, asked, {"of": whole, "to_x0": whole, "error_scale": ((FOUR,), torch.float64)}, FOUR)


def target(target: Any, subject: Subject) -> Iterator[Finding]:
    accepts = target.accepts_corruption
    yield said("target.accepts_corruption", isinstance(accepts, bool), f"met {accepts!r}")
    noise = noise_of(subject.registry)
    x0, eps, a, s = _noised(noise)
    share = torch.tensor([0.1, 0.4, 0.7, 0.9]).view(-1, 1, 1, 1)  # of a flow: a + s = 1
    for name, alpha, sigma in (("a^2 + s^2 = 1", a, s), ("a + s = 1", 1 - share, share)):
        x_t = alpha * x0 + sigma * eps
        error = (target.to_x0(target.of(x0, x_t, eps, alpha, sigma), x_t, alpha, sigma) - x0).abs().max()
        yield said("target.read_back", error < 1e-3, f"off by {error:.2g}", name)
    x_t = a * x0 + s * eps
    goal = target.of(x0, x_t, eps, a, s)
    wrong = goal + 0.01 * latents_of("error", FOUR)
    of_target = (wrong - goal).square().sum((1, 2, 3)).double()
    of_x0 = (target.to_x0(wrong, x_t, a, s) - x0).square().sum((1, 2, 3)).double()
    scale = target.error_scale(noise.snr(torch.tensor([10, 300, 600, 990])))
    yield said("target.error_scale", torch.allclose(of_target, scale * of_x0, rtol=0.05), "the two errors differ")


def _noised(noise: Any) -> tuple[torch.Tensor, ...]:
    """Clean latents, noise, and the coefficients (4, 1, 1, 1) of four timesteps."""
    t = torch.tensor([10, 300, 600, 990])
    a, s = (part[:, None, None, None] for part in (noise.a(t), noise.s(t)))
    return latents_of("x0", FOUR), latents_of("eps", FOUR), a, s


def exposure_calls(exposure: Any, subject: Subject) -> Iterator[Call]:
    noise, draws = noise_of(subject.registry), getattr(exposure, "draws", 0)
    t = torch.tensor([100, 500, 900, 999])
    whole = (tuple(latents_of("x_t", FOUR).shape), torch.float32)

    def given() -> dict[str, Any]:
        white = latents_of("white", FOUR) if exposure.perturbs else None
        chance = {"u": uniform((draws,), names("exposure", FOUR)).float()} if draws else {}
        return {"x_t": latents_of("x_t", FOUR), "t": t.clone(), "white": white, **chance}

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        shown = plugin.train_input(noise=noise, denoise=lambda x, t: 0.5 * x, **given)
        return {"shown": shown} | {f"step {i}": plugin.sampled(given["x_t"], i) for i in (0, 19)}

    yield Call(given, asked, dict.fromkeys(("shown", "step 0", "step 19"), whole), FOUR)


def exposure(exposure: Any, subject: Subject) -> Iterator[Finding]:
    for call in exposure_calls(exposure, subject):
        given = call.given()
        answers = call.ask(exposure, given)
        yield finite("exposure.finite", torch.stack(list(answers.values())))
        if not getattr(exposure, "trains", True):
            kept = torch.equal(answers["shown"], given["x_t"])
            yield said("exposure.trains", kept, "its input is changed, and `trains` is False")


def sampler_calls(sampler: Any, subject: Subject) -> Iterator[Call]:
    noise = noise_of(subject.registry)
    start = latents_of("start", FOUR)

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        seen = plugin.trajectory(lambda x, t: torch.tanh(x), given["start"], noise, 10, given["names"])
        return {"timesteps": list(plugin.timesteps(noise, 10)), "x0": seen[-1].x0}

    whole = (tuple(start.shape), torch.float32)
    yield Call(lambda: {"start": start.clone(), "names": names("sampler", FOUR)}, asked, {"x0": whole}, FOUR)


def sampler(sampler: Any, subject: Subject) -> Iterator[Finding]:
    noise, truth = noise_of(subject.registry), latents_of("truth", 2)
    for steps in STEPS:
        of, visited = f"{steps} steps", list(sampler.timesteps(noise, steps))
        whole = visited and all(int(t) == t for t in visited) and visited[-1] >= 0 and visited[0] < noise.steps
        falling = whole and all(x > y for x, y in pairwise(visited))
        yield said("sampler.falls", falling, str(visited[:5]), of)
        seen = sampler.trajectory(lambda x, t: truth, latents_of("start", 2), noise, steps, names("sampler", 2))
        yield said("sampler.estimates", [s.t for s in seen] == visited, f"met {len(seen)} for {len(visited)}", of)
        error = (seen[-1].x0 - truth).abs().mean()
        yield said("sampler.arrives", error < 0.1, f"off by {error:.2g} on average", of)
    bare = SimpleNamespace(alphas_cumprod=noise.alphas_cumprod, steps=noise.steps)
    yield Finding("sampler.bare", _bare(sampler, noise, bare))
    if hasattr(sampler, "warning"):
        try:
            words = [sampler.warning(noise, steps) for steps in STEPS]
        except BenchError as refused:
            words = [str(refused)]
        kept = all(word is None or (isinstance(word, str) and word.strip()) for word in words)
        yield said("sampler.warning", kept, repr(words))
    else:
        yield unseen("sampler.warning", "it has none")


def _bare(sampler: Any, noise: Any, bare: Any) -> str | None:
    def end(given: Any) -> Any:
        start = latents_of("start", 2)
        return sampler.trajectory(lambda x, t: torch.tanh(x), start, given, 10, names("sampler", 2))[-1].x0

    try:
        return differ(end(noise), end(bare))
    except AttributeError as missing:
        return str(missing)


def guidance_calls(guidance: Any, subject: Subject) -> Iterator[Call]:
    yield Call(dict, lambda plugin, given: {"coefficients": dict(plugin.coefficients())})


def guidance(guidance: Any, subject: Subject) -> Iterator[Finding]:
    found = guidance.coefficients()
    total = sum(found.values())
    yield said("guidance.sum", math.isfinite(total) and abs(total - 1) < 1e-9, f"they sum to {total:g}")
    known = {(text, image) for text in ("full", "null", "correction") for image in ("full", "null")}
    strange = sorted(map(str, set(found) - known))
    yield said("guidance.conditionings", found and not strange, f"met {', '.join(strange) or 'none'}")
