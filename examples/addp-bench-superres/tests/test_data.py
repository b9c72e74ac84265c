"""Where pictures come from, and what is shown of them."""

import numpy as np
import pytest
from addp_bench_superres.data import Folder, TabletopPictures, split_of
from addp_bench_superres.pictures import enlarged, resized
from PIL import Image

from addp_bench.errors import BadData, BadOption, BenchError, UnknownName


def test_what_is_shown_holds_only_what_the_small_picture_holds():
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    small = resized(picture, (4, 4))
    assert np.array_equal(enlarged(picture, 4), resized(small, (16, 16)))
    assert enlarged(picture, 4).shape == picture.shape
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert np.array_equal(enlarged(flat, 2), flat)
    # finer than the small picture can show, so that nothing of it is left
    checks = np.uint8(255) * (np.indices((16, 16)).sum(0) % 2 == 0)[..., None].repeat(3, 2).astype(np.uint8)
    assert np.ptp(enlarged(checks, 4)[4:-4, 4:-4].astype(int)) <= 2


@pytest.mark.parametrize("scale", [2, 4])
def test_a_photograph_of_the_world_is_the_truth_and_its_small_picture_is_shown(scale):
    samples = TabletopPictures(scale).samples("val", "superres")
    sample = samples[3]
    assert (sample.id, sample.image_id) == (samples.ids[3], samples.image_ids[3]) == ("tabletop/val/000003",) * 2
    assert sample.truth.shape == sample.image.shape == (64, 64, 3)
    assert np.array_equal(sample.image, enlarged(sample.truth, scale))
    assert samples.text(3) == sample.text == ""
    blurrier = np.abs(TabletopPictures(4).samples("val", "superres")[3].image.astype(int) - sample.truth).mean()
    assert np.abs(sample.image.astype(int) - sample.truth).mean() <= blurrier


def test_scales_are_other_data_with_another_protocol():
    two, four = TabletopPictures(2), TabletopPictures(4)
    assert two.card().fingerprint != four.card().fingerprint
    assert (two.protocol("superres"), four.protocol("superres")) == ("superres_x2", "superres_x4")
    assert four.card().counts["val"] == len(four.samples("val", "superres"))


@pytest.mark.parametrize("size", [66, 16, 0])
def test_a_size_that_is_no_multiple_or_too_small_is_refused(size):
    with pytest.raises(BadOption, match="multiple of its scale 4"):
        TabletopPictures(4, size)
    with pytest.raises(BadOption, match=f"size={size}"):
        Folder("anywhere", 4, size)


def test_options_are_read_from_the_command_line(registry):
    assert registry.build("dataset", "superres_tabletop:scale=2").protocol("superres") == "superres_x2"
    with pytest.raises(BenchError, match="2, 4"):
        registry.build("dataset", "superres_tabletop:scale=3")
    with pytest.raises(BenchError, match="superres_folder needs path"):
        registry.build("dataset", "superres_folder")


def test_a_folder_gives_each_photograph_to_one_split_and_keeps_it_there(photographs):
    root = photographs(60)
    folder = Folder(str(root), 2, 32)
    by_split = {split: set(folder.samples(split, "superres").ids) for split in folder.splits()}
    assert sum(map(len, by_split.values())) == 60 == len(set.union(*by_split.values()))
    assert all(by_split.values())
    assert len(by_split["train"]) > 30
    assert folder.card().counts == {split: len(ids) for split, ids in by_split.items()}
    (root / "another.png").write_bytes((root / "holiday 0" / "000.png").read_bytes())
    again = Folder(str(root), 2, 32)
    assert all(by_split[split] <= set(again.samples(split, "superres").ids) for split in folder.splits())
    assert again.card().fingerprint != folder.card().fingerprint


def test_splits_are_shares_of_names():
    names = [f"photograph {i}" for i in range(4000)]
    shares = {split: sum(split_of(name) == split for name in names) / len(names) for split in ("train", "stats", "val")}
    assert shares["train"] == pytest.approx(204 / 256, abs=0.03)
    assert shares["stats"] == pytest.approx(26 / 256, abs=0.02)
    # as sha256sum says of these names: c7, cc, e4 and eb in front; the same on every machine and in every process
    assert [split_of(f"photograph {i}") for i in (15, 24, 6, 11)] == ["train", "stats", "stats", "val"]


def test_a_photograph_is_cut_from_its_centre(tmp_path):
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    folder = Folder(str(tmp_path), 2, 40)
    (sample,) = folder.samples(split_of("wide.png"), "superres")
    assert (sample.truth == 200).all()


def test_a_photograph_whose_bytes_changed_is_other_data(photographs):
    root = photographs(12)
    before = Folder(str(root), 2, 32).card().fingerprint
    file = root / "holiday 0" / "000.png"
    Image.fromarray(255 - np.array(Image.open(file))).save(file)
    assert Folder(str(root), 2, 32).card().fingerprint != before


def test_folders_that_cannot_be_used_say_so(photographs, tmp_path):
    with pytest.raises(BadData, match="there is no folder"):
        Folder(str(tmp_path / "nowhere")).card()
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="holds no photograph"):
        Folder(str(tmp_path / "empty")).samples("val", "superres")
    root = photographs(3)
    with pytest.raises(BadData, match=r"000.png is 50 x 70, and size=64"):
        Folder(str(root)).samples(split_of("holiday 0/000.png"), "superres")[0]
    (root / "holiday 0" / "000.png").write_bytes(b"no picture")
    folder = Folder(str(root), 2, 32).samples(split_of("holiday 0/000.png"), "superres")
    with pytest.raises(BadData, match="cannot be read as a photograph"):
        folder[list(folder.ids).index("holiday 0/000.png")]


def test_other_tasks_and_splits_are_unknown(photographs):
    with pytest.raises(UnknownName, match="depth"):
        TabletopPictures().samples("val", "depth")
    with pytest.raises(UnknownName, match="test"):
        Folder(str(photographs(1))).samples("test", "superres")
