"""Algorithm A of ADDP: how much of the final result's variance each group of timesteps newly explains.

The quality of the answer that could be read off at each visited timestep is measured per sample. From the noisiest
group to the cleanest, the final quality is regressed on an intercept and all groups so far; a group's share is what
it adds to R^2. Everything here is indexed by group, 0 the cleanest, unless it says otherwise.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pydantic

from addp_bench.errors import BadData, BadOption, Degenerate
from addp_bench.randomness import numpy_generator
from addp_bench.timesteps import group_edges, spread

SCHEMA = 1
Mode = Literal["include_final", "paper_literal"]
FloorRule = Literal["clip_renorm", "exact"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contribution:
    """What Algorithm A found. Tuples hold one value for each group, group 0 (the cleanest timesteps) first.

    mode, floor, floor_rule, adjusted: how it was estimated, see `estimate`. timesteps: the visited timestep that
    stands for each group. r2: R^2 of the final quality given this group and all noisier ones. increments: what each
    group added to it, before normalisation. raw: group probabilities before the floor. group_probabilities: after
    it. bootstrap_mean, bootstrap_sd: of `raw` over resampled samples; bootstrap: resamples that could be used, 0 for
    none asked (mean and sd are then None). flags: "degenerate_final_metric" (the final quality was constant),
    "nothing_explained" (no group explains anything), both with uniform probabilities, and "few_samples" (N < 10
    groups). used, dropped: samples regressed, and samples left out because a quality was not finite.
    """

    mode: Mode
    floor: float
    floor_rule: FloorRule
    adjusted: bool
    timesteps: tuple[int, ...]
    r2: tuple[float, ...]
    increments: tuple[float, ...]
    raw: tuple[float, ...]
    group_probabilities: tuple[float, ...]
    bootstrap: int
    bootstrap_mean: tuple[float, ...] | None
    bootstrap_sd: tuple[float, ...] | None
    flags: tuple[str, ...]
    used: int
    dropped: int

    def __post_init__(self) -> None:
        for name in ("r2", "increments", "raw", "group_probabilities", "bootstrap_mean", "bootstrap_sd"):
            values = getattr(self, name)
            if values is None and name.startswith("bootstrap"):
                continue
            if len(values) != self.groups:
                raise ValueError(f"{name} has {len(values)} values for {self.groups} groups")
            if not all(math.isfinite(v) for v in values):
                raise ValueError(f"{name} holds a value that is not finite")
        for name in ("raw", "group_probabilities"):
            values = getattr(self, name)
            if min(values) < 0 or abs(sum(values) - 1) > 1e-6:
                raise ValueError(f"{name} must be probabilities that sum to 1, they sum to {sum(values):.6g}")

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.timesteps)

    def probabilities(self, steps: int) -> np.ndarray:
        """Probability of each of `steps` timesteps, a group's shared evenly among its own: (T,) float64."""
        return spread(np.array(self.group_probabilities), steps)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, with a schema version."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, plain: Any, origin: str = "contribution") -> Contribution:
        """What `to_json` gave, checked. Raises BadData, naming `origin` and the first field that is wrong."""
        if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
            found = plain.get("schema") if isinstance(plain, dict) else type(plain).__name__
            raise BadData(f"{origin}: expected contribution statistics of schema {SCHEMA}, met {found!r}")
        values = {k: v for k, v in plain.items() if k != "schema"}
        known = {f.name for f in fields(cls)}
        if values.keys() != known:
            raise BadData(f"{origin}: missing or unknown fields: {', '.join(sorted(known ^ values.keys()))}")
        try:
            return pydantic.TypeAdapter(cls).validate_python(values)
        except pydantic.ValidationError as wrong:
            first = wrong.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "values"
            raise BadData(f"{origin}: {where}: {first['msg']}") from wrong


def read_contribution(file: Path) -> Contribution:
    """The statistics in a JSON file: bare (a stage's contribution.json), or in a record (record.json) that has some.

    Raises BadData, naming the file, for one that cannot be read or holds none.
    """
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as broken:
        raise BadData(f"{file}: cannot read contribution statistics: {broken}") from broken
    if isinstance(plain, dict) and isinstance(result := plain.get("result"), dict):
        plain = result.get("contribution")
        if plain is None:
            raise BadData(
                f"{file}: this record holds no contribution statistics, because its cell was trained without measured "
                "weights; name the record of one that was, or the cell by its id, to measure it"
            )
    return Contribution.from_json(plain, str(file))


