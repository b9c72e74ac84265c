"""Contracts of weights and objectives: which timesteps are trained, and for what loss."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from addp_bench.contribution import Contribution, estimate, is_file, sources_of
from addp_bench.errors import BenchError
from addp_bench.randomness import normal, numpy_generator
from addp_bench.types import Attempt

from .common import Call
from .comparing import differ
from .given import LATENT, Finding, Subject, built, finite, latents_of, names, noise_of, said, shaped, unseen
from .standin import StandIn

BATCH = 840  # which any number of strata up to 8 shares evenly
DRAWS = 12  # batches from which shares are counted
LOSSES = 3


def _uniform(step: int = 0) -> torch.Tensor:
    """u (BATCH,) float64, both ends of [0, 1) at step 0, and then shifted."""
    u = torch.linspace(0.0, 1.0 - 2.0**-53, BATCH, dtype=torch.float64)
    return (u + 0.618 * step) % 1.0 if step else u


def _contribution(weights: Any, steps: int) -> Contribution | None:
    """A contribution made up for a strategy that needs one and is not told where it lies."""
    sources = sources_of(getattr(weights, "from_", None))
    if not weights.needs_contribution or (sources and all(map(is_file, sources))):
        return None
    groups = getattr(weights, "groups", 10)
    quality = numpy_generator("checks", "quality").random((2000, groups)).cumsum(1)
    visited = [(2 * g + 1) * steps // (2 * groups) for g in reversed(range(groups))]
    options = ("mode", "r2", "folds")
    as_asked: dict[str, Any] = {name: getattr(weights, name) for name in options if hasattr(weights, name)}
    return estimate(quality, visited, groups=groups, bootstrap=0, **as_asked)


def weights_calls(weights: Any, subject: Subject) -> Iterator[Call]:
    noise, target = noise_of(subject.registry), built("target", subject.registry, "x0")
    contribution = _contribution(weights, noise.steps)

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        draws = plugin.bind(noise, target, contribution)
        t, weight = draws.draw(given["u"], 0)
        later = draws.draw(given["u"], 7)
        again = draws.draw(given["u"], 0)  # a step that is asked for again, as after a restart
        total = {} if hasattr(draws, "backward") else {"loss": draws.combine(given["losses"], t, 0)}
        return {"t": t, "weight": weight, "later": later, "again": again, **total}

    expected = {"t": ((BATCH,), torch.int64), "weight": ((BATCH,), torch.float32)}
    yield Call(lambda: {"u": _uniform(), "losses": torch.ones(BATCH)}, asked, expected)


def weights(weights: Any, subject: Subject) -> Iterator[Finding]:
    noise, target = noise_of(subject.registry), built("target", subject.registry, "x0")
    contribution = _contribution(weights, noise.steps)
    yield Finding("weights.needs", _needs(weights, noise, target, contribution))
    draws = weights.bind(noise, target, contribution)
    t, weight = draws.draw(_uniform(), 0)
    inside = not t.is_floating_point() and t.min() >= 0 and t.max() < noise.steps
    yield said("weights.timesteps", inside, f"met {t.min()} to {t.max()} of {noise.steps}")
    yield finite("weights.finite", weight)
    yield said("weights.nonnegative", (weight >= 0).all(), f"met {weight.min():.3g}")
    for name in subject.registry.names("target"):
        other = built("target", subject.registry, name)
        yield Finding("weights.targets", _bound(weights, noise, other, contribution), name)
    yield from _shares(draws, noise.steps)
    if hasattr(draws, "backward"):
        for clause in ("one_number", "gradient"):
            yield unseen(f"weights.{clause}", "it joins gradients, which needs a network")
    else:
        losses = (torch.ones(BATCH) * weight).requires_grad_()
        total = draws.combine(losses, t, 0)
        yield shaped("weights.one_number", total, ())
        total.sum().backward()
        there = losses.grad is not None and torch.isfinite(losses.grad).all() and bool(losses.grad.any())
        yield said("weights.gradient", there, "it has none, or one that is not finite")
    after = weights.bind(noise, target, contribution)
    for step in (0, 1):  # one that learns has learnt something by then
        draws.draw(_uniform(step), step)
    after.load_state_dict(draws.state_dict())
    same = differ(draws.draw(_uniform(2), 2), after.draw(_uniform(2), 2))
    yield Finding("weights.state", same or _states(draws.state_dict(), after.state_dict()))


def _needs(weights: Any, noise: Any, target: Any, contribution: Any) -> str | None:
    if not isinstance(weights.needs_contribution, bool):
        return f"needs_contribution is {weights.needs_contribution!r}"
    if contribution is None:
        return None
    try:
        weights.bind(noise, target, None)
    except BenchError:
        return None
    except Exception as other:
        return f"without one it raises {type(other).__name__}: {other}"
    return "it binds without one"


def _bound(weights: Any, noise: Any, target: Any, contribution: Any) -> str | None:
    try:
        t, weight = weights.bind(noise, target, contribution).draw(_uniform(), 0)
    except BenchError:
        return None
    except Exception as other:
        return f"{type(other).__name__}: {other}"
    kept = (
        bool(torch.isfinite(weight).all() and (weight >= 0).all()) and 0 <= int(t.min()) <= int(t.max()) < noise.steps
    )
    return None if kept else f"met weights {weight.min():.3g} to {weight.max():.3g}, timesteps {t.min()} to {t.max()}"


def _shares(draws: Any, steps: int) -> Iterator[Finding]:
    """What a strategy says of its draws, beside what it draws."""
    said_of = [getattr(draws, name, None) for name in ("probabilities", "loss_weights")]
    if said_of[0] is None or said_of[1] is None:
        for clause in ("probabilities", "loss_weights"):
            yield unseen(f"weights.{clause}", "it does not tell them, and records show no shares")
        return
    p, w = (np.asarray(values) for values in said_of)
    sound = w.shape == (steps,) and w.dtype == np.float64 and bool(np.isfinite(w).all() and (w >= 0).all())
    yield said("weights.loss_weights", sound, f"met {w.dtype} {w.shape}, {w.min():.3g} to {w.max():.3g}")
    if p.shape != (steps,) or p.dtype != np.float64 or not np.isfinite(p).all() or abs(p.sum() - 1) > 1e-6:
        yield Finding("weights.probabilities", f"met {p.dtype} {p.shape} that add up to {p.sum():.3g}")
        return
    drawn = torch.cat([draws.draw(_uniform(step), step)[0] for step in range(40 * DRAWS)]).numpy()
    blocks = np.arange(11) * steps // 10
    met = np.histogram(drawn, blocks)[0] / len(drawn)
    off = np.abs(np.add.reduceat(p, blocks[:-1]) - met).max()
    yield said("weights.probabilities", off < 0.05, f"a tenth of the timesteps is drawn {100 * off:.0f} points off")


def _states(one: Any, other: Any) -> str | None:
    return None if one.keys() == other.keys() else f"it keeps {sorted(one)}, and {sorted(other)} when restored"


# ------------------------------------------------------------------------------------------------ objectives


def objective_calls(objective: Any, subject: Subject) -> Iterator[Call]:
    if _bound_objective(objective, subject) is None:
        return
    yield Call(
        lambda: {"output": latents_of("output", LOSSES), "goal": latents_of("goal", LOSSES)},
        lambda plugin, given: {"losses": _losses(plugin, subject, **given)},
        {"losses": ((LOSSES,), torch.float32)},
    )


def objective(objective: Any, subject: Subject) -> Iterator[Finding]:
    bound = _bound_objective(objective, subject)
    if bound is None:
        for clause in ("shape", "dtype", "finite", "gradient", "state"):
            yield unseen(f"objective.{clause}", "it refuses the small model that it is asked with")
        return
    output, goal = latents_of("output", LOSSES).requires_grad_(), latents_of("goal", LOSSES)
    losses = bound.losses(_attempt(bound, output, goal))
    yield finite("objective.finite", losses)
    losses.sum().backward()
    yield said("objective.gradient", output.grad is not None and bool(output.grad.any()), "it has none")
    plain = latents_of("output", LOSSES)
    changed = plain.clone()
    changed[0] += 1.0
    before, after = (bound.losses(_attempt(bound, x, goal)).detach() for x in (plain, changed))
    yield said("objective.alone", torch.allclose(before[1:], after[1:], atol=1e-6), "another's output changes its loss")
    if hasattr(objective, "state_dict"):
        other = _bound_objective(subject.build(), subject)
        for parameter in bound.parameters():
            parameter.data += 0.25
        other.load_state_dict(bound.state_dict())
        one, two = (part.losses(_attempt(part, plain, goal)).detach() for part in (bound, other))
        yield Finding("objective.state", differ(one, two, 1e-6))
    elif hasattr(objective, "parameters"):
        yield Finding("objective.state", "it has parameters, and no state_dict")
    else:
        yield unseen("objective.state", "it does not learn")


def _bound_objective(objective: Any, subject: Subject, device: torch.device | str = "cpu") -> Any:
    """The objective for a small model; None where it refuses that."""
    if not hasattr(objective, "bind"):
        return objective
    try:
        return objective.bind(StandIn(subject.registry, tuple(getattr(objective, "features", ()))).to(device))
    except BenchError:
        return None


def _losses(objective: Any, subject: Subject, output: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    bound = _bound_objective(objective, subject, output.device)
    return bound.losses(_attempt(bound, output, goal)).detach()


def _attempt(objective: Any, output: torch.Tensor, goal: torch.Tensor) -> Attempt:
    valid = torch.ones(LOSSES, *LATENT[1:], dtype=torch.bool) if getattr(objective, "needs_valid", False) else None
    if valid is not None:
        valid[:, :2] = False
    layer = partial(normal, (8, *LATENT[1:]))
    features = {name: layer(names(name, LOSSES)).to(output.device) for name in getattr(objective, "features", ())}
    t = torch.tensor([1, 500, 990], device=output.device)
    valid = valid if valid is None else valid.to(output.device)
    return Attempt(output, goal, goal, t, valid, features, lambda: output, lambda z: z[:, :3])
