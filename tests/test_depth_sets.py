"""The depth datasets from files in their published layouts, from folders and tars, and what is said of broken ones."""

import logging
import shutil

import data_miniature as make
import numpy as np
import pytest
from data_miniature import DEPTH, PLAIN, depth_sets, pack, scenery

from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.tasks import hypersim
from addp_bench.tasks.diode import Diode
from addp_bench.tasks.driving import benchmark_crop
from addp_bench.tasks.eth3d import Eth3d
from addp_bench.tasks.hypersim import Hypersim
from addp_bench.tasks.kitti import Kitti
from addp_bench.tasks.nyuv2 import NyuV2
from addp_bench.tasks.scannet import ScanNet
from addp_bench.tasks.vkitti2 import VirtualKitti2


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """name -> folder; read only."""
    root = tmp_path_factory.mktemp("depth")
    return {**depth_sets(root), "hypersim": make.hypersim(root / "hypersim")}


def first(samples):
    return samples[0]


# ------------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("name", DEPTH)
def test_a_folder_and_a_tar_hold_the_same_samples(name, shared, tmp_path):
    kind, _, tar, split, number = DEPTH[name]
    folder = shared[name]
    inside = tmp_path / "bundle"
    pack(folder, inside / tar)
    if name == "kitti":  # its list is no part of the tar
        shutil.copytree(folder / "kitti_depth", inside / "kitti_depth")
    ways = [kind(folder), kind(inside), kind(inside / tar)]
    cards = [way.card() for way in ways]
    assert len({card.fingerprint for card in cards}) == 1
    assert cards[0].counts[split] == number
    loaded = [way.samples(split, "depth") for way in ways]
    for samples in loaded:
        assert len(samples) == number
        assert samples.ids == loaded[0].ids
        assert samples.image_ids == loaded[0].image_ids
        one, other = samples[number - 1], loaded[0][number - 1]
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.truth, other.truth)
        assert one.image.dtype == np.uint8
        assert one.truth.dtype == np.float32
        assert one.image.shape == (*one.truth.shape, 3)
        assert (one.text, samples.text(0)) == ("", "")


def test_nyu_is_millimetres_of_the_sensor_and_not_the_filled_ones(shared):
    sample = NyuV2(shared["nyuv2"]).samples("test", "depth")[0]
    assert (sample.id, sample.image_id) == ("nyuv2/test/kitchen_0004/0001", "nyuv2/kitchen_0004/0001")
    truth = sample.truth
    assert truth.shape == (480, 640)
    assert truth[0, 0] == np.float32(12.345)
    assert truth[30, 40] == 0
    assert truth[200, 300] == np.float32(65.535)  # what is too far is for the protocol to say
    assert truth[-1, -1] == np.float32(4.321)
    assert truth[1, 1] == np.float32(PLAIN / 1000)
    assert np.array_equal(sample.image, scenery(480, 640))
    assert sample.attributes == {
        "scene": "kitchen_0004",
        "kind": "kitchen",
        "environment": "indoor",
        "known": 1 - 1 / (480 * 640),
    }
    assert NyuV2(shared["nyuv2"]).samples("test", "depth")[2].attributes["kind"] == "living_room"


def test_nyu_statistics_come_from_scenes_that_are_not_trained_on(shared):
    dataset = NyuV2(shared["nyuv2"])
    fit, stats, train = (dataset.samples(split, "depth") for split in ("train_fit", "stats", "train"))
    assert [dataset.default_split(p) for p in ("train", "stats", "eval")] == ["train_fit", "stats", "test"]
    assert len(train) == 4
    assert sorted([*fit.image_ids, *stats.image_ids]) == sorted(train.image_ids)
    scenes = [{name.split("/")[1] for name in part.image_ids} for part in (fit, stats)]
    assert len(scenes[1]) == 1  # a twentieth of three, rounded up
    assert not scenes[0] & scenes[1]


