"""What is said of depth datasets whose files are missing, damaged or not what their layout says."""

import shutil

import data_miniature as make
import numpy as np
import pytest
from data_miniature import DEPTH, depth_sets, pack, scenery
from PIL import Image

from addp_bench.errors import BadData
from addp_bench.tasks.eth3d import Eth3d
from addp_bench.tasks.hypersim import Hypersim
from addp_bench.tasks.kitti import Kitti


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """name -> folder; read only."""
    return depth_sets(tmp_path_factory.mktemp("depth"))


def gray8(file):
    Image.fromarray(np.full((480, 640), 7, np.uint8)).save(file)


def smaller(file):
    Image.fromarray(np.full((240, 320), 7, np.uint16)).save(file)


def turned(file):
    Image.fromarray(make.counts(480, 640).T.copy()).save(file)


def no_image(file):
    file.write_text("<html>Not found</html>")


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


NYU_DEPTH = "test/kitchen_0004/depth_0001.png"
NYU_PHOTO = "test/kitchen_0004/rgb_0001.png"
SCAN = "scene0011_00/depth/000300.png"
STEM = make.DIODE[0]
LISTED = "kitti_depth/eigen_test_files_with_gt.txt"
DRIVE = "2011_09_26_drive_0002_sync"
GROUND = f"{DRIVE}/proj_depth/groundtruth/image_02/0000000069.png"


def lists(line):
    return lambda file: file.write_text(line)


