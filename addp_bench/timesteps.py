"""From a strategy's vector over timesteps to draws and loss weights; the one home of the conversion between targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from addp_bench.errors import BadOption

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Noise, Target, TimestepDraws

Scaling = Literal["prob", "loss"]
Native = Literal["probability", "trained", "epsilon", "x0", "v", "flow"]

# k(SNR) such that |target error|^2 = k |x0 error|^2 at the same network output
ERROR_SCALE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "x0": torch.ones_like,
    "epsilon": lambda snr: snr,
    "v": lambda snr: 1.0 + snr,
    "flow": lambda snr: (1.0 + snr.sqrt()).square(),
}


def converted(weight: np.ndarray, native: str, noise: Noise, target: Target) -> np.ndarray:
    """A loss weight (T,) said for the error of `native` -> the weight (T,) of the same objective on `target`'s error.

    w_x0 = k_native w_native and w_target = w_x0 / k_target, so w_eps = w_x0 / SNR and w_v = w_x0 / (1 + SNR).
    Where k_native and k_target agree the weight is untouched, at SNR 0 too; inf or nan where it cannot be converted.
    Where SNR is 0, epsilon's error says nothing of x0's, and a weight said for it is kept as it is: converted it would
    be 0, and the step that sampling begins with would never be trained.
    """
    snr = noise.snr(torch.arange(noise.steps))
    given, asked = ERROR_SCALE[native](snr).numpy(), target.error_scale(snr).numpy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kept = (given == asked) | ((snr.numpy() == 0) & (native == "epsilon"))
        return np.where(kept, weight, weight * given / asked)


class FixedDraws:
    """Draws of a strategy that never changes: a distribution of timesteps, and a loss weight for each.

    strategy: its name, for errors. probabilities (T,): not negative; kept divided by their sum. loss_weights (T,): not
    negative, applied as they are. Both are attributes, float64: what is really drawn and applied.

    Raises BadOption, naming the strategy, for values of another length, with NaN, inf or negative ones, or all 0.
    """

    def __init__(self, strategy: str, probabilities: np.ndarray, loss_weights: np.ndarray, noise: Noise) -> None:
        probabilities = _checked(strategy, np.asarray(probabilities, dtype=np.float64), noise.steps)
        self.probabilities = probabilities / probabilities.sum()
        self.loss_weights = _checked(strategy, np.asarray(loss_weights, dtype=np.float64), noise.steps)
        self._last = int(np.flatnonzero(self.probabilities)[-1])
        cdf = np.cumsum(self.probabilities)
        self._cdf = torch.from_numpy(cdf / cdf[-1])
        self._weights = torch.from_numpy(self.loss_weights).float()

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """u (B,) float64 uniform on [0, 1) -> t (B,) int64 and loss weights (B,) float32, on u's device.

        Inverse CDF, so that all strategies share u: t is the first timestep with cdf[t] > u. One of probability 0 is
        never drawn, even at u = 0 or at a u that was rounded up to 1.
        """
        if self._cdf.device != u.device:
            self._cdf = self._cdf.to(u.device)
        t = torch.searchsorted(self._cdf, u.to(torch.float64), right=True).clamp(max=self._last)
        return t, self.weigh(t)

    def weigh(self, t: Tensor) -> Tensor:
        """Loss weights (B,) float32 of timesteps t (B,), on their device."""
        if self._weights.device != t.device:
            self._weights = self._weights.to(t.device)
        return self._weights[t]

    def combine(self, losses: Tensor, t: Tensor, step: int) -> Tensor:
        """Weighted losses (B,) -> their mean."""
        return losses.mean()

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """None are learnt."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """Nothing changes, so nothing is kept."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Accepts the empty state only."""
        if state:
            raise ValueError(f"a fixed strategy has no state, got {sorted(state)}")


class VectorDraws(FixedDraws):
    """Draws of a strategy that is a single vector over timesteps.

    vector: (T,) not negative. native: "probability"; or the target whose loss the vector weights; or "trained", a loss
    weight said of whatever is trained. scaling: "prob" makes it the distribution of t; "loss" keeps t uniform and
    multiplies losses by weights of mean 1 over t. Both have the same expected gradient. A loss weight is converted to
    the trained target before it becomes either; a probability belongs to no target and is never converted.

    Raises BadOption, naming the strategy, for a vector of another length, with NaN, inf or negative values, or all 0.
    """

    def __init__(
        self, strategy: str, vector: np.ndarray, native: Native, scaling: Scaling, noise: Noise, target: Target
    ) -> None:
        vector = _checked(strategy, np.asarray(vector, dtype=np.float64), noise.steps)
        if native not in ("probability", "trained"):
            vector = _checked(strategy, converted(vector, native, noise, target), noise.steps)
        share, same = vector / vector.sum(), np.ones(noise.steps)
        if scaling == "prob":
            super().__init__(strategy, share, same, noise)
        else:
            super().__init__(strategy, same, share * noise.steps, noise)


def training_mass(draws: TimestepDraws, groups: int) -> np.ndarray | None:
    """Share of the training that each group gets, by draws and loss weights: (groups,) float64, cleanest first.

    As it stands now, for strategies that learn; None for those that do not say what they draw.
    """
    p, weight = (getattr(draws, name, None) for name in ("probabilities", "loss_weights"))
    if p is None or weight is None:
        return None
    return group_mass(p * weight / (p * weight).sum(), groups)


def group_edges(steps: int, groups: int) -> np.ndarray:
    """First timestep of each of `groups` equal blocks, and T at the end: (groups + 1,) int64."""
    if not 1 <= groups <= steps:
        raise BadOption(f"{steps} timesteps cannot be cut into {groups} groups: groups lies between 1 and {steps}")
    return np.arange(groups + 1) * steps // groups


def group_mass(p: np.ndarray, groups: int = 10) -> np.ndarray:
    """Sum of p (T,) over each block, cleanest first: (groups,) float64."""
    return np.add.reduceat(np.asarray(p, dtype=np.float64), group_edges(len(p), groups)[:-1])


def spread(mass: np.ndarray, steps: int) -> np.ndarray:
    """The reverse: each block's mass (groups,), shared evenly by its timesteps -> (T,) float64."""
    sizes = np.diff(group_edges(steps, len(mass)))
    return np.repeat(np.asarray(mass, dtype=np.float64) / sizes, sizes)


def _checked(strategy: str, vector: np.ndarray, steps: int) -> np.ndarray:
    if vector.shape != (steps,):
        raise BadOption(
            f"weights {strategy}: expected one value for each of {steps} timesteps, got shape {vector.shape}"
        )
    wrong = ~(np.isfinite(vector) & (vector >= 0))
    if wrong.any():
        t = int(np.argmax(wrong))
        raise BadOption(
            f"weights {strategy}: values must be finite and not negative, got {vector[t]} at t = {t}. "
            "A schedule with zero terminal SNR needs another target or strategy."
        )
    with np.errstate(over="ignore"):
        total = vector.sum()
    if not 0 < total < np.inf:
        raise BadOption(f"weights {strategy}: the values add up to {total}; no timestep could be drawn")
    return vector
