"""The dataset: truth of every task, shards that verify and heal, and what it promises."""

import hashlib
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest

from addp_bench.errors import BadOption, StorageProblem, UnknownName
from addp_bench.tasks.tabletop import blind, dataset, gates, shards
from addp_bench.tasks.tabletop.dataset import Tabletop
from addp_bench.tasks.tabletop.render import render
from addp_bench.tasks.tabletop.sheet import overlaid
from addp_bench.tasks.tabletop.splits import make
from addp_bench.tasks.tabletop.words import VOCABULARY

SMALL = 8  # scenes of a shard in these tests
GOLDEN = [
    "1a4152d74ab153e5",
    "842337f133cad855",
    "97ae987dd0d576a9",
    "3a70a64256b7c052",
]  # images, depth, instance, text


@pytest.fixture(scope="module")
def small():
    patch = pytest.MonkeyPatch()
    patch.setattr(shards, "SCENES", SMALL)
    patch.setattr(dataset, "SCENES", SMALL)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def world(small, tmp_path_factory):
    return Tabletop(path=str(tmp_path_factory.mktemp("tabletop")))


def test_the_same_version_gives_the_same_bytes():
    """If this fails, what is generated has changed: raise VERSION, and then these."""
    made = make("val", range(3))
    rendering = render([one.scene for one in made])
    said = "\n".join(e.text for one in made for e in one.expressions)
    parts = [rendering.images.tobytes(), rendering.depth.tobytes(), rendering.instance.tobytes(), said.encode()]
    assert [hashlib.sha256(part).hexdigest()[:16] for part in parts] == GOLDEN


def test_the_class_of_a_photograph_is_the_colour_of_the_solid_that_shows_most(world):
    samples, asked = world.samples("val", "probe"), world.samples("val", "ris")
    assert samples.vocabulary == ("orange", "yellow", "green", "cyan", "blue", "purple", "pink", "red")
    assert samples.text(0) == ""
    clear = []
    for i in range(2 * SMALL):
        sample, hints = samples[i], asked[2 * i].hints
        pixels = [int((hints["instance"] == k + 1).sum()) for k in range(len(hints["objects"]))]
        most = pixels.index(max(pixels))
        assert samples.vocabulary[sample.truth] == sample.attributes["class"] == hints["objects"][most]["colour"]
        assert np.array_equal(sample.image, asked[2 * i].image)
        clear.append(sample.attributes["clear"])
        assert clear[-1] == (max(pixels) >= 1.25 * max(pixels[:most] + pixels[most + 1 :]))
    assert {type(value) for value in clear} == {bool}
    assert 0 < sum(clear) < 2 * SMALL


def test_samples_of_all_tasks_speak_of_one_photograph(world):
    asked = world.samples("val", "ris")
    assert len(asked) == 3000
    assert asked.ids[:3] == ["tabletop/val/000000/0", "tabletop/val/000000/1", "tabletop/val/000001/0"]
    assert asked.image_ids[:3] == ["tabletop/val/000000", "tabletop/val/000000", "tabletop/val/000001"]
    depth, semantic, detection, classification = (
        world.samples("val", task) for task in ("depth", "semantic", "detection", "classification")
    )
    assert (len(classification), classification.vocabulary) == (1500, semantic.vocabulary[1:])
    assert len(depth) == 1500
    for i in range(2 * SMALL + 3):  # across shards
        sample, scene = asked[i], i // 2
        assert sample.id == asked.ids[i]
        assert depth[scene].id == sample.image_id == depth.ids[scene]
        assert np.array_equal(depth[scene].image, sample.image)
        assert sample.image.shape == (64, 64, 3)
        assert sample.truth.dtype == bool
        assert depth[scene].truth.dtype == np.float32
        assert depth[scene].truth.min() > 0
        assert sample.truth.any() != sample.attributes["no_target"]
        assert sample.attributes["share"] == sample.truth.mean()
        labels, boxes = semantic[scene].truth, detection[scene].truth
        classes = world.classes("semantic")
        there = classification[scene]
        assert (there.id, there.truth.dtype) == (sample.image_id, bool)
        assert set(np.flatnonzero(there.truth) + 1) == set(labels.ravel()) - {0}
        assert np.array_equal(there.image, sample.image)
        for k in sample.hints["target"]:
            shape = sample.hints["objects"][k]["shape"]
            assert set(labels[sample.hints["instance"] == k + 1]) == {classes.index(shape)}
            assert world.classes("detection")[boxes.labels[k]] == shape
            x0, y0, x1, y1 = boxes.xyxy[k].astype(int)
            inside = np.zeros((64, 64), bool)
            inside[y0:y1, x0:x1] = True
            assert not (sample.hints["instance"] == k + 1)[~inside].any()
            assert (sample.hints["instance"] == k + 1)[y0].any()
            assert (sample.hints["instance"] == k + 1)[:, x1 - 1].any()
        if sample.attributes["level"] == "L4":
            assert sorted(sample.hints["flipped_text"].split()) == sorted(sample.text.split())
        if sample.hints["distractor"] is not None:
            assert sample.hints["distractor"] not in sample.hints["target"]
            assert set(sample.hints["distractor_text"].split()) <= set(VOCABULARY)


def test_samples_can_be_changed_without_changing_the_split(world):
    samples = world.samples("val", "depth")
    samples[0].image[:] = 0
    samples[0].truth[:] = 0
    assert samples[0].image.any()
    assert samples[0].truth.min() > 0


