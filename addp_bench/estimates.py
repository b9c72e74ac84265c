"""What stages take here, seconds and bytes: rates learnt from every finished stage, kept in the cache folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from addp_bench.evaluation import GROUPS
from addp_bench.home import home
from addp_bench.spec import Choice
from addp_bench.store import Stage, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

COPIES = 5  # of a trained network, in float32: weights, gradients, AdamW's two moments, the averaged weights
BLEND = 0.5  # weight of the newest measurement


def read() -> dict[str, float]:
    """The rates that were learnt so far, by what they belong to."""
    try:
        return dict(json.loads((home() / "rates.json").read_text()))
    except (OSError, ValueError):
        return {}


def seconds(stage: Stage, device: torch.device, rates: Mapping[str, float]) -> float | None:
    """What the stage will take, None where none like it has been timed."""
    rate = rates.get(_like(stage, device))
    return None if rate is None else rate * units(stage)


def disk(stage: Stage, rates: Mapping[str, float]) -> float | None:
    """Bytes that the finished stage will hold, None where none like it was finished."""
    rate = rates.get(_sized_like(stage))
    return None if rate is None else rate * _size_units(stage)


def memory(train: Stage, rates: Mapping[str, float]) -> float | None:
    """Bytes that a train stage needs at least, None where its model was never trained here.

    What is trained, COPIES times; frozen parts of the model and activations, which grow with the batch, come on top.
    """
    weights = disk(train, rates)
    return None if weights is None else COPIES * weights


def learn(stage: Stage, device: torch.device, took: float, folder: Path) -> None:
    """Remember that the stage took so many seconds, and what its folder holds.

    An unwritable cache folder loses the estimate and nothing else.
    """
    rates = read()
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    measured = {_like(stage, device): took / units(stage), _sized_like(stage): held / _size_units(stage)}
    for like, rate in measured.items():
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
        latents = [s for s in stage.inputs if s.kind == "latents"]
        photographs = sum(s.context["photographs"] or 0 for s in latents)  # None where the steps do not hang on it
        return max(1, cell.budget.steps_for(photographs) * cell.budget.batch_size)
    if stage.kind in ("latents", "ceiling"):
        return _samples(stage)
    if stage.kind == "features":
        return _samples(stage) * stage.spec["draws"] * len(stage.spec["timesteps"])
    if stage.kind == "predict":
        return _samples(stage.input("latents")) * stage.spec["steps"]
    if stage.kind in ("contribution", "score") and cell.denoises:
        several = cell.ensemble if stage.kind == "score" else 1
        return several * _samples(stage.inputs[0].input("latents"))
    return max(1, cell.budget.limit or 1000)


def _samples(made: Stage) -> int:
    return max(1, made.context["samples"] or 1000)


def _like(stage: Stage, device: torch.device) -> str:
    """Stages that should cost the same for each unit of work share this name."""
    cell = stage.context["cell"]
    parts: list[Any] = [stage.kind, device.type, cell.name("model"), cell.precision]
    if stage.kind == "train":
        parts.append(cell.name("aug") if cell.name("aug") == "none" else "augmented")
        if (exposure := Choice(**stage.spec["choices"]["exposure"])).name != "none":  # may ask the network many times
            parts.append(str(exposure))
    if stage.kind == "predict":
        parts.append(stage.spec["choices"]["guidance"]["name"])
    return " ".join(parts)


def _size_units(stage: Stage) -> float:
    """What a stage's bytes grow with. Never 0."""
    if stage.kind == "train":
        return 1  # the network's weights, however long it was trained
    if stage.kind == "predict":
        return _samples(stage.input("latents")) * min(stage.spec["steps"], GROUPS)  # about what is recorded
    return units(stage)


def _sized_like(stage: Stage) -> str:
    """The same for bytes: they depend on the model itself, whatever it is called, and not on the device."""
    parts = ["bytes", stage.kind]
    made_by = stage.input("latents") if stage.kind == "predict" else stage
    if "fingerprint" in (model := made_by.spec.get("model", {})):
        parts.append(model["fingerprint"][:16])
    if stage.kind == "latents" and stage.spec["targets"]:
        parts.append("targets")
    return " ".join(parts)
