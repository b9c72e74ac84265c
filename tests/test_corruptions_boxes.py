"""Corruptions of boxes, against numbers worked by hand."""

import pytest
import torch

from addp_bench import cache
from addp_bench.plugins.corruptions_boxes import DRAWN, DropBoxes, JitterBoxes
from addp_bench.types import Boxes

BOTH = [JitterBoxes(), DropBoxes()]
SIZE = (100, 200)


def boxes(batch=6, n=5, padding=1, seed=0):
    """`padding` of n boxes of each picture mean nothing, and hold nonsense."""
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, n, 2, generator=g) * torch.tensor([120.0, 60.0])
    xyxy = torch.cat([corner, corner + 5 + 30 * torch.rand(batch, n, 2, generator=g)], dim=2)
    valid = torch.ones(batch, n, dtype=torch.bool)
    if padding:
        valid[:, -padding:] = False
        xyxy[:, -padding:] = torch.nan
    return Boxes(xyxy, torch.arange(n).expand(batch, n), valid, SIZE)


def same(one, other):
    nan = torch.nan_to_num(one.xyxy, -1), torch.nan_to_num(other.xyxy, -1)
    return torch.equal(*nan) and torch.equal(one.labels, other.labels) and torch.equal(one.valid, other.valid)


def uniform(corruption, n, seed=0):
    return torch.rand(n, corruption.draws, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("corruption", BOTH)
def test_strength_0_changes_nothing_padding_stays_and_2_changes_something(corruption):
    given, u = boxes(), uniform(corruption, 6)
    assert same(corruption.corrupt(given, torch.zeros(6), u), given)
    out = corruption.corrupt(given, torch.full((6,), 2.0), u)
    assert not same(out, given)
    assert not out.valid[:, -1].any()
    assert out.xyxy[:, -1].isnan().all()
    assert torch.equal(out.labels, given.labels)
    assert out.size == SIZE


@pytest.mark.parametrize("corruption", BOTH)
def test_it_works_without_waiting_for_the_device_and_on_pictures_without_a_box(corruption):
    out = corruption.corrupt(boxes().to("meta"), torch.ones(6, device="meta"), uniform(corruption, 6).to("meta"))
    assert (out.xyxy.shape, out.valid.dtype) == ((6, 5, 4), torch.bool)
    corruption.corrupt(boxes(), torch.ones(6), torch.ones(6, corruption.draws))
    none = Boxes(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool), SIZE)
    assert corruption.corrupt(none, torch.ones(2), uniform(corruption, 2)).xyxy.shape == (2, 0, 4)


@pytest.mark.parametrize("corruption", BOTH)
def test_a_box_has_its_own_numbers_whatever_padding_stands_beside_it(corruption):
    few, many = boxes(padding=0), boxes(padding=0)
    u = uniform(corruption, 6)
    more = [torch.cat([x, torch.zeros_like(x[:, :2])], dim=1) for x in (many.xyxy, many.labels, many.valid)]
    one, other = (corruption.corrupt(b, torch.full((6,), 2.0), u) for b in (few, Boxes(*more, SIZE)))
    assert torch.equal(one.xyxy, other.xyxy[:, :5])
    assert torch.equal(one.valid, other.valid[:, :5])
    assert (one.xyxy - few.xyxy).unique().numel() > 20 or corruption.draws == DRAWN


def place(right=0.5, down=0.5, wider=0.5, higher=0.5):
    return torch.tensor([[right, down, wider, higher] * DRAWN])


@pytest.mark.parametrize(
    "u, strength, expected",
    [
        (place(), 1.0, [40, 20, 60, 60]),
        (place(right=1.0), 1.0, [41, 20, 61, 60]),  # 0.05 of a width of 20
        (place(down=0.0), 2.0, [40, 16, 60, 56]),  # 2 x 0.05 of a height of 40
        (place(wider=1.0), 1.0, [39.5, 20, 60.5, 60]),  # 20 x 1.05
        (place(higher=0.0), 1.0, [40, 21, 60, 59]),  # 40 x 0.95
    ],
)
def test_shifts_and_sizes_by_hand(u, strength, expected):
    box = Boxes(torch.tensor([[[40.0, 20.0, 60.0, 60.0]]]), torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), SIZE)
    out = JitterBoxes().corrupt(box, torch.tensor([strength]), u)
    assert out.xyxy[0, 0].tolist() == pytest.approx(expected)


def test_a_box_is_cut_off_at_the_border_and_one_that_would_vanish_stays():
    xyxy = torch.tensor([[[190.0, 50.0, 200.0, 100.0], [0.0, 0.0, 200.0, 100.0]]])
    given = Boxes(xyxy, torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), SIZE)
    cut = JitterBoxes().corrupt(given, torch.ones(1), place(right=1.0, down=1.0)).xyxy[0].tolist()
    assert cut == [[190.5, 52.5, 200.0, 100.0], [10.0, 5.0, 200.0, 100.0]]
    gone = JitterBoxes(translation=0.5).corrupt(given, torch.full((1,), 2.0), place(right=1.0))
    assert torch.equal(gone.xyxy, xyxy)


def test_a_share_of_the_boxes_is_left_out_and_one_always_stays():
    given = boxes(4000, 6, 1)
    out = DropBoxes(0.2).corrupt(given, torch.full((4000,), 0.5), uniform(DropBoxes(), 4000))
    assert 1 - out.valid.sum() / (4000 * 5) == pytest.approx(0.1, abs=0.01)
    all_of_them = DropBoxes(0.5).corrupt(given, torch.full((4000,), 2.0), uniform(DropBoxes(), 4000))
    assert torch.equal(all_of_them.valid.sum(dim=1), torch.ones(4000, dtype=torch.int64))
    assert (all_of_them.valid.sum(dim=0)[:5] > 600).all(), "which one stays is drawn"
    single = boxes(50, 2, 1)
    assert same(DropBoxes(0.5).corrupt(single, torch.full((50,), 2.0), uniform(DropBoxes(), 50)), single)


def test_boxes_travel_to_a_device_as_tensors_do():
    moved = cache.to_device(boxes(), torch.device("meta"))
    assert {part.device.type for part in (moved.xyxy, moved.labels, moved.valid)} == {"meta"}
    assert (moved.size, moved.xyxy.shape) == (SIZE, (6, 5, 4))
    assert cache.to_device({"depth": 1}, torch.device("meta")) == {"depth": 1}


@pytest.mark.parametrize("corruption, wrong", [(JitterBoxes, {"scale": 0.5}), (DropBoxes, {"share": 0.6})])
def test_ranges_that_make_no_sense_are_refused(corruption, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        corruption(**wrong)
