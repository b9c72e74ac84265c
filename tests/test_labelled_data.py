"""CIFAR-10 and Tiny-ImageNet, in miniatures of exactly their layouts, and what is said of broken ones."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import labelled_miniature as make
import numpy as np
import pytest
from labelled_miniature import CLASSES, WNIDS, picture
from PIL import Image

from addp_bench import checks
from addp_bench.errors import BadData, UnknownName
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.tasks import cifar10, labelled
from addp_bench.tasks.cifar10 import Cifar10
from addp_bench.tasks.tiny_imagenet import TinyImageNet


@pytest.fixture
def cifar(tmp_path) -> Path:
    """cifar-10-batches-bin with eight photographs in each batch."""
    return make.cifar10(tmp_path / "cifar-10-batches-bin")


def packed(folder: Path, file: Path, inside: str = "cifar-10-batches-bin") -> Path:
    with tarfile.open(file, "w:gz") as archive:
        archive.add(folder, inside)
    return file


def test_a_record_is_a_class_and_three_planes(cifar):
    samples = Cifar10(str(cifar)).samples("train", "probe")
    assert len(samples) == 40
    assert tuple(samples.vocabulary) == CLASSES
    sample = samples[17]
    assert (sample.id, sample.truth, sample.attributes["class"]) == ("cifar10/data_batch_3/00001", 3, "cat")
    assert np.array_equal(sample.image, picture(17))
    assert sample.image.flags["C_CONTIGUOUS"]
    test = Cifar10(str(cifar)).samples("test", "probe")
    assert test.ids[:2] == ["cifar10/test_batch/00000", "cifar10/test_batch/00001"]
    assert test.ids == test.image_ids


def test_the_folder_one_above_it_and_the_archive_are_one_dataset(cifar, tmp_path):
    archive = packed(cifar, tmp_path / "cifar-10-binary.tar.gz")
    both = [Cifar10(str(path)) for path in (cifar, cifar.parent, archive)]
    assert len({one.card().fingerprint for one in both}) == 1
    for one in both[1:]:
        assert np.array_equal(one.samples("test", "probe")[3].image, both[0].samples("test", "probe")[3].image)
    changed = bytearray((cifar / "test_batch.bin").read_bytes())
    changed[5000] ^= 1
    (cifar / "test_batch.bin").write_bytes(changed)
    assert Cifar10(str(cifar)).card().fingerprint != both[0].card().fingerprint


def test_one_photograph_in_twenty_is_kept_apart_by_a_hash(cifar):
    dataset = Cifar10(str(cifar))
    train, fit, stats = (dataset.samples(split, "probe") for split in ("train", "train_fit", "stats"))
    assert len(stats) == 2
    assert sorted([*fit.ids, *stats.ids]) == sorted(train.ids)
    assert {p: dataset.default_split(p) for p in ("train", "stats", "eval")} == {
        "train": "train_fit", "stats": "stats", "eval": "test"
    }  # fmt: skip
    assert dataset.card().counts == {"train": 40, "train_fit": 38, "stats": 2, "test": 8}
    place = train.ids.index(stats.ids[1])
    assert np.array_equal(stats[1].image, train[place].image)
    assert stats[1].truth == train[place].truth
    assert labelled.sizes(50_000) == {"train": 50_000, "train_fit": 47_500, "stats": 2_500}


def test_counts_that_are_not_the_published_ones_are_said(cifar, caplog):
    cifar10._content.cache_clear()
    Cifar10(str(cifar)).samples("test", "probe")
    assert "data_batch_1.bin holds 8 photographs, the published one 10000" in caplog.text


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda f: (f / "data_batch_4.bin").unlink(), "data_batch_4.bin is missing"),
        (lambda f: (f / "batches.meta.txt").unlink(), "batches.meta.txt is missing"),
        (
            lambda f: (f / "test_batch.bin").write_bytes(b"\0" * 3072),
            "test_batch.bin has 3072 bytes; a record has 3073",
        ),
        (lambda f: (f / "test_batch.bin").write_bytes(b""), "test_batch.bin has 0 bytes"),
        (
            lambda f: (f / "data_batch_2.bin").write_bytes(b"\x0a" + b"\0" * 3072),
            "record 0 has class 10; expected 0 to 9",
        ),
        (
            lambda f: (f / "batches.meta.txt").write_text("cat\ndog\n"),
            "batches.meta.txt names 2 classes; expected the 10",
        ),
        (lambda f: shutil.rmtree(f), "give dataset cifar10 cifar-10-binary.tar.gz or the folder"),
    ],
)
def test_a_broken_folder_is_refused_and_named(cifar, spoil, words):
    spoil(cifar)
    with pytest.raises(BadData, match=words):
        Cifar10(str(cifar)).samples("train", "probe")


def test_pickles_are_refused_with_the_way_on(tmp_path):
    loose = tmp_path / "cifar-10-batches-py"
    loose.mkdir()
    (loose / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    archive = packed(loose, tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py")
    for path in (loose, tmp_path, archive):
        with pytest.raises(BadData, match=r"pickles, .* take the binary version, cifar-10-binary.tar.gz"):
            Cifar10(str(path)).samples("train", "probe")


def test_a_damaged_or_hostile_archive_is_refused(cifar, tmp_path):
    archive = packed(cifar, tmp_path / "cifar-10-binary.tar.gz")
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadData, match=r"cannot be read as cifar-10-binary.tar.gz: .*Download it again"):
        Cifar10(str(archive)).card()
    archive.write_bytes(b"not an archive")
    with pytest.raises(BadData, match="cannot be read as"):
        Cifar10(str(archive)).card()
    with tarfile.open(archive, "w:gz") as packing:
        link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packing.addfile(link)
        outside = tarfile.TarInfo("../data_batch_1.bin")
        outside.size = 3
        packing.addfile(outside, io.BytesIO(b"abc"))
    with pytest.raises(BadData, match=r"data_batch_1\.bin is missing"):
        Cifar10(str(archive)).card()
    assert not (tmp_path.parent / "data_batch_1.bin").exists()


# ------------------------------------------------------------------------------------------- tiny-imagenet


@pytest.fixture
def tiny(tmp_path) -> Path:
    return make.tiny_imagenet(tmp_path / "tiny-imagenet-200")


def test_a_class_is_the_rank_of_its_id_in_sorted_order_in_both_splits(tiny):
    dataset = TinyImageNet(str(tiny))
    train, val = dataset.samples("train", "probe"), dataset.samples("val", "probe")
    assert list(train.vocabulary) == ["goldfish", "crane (n02124075)", "crane (n04067472)"]
    by_id = {train[i].id: train[i].truth for i in (0, 11, 22)}
    assert by_id == {
        "tiny_imagenet/n01443537_0": 0, "tiny_imagenet/n02124075_0": 1, "tiny_imagenet/n04067472_0": 2
    }  # fmt: skip
    assert [val[i].truth for i in range(3)] == [2, 1, 0]
    assert val[0].attributes["class"] == "crane (n04067472)"
    assert train.ids[1:3] == ["tiny_imagenet/n01443537_1", "tiny_imagenet/n01443537_2"], "2 comes before 10"


def test_grey_photographs_become_rgb(tiny):
    samples = TinyImageNet(str(tiny.parent)).samples("train", "probe")
    assert samples[3].image.shape == (64, 64, 3)
    assert np.ptp(samples[3].image, axis=2).max() == 0
    assert abs(int(samples[2].image[..., 0].mean()) - 40) < 4


def test_its_parts_and_counts(tiny):
    dataset = TinyImageNet(str(tiny))
    assert dataset.card().counts == {"train": 33, "train_fit": 31, "stats": 2, "val": 3}
    fit, stats = (set(dataset.samples(split, "probe").ids) for split in ("train_fit", "stats"))
    assert not fit & stats
    assert len(fit | stats) == 33
    before = dataset.card().fingerprint
    Image.new("RGB", (64, 64), (9, 99, 199)).resize((32, 32)).save(tiny / "val" / "images" / "val_1.JPEG")
    assert TinyImageNet(str(tiny)).card().fingerprint != before


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda r: (r / "wnids.txt").unlink(), "wnids.txt is missing; give dataset tiny_imagenet the folder"),
        (lambda r: (r / "wnids.txt").write_text("goldfish\n"), "expected WordNet ids such as n01443537"),
        (lambda r: (r / "wnids.txt").write_text("n01443537\nn01443537\n"), "each once"),
        (lambda r: (r / "words.txt").write_text("n01443537\tgoldfish\n"), "says no word for n02124075, and 1 others"),
        (lambda r: shutil.rmtree(r / "train" / WNIDS[0]), r"n02124075/images is missing"),
        (lambda r: [f.unlink() for f in (r / "train" / WNIDS[1] / "images").iterdir()], "holds no photograph"),
        (lambda r: (r / "val" / "images" / "val_2.JPEG").unlink(), "line 3: .*val_2.JPEG is missing"),
        (
            lambda r: (r / "val" / "val_annotations.txt").write_text("val_0.JPEG n01443537\n"),
            "line 1: '' is none of the 3 classes",
        ),
        (lambda r: (r / "val" / "val_annotations.txt").write_text("\n"), "names no photograph"),
        (
            lambda r: (r / "val" / "val_annotations.txt").write_text(f"../../wnids.txt\t{WNIDS[0]}\t0\t0\t1\t1\n"),
            "line 1: .*wnids.txt is missing",
        ),
    ],
)
def test_a_broken_layout_is_refused_and_named(tiny, spoil, words):
    spoil(tiny)
    with pytest.raises(BadData, match=words):
        TinyImageNet(str(tiny)).samples("val", "probe")


def test_a_photograph_that_is_none_is_named(tiny):
    file = tiny / "val" / "images" / "val_1.JPEG"
    file.write_bytes(file.read_bytes()[:100])
    samples = TinyImageNet(str(tiny)).samples("val", "probe")
    assert samples[0].truth == 2
    with pytest.raises(BadData, match=r"val_1.JPEG cannot be read as an image"):
        samples[1]


@pytest.mark.parametrize("name", ["cifar10", "tiny_imagenet"])
def test_they_keep_the_contract_of_a_dataset(name, cifar, tiny):
    registry = load().registry
    checks.require(registry, "dataset", Choice(name, {"path": str({"cifar10": cifar, "tiny_imagenet": tiny}[name])}))


def test_splits_and_tasks_that_do_not_exist_are_refused(cifar, tiny):
    for dataset in (Cifar10(str(cifar)), TinyImageNet(str(tiny))):
        with pytest.raises(UnknownName, match="split"):
            dataset.samples("trian", "probe")
        with pytest.raises(UnknownName, match="task"):
            dataset.samples("train", "ris")
        with pytest.raises(UnknownName, match="purpose"):
            dataset.default_split("test")
