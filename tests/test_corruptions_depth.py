"""The blur of drawn depth, against torchvision, brute force and the worked kernels."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from addp_bench.errors import BadOption
from addp_bench.plugins.corruptions_depth import Blur, gaussian
from addp_bench.types import Drawing


def pictures(n=3, height=40, width=56, seed=0):
    one = torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return one.expand(n, 3, height, width).contiguous()


@pytest.mark.parametrize(
    "sigma, centre, edge", [(10, 0.045385, 0.014734), (5, 0.079940, 0.000888), (2.5, 0.159577, 0), (1, 0.398942, 0)]
)
def test_kernels_have_their_worked_weights(sigma, centre, edge):
    (kernel,) = gaussian(torch.tensor([float(sigma)]), 31)
    assert (kernel[15].item(), kernel[0].item(), kernel[30].item()) == pytest.approx((centre, edge, edge), abs=1e-6)
    assert kernel.sum().item() == pytest.approx(1.0)


def test_each_picture_is_blurred_as_torchvision_blurs_it_with_a_sigma_of_its_own():
    rgb, strength, u = pictures(), torch.tensor([0.3, 1.0, 2.0]), torch.tensor([[0.1], [0.5], [0.9]])
    made = Blur().corrupt(Drawing(rgb), strength, u)
    for picture, out, sigma in zip(rgb, made.rgb, (0.3 * 10 * 0.9, 10 * 0.5, 2 * 10 * 0.1)):
        torch.testing.assert_close(out, tv.gaussian_blur(picture, [31, 31], [sigma, sigma]), atol=2e-5, rtol=0)
    assert (made.valid, made.painted) == (None, None)


def test_the_maximum_itself_can_be_asked_for_and_other_pixels():
    rgb, u = pictures(), torch.rand(3, 1)
    made = Blur(kernel=7, sigma=2.0, draw="maximum").corrupt(Drawing(rgb), torch.full((3,), 0.5), u).rgb
    torch.testing.assert_close(made, tv.gaussian_blur(rgb, [7, 7], [1.0, 1.0]), atol=2e-5, rtol=0)


@pytest.mark.parametrize("strength, u", [(0.0, 0.0), (0.00009, 0.0), (1.0, 1.0)])
def test_a_sigma_that_is_nearly_0_changes_no_bit(strength, u):
    rgb = pictures()
    assert torch.equal(Blur().corrupt(Drawing(rgb), torch.full((3,), strength), torch.full((3, 1), u)).rgb, rgb)


def test_strength_0_changes_no_bit_where_convolutions_round():
    rgb = pictures()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Blur().corrupt(Drawing(rgb), torch.zeros(3), torch.zeros(3, 1)).rgb, rgb)


def test_the_drawn_sigma_lies_above_0_and_reaches_its_maximum():
    """u = 0 is drawn, u = 1 is not: the largest blur can occur, and none cannot."""
    rgb = pictures(1)
    strongest = Blur().corrupt(Drawing(rgb), torch.ones(1), torch.zeros(1, 1)).rgb
    assert torch.equal(strongest, Blur(draw="maximum").corrupt(Drawing(rgb), torch.ones(1), torch.zeros(1, 1)).rgb)
    weakest = Blur().corrupt(Drawing(rgb), torch.ones(1), torch.full((1, 1), 0.97)).rgb
    assert 0 < (weakest - rgb).abs().max() < (strongest - rgb).abs().max()


def test_pixels_without_a_depth_never_spread_and_keep_what_is_drawn_there():
    """Against sums over valid pixels, written out."""
    rgb, sigma = pictures(1, 20, 24), 2.0
    valid = torch.rand(1, 20, 24, generator=torch.Generator().manual_seed(1)) > 0.3
    rgb[:, :, ~valid[0]] = 1000.0  # would be seen if it spread
    made = Blur(kernel=9, sigma=sigma, draw="maximum").corrupt(Drawing(rgb, valid), torch.ones(1), torch.zeros(1, 1))
    assert torch.equal(made.rgb[:, :, ~valid[0]], rgb[:, :, ~valid[0]])
    assert made.valid is valid
    depth, seen = (np.pad(x, 4, mode="reflect") for x in (rgb[0, 0].numpy(), valid[0].numpy().astype(float)))
    offset = np.arange(-4, 5)
    weight = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * sigma**2))
    for row, column in [(0, 0), (3, 7), (10, 12), (19, 23), (5, 23)]:
        if valid[0, row, column]:
            near = np.s_[row : row + 9, column : column + 9]
            share = weight * seen[near]
            expected = (share * depth[near]).sum() / share.sum()
            assert made.rgb[0, :, row, column].tolist() == pytest.approx([expected] * 3, abs=1e-4)
    assert valid[0, [0, 3, 10, 19, 5], [0, 7, 12, 23, 23]].sum() >= 3


def test_it_works_without_waiting_for_the_device():
    rgb, valid = pictures().to("meta"), torch.ones(3, 40, 56, dtype=torch.bool, device="meta")
    out = Blur().corrupt(Drawing(rgb, valid), torch.ones(3, device="meta"), torch.rand(3, 1, device="meta"))
    assert out.rgb.shape == rgb.shape


def test_a_drawing_smaller_than_half_the_kernel_is_refused_with_the_way_on():
    with pytest.raises(BadOption, match=r"at least 16 pixels a side, these are 15 x 40; say a smaller blur:kernel"):
        Blur().corrupt(Drawing(pictures(1, 15, 40)), torch.ones(1), torch.zeros(1, 1))
    Blur().corrupt(Drawing(pictures(1, 16, 40)), torch.ones(1), torch.zeros(1, 1))


@pytest.mark.parametrize("wrong", [{"kernel": 30}, {"kernel": 0}, {"sigma": -1.0}, {"sigma": float("inf")}])
def test_blur_refuses_a_kernel_without_a_middle_and_a_sigma_below_0(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Blur(**wrong)
