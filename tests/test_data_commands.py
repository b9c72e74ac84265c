"""addp-bench data: what there is, under which terms, where it lies, and whether it is whole."""

import json
import shutil
import subprocess
import sys

import data_miniature as make
import pytest

from addp_bench import adopted, checks
from addp_bench.errors import BadOption, StorageProblem
from addp_bench.keys import placeless
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.tasks.coco import CATEGORIES

REAL = {"nyuv2", "kitti", "scannet", "eth3d", "diode", "hypersim", "vkitti2", "ade20k", "coco"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One catalogue for all tests of this file."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _own_home(home, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(home))
    (home / "data.json").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Read only."""
    return make.nyuv2(tmp_path_factory.mktemp("data") / "nyu")


@pytest.fixture
def root(shared, tmp_path):
    """A copy to damage."""
    return shutil.copytree(shared, tmp_path / "nyu")


@pytest.fixture(scope="module")
def registry():
    return load().registry


def answered(shell, *arguments):
    code, out, _ = shell("data", *arguments, "--json")
    return code, json.loads(out)


def test_every_dataset_is_listed_with_its_terms_and_how_to_get_it(shell):
    code, known = answered(shell, "list")
    assert code == 0
    told = {one["name"]: one for one in known}
    assert set(told) >= REAL | {"refcoco", "refcocoplus", "refcocog", "tabletop"}
    for name in REAL | {"refcoco"}:
        assert told[name]["here"] == f"no; addp-bench data adopt {name} PATH"
        assert all(told[name][fact] not in ("", "not stated") for fact in ("what", "licence", "access", "citation"))
    assert told["tabletop"]["here"] == "made when it is asked for"
    assert "signed" in told["scannet"]["licence"]
    assert "registration by e-mail, by yourself" in told["kitti"]["access"]
    _, out, _ = shell("data", "list")
    assert "hypersim  Hypersim: photorealistic renderings" in out
    assert "  size      about 1.9 TB in full" in out


def test_the_terms_of_one(shell):
    code, out, _ = shell("data", "license", "diode")
    assert code == 0
    for piece in ("licence   MIT", "citation  Vasiljevic", "published val 771", "5c895d09201b88973c8fe4552a67dd85"):
        assert piece in out
    assert answered(shell, "license", "nyu")[1]["name"] == "nyuv2"  # an alias
    code, _, err = shell("data", "license", "nyuv3")
    assert code == 2
    assert "Did you mean 'nyuv2'" in err


def test_list_and_license_import_nothing_heavy(home):
    assert adopted.home() == home
    code = (
        "import sys\nfrom addp_bench.cli import main\n"
        "try:\n    main({0})\nexcept SystemExit as left:\n    assert left.code == 0\n"
        "print([m for m in ('torch', 'numpy', 'mmengine', 'pydantic', 'PIL') if m in sys.modules], file=sys.stderr)"
    )
    for arguments in (["data", "list"], ["data", "license", "kitti"]):
        for _ in range(2):  # the first may make the catalogue
            done = subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True)
        assert (done.returncode, done.stderr.strip()) == (0, "[]")


def test_adopted_data_need_no_path_and_the_place_is_in_no_key(shell, root, registry, tmp_path):
    with pytest.raises(BadOption, match=r"nyuv2 needs path=.*`addp-bench data adopt nyuv2 PATH` remembers it"):
        registry.build("dataset", "nyuv2")
    code, said = answered(shell, "adopt", "nyuv2", root)
    assert (code, said["adopted"]) == (0, True)
    assert ["samples of test", 3, "654", False] in [list(found.values()) for found in said["findings"]]
    assert answered(shell, "list")[1][[one["name"] for one in answered(shell, "list")[1]].index("nyuv2")][
        "here"
    ] == str(root)
    choice = registry.resolve("dataset", Choice("nyu"))
    assert choice.options["path"] == str(root)
    dataset = registry.build("dataset", "nyuv2")
    assert len(dataset.samples("test", "depth")) == 3
    elsewhere = shutil.copytree(root, tmp_path / "elsewhere")
    other = registry.resolve("dataset", Choice("nyuv2", {"path": str(elsewhere)}))
    assert placeless(other) == placeless(choice)
    assert registry.build("dataset", other).card().fingerprint == dataset.card().fingerprint
    assert answered(shell, "adopt", "nyuv2", elsewhere)[1]["adopted"]  # the later place counts
    assert registry.resolve("dataset", Choice("nyuv2")).options["path"] == str(elsewhere)


def test_a_relative_place_is_remembered_as_an_absolute_one(shell, root, monkeypatch):
    monkeypatch.chdir(root.parent)
    assert answered(shell, "adopt", "nyuv2", root.name)[0] == 0
    assert adopted.places() == {"nyuv2": str(root)}


def test_what_cannot_be_read_is_not_adopted(shell, root):
    (root / "test" / "kitchen_0004" / "depth_0001.png").write_text("<html>")
    code, out, _ = shell("data", "adopt", "nyuv2", root)
    assert code == 3
    assert "depth_0001.png cannot be read as an image" in out
    assert "not remembered" in out
    assert adopted.places() == {}
    code, _, err = shell("data", "adopt", "nyuv2", root / "nowhere")
    assert (code, "no folder and no tar" in err) == (2, True)
    code, _, err = shell("data", "adopt", "nyuv2", root / "train")
    assert (code, "holds nothing of split 'test'" in err) == (2, True)
    assert adopted.places() == {}


def test_verify_opens_samples_of_every_split_that_is_here(shell, root):
    shutil.rmtree(root / "train")
    code, said = answered(shell, "verify", f"nyuv2:path={root}", "--each", 2)
    assert code == 3  # three photographs are not 654
    assert said["absent"] == ["train", "train_fit", "stats"]
    assert [(found["what"], found["ok"]) for found in said["findings"]] == [
        ("samples of test", False),
        ("sample 0 of test", True),
        ("sample 2 of test", True),
    ]
    assert said["findings"][1]["found"] == "nyuv2/test/kitchen_0004/0001, 640 x 480"
    code, out, _ = shell("data", "verify", f"nyuv2:path={root}")
    assert "not here: train, train_fit, stats" in out
    (root / "test" / "kitchen_0004" / "rgb_0002.png").unlink()
    (root / "test" / "kitchen_0004" / "depth_0001.png").unlink()
    _, said = answered(shell, "verify", f"nyuv2:path={root}")
    assert "depth_0001.png is missing" in said["findings"][0]["found"]


def test_verify_is_satisfied_where_nothing_is_promised_and_all_can_be_read(shell, dots):
    code, said = answered(shell, "verify", "dots", "--each", 1, "--plugin", dots)
    assert code == 0
    assert said["absent"] == []
    counted = [found for found in said["findings"] if found["what"].startswith("samples of")]
    assert counted
    assert all((found["expected"], found["ok"]) == ("not published", True) for found in counted)
    assert [found["found"] for found in counted] == [24, 14, 12, 0]
    assert len(said["findings"]) == 4 + 3  # nothing can be opened of an empty split


def test_verify_compares_the_checksum_of_an_archive_that_was_kept(shell, tmp_path):
    root = make.diode(tmp_path / "diode")
    (root / "val.tar.gz").write_bytes(b"cut in transit")
    code, said = answered(shell, "verify", f"diode:path={root}", "--each", "1")
    assert code == 3
    assert said["findings"][-1] == {
        "what": "MD5 of val.tar.gz",
        "found": "384a60023097397c58f66abb71cf621a",  # md5sum's
        "expected": "5c895d09201b88973c8fe4552a67dd85",
        "ok": False,
    }


@pytest.mark.parametrize("name", sorted({*REAL} - {"eth3d"}))  # eth3d's photograph is large, and read elsewhere
def test_every_dataset_keeps_the_contract_of_its_kind(name, registry, tmp_path):
    builders = {**vars(make), "coco": lambda root: make.coco(root, dict(CATEGORIES))}
    checks.require(registry, "dataset", Choice(name, {"path": str(builders[name](tmp_path / name))}))


def test_a_place_that_is_gone_is_told(shell, root):
    adopted.adopt("nyuv2", root)
    shutil.rmtree(root)
    known = {one["name"]: one for one in answered(shell, "list")[1]}
    assert known["nyuv2"]["here"] == f"no longer: nothing is at {root}"
    code, _, err = shell("data", "verify", "nyuv2")
    assert (code, f"no folder and no tar {root}" in err) == (2, True)


def test_a_memory_that_cannot_be_read_says_what_to_do(home, shell):
    for broken in ("{", "[]", '{"nyuv2": 3}'):
        (home / "data.json").write_text(broken)
        with pytest.raises(StorageProblem, match=r"data\.json .*remove it, and adopt your data again"):
            adopted.places()
    assert shell("data", "list")[0] == 2


def test_what_has_no_place_cannot_be_adopted(shell, tmp_path, dots):
    code, _, err = shell("data", "adopt", "dots", tmp_path, "--plugin", dots)
    assert code == 2
    assert "dots has no option path" in err
