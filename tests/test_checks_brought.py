"""A type of truth that nobody here has heard of is checked with the example that its task brings."""

from __future__ import annotations

import pytest

from addp_bench import checks
from addp_bench.checks import metric
from addp_bench.errors import BadPlugin
from addp_bench.loading import load
from addp_bench.spec import Choice

# How bright a photograph is, a number in [0, 1]: no map, no picture, collated to (B,)
GLOW = '''
"""How bright it is."""

import numpy as np
import torch

from addp_bench.errors import BadPrediction, UnknownName
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import MeanOf
from addp_bench.types import Drawing, Query, Sample


class Judge:
    metrics = (MeanOf(id="closeness", label="closeness", unit="dB", column="close"),)

    def drawing_size(self, sample):
        return None

    def statistics(self, sample, prediction):
        if not isinstance(prediction, float):
            raise BadPrediction(f"sample {sample.id}: {prediction!r} is no number")
        return {"close": -abs(prediction - sample.truth) * 20}


class Glow:
    """How bright it is."""

    truth, reads, corruptions, encoding = "glow", "drawing", ("fade",), "lamp"

    def example(self, side, generator):
        glow = float(generator.uniform(0.2, 0.8))
        photo = np.full((side, side, 3), round(255 * glow), np.uint8)
        return Sample("one", "one", photo, glow), glow, glow / 2

    def resize(self, truth, height, width):
        return truth

    def collate(self, truths):
        return torch.tensor(truths, dtype=torch.float32)

    def quality(self, prediction, truth):
        return -abs(prediction - truth)

    def protocols(self):
        return {"glow": {}}

    def evaluator(self, protocol, vocabulary=()):
        return Judge()


class Lamp:
    """A picture that is as bright everywhere."""

    truth = "glow"

    def queries(self, sample, vocabulary):
        return [Query("how bright")]

    def encode(self, image, truth, queries):
        return Drawing((2 * truth - 1)[:, None, None, None].expand_as(image).clone())

    def decode(self, drawings, image, queries):
        return float(drawings.mean() / 2 + 0.5)

    def decode_batch(self, drawings, image, queries):
        return [self.decode(one[None], image, queries) for one in drawings]


class Fade:
    """Makes it darker."""

    acts_on, truth, draws = "truth", "glow", 1

    def corrupt(self, target, strength, u):
        return target * (1 - 0.3 * strength * u[:, 0])


class Dim:
    """Makes both darker."""

    truths, draws, changes = ("glow",), 1, ()

    def apply(self, photos, truth, u):
        return (photos + 1) * (1 - 0.3 * u[:, 0])[:, None, None, None] - 1, truth * (1 - 0.3 * u[:, 0])


class Look:
    """Looks at the photograph."""

    denoises, tasks, uses_truth, random = False, ("glow",), False, False

    def predict(self, sample, task, generator):
        if task not in self.tasks:
            raise UnknownName(task)
        return float(sample.image.mean() / 255)


@hookimpl
def addp_bench_register(registry):
    for kind, made in {"task": Glow, "encoding": Lamp, "corruption": Fade, "transform": Dim, "model": Look}.items():
        registry.add(kind, made.__name__.lower(), made)
'''
ALL = [("task", "glow"), ("encoding", "lamp"), ("corruption", "fade"), ("transform", "dim"), ("model", "look")]


@pytest.fixture
def registered(tmp_path):
    """The plugin, with some of its text replaced."""

    def load_it(before: str = "", after: str = ""):
        assert GLOW.count(before) == 1 or not before
        (tmp_path / "glow.py").write_text(GLOW.replace(before, after))
        loaded = load([tmp_path / "glow.py"])
        assert not loaded.failures
        return loaded.registry

    return load_it


def test_every_plugin_about_it_is_checked(registered):
    registry = registered()
    for kind, name in ALL:
        found = list(checks.check(registry, kind, Choice(name)))
        assert not [finding for finding in found if finding.problem]
        assert not [finding for finding in found if "no example" in finding.unseen]
        assert {f"{kind}.repeats", f"{kind}.rebuilt", f"{kind}.arguments"} <= {finding.clause for finding in found}
    metric.require(registry, "glow.all")
    promises = {line.promise for line in metric.check(registry, "glow.all")}
    assert {"a worse answer costs", "nothing is better than the truth", "refuses no answer at all"} <= promises


BROKEN = {
    "encoding.read_back": ("drawings.mean() / 2 + 0.5", "drawings.mean() / 2 + 0.4"),
    "encoding.several": ("self.decode(one[None],", "self.decode(one[None] * 0.9,"),
    "encoding.range": ("(2 * truth - 1)[:", "(3 * truth)[:"),
    "encoding.asks": ('return [Query("how bright")]', "return []"),
    "task.quality": ("return -abs(prediction - truth)", "return abs(prediction - truth)"),
    "task.full_marks": ("-abs(prediction - sample.truth) * 20", "-abs(prediction)"),
    "task.collates": ("torch.tensor(truths, dtype", "torch.tensor(truths[:1], dtype"),
    "task.refuses": ("if not isinstance(prediction, float):", "if prediction == 7:"),
    "model.scored": ("float(sample.image.mean() / 255)", "None"),
    "model.repeats": ("float(sample.image.mean() / 255)", "float(np.random.rand())"),
    "corruption.zero": ("0.3 * strength * u", "0.3 * u"),
    "transform.same_kind": ("truth * (1 - 0.3 * u[:, 0])", "truth[:, None]"),
}


@pytest.mark.parametrize("clause", BROKEN)
def test_what_is_broken_is_found(registered, clause):
    registry, kind = registered(*BROKEN[clause]), clause.partition(".")[0]
    with pytest.raises(BadPlugin, match=clause):
        checks.require(registry, kind, Choice(dict(ALL)[kind]))


def test_metrics_of_it_are_held_to_what_every_metric_promises(registered):
    for before, after, promise in (
        ("-abs(prediction - sample.truth) * 20", "-abs(prediction) * 20", "nothing is better than the truth"),
        ('raise BadPrediction(f"sample {sample.id}: {prediction!r} is no number")', "return {'close': 0.0}", "refuses"),
        ("abs(prediction - sample.truth) * 20", "0.0", "a worse answer costs"),
    ):
        with pytest.raises(BadPlugin, match=promise):
            metric.require(registered(before, after), "glow.all")


def test_a_task_without_an_example_says_that_there_is_none(registered):
    registry = registered("def example(", "def no_example(")
    told = {f.clause: f.unseen for f in checks.check(registry, "encoding", Choice("lamp")) if f.unseen}
    assert told["encoding.read_back"] == "there is no example of glow here"
