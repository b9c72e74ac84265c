"""The numbers of dataset my_idea, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from addp_bench.errors import BadOption, UnknownName
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_the_truth_is_the_disc_that_the_words_name() -> None:
    colours = {"orange": (205, 120, 50), "green": (60, 150, 70), "blue": (60, 80, 190)}
    samples = REGISTRY.build("dataset", "my_idea").samples("val", "ris")
    assert len(samples) == 2 * 128
    for index in range(8):
        sample = samples[index]
        _, colour, _ = sample.text.split()
        assert (sample.truth == (sample.image == colours[colour]).all(-1)).all()
        radius = math.sqrt(sample.truth.sum() / math.pi)  # of a disc: its area is pi r^2
        assert 0.11 * 64 < radius < 0.21 * 64
        assert (np.flatnonzero(sample.truth.any(0)).mean() < 32) == (sample.attributes["side"] == "left")


def test_splits_share_no_photograph() -> None:
    dataset = REGISTRY.build("dataset", "my_idea")
    photographs = [set(dataset.samples(split, "ris").image_ids) for split in dataset.splits()]
    assert len(set.union(*photographs)) == sum(map(len, photographs))


def test_what_is_not_here_is_refused() -> None:
    with pytest.raises(UnknownName, match="test"):
        REGISTRY.build("dataset", "my_idea").samples("test", "ris")
    with pytest.raises(BadOption, match="size"):
        REGISTRY.build("dataset", Choice("my_idea", {"size": 8}))
