"""Several answers to one question are read and judged at once, as each of them is alone."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from addp_bench import evaluation, pixelwise
from addp_bench.errors import BadData, BadPrediction
from addp_bench.loading import load
from addp_bench.registry import REQUIRED
from addp_bench.spec import Choice
from addp_bench.tasks import depth_batch, ris, semantic
from addp_bench.tasks.depth import DepthTask
from addp_bench.tasks.depth_alignment import MEANT
from addp_bench.types import UNLABELLED, Depth, Presence, Sample

REGISTRY = load().registry
COUNTED = ("intersection", "union", "iou", "no_target", "n_correct", "vanished", "true", "correct", "labelled")
COUNTED += ("delta", "negative_scale", "valid", "few", "skipped")
VOCABULARY = ("background", "ball", "box")


def built(kind, name, **options):
    return REGISTRY.build(kind, REGISTRY.resolve(kind, Choice(name, options)))


def encodings():
    for name in REGISTRY.names("encoding"):
        whole = all(option.default is not REQUIRED for option in REGISTRY.get("encoding", name).options)
        if whole and not getattr(built("encoding", name), "learns", 0):  # one that has learnt: tests/test_decoders.py
            yield name


def sample(truth, size=None, id="dots/val/7"):
    rng = np.random.default_rng(1)
    return Sample(id, id, rng.integers(0, 256, (*(size or np.shape(truth)), 3)).astype(np.uint8), truth, "the left one")


def pictures(queries, steps, side=24):
    """Drawings (steps, 3, side, side) uint8 of each query: flat patches, some in colours that mean something."""
    rng = np.random.default_rng(2)
    colours = np.array([(255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (205, 0, 0), (160, 160, 160)], np.uint8)
    patches = colours[rng.integers(0, len(colours), (queries, steps, 6, 6))]
    patches[:, :, 0] = rng.integers(0, 256, (queries, steps, 6, 3))
    whole = patches.repeat(side // 6, axis=2).repeat(side // 6, axis=3)
    return torch.from_numpy(whole).permute(0, 1, 4, 2, 3).contiguous()


def plain(answer):
    """A prediction as arrays."""
    if hasattr(answer, "xyxy"):
        return [answer.xyxy, answer.labels, answer.scores]
    if isinstance(answer, Presence):
        return [answer.labels, answer.scores]
    return [np.asarray(answer.values if isinstance(answer, Depth) else answer)]


def agree(several, alone):
    """Counts, shares and flags to the bit, other numbers within 1e-12."""
    for one, other in zip(several, alone, strict=True):
        assert list(one) == list(other)
        assert one == pytest.approx(other, rel=1e-12, abs=1e-12, nan_ok=True)
        counted = [name for name in one if name.startswith(COUNTED)]
        np.testing.assert_array_equal([one[name] for name in counted], [other[name] for name in counted])


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("size", [None, (24, 24), (31, 45)])
@pytest.mark.parametrize("name", list(encodings()))
def test_recorded_steps_are_read_together_as_each_alone(name, size, monkeypatch):
    monkeypatch.setattr(pixelwise, "CACHED", 2 * 31 * 45)  # two steps at a time
    encoding, it = built("encoding", name), sample(None, (40, 52))
    if encoding.truth == "classes":
        it = replace(it, text="")  # words would name one class
    queries = encoding.queries(it, VOCABULARY)
    drawn = pictures(len(queries), 5)
    several = evaluation.readings(list(drawn), it, queries, encoding, size)
    assert len(several) == 5
    for k, answer in enumerate(several):
        by_hand = drawn[:, k].permute(0, 2, 3, 1).numpy()
        alone = evaluation.decode(by_hand, it, queries, encoding, size)
        assert all(map(np.array_equal, plain(answer), plain(alone)))


def test_not_all_readings_of_a_mask_are_alike():
    encoding, it = built("encoding", "red_mask"), sample(None, (24, 24))
    found = evaluation.readings(list(pictures(1, 5)), it, encoding.queries(it, ()), encoding, None)
    areas = [int(mask.sum()) for mask in found]
    assert len(set(areas)) > 1
    assert min(areas) > 0
    assert max(areas) < 24 * 24


@pytest.mark.parametrize(
    "name", [n for n in encodings() if hasattr(REGISTRY.get("encoding", n).factory, "decode_batch")]
)
def test_reading_never_waits_for_the_device(name):
    encoding, it = built("encoding", name), sample(None, (8, 8))
    drawn = torch.rand(3, 3, 8, 8, device="meta")  # where a hidden look at a value raises
    found = encoding.decode_batch(drawn, drawn, list(encoding.queries(it, VOCABULARY)) * 3)
    values = [answer.values if isinstance(answer, Depth) else answer for answer in found]
    assert [(v.device.type, tuple(v.shape)) for v in values] == [("meta", (8, 8))] * 3


def test_a_processor_takes_as_many_pictures_as_its_cache_holds_and_one_at_least(monkeypatch):
    monkeypatch.setattr(pixelwise, "CACHED", 250)
    monkeypatch.setattr(pixelwise, "HELD", 300)
    cut = {device: list(pixelwise.portions(5, 100, torch.device(device))) for device in ("cpu", "meta")}
    assert cut == {"cpu": [slice(0, 2), slice(2, 4), slice(4, 5)], "meta": [slice(0, 3), slice(3, 5)]}
    assert list(pixelwise.portions(2, 1000, torch.device("cpu"))) == [slice(0, 1), slice(1, 2)]
    maps = [torch.full((10, 10), float(k)) for k in range(5)]
    assert [stack[:, 0, 0].tolist() for stack in pixelwise.together(maps)] == [[0, 1], [2, 3], [4]]


class Blocks:
    """A codec whose latent is a picture at half its size."""

    def decode(self, latents):
        self.seen = max(getattr(self, "seen", 0), len(latents))
        return latents.repeat_interleave(2, 2).repeat_interleave(2, 3).clamp(-1.0, 1.0)


class Model:
    resolution = 16
    codec = Blocks()


def test_no_more_drawings_are_held_than_there_is_room_for(monkeypatch):
    x0 = np.random.default_rng(0).normal(0, 0.7, (12, 4, 3, 8, 8)).astype(np.float32)
    whole = list(evaluation._pictures(x0, Model, torch.device("cpu")))
    assert Model.codec.seen == 12
    Model.codec.seen = 0
    monkeypatch.setattr(evaluation, "ROOM", 3 * 4 * 3 * 16 * 16)
    parts = list(evaluation._pictures(x0, Model, torch.device("cpu")))
    assert Model.codec.seen == 3
    assert torch.equal(torch.stack(whole), torch.stack(parts))
    drawn = torch.from_numpy(x0[7, 2].repeat(2, 1).repeat(2, 2)).clamp(-1, 1)
    assert torch.equal(whole[7][2], ((drawn + 1) * 127.5).round().to(torch.uint8))


# ------------------------------------------------------------------------------------------------ masks


def masks(size, count=5):
    rng = np.random.default_rng(3)
    return [torch.from_numpy(rng.random(size) < share) for share in np.linspace(0.0, 0.9, count)]


def object_of(size):
    truth = np.zeros(size, bool)
    truth[size[0] // 4 : size[0] // 2, size[1] // 3 : -2] = True
    truth[size[0] // 3, size[1] // 2] = False
    return truth


@pytest.mark.parametrize("truth", [object_of((30, 41)), np.zeros((30, 41), bool), np.ones((30, 41), bool)])
@pytest.mark.parametrize("name", list(ris.PROTOCOLS))
def test_masks_are_counted_together_as_each_alone(name, truth):
    evaluator, it = ris.Ris().evaluator(ris.Ris().protocols()[name]), sample(truth)
    for size in ((30, 41), evaluator.drawing_size(it)):
        said = masks(size)
        agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, mask) for mask in said])


def test_a_mask_of_any_size_is_resized_as_it_is_alone():
    evaluator, it = ris.Ris().evaluator({"eval_size": 17, "pred_resize": "mask_nearest"}), sample(object_of((30, 41)))
    for size in ((30, 41), (17, 17), (9, 40), (60, 5)):
        agree(evaluator.statistics_batch(it, masks(size)), [evaluator.statistics(it, mask) for mask in masks(size)])
        assert np.array_equal(
            ris.nearest_each(torch.stack(masks(size)), (17, 23)).numpy(),
            np.stack([ris.nearest(mask.numpy(), (17, 23)) for mask in masks(size)]),
        )


def test_a_device_counts_what_a_processor_counts():
    truth, said = object_of((30, 41)), masks((30, 41))
    rows, columns = slice(3, 20), slice(10, 41)
    truth[:3], truth[20:], truth[:, :10] = False, False, False
    part = torch.from_numpy(truth[rows, columns].copy())
    by_hand = [[int((m.numpy() & truth).sum()), int(m.sum())] for m in said]
    assert ris.shared_and_said(torch.stack(said), part, rows, columns).tolist() == by_hand
    assert [list(pair) for pair in ris.overlap_each(said, truth)] == by_hand
    meta = torch.stack(said).to("meta")
    assert ris.shared_and_said(meta, part.to("meta"), rows, columns).shape == (5, 2)


def test_a_truth_is_looked_at_once(caplog):
    truth = np.zeros((32, 32), bool)
    truth[0, 0] = True
    with caplog.at_level(logging.WARNING):
        ris.Ris().evaluator({"eval_size": 4}).statistics_batch(sample(truth), masks((4, 4)))
    assert caplog.text.count("vanishes") == 1


# ------------------------------------------------------------------------------------------------ class maps


@pytest.mark.parametrize("name", list(semantic.PROTOCOLS))
def test_class_maps_are_counted_together_as_each_alone(name, monkeypatch):
    monkeypatch.setattr(pixelwise, "CACHED", 3 * 30 * 41)
    rng = np.random.default_rng(4)
    truth = rng.choice([0, 1, 2, UNLABELLED], (30, 41))
    evaluator = semantic.Semantic().evaluator(semantic.Semantic().protocols()[name], VOCABULARY)
    said = [torch.from_numpy(rng.choice([-7, -1, 0, 1, 2, 3, 4, UNLABELLED, 9999], (30, 41))) for _ in range(7)]
    it = sample(truth)
    agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, labels) for labels in said])
    agree(evaluator.statistics_batch(it, said[:1]), [evaluator.statistics(it, said[0])])


def test_class_maps_of_any_size_are_resized_as_alone():
    rng = np.random.default_rng(5)
    evaluator = semantic.Semantic().evaluator({"eval_size": 13, "pred_resize": "labels_nearest"}, VOCABULARY)
    it, said = sample(rng.integers(0, 3, (30, 41))), [torch.from_numpy(rng.integers(0, 4, (8, 30))) for _ in range(2)]
    agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, labels) for labels in said])


def test_a_tally_is_numpys_bincount_on_any_device():
    codes = torch.from_numpy(np.random.default_rng(6).integers(0, 9, (4, 100)))
    by_hand = [np.bincount(row, minlength=9).tolist() for row in codes.numpy()]
    assert pixelwise.tally(codes, 9).tolist() == by_hand
    assert pixelwise.scattered(codes, 9).tolist() == by_hand
    row = torch.zeros(30, 41, dtype=torch.int32, device="meta")
    assert semantic.areas_each(row.long().expand(5, -1, -1), row, 3).shape == (5, 3, 3)


# ------------------------------------------------------------------------------------------------ depth


def depths(space, size=(30, 41), count=5):
    """A truth with holes, and predictions of it: good, turned over, constant, and below 0 throughout."""
    rng = np.random.default_rng(8)
    truth = rng.uniform(0.6, 9.0, size).astype(np.float32)
    truth[rng.random(size) < 0.2] = 0.0
    near = 1.0 / np.maximum(truth, 0.5) if space == "disparity" else truth / (1.0 if space == "metric" else 10.0)
    said = [near + rng.normal(0, 0.05, size) for _ in range(count)] + [-near, np.full(size, 0.3), np.full(size, -0.2)]
    return truth, [Depth(torch.from_numpy(map.astype(np.float32)), space) for map in said]


@pytest.mark.parametrize("space", ["metric", "affine", "disparity"])
@pytest.mark.parametrize("alignment", ["least_square", "least_square_disparity", "median", "none"])
@pytest.mark.parametrize("how", [{}, {"clip_min": 0.1, "clip_max": 5.0}, {"valid_above": 1.0, "valid_below": 6.0}])
def test_depths_are_compared_together_as_each_alone(space, alignment, how, monkeypatch):
    monkeypatch.setattr(pixelwise, "CACHED", 3 * 30 * 41)
    truth, said = depths(space)
    evaluator, it = DepthTask().evaluator({"alignment": alignment, **how}), sample(truth)
    if alignment not in MEANT[space]:
        with pytest.raises(BadPrediction, match=r"sample dots/val/7: the prediction is d.* up to scale and shift"):
            evaluator.statistics_batch(it, said)
    else:
        agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, one) for one in said])


@pytest.mark.parametrize("protocol, size", [("kitti", (376, 1241)), ("nyuv2", (480, 640)), ("eth3d", (48, 1500))])
def test_crops_masks_and_thinned_maps_are_those_of_each_alone(protocol, size):
    truth, said = depths("affine", size, 1)
    evaluator, it = DepthTask().evaluator(DepthTask().protocols()[protocol]), sample(truth)
    agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, one) for one in said])


def test_scale_and_shift_are_numpys_least_squares():
    truth, said = depths("affine")
    valid = truth > 0
    found = DepthTask().evaluator({"alignment": "least_square"}).statistics_batch(sample(truth), said)
    for row, one in zip(found, said):
        p = one.values.numpy().astype(np.float64)[valid]
        design = np.column_stack([p, np.ones_like(p)])
        line = np.linalg.lstsq(design, truth[valid].astype(np.float64), rcond=None)[0]
        assert [row["scale"], row["shift"]] == pytest.approx(line, rel=1e-9)


def test_a_ratio_of_exactly_one_and_a_quarter_fails_together_too():
    truth, said = np.array([[1.0, 1.25, 1.0]]), [torch.tensor([[1.25, 1.0, 1.2]]), torch.tensor([[1.0, 1.25, 1.0]])]
    found = DepthTask().evaluator({"alignment": "none"}).statistics_batch(sample(truth), said)
    assert [row["delta1"] for row in found] == [1 / 3, 1.0]


def test_an_image_without_a_judged_pixel_is_skipped_together_too():
    found = (
        DepthTask()
        .evaluator({"alignment": "least_square"})
        .statistics_batch(sample(np.zeros((4, 4))), [torch.ones(4, 4)] * 2)
    )
    assert [row["skipped"] for row in found] == [1.0, 1.0]
    assert all(math.isnan(row["absrel"]) for row in found)


def test_comparing_depths_never_waits_for_the_device():
    pixels = depth_batch.Pixels(*(torch.ones(9, dtype=kind, device="meta") for kind in (torch.int64, torch.float64)))
    maps = torch.ones(5, 4, 4, device="meta")
    for inverse, alignment in ((False, "least_square"), (True, "least_square_disparity"), (False, "none")):
        found = depth_batch.numbers(maps, pixels, pixels, inverse, alignment, (0.1, None))
        assert found.shape == (5, 13)


# ------------------------------------------------------------------------------------------------ what is refused


def test_what_cannot_be_judged_is_told_as_it_is_alone():
    evaluator = ris.Ris().evaluator(ris.Ris().protocols()["refcoco"])
    with pytest.raises(BadPrediction, match=r"dots/val/7: the prediction is 3 x 3 \(height x width\)"):
        evaluator.statistics_batch(sample(object_of((30, 41))), masks((3, 3)))
    with pytest.raises(BadData, match=r"dots/val/7: its truth is 30 x 41, its photograph 30 x 40"):
        evaluator.statistics_batch(sample(object_of((30, 41)), (30, 40)), masks((512, 512)))
    broken = [torch.ones(4, 4), torch.full((4, 4), torch.nan)]
    with pytest.raises(BadPrediction, match=r"dots/val/7: the prediction holds NaN or infinity"):
        DepthTask().evaluator({"alignment": "none"}).statistics_batch(sample(np.ones((4, 4))), broken)
    judge = semantic.Semantic().evaluator(semantic.Semantic().protocols()["ade20k"], VOCABULARY)
    with pytest.raises(BadData, match=r"dots/val/7: its truth holds the label 3"):
        judge.statistics_batch(sample(np.full((4, 4), 3)), [torch.zeros(4, 4, dtype=torch.int64)] * 2)


def test_answers_that_are_not_alike_are_judged_one_by_one():
    evaluator, it = ris.Ris().evaluator(ris.Ris().protocols()["cris"]), sample(object_of((30, 41)))
    said = [*masks((30, 41), 2), object_of((30, 41)), masks((30, 41), 2)[1].long()]
    agree(evaluator.statistics_batch(it, said), [evaluator.statistics(it, mask) for mask in said])


def test_a_judge_without_a_batch_is_asked_for_each_answer():
    class Plain:
        def statistics(self, it, prediction):
            return {"seen": float(prediction)}

    assert evaluation.judged(Plain(), sample(None, (2, 2)), [3, 5]) == [{"seen": 3.0}, {"seen": 5.0}]
