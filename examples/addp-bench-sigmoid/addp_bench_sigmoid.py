"""Weights that fall with the log-SNR as a sigmoid does: the weighting of Kingma and Gao (2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from scipy.special import expit

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.timesteps import Scaling, VectorDraws

if TYPE_CHECKING:
    from addp_bench.contribution import Contribution
    from addp_bench.protocols import Noise, Target
    from addp_bench.registry import Registry

requires_api = "1.0"


@dataclass(frozen=True)
class Sigmoid:
    """sigmoid(k - lambda) on epsilon's error, lambda = log SNR (Kingma and Gao, 2023): noisier timesteps count more.

    Said for epsilon and converted to whatever is trained. As it never rises with lambda, the loss over log-SNR is an
    ELBO of data with added noise.

    k: log-SNR at which the weight is a half; 0, the sigmoid as it is, is ours.

    over: what the loss is a sum over. "t", as public code has it (kwsong0113/diffusion-forcing-transformer): every
    timestep counts alike. "logsnr", as the paper has it: it also counts for the log-SNR that it covers, -d lambda / dt,
    so that the objective is the same on every noise schedule; refused on those that end in pure noise, as tiny's does.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.
    """

    k: float = 0.0
    over: Literal["t", "logsnr"] = "t"
    scaling: Scaling = "prob"
    needs_contribution: ClassVar[bool] = False

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Raises BadOption over "logsnr" on a schedule that ends in pure noise, or has a single timestep."""
        with np.errstate(divide="ignore"):  # a log-SNR of -inf is met below, or weighs 1
            logsnr = np.log(noise.snr(torch.arange(noise.steps)).numpy())
        w = expit(self.k - logsnr)
        if self.over == "logsnr":
            w = w * covered(logsnr)
        return VectorDraws("sigmoid", w, "epsilon", self.scaling, noise, target)


def covered(logsnr: np.ndarray) -> np.ndarray:
    """-d lambda / dt at each timestep (T,): central differences, one-sided at both ends.

    Raises BadOption where the log-SNR is not finite or there is nothing to take a difference of.
    """
    if len(logsnr) < 2 or not np.isfinite(logsnr).all():
        raise BadOption(
            "weights sigmoid: over=logsnr needs two timesteps and a finite log-SNR at each, and a schedule that ends "
            "in pure noise has none at its end. Say sigmoid:over=t, or change --noise."
        )
    return -np.gradient(logsnr)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "sigmoid", Sigmoid)
