"""Corruptions, against torchvision, brute force and numbers worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from addp_bench.plugins.corruptions import TRIES, Color, Location, Shape, jitter, middle, moved
from addp_bench.types import Drawing

ALL = [Location(), Shape(), Color()]
MIDDLE = 0.5  # the u at which every symmetric range is at its centre


def blobs(n=16, side=64, seed=0):
    """Masks (n, side, side) bool of one ellipse each, all inside."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    c, r = g.uniform(0.35, 0.65, (n, 2, 1, 1)) * side, g.uniform(0.1, 0.25, (n, 2, 1, 1)) * side
    return torch.from_numpy(((y - c[:, 0]) / r[:, 0]) ** 2 + ((x - c[:, 1]) / r[:, 1]) ** 2 < 1)


def uniform(n, draws, seed=0):
    return torch.rand(n, draws, generator=torch.Generator().manual_seed(seed))


def place(turn=MIDDLE, right=MIDDLE, down=MIDDLE, size=MIDDLE):
    """u of one sample whose every try is the same."""
    return torch.tensor([[turn, right, down, size] * TRIES])


def painting(mask, rgb=(1.0, -1.0, -1.0), seed=0):
    photo = torch.rand(len(mask), 3, *mask.shape[1:], generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Drawing(torch.where(mask[:, None], torch.tensor(rgb).view(3, 1, 1), photo), painted=mask)


# ---------------------------------------------------------------------------------------------- promises of all


@pytest.mark.parametrize("corruption", ALL)
def test_strength_0_returns_the_target_bit_for_bit(corruption):
    mask = blobs()
    target = mask if corruption.acts_on == "truth" else painting(mask)
    out = corruption.corrupt(target, torch.zeros(16), uniform(16, corruption.draws))
    if corruption.acts_on == "truth":
        assert torch.equal(out, mask)
    else:
        assert torch.equal(out.rgb, target.rgb)


@pytest.mark.parametrize("corruption", ALL)
def test_each_sample_is_damaged_by_its_own_numbers_alone(corruption):
    mask, strength, u = blobs(), torch.linspace(0, 2, 16), uniform(16, corruption.draws)
    target = mask if corruption.acts_on == "truth" else painting(mask)
    whole = corruption.corrupt(target, strength, u)
    one = mask[5:6] if corruption.acts_on == "truth" else Drawing(target.rgb[5:6], painted=mask[5:6])
    alone = corruption.corrupt(one, strength[5:6], u[5:6])
    if corruption.acts_on == "truth":
        assert torch.equal(alone, whole[5:6])
        assert not torch.equal(whole, mask)
    else:
        torch.testing.assert_close(alone.rgb, whole.rgb[5:6], rtol=0, atol=1e-6)
        assert not torch.equal(whole.rgb, target.rgb)


@pytest.mark.parametrize("corruption", [Location(), Shape()])
def test_an_empty_mask_stays_empty(corruption):
    nothing = torch.zeros(2, 32, 32, dtype=torch.bool)
    assert torch.equal(corruption.corrupt(nothing, torch.ones(2), uniform(2, corruption.draws)), nothing)


@pytest.mark.parametrize("corruption", [*ALL, Location(about="mask"), Shape(of="mask"), Color(order="random")])
def test_damage_is_done_without_waiting_for_the_device(corruption):
    mask = blobs().to("meta")
    target = mask if corruption.acts_on == "truth" else Drawing(torch.rand(16, 3, 64, 64, device="meta"), painted=mask)
    strength, u = torch.ones(16, device="meta"), uniform(16, corruption.draws).to("meta")
    out = corruption.corrupt(target, strength, u)
    shape, dtype = (out.shape, out.dtype) if corruption.acts_on == "truth" else (out.rgb.shape, out.rgb.dtype)
    assert (shape, dtype) == (
        (mask.shape, torch.bool) if corruption.acts_on == "truth" else ((16, 3, 64, 64), torch.float32)
    )


@pytest.mark.parametrize("corruption", ALL)
def test_a_u_that_was_rounded_up_to_1_is_harmless(corruption):
    mask = blobs(2)
    target = mask if corruption.acts_on == "truth" else painting(mask)
    corruption.corrupt(target, torch.ones(2), torch.ones(2, corruption.draws))


# ---------------------------------------------------------------------------------------------- location


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_the_affine_map_is_torchvisions(size):
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[:, 8:25, 12:33] = True
    for angle, right, down, scale in [
        (10, 0, 0, 1.0),
        (0, 3, -2, 1.0),
        (0, 0, 0, 1.05),
        (-7, 2, 1, 0.95),
        (33, -4, 6, 1.2),
    ]:
        shift = (torch.tensor([float(down)]), torch.tensor([float(right)]))
        centre = (torch.tensor([(size[0] - 1) / 2]), torch.tensor([(size[1] - 1) / 2]))
        found, inside = moved(mask, torch.tensor([math.radians(angle)]), shift, torch.tensor([scale]), centre)
        ours = found & inside
        theirs = tv.affine(
            mask.float(), angle, [right, down], scale, [0.0, 0.0], interpolation=v2.InterpolationMode.NEAREST
        )
        assert (ours != (theirs > 0.5)).sum() <= 2, (angle, right, down, scale)  # where a source lies on an edge
        assert ours.sum() > 200


def test_shifts_go_right_and_down_by_their_share_of_the_side():
    mask = torch.zeros(1, 40, 80, dtype=torch.bool)
    mask[:, 10:20, 20:40] = True
    right = Location().corrupt(mask, torch.ones(1), place(right=1.0))  # + 0.05 of 80
    assert torch.equal(right, mask.roll(4, 2))
    down = Location().corrupt(mask, torch.ones(1), place(down=1.0))  # + 0.05 of 40
    assert torch.equal(down, mask.roll(2, 1))
    assert torch.equal(Location().corrupt(mask, torch.ones(1), place()), mask)


@pytest.mark.parametrize("strength", [0.25, 1.0, 2.0])
def test_location_stays_within_its_ranges_and_uses_them(strength):
    square = torch.zeros(400, 128, 128, dtype=torch.bool)
    square[:, 34:94, 44:84] = True  # centred on the picture, so turning does not move its centroid
    out = Location().corrupt(square, torch.full((400,), strength), uniform(400, 20)).numpy()
    centre = np.array([ndimage.center_of_mass(m) for m in out]) - 63.5
    moved = np.abs(centre).max(axis=0) / 128
    assert (moved <= 0.05 * strength + 0.005).all()
    assert (moved >= 0.045 * strength - 0.005).all()
    change = np.sqrt(out.sum(axis=(1, 2)) / 2400) - 1
    assert np.abs(change).max() <= 0.05 * strength + 0.01
    assert (change.max(), change.min()) == pytest.approx((0.05 * strength, -0.05 * strength), abs=0.012)
    angles = [
        0.5 * math.degrees(math.atan2(2 * c[0, 1], c[0, 0] - c[1, 1])) for c in (np.cov(*np.nonzero(m)) for m in out)
    ]
    assert np.abs(angles).max() == pytest.approx(10 * strength, rel=0.1, abs=0.4)


def test_turning_about_the_mask_keeps_its_centroid_and_about_the_picture_does_not():
    mask = torch.zeros(1, 128, 128, dtype=torch.bool)
    mask[:, 10:40, 90:110] = True
    at = np.array(ndimage.center_of_mass(mask[0].numpy()))
    about_mask = Location(about="mask").corrupt(mask, torch.ones(1), place(turn=1.0))
    assert ndimage.center_of_mass(about_mask[0].numpy()) == pytest.approx(at, abs=0.3)
    about_image = Location().corrupt(mask, torch.ones(1), place(turn=1.0))
    assert np.linalg.norm(np.array(ndimage.center_of_mass(about_image[0].numpy())) - at) > 5


def test_a_mask_that_is_pushed_out_is_drawn_again_and_after_five_tries_left_alone():
    corner = torch.zeros(1, 64, 64, dtype=torch.bool)
    corner[:, 0, 0] = True
    out_of_sight, back = [MIDDLE, 0.0, 0.0, MIDDLE], [MIDDLE, 1.0, MIDDLE, MIDDLE]
    one = torch.ones(1)
    assert torch.equal(Location().corrupt(corner, one, torch.tensor([out_of_sight * TRIES])), corner)
    for misses in range(1, TRIES):
        u = torch.tensor([out_of_sight * misses + back + out_of_sight * (TRIES - misses - 1)])
        assert Location().corrupt(corner, one, u)[0].nonzero().tolist() == [[0, 3]]  # 0.05 of 64, rounded


@pytest.mark.parametrize("wrong", [{"rotation": -1}, {"translation": 0.6}, {"scale": 0.5}])
def test_location_refuses_ranges_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="an affine map takes"):
        Location(**wrong)


