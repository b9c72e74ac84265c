"""Corruptions of class maps, against those of masks and maps worked by hand."""

import pytest
import torch
from scipy import ndimage

from addp_bench.plugins.corruptions import Location, Shape
from addp_bench.plugins.corruptions_labels import Relabel, ShiftLabels

IGNORE = 255
BOTH = [ShiftLabels(), Relabel()]


def maps(n=12, side=48, seed=0):
    """Class maps (n, side, side) of 5 classes in patches, with an unlabelled strip."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 5, (n, side // 8, side // 8), generator=g)
    labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, 10:13, 5:40] = IGNORE
    return labels


def uniform(n, draws, seed=0):
    return torch.rand(n, draws, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("corruption", BOTH)
def test_strength_0_changes_nothing_and_2_something(corruption):
    labels, u = maps(), uniform(12, 4)
    assert torch.equal(corruption.corrupt(labels, torch.zeros(12), u), labels)
    changed = corruption.corrupt(labels, torch.full((12,), 2.0), u) != labels
    assert changed.flatten(1).any(dim=1).all()


@pytest.mark.parametrize("corruption", BOTH)
def test_unlabelled_pixels_stay_where_they_are_and_no_label_is_invented(corruption):
    labels = maps()
    out = corruption.corrupt(labels, torch.ones(12), uniform(12, 4))
    assert torch.equal(out == IGNORE, labels == IGNORE)
    for before, after in zip(labels, out):
        assert set(after.unique().tolist()) <= set(before.unique().tolist())
    assert out.dtype == torch.int64


@pytest.mark.parametrize("corruption", BOTH)
def test_it_works_without_waiting_for_the_device_and_at_the_end_of_u(corruption):
    out = corruption.corrupt(maps().to("meta"), torch.ones(12, device="meta"), uniform(12, 4).to("meta"))
    assert (out.shape, out.dtype) == ((12, 48, 48), torch.int64)
    corruption.corrupt(maps(), torch.ones(12), torch.ones(12, 4))


@pytest.mark.parametrize("corruption", BOTH)
def test_a_map_without_a_label_stays_as_it_is(corruption):
    nothing = torch.full((2, 16, 16), IGNORE)
    assert torch.equal(corruption.corrupt(nothing, torch.ones(2), uniform(2, 4)), nothing)


def test_a_class_moves_as_its_mask_would():
    mask = torch.zeros(8, 64, 64, dtype=torch.bool)
    mask[:, 20:40, 24:44] = True
    u = uniform(8, 4)
    moved = ShiftLabels().corrupt(mask.long() * 3, torch.ones(8), u)
    assert torch.equal(moved == 3, Location().corrupt(mask, torch.ones(8), u.repeat(1, 5)))


def test_what_comes_in_from_outside_is_the_nearest_border_pixel():
    """A shift of 0.05 of 40, two pixels to the right and none down: scipy's padding mode "nearest"."""
    labels = maps(1, 40)
    labels[labels == IGNORE] = 1
    right = ShiftLabels().corrupt(labels, torch.ones(1), torch.tensor([[0.5, 1.0, 0.5, 0.5]]))
    expected = ndimage.shift(labels[0].numpy(), (0, 2), order=0, mode="nearest")
    assert torch.equal(right[0], torch.from_numpy(expected))
    assert not torch.equal(right, labels)


def test_an_unlabelled_pixel_neither_moves_nor_is_covered():
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[:, :, 10:13] = torch.tensor([IGNORE, 5, 7])
    right = ShiftLabels().corrupt(labels, torch.ones(1), torch.tensor([[0.5, 1.0, 0.5, 0.5]]))  # by 2
    assert right[0, 0, 8:15].tolist() == [0, 0, IGNORE, 0, 7, 5, 7]  # column 12 would be unlabelled, and keeps its 7


def test_the_rectangle_is_that_of_shape_and_takes_a_class_from_elsewhere():
    """A map of class 4 with one pixel of class 2: the rectangle is drawn round a pixel of 4 and becomes 2."""
    labels = torch.full((30, 64, 64), 4)
    labels[:, 0, 0] = 2
    u = uniform(30, 4)
    out = Relabel().corrupt(labels, torch.ones(30), u)
    erased = ~Shape().corrupt(torch.ones(30, 64, 64, dtype=torch.bool), torch.ones(30), u[:, :3])
    erased[:, 0, 0] = True
    assert torch.equal(out == 2, erased)


def test_the_new_class_is_drawn_by_area_among_the_others():
    labels = torch.zeros(2000, 20, 20, dtype=torch.int64)
    labels[:, 0, :12], labels[:, 1, :4] = 1, 2
    u = uniform(2000, 4)
    u[:, 2] = 0.999  # the last pixel, of class 0, is the centre
    after = Relabel().corrupt(labels, torch.ones(2000), u)[:, 19, 19]
    assert set(after.tolist()) == {1, 2}
    assert (after == 1).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_a_map_of_one_class_has_no_other_to_take():
    one = torch.full((4, 32, 32), 3)
    one[:, :5] = IGNORE
    assert torch.equal(Relabel().corrupt(one, torch.ones(4), uniform(4, 4)), one)


@pytest.mark.parametrize("corruption, wrong", [(ShiftLabels, {"rotation": 91}), (Relabel, {"smallest": 0.4})])
def test_ranges_that_make_no_sense_are_refused(corruption, wrong):
    with pytest.raises(ValueError, match=r"needs|takes"):
        corruption(**wrong)


def test_the_rectangle_is_centred_on_a_pixel_that_has_a_label():
    labels = torch.full((40, 32, 32), IGNORE)
    labels[:, 12:15, 12:20] = torch.tensor([1, 2]).repeat(4)
    made = Relabel(smallest=0.01, largest=0.01)
    out = made.corrupt(labels, torch.ones(40), uniform(40, 4))
    assert (out != labels).flatten(1).any(dim=1).all()
