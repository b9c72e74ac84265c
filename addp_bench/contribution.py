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
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

from addp_bench.errors import BadData, BadOption, Degenerate
from addp_bench.randomness import numpy_generator
from addp_bench.regression import R2, r2_of
from addp_bench.timesteps import group_edges, spread

SCHEMA = 2
Mode = Literal["include_final", "paper_literal"]
FloorRule = Literal["clip_renorm", "exact"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contribution:
    """What Algorithm A found. Tuples hold one value for each group, group 0 (the cleanest timesteps) first.

    mode, floor, floor_rule, r2, folds: how it was estimated, see `estimate`. timesteps: the visited timestep that
    stands for each group. r2_values: R^2 of the final quality given this group and all noisier ones. increments: what
    each group added to it, before normalisation. raw: group probabilities before the floor. group_probabilities: after
    it. bootstrap_mean, bootstrap_sd: of `raw` over resampled samples; bootstrap: resamples that could be used, 0 for
    none asked (mean and sd are then None). flags: "degenerate_final_metric" (the final quality was constant),
    "nothing_explained" (no group explains anything), both with uniform probabilities, "clipped_increments" (R^2 fell
    at some group, which got 0) and "few_samples" (N < 10 groups). used, dropped: samples regressed, and samples left
    out because a quality was not finite. averaged: how many statistics this is the average of, 1 for a measured one.
    """

    mode: Mode
    floor: float
    floor_rule: FloorRule
    r2: R2
    folds: int
    timesteps: tuple[int, ...]
    r2_values: tuple[float, ...]
    increments: tuple[float, ...]
    raw: tuple[float, ...]
    group_probabilities: tuple[float, ...]
    bootstrap: int
    bootstrap_mean: tuple[float, ...] | None
    bootstrap_sd: tuple[float, ...] | None
    flags: tuple[str, ...]
    used: int
    dropped: int
    averaged: int = 1

    def __post_init__(self) -> None:
        for name in ("r2_values", "increments", "raw", "group_probabilities", "bootstrap_mean", "bootstrap_sd"):
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
        if not isinstance(plain, dict) or plain.get("schema") not in (1, SCHEMA):
            found = plain.get("schema") if isinstance(plain, dict) else type(plain).__name__
            raise BadData(f"{origin}: expected contribution statistics of schema {SCHEMA}, met {found!r}")
        values = {k: v for k, v in plain.items() if k != "schema"}
        if plain["schema"] == 1:
            values = _from_schema_1(values)
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
    except OSError as missing:
        raise BadData(f"{file}: cannot read contribution statistics: {missing.strerror}") from missing
    except ValueError as broken:
        raise BadData(f"{file}: cannot read contribution statistics: {broken}") from broken
    if isinstance(plain, dict) and isinstance(result := plain.get("result"), dict):
        plain = result.get("contribution")
        if plain is None:
            raise BadData(
                f"{file}: this record holds no contribution statistics, because its cell was trained without measured "
                "weights; name the record of one that was, or the cell by its id, to measure it"
            )
    return Contribution.from_json(plain, str(file))


def sources_of(named: str | None) -> tuple[str, ...]:
    """The cells and files that `from=A+B` names; a file whose own name holds a + is one."""
    return () if named is None else (named,) if Path(named).is_file() else tuple(named.split("+"))


def is_file(source: str) -> bool:
    """Whether a source is a file of statistics; a cell, which is to be measured, otherwise."""
    return Path(source).suffix == ".json"


def averaged(found: Sequence[Contribution]) -> Contribution:
    """The mean of statistics of several tasks, each a distribution already; of one, that one.

    timesteps and the floor's rule are the first one's; flags and numbers of samples are joined, and bootstraps taken as
    independent. Probabilities do not depend on the order. Raises BadOption for statistics that differ in groups, mode,
    r2 or folds.
    """
    first = found[0]
    if len(found) == 1:
        return first
    for option in ("groups", "mode", "r2", "folds"):
        if len(met := sorted({str(getattr(one, option)) for one in found})) > 1:
            raise BadOption(f"statistics that are averaged must agree in {option}, met {' and '.join(met)}")

    def mean(name: str) -> tuple[float, ...]:
        return tuple(math.fsum(values) / len(found) for values in zip(*(getattr(one, name) for one in found)))

    resampled = all(one.bootstrap_sd is not None for one in found)
    sd = [
        math.sqrt(math.fsum(v * v for v in values)) / len(found)
        for values in zip(*(c.bootstrap_sd or () for c in found))
    ]
    raw = mean("raw")
    return replace(
        first,
        r2_values=mean("r2_values"),
        increments=mean("increments"),
        raw=raw,
        group_probabilities=tuple(floored(np.array(raw), first.floor, first.floor_rule).tolist()),
        bootstrap=min(one.bootstrap for one in found) if resampled else 0,
        bootstrap_mean=mean("bootstrap_mean") if resampled else None,
        bootstrap_sd=tuple(sd) if resampled else None,
        flags=tuple(sorted({flag for one in found for flag in one.flags})),
        used=sum(one.used for one in found),
        dropped=sum(one.dropped for one in found),
        averaged=len(found),
    )


def estimate(
    quality: np.ndarray,
    timesteps: Sequence[int],
    *,
    steps: int = 1000,
    groups: int = 10,
    mode: Mode = "include_final",
    floor: float = 0.01,
    floor_rule: FloorRule = "clip_renorm",
    r2: R2 = "plain",
    folds: int = 5,
    bootstrap: int = 200,
    seed: int = 0,
) -> Contribution:
    """Algorithm A on quality (N, S), sample by visited timestep, any unit and sign; timesteps (S,) in 0 .. steps - 1.

    The final quality is that of the smallest visited timestep, which also stands for group 0. mode "include_final"
    gives group 0 what the others could not explain, so that R^2 ends at 1; "paper_literal" leaves group 0 out and
    normalises. r2: "plain"; "adjusted" 1 - (1 - R^2)(N - 1) / (N - m - 1) for m groups; "cross_validated", of samples
    that were not fitted, in `folds` blocks of neighbours; where the last two fall, the group gets 0. floor, floor_rule:
    see `floored`. bootstrap: resamples over samples, 0 for none; seed names their stream.

    Raises Degenerate for fewer than `least_samples`, BadOption for a group that was not visited.
    """
    chosen = representatives(timesteps, steps, groups)
    quality = np.asarray(quality, dtype=np.float64)
    if quality.ndim != 2 or quality.shape[1] != len(timesteps):
        raise ValueError(f"quality must be (N, {len(timesteps)}), got {quality.shape}")
    where = {t: i for i, t in enumerate(timesteps)}
    columns = quality[:, [where[t] for t in reversed(chosen)]]  # noisiest first, the final quality last
    finite = np.isfinite(columns).all(axis=1)
    columns = columns[finite]
    if len(columns) < (least := least_samples(groups, r2, folds)):
        raise Degenerate(
            f"perception statistics need at least {least} samples with a finite quality for {groups} groups, got "
            f"{len(columns)} ({int((~finite).sum())} dropped); measure more samples or use fewer groups"
        )
    flags = ["few_samples"] if len(columns) < 10 * groups else []
    fold = np.arange(len(columns)) * folds // len(columns)
    predictors = groups if mode == "include_final" else groups - 1
    values = r2_of(r2, columns, predictors, fold)
    if values is None:
        flags.append("degenerate_final_metric")
        values = np.zeros(groups)
    increments = np.diff(values, prepend=0.0)
    if increments.min() < -1e-9:  # below that it is rounding
        flags.append("clipped_increments")
    share = _shares(increments)
    if share is None:
        if "degenerate_final_metric" not in flags:
            flags.append("nothing_explained")
        share = np.full(groups, 1.0 / groups)
    resampled = _bootstrap(columns, predictors, r2, fold, bootstrap, seed)
    for flag in flags:
        _log.warning("perception statistics of %d samples: %s", len(columns), flag)
    return Contribution(
        mode=mode,
        floor=floor,
        floor_rule=floor_rule,
        r2=r2,
        folds=folds,
        timesteps=tuple(chosen),
        r2_values=_by_group(values),
        increments=_by_group(increments),
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


def least_samples(groups: int, r2: R2, folds: int) -> int:
    """Samples that an estimate needs: groups + 2, cross-validated in what is left beside each fold."""
    return groups + 2 if r2 != "cross_validated" else math.ceil((groups + 2) * folds / (folds - 1))


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


def _shares(increments: np.ndarray) -> np.ndarray | None:
    """Normalised increments (G,), none below 0; None when there is nothing to share."""
    gained = increments.clip(min=0.0)
    return gained / gained.sum() if gained.sum() > 0 else None


def _bootstrap(columns: np.ndarray, predictors: int, r2: R2, fold: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Shares (R, G), noisiest first, over resampled samples; resamples with a constant final quality are left out.

    A sample keeps its fold, so that none is fitted and held out at once.
    """
    rng = numpy_generator("contribution bootstrap", seed)
    found = []
    for _ in range(resamples):
        picked = rng.integers(len(columns), size=len(columns))
        values = r2_of(r2, columns[picked], predictors, fold[picked])
        share = None if values is None else _shares(np.diff(values, prepend=0.0))
        if share is not None:
            found.append(share)
    return np.array(found).reshape(-1, columns.shape[1])


def _from_schema_1(values: dict[str, Any]) -> dict[str, Any]:
    """Statistics of before there were folds and averages, when `adjusted` was a yes or no."""
    older = {k: v for k, v in values.items() if k not in ("adjusted", "r2")}
    rule = {"r2": "adjusted" if values["adjusted"] else "plain"} if "adjusted" in values else {}
    kept = {"r2_values": values["r2"]} if "r2" in values else {}
    return {**older, **rule, **kept, "folds": 5, "averaged": 1}


def _by_group(noisiest_first: np.ndarray) -> tuple[float, ...]:
    return tuple(noisiest_first[::-1].tolist())