# ---------------------------------------------------------------------------------------------- shape


def everything(n, side=200):
    return torch.ones(n, side, side, dtype=torch.bool)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_the_erased_area_is_uniform_between_its_ends_times_strength(strength):
    inside = torch.zeros(200, 200, 200, dtype=torch.bool)
    inside[:, 90:110, 90:110] = True  # centres far from the border, so that no rectangle is cut off
    u = uniform(200, 3)
    rows, columns = spans(inside, torch.full((200,), strength), u)
    share = rows * columns / 40_000
    expected = strength * (0.01 + 0.04 * u[:, 0])
    assert (share - expected).abs().max() < 0.012
    assert (share - expected).abs().mean() < 0.002


def spans(inside, strength, u):
    """Height and width of the erased rectangles, centred inside `inside` but erased from a full picture."""
    _, height, width = inside.shape
    at = torch.stack([m.nonzero()[int(x * m.sum())] for m, x in zip(inside, u[:, 2])])
    full = torch.ones_like(inside)
    where = (at[:, 0] * width + at[:, 1] + 0.5) / (height * width)
    gone = ~Shape().corrupt(full, strength, torch.stack([u[:, 0], u[:, 1], where], dim=1).double())
    for erased, (row, column) in zip(gone, at):
        assert erased[row, column]
    return gone.any(dim=2).sum(dim=1), gone.any(dim=1).sum(dim=1)