def estimate(
    quality: np.ndarray,
    timesteps: Sequence[int],
    *,
    steps: int = 1000,
    groups: int = 10,
    mode: Mode = "include_final",
    floor: float = 0.01,
    floor_rule: FloorRule = "clip_renorm",
    adjusted: bool = False,
    bootstrap: int = 200,
    seed: int = 0,
) -> Contribution:
    """Algorithm A on quality (N, S), sample by visited timestep, any unit and sign; timesteps (S,) in 0 .. steps - 1.

    The final quality is that of the smallest visited timestep, which also stands for group 0. mode "include_final"
    gives group 0 what the others could not explain, so that R^2 ends at 1; "paper_literal" leaves group 0 out and
    normalises. adjusted: 1 - (1 - R^2)(N - 1) / (N - m - 1) for m groups in place of R^2; where it falls, the group
    gets 0. floor, floor_rule: see `floored`. bootstrap: resamples over samples, 0 for none; seed names their stream.

    Raises Degenerate for fewer than groups + 2 samples, BadOption for a group that was not visited.
    """
    chosen = representatives(timesteps, steps, groups)
    quality = np.asarray(quality, dtype=np.float64)
    if quality.ndim != 2 or quality.shape[1] != len(timesteps):
        raise ValueError(f"quality must be (N, {len(timesteps)}), got {quality.shape}")
    where = {t: i for i, t in enumerate(timesteps)}
    columns = quality[:, [where[t] for t in reversed(chosen)]]  # noisiest first, the final quality last
    finite = np.isfinite(columns).all(axis=1)
    columns = columns[finite]
    if len(columns) < groups + 2:
        raise Degenerate(
            f"perception statistics need at least {groups + 2} samples with a finite quality for {groups} groups, got "
            f"{len(columns)} ({int((~finite).sum())} dropped); measure more samples or use fewer groups"
        )
    flags = ["few_samples"] if len(columns) < 10 * groups else []
    r2 = nested_r2(columns, mode)
    if r2 is None:
        flags.append("degenerate_final_metric")
        r2 = np.zeros(groups)
    share = _shares(r2, len(columns), mode, adjusted)
    if share is None:
        if "degenerate_final_metric" not in flags:
            flags.append("nothing_explained")
        share = np.full(groups, 1.0 / groups)
    resampled = _bootstrap(columns, mode, adjusted, bootstrap, seed)
    for flag in flags:
        _log.warning("perception statistics of %d samples: %s", len(columns), flag)
    return Contribution(
        mode=mode,
        floor=floor,
        floor_rule=floor_rule,
        adjusted=adjusted,
        timesteps=tuple(chosen),
        r2=_by_group(r2),
        increments=_by_group(np.diff(_adjusted(r2, len(columns), mode, adjusted), prepend=0.0)),
        raw=_by_group(share),
        group_probabilities=tuple(floored(share[::-1], floor, floor_rule).tolist()),
        bootstrap=len(resampled),
        bootstrap_mean=_by_group(resampled.mean(axis=0)) if len(resampled) else None,
        bootstrap_sd=_by_group(resampled.std(axis=0, ddof=1)) if len(resampled) > 1 else None,
        flags=tuple(flags),
        used=len(columns),
        dropped=int((~finite).sum()),
    )


def representatives(timesteps: Sequence[int], steps: int = 1000, groups: int = 10) -> list[int]:
    """The visited timestep that stands for each group, cleanest group first: the last one visited inside it.

    Raises BadOption, with the number of sampling steps that would do, when a group was not visited.
    """
    edges = group_edges(steps, groups)
    outside = [t for t in timesteps if not 0 <= t < steps]
    if outside:
        raise BadOption(f"visited timesteps must lie in 0 .. {steps - 1}, got {outside[0]}")
    inside = [[t for t in timesteps if lower <= t < upper] for lower, upper in itertools.pairwise(edges)]
    missed = [g for g, visited in enumerate(inside) if not visited]
    if missed:
        enough = next(n for n in range(groups, steps + 1) if steps % n == 0)
        raise BadOption(
            f"{len(timesteps)} sampling steps visit no timestep of group {missed[0]} of {groups}; perception "
            f"statistics need {enough} steps, or another number above it that divides {steps}"
        )
    return [min(visited) for visited in inside]