def test_the_other_files_of_nyu_are_other_data_with_test_alone(tmp_path, shared):
    dataset = NyuV2(make.nyuv2_bts(tmp_path), files="bts")
    sample = dataset.samples("test", "depth")[1]
    assert sample.id == "nyuv2/test/bts/living_room/00045"
    assert sample.truth[0, 0] == np.float32(12.345)
    assert sample.attributes["kind"] == "living_room"
    assert dataset.splits() == ("test",)
    assert dataset.default_split("eval") == "test"
    with pytest.raises(BadOption, match="no split for 'train'"):
        dataset.default_split("train")
    with pytest.raises(BadData, match=r"holds nothing of split 'test' of nyuv2: .*kitchen_0004/rgb_0001\.png"):
        NyuV2(tmp_path).samples("test", "depth")
    with pytest.raises(BadData, match=r"expected photographs such as test/kitchen/rgb_00045\.jpg"):
        NyuV2(shared["nyuv2"], files="bts").samples("test", "depth")


def test_kitti_is_cropped_from_the_bottom_and_the_middle(shared):
    samples = Kitti(shared["kitti"]).samples("test", "depth")
    assert samples.ids[0] == "kitti/test/2011_09_26_drive_0002_sync/0000000069"
    sample = samples[0]
    assert sample.truth.shape == (352, 1216)
    assert np.array_equal(sample.image, scenery(375, 1242)[23:375, 13:1229])
    assert sample.truth[200 - 23, 300 - 13] == np.float32(65535 / 256)
    assert sample.truth[30 - 23, 40 - 13] == 0
    assert sample.truth[10, 10] == np.float32(PLAIN / 256)
    whole = Kitti(shared["kitti"], crop="none").samples("test", "depth")[0]
    assert whole.truth.shape == (375, 1242)
    assert whole.truth[0, 0] == 48.22265625  # 12345 / 256
    assert Kitti(shared["kitti"]).card().fingerprint != Kitti(shared["kitti"], crop="none").card().fingerprint


@pytest.mark.parametrize(
    "height, width, rows, columns",
    [
        (375, 1242, (23, 375), (13, 1229)),
        (370, 1224, (18, 370), (4, 1220)),
        (374, 1238, (22, 374), (11, 1227)),
        (376, 1241, (24, 376), (12, 1228)),
    ],
)
def test_the_benchmark_crop_of_every_size_of_kitti(height, width, rows, columns):
    values = np.arange(height * width).reshape(height, width)
    assert np.array_equal(benchmark_crop(values, "x.png"), values[slice(*rows), slice(*columns)])


def test_kitti_leaves_out_what_has_no_truth_and_finds_unmerged_archives(tmp_path, shared):
    dataset = Kitti(make.kitti(tmp_path, below="val/"))
    samples = dataset.samples("test", "depth")
    assert samples.ids == Kitti(shared["kitti"]).samples("test", "depth").ids
    assert not any("0000000042" in name for name in samples.ids)
    assert np.array_equal(samples[1].truth, Kitti(shared["kitti"]).samples("test", "depth")[1].truth)


def test_virtual_kitti_is_centimetres_without_sky_in_six_variants(shared):
    dataset = VirtualKitti2(shared["vkitti2"], crop="none")
    samples = dataset.samples("train", "depth")
    assert samples.ids == [
        "vkitti2/train/Scene02/clone/Camera_0/00001",
        "vkitti2/train/Scene02/sunset/Camera_1/00001",
        "vkitti2/train/Scene20/15-deg-left/Camera_1/00001",
    ]
    assert dataset.samples("val", "depth").ids == ["vkitti2/val/Scene01/clone/Camera_0/00001"]
    truth = samples[0].truth
    assert truth[0, 0] == 0  # 123.45 m is beyond 80
    assert truth[200, 300] == 0  # the sky
    assert truth[31, 41] == 0  # 80 m itself
    assert truth[-1, -1] == np.float32(43.21)
    assert VirtualKitti2(shared["vkitti2"]).samples("train", "depth")[0].truth.shape == (352, 1216)