def test_the_aspect_is_uniform_in_its_logarithm_from_0_3_to_3_3():
    inside = torch.zeros(200, 200, 200, dtype=torch.bool)
    inside[:, 90:110, 90:110] = True
    u = uniform(200, 3)
    rows, columns = spans(inside, torch.ones(200), u)
    expected = 0.3 * (3.3 / 0.3) ** u[:, 1]
    assert (torch.log(rows / columns) - torch.log(expected)).abs().max() < 0.15
    assert torch.log(rows / columns).min() < math.log(0.33)
    assert torch.log(rows / columns).max() > math.log(3.0)


def test_the_rectangle_is_whole_and_one_piece_and_nothing_else_changes():
    out = Shape().corrupt(everything(50), torch.ones(50), uniform(50, 3))
    for erased in ~out:
        rows, columns = erased.any(dim=1), erased.any(dim=0)
        assert torch.equal(erased, rows[:, None] & columns[None, :])
        assert ndimage.label(erased.numpy())[1] == 1
    mask = blobs()
    assert not (Shape().corrupt(mask, torch.ones(16), uniform(16, 3)) & ~mask).any()


def test_a_rectangle_of_three_by_two_by_hand():
    # 6 pixels of 100, twice as high as wide after rounding to whole pixels: 3.46 x 1.73 about row 5, column 5
    made = Shape(smallest=0.06, largest=0.06, narrowest=2.0, tallest=2.0)
    mask = torch.zeros(1, 10, 10, dtype=torch.bool)
    mask[:, 2:9, 2:9] = True
    u = torch.tensor([[MIDDLE, MIDDLE, (3 * 7 + 3 + 0.5) / 49]])
    out = made.corrupt(mask, torch.ones(1), u)
    assert (mask & ~out)[0].nonzero().tolist() == [[4, 5], [5, 5], [6, 5]]


