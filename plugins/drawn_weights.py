"""Weights that say how timesteps are drawn more than what a loss counts: SpeeD, Soft Truncation, log-normal noise."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from scipy.special import ndtr

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import uniform
from addp_bench.registry import Registry
from addp_bench.timesteps import FixedDraws, Scaling, VectorDraws, converted

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.contribution import Contribution
    from addp_bench.protocols import Noise, Target


@dataclass(frozen=True)
class Speed:
    """SpeeD (Wang et al., 2024): noisy timesteps are drawn less, those where the noise level changes fast weigh more.

    Timesteps below tau are drawn k times as often as others. The loss weight is said for epsilon's error and converted:
    1 from tau on, and below it between 1 - lambda and lambda, by the slope of 1 - alphas_cumprod.

    scaling: "prob" draws timesteps; "loss" draws them uniformly and makes everything a loss weight of mean 1.

    version: 2 is the repository as it is now; 1 the earlier one: P by the slope of the noise level, and P2's weight.

    k: how many times as often timesteps below tau are drawn, positive. tau: first timestep that is drawn less.

    lambda: greatest weight below tau, 0 to 1.

    dual: pair each drawn timestep with its mirror image; by default as released, for weight=loss with scaling=prob.

    weight: "loss" applies the loss weight to the loss, "draws" multiplies the distribution by it, "none" leaves it out.
    """

    scaling: Scaling = "prob"
    version: int = 2
    k: float = 5.0
    tau: int = 700
    lambda_: float = 0.6
    dual: bool | None = None
    weight: Literal["loss", "draws", "none"] = "loss"
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.version not in (1, 2):
            raise ValueError(f"version is 1 or 2, got {self.version}")
        if self.version == 1 and (self.k, self.tau, self.lambda_) != (5.0, 700, 0.6):
            raise ValueError("k, tau and lambda belong to version 2; version 1 finds its own")
        if self.weight == "none" and self.lambda_ != 0.6:
            raise ValueError("lambda belongs to the loss weight, and weight=none leaves it out")
        if not 0 < self.k < np.inf:
            raise ValueError(f"k must be positive, got {self.k}")
        if self.tau < 0:
            raise ValueError(f"tau is a timestep, 0 or more, got {self.tau}")
        if not 0 <= self.lambda_ <= 1:
            raise ValueError(f"lambda lies between 0 and 1, got {self.lambda_}")
        if self.dual and (self.scaling == "loss" or self.weight == "draws"):
            raise ValueError("dual=true pairs timesteps drawn from P: it needs scaling=prob, and weight=loss or none")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> FixedDraws:
        """Raises BadOption for a schedule shorter than tau, of even slope, or, with dual=true, without a mirror."""
        if noise.steps < 2:
            raise BadOption("weights speed: a schedule of one timestep has no slope")
        if self.version == 2 and self.tau > noise.steps:
            raise BadOption(
                f"weights speed: tau={self.tau} lies beyond a schedule of {noise.steps} timesteps; say "
                f"tau={noise.steps * 7 // 10}, which is as far along as 700 of 1 000"
            )
        p = self._probabilities(noise)
        if self.weight == "none":
            w: np.ndarray = np.ones(noise.steps)
        else:
            w = converted(self._loss_weights(noise), "epsilon", noise, target)
        if self.scaling == "loss" or self.weight == "draws":
            return VectorDraws("speed", p * w, "trained", self.scaling, noise, target)
        mirror = mirrored(noise) if self.dual or (self.dual is None and self.weight == "loss") else None
        if mirror is not None:
            return MirroredDraws("speed", p, w, mirror, noise)
        if self.dual:
            raise BadOption(
                "weights speed: dual=true, and this schedule is nowhere flat enough to mirror; say dual=false"
            )
        return FixedDraws("speed", p, w, noise)

    def _probabilities(self, noise: Noise) -> np.ndarray:
        if self.version == 1:
            return np.tanh(1e6 * (_noise_slope(noise) - FLAT)) + 1.5
        return np.where(np.arange(noise.steps) < self.tau, self.k, 1.0)

    def _loss_weights(self, noise: Noise) -> np.ndarray:
        if self.version == 1:
            return 1.0 - noise.alphas_cumprod  # P2's 1 / (1 + SNR)
        h = np.gradient(1.0 - noise.alphas_cumprod)
        if h.max() == h.min():
            raise BadOption("weights speed: the noise level rises evenly, and no timestep stands out; say weight=none")
        steep = (h - h.min()) / (h.max() - h.min())
        weight = (1.0 - self.lambda_) + (2.0 * self.lambda_ - 1.0) * steep
        return np.where(np.arange(noise.steps) < self.tau, weight, 1.0)


FLAT = 1e-4  # slope of sqrt(1 - alphas_cumprod) for each timestep, below which SpeeD calls the schedule converged


def _noise_slope(noise: Noise) -> np.ndarray:
    return np.gradient(np.sqrt(1.0 - noise.alphas_cumprod))


def mirrored(noise: Noise) -> np.ndarray | None:
    """Mirror image (T,) int64 of every timestep: m - t below m, t - m from m on; m follows the first flat timestep.

    None where there is no m: the schedule is nowhere flat, or only at its end (the image of t = 0 would lie outside).
    """
    flat = np.flatnonzero(_noise_slope(noise) < FLAT)
    if len(flat) == 0 or flat[0] + 1 == noise.steps:
        return None
    m, t = flat[0] + 1, np.arange(noise.steps)
    return np.where(t < m, m - t, t - m)


class MirroredDraws(FixedDraws):
    """Half of a batch is drawn from p (T,), the other half is its mirror images, in order.

    probabilities: of both halves together, as they are in a batch of even size.
    """

    def __init__(self, strategy: str, p: np.ndarray, weights: np.ndarray, mirror: np.ndarray, noise: Noise) -> None:
        self._own = FixedDraws(strategy, p, weights, noise)
        p = self._own.probabilities
        super().__init__(strategy, (p + np.bincount(mirror, p, minlength=noise.steps)) / 2.0, weights, noise)
        self._mirror = torch.from_numpy(mirror)

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """As FixedDraws; only the first half of u is used."""
        # the released code draws n // 2 + 1 and cuts to n: in a batch of even size one more of its own, one image less
        own, _ = self._own.draw(u[: (len(u) + 1) // 2], step)
        t = torch.cat([own, self._mirror.to(u.device)[own]])[: len(u)]
        return t, self.weigh(t)


@dataclass(frozen=True)
class SoftTruncation:
    """The smallest time that is trained is drawn anew at each step, so that noisy ones get more (Kim et al., 2022).

    tau has a density proportional to tau^-k on [epsilon, 1]; a step then draws uniformly among the timesteps from tau
    on. Timestep i stands for the time (i + 1) / T.

    scaling: "prob" draws timesteps; "loss" draws them uniformly, with what would be their distribution as loss weight.

    k: how much the smallest times are preferred, 0 or more. epsilon: least tau, between 0 and 1.

    form: "sampler" draws tau once for each step; "marginal" draws every sample from what that comes to over many steps;
    "cdf" is proportional to the probability that tau lies below (the paper's loss weight).
    """

    scaling: Scaling = "prob"
    k: float = 1.0
    epsilon: float = 1e-5
    form: Literal["sampler", "marginal", "cdf"] = "sampler"
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.k < np.inf:
            raise ValueError(f"k must be 0 or more, got {self.k}")
        if not sys.float_info.min <= self.epsilon < 1:
            raise ValueError(f"epsilon lies between 0 and 1, both excluded, got {self.epsilon}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> FixedDraws:
        """Draws of the form; as a loss weight the sampler is its marginal."""
        below = self.cdf(np.arange(1, noise.steps + 1) / noise.steps)
        if self.form == "cdf":
            return VectorDraws("soft_truncation", below, "probability", self.scaling, noise, target)
        starts = np.diff(below, prepend=0.0)  # of the first timestep that is trained
        marginal = np.cumsum(starts / np.arange(noise.steps, 0, -1))
        if self.form == "sampler" and self.scaling == "prob":
            return TruncatedDraws(self, marginal, noise)
        return VectorDraws("soft_truncation", marginal, "probability", self.scaling, noise, target)

    def cdf(self, time: np.ndarray) -> np.ndarray:
        """P(tau <= time) for times in (0, 1]."""
        log = np.log(np.maximum(time, self.epsilon))
        if self.k == 1:
            return 1.0 - log / np.log(self.epsilon)
        with np.errstate(over="ignore"):  # a k so large that tau is epsilon
            power = self.k - 1.0
            return np.expm1(power * (np.log(self.epsilon) - log)) / np.expm1(power * np.log(self.epsilon))

    def tau(self, u: float) -> float:
        """The least time of a step, in [epsilon, 1], for u uniform on [0, 1)."""
        log = np.log(self.epsilon)
        if self.k == 1:
            return float(np.exp((1.0 - u) * log))
        with np.errstate(over="ignore"):
            power = self.k - 1.0
            return float(np.exp(log - np.log1p(u * np.expm1(power * log)) / power))


class TruncatedDraws(FixedDraws):
    """One tau for each step, then uniform timesteps from it on. probabilities: over many steps."""

    def __init__(self, truncation: SoftTruncation, marginal: np.ndarray, noise: Noise) -> None:
        super().__init__("soft_truncation", marginal, np.ones(noise.steps), noise)
        self._truncation, self._steps = truncation, noise.steps

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """As FixedDraws. tau is named by the step and u, which differs between training seeds."""
        chance = uniform((), [("soft_truncation", step, float(u[0]).hex())]).item()
        first = min(int(np.ceil(self._truncation.tau(chance) * self._steps)), self._steps) - 1
        t = (first + u.double() * (self._steps - first)).long().clamp(max=self._steps - 1)
        return t, self.weigh(t)


@dataclass(frozen=True)
class LogitNormal:
    """ln(s / a) is normal: the logit-normal times of flows (Esser et al., 2024), on any schedule.

    A timestep has the normal's mass between the midpoints of its own ln(s / a) and its neighbours'.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    mean: of ln(s / a); above 0 favours noisy timesteps. std: of ln(s / a), positive.
    """

    scaling: Scaling = "prob"
    mean: float = 0.0
    std: float = 1.0
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require_normal(self.mean, self.std)

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Draws with the normal's mass; where no signal or no noise is left it is 0."""
        p = normal_mass(noise, self.mean, self.std)
        return VectorDraws("logit_normal", p, "probability", self.scaling, noise, target)


@dataclass(frozen=True)
class EDM:
    """ln sigma is normal, sigma = s / a; x0's error weighs 1 / sigma^2 + 1 / sigma_data^2 (EDM; Karras et al., 2022).

    A timestep has the normal's mass between the midpoints of its own ln(s / a) and its neighbours'. The weight is
    converted to whatever is trained.

    scaling: "prob" draws timesteps; "loss" draws them uniformly and makes everything a loss weight of mean 1.

    mean: of ln sigma. std: of ln sigma, positive. sigma_data: standard deviation of the data, positive.

    weighted: apply the loss weight; false leaves the distribution alone.
    """

    scaling: Scaling = "prob"
    mean: float = -1.2
    std: float = 1.2
    sigma_data: float = 0.5
    weighted: bool = True
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require_normal(self.mean, self.std)
        if not 0 < self.sigma_data < np.inf:
            raise ValueError(f"sigma_data must be positive, got {self.sigma_data}")
        if not self.weighted and self.sigma_data != 0.5:
            raise ValueError("sigma_data belongs to the loss weight, and weighted=false leaves it out")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> FixedDraws:
        """Raises BadOption where the weight cannot be said of the target (epsilon without any signal)."""
        p, w = normal_mass(noise, self.mean, self.std), np.ones(noise.steps)
        if self.weighted:
            with np.errstate(divide="ignore", over="ignore"):
                # (sigma^2 + sigma_data^2) / (sigma sigma_data)^2
                at_x0 = noise.snr(torch.arange(noise.steps)).numpy() + np.float64(self.sigma_data) ** -2
            w = converted(at_x0, "x0", noise, target)
        if self.scaling == "loss":
            with np.errstate(invalid="ignore"):  # 0 times infinity, which is refused by name
                w = p * w
            return VectorDraws("edm", w, "trained", "loss", noise, target)
        return FixedDraws("edm", p, w, noise)


def normal_mass(noise: Noise, mean: float, std: float) -> np.ndarray:
    """The mass of a normal in ln(s / a) that falls to each timestep, (T,) float64; the sum is 1.

    Bounds are midpoints between neighbouring timesteps, open at both ends.
    """
    with np.errstate(divide="ignore"):
        level = -0.5 * np.log(noise.snr(torch.arange(noise.steps)).numpy())
    bounds = (level[1:] + level[:-1]) / 2.0
    return np.diff(ndtr((bounds - mean) / std), prepend=0.0, append=1.0)


def _require_normal(mean: float, std: float) -> None:
    if not np.isfinite(mean):
        raise ValueError(f"mean must be a number, got {mean}")
    if not 0 < std < np.inf:
        raise ValueError(f"std must be positive, got {std}")


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "speed", Speed)
    registry.add("weights", "soft_truncation", SoftTruncation)
    registry.add("weights", "logit_normal", LogitNormal)
    registry.add("weights", "edm", EDM)
