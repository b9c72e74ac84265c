"""What training shows a network, beside what sampling does."""

from __future__ import annotations

import bench
import numpy as np
import pytest
import torch

from addp_bench.pictures.drift import shown
from addp_bench.randomness import uniform
from addp_bench.reopen import Reopened


def finished(tmp_path, aug, **given):
    """A cell of `tiny`, whose codec keeps a red mask, on squares; its three steps of training are of no account."""
    asked = bench.request(tmp_path, {"model": ["tiny"], "aug": [aug], "target": ["x0"]}, **given)
    at, (plan,), done = bench.run(asked, tmp_path)
    return Reopened(done.records[plan.id], at)


def test_without_augmentation_training_shows_the_truth_which_is_the_ceiling(tmp_path):
    cell = finished(tmp_path, "none")
    found = shown(cell)
    assert found.damaged is None
    assert found.samples == cell.record.result["ceiling"]["samples"] == 6
    assert found.clean == pytest.approx(cell.record.result["ceiling"]["metrics"]["oiou"])
    assert found.clean > 0.85
    assert list(found.t) == cell.record.result["curve"]["t"]
    assert shown(cell, limit=2).samples == 2


def test_augmentation_at_no_intensity_damages_nothing(tmp_path):
    found = shown(finished(tmp_path, "linear:intensity=0.0"))
    assert found.damaged == [found.clean] * len(found.t)


def test_the_damage_is_that_of_the_corruption_at_its_strength(tmp_path):
    cell = finished(tmp_path, "linear", corruption=("location",))
    found = shown(cell)
    assert found.damaged[0] < found.damaged[-1] - 0.05, "the noisier, the more"
    work = cell.bench.work
    samples, _ = work.samples(cell.cell, "eval", 6)
    (choice,) = cell.cell.corruption
    corruption = work.registry.build("corruption", choice)
    truth = torch.stack(
        [torch.from_numpy(samples[i].truth).repeat_interleave(2, 0).repeat_interleave(2, 1) for i in range(6)]
    )
    for t, damaged in zip(found.t, found.damaged):
        names = [("drift", t, type(corruption).__name__, "ceiling", samples.ids[i], 0) for i in range(6)]
        strength = torch.full((6,), t / 1000)
        moved = np.asarray(corruption.corrupt(truth, strength, uniform((corruption.draws,), names).float())) > 0.5
        without_codec = (moved & truth.numpy()).sum() / (moved | truth.numpy()).sum()
        assert damaged == pytest.approx(without_codec, abs=0.08)


def test_a_cell_that_draws_nothing_was_shown_nothing(tmp_path):
    asked = bench.request(tmp_path, {"model": ["truth"]})
    at, (plan,), done = bench.run(asked, tmp_path)
    assert shown(Reopened(done.records[plan.id], at)) is None
