"""Depth drawn and read back: worked values, numpy's quantiles, holes, colours, and the road through a run."""

import numpy as np
import pytest
import torch

from addp_bench.errors import BadOption
from addp_bench.plugins import encodings_depth
from addp_bench.plugins.encodings_depth import (
    DepthAffine,
    DepthColormap,
    DepthDisparity,
    DepthGray,
    DepthLog,
    colour_table,
    quantiles,
)
from addp_bench.registry import Registry
from addp_bench.types import Sample, to_batch, to_uint8

ENCODINGS = [DepthAffine(), DepthGray(), DepthLog(), DepthDisparity(), DepthColormap()]


def drawn(encoding, depth):
    """The drawing of one row of depths: (n,) in [-1, 1] of the first channel, and where it is valid."""
    truth = torch.as_tensor(depth, dtype=torch.float32).view(1, 1, -1)
    drawing = encoding.encode(torch.zeros(1, 3, *truth.shape[1:]), truth, encoding.queries(SAMPLE, ()))
    assert drawing.rgb.shape == (1, 3, *truth.shape[1:])
    return drawing.rgb[0, 0, 0].numpy(), drawing.valid[0, 0].numpy()


def read(encoding, rgb):
    """Values read from a drawing (3, H, W) in [-1, 1]."""
    return encoding.decode(rgb[None], torch.zeros_like(rgb), encoding.queries(SAMPLE, ())).values


SAMPLE = Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None)


def test_marigolds_target_has_its_worked_values():
    rgb, valid = drawn(DepthAffine(), np.arange(1.0, 102.0))  # quantiles 3 and 99
    assert rgb[[26, 50, 0, 100, 2, 98]] == pytest.approx([-0.5, 0, -1, 1, -1, 1], abs=1e-6)
    assert valid.all()
    rgb, _ = drawn(DepthAffine(), np.arange(1.0, 101.0))  # quantiles 2.98 and 98.02
    assert rgb[49] == pytest.approx(-0.010522, abs=1e-6)
    assert rgb[0] == -1


def test_quantiles_are_numpys_over_the_known_pixels_of_each_map():
    rng = np.random.default_rng(0)
    values, known = rng.uniform(0.1, 9, (40, 5, 7)).astype(np.float32), rng.random((40, 5, 7)) < 0.5
    known[3], known[4] = False, False
    known[4, 2, 2] = True
    found = quantiles(torch.from_numpy(values), torch.from_numpy(known), (0.02, 0.5, 0.98, 1.0))
    for row in range(40):
        mine = [float(q[row]) for q in found]
        expected = np.quantile(values[row][known[row]], (0.02, 0.5, 0.98, 1.0)) if known[row].any() else np.zeros(4)
        assert mine == pytest.approx(expected.tolist(), rel=1e-6)


def test_what_has_no_depth_is_drawn_far_and_is_not_valid():
    rgb, valid = drawn(DepthAffine(), [0, 1, 2, 3, 0])
    assert rgb[[0, 4]].tolist() == [1, 1]
    assert valid.tolist() == [False, True, True, True, False]
    assert rgb[2] == pytest.approx(0, abs=1e-6), "a hole is not among the depths whose quantiles are taken"
    for encoding, expected in ((DepthLog(), 1), (DepthDisparity(), 1), (DepthGray(), -1)):
        rgb, valid = drawn(encoding, [0, 1, 2, 3, 0])
        assert rgb[[0, 4]].tolist() == [expected, expected]
        assert valid.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("encoding", [DepthAffine(), DepthDisparity(), DepthColormap()])
