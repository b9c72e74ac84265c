"""What an encoding loses on its way through a codec."""

from __future__ import annotations

import json

import bench
import pytest
import torch

from addp_bench.ceiling import ceiling
from addp_bench.cli import main
from addp_bench.loading import load


class Perfect:
    """A codec that loses nothing."""

    def encode(self, images, noise=None):
        return images

    def decode(self, latents):
        return latents


class Blind(Perfect):
    """A codec that loses everything."""

    def decode(self, latents):
        return torch.zeros_like(latents)


class Model:
    def __init__(self, codec, resolution=32):
        self.codec, self.resolution = codec, resolution


def oiou(model) -> float:
    registry = load([bench.DOTS]).registry
    task = registry.build("task", "ris")
    samples = registry.build("dataset", "dots").samples("stats", "ris")
    evaluator = task.evaluator(task.protocols()["tabletop_ris"])
    encoding = registry.build("encoding", "red_mask")
    scores = ceiling(samples, len(samples), task, encoding, model, evaluator, torch.device("cpu"), lambda *_: None)
    assert list(scores.statistics.ids) == list(samples.ids)
    return float(evaluator.metrics[0].value(scores.statistics.columns))


def test_a_codec_that_loses_nothing_has_a_ceiling_of_100():
    assert oiou(Model(Perfect())) == 1.0


def test_a_codec_that_loses_everything_has_a_ceiling_of_0():
    assert oiou(Model(Blind())) == 0.0


def test_drawing_at_half_the_size_costs_only_the_edges():
    assert 0.5 < oiou(Model(Perfect(), 16)) < 1.0


def test_the_ceiling_is_asked_for_from_the_command_line(sd15, capsys):
    arguments = ["check", "encoding", "red_mask", "--codec", f"instruct_pix2pix:path={sd15}", "--dataset", "dots"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--limit", "4", "--plugin", str(bench.DOTS), "--json"])
    assert left.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["samples"] == 4
    assert 0 <= answer["ceiling"]["oiou"] <= 1


def test_a_split_that_is_not_there_is_refused(sd15, capsys):
    arguments = ["check", "encoding", "red_mask", "--codec", f"instruct_pix2pix:path={sd15}", "--dataset", "dots"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--split", "vall", "--plugin", str(bench.DOTS)])
    assert left.value.code == 2
    assert "vall" in capsys.readouterr().err