DAMAGE = {
    "no folder": ("nyuv2", ".", shutil.rmtree, "there is no folder and no tar"),
    "nothing of it": ("nyuv2", "test", shutil.rmtree, r"holds nothing of split 'test' .*the tar nyu_labeled_extracted"),
    "depth missing": ("nyuv2", NYU_DEPTH, lambda f: f.unlink(), rf"{NYU_DEPTH} is missing; it belongs to split 'test'"),
    "8 bits": ("nyuv2", NYU_DEPTH, gray8, rf"{NYU_DEPTH} is a picture of mode L; expected a 16-bit gray PNG"),
    "another size": ("nyuv2", NYU_DEPTH, smaller, rf"{NYU_DEPTH} is 320 x 240 pixels; expected 640 x 480"),
    "photograph cut": ("nyuv2", NYU_PHOTO, cut, rf"{NYU_PHOTO} cannot be read as an image"),
    "depth no image": ("nyuv2", NYU_DEPTH, no_image, rf"{NYU_DEPTH} cannot be read as an image"),
    "photograph of another size": (
        "scannet", SCAN, smaller,
        rf"{SCAN} is 320 x 240 pixels and its photograph scene0011_00/color/000300.jpg is 640 x 480",
    ),
    "depth turned": ("scannet", SCAN, turned, f"{SCAN} is 480 x 640 pixels and its photograph .* is 640 x 480"),
    "scan without depth": ("scannet", SCAN, lambda f: f.unlink(), f"{SCAN} is missing"),
    "scan cut": ("scannet", SCAN, cut, f"{SCAN} cannot be read as an image"),
    "no list": ("kitti", LISTED, lambda f: f.unlink(), "which photographs are split 'test' of kitti is told by a list"),
    "list of one column": ("kitti", LISTED, lists("\nlonely"), "line 2: 'lonely' names no depth"),
    "list that leads out": ("kitti", LISTED, lists("../../x.png y.png"), "line 1.*leads outside"),
    "list of something else": ("kitti", LISTED, lists("a/b.png y.png"), "line 1: a/b.png is not where kitti has its"),
    "list not text": ("kitti", LISTED, lambda f: f.write_bytes(b"\xff\xfe\xff"), "cannot be read as a list of names"),
    "list twice": (
        "kitti", LISTED, lambda f: f.write_text("\n".join([f.read_text().splitlines()[0]] * 2)),
        f"two photographs would be sample kitti/test/{DRIVE}/0000000069",
    ),
    "sweep missing": ("kitti", GROUND, lambda f: f.unlink(), f"{GROUND} is missing"),
    "too small to crop": ("kitti", GROUND, smaller, "0000000069.png is 320 x 240 pixels and its photograph"),
    "mask missing": ("diode", f"{STEM}_depth_mask.npy", lambda f: f.unlink(), "_depth_mask.npy is missing"),
    "mask of another size": ("diode", f"{STEM}_depth_mask.npy", lambda f: np.save(f, np.ones((2, 3))), "must be equal"),
    "depth cut": ("diode", f"{STEM}_depth.npy", cut, "_depth.npy cannot be read as a .npy of numbers"),
    "a pickle": (
        "diode", f"{STEM}_depth.npy", lambda f: np.save(f, np.array([{"a": 1}], object), allow_pickle=True),
        "_depth.npy cannot be read as a .npy of numbers",
    ),
    "a cube": ("diode", f"{STEM}_depth.npy", lambda f: np.save(f, np.ones((4, 4, 4))), r"of shape \(4, 4, 4\)"),
    "rendering missing": (
        "vkitti2", "depth/Scene02/clone/frames/depth/Camera_0/depth_00001.png", lambda f: f.unlink(),
        "Camera_0/depth_00001.png is missing",
    ),
    "rendering no image": (
        "vkitti2", "rgb/Scene02/clone/frames/rgb/Camera_0/rgb_00001.jpg", no_image,
        "rgb_00001.jpg cannot be read as an image",
    ),
    "rendering in colour": (
        "vkitti2", "depth/Scene02/clone/frames/depth/Camera_0/depth_00001.png",
        lambda f: Image.fromarray(scenery(375, 1242)).save(f), "is a picture of mode RGB; expected a 16-bit gray PNG",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name, file, damage, words", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_give_one_line_that_names_them(name, file, damage, words, shared, tmp_path):
    root = shutil.copytree(shared[name], tmp_path / name)
    damage(root / file)
    kind, _, _, split, _ = DEPTH[name]
    with pytest.raises(BadData, match=words) as error:
        kind(root).samples(split, "depth")[0]
    assert "\n" not in str(error.value)


def test_a_photograph_that_is_smaller_than_the_crop_is_refused_by_name(shared, tmp_path):
    root = shutil.copytree(shared["kitti"], tmp_path / "kitti")
    smaller(root / GROUND)
    make.save(root / f"2011_09_26/{DRIVE}/image_02/data/0000000069.png", scenery(240, 320))
    with pytest.raises(BadData, match=r"0000000069.*320 x 240 pixels, smaller than KITTI's crop of 1216 x 352"):
        Kitti(root).samples("test", "depth")[0]


@pytest.mark.parametrize("name", DEPTH)
def test_a_cut_tar_is_refused(name, shared, tmp_path):
    kind, _, tar, split, _ = DEPTH[name]
    file = pack(shared[name], tmp_path / tar)
    if name == "kitti":
        shutil.copytree(shared[name] / "kitti_depth", tmp_path / "kitti_depth")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for ask in (lambda: kind(tmp_path).samples(split, "depth"), kind(tmp_path).card):
        with pytest.raises(BadData, match=tar):
            ask()


ETH_PHOTO = "rgb/courtyard/images/dslr_images/DSC_0219.JPG"
ETH_DEPTH = "depth/courtyard_dslr_depth/courtyard/ground_truth_depth/dslr_images/DSC_0219.JPG"


@pytest.fixture
def eth3d(tmp_path):
    """ETH3D's layout with a small photograph, and depth of as few bytes."""
    make.save(tmp_path / "eth3d" / ETH_PHOTO, scenery(40, 60))
    (tmp_path / "eth3d" / ETH_DEPTH).parent.mkdir(parents=True)
    (tmp_path / "eth3d" / ETH_DEPTH).write_bytes(bytes(4 * 40 * 60))
    return tmp_path / "eth3d"


@pytest.mark.parametrize(
    "file, damage, words",
    [
        (".", shutil.rmtree, "there is no folder and no tar"),
        (ETH_DEPTH, lambda f: f.unlink(), f"{ETH_DEPTH} is missing"),
        (ETH_DEPTH, lambda f: None, rf"{ETH_DEPTH} has 9600 bytes; expected 97542144"),
        (ETH_PHOTO, cut, f"{ETH_PHOTO} cannot be read as an image"),
        (ETH_PHOTO, no_image, f"{ETH_PHOTO} cannot be read as an image"),
        ("eth3d_filename_list.txt", lists(f"../../x.JPG {ETH_DEPTH}"), "line 1.*leads outside"),
        ("eth3d_filename_list.txt", lists(f"{ETH_PHOTO} /etc/passwd"), "line 1.*leads outside"),
    ],
)
def test_damaged_eth3d_files_give_one_line_that_names_them(file, damage, words, eth3d):
    damage(eth3d / file)
    with pytest.raises(BadData, match=words) as error:
        Eth3d(eth3d).samples("test", "depth")[0]
    assert "\n" not in str(error.value)


def test_a_cut_tar_of_eth3d_is_refused(eth3d, tmp_path):
    file = pack(eth3d, tmp_path / "eth3d.tar")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BadData, match=r"eth3d\.tar"):
        Eth3d(file).samples("test", "depth")


HYPER_DEPTH = "val/ai_003_004/depth_plane_cam_00_fr0003.png"
HYPER_PHOTO = "val/ai_003_004/rgb_cam_00_fr0003.png"


@pytest.mark.parametrize(
    "file, damage, words",
    [
        (HYPER_DEPTH, lambda f: f.unlink(), r"depth_plane_cam_00_fr0003\.png is missing"),
        (HYPER_DEPTH, gray8, r"depth_plane_cam_00_fr0003\.png is a picture of mode L; expected a 16-bit gray PNG"),
        (HYPER_DEPTH, smaller, r"depth_plane_cam_00_fr0003\.png is 320 x 240 pixels and its photograph"),
        (HYPER_PHOTO, cut, r"rgb_cam_00_fr0003\.png cannot be read as an image"),
    ],
)
def test_damaged_files_of_prepared_hypersim_give_one_line_that_names_them(file, damage, words, tmp_path):
    root = make.hypersim(tmp_path / "hypersim")
    damage(root / file)
    with pytest.raises(BadData, match=words) as error:
        Hypersim(root).samples("val", "depth")[0]
    assert "\n" not in str(error.value)


def test_a_cut_tar_of_hypersim_is_refused(tmp_path):
    file = pack(make.hypersim(tmp_path / "hypersim") / "val", tmp_path / "tars" / "hypersim_processed_val.tar")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BadData, match=r"hypersim_processed_val\.tar"):
        Hypersim(tmp_path / "tars").samples("val", "depth")


RAW = "ai_001_001/images/scene_cam_00"


@pytest.mark.parametrize(
    "file, damage, words",
    [
        ("metadata_images_split_scene_v1.csv", lambda f: f.unlink(), "metadata_images_split_scene_v1.csv is missing"),
        ("metadata_images_split_scene_v1.csv", lists("scene_name\nai_1"), "line 2: expected scene_name, camera_name"),
        (f"{RAW}_final_hdf5/frame.0000.color.hdf5", lambda f: f.unlink(), "color.hdf5 is missing"),
        (f"{RAW}_final_hdf5/frame.0000.color.hdf5", cut, "color.hdf5 cannot be read as HDF5"),
        (f"{RAW}_geometry_hdf5/frame.0000.depth_meters.hdf5", no_image, "depth_meters.hdf5 cannot be read as HDF5"),
    ],
)
def test_damaged_hypersim_files_give_one_line_that_names_them(file, damage, words, tmp_path):
    root = make.hypersim_raw(tmp_path)
    damage(root / file)
    with pytest.raises(BadData, match=words) as error:
        Hypersim(root, files="raw").samples("train", "depth")[0]
    assert "\n" not in str(error.value)
