"""ADE20K from files in the layout of SceneParse150, and what is said when the files are not."""

import logging
import shutil

import data_miniature as make
import numpy as np
import pytest
from data_miniature import pack
from PIL import Image

from addp_bench.errors import BadData, UnknownName
from addp_bench.tasks.ade20k import CLASSES, Ade20k
from addp_bench.types import UNLABELLED


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Read only."""
    return make.ade20k(tmp_path_factory.mktemp("ade") / "ADEChallengeData2016")


@pytest.fixture
def root(shared, tmp_path):
    """A copy to damage."""
    return shutil.copytree(shared, tmp_path / "ade")


def test_the_150_names_are_in_the_order_of_their_values():
    assert len(CLASSES) == len(set(CLASSES)) == 150
    named = {1: "wall", 7: "road", 45: "chest of drawers", 49: "skyscraper", 110: "swimming pool", 150: "flag"}
    assert {value: CLASSES[value - 1] for value in named} == named


def test_zero_is_unlabelled_and_every_other_value_moves_down_by_one(shared):
    sample = Ade20k(shared).samples("validation", "semantic")[0]
    assert (sample.id, sample.image_id) == ("ade20k/validation/ADE_val_00000001", "ade20k/ADE_val_00000001")
    assert sample.truth.dtype == np.int64
    assert sample.truth.shape == sample.image.shape[:2] == (21, 30)
    assert sample.truth[[0, 0, 0, 20, 20, 20], [0, 12, 29, 0, 12, 29]].tolist() == [UNLABELLED, 0, 1, 149, 6, 6]
    assert sample.attributes == {"classes": 4, "known": pytest.approx(1 - 11 * 10 / (21 * 30))}
    assert sample.image.shape[2] == 3  # a gray JPEG
    assert np.array_equal(sample.image[..., 0], sample.image[..., 2])


def test_a_class_is_there_where_one_pixel_of_it_is(shared):
    samples, maps = (Ade20k(shared).samples("validation", task) for task in ("classification", "semantic"))
    assert (samples.ids, samples.vocabulary) == (maps.ids, CLASSES)
    for k in range(len(samples)):
        assert (samples[k].truth.dtype, samples[k].truth.shape) == (bool, (150,))
        assert set(np.flatnonzero(samples[k].truth)) == set(np.unique(maps[k].truth)) - {UNLABELLED}
    assert np.flatnonzero(samples[0].truth).tolist() == [0, 1, 6, 149]
    assert [Ade20k(shared).protocol(task) for task in ("classification", "semantic")] == ["balanced", "ade20k"]


def test_labels_move_by_hand(root):
    file = root / "annotations" / "validation" / "ADE_val_00000002.png"
    Image.fromarray(np.resize(np.array([0, 1, 2, 150], np.uint8), (22, 30))).save(file)
    assert Ade20k(root).samples("validation", "semantic")[1].truth[0, :4].tolist() == [255, 0, 1, 149]


def test_a_palette_is_read_by_its_indices(root):
    file = root / "annotations" / "validation" / "ADE_val_00000001.png"
    before = Ade20k(root).samples("validation", "semantic")[0].truth
    with Image.open(file) as image:
        indices = image.copy()
    indices.putpalette([7] * 768)
    indices.save(file)
    assert np.array_equal(Ade20k(root).samples("validation", "semantic")[0].truth, before)


def test_a_folder_and_a_tar_hold_the_same_samples(shared, tmp_path):
    packed = Ade20k(pack(shared, tmp_path / "ade.tar"))
    assert packed.card().fingerprint == Ade20k(shared).card().fingerprint
    one, other = (data.samples("training", "semantic")[4] for data in (packed, Ade20k(shared)))
    assert np.array_equal(one.truth, other.truth)
    assert np.array_equal(one.image, other.image)


def test_splits_and_what_they_are_for(shared, caplog):
    dataset = Ade20k(shared)
    with caplog.at_level(logging.WARNING):
        sizes = {split: len(dataset.samples(split, "semantic")) for split in dataset.splits()}
    assert sizes == {"training": 23, "validation": 3, "train_fit": 21, "stats": 2}  # a twentieth of 23, rounded up
    assert dict(dataset.card().counts) == sizes
    assert "ade20k validation: 3 images; published are 2000" in caplog.text
    fit, stats, train = (dataset.samples(split, "semantic") for split in ("train_fit", "stats", "training"))
    assert sorted([*fit.image_ids, *stats.image_ids]) == train.image_ids
    assert [dataset.default_split(p) for p in ("train", "stats", "eval")] == ["train_fit", "stats", "validation"]
    assert tuple(train.vocabulary) == CLASSES
    for ask, words in (
        (lambda: dataset.samples("val", "semantic"), "split of ade20k is called 'val'"),
        (lambda: dataset.samples("validation", "ris"), "task of dataset ade20k"),
        (lambda: dataset.default_split("fun"), "purpose"),
    ):
        with pytest.raises(UnknownName, match=words):
            ask()


def test_the_fingerprint_follows_names_and_sizes(root, shared):
    before = Ade20k(root).card().fingerprint
    assert before == Ade20k(shared).card().fingerprint
    file = root / "annotations" / "training" / "ADE_train_00000009.png"
    file.write_bytes(file.read_bytes() + b"\0")
    assert Ade20k(root).card().fingerprint != before


MAP, PHOTO = "annotations/validation/ADE_val_00000001.png", "images/validation/ADE_val_00000001.jpg"


def draw(values):
    return lambda file: Image.fromarray(values).save(file)


DAMAGE = {
    "no folder": (".", shutil.rmtree, "there is no folder and no tar"),
    "nothing of it": ("images/validation", shutil.rmtree, r"holds nothing of split 'validation': .*images/validation"),
    "map missing": (MAP, lambda f: f.unlink(), f"{MAP} is missing"),
    "map of another size": (MAP, draw(np.zeros((5, 6), np.uint8)), f"{MAP} is 6 x 5 pixels and its photograph"),
    "label out of range": (MAP, draw(np.full((21, 30), 151, np.uint8)), f"{MAP} holds the value 151; expected 0"),
    "a map of colours": (MAP, draw(np.zeros((21, 30, 3), np.uint8)), f"{MAP} is a picture of mode RGB; expected an 8-"),
    "16 bits": (MAP, draw(np.zeros((21, 30), np.uint16)), f"{MAP} is a picture of mode I;16; expected an 8-bit"),
    "map no image": (MAP, lambda f: f.write_text("<html>"), f"{MAP} cannot be read as an image"),
    "photograph cut": (PHOTO, lambda f: f.write_bytes(f.read_bytes()[:200]), f"{PHOTO} cannot be read as an image"),
}


@pytest.mark.parametrize("file, damage, words", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_give_one_line_that_names_them(file, damage, words, root):
    damage(root / file)
    with pytest.raises(BadData, match=words) as error:
        Ade20k(root).samples("validation", "semantic")[0]
    assert "\n" not in str(error.value)


def test_a_tar_that_is_cut_is_refused(shared, tmp_path):
    file = pack(shared, tmp_path / "ade.tar")
    file.write_bytes(file.read_bytes()[:20000])
    with pytest.raises(BadData, match=r"ade\.tar"):
        Ade20k(file).card()
