"""RefCOCO, RefCOCO+ and RefCOCOg from files in their published layout, and what is said when the files are not."""

import json
import logging
import pickle
import shutil
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from refcoco_miniature import DATA, PHOTOGRAPHS, build, file_name, python2_dumps

from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.plugins.encodings import RedMask
from addp_bench.registry import Registry
from addp_bench.tasks import refcoco
from addp_bench.tasks.refcoco import RefCoco, RefCocoG, RefCocoPlus
from addp_bench.tasks.refer_files import Outline, Photograph, mask_of, read_references
from addp_bench.tasks.ris import Ris
from addp_bench.types import to_batch

# pycocotools' compiled part has an __array__ of before numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Read only."""
    return build(tmp_path_factory.mktemp("refer"))


@pytest.fixture
def root(shared, tmp_path):
    """A copy to damage."""
    return shutil.copytree(shared, tmp_path / "refer")


def load(split="val", dataset=RefCoco, **options):
    return dataset(**options).samples(split, "ris")


# ------------------------------------------------------------------------------------------------ samples


def test_every_sentence_is_a_sample_and_its_photograph_the_cluster(shared):
    samples = load(path=shared)
    assert len(samples) == 7  # a cup with three sentences, a saucer and a spoon with two
    assert samples.ids[0] == "refcoco/unc/val/10/21"
    assert len(set(samples.ids)) == 7
    assert samples.image_ids == ["coco/4"] * 7
    first, second = samples[0], samples[1]
    assert (first.id, first.image_id, first.text) == (samples.ids[0], "coco/4", "cup of coffee")
    assert first.image.shape == (400, 600, 3)
    assert first.truth.shape == (400, 600)
    assert np.array_equal(first.truth, second.truth)
    assert first.attributes["category"] == "cup"


def test_text_is_cleaned_or_as_typed(shared):
    assert load("train", path=shared)[1].text == "the cat 's face"
    assert load("train", path=shared, text="raw")[1].text == "The CAT's face"


def test_both_places_of_the_photographs_are_found(shared, tmp_path):
    other = build(tmp_path / "other", images="images/train2014")
    assert np.array_equal(load(path=shared)[0].image, load(path=other)[0].image)


def test_a_mask_is_what_pillow_fills_the_outline_with(shared):
    samples = load("train", path=shared)
    index = next(i for i in range(len(samples)) if samples[i].text == "left eye")
    (outline,) = PHOTOGRAPHS["chelsea.png"][1].polygons
    canvas = Image.new("1", (451, 300))
    ImageDraw.Draw(canvas).polygon(list(zip(outline[::2], outline[1::2])), fill=1)
    ours, theirs = samples[index].truth, np.asarray(canvas)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95  # their edges differ by half a pixel
    with Image.open(DATA / "chelsea.png") as photograph:
        assert np.abs(np.asarray(photograph, int) - samples[index].image).mean() < 3  # JPEG, in place


SQUARES = Outline(1, "thing", ((0, 0, 4, 0, 4, 4, 0, 4), (2, 2, 6, 2, 6, 6, 2, 6)))


@pytest.mark.parametrize("merge, pixels", [("or", 28), ("eq1", 24)])
def test_pixels_under_two_polygons_count_once_or_not_at_all(merge, pixels):
    mask = mask_of(SQUARES, Photograph("f", 8, 8, ()), merge, "f")
    assert mask.dtype == bool
    assert mask.sum() == pixels


def test_a_polygon_covers_the_pixels_that_cocos_example_says():
    """Polygon 1,1 4,1 4,3 1,3 on 5 x 6: rows 1:3 and columns 1:4."""
    rectangle = Outline(1, "thing", ((1, 1, 4, 1, 4, 3, 1, 3),))
    mask = mask_of(rectangle, Photograph("f", 5, 6, ()), "or", "f")
    assert mask.shape == (5, 6)
    assert mask.sum() == 6
    assert mask[1:3, 1:4].all()


def test_the_merge_rule_reaches_the_samples(shared):
    tripod = {
        merge: next(s for s in load("testA", path=shared, mask_merge=merge) if s.text == "tripod").truth.sum()
        for merge in ("or", "eq1")
    }
    assert tripod["or"] > tripod["eq1"] > 0


def test_hints_hold_every_object_with_small_ones_on_top(shared):
    samples = load("train", path=shared)
    nose = next(s for s in samples if s.text == "nose")
    instance = nose.hints["instance"]
    assert set(np.unique(instance)) == {0, 1, 2, 3, 4}
    assert np.array_equal(instance == 4, nose.truth)
    assert np.array_equal(instance > 0, next(s for s in samples if s.text == "cat").truth)