def test_a_split_can_be_handed_to_a_worker(world):
    samples = pickle.loads(pickle.dumps(world.samples("val", "ris")))
    assert samples[-2 * 1500].id == "tabletop/val/000000/0"


def test_names_that_do_not_exist_are_told(world):
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        world.samples("trian", "ris")
    with pytest.raises(UnknownName, match="task of tabletop"):
        world.samples("train", "flow")
    with pytest.raises(BadOption, match="16 to 1024"):
        Tabletop(size=4)
    with pytest.raises(IndexError):
        world.samples("val", "ris")[3000]


def test_a_damaged_shard_is_noticed_and_made_again(small, tmp_path, caplog):
    first = shards.open_shard(tmp_path, "val", 0, 16)
    before = np.array(first.images)
    for name in ("images.npy", "scenes.jsonl", "manifest.json"):
        file = tmp_path / "val-0000" / name
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            assert np.array_equal(shards.open_shard(tmp_path, "val", 0, 16).images, before)
        assert "is damaged" in caplog.text
        caplog.clear()
        shards.open_shard(tmp_path, "val", 0, 16)
        assert not caplog.text
    (tmp_path / "val-0000" / "depth.npy").unlink()
    assert shards.open_shard(tmp_path, "val", 0, 16).depth.shape == (SMALL, 16, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["val-0000"]  # nothing half made is left


def test_two_processes_can_make_one_shard(small, tmp_path):
    program = (
        "import sys; from pathlib import Path; from addp_bench.tasks.tabletop import shards; shards.SCENES = 8; "
        "shard = shards.open_shard(Path(sys.argv[1]), 'val', 0, 16); print(shard.images.sum(), len(shard.lines))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert [path.name for path in tmp_path.iterdir()] == ["val-0000"]


def test_a_folder_that_cannot_be_written_is_told(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageProblem, match="option path"):
        shards.open_shard(tmp_path / "file", "val", 0, 16)


def test_the_card_counts_and_names_the_version(world):
    card = world.card()
    assert card.counts["train"] == 48_000
    assert card.counts.keys() == set(world.splits())
    assert card.fingerprint != Tabletop(size=32).card().fingerprint
    assert {world.default_split(purpose) for purpose in ("train", "stats", "eval")} == {"train", "stats", "val"}


# ------------------------------------------------------------------------------------------ measuring


def test_the_nearest_corner_is_measured_in_all_directions():
    images = np.full((1, 2, 2, 3), 100, np.uint8)
    images[0, 1, 1] = (250, 3, 0)
    assert gates.nearest_corner(images) == pytest.approx(np.sqrt(25 + 9))


def test_a_rule_that_leaks_through_the_photograph_is_found():
    """Targets that are always the nearest solid are found by the fitted predictor; targets drawn evenly are not."""
    rng = np.random.default_rng(0)
    leaking, fair = [], []
    for _ in range(600):
        features = rng.normal(size=(4, 25))
        leaking.append(blind.Choice(features, int(np.argmin(features[:, 1]))))
        fair.append(blind.Choice(features, int(rng.integers(4))))
    found = {name: value for name, value, _ in blind.photograph_only(leaking)}
    assert found["fitted to photographs without words, accuracy"] > 0.8
    assert found["picking the nearest solid, accuracy"] == 1.0
    fairly = {name: value for name, value, _ in blind.photograph_only(fair)}
    assert all(abs(value - 0.25) < 0.08 for value in fairly.values())


def test_a_target_that_words_give_away_is_found():
    """When 'left' is always the left half, a predictor without photographs finds it."""
    side = np.random.default_rng(1).integers(2, size=200)
    truth = np.zeros((200, 8, 8), bool)
    for n, right in enumerate(side):
        truth[n, :, 4 * right : 4 * right + 4] = True
    told, _ = blind.words_only(blind.Masks(truth, truth.astype(np.uint8), side), [("left", "right")[s] for s in side])
    silent, _ = blind.words_only(blind.Masks(truth, truth.astype(np.uint8), side), ["thing"] * 200)
    assert told == 1.0
    assert silent <= 0.5


def test_any_solid_is_the_mean_over_solids():
    instance = np.zeros((1, 4, 4), np.uint8)
    instance[0, :2], instance[0, 2:] = 1, 2  # 8 pixels each
    both, either = blind.any_solid(blind.Masks(instance == 1, instance, np.array([0])))
    assert (both[0], either[0]) == (4.0, 12.0)  # 8 of 8 half of the time, 0 of 16 the other half


def test_a_picture_outside_of_the_mask_is_dimmed():
    image = np.full((2, 2, 3), 200, np.uint8)
    assert overlaid(image, np.eye(2, dtype=bool))[..., 0].tolist() == [[200, 50], [50, 200]]


def test_shuffled_words_and_photographs_belong_to_other_scenes_and_truths_stay(world):
    place = str(world.folder.parent)
    plain, words, photos = (
        Tabletop(path=place, shuffled=how).samples("val", "ris") for how in ("none", "words", "photographs")
    )
    same_text = 0
    for i in range(4 * SMALL):
        one, said, seen = plain[i], words[i], photos[i]
        np.testing.assert_array_equal(said.image, one.image)
        assert seen.text == one.text
        assert not np.array_equal(seen.image, one.image)
        for other in (said, seen):
            np.testing.assert_array_equal(other.truth, one.truth)
            assert other.id == one.id
        same_text += said.text == one.text
    assert same_text <= 2, "two scenes may be asked the same by chance"
    shard = range(2 * SMALL)
    assert sorted(words[i].text for i in shard) == sorted(plain[i].text for i in shard)
