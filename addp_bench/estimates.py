"""How long stages take here: rates learnt from every finished stage, kept in the cache folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from addp_bench.home import home
from addp_bench.store import Stage, write_json

if TYPE_CHECKING:
    import torch

BLEND = 0.5  # weight of the newest measurement


def seconds(stage: Stage, device: torch.device) -> float | None:
    """What the stage will take, None where none like it has been timed."""
    rate = _read().get(_like(stage, device))
    return None if rate is None else rate * units(stage)


def learn(stage: Stage, device: torch.device, took: float) -> None:
    """Remember that the stage took so many seconds. An unwritable cache folder loses the estimate and nothing else."""
    rates = _read()
    like = _like(stage, device)
    rate = took / units(stage)
    rates[like] = rate if like not in rates else BLEND * rate + (1 - BLEND) * rates[like]
    try:
        home().mkdir(parents=True, exist_ok=True)
        write_json(home() / "rates.json", rates)
    except OSError:
        return


def units(stage: Stage) -> float:
    """How much work a stage is: samples, times steps where there are steps. Never 0."""
    cell = stage.context["cell"]
    if stage.kind == "train":
        return max(1, cell.budget.train_steps * cell.budget.batch_size)
    if stage.kind == "latents":
        return _samples(stage)
    if stage.kind == "predict":
        return _samples(stage.input("latents")) * stage.spec["steps"]
    if stage.kind in ("contribution", "score") and cell.denoises:
        return _samples(stage.inputs[0].input("latents"))
    return max(1, cell.budget.limit or 1000)


def _samples(latents: Stage) -> float:
    return latents.spec["data"]["limit"] or 1000


def _like(stage: Stage, device: torch.device) -> str:
    """Stages that should cost the same for each unit of work share this name."""
    cell = stage.context["cell"]
    parts: list[Any] = [stage.kind, device.type, cell.name("model"), cell.precision]
    if stage.kind == "train":
        parts.append(cell.name("aug") if cell.name("aug") == "none" else "augmented")
    if stage.kind == "predict":
        parts.append(stage.spec["choices"]["guidance"]["name"])
    return " ".join(parts)


def _read() -> dict[str, float]:
    try:
        return dict(json.loads((home() / "rates.json").read_text()))
    except (OSError, ValueError):
        return {}