def test_splits_are_those_of_each_partition(shared):
    assert RefCoco(shared).splits() == ["train", "val", "testA", "testB", "train_fit", "stats"]
    assert RefCocoG(shared).splits() == ["train", "val", "test", "train_fit", "stats"]
    assert RefCoco(shared, split_by="google").splits() == ["val", "train", "train_fit", "stats"]
    assert RefCoco(shared).protocol("ris") in Ris().protocols()


def test_refcoco_plus_and_g_are_read_from_their_own_folders(shared):
    texts = [s.text for s in load("testA", RefCocoPlus, path=shared)]
    assert "photographer" in texts
    assert not any("right" in text for text in texts)
    assert load("test", RefCocoG, path=shared).ids[0].startswith("refcocog/umd/test/")
    assert len(load("test", RefCocoG, path=shared)) == len(load("testA", path=shared)) + len(load("testB", path=shared))


def test_statistics_are_measured_on_training_photographs_that_are_not_trained_on(shared):
    dataset = RefCoco(shared)
    fit, stats, train = (dataset.samples(split, "ris") for split in ("train_fit", "stats", "train"))
    assert (dataset.default_split("train"), dataset.default_split("stats")) == ("train_fit", "stats")
    assert dataset.default_split("eval") == "val"
    assert not set(fit.image_ids) & set(stats.image_ids)
    assert len(set(stats.image_ids)) == 1  # a twentieth of three, rounded up
    assert len(fit) + len(stats) == len(train)
    assert RefCoco(shared).samples("stats", "ris").ids == stats.ids


def test_a_python2_pickle_reads_like_a_new_one(shared):
    old = {s.text for s in load("val", path=shared, split_by="google")}
    assert {"cup of coffee", "woman in orange", "tripod"} <= old
    value = pickle.loads((shared / "refcoco" / "refs(unc).p").read_bytes())
    assert pickle.loads(python2_dumps(value), encoding="latin1") == value


def test_ids_and_counts_need_no_photograph(root):
    shutil.rmtree(root / "images")
    assert RefCoco(root).card().counts["val"] == 7


def test_a_card_of_missing_files_names_what_is_missing(root):
    (root / "refcoco" / "instances.json").unlink()
    with pytest.raises(BadData, match=r"instances\.json is missing"):
        RefCoco(root).card()
    with pytest.raises(BadData, match=r"no folder .*nowhere; give dataset refcoco the folder"):
        RefCoco(root / "nowhere").card()


def test_the_fingerprint_follows_the_annotations_and_the_options(root):
    before = RefCoco(root).card().fingerprint
    assert RefCoco(root).card().fingerprint == before
    assert RefCoco(root, text="raw").card().fingerprint != before
    file = root / "refcoco" / "refs(unc).p"
    file.write_bytes(file.read_bytes().replace(b"nose", b"snout"[:4]))
    assert RefCoco(root).card().fingerprint != before


def test_the_fingerprint_follows_the_photographs_that_are_spoken_of(root):
    before = RefCoco(root).card().fingerprint
    folder = root / "images" / "mscoco" / "images" / "train2014"
    (folder / "COCO_train2014_000000999999.jpg").write_bytes(b"nobody speaks of it")
    assert RefCoco(root).card().fingerprint == before
    photograph = folder / file_name(1)
    whole = photograph.read_bytes()
    photograph.write_bytes(whole + b"\0")
    other = RefCoco(root).card().fingerprint
    photograph.unlink()
    assert len({before, other, RefCoco(root).card().fingerprint}) == 3
    photograph.write_bytes(whole)
    assert RefCoco(root).card().fingerprint == before


def test_counts_that_are_not_the_published_ones_are_said(shared, caplog):
    with caplog.at_level(logging.WARNING):
        load(path=shared)
    assert "1 images, 3 references, 7 sentences; published are 1500, 3811, 10834" in caplog.text


@pytest.mark.parametrize(
    "partition, total",
    [
        (("refcoco", "unc"), (19994, 50000, 142210)),
        (("refcocoplus", "unc"), (19992, 49856, 141564)),
        (("refcocog", "umd"), (25799, 49822, 95010)),
    ],
)
def test_published_counts_add_up_to_the_published_totals(partition, total):
    counts = refcoco.COUNTS[partition].values()
    assert tuple(map(sum, zip(*counts))) == total


def test_drawn_in_red_and_read_back_every_truth_scores_almost_full(shared):
    judge = Ris().evaluator(Ris().protocols()["refcoco"])
    encoding, rows = RedMask(), []
    for split in ("train", "val", "testA", "testB"):
        for sample in load(split, path=shared):
            image = to_batch(sample.image[None])
            drawing = encoding.encode(image, torch.from_numpy(sample.truth)[None], []).rgb
            rows.append(judge.statistics(sample, encoding.decode(drawing, image[0], [])))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    oiou = float(judge.metrics[0].value(columns))
    assert 0.95 < oiou < 1.0  # the saucer and the motorcycle are red themselves
    assert not columns["vanished"].any()