def test_scannet_names_scans_of_one_place(shared):
    samples = ScanNet(shared["scannet"]).samples("val", "depth")
    assert samples.ids[0] == "scannet/val/scene0011_00/000300"
    assert [s.attributes["place"] for s in samples] == ["scene0011", "scene0011", "scene0700"]
    assert samples[0].truth[0, 0] == np.float32(12.345)


def test_diode_knows_by_its_mask_alone_how_far_it_sees(shared):
    samples = Diode(shared["diode"]).samples("val", "depth")
    for sample in (samples[0], samples[1]):  # with and without the trailing axis
        truth = sample.truth
        assert truth.shape == (768, 1024)
        assert truth[0, 0] == 300.5  # beyond any sensor, and masked in
        assert truth[0, 1] == 0  # masked out
        assert truth[0, 2] == truth[5, 6] == 0  # not a number, and no distance
        assert truth[1, 1] == 3.25
    assert [s.attributes["environment"] for s in samples] == ["indoor", "indoor", "outdoor"]
    parts = [Diode(shared["diode"]).samples(part, "depth") for part in ("indoors", "outdoor")]
    assert [len(part) for part in parts] == [2, 1]
    assert [*parts[0].image_ids, *parts[1].image_ids] == samples.image_ids


def test_diode_may_keep_the_folder_of_its_archive(shared, tmp_path):
    shutil.copytree(shared["diode"], tmp_path / "val")
    dataset = Diode(tmp_path)
    assert dataset.samples("val", "depth").ids == Diode(shared["diode"]).samples("val", "depth").ids
    make.write_list(
        tmp_path / "diode_depth" / "diode_val_indoor_filename_list.txt",
        [f"{make.DIODE[1]}.png {make.DIODE[1]}_depth.npy {make.DIODE[1]}_depth_mask.npy"],
    )
    sample = first(Diode(tmp_path).samples("indoors", "depth"))
    assert sample.id == f"diode/indoors/{make.DIODE[1]}"
    assert sample.truth[0, 0] == 300.5


def test_eth3d_is_raw_floats_and_what_is_infinite_is_unknown(tmp_path):
    folder = make.eth3d(tmp_path / "eth3d")
    dataset = Eth3d(folder)
    samples = dataset.samples("test", "depth")
    assert samples.ids == ["eth3d/test/courtyard/DSC_0219"]
    sample = samples[0]
    assert sample.truth.shape == (4032, 6048)
    assert sample.truth[0, :4].tolist() == [1.5, 0, 0, 0]
    assert sample.truth[-1, -1] == 2.0
    assert (sample.truth > 0).sum() == 2
    packed = Eth3d(pack(folder, tmp_path / "eth3d.tar"))
    assert packed.card().fingerprint == dataset.card().fingerprint
    assert np.array_equal(packed.samples("test", "depth")[0].truth, sample.truth)
    depth = folder / "depth/courtyard_dslr_depth/courtyard/ground_truth_depth/dslr_images/DSC_0219.JPG"
    depth.write_bytes(depth.read_bytes()[:-4])
    with pytest.raises(BadData, match=r"DSC_0219\.JPG has 97542140 bytes; expected 97542144, .*4032 x 6048 float32"):
        Eth3d(folder).samples("test", "depth")[0]


def test_hypersim_as_marigold_prepares_it_from_folders_and_tars(shared, tmp_path):
    for split in make.HYPERSIM:
        pack(shared["hypersim"] / split, tmp_path / f"hypersim_processed_{split}.tar")
    folder, packed = Hypersim(shared["hypersim"]), Hypersim(tmp_path)
    assert folder.card().fingerprint == packed.card().fingerprint
    assert folder.card().counts == {"train": 2, "val": 1}  # of test nothing is here
    for dataset in (folder, packed):
        samples = dataset.samples("train", "depth")
        assert samples.ids == ["hypersim/train/ai_001_002/cam_00/0000", "hypersim/train/ai_001_002/cam_01/0017"]
        truth = samples[0].truth
        assert truth[0, 0] == np.float32(12.345)
        assert truth[200, 300] == 0  # 65.535 m, where 16 bits end
        assert (truth[32, 42], truth[33, 43]) == (0, np.float32(64.999))
        assert dataset.samples("val", "depth").image_ids == ["hypersim/ai_003_004/cam_00/0003"]
    with pytest.raises(BadData, match=r"is one split; give hypersim the folder that holds hypersim_processed_val\.tar"):
        Hypersim(tmp_path / "hypersim_processed_train.tar").samples("val", "depth")
    assert len(Hypersim(tmp_path / "hypersim_processed_train.tar").samples("train", "depth")) == 2


