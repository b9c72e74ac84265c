"""Faulty models, agents, executors and trackers, and the sound ones that they are made of."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import torch
from mutants import mutant, of_calls, of_options, plain, spoil

from addp_bench.checks.standin import StandIn
from addp_bench.jobs import Outcome, attempt
from addp_bench.loading import load
from addp_bench.plugins.executors import Local
from addp_bench.types import Budget, ModelCard

REGISTRY = load().registry


class Plane:
    """A plane, slanted."""

    denoises = False
    tasks = ("depth",)
    random = False

    def predict(self, sample, task, generator):
        height, width = sample.image.shape[:2]
        return np.linspace(1.0, 5.0, height, dtype=np.float32)[:, None].repeat(width, 1)


def array(answer, f):
    return f(torch.from_numpy(answer)).numpy()


of_options("model", Plane)
of_calls("model", Plane, "predict", array, "repeats rebuilt global_state")


@mutant("model.works")
class NoShares(Plane):
    denoises = True


@mutant("model.arguments")
class Paints(Plane):
    def predict(self, sample, task, generator):
        spoil(sample.image)
        return super().predict(sample, task, generator)


@mutant("model.answers")
class Stumbles(Plane):
    def predict(self, sample, task, generator):
        return self.no_such_thing


@mutant("model.answers")
class Modest(Plane):
    """Has fewer answers than it says."""

    tasks = ("depth", "ris")

    def predict(self, sample, task, generator):
        from addp_bench.errors import unknown

        if task != "depth":
            raise unknown("task", task, ("depth",))
        return super().predict(sample, task, generator)


@mutant("model.scored")
class Thumbnail(Plane):
    def predict(self, sample, task, generator):
        return super().predict(sample, task, generator)[:8, :8]


@mutant("model.fixed")
class Guesses(Plane):
    def predict(self, sample, task, generator):
        return super().predict(sample, task, generator) * generator.random()


@mutant("model.honest")
class Peeks(Plane):
    def predict(self, sample, task, generator):
        return sample.truth.copy()


@mutant("model.refuses")
class Table(Plane):
    def predict(self, sample, task, generator):
        return {"depth": super().predict}[task](sample, task, generator)


class Small(StandIn):
    """The smallest model that draws.

    side: does nothing, and is on its card.
    """

    budgets = dict.fromkeys(("quick", "standard", "paper"), Budget("quick", 1, 1, 1e-3, 0, None, None, 1, 0.9, 1))

    def __init__(self, side: int = 64) -> None:
        super().__init__(REGISTRY, ("out",))

    @classmethod
    def card(cls, options):
        return ModelCard("small", cls.target, cls.resolution, cls.guidance, ("out",))


@mutant("model.settings")
class OfNoTarget(Small):
    target = "moon"


@mutant("model.settings")
class Misguided(Small):
    guidance = "stars"


@mutant("model.budgets")
class Poor(Small):
    budgets: ClassVar[dict[str, Budget]] = {"quick": Small.budgets["quick"]}


@mutant("model.dropout")
class DropsAll(Small):
    dropout = (0.5, 0.5, 0.5)


@mutant("model.card")
class Boasts(Small):
    @classmethod
    def card(cls, options):
        return dataclasses.replace(super().card(options), resolution=512)


@mutant("model.embeds")
class OneForAll(Small):
    def embed(self, prompts):
        return super().embed(prompts)[:1]


@mutant("model.conditions")
class Flattens(Small):
    def condition(self, images):
        return super().condition(images).flatten(1)


class Coded(Small):
    """With a faulty codec."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("shape", "encode", "decode"):
            if hasattr(self, f"codec_{name}"):
                setattr(self.codec, name, getattr(self, f"codec_{name}"))


@mutant("model.latents")
class SaysOtherwise(Coded):
    def codec_decode(self, latents):
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=4).clamp(-1, 1)


@mutant("model.range")
class Unclipped(Coded):
    def codec_decode(self, latents):
        return torch.nn.functional.interpolate(latents[:, :3] * 9, scale_factor=8)


@mutant("model.output")
class NotANumber(Small):
    def forward(self, x_t, t, image, text):
        return super().forward(x_t, t, image, text) / (t > 0).view(-1, 1, 1, 1)


@mutant("model.alone")
class Normalised(Small):
    def forward(self, x_t, t, image, text):
        return super().forward(x_t - x_t.mean(), t, image, text)


@mutant("model.learns")
class Frozen(Small):
    def forward(self, x_t, t, image, text):
        found = super().forward(x_t, t, image, text).detach()
        return found.requires_grad_() if torch.is_grad_enabled() else found


@mutant("model.features")
class Keeps(Small):
    def features(self, x_t, t, image, text, layers):
        return {name: self.network.get_submodule(name)(x_t) for name in layers}


@mutant("model.features")
class Lacks(Small):
    def features(self, x_t, t, image, text, layers):
        return {}


@mutant("model.device")
class Stays(Small):
    def forward(self, x_t, t, image, text):
        return super().forward(x_t, t, image, text).to("meta")


# ------------------------------------------------------------------------------------------------ agents


class Says:
    """Always says the same."""

    uses_truth = False

    def propose(self, image, expression, history, k):
        return [f"no, {expression}"] * k


of_options("agent", Says)
of_calls("agent", Says, "propose", plain, "global_state arguments works")


@mutant("agent.declares")
class Unsaid(Says):
    uses_truth = "sometimes"


@mutant("agent.few")
class Babbles(Says):
    def propose(self, image, expression, history, k):
        return super().propose(image, expression, history, k + 1)


@mutant("agent.strings")
class Counts(Says):
    def propose(self, image, expression, history, k):
        return list(range(k))


@mutant("agent.history")
class LivesNow(Says):
    def propose(self, image, expression, history, k):
        assert not history
        return super().propose(image, expression, history, k)


# ------------------------------------------------------------------------------------------------ executors


of_options("executor", Local)
of_calls("executor", Local, "run", plain, "works")


@mutant("executor.ends")
class Stammers(Local):
    def run(self, jobs):
        for outcome in super().run(jobs):
            yield outcome
            yield outcome


@mutant("executor.order")
class LastFirst(Local):
    def run(self, jobs):
        return super().run(list(jobs)[::-1])


@mutant("executor.order")
class GivesUp(Local):
    def run(self, jobs):
        for outcome in super().run(jobs):
            yield outcome
            if outcome.error:
                return


@mutant("executor.not_begun")
class Stubborn(Local):
    def run(self, jobs):
        for job in jobs:
            yield attempt(job, {})


@mutant("executor.error")
class Hides(Local):
    def run(self, jobs):
        for outcome in super().run(jobs):
            yield Outcome(outcome.job, None, outcome.begun)


# ------------------------------------------------------------------------------------------------ trackers


class Notes:
    """Keeps nothing."""

    def begin(self, run, config):
        pass

    def log(self, run, step, values):
        pass

    def end(self, run, values):
        pass


of_options("tracker", Notes)


@mutant("tracker.works")
class Absent(Notes):
    @property
    def begin(self):
        raise RuntimeError("not to-day")


@mutant("tracker.begin")
class Begins(Notes):
    def begin(self, run):
        pass


@mutant("tracker.log")
class Logs(Notes):
    log = None


@mutant("tracker.end")
class Ends(Notes):
    def end(self, run, values, status):
        pass