def nested_r2(columns: np.ndarray, mode: Mode) -> np.ndarray | None:
    """R^2 of the last of columns (N, G) regressed on an intercept and the first m, for m = 1 .. G: (G,) float64.

    "paper_literal" does not let the last explain itself: R^2 then ends where the one before left it. None when the
    last column is constant. An orthonormal basis is grown column by column, so each R^2 is that of the minimum-norm
    least-squares fit and R^2 cannot fall; a column that the earlier ones already span (or a constant) adds nothing.
    """
    n, groups = columns.shape
    y = columns[:, -1] - columns[:, -1].mean()
    total = float(y @ y)
    if total <= 1e-12 * n * max(1.0, float(columns[:, -1].mean()) ** 2):
        return None
    tolerance = np.finfo(np.float64).eps * max(columns.shape)
    basis = np.empty((n, 0))
    gained = np.zeros(groups)
    for m in range(groups if mode == "include_final" else groups - 1):
        rest = columns[:, m] - columns[:, m].mean()
        for _ in range(2):  # twice is enough for orthogonality to working precision
            rest = rest - basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length > tolerance * float(np.linalg.norm(columns[:, m])):
            direction = rest / length
            gained[m] = float(direction @ y) ** 2 / total
            basis = np.column_stack([basis, direction])
    return np.minimum(np.cumsum(gained), 1.0)


def floored(p: np.ndarray, floor: float, rule: FloorRule) -> np.ndarray:
    """Probabilities p (G,) with none starved: (G,) float64 that sum to 1.

    "clip_renorm" raises what is below `floor` to it and divides by the new sum, so raised ones end slightly below it;
    "exact" keeps them at `floor` and scales the others only. Raises BadOption unless 0 <= floor <= 1 / G.
    """
    p = np.asarray(p, dtype=np.float64)
    if not 0 <= floor <= 1 / len(p):
        raise BadOption(f"floor is a group's smallest probability, between 0 and 1 / {len(p)} groups; got {floor}")
    if rule == "clip_renorm":
        raised = np.maximum(p, floor)
        return raised / raised.sum()
    pinned = np.zeros(len(p), dtype=bool)
    out = p / p.sum()
    while (low := (out < floor) & ~pinned).any():
        pinned |= low
        out = np.where(pinned, floor, p * (1 - floor * pinned.sum()) / max(p[~pinned].sum(), np.finfo(float).tiny))
    return out


def _adjusted(r2: np.ndarray, n: int, mode: Mode, adjusted: bool) -> np.ndarray:
    if not adjusted:
        return r2
    m = np.arange(1, len(r2) + 1)
    if mode == "paper_literal":  # its last group is no predictor
        m[-1] -= 1
    return cast(np.ndarray, 1.0 - (1.0 - r2) * (n - 1) / (n - m - 1))


def _shares(r2: np.ndarray, n: int, mode: Mode, adjusted: bool) -> np.ndarray | None:
    """Normalised increments (G,), noisiest first; None when there is nothing to share."""
    gained = np.diff(_adjusted(r2, n, mode, adjusted), prepend=0.0).clip(min=0.0)
    return gained / gained.sum() if gained.sum() > 0 else None


def _bootstrap(columns: np.ndarray, mode: Mode, adjusted: bool, resamples: int, seed: int) -> np.ndarray:
    """Shares (R, G), noisiest first, over resampled samples; resamples with a constant final quality are left out."""
    rng = numpy_generator("contribution bootstrap", seed)
    found = []
    for _ in range(resamples):
        r2 = nested_r2(columns[rng.integers(len(columns), size=len(columns))], mode)
        share = None if r2 is None else _shares(r2, len(columns), mode, adjusted)
        if share is not None:
            found.append(share)
    return np.array(found).reshape(-1, columns.shape[1])


def _by_group(noisiest_first: np.ndarray) -> tuple[float, ...]:
    return tuple(noisiest_first[::-1].tolist())
