"""Contracts of models, whether they draw or only answer, and of agents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from addp_bench.errors import BenchError, UnknownName
from addp_bench.evaluation import ask, looks
from addp_bench.randomness import normal, numpy_generator
from addp_bench.types import Sample

from .common import Call
from .comparing import differ
from .given import SIDE, VOCABULARY, Finding, Subject, built, masks_of, names, photos_of, said, unseen
from .judging import KNOWN, Example, examples_of

TWO = 2


def model_calls(model: Any, subject: Subject) -> Iterator[Call]:
    if model.denoises:
        yield _drawn(model)
        return
    for task, judge, example in _tasks(model, subject):
        call = _answered(task, judge, example)
        try:
            call.ask(model, call.given())
        except Exception:  # told of by the clauses of answers
            continue
        yield call


def model(model: Any, subject: Subject) -> Iterator[Finding]:
    yield from _denoiser(model, subject) if model.denoises else _predictor(model, subject)


# ------------------------------------------------------------------------------------------------ predictors


def _tasks(model: Any, subject: Subject) -> list[tuple[str, Any, Example]]:
    """Tasks that a predictor has answers for, of which there is an example here: name, task, example."""
    found = []
    for name in getattr(model, "tasks", subject.registry.names("task")):
        judge = built("task", subject.registry, name) if name in subject.registry.names("task") else None
        if judge is None or not (examples := examples_of(judge)):
            continue
        if judge.truth in KNOWN:
            photo = numpy_generator("checks", "photo").integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            hints = {"instance": masks_of(1)[0].numpy().astype(np.int64), "vocabulary": VOCABULARY}
            sample = dataclasses.replace(examples[0].sample, image=photo, hints=hints)
            examples[0] = examples[0]._replace(sample=sample)
        found.append((name, judge, examples[0]))
    return found


def _answered(task: str, judge: Any, example: Example) -> Call:
    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"answer": _ask(plugin, given["sample"], task, judge, given["seed"])}

    photo = example.sample.image
    return Call(lambda: {"sample": dataclasses.replace(example.sample, image=photo.copy()), "seed": 0}, asked, of=task)


def _ask(model: Any, sample: Sample, task: str, judge: Any, seed: int) -> Any:
    """As a run does it: who does not declare `uses_truth` is not shown it."""
    bound = model.bind(judge, task) if hasattr(model, "bind") else model
    if hasattr(bound, "learn"):
        bound.learn([sample, sample], TWO, task)
    return ask(bound, sample, task, seed, VOCABULARY)


def _predictor(model: Any, subject: Subject) -> Iterator[Finding]:
    tasks = _tasks(model, subject)
    if not tasks:
        yield unseen("model.answers", "there is no example of its tasks here")
    for task, judge, example in tasks:
        try:
            answer = _ask(model, example.sample, task, judge, 0)
        except UnknownName as refused:
            yield Finding("model.answers", f"{refused} `tasks` does not say so.", task)
            continue
        except BenchError as refused:
            yield unseen("model.answers", str(refused), task)
            continue
        except Exception as error:
            yield _failed(model, error, example.sample, task)
            continue
        yield Finding("model.answers", None, task)
        yield Finding("model.honest", None, task)
        yield Finding("model.scored", _unscored(judge, example.sample, answer), task)
        if getattr(model, "random", True):
            yield unseen("model.fixed", "it does not say `random = False`", task)
        else:
            yield Finding("model.fixed", differ(answer, _ask(model, example.sample, task, judge, 1)), task)
    yield Finding("model.refuses", _unkind(model, tasks[0][2].sample) if tasks else None)


def _failed(model: Any, error: Exception, sample: Sample, task: str) -> Finding:
    told = f"{type(error).__name__}: {error}"
    if not looks(model, task):
        try:
            model.predict(sample, task, numpy_generator("checks", 0))
        except Exception:  # the truth is not what it lacks
            return Finding("model.answers", told, task)
        return Finding("model.honest", f"without the truth it raises {told}", task)
    return Finding("model.answers", told, task)


def _unscored(judge: Any, sample: Sample, answer: Any) -> str | None:
    """Why none of a task's protocols scores an answer."""
    problem = None
    for settings in judge.protocols().values():
        try:
            judge.evaluator(settings, VOCABULARY).statistics(sample, answer)
            return None
        except Exception as refused:
            problem = problem or str(refused)
    return problem


def _unkind(model: Any, sample: Sample) -> str | None:
    """Where a task that nobody knows ends in something else than an answer or an error for people."""
    try:
        model.predict(sample, "no_such_task", numpy_generator("checks", 0))
    except BenchError:
        return None
    except Exception as other:
        return f"asked for a task that nobody knows it raises {type(other).__name__}: {other}"
    return None


# ------------------------------------------------------------------------------------------------ models that draw


