"""Weights: which timesteps are trained, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import BeforeValidator

from addp_bench.contribution import (
    Contribution,
    FloorRule,
    Mode,
    averaged,
    floored,
    is_file,
    least_samples,
    read_contribution,
    sources_of,
)
from addp_bench.errors import BadOption, Degenerate
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import numpy_generator
from addp_bench.registry import Registry
from addp_bench.regression import R2
from addp_bench.timesteps import ERROR_SCALE, Scaling, VectorDraws, converted, group_mass, spread

if TYPE_CHECKING:
    from addp_bench.protocols import Noise, Target


@dataclass(frozen=True)
class Uniform:
    """Every timestep alike (Ho et al., 2020).

    scaling: "prob" or "loss"; for a uniform strategy they are the same.
    """

    scaling: Scaling = "prob"
    needs_contribution: ClassVar[bool] = False

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Draws with p = 1 / T and weight 1."""
        return VectorDraws("uniform", np.ones(noise.steps), "probability", self.scaling, noise, target)


@dataclass(frozen=True)
class Diffusion:
    """c^2 proportional to 1 / SNR(t): how strongly the noise estimate at t enters x0 (ADDP, section 4).

    As a probability it is drawn as it is, whatever the network predicts. As a loss weight it is said for epsilon's
    error and converted: on x0's error it is constant, on v's 1 / (1 + SNR).

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    grouped: share the mass of each of ten groups evenly among its timesteps.

    snr_min: SNR counts as at least this, in the conversion too; needed on schedules that end near pure noise (0.0047
    is where Stable Diffusion's ends).
    """

    scaling: Scaling = "prob"
    grouped: bool = False
    snr_min: float | None = None
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.snr_min is not None and not 0 < self.snr_min < np.inf:
            raise ValueError(f"snr_min must be positive and finite, got {self.snr_min}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Raises BadOption on a schedule that ends in pure noise, unless snr_min is given, or is too short to group."""
        if self.snr_min is None and noise.alphas_cumprod.min() < 1e-8:
            raise BadOption(
                "weights diffusion: the schedule ends in pure noise, and 1 / SNR would give nearly all weight to its "
                "last steps. Say diffusion:snr_min=0.0047 (Stable Diffusion's schedule ends there), or change --noise."
            )
        snr = np.maximum(_snr(noise), self.snr_min or 0.0)
        c2 = 1.0 / snr
        if self.grouped:
            _require_groups("diffusion", 10, noise)
            c2 = spread(group_mass(c2), noise.steps)
        if self.scaling == "prob":
            return VectorDraws("diffusion", c2, "probability", self.scaling, noise, target)
        # with the SNR that is bounded, so that the weight on x0 is constant to the last timestep
        bounded = torch.from_numpy(snr)
        w = c2 * ERROR_SCALE["epsilon"](bounded).numpy() / target.error_scale(bounded).numpy()
        return VectorDraws("diffusion", w, "trained", self.scaling, noise, target)


@dataclass(frozen=True)
class P2:
    """1 / (k + SNR)^gamma on epsilon's error: less weight where only fine noise is left (Choi et al., 2022).

    Said for epsilon and converted to whatever is trained; where SNR is 0 it is 1 / k^gamma on every target. With the
    defaults epsilon's weight is 1 - alphas_cumprod.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    gamma: how strongly clean timesteps lose weight, 0 (not at all) or more; the authors use 0.5 and 1.

    k: keeps the weight finite where no signal is left, 0 or more.
    """

    scaling: Scaling = "prob"
    gamma: float = 1.0
    k: float = 1.0
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("gamma", "k"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Raises BadOption where k = 0 leaves a weight infinite."""
        with np.errstate(all="ignore"):  # what comes out infinite or 0 everywhere is refused by its name
            w = (self.k + _snr(noise)) ** -self.gamma
        return VectorDraws("p2", w, "epsilon", self.scaling, noise, target)


def _spelt(form: str) -> str:
    """A form as people write it: in any case, `eps` for epsilon."""
    name = str(form).lower()
    return "epsilon" if name == "eps" else name


@dataclass(frozen=True)
class MinSNR:
    """min(SNR, gamma) on x0's error: nearly clean timesteps gain no more than a bounded weight (Hang et al., 2023).

    Where SNR is 0 every form weighs 1, as the authors' code has it.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    gamma: SNR above which a cleaner timestep gains no more weight, positive.

    form: "auto" says the weight in the terms of what is trained; "x0" min(SNR, gamma), "epsilon" (or "eps")
    min(SNR, gamma) / SNR and "v" min(SNR, gamma) / (SNR + 1) put that formula on whatever is trained, unconverted.
    """

    scaling: Scaling = "prob"
    gamma: float = 5.0
    form: Annotated[Literal["auto", "x0", "epsilon", "v"], BeforeValidator(_spelt)] = "auto"
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.gamma < np.inf:
            raise ValueError(f"gamma must be positive, got {self.gamma}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Draws by the form; defined on every schedule."""
        snr = _snr(noise)
        capped = np.minimum(snr, self.gamma)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.form == "auto":
                w = converted(capped, "x0", noise, target)
            else:
                w = capped / {"x0": 1.0, "epsilon": snr, "v": snr + 1.0}[self.form]
        w = np.where(snr == 0, 1.0, w)
        return VectorDraws("min_snr", w, "trained", self.scaling, noise, target)


@dataclass(frozen=True)
class PerceptionStats:
    """The share of the final quality's variance that each group of timesteps newly explains (ADDP, Algorithm A).

    Measured on a uniformly trained source before training, then drawn as it is, whatever the network predicts.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    from: a trained cell to measure, or a record.json or contribution.json that holds statistics; several are written
    A+B+C, one for each task, and averaged. Without it a uniform twin of the cell is trained.

    samples: number of samples to measure; the budget's without it.

    steps: sampling steps of the measurement.

    groups: equal blocks of timesteps that share one value.

    floor: least probability of a group, 0 to 1 / groups.

    floor_rule: "clip_renorm" raises and renormalises, "exact" keeps raised groups at the floor.

    mode: "include_final" gives the cleanest group what the others leave unexplained; "paper_literal" leaves it out.

    r2: "plain"; "adjusted" for the number of groups; "cross_validated" is of samples that were not fitted.

    folds: blocks of samples that r2=cross_validated holds out in turn.
    """

    scaling: Scaling = "prob"
    from_: str | None = None
    samples: int | None = None
    steps: int | None = None
    groups: int = 10
    floor: float = 0.01
    floor_rule: FloorRule = "clip_renorm"
    mode: Mode = "include_final"
    r2: R2 = "plain"
    folds: int = 5
    needs_contribution: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"groups must be 1 or more, got {self.groups}")
        if not 0 <= self.floor <= 1 / self.groups:
            raise ValueError(f"floor lies between 0 and 1 / {self.groups} groups, got {self.floor}")
        if self.folds < 2:
            raise ValueError(f"folds must be 2 or more, got {self.folds}")
        if self.folds != 5 and self.r2 != "cross_validated":
            raise ValueError(f"folds belong to r2=cross_validated, and r2 is {self.r2}")
        if self.samples is not None and self.samples < (least := least_samples(self.groups, self.r2, self.folds)):
            raise ValueError(f"samples must be at least {least} for {self.groups} groups, got {self.samples}")
        sources = sources_of(self.from_)
        if not all(sources):
            raise ValueError(f"from={self.from_}: write A+B+C, with a cell or a file on each side of every +")
        if sources and all(map(is_file, sources)):
            for option in ("samples", "steps"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{option} belongs to a measurement, and from={self.from_} is measured already")
        if self.steps is not None and self.steps < self.groups:
            raise ValueError(f"steps must be at least {self.groups}, one for each group, got {self.steps}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """contribution: what was measured; None reads the files that `from` names. The floor is this strategy's own.

        Raises Degenerate when nothing was measured, BadOption when it was measured with other groups, mode, r2 or
        folds than asked, BadData for a file that is missing or damaged.
        """
        if contribution is None:
            contribution = self._read()
        for option in ("groups", "mode", "r2", "folds"):
            asked, met = getattr(self, option), getattr(contribution, option)
            if asked != met:
                raise BadOption(
                    f"weights {self._name}: statistics were made with {option}={met}, asked is {option}={asked}; "
                    f"say {option}={met} or measure again"
                )
        _require_groups(self._name, self.groups, noise)
        mass = self._arranged(floored(np.array(contribution.raw), self.floor, self.floor_rule))
        return VectorDraws(self._name, spread(mass, noise.steps), "probability", self.scaling, noise, target)

    _name: ClassVar[str] = "perception_stats"

    def _arranged(self, mass: np.ndarray) -> np.ndarray:
        return mass

    def _read(self) -> Contribution:
        sources = sources_of(self.from_)
        if not (sources and all(map(is_file, sources))):
            raise Degenerate(
                f"weights {self._name}: nothing was measured; train a uniform source first or say from=FILE.json"
            )
        return averaged([read_contribution(Path(source)) for source in sources])


@dataclass(frozen=True)
class ShuffledStats(PerceptionStats):
    """A control: the measured group probabilities in a wrong order, the largest one never in its own place.

    If the order matters, this loses to perception_stats; if only unevenness does, it does not.

    scaling: "prob" or "loss", as perception_stats. from: as perception_stats. samples: as perception_stats.
    steps: as perception_stats. groups: as perception_stats. floor: as perception_stats.
    floor_rule: as perception_stats. mode: as perception_stats. r2: as perception_stats. folds: as perception_stats.

    seed: chooses the order.
    """

    seed: int = 0
    _name: ClassVar[str] = "shuffled_stats"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups == 1 or (self.floor_rule == "exact" and self.floor * self.groups >= 1):
            raise ValueError(
                f"{self.groups} group{'s' if self.groups > 1 else ''} with floor={self.floor} all have the same "
                "probability, and no order differs from another; take more groups or a lower floor"
            )

    def _arranged(self, mass: np.ndarray) -> np.ndarray:
        largest = int(mass.argmax())
        if mass.min() == mass[largest]:
            raise Degenerate(
                "weights shuffled_stats: all groups have the same probability, no order differs from another"
            )
        rng = numpy_generator("shuffled_stats", self.seed)
        shuffled = rng.permutation(mass)
        while shuffled[largest] == mass[largest]:  # so it also differs from the original
            shuffled = rng.permutation(mass)
        return shuffled


@dataclass(frozen=True)
class LastGroup:
    """A control: all that is not floor on the noisiest group, to see whether unevenness without measuring does as well.

    scaling: "prob" makes it the distribution of timesteps, "loss" a loss weight of mean 1.

    groups: equal blocks of timesteps.

    floor: probability of every other group, 0 to 1 / groups.
    """

    scaling: Scaling = "prob"
    groups: int = 10
    floor: float = 0.01
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"groups must be 1 or more, got {self.groups}")
        if not 0 <= self.floor <= 1 / self.groups:
            raise ValueError(f"floor lies between 0 and 1 / {self.groups} groups, got {self.floor}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> VectorDraws:
        """Draws with the floor on all groups but the last, which gets the rest. Raises BadOption for too many."""
        _require_groups("last_group", self.groups, noise)
        mass = np.full(self.groups, self.floor)
        mass[-1] = 1.0 - self.floor * (self.groups - 1)
        return VectorDraws("last_group", spread(mass, noise.steps), "probability", self.scaling, noise, target)


def _require_groups(strategy: str, groups: int, noise: Noise) -> None:
    if groups > noise.steps:
        raise BadOption(f"weights {strategy}: {groups} groups do not fit into the schedule's {noise.steps} timesteps")


def _snr(noise: Noise) -> np.ndarray:
    """a^2 / s^2 at every timestep, (T,) float64."""
    return noise.snr(torch.arange(noise.steps)).numpy()


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "uniform", Uniform)
    registry.add("weights", "diffusion", Diffusion, aliases=("diffusion_c2",))
    registry.add("weights", "p2", P2)
    registry.add("weights", "min_snr", MinSNR)
    registry.add("weights", "perception_stats", PerceptionStats, aliases=("perception_stats_c2",))
    registry.add("weights", "last_group", LastGroup)
    registry.add("weights", "shuffled_stats", ShuffledStats)
