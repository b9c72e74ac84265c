"""The graph of work behind a probe: features of three splits, the head that is trained on two of them, its score.

    features(train) ─┐
    features(stats) ─┴ probe ─┐
    features(eval) ───────────┴ score = the cell

What is asked of the head is no part of the features' keys, so probes that differ in it share them; so do those that
differ in the layer, since all layers are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from addp_bench.cell import Cell
from addp_bench.errors import BadOption, unknown
from addp_bench.finished import finished
from addp_bench.keys import by_content, code_digest
from addp_bench.store import Stage

if TYPE_CHECKING:
    from addp_bench.probing import Reading
    from addp_bench.stages import Planner


def judged(planner: Planner, cell: Cell) -> Stage:
    """The last stage of a probe.

    Raises UnknownName for a layer or a cell that does not exist, BadOption for a timestep beyond the schedule and for a
    cell that trained another model.
    """
    reading: Reading = planner.registry.build("task", cell["task"]).reading()
    layers = _layers(planner, cell, reading)
    of, network, context = _network(planner, cell, reading.of)
    inputs = (context["trained"],) if "trained" in context else ()
    source: Cell = context.get("source", cell)
    steps = planner.visits.noise(source if "noise" in source.choices else cell).steps
    if beyond := [t for t in reading.timesteps if not 0 <= t < steps]:
        raise BadOption(f"task {cell.name('task')}: t={beyond[0]}: the schedule has timesteps 0 to {steps - 1}")

    def features(purpose: str, limit: int | None) -> Stage:
        made = {**context, "purpose": purpose, "samples": planner.facts.count(cell, purpose, limit)}
        spec = {**_of_data(planner, cell, purpose, limit), **read, **network, "code": code_digest("features")}
        return Stage("features", spec, inputs, shared=not inputs, context=made)

    read = {"timesteps": list(reading.timesteps), "draws": reading.draws, "image": reading.image}
    budget = cell.budget
    train = features("train", budget.train_samples)
    choose = len(layers) * len(reading.timesteps) > 1
    held_out = (features("stats", budget.stats_samples),) if choose else ()
    evaluated = features("eval", budget.limit)
    head = {
        "features": train.key,
        "held_out": held_out[0].key if held_out else None,
        "layers": layers,
        "epochs": reading.epochs,
        "batch_size": reading.batch_size,
        "lr": reading.lr,
        "seed": cell.seed,
        "code": code_digest("probe"),
    }
    probe = Stage("probe", head, (train, *held_out), context={**context, "purpose": "train"})
    spec = {
        "probe": probe.key,
        "features": evaluated.key,
        "task": {"name": cell.name("task"), "options": {**cell["task"].options, "of": of}},
        "model": planner.facts.model(cell),
        "protocol": planner.protocol(cell).plain(),
        "budget": budget.name,
        "code": code_digest("judged"),
        "plugins": planner.facts.plugins([("task", cell["task"])]),
    }
    return Stage("score", spec, (probe, evaluated), context={**context, "purpose": "eval"})


def _layers(planner: Planner, cell: Cell, reading: Reading) -> list[str]:
    """The layers among which the best is taken, in the order the network computes them."""
    there = planner.cards.model(cell["model"]).layers
    for name in reading.layers:
        if name not in there:
            raise unknown(f"layer of model {cell.name('model')}", name, there)
    return [name for name in there if name in (reading.layers or there)]


def _network(planner: Planner, cell: Cell, of: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Whose network it is, with a cell's whole id; what names it in keys; what the work needs to make it again."""
    if of == "published":
        return of, {"network": of}, {"cell": cell}
    if of == "random":
        return of, {"network": of, "network_seed": cell.seed}, {"cell": cell}
    record, trained = finished(planner.runs, of, "features can be read from it")
    ours, theirs = (_plain(model) for model in (planner.facts.model(cell), trained.spec["model"]))
    if ours != theirs:
        raise BadOption(
            f"task {cell.name('task')}: of={of} trained {theirs['choice']['name']} of fingerprint "
            f"{theirs['fingerprint'][:8]}, and --model is {cell.name('model')} of {ours['fingerprint'][:8]}; name that "
            "model, with its path and options"
        )
    source = Cell.from_plain(record.provenance["cell"])
    return record.id, {"network": trained.key}, {"cell": cell, "source": source, "trained": trained}


def _plain(model: Any) -> dict[str, Any]:
    """What tells a model from another, whatever code builds it."""
    return {name: model[name] for name in ("choice", "fingerprint")}


def _of_data(planner: Planner, cell: Cell, purpose: str, limit: int | None) -> dict[str, Any]:
    """What of a split and a model decides features. Only what is trained on is transformed, and noised by the seed."""
    transforms = cell.transform if purpose == "train" else ()
    return {
        "data": planner.facts.data(cell, purpose, limit),
        "task": cell.name("task"),
        "model": planner.facts.model(cell),
        "transform": [by_content(choice) for choice in transforms],
        "seed": cell.seed if purpose == "train" else cell.sampling_seed,
        "precision": cell.precision,
        "plugins": planner.facts.plugins([("dataset", cell.dataset(purpose)), *(("transform", c) for c in transforms)]),
    }
