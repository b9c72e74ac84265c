"""The timesteps that a cell will visit, asked while it is planned: a mistake would else be met after a training.

Models are opened for their noise schedule; opening one reads settings, never weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from addp_bench.contribution import least_samples, representatives
from addp_bench.errors import BadOption
from addp_bench.evaluation import recorded

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.protocols import Noise
    from addp_bench.registry import Registry
    from addp_bench.spec import Choice


LARGE = 5.0  # what a goal may hold of a change in the input before it is warned of; ours


class Visits:
    """Schedules and visited timesteps, each made once however many cells ask."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._noises: dict[tuple[str, str], Noise] = {}
        self._timesteps: dict[tuple[int, str, int], Sequence[int]] = {}

    def noise(self, cell: Cell) -> Noise:
        """The schedule of a cell: the one that was chosen, or its model's own."""
        name = (str(cell["model"]), str(cell.choices.get("noise")))
        if name not in self._noises:
            if "noise" in cell.choices:
                self._noises[name] = self.registry.build("noise", cell["noise"])
            else:
                self._noises[name] = self.registry.build("model", cell["model"]).noise
        return self._noises[name]

    def timesteps(self, cell: Cell, sampler: Choice, steps: int) -> Sequence[int]:
        """Those a sampler visits in so many steps, noisiest first. Raises BadOption for a number that does not fit."""
        noise = self.noise(cell)
        name = (id(noise), str(sampler), steps)
        if name not in self._timesteps:
            self._timesteps[name] = list(self.registry.build("sampler", sampler).timesteps(noise, steps))
        return self._timesteps[name]

    def require_reading(self, cell: Cell) -> None:
        """Raises BadOption when the cell is to be read at a timestep that its evaluation does not keep."""
        steps = cell.budget.sampling_steps
        visited = self.timesteps(cell, cell["sampler"], steps)
        if not cell.read_at.startswith("t="):
            return
        t = int(cell.read_at.removeprefix("t="))
        kept = [visited[k] for k in recorded(visited, self.noise(cell).steps)]
        if t not in kept:
            nearest = sorted(kept, key=lambda other: abs(other - t))[:2]
            raise BadOption(
                f"--read-at t={t}: sampler {cell.name('sampler')} in {steps} steps keeps no answer there; the nearest "
                f"timesteps it keeps: {', '.join(map(str, nearest))}"
            )

    def warning(self, cell: Cell) -> str | None:
        """What its sampler has to say of the cell's number of steps, None where nothing."""
        sampler = self.registry.build("sampler", cell["sampler"])
        said: str | None = None
        if hasattr(sampler, "warning"):
            said = sampler.warning(self.noise(cell), cell.budget.sampling_steps)
        return said

    def goal_warning(self, cell: Cell) -> str | None:
        """What is wrong with a goal in which a small change of the input near t = 0 weighs many times over."""
        target, noise = self.registry.build("target", cell["target"]), self.noise(cell)
        aug, retargets = self.registry.build("aug", cell["aug"]), self.registry.get("exposure", cell.name("exposure"))
        t = torch.arange(noise.steps)
        a, s, zero = noise.a(t), noise.s(t), torch.zeros(noise.steps)
        changed = target.of(zero, a, zero, a, s).abs()  # the goal's change for a change of 1 in what is noised
        cause = f"aug {cell.name('aug')}"
        strength = aug.strength(t, noise)
        if getattr(retargets.factory, "retargets", False):
            cause, strength = f"exposure {cell.name('exposure')}", torch.ones(noise.steps)
        worst = float((changed * strength).max())
        if worst < LARGE:
            return None
        return (
            f"target {cell.name('target')} with {cause}: near t = 0 the goal holds {worst:.0f} times what is changed "
            "in the input, and the loss is of little else. Take --target x0, or --aug linear, which vanishes there"
        )

    def require_groups(self, cell: Cell, weights: Any, sampler: Choice, steps: int, samples: int | None) -> None:
        """Raises BadOption when Algorithm A could not be estimated for `weights` on a source cell.

        sampler, steps: how the source is sampled. samples: answers that are measured, None where nothing says.
        """
        what = f"weights with groups={weights.groups}"
        try:
            representatives(self.timesteps(cell, sampler, steps), self.noise(cell).steps, weights.groups)
        except BadOption as wrong:
            raise BadOption(f"{what}: {wrong}. Say steps=N among the options of --weights, or fewer groups") from wrong
        least = least_samples(weights.groups, weights.r2, weights.folds)
        if samples is not None and samples < least:
            raise BadOption(
                f"{what}: perception statistics need at least {least} samples, and {samples} would be "
                "measured. Say --stats-samples N where the split has more, or fewer groups"
            )
