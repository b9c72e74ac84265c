"""The numbers of encoding my_idea, worked by hand."""

from __future__ import annotations

import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.types import Query

REGISTRY = load().registry
ASKED = [Query("the red cup")]


def test_what_is_not_the_object_becomes_the_screen() -> None:
    image, truth = torch.zeros(1, 3, 1, 2), torch.tensor([[[True, False]]])
    encoding = REGISTRY.build("encoding", Choice("my_idea", {"screen": "magenta"}))
    drawn = encoding.encode(image, truth, ASKED)
    assert drawn.rgb[0, :, 0].T.tolist() == [[0, 0, 0], [1, -1, 1]]
    assert drawn.painted.tolist() == [[[False, True]]]


def test_a_pixel_on_the_edge_of_the_radius_reads_as_the_screen() -> None:
    greens = torch.tensor([255, 155, 154])  # 0, 100 and 101 away from the screen
    drawing = torch.stack([torch.zeros(3), greens, torch.zeros(3)]).view(1, 3, 1, 3) / 127.5 - 1.0
    encoding = REGISTRY.build("encoding", Choice("my_idea", {"radius": 100}))
    assert encoding.decode(drawing, drawing[0], ASKED).tolist() == [[False, False, True]]


def test_a_radius_that_holds_every_colour_is_refused() -> None:
    with pytest.raises(BadOption, match="radius"):
        REGISTRY.build("encoding", Choice("my_idea", {"radius": 442}))