# ------------------------------------------------------------------------------------------------ pickles


def references(tmp_path, content):
    file = tmp_path / "refs(unc).p"
    file.write_bytes(content)
    return read_references(file)


OLD = (
    b"(lp0\n(dp1\nS'ref_id'\np2\nI7\nsS'split'\np3\nS'val'\np4\nsS'sentences'\np5\n(lp6\n(dp7\nS'sent_id'\np8\nL12L\n"
    b"sS'raw'\np9\nVcaf\\u00e9 man\np10\nsasa."
)


def test_a_pickle_of_python2_gives_plain_values(tmp_path):
    # the fixture has no ann_id: it must be read, and then refused for what it lacks and for nothing else
    with pytest.raises(BadData, match="reference 0: the field 'sent' is missing"):
        references(tmp_path, OLD)
    whole = OLD.replace(b"I7\n", b"I7\nsS'ann_id'\nI8\nsS'image_id'\nI9\n").replace(
        b"L12L\n", b"L12L\nsS'sent'\nS'cafe man'\n"
    )
    (reference,) = references(tmp_path, whole)
    assert (reference.ref_id, reference.ann_id, reference.image_id, reference.split) == (7, 8, 9, "val")
    assert (reference.sentences[0].sent_id, reference.sentences[0].raw) == (12, "café man")


def test_a_pickle_that_asks_for_a_function_is_refused_and_does_not_run(tmp_path, capfd):
    with pytest.raises(BadData, match=r"refs\(unc\)\.p .*os\.system"):
        references(tmp_path, b"cos\nsystem\n(S'echo hi'\ntR.")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("protocol", range(6))
def test_even_a_harmless_class_is_refused_in_every_protocol(tmp_path, protocol):
    with pytest.raises(BadData, match=r"collections\.OrderedDict"):
        references(tmp_path, pickle.dumps([OrderedDict(a=1)], protocol))


def test_a_persistent_id_is_refused(tmp_path):
    with pytest.raises(BadData, match="persistent"):
        references(tmp_path, b"Pabc\n.")


def test_a_stray_byte_is_a_latin1_letter(tmp_path):
    with pytest.raises(BadData, match="expected a list of references, met a str"):
        references(tmp_path, b"S'caf\\xe9'\n.")
    value = {
        "ref_id": 1,
        "ann_id": 1,
        "image_id": 1,
        "split": "val",
        "sentences": [{"sent_id": 1, "sent": "", "raw": "XX"}],
    }
    (reference,) = references(tmp_path, python2_dumps([value]).replace(b"XX", b"caf\\xe9"))
    assert reference.sentences[0].raw == "café"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol_need_no_global(tmp_path, protocol):
    with pytest.raises(BadData, match="reference 0: the field 'sentences' is missing"):
        references(tmp_path, pickle.dumps([{"a": 1, "b": ["x", 2.5, None, True]}], protocol))


def test_any_truncated_pickle_is_one_clear_error(tmp_path):
    content = python2_dumps([{"ref_id": 1, "sentences": [{"sent": "a"}]}])
    for cut in range(len(content)):
        with pytest.raises(BadData, match=r"refs\(unc\)\.p cannot be read"):
            references(tmp_path, content[:cut])


def test_a_field_of_another_type_is_named(tmp_path):
    with pytest.raises(BadData, match="'ref_id' is a str; expected int"):
        references(
            tmp_path, pickle.dumps([{"ref_id": "1", "ann_id": 1, "image_id": 1, "split": "val", "sentences": []}])
        )


# ------------------------------------------------------------------------------------------------ damage


def edit(root, change):
    file = root / "refcoco" / "instances.json"
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def cup(value):
    return next(a for a in value["annotations"] if a["id"] == 400)


def photograph(root, image_id=4):
    return root / "images" / "mscoco" / "images" / "train2014" / file_name(image_id)


def truncate(file):
    file.write_bytes(file.read_bytes()[:2000])


def stray(root, name):
    """Point instances.json outside its folder."""
    edit(root, lambda value: value["images"][3].update(file_name=name))


