"""Transforms: photograph and truth change alike, on the way of a run too, and only where the task allows it."""

from __future__ import annotations

import json

import bench
import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as torchvision  # compared with 0.29

from addp_bench.loading import load
from addp_bench.plugins.transforms import Crop, Flip, Photometric
from addp_bench.resolve import resolve
from addp_bench.tasks.ris import Ris
from addp_bench.types import UNLABELLED, Boxes

U = torch.tensor([[0.1, 0.2, 0.7], [0.9, 0.5, 0.5], [0.4, 0.0, 1.0 - 1e-7]])


def pictures(n: int = 3, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    photos = torch.from_numpy(rng.uniform(-1, 1, (n, 3, side, side))).float()
    return photos, torch.from_numpy(rng.integers(0, 5, (n, side, side)))


def test_a_flip_mirrors_photograph_and_truth_of_the_share_that_is_drawn():
    photos, labels = pictures()
    flipped, moved = Flip(share=0.5).apply(photos, labels, U[:, :1])
    assert torch.equal(flipped[0], photos[0].flip(-1)), "0.1 lies under the share"
    assert torch.equal(moved[0], labels[0].flip(-1))
    assert torch.equal(flipped[1], photos[1]), "0.9 does not"
    assert torch.equal(moved[1], labels[1])


@pytest.mark.parametrize("transform", [Flip(share=1.0), Crop(smallest=0.3)])
def test_labels_are_moved_and_never_mixed_and_what_nobody_knows_stays_so(transform):
    labels = torch.full((50, 16, 16), UNLABELLED)
    labels[:, :, 2:9] = 3
    photos = (labels == 3)[:, None].expand(-1, 3, -1, -1).float() * 2.0 - 1.0
    u = torch.from_numpy(np.random.default_rng(0).uniform(size=(50, 3))).float()
    moved, truth = transform.apply(photos, labels, u)
    assert truth.dtype == torch.int64
    assert set(truth.unique().tolist()) == {3, UNLABELLED}
    assert (moved[:, 0][truth == 3] >= -1e-5).all(), "what is labelled lies where the photograph shows it"
    assert (moved[:, 0][truth == UNLABELLED] <= 1e-5).all()


@pytest.mark.parametrize("transform", [Flip(share=1.0), Crop(smallest=0.3)])
def test_which_classes_are_there_has_no_left_and_right(transform):
    photos, _ = pictures()
    there = torch.tensor([[True, False, False, True, True], [False] * 5, [True, False, True, False, False]])
    changed, truth = transform.apply(photos, there, U)
    assert not torch.equal(changed, photos)
    assert torch.equal(truth, there)


def test_a_flip_moves_boxes_with_what_is_in_them():
    photos = torch.full((2, 3, 8, 10), -1.0)
    photos[:, :, 2:5, 1:4] = 1.0
    boxes = Boxes(torch.tensor([[[1.0, 2.0, 4.0, 5.0]]] * 2), torch.zeros(2, 1).long(), torch.ones(2, 1) > 0, (8, 10))
    flipped, moved = Flip(share=0.5).apply(photos, boxes, U[:2, :1])
    assert moved.xyxy[:, 0].tolist() == [[6.0, 2.0, 9.0, 5.0], [1.0, 2.0, 4.0, 5.0]]
    for photo, (left, top, right, bottom) in zip(flipped, moved.xyxy[:, 0].int().tolist()):
        assert (photo[:, top:bottom, left:right] == 1.0).all()
        assert (photo == 1.0).sum() == 27


def test_a_flip_leaves_a_class_alone():
    photos, _ = pictures()
    _, truth = Flip(share=1.0).apply(photos, torch.tensor([3, 1, 2]), U[:, :1])
    assert truth.tolist() == [3, 1, 2]


def test_a_crop_that_shows_everything_changes_nothing():
    photos, labels = pictures()
    same, truth = Crop(smallest=1.0).apply(photos, labels, U)
    torch.testing.assert_close(same, photos, atol=1e-5, rtol=0)
    assert torch.equal(truth, labels)


def test_a_crop_is_the_cut_out_part_enlarged_as_torch_enlarges():
    photos, labels = pictures(1)
    # half of the side, from row 2 and column 6 of the 8 that are left
    cut, truth = Crop(smallest=0.5).apply(photos, labels, torch.tensor([[0.0, 0.25, 0.75]]))
    part = functional.interpolate(photos[:, :, 2:10, 6:14], (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        cut[..., 1:-1, 1:-1], part[..., 1:-1, 1:-1], atol=1e-5, rtol=0
    )  # at its edge, ours sees on
    expected = functional.interpolate(labels[:, None, 2:10, 6:14].float(), (16, 16), mode="nearest-exact")[:, 0].long()
    assert torch.equal(truth, expected)


@pytest.mark.parametrize("smallest", [1e-6, 0.3, 0.8])
def test_a_crop_stays_inside_and_keeps_photograph_over_truth(smallest):
    side = 32
    labels = torch.zeros(200, side, side, dtype=torch.int64)
    labels[:, 8:24, 8:24] = 1
    photos = labels[:, None].expand(-1, 3, -1, -1).float() * 2.0 - 1.0
    u = torch.from_numpy(np.random.default_rng(1).uniform(size=(200, 3))).float()
    cut, truth = Crop(smallest=smallest).apply(photos, labels, u)
    sure = cut[:, 0].abs() > 0.99  # away from the square's edge
    assert sure.float().mean() > 0.5
    assert torch.equal((cut[:, 0] > 0)[sure], (truth == 1)[sure])


def test_a_crop_cuts_boxes_at_its_border_and_drops_those_whose_centre_it_leaves_out():
    """Half of the side of 16 x 20 pixels, from row 2 and column 7.5; torchvision's crop, of boxes twice as large."""
    xyxy = torch.tensor([[[8.0, 3, 14, 8], [0, 0, 16, 5], [0, 0, 14, 5], [17, 4, 20, 9], [9, 3, 11, 5]]])
    valid = torch.tensor([[True, True, True, True, False]])
    given = Boxes(xyxy, torch.arange(5)[None], valid, (16, 20))
    photos = torch.zeros(1, 3, 16, 20)
    _, cut = Crop(smallest=0.5).apply(photos, given, torch.tensor([[0.0, 0.25, 0.75]]))
    # centres 11, 8, 7, 18.5: the part shows columns 7.5 to 17.5 and rows 2 to 10
    assert cut.valid.tolist() == [[True, True, False, False, False]]
    assert cut.xyxy[0, :2].tolist() == [[1, 2, 13, 12], [0, 0, 17, 6]]
    assert torch.equal(cut.labels, given.labels)
    corners = tv_tensors.BoundingBoxFormat.XYXY
    theirs, _ = torchvision.crop_bounding_boxes(2 * xyxy[0, :2], corners, 4, 15, 16, 20, clamping_mode="hard")
    torch.testing.assert_close(cut.xyxy[0, :2], theirs)


def test_a_crop_moves_boxes_with_what_is_in_them():
    photos = torch.full((50, 3, 32, 32), -1.0)
    photos[:, :, 10:22, 12:20] = 1.0
    one = torch.tensor([12.0, 10, 20, 22]).expand(50, 1, 4)
    given = Boxes(one, torch.zeros(50, 1).long(), torch.ones(50, 1) > 0, (32, 32))
    cut, moved = Crop(smallest=0.7).apply(
        photos, given, torch.from_numpy(np.random.default_rng(2).random((50, 3))).float()
    )
    for photo, (left, top, right, bottom), there in zip(cut, moved.xyxy[:, 0].tolist(), moved.valid[:, 0].tolist()):
        rows, columns = (photo[0] > 0).any(1).nonzero(), (photo[0] > 0).any(0).nonzero()
        assert there
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [float(e) for e in ends] == pytest.approx([left, top, right, bottom], abs=1.0)


def test_photometric_jitter_is_torchvisions_in_its_fixed_order():
    photos, labels = pictures()
    jittered, truth = Photometric(0.4, 0.3, 0.5).apply(photos, labels, U)
    assert truth is labels
    for photo, ours, (b, c, s) in zip(0.5 * photos + 0.5, jittered, U.tolist()):
        theirs = torchvision.adjust_brightness(photo, 1 + 0.4 * (2 * b - 1))
        theirs = torchvision.adjust_contrast(theirs, 1 + 0.3 * (2 * c - 1))
        theirs = torchvision.adjust_saturation(theirs, 1 + 0.5 * (2 * s - 1))
        torch.testing.assert_close(ours, 2 * theirs - 1, atol=1e-5, rtol=0)


def test_the_order_of_the_jitter_is_brightness_contrast_saturation_where_it_matters():
    """A bright picture is clipped after each operation, so that no two orders agree."""
    photo = torch.tensor([[0.95, 0.2], [0.9, 0.6]]).expand(1, 3, 2, 2) * torch.tensor([1.0, 0.7, 0.3]).view(1, 3, 1, 1)
    u = torch.tensor([[1.0 - 1e-6, 1.0 - 1e-6, 1.0 - 1e-6]])
    ours = 0.5 * Photometric(0.5, 0.5, 0.5).apply(2 * photo - 1, None, u)[0] + 0.5

    def theirs(order):
        found = photo[0]
        for name in order:
            found = getattr(torchvision, f"adjust_{name}")(found, 1.5)
        return found

    torch.testing.assert_close(ours[0], theirs(("brightness", "contrast", "saturation")), atol=1e-4, rtol=0)
    assert (theirs(("contrast", "brightness", "saturation")) - ours[0]).abs().max() > 0.02


def test_half_of_all_pictures_are_mirrored_unless_asked():
    assert Flip() == Flip(0.5)


@pytest.mark.parametrize(
    "wrong", [lambda: Flip(1.5), lambda: Crop(0.0), lambda: Crop(1.1), lambda: Photometric(saturation=0.6)]
)
def test_shares_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        wrong()


# ------------------------------------------------------------------------------------------------ in a run


@pytest.mark.parametrize("name, reason", [("flip", "left and right"), ("crop", "may remove some")])
def test_what_would_make_the_words_wrong_is_impossible_unless_forced(sd15, tmp_path, name, reason):
    loaded = load([bench.DOTS])
    asked = bench.request(sd15, transform=[name])
    ((_, why),) = resolve(asked, loaded.registry).impossible
    assert why.startswith(f"transform {name}")
    assert reason in why
    forced = resolve(bench.request(sd15, transform=[name], force=True), loaded.registry)
    assert [c.name for c in forced.cells[0].transform] == [name]
    assert Ris.forbids["mirror"] in resolve(bench.request(sd15, transform=["flip"]), loaded.registry).impossible[0][1]


def test_a_transform_changes_the_training_and_none_of_the_latents(sd15, tmp_path):
    asked = bench.request(sd15, transform=["none", "photometric", "flip:share=0"], force=True)
    at, plans, finished = bench.run(asked, tmp_path / "runs")
    assert not finished.failures
    trained = [next(stage for stage in plan.stages() if stage.kind == "train") for plan in plans]
    assert len({stage.input("latents").key for stage in trained}) == 1
    logs = [json.loads((at.folder(stage) / "log.json").read_text()) for stage in trained]
    plain, jittered, unmirrored = (log["loss"][-1][1] for log in logs)
    assert jittered != pytest.approx(plain, rel=1e-4)
    assert unmirrored == pytest.approx(plain, rel=1e-5), "what mirrors nothing trains as what is cached"