def _drawn(model: Any) -> Call:
    side = model.resolution
    shape = model.codec.shape(side, side)

    def given() -> dict[str, Any]:
        photos = torch.nn.functional.interpolate(photos_of(TWO), (side, side))
        latents = normal(shape, names("x_t", TWO))
        t = torch.tensor([0, model.noise.steps - 1])
        return {"photos": photos, "prompts": ["the red cup", ""], "x_t": latents, "t": t}

    def asked(plugin: Any, given: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            image, text = plugin.condition(given["photos"]), plugin.embed(given["prompts"])
            latents = plugin.codec.encode(given["photos"])
            device = given["x_t"].device
            output = plugin.forward(given["x_t"], given["t"], image.to(device), text.to(device))
            return {
                "image": image,
                "text": text,
                "latents": latents,
                "pictures": plugin.codec.decode(latents),
                "output": output,
            }

    return Call(given, asked, {"output": ((TWO, *shape), torch.float32)}, TWO, 1e-3)


def _denoiser(model: Any, subject: Subject) -> Iterator[Finding]:
    yield Finding("model.settings", _settings(model, subject))
    missing = sorted({"quick", "standard", "paper"} - set(model.budgets))
    yield said("model.budgets", not missing, f"it lacks {', '.join(missing)}")
    shares = tuple(model.dropout)
    sound = len(shares) == 3 and min(shares) >= 0 and sum(shares) <= 1
    yield said("model.dropout", sound, str(shares))
    yield Finding("model.card", _card(model, subject))
    call = _drawn(model)
    given = call.given()
    found = dict(call.ask(model, given))
    side, shape = model.resolution, model.codec.shape(model.resolution, model.resolution)
    embeds = found["text"].ndim == 3 and len(found["text"]) == TWO
    yield said("model.embeds", embeds, f"met {tuple(found['text'].shape)} for {TWO} prompts")
    conditions = found["image"].ndim == 4 and len(found["image"]) == TWO
    yield said("model.conditions", conditions, f"met {tuple(found['image'].shape)} for {TWO} photographs")
    met = tuple(found["latents"].shape), tuple(found["pictures"].shape)
    yield said("model.latents", met == ((TWO, *shape), (TWO, 3, side, side)), f"met {met[0]}, then {met[1]}")
    pictures = found["pictures"]
    yield said("model.range", pictures.abs().max() <= 1, f"met {pictures.min():.3g} to {pictures.max():.3g}")
    output = found["output"]
    sound = output.shape == given["x_t"].shape and bool(torch.isfinite(output).all())
    yield said("model.output", sound, f"met {tuple(output.shape)}, or a number that is none")
    yield Finding("model.learns", _learns(model, given, found))
    if hasattr(model, "features"):
        yield Finding("model.features", _layers(model, given, found))
    else:
        yield unseen("model.features", "its features cannot be read")


def _settings(model: Any, subject: Subject) -> str | None:
    registry = subject.registry
    if model.target not in registry.names("target"):
        return f"no target is called {model.target!r}"
    guidance = getattr(model, "guidance", "none")
    try:
        registry.build("guidance", guidance)
    except BenchError as unknown:
        return str(unknown)
    steps, side, decay = model.noise.steps, model.resolution, model.weight_decay
    if not (isinstance(steps, int) and steps >= 1 and isinstance(side, int) and side >= 1 and decay >= 0):
        return f"a noise of {steps!r} steps, {side!r} px, weight decay {decay!r}"
    return None


def _card(model: Any, subject: Subject) -> str | None:
    entry = subject.registry.get("model", subject.choice.name)
    card = entry.factory.card(subject.registry.resolve("model", subject.choice).options)
    if not card.fingerprint:
        return "it has no fingerprint"
    told = {
        "target": model.target,
        "resolution": model.resolution,
        "guidance": getattr(model, "guidance", card.guidance),
    }
    told |= {"layers": tuple(model.layers)} if hasattr(model, "features") else {}
    off = [f"{k} {getattr(card, k)!r} for {v!r}" for k, v in told.items() if _plain(getattr(card, k)) != v]
    return ", ".join(off) or None


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _learns(model: Any, given: dict[str, Any], found: dict[str, Any]) -> str | None:
    before = [p.requires_grad for p in model.network.parameters()]
    if not before:
        return "its network has no parameters"
    model.network.requires_grad_(True)
    try:
        model.forward(given["x_t"], given["t"], found["image"], found["text"]).square().mean().backward()
        reached = [p for p in model.network.parameters() if p.grad is not None and bool(p.grad.any())]
    finally:
        model.network.zero_grad(set_to_none=True)
        for parameter, asked in zip(model.network.parameters(), before):
            parameter.requires_grad_(asked)
    return None if reached else "no parameter of its network has a gradient"


def _layers(model: Any, given: dict[str, Any], found: dict[str, Any]) -> str | None:
    if not model.layers:
        return "it names no layers"
    seen = model.features(given["x_t"], given["t"], found["image"], found["text"], model.layers)
    for name in model.layers:
        if name not in seen:
            return f"{name} is missing"
        if seen[name].ndim != 4 or len(seen[name]) != TWO or seen[name].requires_grad:
            gradient = ", with a gradient" if seen[name].requires_grad else ""
            return f"{name} is {tuple(seen[name].shape)}{gradient}"
    return None


# ------------------------------------------------------------------------------------------------ agents


def agent_calls(agent: Any, subject: Subject) -> Iterator[Call]:
    yield Call(
        lambda: {"image": np.zeros((SIDE, SIDE, 3), np.uint8), "expression": "the red cup", "history": [_round()]},
        lambda plugin, given: {"said": list(plugin.propose(**given, k=3))},
    )


def agent(agent: Any, subject: Subject) -> Iterator[Finding]:
    yield said("agent.declares", isinstance(agent.uses_truth, bool), repr(agent.uses_truth))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for k in (1, 3):
        words = list(agent.propose(image, "the red cup", [], k))
        yield said("agent.few", len(words) <= k, str(words), f"{k} asked for")
        yield said("agent.strings", all(isinstance(word, str) and word for word in words), str(words))
    try:
        later = list(agent.propose(image, "the red cup", [_round()], 3))
        problem = None if len(later) <= 3 else str(later)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    yield Finding("agent.history", problem)


def _round() -> dict[str, Any]:
    """An earlier round: what was proposed, and the mask that came of it."""
    return {"prompts": ["the red cup on the left"], "masks": [masks_of(1)[0].numpy()]}
