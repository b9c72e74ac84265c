"""What the stages of a probe compute: features of a split, the linear layer, its answers judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench import cache, evaluation, outcome, probing
from addp_bench.errors import BadData
from addp_bench.spec import Choice
from addp_bench.types import Classified

if TYPE_CHECKING:
    from addp_bench.cell import Cell
    from addp_bench.protocols import DenoisingModel, Evaluator, Samples
    from addp_bench.store import Stage
    from addp_bench.types import Sample
    from addp_bench.work import Work


def features(work: Work, stage: Stage, cell: Cell, folder: Path) -> None:
    """The features of a split, every layer's at every timestep."""
    spec = stage.spec
    samples, count = work.samples(cell, stage.context["purpose"], spec["data"]["limit"])
    model = _network(work, stage, cell)
    how = probing.Extraction(
        model,
        work.noise(stage.context.get("source", cell), model),
        model.embed([""]),
        model.layers,  # type: ignore[attr-defined]  # of a model whose features can be read
        spec["timesteps"],
        spec["draws"],
        spec["image"],
        spec["seed"],
        [work.registry.build("transform", Choice(c["name"], c["options"])) for c in spec["transform"]],
        spec["precision"],
        work.device,
    )
    task = work.build("task", cell)

    def class_of(sample: Sample) -> int:
        task.require(sample)
        if not 0 <= sample.truth < len(names):
            raise BadData(f"sample {sample.id}: its class is {sample.truth}, and its split names {len(names)} classes")
        return int(sample.truth)

    names = cache.vocabulary(samples)
    with work.progress.bar(f"features of {count} photographs of {spec['data']['split']}") as tell:
        probing.extract(folder, samples, count, how, class_of, tell, work.batch)


def head(work: Work, stage: Stage, cell: Cell, folder: Path) -> None:
    """The linear layer; the best of several layers and timesteps where there are several."""
    spec = stage.spec
    samples, _ = work.samples(cell, "train", None)
    train, held_out = (_opened(work, stage, purpose) for purpose in ("train", "stats"))
    assert train is not None, "a probe is trained on features"
    settings = {name: spec[name] for name in ("epochs", "batch_size", "lr", "seed")}
    classes = list(cache.vocabulary(samples))
    with work.progress.bar(f"training {len(train.timesteps) * len(spec['layers'])} probes") as tell:
        best, trained, tried = probing.chosen(train, held_out, spec["layers"], len(classes), settings, tell)
    batches = -(-train.count // spec["batch_size"])
    probing.keep(folder, best, trained, tried, spec["epochs"] * batches, classes)


def score(work: Work, stage: Stage, evaluator: Evaluator, samples: Samples) -> tuple[evaluation.Scores, dict[str, Any]]:
    """Judge a finished probe: its scores, and what a record says of it."""
    best, trained = probing.opened(work.folder(stage.input("probe")))
    if best["classes"] != list(cache.vocabulary(samples)):
        raise BadData(
            f"the probe was trained on {len(best['classes'])} classes ({', '.join(best['classes'][:3])}, ...), and the "
            f"judged split names {len(cache.vocabulary(samples))}, not the same; train and judge on data of one kind"
        )
    features = _opened(work, stage, "eval")
    assert features is not None, "a probe is judged on features"
    found = features.at(best["t"], best["layer"])
    said = trained.scores(found).numpy()
    aligned, close = probing.alignment(found), probing.closeness(found)

    def answers() -> Iterator[evaluation.Answer]:
        for i in range(len(found)):
            yield evaluation.Answer(samples[i], [Classified(said[i], float(aligned[i]), float(close[i]))])

    return evaluation.score(answers(), evaluator, [best["t"]], 0), best


def taught(work: Work, probe: Stage) -> outcome.Taught:
    """What the record of a probe says of its training."""
    train = next(made for made in probe.inputs if made.context["purpose"] == "train")
    count = probing.Features.open(work.folder(train)).count
    best, _ = probing.opened(work.folder(probe))
    return outcome.Taught(count, best["steps"], train.spec["data"]["fingerprint"], None, None)


def _network(work: Work, stage: Stage, cell: Cell) -> DenoisingModel:
    """The frozen network: as published, with random weights, or as a finished cell left it."""
    if trained := stage.context.get("trained"):
        return work.trained(cell, trained)
    model = work.model(cell)
    if stage.spec["network"] == "random":
        probing.renewed(model.network, stage.spec["network_seed"])
    model.network.eval()
    return model


def _opened(work: Work, stage: Stage, purpose: str) -> probing.Features | None:
    """The features among a stage's inputs that serve a purpose, None where none do."""
    for made in stage.inputs:
        if made.kind == "features" and made.context["purpose"] == purpose:
            return probing.Features.open(work.folder(made))
    return None