def test_the_erased_area_is_a_share_of_pictures_that_are_not_square():
    mask = torch.ones(1, 40, 160, dtype=torch.bool)
    made = Shape(smallest=0.05, largest=0.05, narrowest=1.0, tallest=1.0)
    u = torch.tensor([[MIDDLE, MIDDLE, (20 * 160 + 80 + 0.5) / 6400]])
    assert int((mask & ~made.corrupt(mask, torch.ones(1), u)).sum()) == pytest.approx(0.05 * 6400, rel=0.1)


def test_the_middle_of_a_picture_is_between_its_pixels():
    rows, columns = middle(torch.zeros(2, 5, 8))
    assert (rows.tolist(), columns.tolist()) == ([2.0, 2.0], [3.5, 3.5])


@pytest.mark.parametrize("made", [Location(scaled=False), Shape(scaled=False)])
def test_what_is_not_scaled_has_its_full_size_wherever_there_is_any_strength(made):
    """The other reading of ADDP, which writes t / T for colour alone."""
    masks = torch.zeros(6, 40, 40, dtype=torch.bool)
    masks[:, 10:30, 8:32] = True
    u = uniform(6, made.draws)
    full = dataclasses.replace(made, scaled=True).corrupt(masks, torch.ones(6), u)
    assert torch.equal(made.corrupt(masks, torch.full((6,), 0.01), u), full)
    assert torch.equal(made.corrupt(masks, torch.zeros(6), u), masks)
    assert not torch.equal(full, masks)


def test_a_share_of_the_mask_is_taken_of_the_mask():
    square = torch.zeros(200, 200, 200, dtype=torch.bool)
    square[:, 50:150, 50:150] = True
    erased = 10_000 - Shape(of="mask", narrowest=1, tallest=1).corrupt(square, torch.ones(200), uniform(200, 3)).sum(
        (1, 2)
    )
    assert erased.max() <= 0.055 * 10_000
    assert erased.float().mean() < 0.03 * 10_000 + 50
    assert erased.min() > 0


def test_every_pixel_of_the_mask_is_equally_likely_to_be_the_centre():
    disc = blobs(1, 32)[0]
    ring = disc & ~torch.from_numpy(ndimage.binary_erosion(disc.numpy(), iterations=2))
    n = int(ring.sum())
    tiny = Shape(smallest=0.5 / 32**2, largest=0.5 / 32**2)  # erases the centre alone, whatever the aspect
    draws = 60 * n
    out = tiny.corrupt(ring.expand(draws, 32, 32), torch.ones(draws), uniform(draws, 3))
    gone = (ring & ~out).sum(dim=0)
    assert int(gone.sum()) == draws
    assert stats.chisquare(gone[ring].numpy()).pvalue > 0.01
    at = torch.tensor([0.0, 0.5 / n, 1.0 - 0.5 / n])
    ends = tiny.corrupt(ring.expand(3, 32, 32), torch.ones(3), torch.stack([at * 0, at * 0 + MIDDLE, at], dim=1))
    first, last = ring.nonzero()[0].tolist(), ring.nonzero()[-1].tolist()
    assert [(ring & ~e).nonzero()[0].tolist() for e in ends] == [first, first, last]


@pytest.mark.parametrize("wrong", [{"smallest": 0.1}, {"largest": 0.9}, {"narrowest": 0.0}, {"narrowest": 4.0}])
def test_shape_refuses_ranges_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="a rectangle needs"):
        Shape(**wrong)


# ---------------------------------------------------------------------------------------------- colour


def factors_to_u(brightness, contrast, saturation, strength=1.0):
    """u that gives these factors."""
    return torch.tensor([[0.5 + (f - 1) / (0.4 * strength) for f in (brightness, contrast, saturation)] + [0.0]])


