"""Faulty weights and objectives, and the sound ones that they are made of."""

from __future__ import annotations

import torch
from mutants import mutant, of_calls, of_options, plain, spoil

from addp_bench.plugins.objectives import MSE
from addp_bench.plugins.weights import MinSNR, PerceptionStats, Uniform
from addp_bench.timesteps import FixedDraws


class Drawn(Uniform):
    """Uniform weights whose draws are of another class."""

    of = FixedDraws

    def bind(self, noise, target, contribution):
        made = super().bind(noise, target, contribution)
        made.__class__ = self.of
        return made


def drawn(clause):
    """The weights of faulty draws."""

    def note(draws):
        mutant(clause)(type(draws.__name__, (Drawn,), {"of": draws, "__doc__": "Uniform.\n\nscaling: as there."}))
        return draws

    return note


class Changed(FixedDraws):
    def draw(self, u, step):
        t, weight = super().draw(u, step)
        return self.change(t, weight)


of_options("weights", type("Plain", (Uniform,), {"__doc__": "Uniform.\n\nscaling: as there."}))


@mutant("weights.works")
class Unbound(Uniform):
    def bind(self, noise, target, contribution):
        raise RuntimeError("not to-day")


@drawn("weights.repeats")
class Shaken(Changed):
    def change(self, t, weight):
        return t, weight * torch.rand(())


@drawn("weights.repeats")
class CountsCalls(Changed):
    calls = 0

    def change(self, t, weight):
        type(self).calls += 1
        return t, weight * self.calls


@mutant("weights.rebuilt")
class Ages(Uniform):
    born = iter(range(1, 1000))

    def bind(self, noise, target, contribution):
        if not hasattr(self, "age"):
            object.__setattr__(self, "age", next(Ages.born))
        made = super().bind(noise, target, contribution)
        made._weights = made._weights * self.age
        return made


@drawn("weights.global_state")
class Consumes(Changed):
    def change(self, t, weight):
        torch.rand(1)
        return t, weight


@drawn("weights.arguments")
class Writes(FixedDraws):
    def draw(self, u, step):
        drawn = super().draw(u, step)
        spoil(u)
        return drawn


@drawn("weights.shape")
class FewerWeights(Changed):
    def change(self, t, weight):
        return t, weight[:1]


@drawn("weights.dtype")
class Doubles(Changed):
    def change(self, t, weight):
        return t, weight.double()


@drawn("weights.timesteps")
class FromOne(Changed):
    def change(self, t, weight):
        return t + 1, weight


@drawn("weights.finite")
class Unknown(Changed):
    def change(self, t, weight):
        return t, weight / (t > 0)


@drawn("weights.nonnegative")
class Negative(Changed):
    def change(self, t, weight):
        return t, -weight


@mutant("weights.needs")
class Needless(PerceptionStats):
    def bind(self, noise, target, contribution):
        if contribution is None:
            return Uniform().bind(noise, target, None)
        return super().bind(noise, target, contribution)


@mutant("weights.needs")
class FallsOver(PerceptionStats):
    def bind(self, noise, target, contribution):
        return super().bind(noise, target, contribution) if contribution.groups else None


@mutant("weights.targets")
class OfX0Alone(MinSNR):
    def bind(self, noise, target, contribution):
        assert type(target).__name__ == "X0"
        return super().bind(noise, target, contribution)


@drawn("weights.probabilities")
class SaysOtherwise(Changed):
    def change(self, t, weight):
        return t // 2, weight


@drawn("weights.probabilities")
class Unnormed(FixedDraws):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return found * 2 if name == "probabilities" else found


@drawn("weights.loss_weights")
class OneWeight(FixedDraws):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return found[:1] if name == "loss_weights" else found


@drawn("weights.one_number")
class Each(FixedDraws):
    def combine(self, losses, t, step):
        return losses


@drawn("weights.gradient")
class Detached(FixedDraws):
    def combine(self, losses, t, step):
        return losses.mean() * 0


@drawn("weights.state")
class Forgets(FixedDraws):
    """Counts its draws, and does not keep the count."""

    count = 0

    def draw(self, u, step):
        t, weight = super().draw(u, step)
        self.count += step > 0
        return t, weight * (1 + self.count)


@drawn("weights.state")
class LosesKeys(FixedDraws):
    def state_dict(self):
        return {"count": 1} if self.__dict__.setdefault("first", True) else {}

    def load_state_dict(self, state):
        self.first = False


# ------------------------------------------------------------------------------------------------ objectives


class Learnt:
    """Mean squared error and a learnt scale of a layer."""

    features = ("mid.block",)

    def bind(self, model):
        self.scale = torch.nn.Parameter(torch.ones(()))
        return self

    def losses(self, attempt):
        layer = attempt.features["mid.block"].mean(dim=(1, 2, 3))
        return (attempt.output - attempt.goal).square().mean(dim=(1, 2, 3)) + (self.scale * layer).square()

    def parameters(self):
        return [self.scale]

    def state_dict(self):
        return {"scale": self.scale.detach().clone()}

    def load_state_dict(self, state):
        self.scale.data.copy_(state["scale"])


of_options("objective", MSE)
of_calls("objective", MSE, "losses", plain, "repeats rebuilt global_state shape dtype works device")


@mutant("objective.arguments")
class WritesGoal(MSE):
    def losses(self, attempt):
        found = super().losses(attempt)
        attempt.goal.mul_(0.5)
        return found


@mutant("objective.alone")
class Ranks(MSE):
    def losses(self, attempt):
        found = super().losses(attempt)
        return found / found.detach().max()


@mutant("objective.finite")
class Logarithm(MSE):
    def losses(self, attempt):
        return (-super().losses(attempt)).log()


@mutant("objective.gradient")
class DetachedLosses(MSE):
    def losses(self, attempt):
        return super().losses(attempt).detach() + 0 * attempt.output.sum()


@mutant("objective.state")
class Stateless(Learnt):
    state_dict = None

    def __getattribute__(self, name):
        if name == "state_dict":
            raise AttributeError(name)
        return super().__getattribute__(name)


@mutant("objective.state")
class ForgetsScale(Learnt):
    def load_state_dict(self, state):
        pass


@mutant("objective.repeats")
class SeededByTheWorld(Learnt):
    def bind(self, model):
        self.scale = torch.nn.Parameter(torch.randn(()))
        return self
