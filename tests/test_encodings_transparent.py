"""Tinted masks, with shares worked by hand."""

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.plugins import encodings_transparent
from addp_bench.plugins.encodings import COLOURS
from addp_bench.plugins.encodings_transparent import TransparentMask
from addp_bench.registry import Registry
from addp_bench.types import Sample, to_batch, to_uint8

QUERIES: list = []
HERE = torch.ones(1, 1, 1, dtype=torch.bool)


def pixel(*rgb):
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1) / 127.5 - 1.0


def test_half_of_a_photographed_pixel_and_half_of_red():
    drawn = TransparentMask().encode(pixel(100, 150, 200), HERE, QUERIES)
    assert ((drawn.rgb + 1) * 127.5).flatten().tolist() == pytest.approx([177.5, 75, 100], abs=1e-4)
    more = TransparentMask("blue", alpha=0.25, threshold=0.5).encode(pixel(100, 150, 200), HERE, QUERIES)
    assert ((more.rgb + 1) * 127.5).flatten().tolist() == pytest.approx([25, 37.5, 241.25], abs=1e-4)


@pytest.mark.parametrize("color", COLOURS)
def test_a_tinted_mask_reads_back_from_eight_bits(color):
    image = to_batch(np.random.default_rng(0).integers(60, 110, (3, 9, 7, 3)).astype(np.uint8))
    masks = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    masks[2] = False
    encoding = TransparentMask(color, contrast=0)
    drawing = encoding.encode(image, masks, QUERIES)
    assert torch.equal(drawing.painted, masks)
    assert torch.equal(drawing.rgb[~masks[:, None].expand_as(image)], image[~masks[:, None].expand_as(image)])
    stored = to_batch(to_uint8(drawing.rgb))
    assert torch.equal(encoding.decode_batch(stored, image, QUERIES), masks)
    for one, photo, mask in zip(stored, image, masks):
        assert torch.equal(encoding.decode(one[None], photo, QUERIES), mask)


@pytest.mark.parametrize(
    "drawn, inside",
    [
        ((40, 0, 0), False),  # 40 / 160 = 0.25: the share must be above
        ((41, 0, 0), True),
        ((40, 200, 200), False),  # what is drawn across the way to red is no share of it
        ((41, 200, 200), True),
        ((0, 0, 0), False),
        ((160, 0, 0), True),
        ((255, 0, 0), True),  # beyond the colour itself
    ],
)
def test_the_share_of_the_colour_decides_and_a_quarter_is_not_enough(drawn, inside):
    encoding = TransparentMask("160,0,0")
    assert encoding.decode(pixel(*drawn), pixel(0, 0, 0)[0], QUERIES).item() is inside


@pytest.mark.parametrize("photo, inside", [((225, 0, 0), False), ((224, 0, 0), True), ((255, 0, 0), False)])
def test_where_the_photograph_is_of_nearly_that_colour_nothing_is_read(photo, inside):
    assert TransparentMask().decode(pixel(255, 0, 0), pixel(*photo)[0], QUERIES).item() is inside


def test_shares_are_those_of_solving_each_pixel():
    rng = np.random.default_rng(0)
    photo, drawn = rng.integers(0, 256, (2, 1, 40, 50, 3)).astype(np.uint8)
    colour = np.array(COLOURS["purple"], float)
    read = TransparentMask("purple").decode_batch(to_batch(drawn), to_batch(photo), QUERIES)
    for y, x in np.ndindex(40, 50):
        p, d = photo[0, y, x].astype(float), drawn[0, y, x].astype(float)
        share = np.linalg.lstsq((colour - p)[:, None], d - p, rcond=None)[0][0]
        expected = share > 0.25 and np.linalg.norm(colour - p) > 30
        assert read[0, y, x].item() == expected or abs(share - 0.25) < 1e-9


def test_the_expression_itself_is_the_prompt():
    (query,) = TransparentMask().queries(Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None, "The  LEFT cup"), ())
    assert (query.prompt, query.colour) == ("The  LEFT cup", (255, 0, 0))


def registry():
    filled = Registry()
    encodings_transparent.addp_bench_register(filled)
    return filled


def test_it_is_found_by_name_and_alias():
    assert registry().build("encoding", "transparent:color=0,0,255:alpha=0.3").colour == (0, 0, 255)
    assert registry().get("encoding", "transparent").name == "transparent_mask"


@pytest.mark.parametrize("options", ["alpha=1", "alpha=-0.1", "threshold=0", "threshold=0.5", "contrast=-1",
                                     "contrast=nan", "color=crimson"])  # fmt: skip
def test_a_share_or_distance_that_cannot_be_is_refused(options):
    with pytest.raises(BadOption):
        registry().build("encoding", f"transparent_mask:{options}")