@pytest.mark.parametrize(
    "factors, expected",
    [
        ((0.8, 1, 1), (204.0, 0.0, 0.0)),
        ((1, 0.8, 1), (219.24, 15.24, 15.24)),
        ((1, 1, 0.8), (219.24, 15.24, 15.24)),
        ((1.2, 1, 1), (255.0, 0.0, 0.0)),
        ((1, 1.2, 1), (255.0, 0.0, 0.0)),
        ((1, 1, 1.2), (255.0, 0.0, 0.0)),
    ],
)
def test_pure_red_has_its_worked_colours(factors, expected):
    mask = blobs(1)
    out = Color().corrupt(painting(mask), torch.ones(1), factors_to_u(*factors))
    seen = (out.rgb[0].permute(1, 2, 0)[mask[0]] + 1) * 127.5
    torch.testing.assert_close(seen, torch.tensor(expected).expand_as(seen), rtol=0, atol=0.005)


def test_the_photograph_keeps_its_colours():
    mask = blobs()
    target = painting(mask)
    out = Color().corrupt(target, torch.ones(16), uniform(16, 4))
    assert torch.equal(out.rgb[~mask[:, None].expand_as(out.rgb)], target.rgb[~mask[:, None].expand_as(out.rgb)])
    assert not torch.equal(out.rgb, target.rgb)
    assert out.painted is target.painted


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_jitter_is_torchvisions_in_any_order_on_a_whole_picture(order):
    rgb = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    factors = torch.rand(3, 3, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.6
    ours = jitter(rgb, torch.ones(3, 20, 20, dtype=torch.bool), factors[:, :, None, None, None], order)
    theirs = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation]
    for picture, factor, made in zip(rgb, factors, ours):
        for operation in order:
            picture = theirs[operation](picture, factor[operation].item())
        torch.testing.assert_close(made, picture, rtol=0, atol=2e-6)


def test_the_order_is_brightness_contrast_saturation_unless_random_is_asked():
    target, u = painting(blobs(60), (0.9, -0.3, 0.2)), uniform(60, 4)
    fixed = Color().corrupt(target, torch.ones(60), u).rgb
    assert torch.equal(
        Color().corrupt(target, torch.ones(60), u.clone().index_fill_(1, torch.tensor([3]), 0.9)).rgb, fixed
    )
    drawn = Color(order="random").corrupt(target, torch.ones(60), u).rgb
    first = u[:, 3] < 1 / 6
    assert torch.equal(drawn[first], fixed[first])
    assert 0 < (drawn - fixed).abs().max() < 0.2
    reverse = u.clone()
    reverse[:, 3] = 0.99
    flipped = Color(order="random").corrupt(target, torch.ones(60), reverse).rgb
    mask, factors = target.painted, 1 + 0.2 * (2 * u[:, :3] - 1)
    by_hand = jitter(0.5 * target.rgb + 0.5, mask, factors[:, :, None, None, None], (2, 1, 0)) * 2 - 1
    torch.testing.assert_close(flipped, torch.where(mask[:, None], by_hand, target.rgb))


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_factors_span_their_range_times_strength(strength):
    gray = painting(blobs(2), (0.0, 0.0, 0.0))  # only brightness changes a gray in the middle
    for u, factor in ((0.0, 1 - 0.2 * strength), (1.0, 1 + 0.2 * strength)):
        numbers = torch.tensor([[u, MIDDLE, MIDDLE, 0.0]] * 2)
        out = Color().corrupt(gray, torch.full((2,), strength), numbers).rgb.permute(0, 2, 3, 1)[gray.painted]
        torch.testing.assert_close(out, torch.full_like(out, factor - 1.0))


def test_a_drawing_without_a_mask_is_painted_everywhere():
    flat = Drawing(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4))
    out = Color().corrupt(flat, torch.ones(1), factors_to_u(0.8, 1, 1))
    torch.testing.assert_close((out.rgb[0, :, 2, 2] + 1) * 127.5, torch.tensor([204.0, 0.0, 0.0]))
    assert out.painted is None


@pytest.mark.parametrize("option", ["brightness", "contrast", "saturation"])
def test_color_refuses_factors_that_could_turn_negative(option):
    with pytest.raises(ValueError, match=option):
        Color(**{option: 0.6})