@pytest.mark.parametrize("depth", [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
def test_a_picture_without_a_range_means_nothing_and_is_drawn_far(encoding, depth):
    rgb, valid = drawn(encoding, depth)
    assert not valid.any()
    assert np.isfinite(rgb).all()
    assert len(set(rgb.tolist())) == 1


@pytest.mark.parametrize("depth, pixel, metres", [
    (3.337, 85, 3.333333), (0.0, 0, 0.0), (10.0, 255, 10.0), (12.0, 255, 10.0), (5.0, 128, 5.019608),
])  # fmt: skip
def test_instructcvs_grey_has_its_steps_of_four_centimetres(depth, pixel, metres):
    encoding = DepthGray()
    rgb = torch.full((1, 3, 1, 1), float(drawn(encoding, [depth])[0][0]))
    stored = to_uint8(rgb)
    assert stored.ravel().tolist() == [pixel] * 3
    assert read(encoding, to_batch(stored)[0]).item() == pytest.approx(metres, abs=1e-5)


def test_instructcv_reads_the_first_channel_and_marigold_the_mean_of_three():
    colours = torch.tensor([0.2, -0.6, 1.7]).view(3, 1, 1)
    assert read(DepthGray(), colours).item() == pytest.approx(6.0)
    assert read(DepthGray(reads="mean"), colours).item() == pytest.approx(6.0)  # (0.2 - 0.6 + 1) / 3 = 0.2
    assert read(DepthGray(), colours.flip(0)).item() == 10
    assert read(DepthAffine(), torch.tensor([0.2, -1.0, -1.0]).view(3, 1, 1)).item() == pytest.approx(0.2)


def test_near_is_dark_and_far_is_bright_in_every_grey():
    depth = [0.7, 1.0, 2.0, 4.0, 8.0]
    for encoding in (DepthAffine(), DepthGray(), DepthLog(), DepthDisparity()):
        assert (np.diff(drawn(encoding, depth)[0]) > 0).all()


def test_one_grey_of_the_logarithm_is_one_share_of_the_depth():
    rgb, _ = drawn(DepthLog(near=1.0, far=100.0), [1, 10, 100, 0.5, 400])
    assert rgb == pytest.approx([-1, 0, 1, -1, 1], abs=1e-6)
    assert read(DepthLog(near=1.0, far=100.0), torch.zeros(3, 1, 1)).item() == pytest.approx(10)


def test_disparity_reads_back_up_to_scale_and_shift_with_near_the_larger():
    depth = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0)) * 5 + 1
    encoding = DepthDisparity(0.0, 1.0)
    rgb = encoding.encode(torch.zeros(1, 3, 20, 20), depth, ()).rgb
    found = encoding.decode(rgb, torch.zeros(3, 20, 20), ())
    assert found.space == "disparity"
    scale, shift = np.polyfit(found.values.ravel(), 1 / depth.numpy().ravel(), 1)
    assert scale > 0
    assert scale * found.values + shift == pytest.approx(1 / depth[0].numpy(), abs=1e-5)


def test_spaces_are_those_of_the_predictions():
    rgb = torch.zeros(3, 2, 2)
    for encoding in ENCODINGS:
        found = encoding.decode(rgb[None], rgb, ())
        assert (found.space, found.values.dtype, found.values.shape) == (type(encoding).space, np.float32, (2, 2))


def test_every_colour_of_the_map_reads_as_its_own_place_and_a_wrong_one_as_the_nearest():
    encoding, table = DepthColormap(), colour_table("turbo")
    assert len({tuple(colour) for colour in table.tolist()}) == 256
    row = to_batch(table[None, None].reshape(1, 1, 256, 3))[0]
    assert read(encoding, row)[0] == pytest.approx(np.arange(256) / 255, abs=1e-6)
    rng = np.random.default_rng(0)
    wild = rng.integers(0, 256, (1, 40, 50, 3)).astype(np.uint8)
    nearest = ((wild.reshape(-1, 1, 3).astype(int) - table) ** 2).sum(-1).argmin(1)
    assert read(encoding, to_batch(wild)[0]).ravel() == pytest.approx(nearest / 255, abs=1e-6)


def test_turbo_keeps_colours_further_apart_than_spectral():
    def nearest_beyond(name, entries):
        table = colour_table(name).astype(int)
        distance = np.sqrt(((table[:, None] - table) ** 2).sum(-1))
        return distance[np.abs(np.subtract.outer(np.arange(256), np.arange(256))) > entries].min()

    assert nearest_beyond("turbo", 8) == 21
    assert nearest_beyond("Spectral", 8) < 6


def test_large_pictures_are_looked_up_in_parts(monkeypatch):
    encoding = DepthColormap()
    picture = torch.rand(3, 30, 41, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = read(encoding, picture)
    monkeypatch.setattr(encodings_depth, "CHUNK", 100)
    assert np.array_equal(read(encoding, picture), whole)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_sample_is_drawn_alike_alone_and_in_a_batch(encoding):
    depth = torch.rand(4, 9, 11, generator=torch.Generator().manual_seed(1)) * 6 + 0.6
    depth[1, :4], depth[2] = 0.0, 0.0
    image = torch.zeros(4, 3, 9, 11)
    together = encoding.encode(image, depth, encoding.queries(SAMPLE, ()) * 4)
    for row in range(4):
        alone = encoding.encode(image[:1], depth[row : row + 1], encoding.queries(SAMPLE, ()))
        assert torch.equal(alone.rgb[0], together.rgb[row])
        assert torch.equal(alone.valid[0], together.valid[row])


def test_the_prompt_is_instructcvs_sentence_or_ones_own():
    assert DepthGray().queries(SAMPLE, ())[0].prompt == "estimate the depth of this image"
    assert DepthAffine(prompt="").queries(SAMPLE, ())[0].prompt == ""


@pytest.mark.parametrize("choice", [
    "depth_affine:low=0.5:high=0.5", "depth_affine:high=1.1", "depth_gray:range=0", "depth_gray:range=inf",
    "depth_gray:reads=blue", "depth_log:near=0", "depth_log:near=9:far=2", "depth_colormap:map=rainbows",
])  # fmt: skip
def test_options_that_cannot_be_are_refused(choice):
    registry = Registry()
    encodings_depth.addp_bench_register(registry)
    with pytest.raises(BadOption):
        registry.build("encoding", choice)
