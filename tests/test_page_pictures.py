"""Pictures in a page: masks read back, outlines lie within, the large is made small, what is no picture is words."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from addp_bench.page import pictures


def opened(uri: str) -> Image.Image:
    """The picture of a data URI."""
    kind, content = uri.removeprefix("data:image/").split(";base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.format.lower() == kind
    return picture


def layer(truth, prediction, part="prediction", **more):
    return pictures.layer({"truth": truth, "prediction": prediction, **more}, part, (10, 20, 30))


def test_a_painted_mask_reads_back_and_is_transparent_elsewhere():
    mask = np.random.default_rng(0).random((24, 32)) > 0.5
    rgba = np.array(opened(pictures.painted(mask, (10, 20, 30, 150))).convert("RGBA"))
    assert rgba[mask].tolist() == [[10, 20, 30, 150]] * int(mask.sum())
    assert not rgba[~mask][:, 3].any()


def test_the_outline_of_a_small_mask_is_thin_and_lies_within_it():
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    edge = pictures.outline(mask)
    assert edge.shape == (32, 32)
    assert edge.sum() == 16**2 - 12**2  # two of the 32 pixels wide
    assert not edge[~mask.repeat(4, 0).repeat(4, 1)].any()


def test_a_mask_that_reaches_the_border_is_outlined_there():
    assert pictures.outline(np.ones((300, 300), bool)).sum() == 300**2 - 296**2


def test_large_photographs_are_made_smaller_and_keep_their_shape():
    photo = np.zeros((300, 512, 3), np.uint8)
    photo[..., 0] = 200
    small = opened(pictures.encoded(photo))
    assert small.size == (256, 150)
    assert np.abs(np.array(small)[75, 128].astype(int) - [200, 0, 0]).max() < 12


def test_numbers_are_coloured_on_the_range_of_the_truth():
    truth = np.array([[1.0, 3.0], [2.0, np.nan]])
    same = pictures._heat(truth, truth)
    beyond = pictures._heat(np.array([[0.0, 9.0], [2.0, np.nan]]), truth)
    assert np.array_equal(same, beyond)
    assert same[1, 1].tolist() == [0, 0, 0]
    assert len({tuple(colour) for colour in same.reshape(-1, 3).tolist()}) == 4


@pytest.mark.parametrize(
    "truth, prediction, part, said",
    [
        (np.ones((4, 4), bool), None, "prediction", "no answer"),
        (np.ones((4, 4), bool), np.zeros((4, 4), bool), "prediction", "nothing found"),
        (np.zeros((4, 4), bool), np.ones((4, 4), bool), "truth", "nothing to find"),
        ("cat", "dog\x1b", "prediction", "dog"),
    ],
)
def test_what_is_no_picture_is_words(truth, prediction, part, said):
    assert layer(truth, prediction, part) == {"kind": "text", "text": said}


def test_a_mask_comes_with_its_outline_and_numbers_and_what_a_task_draws_as_pictures():
    mask = np.eye(8, dtype=bool)
    assert layer(mask, mask).keys() == {"kind", "src", "edge"}
    numbers = np.linspace(0, 1, 16).reshape(4, 4)
    assert opened(layer(numbers, numbers)["src"]).size == (4, 4)
    drawn = np.full((6, 5, 3), 90, np.uint8)
    own = layer([1], [2], shown={"truth": drawn, "prediction": drawn})
    assert (own["kind"], opened(own["src"]).size) == ("picture", (5, 6))
