"""Weights that treat intervals of timesteps as tasks and balance them (ANT; Go et al., 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import permutation
from addp_bench.registry import Registry
from addp_bench.timesteps import FixedDraws, Scaling, group_edges

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.contribution import Contribution
    from addp_bench.protocols import Noise, Target, TimestepDraws

BOUND = 10.0  # of |s|: an interval without any loss would send its s to -infinity (ours)


@dataclass(frozen=True)
class ANT:
    """Intervals of timesteps are tasks, balanced by multi-task learning (Go et al., 2023; "MLT" in ADDP's table G).

    Losses are the model's own: what is trained changes the weights, and nothing is converted.

    scaling: "loss" is as released: every batch has the same number of samples from each interval, and the method joins
    their losses; "prob" draws an interval with probability proportional to its weight, for method=uw and none (ours).

    k: number of intervals.

    clusters: "timestep" makes them of equal length; "log_snr" and "snr" put together what has a similar (log) SNR.

    method: "uw" learns a weight for each interval, inverse to its loss; "pcgrad" takes out of each gradient what
    conflicts with others; "nash" bargains between gradients; "none" leaves equal weights.

    every: training steps between two bargains of method=nash.
    """

    scaling: Scaling = "prob"
    k: int = 5
    clusters: Literal["timestep", "log_snr", "snr"] = "timestep"
    method: Literal["uw", "pcgrad", "nash", "none"] = "uw"
    every: int = 25
    needs_contribution: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("k", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.scaling == "prob" and self.method in ("pcgrad", "nash"):
            raise ValueError(f"method={self.method} joins gradients and gives no probability; say scaling=loss")
        if self.every != 25 and self.method != "nash":
            raise ValueError(f"every belongs to method=nash, and method is {self.method}")

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> TimestepDraws:
        """Raises BadOption for more intervals than timesteps, or a log SNR without signal."""
        intervals = IntervalDraws(self._edges(noise), noise)
        if self.method == "uw":
            return UncertaintyDraws(intervals, self.scaling, noise)
        if self.method == "pcgrad":
            return PCGradDraws(intervals.edges, noise)
        if self.method == "nash":
            return NashDraws(intervals.edges, noise, self.every)
        if self.scaling == "prob":
            return FixedDraws("ant", intervals.probabilities, intervals.loss_weights, noise)
        return intervals

    def _edges(self, noise: Noise) -> np.ndarray:
        if self.k > noise.steps:
            raise BadOption(f"weights ant: k={self.k} intervals do not fit into {noise.steps} timesteps")
        if self.clusters == "timestep":
            return group_edges(noise.steps, self.k)
        level = noise.snr(torch.arange(noise.steps)).numpy()
        if self.clusters == "log_snr":
            if level.min() <= 0:
                raise BadOption(
                    "weights ant: the schedule ends in pure noise, whose log SNR is infinite; say clusters=timestep"
                )
            level = np.log(level)
        return clustered(level, self.k)


def clustered(level: np.ndarray, k: int) -> np.ndarray:
    """First index of each of k intervals of level (T,), and T at the end: (k + 1,) int64.

    Those with the least sum of |level - level of the interval's middle index|, by dynamic programming over the end of
    an interval and the number of intervals. level must not rise and fall; then either of two middles gives that sum.
    """
    steps = len(level)
    sums = np.concatenate([[0.0], np.cumsum(level)])
    first, end = np.arange(steps)[:, None], np.arange(1, steps + 1)[None, :]
    middle = np.clip((first + end - 1) // 2, 0, steps - 1)
    # level is monotonic, so each side of the middle has one sign
    left = np.abs(sums[middle] - sums[first] - (middle - first) * level[middle])
    right = np.abs(sums[end] - sums[middle] - (end - middle) * level[middle])
    cost = np.where(first < end, left + right, np.inf)  # of the interval first .. end - 1
    best, starts = cost[0], []
    for _ in range(k - 1):
        total = np.full((steps, steps), np.inf)
        total[1:] = best[:-1, None] + cost[1:]
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    edges = [steps]
    for start in reversed(starts):
        edges.append(int(start[edges[-1] - 1]))
    return np.array([0, *edges[::-1]])


class IntervalDraws(FixedDraws):
    """Stratified batches: the same number of uniform timesteps from each of k intervals; losses as they are.

    edges (k + 1,): first timestep of each interval, and T.
    """

    def __init__(self, edges: np.ndarray, noise: Noise) -> None:
        self.edges = edges
        self.widths = np.diff(edges)
        super().__init__("ant", self.spread(1.0 / (self.k * self.widths)), np.ones(noise.steps), noise)

    @property
    def k(self) -> int:
        return len(self.widths)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value for each interval (k,) -> for each timestep (T,)."""
        return np.repeat(values, self.widths)

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """u (B,) -> t (B,), the first B / k from the cleanest interval, and weights of 1.

        Raises BadOption for a batch that the intervals cannot share evenly.
        """
        if len(u) % self.k:
            raise BadOption(
                f"weights ant: a batch of {len(u)} cannot be shared evenly by k={self.k} intervals; "
                f"say --batch-size {len(u) // self.k * self.k + self.k}, another k, or scaling=prob"
            )
        interval = np.arange(len(u)) * self.k // len(u)
        first, width = (torch.from_numpy(x[interval]).to(u.device) for x in (self.edges[:-1], self.widths))
        t = first + torch.minimum((u.double() * width).long(), width - 1)
        return t, torch.ones(len(u), device=u.device)

    def means(self, losses: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of each interval (k,), 0 for one that is not in the batch, and whether it is (k,) bool."""
        interval = torch.bucketize(t, torch.from_numpy(self.edges[1:]).to(t.device), right=True)
        count = torch.bincount(interval, minlength=self.k)
        total = torch.zeros(self.k, dtype=losses.dtype, device=losses.device).index_add(0, interval, losses)
        return total / count.clamp(min=1), count > 0


class UncertaintyDraws:
    """Uncertainty weighting: each interval i has a learnt s, and counts e^-s.

    Minimised is sum over i of (e^-s L / k + s) / 2, with L the interval's mean loss; at its optimum e^-s = k / L. With
    scaling "prob" the network is trained on plain losses of timesteps drawn in proportion to e^-s, and s learns from
    the same losses without their gradient.
    """

    learning_rate = 0.025

    def __init__(self, intervals: IntervalDraws, scaling: Scaling, noise: Noise) -> None:
        self.intervals, self.scaling, self._noise = intervals, scaling, noise
        self.s = torch.nn.Parameter(torch.zeros(intervals.k))

    @property
    def probabilities(self) -> np.ndarray:
        """As they are now."""
        if self.scaling == "loss":
            return self.intervals.probabilities
        counts = self._counts()
        return self.intervals.spread(counts / counts.sum() / self.intervals.widths)

    @property
    def loss_weights(self) -> np.ndarray:
        """As they are now."""
        return self.intervals.spread(self._counts() / 2.0 if self.scaling == "loss" else np.ones(self.intervals.k))

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """As IntervalDraws; with scaling "prob" by inverse CDF, for batches of any size."""
        if self.scaling == "loss":
            return self.intervals.draw(u, step)
        return FixedDraws("ant", self.probabilities, self.loss_weights, self._noise).draw(u, step)

    def combine(self, losses: Tensor, t: Tensor, step: int) -> Tensor:
        """The sum above; with scaling "prob" the plain mean, with a gradient for s."""
        with torch.no_grad():
            self.s.clamp_(-BOUND, BOUND)
        means, met = self.intervals.means(losses if self.scaling == "loss" else losses.detach(), t)
        s = self.s.to(losses.device)
        balanced = 0.5 * ((-s).exp() * means / self.intervals.k + s)[met].sum()
        return balanced if self.scaling == "loss" else losses.mean() + (balanced - balanced.detach())

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """s (k,)."""
        return [self.s]

    def state_dict(self) -> dict[str, Any]:
        """s."""
        return {"s": self.s.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse."""
        with torch.no_grad():
            self.s.copy_(state["s"])

    def _counts(self) -> np.ndarray:
        """e^-s (k,) float64, s within its bounds."""
        return np.exp(-self.s.detach().double().clamp(-BOUND, BOUND).numpy())


class PCGradDraws(IntervalDraws):
    """PCGrad (Yu et al., 2020): of each interval's gradient, what points against another's is taken out."""

    def backward(self, losses: Tensor, t: Tensor, step: int, parameters: Sequence[torch.nn.Parameter]) -> Tensor:
        """Leaves the sum of the projected gradients; returns the mean loss."""
        gradients = Gradients(self.means(losses, t)[0], parameters)
        # a stream of the step and the batch, so that a resumed training meets the same order
        orders = [permutation(self.k, "pcgrad", step, int(t.sum()), i).tolist() for i in range(self.k)]
        gradients.write(projected(gradients.gram, orders).sum(axis=0))
        return losses.mean()


class NashDraws(IntervalDraws):
    """Nash-MTL (Navon et al., 2022): the gradients' weights alpha are what they would agree on in a bargain.

    loss_weights: alpha, as it is now.
    """

    def __init__(self, edges: np.ndarray, noise: Noise, every: int) -> None:
        super().__init__(edges, noise)
        self.every = every
        self._take(np.ones(self.k))

    def backward(self, losses: Tensor, t: Tensor, step: int, parameters: Sequence[torch.nn.Parameter]) -> Tensor:
        """Leaves the gradient of the mean of alpha L; returns the mean loss. A bargain that fails keeps alpha."""
        means = self.means(losses, t)[0]
        if step % self.every:
            (torch.from_numpy(self.alpha).to(means) * means).mean().backward()
            return losses.mean()
        gradients = Gradients(means, parameters)
        self._take(self.alpha if (agreed := bargained(gradients.gram)) is None else agreed)
        gradients.write(self.alpha / self.k)
        return losses.mean()

    def state_dict(self) -> dict[str, Any]:
        """alpha (k,)."""
        return {"alpha": torch.from_numpy(self.alpha.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse."""
        self._take(state["alpha"].numpy().copy())

    def _take(self, alpha: np.ndarray) -> None:
        self.alpha = alpha
        self.loss_weights = self.spread(alpha)


class Gradients:
    """The gradient of each of k losses by a network's parameters. gram: their inner products (k, k) float64.

    Parameters of others that the losses reach (an objective's) are left with the gradient of the sum.
    """

    def __init__(self, losses: Tensor, parameters: Sequence[torch.nn.Parameter]) -> None:
        rows = []
        for i, loss in enumerate(losses):
            for parameter in parameters:
                parameter.grad = None
            loss.backward(retain_graph=i + 1 < len(losses))
            self._reached = [p for p in parameters if p.grad is not None]  # the same for every loss: one graph
            rows.append(torch.cat([p.grad.flatten() for p in self._reached if p.grad is not None]))
        self._rows = torch.stack(rows)
        self.gram = (self._rows @ self._rows.T).double().cpu().numpy()

    def write(self, coefficients: np.ndarray) -> None:
        """Give the parameters the gradient that is the sum of coefficients (k,) times gradients."""
        joined = torch.from_numpy(coefficients).to(self._rows) @ self._rows
        for parameter, part in zip(self._reached, joined.split([p.numel() for p in self._reached])):
            parameter.grad = part.view_as(parameter).clone()


def projected(gram: np.ndarray, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """PCGrad on gradients with these inner products (k, k): row i says of which mixture (k,) gradient i then consists.

    orders: in which order each gradient i meets the others.
    """
    mixed = np.eye(len(gram))
    for i, (own, order) in enumerate(zip(mixed, orders)):
        for j in order:
            if j != i and (along := own @ gram[:, j]) < 0:
                own[j] -= along / gram[j, j]
    return mixed


def bargained(gram: np.ndarray) -> np.ndarray | None:
    """alpha > 0 (k,) with G alpha = 1 / alpha, for G the inner products (k, k) divided by their Frobenius norm.

    The equation says where the strictly convex a' G a / 2 - sum log a has its least value. That function is
    self-concordant, so Newton's steps, shortened to 1 / (1 + length), stay positive and arrive. None where they do not:
    some mixture of the gradients cancels, and there is no least value.
    """
    with np.errstate(all="ignore"):
        g = gram / np.linalg.norm(gram)
        alpha = 1.0 / np.sqrt(np.diag(g))
        if not np.isfinite(alpha).all():
            return None
        for _ in range(500):
            slope = g @ alpha - 1.0 / alpha
            if np.abs(alpha * slope).max() < 1e-10:
                return alpha
            try:
                direction = np.linalg.solve(g + np.diag(alpha**-2), slope)
            except np.linalg.LinAlgError:  # alpha has run away
                return None
            alpha = alpha - direction / (1.0 + np.sqrt(max(slope @ direction, 0.0)))
    return None


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("weights", "ant", ANT, aliases=("mlt",))
