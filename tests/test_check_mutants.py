"""Every clause of every contract has plugins that break it, and the check finds them by that clause."""

from __future__ import annotations

import bench
import mutants
import mutants_answering
import mutants_data
import mutants_diffusion  # noqa: F401  # notes its mutants down
import mutants_judging
import mutants_pictures  # noqa: F401  # notes its mutants down
import mutants_training
import pytest
import torch

from addp_bench import checks
from addp_bench.checks import common
from addp_bench.loading import load
from addp_bench.plugins.schedules import Linear
from addp_bench.spec import Choice

REGISTRY = load([bench.DOTS]).registry


@pytest.fixture(autouse=True)
def a_second_device(monkeypatch):
    """Promises about devices are looked at without one: the CPU is both of them."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(common, "accelerator", lambda: torch.device("cpu"))


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: f"{m.clause}-{m.factory.__name__}")
def test_a_fault_is_found_by_its_clause(mutant):
    choice = mutant.into(REGISTRY)
    try:
        assert any(f.clause == mutant.clause and f.problem for f in checks.check(REGISTRY, mutant.kind, choice))
    finally:
        REGISTRY.withdraw([REGISTRY.get(mutant.kind, choice.name)])


def test_a_promise_about_devices_is_looked_at_with_arguments_that_lie_there(monkeypatch):
    monkeypatch.setattr(common, "accelerator", lambda: torch.device("meta"))

    class Returns(Linear):
        """Answers on the CPU, wherever it is asked."""

        def strength(self, t, noise):
            return torch.ones(t.shape)

    choice = mutants.Mutant("aug.device", Returns, {}).into(registry := load().registry)
    problems = [f.problem for f in checks.check(registry, "aug", choice) if f.clause == "aug.device"]
    assert problems == ["asked on meta, it answers on cpu"]


def test_every_clause_has_a_mutant():
    assert {mutant.clause for mutant in mutants.MUTANTS} == set(checks.CLAUSES)


@pytest.mark.parametrize("kind, sound", [
    ("model", mutants_answering.Plane),
    ("model", mutants_answering.Small),
    ("agent", mutants_answering.Says),
    ("tracker", mutants_answering.Notes),
    ("objective", mutants_training.Learnt),
    ("weights", mutants_training.Drawn),
    ("task", mutants_judging.Judged),
    ("dataset", mutants_data.Squares),
], ids=lambda value: getattr(value, "__name__", value))  # fmt: skip
def test_what_mutants_are_made_of_is_sound(kind, sound):
    choice = mutants.Mutant(f"{kind}.sound", sound, {}).into(REGISTRY)
    broken = {f.clause: f.problem for f in checks.check(REGISTRY, kind, choice) if f.problem}
    assert set(broken) <= {f"{kind}.documented"}


def test_every_clause_is_kept_by_something_and_no_other_is_found():
    """A clause that nothing keeps would say nothing of a plugin that breaks it."""
    registry = load([bench.DOTS]).registry
    sound = (mutants_answering.Small, mutants_answering.Says, mutants_answering.Notes, mutants_training.Learnt)
    named = ("model", "agent", "tracker", "objective")
    chosen = [(kind, mutants.Mutant(f"{kind}.sound", made, {}).into(registry)) for kind, made in zip(named, sound)]
    texts = {
        "task": "ris", "dataset": "dots", "encoding": "palette", "weights": "perception_stats", "aug": "linear",
        "corruption": "color", "transform": "flip", "exposure": "none", "target": "v", "noise": "cosine",
        "model": "constant", "sampler": "ddim", "guidance": "none", "executor": "local",
    }  # fmt: skip
    chosen += [(kind, Choice(name)) for kind, name in texts.items()]
    chosen += [("encoding", Choice("red_mask")), ("encoding", Choice("transparent_learned"))]
    found = [finding for kind, choice in chosen for finding in checks.check(registry, kind, choice)]
    assert {f.clause for f in found if not (f.problem or f.unseen)} == set(checks.CLAUSES)