DAMAGE = {
    "no root": (shutil.rmtree, "no folder .*refer"),
    "no annotations": (lambda root: shutil.rmtree(root / "refcoco"), r"refs\(unc\)\.p is missing"),
    "no outlines": (lambda root: (root / "refcoco" / "instances.json").unlink(), "instances.json is missing"),
    "no photographs": (lambda root: shutil.rmtree(root / "images"), "no photographs under .*train2014"),
    "cut pickle": (lambda root: truncate(root / "refcoco" / "refs(unc).p"), r"refs\(unc\)\.p cannot be read"),
    "cut json": (lambda root: truncate(root / "refcoco" / "instances.json"), "instances.json cannot be read as JSON"),
    "photograph missing": (lambda root: photograph(root).unlink(), "000000000004.jpg is missing"),
    "photograph cut": (lambda root: truncate(photograph(root)), "000000000004.jpg cannot be read as an image"),
    "no photograph at all": (lambda root: photograph(root).write_text("<html>"), "000000000004.jpg cannot be read"),
    "another size": (
        lambda root: shutil.copy(photograph(root, 3), photograph(root)),
        "000000000004.jpg is 451 x 300 pixels, and instances.json says 600 x 400",
    ),
    "annotation missing": (
        lambda root: edit(root, lambda v: v["annotations"].remove(cup(v))),
        "annotation 400 .*not there",
    ),
    "annotation elsewhere": (lambda root: edit(root, lambda v: cup(v).update(image_id=1)), "belongs to image 1"),
    "run lengths": (
        lambda root: edit(root, lambda v: cup(v).update(segmentation={"counts": "x"})),
        "at least three corners",
    ),
    "two corners": (
        lambda root: edit(root, lambda v: cup(v).update(segmentation=[[1, 1, 2, 2]])),
        "at least three corners",
    ),
    "no area": (lambda root: edit(root, lambda v: cup(v).update(segmentation=[[9] * 6])), "cover no pixel"),
    "odd polygon": (lambda root: edit(root, lambda v: cup(v).update(segmentation=[[1] * 7])), "odd count"),
    "far polygon": (lambda root: edit(root, lambda v: cup(v).update(segmentation=[[1e9] * 6])), "leaves the image"),
    "nan polygon": (
        lambda root: edit(root, lambda v: cup(v).update(segmentation=[[float("nan")] * 6])),
        "leaves the image",
    ),
    "words for numbers": (lambda root: edit(root, lambda v: cup(v).update(segmentation=[["a"] * 6])), "no number"),
    "no polygons": (lambda root: edit(root, lambda v: cup(v).update(segmentation=None)), "expected polygons"),
    "outside": (lambda root: stray(root, "../../../secret.jpg"), "without folders"),
    "absolute": (lambda root: stray(root, "/etc/passwd"), "without folders"),
}


@pytest.mark.parametrize("damage, words", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_give_one_line_that_names_them(root, damage, words):
    damage(root)
    with pytest.raises(BadData, match=words) as error:
        load(path=root)[0]
    assert "\n" not in str(error.value)


def test_files_are_read_once_and_again_when_they_changed(root):
    first = RefCoco(root).samples("val", "ris")
    assert RefCoco(root)._photographs is RefCoco(root)._photographs
    edit(root, lambda value: cup(value).update(segmentation=[[0, 0, 9, 0, 9, 9, 0, 9]]))
    assert first[0].truth.sum() > 81 == RefCoco(root).samples("val", "ris")[0].truth.sum()


def test_a_split_without_references_is_refused(root):
    file = root / "refcoco" / "refs(unc).p"
    kept = [reference for reference in pickle.loads(file.read_bytes()) if reference["split"] != "testB"]
    file.write_bytes(pickle.dumps(kept, 2))
    with pytest.raises(BadData, match=r"refs\(unc\)\.p holds no reference of split 'testB'"):
        load("testB", path=root)


def test_two_sentences_with_one_id_are_refused(root):
    file = root / "refcoco" / "refs(unc).p"
    value = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps(value + value[9:10], 2))
    with pytest.raises(BadData, match="two sentences would be sample refcoco/unc/val/10/21"):
        load(path=root)


def test_unknown_splits_tasks_and_partitions_are_refused(shared):
    with pytest.raises(UnknownName, match=r"called 'testa'.* testA, testB"):
        load("testa", path=shared)
    with pytest.raises(UnknownName, match="no task of dataset refcoco is called 'depth'"):
        RefCoco(shared).samples("val", "depth")
    registry = Registry()
    refcoco.addp_bench_register(registry)
    with pytest.raises(BadOption, match="needs path"):
        registry.build("dataset", "refcoco")
    with pytest.raises(BadOption, match="split_by"):
        registry.build("dataset", f"refcocog:path={shared}:split_by=unc")
    assert registry.build("dataset", f"refcoco-plus:path={shared}").splits()


def test_a_rotation_noted_in_the_photograph_is_not_applied(root):
    with Image.open(photograph(root)) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(photograph(root), exif=exif, quality=95)
    sample = load(path=root)[0]
    assert sample.image.shape[:2] == sample.truth.shape == (400, 600)
