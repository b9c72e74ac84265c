"""Masks drawn and read back, with colours worked by hand."""

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.plugins import encodings
from addp_bench.plugins.encodings import BinaryMask, RedMask, SolidMask
from addp_bench.registry import Registry
from addp_bench.types import Sample, to_batch, to_uint8

QUERIES: list = []


def picture(*colours):
    """One row of pixels, each repeated twice downwards: (1, 3, 2, N) in [-1, 1]."""
    return to_batch(np.array([[colours, colours]], np.uint8))


@pytest.mark.parametrize(
    "colour, inside",
    [
        ((255, 0, 0), True),
        ((255, 30, 40), True),  # 50 exactly
        ((255, 49, 0), True),
        ((205, 0, 0), True),  # 50 exactly
        ((230, 30, 20), True),
        ((254, 36, 34), True),
        ((255, 36, 36), False),  # 50.911688
        ((226, 28, 30), False),  # 50.249378
        ((204, 0, 0), False),
    ],
)
def test_red_reads_within_fifty_and_the_boundary_is_in(colour, inside):  # R4
    drawn = picture(colour, (0, 0, 0))
    assert RedMask().decode(drawn, drawn[0], QUERIES).tolist() == [[inside, False]] * 2


def test_a_model_may_overshoot_red_and_be_a_fraction_off():
    drawn = torch.tensor([1.3, -1.2, -1.0]).view(1, 3, 1, 1)
    assert RedMask().decode(drawn, drawn[0], QUERIES).item()
    at_the_edge = torch.tensor([204.6 / 127.5 - 1, -1.0, -1.0]).view(1, 3, 1, 1)  # an 8-bit picture holds 205
    assert RedMask().decode(at_the_edge, at_the_edge[0], QUERIES).item()


ENCODINGS = [
    RedMask(),
    *(SolidMask(name) for name in encodings.COLOURS),
    SolidMask("12, 200,7", radius=10),
    BinaryMask(),
    BinaryMask(10, "red"),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_drawn_mask_reads_back(encoding):
    # grays that are no colour's neighbour: 190 is 107 from gray and 113 from white
    image = to_batch(np.full((3, 5, 4, 3), 190, np.uint8))
    masks = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    masks[2] = False
    drawing = encoding.encode(image, masks, QUERIES)
    assert drawing.rgb.shape == image.shape
    assert torch.equal(encoding.decode_batch(drawing.rgb, image, QUERIES), masks)
    for rgb, photograph, mask in zip(drawing.rgb, image, masks):
        assert torch.equal(encoding.decode(rgb[None], photograph, QUERIES), mask)
    stored = to_batch(to_uint8(drawing.rgb))  # an 8-bit picture says the same
    assert torch.equal(encoding.decode_batch(stored, image, QUERIES), masks)


def test_paint_goes_where_the_mask_is_and_the_photograph_stays_elsewhere():
    image = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    before = image.clone()
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, 1:3, 2] = True
    drawing = RedMask().encode(image, masks, QUERIES)
    assert torch.equal(drawing.painted, masks)
    assert drawing.valid is None
    assert torch.equal(image, before)
    assert drawing.rgb[0, :, 1, 2].tolist() == [1.0, -1.0, -1.0]
    kept = ~masks[:, None].expand_as(image)
    assert torch.equal(drawing.rgb[kept], image[kept])


def test_what_was_red_in_the_photograph_reads_as_mask():
    image = picture((250, 10, 10), (90, 90, 90))
    drawing = RedMask().encode(image, torch.zeros(1, 2, 2, dtype=torch.bool), QUERIES)
    assert RedMask().decode(drawing.rgb, image[0], QUERIES).tolist() == [[True, False]] * 2


def test_what_was_red_in_the_photograph_is_no_mask_where_a_change_is_asked_for():
    photo = picture((250, 10, 10), (215, 0, 0), (214, 0, 0), (90, 90, 90))
    drawn = picture((250, 10, 10), (255, 0, 0), (255, 0, 0), (255, 0, 0))  # 0, 40, 41 and far from the photograph
    encoding = RedMask(change=40)
    assert encoding.decode(drawn, photo[0], QUERIES).tolist() == [[False, False, True, True]] * 2
    assert torch.equal(encoding.decode_batch(drawn, photo, QUERIES)[0], encoding.decode(drawn, photo[0], QUERIES))
    assert RedMask().decode(drawn, photo[0], QUERIES).all()
    assert not RedMask(change=40).decode(picture((200, 0, 0)), photo[0, :, :, 3:], QUERIES).any(), "it must be red too"


def test_a_named_colour_and_its_numbers_are_the_same():
    assert SolidMask("Purple").colour == SolidMask("128,0,128").colour == (128, 0, 128)
    assert SolidMask("red").colour == RedMask().colour


@pytest.mark.parametrize("gray, inside", [(127, False), (128, True)])
def test_binary_masks_are_split_by_luminance(gray, inside):
    drawn = picture((gray, gray, gray), (0, 0, 255))  # blue is 29.07 bright
    assert BinaryMask().decode(drawn, drawn[0], QUERIES).tolist() == [[inside, False]] * 2


def test_instructcvs_rule_looks_at_the_first_channel_only():
    drawn = picture((11, 0, 0), (10, 255, 255))
    assert BinaryMask(10, "red").decode(drawn, drawn[0], QUERIES).tolist() == [[True, False]] * 2


@pytest.mark.parametrize("encoding", [RedMask(), BinaryMask()])
def test_the_expression_itself_is_the_prompt(encoding):
    sample = Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None, "The  LEFT cup")
    (query,) = encoding.queries(sample, ())
    assert query.prompt == "The  LEFT cup"
    assert query.colour == encoding.queries(sample, ("cup",))[0].colour is not None


def registry():
    filled = Registry()
    encodings.addp_bench_register(filled)
    return filled


def test_encodings_are_found_by_name_and_alias_with_their_options():
    filled = registry()
    assert isinstance(filled.build("encoding", "red"), RedMask)
    assert filled.build("encoding", "red-mask:radius=60").radius == 60
    assert filled.build("encoding", "solid_mask:color=0,0,255").colour == (0, 0, 255)
    assert filled.build("encoding", "binary:threshold=10:reads=red").threshold == 10


@pytest.mark.parametrize(
    "choice",
    [
        "red:change=-1",
        "red:change=nan",
        "red:radius=-1",
        "red:radius=inf",
        "solid_mask:color=crimson",
        "solid_mask:color=1,2,256",
        "binary:reads=blue",
    ],
)
def test_a_colour_or_radius_that_cannot_be_is_refused(choice):
    with pytest.raises(BadOption):
        registry().build("encoding", choice)
