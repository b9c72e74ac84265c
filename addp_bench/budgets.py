"""The numbers of a budget: those of the model, with what the caller replaced."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BadOption, unknown
from addp_bench.spec import Request
from addp_bench.types import Budget

if TYPE_CHECKING:
    from addp_bench.probing import Reading

COMPARED = ("sampling_steps", "extra_steps")  # numbers that tables show beside each other within one budget
PROBED = ("train_samples", "limit", "stats_samples")  # numbers of a budget that matter to a probe
UNTRAINED = Budget("untrained", 0, 0, 0.0, 0, 0, None, 0, 0.0, 0)


def mistakes(request: Request) -> Iterable[str]:
    """What is wrong with the numbers that replace a budget's, wherever they were written."""
    for name, value in request.overrides.items():
        if value is None:
            continue
        flag = "--" + {"sampling_steps": "steps"}.get(name, name.replace("_", "-"))
        if name == "lr" and not 0 < value < math.inf:
            yield f"{flag} {value}: expected a number above 0"
        if name == "ema" and not 0 <= value <= 1:
            yield f"{flag} {value}: expected a decay from 0 to 1"
        if name not in ("lr", "ema") and value < (least := 0 if name in ("warmup", "extra_steps") else 1):
            yield f"{flag} {value}: expected {least} or more"


def budget_of(request: Request, model: str, model_class: Any) -> Budget:
    """The budget that a request asks of a model; `custom` where its numbers are not those of the name."""
    if request.budget not in model_class.budgets:
        raise unknown(f"budget of {model}", request.budget, model_class.budgets)
    budget: Budget = model_class.budgets[request.budget]
    changed = {k: v for k, v in request.overrides.items() if v is not None and getattr(budget, k) != v}
    if "train_steps" in changed and budget.train_steps and request.overrides.get("warmup") is None:
        changed["warmup"] = budget.warmup * changed["train_steps"] // budget.train_steps  # the same share of the steps
    budget = dataclasses.replace(budget, **{name: changed.pop(name) for name in COMPARED if name in changed})
    if changed:
        # a figure made with other numbers than a budget's is not a figure of that budget
        budget = dataclasses.replace(budget, name="custom", **changed)
    if budget.train_steps and budget.warmup >= budget.train_steps:
        raise BadOption(
            f"the warm-up takes {budget.warmup} of {budget.train_steps} training steps, and the learning rate would "
            "never fall; say a smaller --warmup"
        )
    return budget


def budget_of_probe(request: Request, model: str, model_class: Any, reading: Reading) -> Budget:
    """Of the model's budget the samples; the training is that of the linear layer, which the task's options say."""
    numbers = {name: value for name, value in request.overrides.items() if name in PROBED}
    budget = budget_of(dataclasses.replace(request, overrides=numbers), model, model_class)
    samples = {name: getattr(budget, name) for name in PROBED}
    head = {name: getattr(reading, name) for name in ("epochs", "batch_size", "lr")}
    return dataclasses.replace(UNTRAINED, name=budget.name, **samples, **head)