def test_the_distance_to_the_camera_is_not_depth():
    depth = hypersim.depth_of(np.full((768, 1024), 10.0))
    row_column = [(0, 0), (0, 1023), (383, 0), (383, 511)]
    assert [float(depth[place]) for place in row_column] == pytest.approx(
        [8.111886, 8.111886, 8.662367, 9.999997], abs=1e-6
    )
    assert int(1000 * depth[0, 0]) == 8111


def test_hypersim_as_published_is_tone_mapped_and_turned_into_depth(tmp_path):
    dataset = Hypersim(make.hypersim_raw(tmp_path), files="raw")
    assert dataset.card().counts == {"train": 1, "val": 1}
    sample = first(dataset.samples("train", "depth"))
    assert sample.id == "hypersim/train/ai_001_001/cam_00/0000"
    assert sample.truth[0, 0] == pytest.approx(8.111886, abs=1e-6)
    assert sample.truth[100, 100] == sample.truth[101, 100] == 0  # not a number, and infinite
    # the 90th percentile of the brightness is 1, which becomes 0.8: 255 x 0.8 = 204
    assert set(sample.image[700, 600]) <= {203, 204}  # floor of a number that rounding leaves just below or above
    assert sample.image[700, 100].tolist() == [148, 148, 148]  # half the light: 255 x 0.8 x 0.5^(1/2.2) = 148.87, cut
    assert sample.image[0, 0].tolist() == [255, 255, 255]  # brighter than white, and no part of the percentile


def test_tone_mapping_by_hand():
    ramp = np.repeat(np.linspace(0, 1, 11)[None, :, None], 3, 2)  # the 90th percentile of its light is 0.9
    assert hypersim.tone_mapped(ramp, np.ones((1, 11), bool))[0, 10].tolist() == [214] * 3  # 204 x (1 / 0.9)^(1/2.2)
    colour = np.tile([0.5, 1.0, 0.0], (4, 5, 1))  # its light is 0.15 + 0.59 = 0.74
    shown = hypersim.tone_mapped(colour, np.ones((4, 5), bool))
    assert shown[0, 0].tolist() == [170, 233, 0]  # 204 x (0.5 / 0.74)^(1/2.2) = 170.7, 204 x (1 / 0.74)^(1/2.2) = 233.9


@pytest.mark.parametrize(
    "light, known, expected",
    [
        (0.00005, True, 0),  # too dark to be scaled
        (0.5, False, 186),  # nothing is known: not scaled; 255 x 0.5^(1/2.2) = 186.08
        (0.25, True, 204),
        (-1.0, False, 0),
    ],
)
def test_the_ends_of_tone_mapping(light, known, expected):
    shown = hypersim.tone_mapped(np.full((4, 5, 3), light), np.full((4, 5), known))
    assert shown.dtype == np.uint8
    assert abs(int(shown[0, 0, 0]) - expected) <= (expected == 204)


# ------------------------------------------------------------------------------------------------ splits and lists


