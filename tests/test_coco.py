"""COCO 2017 from files in its published layout, held against pycocotools, and what is said of broken files."""

import contextlib
import io
import json
import logging
import shutil

import data_miniature as make
import numpy as np
import pytest
from pycocotools.coco import COCO

from addp_bench.errors import BadData, UnknownName
from addp_bench.tasks.coco import CATEGORIES, Coco


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Read only."""
    return make.coco(tmp_path_factory.mktemp("data") / "coco", dict(CATEGORIES))


@pytest.fixture
def root(shared, tmp_path):
    """A copy to damage."""
    return shutil.copytree(shared, tmp_path / "coco")


def test_there_are_80_categories_and_ten_ids_of_90_are_not_used():
    assert len(CATEGORIES) == 80
    assert sorted(CATEGORIES.values()) == list(CATEGORIES.values())
    assert set(range(1, 91)) - set(CATEGORIES.values()) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert list(CATEGORIES)[10:12] == ["fire hydrant", "stop sign"]
    assert CATEGORIES["toothbrush"] == 90


def test_which_kinds_there_are_is_asked_of_the_same_photographs_and_a_crowd_counts(shared):
    samples, boxed = (Coco(shared).samples("val2017", task) for task in ("classification", "detection"))
    assert samples.ids == boxed.ids
    assert len(samples.vocabulary) == 80
    for one, other in zip(samples, boxed):
        assert (one.truth.dtype, one.truth.shape) == (bool, (80,))
        assert set(np.flatnonzero(one.truth)) == set(other.truth.labels.tolist())
        assert np.array_equal(one.image, other.image)
    assert np.flatnonzero(samples[0].truth).tolist() == [0, 79], "the person is in a crowd"
    assert [Coco(shared).protocol(task) for task in ("classification", "detection")] == ["balanced", "coco"]


def test_boxes_become_corners_and_ids_become_ranks(shared):
    samples = Coco(shared).samples("val2017", "detection")
    assert samples.ids == [
        "coco/val2017/139",
        "coco/val2017/632",
        "coco/val2017/785",
    ]  # by id, as COCO's evaluator goes
    sample = samples[0]
    assert (sample.image_id, sample.image.shape) == ("coco/139", (50, 60, 3))
    truth = sample.truth
    assert truth.xyxy.tolist() == [[10.5, 20, 40.75, 25], [0, 0, 60, 50]]
    assert truth.labels.tolist() == [79, 0]
    assert truth.crowd.tolist() == [False, True]
    assert truth.area.tolist() == [77.5, 1500]  # of the mask, not of the box
    assert [a.dtype for a in (truth.xyxy, truth.labels, truth.crowd, truth.area)] == [
        np.float32,
        np.int64,
        bool,
        np.float64,
    ]
    assert samples[2].truth.labels.tolist() == [11]  # id 13, the twelfth in use
    assert sample.attributes == {"image": 139, "objects": 1, "crowds": 1}
    assert sample.hints["category_ids"][79] == samples.category_ids[79] == 90
    assert samples.vocabulary[11] == "stop sign"


def test_a_photograph_without_a_box_counts(shared):
    empty = Coco(shared).samples("val2017", "detection")[1]
    assert empty.truth.xyxy.shape == (0, 4)
    assert [len(part) for part in (empty.truth.labels, empty.truth.crowd, empty.truth.area)] == [0, 0, 0]
    assert empty.attributes["objects"] == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_every_box_is_the_one_that_pycocotools_reads(shared):
    """pycocotools 2.0.8 or later, by which the published figures are made."""
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(shared / "annotations" / "instances_val2017.json"))
    samples = Coco(shared).samples("val2017", "detection")
    for sample in samples:
        boxes = theirs.loadAnns(theirs.getAnnIds(sample.attributes["image"]))
        assert len(boxes) == len(sample.truth.labels)
        for box, xyxy, label, crowd, area in zip(
            boxes, sample.truth.xyxy, sample.truth.labels, sample.truth.crowd, sample.truth.area
        ):
            assert [*xyxy[:2], *(xyxy[2:] - xyxy[:2])] == box["bbox"]
            assert theirs.loadCats(box["category_id"])[0]["name"] == samples.vocabulary[label]
            assert (box["iscrowd"], box["area"]) == (crowd, area)


def test_splits_and_what_they_are_for(shared, caplog):
    dataset = Coco(shared)
    with caplog.at_level(logging.WARNING):
        sizes = {split: len(dataset.samples(split, "detection")) for split in dataset.splits()}
    assert sizes == {"val2017": 3, "train2017": 21, "train_fit": 19, "stats": 2}
    assert dict(dataset.card().counts) == sizes
    assert "coco val2017: 3 images; published are 5000" in caplog.text
    fit, stats, train = (dataset.samples(split, "detection") for split in ("train_fit", "stats", "train2017"))
    assert {*fit.image_ids} | {*stats.image_ids} == {*train.image_ids}
    assert not {*fit.image_ids} & {*stats.image_ids}
    assert [dataset.default_split(p) for p in ("train", "stats", "eval")] == ["train_fit", "stats", "val2017"]
    for ask, words in (
        (lambda: dataset.samples("val", "detection"), "Did you mean 'val2017'"),
        (lambda: dataset.samples("val2017", "depth"), "task of dataset coco"),
        (lambda: dataset.default_split("fun"), "purpose"),
    ):
        with pytest.raises(UnknownName, match=words):
            ask()


def test_the_fingerprint_follows_annotations_and_photographs(root, shared):
    before = Coco(root).card().fingerprint
    assert before == Coco(shared).card().fingerprint
    (root / "val2017" / "000000999999.jpg").write_bytes(b"nobody speaks of it")
    assert Coco(root).card().fingerprint == before
    photo = root / "val2017" / "000000000139.jpg"
    photo.write_bytes(photo.read_bytes() + b"\0")
    grown = Coco(root).card().fingerprint
    edit(root, lambda value: value["annotations"][0].update(bbox=[1, 1, 1, 1]))
    assert len({before, grown, Coco(root).card().fingerprint}) == 3


def test_annotations_are_read_again_when_they_changed(root):
    assert Coco(root).samples("val2017", "detection")[0].truth.xyxy[0, 0] == 10.5
    edit(root, lambda value: value["annotations"][0].update(bbox=[11.25, 20, 1, 1]))
    assert Coco(root).samples("val2017", "detection")[0].truth.xyxy[0, 0] == 11.25


def test_val_alone_is_enough(root):
    shutil.rmtree(root / "train2017")
    (root / "annotations" / "instances_train2017.json").unlink()
    assert dict(Coco(root).card().counts) == {"val2017": 3}
    with pytest.raises(BadData, match=r"instances_train2017\.json is missing"):
        Coco(root).samples("stats", "detection")


FILE = "annotations/instances_val2017.json"
PHOTO = "val2017/000000000139.jpg"


def edit(root, change):
    file = root / FILE
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def first_box(**changes):
    return lambda root: edit(root, lambda value: value["annotations"][0].update(changes))


DAMAGE = {
    "no root": (shutil.rmtree, "instances_val2017.json is missing"),
    "no annotations": (lambda r: (r / FILE).unlink(), "instances_val2017.json is missing"),
    "no photographs": (lambda r: shutil.rmtree(r / "val2017"), "val2017 is missing; the photographs of val2017"),
    "cut json": (lambda r: (r / FILE).write_text((r / FILE).read_text()[:900]), "cannot be read as JSON"),
    "another json": (lambda r: (r / FILE).write_text("[]"), "expected fields by name, met a list"),
    "no boxes": (lambda r: edit(r, lambda v: v.pop("annotations")), "the field 'annotations' is missing"),
    "photograph missing": (lambda r: (r / PHOTO).unlink(), "000000000139.jpg is missing; it belongs to COCO's val2017"),
    "photograph no image": (lambda r: (r / PHOTO).write_text("<html>"), "000000000139.jpg cannot be read as an image"),
    "photograph cut": (
        lambda r: (r / PHOTO).write_bytes((r / PHOTO).read_bytes()[:300]),
        "000000000139.jpg cannot be read as an image",
    ),
    "another size": (
        lambda r: edit(r, lambda v: v["images"][1].update(width=61)),
        "000000000139.jpg is 60 x 50 pixels, and its annotations say 61 x 50",
    ),
    "name that leads out": (
        lambda r: edit(r, lambda v: v["images"][1].update(file_name="../../secret.jpg")),
        "image 139: the name '../../secret.jpg' leads outside",
    ),
    "name with a folder": (
        lambda r: edit(r, lambda v: v["images"][1].update(file_name="val/139.jpg")),
        "image 139 is called 'val/139.jpg'; expected a file name without folders",
    ),
    "category of nobody": (first_box(category_id=12), "annotation 7: category 12 is none of COCO's 80"),
    "box of three": (first_box(bbox=[1, 2, 3]), r"annotation 7: bbox \[1, 2, 3\]"),
    "box of words": (first_box(bbox=["a", 2, 3, 4]), "annotation 7: bbox"),
    "box that is nan": (first_box(bbox=[float("nan"), 2, 3, 4]), "annotation 7: bbox"),
    "box inside out": (first_box(bbox=[1, 2, -3, 4]), "annotation 7: bbox .* expected x, y, width >= 0"),
    "no area": (first_box(area=None), "annotation 7: bbox .* and area None"),
    "box of no image": (first_box(image_id=4), "an annotation belongs to image 4, which the file does not have"),
    "image twice": (
        lambda r: edit(r, lambda v: v["images"].append({**v["images"][2]})),
        "two images have the id 632",
    ),
    "91 categories": (
        lambda r: edit(r, lambda v: v["categories"].append({"id": 12, "name": "street sign", "supercategory": "x"})),
        "its categories are not COCO's 80 .*'street sign', id 12",
    ),
    "ids of 80": (
        lambda r: edit(r, lambda v: [c.update(id=k) for k, c in enumerate(v["categories"])]),
        "its categories are not COCO's 80 .*'person', id 0",
    ),
}


@pytest.mark.parametrize("damage, words", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_give_one_line_that_names_them(damage, words, root):
    damage(root)
    with pytest.raises(BadData, match=words) as error:
        Coco(root).samples("val2017", "detection")[0]
    assert "\n" not in str(error.value)
