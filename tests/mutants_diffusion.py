"""Faulty noise, targets, exposures, samplers and guidances."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from mutants import ALL, mutant, of_calls, of_options, plain

from addp_bench.plugins.exposures import EpsilonScaling, InputPerturbation
from addp_bench.plugins.guidance import NoGuidance
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.samplers import DDIM
from addp_bench.plugins.targets import X0, V

of_options("noise", ScaledLinear)
of_calls("noise", ScaledLinear, "a", plain, ALL.replace("arguments", ""))
of_calls("noise", ScaledLinear, "draw", plain, "arguments")


@mutant("noise.finite")
class Endless(ScaledLinear):
    def s(self, t):
        return super().s(t).where(t > 0, torch.inf)


@mutant("noise.falls")
class Backwards(ScaledLinear):
    def __init__(self):
        super().__init__()
        self.alphas_cumprod = self.alphas_cumprod[::-1].copy()


@mutant("noise.snr")
class RootOfSnr(ScaledLinear):
    def snr(self, t):
        return super().snr(t).sqrt()


@mutant("noise.alphas_cumprod")
class Betas(ScaledLinear):
    def __init__(self):
        super().__init__()
        self._kept = self.alphas_cumprod

    def _at(self, what, t):
        self.alphas_cumprod = self._kept
        found = super()._at(what, t)
        self.alphas_cumprod = np.sqrt(self._kept)
        return found


of_options("target", X0)
of_calls("target", X0, "of", plain, ALL.replace("arguments", ""))
of_calls("target", V, "of", plain, "arguments")


@mutant("target.accepts_corruption")
class Unsure(X0):
    accepts_corruption = None


@mutant("target.read_back")
class Crossed(V):
    def to_x0(self, output, x_t, a, s):
        return a * x_t + s * output


@mutant("target.read_back")
class PreservingOnly(V):
    """v of processes of a^2 + s^2 = 1 alone."""

    def of(self, x0, x_t, eps, a, s):
        return a * eps - s * x0

    def to_x0(self, output, x_t, a, s):
        return a * x_t - s * output


@mutant("target.error_scale")
class Flat(V):
    def error_scale(self, snr):
        return torch.ones_like(snr)


of_options("exposure", EpsilonScaling)
of_calls("exposure", InputPerturbation, "train_input", plain, ALL)


@mutant("exposure.finite")
class ByZero(EpsilonScaling):
    def sampled(self, eps, index):
        return eps / index


@mutant("exposure.trains")
class Secretly(EpsilonScaling):
    def train_input(self, x_t, t, noise, white, denoise):
        return x_t * 1.1


def last_step(seen, f):
    return [*seen[:-1], dataclasses.replace(seen[-1], x0=f(seen[-1].x0))]


of_options("sampler", DDIM)
of_calls("sampler", DDIM, "trajectory", last_step, ALL.replace("arguments", "").replace("alone", ""))


@mutant("sampler.arguments")
class InPlace(DDIM):
    def trajectory(self, denoise, start, noise, steps, names):
        return super().trajectory(denoise, start.mul_(0.9), noise, steps, names)


@mutant("sampler.alone")
class Centred(DDIM):
    def trajectory(self, denoise, start, noise, steps, names):
        return super().trajectory(denoise, start - start.mean(), noise, steps, names)


@mutant("sampler.falls")
class Upwards(DDIM):
    def timesteps(self, noise, steps):
        return super().timesteps(noise, steps)[::-1]


@mutant("sampler.falls")
class FromOne(DDIM):
    def timesteps(self, noise, steps):
        return [t + 1 for t in super().timesteps(noise, steps)]


@mutant("sampler.estimates")
class Forgets(DDIM):
    def trajectory(self, *given):
        return super().trajectory(*given)[-1:]


@mutant("sampler.arrives")
class StopsHalfWay(DDIM):
    def trajectory(self, denoise, start, noise, steps, names):
        seen = super().trajectory(denoise, start, noise, steps, names)
        return [*seen[:-1], dataclasses.replace(seen[-1], x0=(seen[-1].x0 + start) / 2)]


@mutant("sampler.bare")
class Asks(DDIM):
    def trajectory(self, denoise, start, noise, *given):
        return super().trajectory(denoise, start * noise.s(torch.tensor([999])), noise, *given)


@mutant("sampler.warning")
class Warns(DDIM):
    def warning(self, noise, steps):
        return steps < 10


def each(coefficients, f):
    return {k: float(f(torch.tensor(v))) for k, v in coefficients.items()}


of_options("guidance", NoGuidance)
of_calls("guidance", NoGuidance, "coefficients", each, "repeats rebuilt global_state works")


@mutant("guidance.sum")
class Doubled(NoGuidance):
    def coefficients(self):
        return {("full", "full"): 2.0, ("null", "full"): -0.5}


@mutant("guidance.sum")
class Nobody(NoGuidance):
    def coefficients(self):
        return {("full", "full"): float("nan")}


@mutant("guidance.conditionings")
class Invented(NoGuidance):
    def coefficients(self):
        return {("half", "full"): 1.0}