def test_a_list_beside_the_files_says_what_belongs_to_a_split(shared, tmp_path, caplog):
    root = shutil.copytree(shared["nyuv2"], tmp_path / "nyu")
    lines = [
        f"test/{photo.split('/')[0]}/{kind}_{photo.split('/')[1]}.png"
        for photo in ("living_room_0012/0007", "kitchen_0004/0002")
        for kind in ("rgb", "depth", "filled")
    ]
    text = [" ".join(lines[:3]), "", " ".join(lines[3:])]
    for place in ("filename_list_test.txt", "data_split/nyu_depth/labeled/filename_list_test.txt"):
        make.write_list(root / place, text)
        with caplog.at_level(logging.WARNING):
            samples = NyuV2(root).samples("test", "depth")
        assert samples.ids == ["nyuv2/test/living_room_0012/0007", "nyuv2/test/kitchen_0004/0002"]  # in its order
        (root / place).unlink()
    assert "nyuv2 test: 2 images; published are 654" in caplog.text
    pack(shared["nyuv2"], tmp_path / "tars" / "nyu_labeled_extracted.tar")
    make.write_list(tmp_path / "tars" / "filename_list_test.txt", [f"./{text[0].replace(' ', ' ./')}"])
    for path in (tmp_path / "tars", tmp_path / "tars" / "nyu_labeled_extracted.tar"):
        assert NyuV2(path).samples("test", "depth").ids == ["nyuv2/test/living_room_0012/0007"]


def test_published_counts(shared):
    counts = {kind.name: dict(kind.about.published) for kind in (NyuV2, Kitti, Eth3d, ScanNet, Diode)}
    judged = {"nyuv2": "test", "kitti": "test", "eth3d": "test", "scannet": "val", "diode": "val"}
    assert {name: counts[name][split] for name, split in judged.items()} == {
        "nyuv2": 654, "kitti": 652, "eth3d": 454, "scannet": 800, "diode": 771,
    }  # fmt: skip
    assert counts["diode"]["indoors"] + counts["diode"]["outdoor"] == 771
    assert dict(VirtualKitti2.about.published) == {"train": 2796 + 3240 + 4068 + 10044, "val": 5364}
    assert sum(Hypersim.about.published.values()) == 53885 + 7370 + 7682


@pytest.mark.parametrize("name, purposes", [("scannet", ["eval"]), ("kitti", ["eval"]), ("diode", ["eval"])])
def test_what_is_judged_on_alone_says_so_when_it_is_to_be_trained_on(name, purposes, shared):
    dataset = DEPTH[name][0](shared[name])
    for purpose in ("train", "stats", "eval"):
        if purpose in purposes:
            assert dataset.default_split(purpose) in dataset.splits()
        else:
            with pytest.raises(BadOption, match=f"{name} is to be judged on and has no split for '{purpose}'"):
                dataset.default_split(purpose)
    assert dataset.protocol("depth") == name


def test_what_is_for_training_says_so_when_it_is_to_be_judged_on(shared):
    for dataset in (VirtualKitti2(shared["vkitti2"]), Hypersim(shared["hypersim"])):
        assert [dataset.default_split(purpose) for purpose in ("train", "stats")] == ["train", "val"]
        with pytest.raises(BadOption, match=f"{dataset.name} is to be trained on and has no split for 'eval'"):
            dataset.default_split("eval")
        with pytest.raises(BadOption, match="no published protocol judges on it"):
            dataset.protocol("depth")


def test_unknown_splits_tasks_and_purposes_are_refused(shared):
    dataset = NyuV2(shared["nyuv2"])
    with pytest.raises(UnknownName, match=r"split of nyuv2 is called 'tset'\. Did you mean 'test'"):
        dataset.samples("tset", "depth")
    with pytest.raises(UnknownName, match="task of dataset nyuv2 is called 'ris'"):
        dataset.samples("test", "ris")
    with pytest.raises(UnknownName, match="purpose"):
        dataset.default_split("fun")


def test_the_fingerprint_follows_names_and_sizes(shared, tmp_path):
    root = shutil.copytree(shared["scannet"], tmp_path / "scannet")
    before = ScanNet(root).card().fingerprint
    assert before == ScanNet(shared["scannet"]).card().fingerprint
    (root / "notes.txt").write_text("not of the layout")
    assert ScanNet(root).card().fingerprint == before
    depth = root / "scene0011_00" / "depth" / "000300.png"
    depth.write_bytes(depth.read_bytes() + b"\0")
    grown = ScanNet(root).card().fingerprint
    depth.unlink()
    assert len({before, grown, ScanNet(root).card().fingerprint}) == 3
