"""The predictors that know nothing, or everything."""

import numpy as np
import pytest
from coco_reference import objects
from refcoco_miniature import build

from addp_bench.baselines import naive
from addp_bench.baselines.naive import Constant, LargestObject, Mean, RandomObject, Truth
from addp_bench.errors import BadData, UnknownName
from addp_bench.evaluation import ask, looks
from addp_bench.loading import load
from addp_bench.registry import Registry
from addp_bench.resolve import resolve
from addp_bench.spec import Request
from addp_bench.statistics import columns_of
from addp_bench.tasks.detection import Detection
from addp_bench.tasks.refcoco import RefCoco
from addp_bench.tasks.ris import Ris
from addp_bench.types import Sample

# pycocotools' compiled part has an __array__ of before numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

INSTANCE = np.array([[0, 1, 1], [3, 3, 3], [0, 4, 1]], np.uint8)
SAMPLE = Sample("a", "a", np.zeros((3, 3, 3), np.uint8), INSTANCE == 4, "it", {"instance": INSTANCE})


def draw(seed):
    return RandomObject().predict(SAMPLE, "ris", np.random.default_rng(seed))


def test_constants_answer_nothing_or_everything():
    rng = np.random.default_rng(0)
    assert Constant().predict(SAMPLE, "ris", rng).sum() == 0
    assert Constant("everything").predict(SAMPLE, "ris", rng).tolist() == [[True] * 3] * 3


def test_random_takes_each_object_equally_often_and_never_the_background():
    masks = [draw(seed) for seed in range(600)]
    assert all((INSTANCE[mask] == INSTANCE[mask][0]).all() for mask in masks)
    chosen = np.bincount([INSTANCE[mask][0] for mask in masks], minlength=5)
    assert chosen[[0, 2]].sum() == 0
    assert np.abs(chosen[[1, 3, 4]] - 200).max() < 60  # five standard deviations
    assert np.array_equal(draw(7), draw(7))


def test_the_largest_object_is_the_one_with_most_pixels_and_of_equals_the_first():
    assert np.array_equal(LargestObject().predict(SAMPLE, "ris", np.random.default_rng(0)), INSTANCE == 1)


def test_truth_is_the_truth_of_any_task():
    assert Truth().predict(SAMPLE, "depth", np.random.default_rng(0)) is SAMPLE.truth


BOXES = objects([0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 20, 20], [0, 0, 90, 90], labels=[0, 1, 2, 3], crowd=[3])
FOUR = Sample("b", "b", np.zeros((100, 100, 3), np.uint8), BOXES)


def answer(predictor, sample=FOUR, seed=0):
    return predictor.predict(sample, "detection", np.random.default_rng(seed))


def test_boxes_are_answered_with_boxes_from_nothing_to_everything():
    assert answer(Constant()).xyxy.shape == (0, 4)
    assert answer(Constant("everything")).xyxy.tolist() == [[0, 0, 100, 100]]
    assert answer(LargestObject()).xyxy.tolist() == [[20, 20, 50, 50]]
    assert answer(LargestObject()).labels.tolist() == [1]
    perfect = answer(Truth())
    assert perfect.xyxy.tolist() == BOXES.xyxy[:3].tolist(), "a crowd is nothing to be found"
    assert (perfect.labels.tolist(), perfect.scores.tolist()) == ([0, 1, 2], [1, 1, 1])


def test_random_boxes_have_their_places_and_the_classes_of_any_object():
    drawn = np.array([answer(RandomObject(), seed=seed).labels for seed in range(400)])
    assert answer(RandomObject()).xyxy.tolist() == BOXES.xyxy[:3].tolist()
    counts = np.stack([(drawn == label).mean(0) for label in range(4)])
    assert np.abs(counts[:3] - 1 / 3).max() < 0.12  # five standard deviations
    assert counts[3].max() == 0
    none = Sample("c", "c", FOUR.image, objects())
    for predictor in (RandomObject(), LargestObject(), Truth()):
        assert answer(predictor, none).labels.tolist() == []


def test_mean_boxes_are_of_each_class_and_scored_by_how_many_photographs_hold_it():
    wide = Sample("d", "d", np.zeros((50, 200, 3), np.uint8), objects([100, 0, 100, 50], [0, 0, 50, 50], labels=[0, 0]))
    model = Mean()
    model.learn([FOUR, wide], 2, "detection")
    found = answer(model, wide)
    assert found.labels.tolist() == [0, 1, 2], "what only a crowd shows is no class"
    first = np.mean([[0, 0, 0.1, 0.1], [0.5, 0, 1, 1], [0, 0, 0.25, 1]], axis=0)
    assert found.xyxy[0] == pytest.approx(first * (200, 50, 200, 50))
    assert answer(model).xyxy[1].tolist() == pytest.approx([20, 20, 50, 50])
    assert found.scores.tolist() == [1, 0.5, 0.5]
    with pytest.raises(BadData, match="the first 1 samples of the training split hold no object"):
        Mean().learn([Sample("c", "c", FOUR.image, objects())], 1, "detection")


def test_boxes_stand_in_the_order_of_what_is_known():
    judge = Detection().evaluator(Detection().protocols()["coco"])
    ap = []
    for predictor in (Constant("everything"), LargestObject(), Truth()):
        columns = columns_of([judge.statistics(FOUR, answer(predictor))])
        ap.append(float(judge.metrics[0].value(columns)))
    assert ap == pytest.approx([0, 1 / 3, 1])


@pytest.mark.parametrize("predictor", [RandomObject(), LargestObject()])
def test_who_chooses_among_objects_needs_objects(predictor):
    rng = np.random.default_rng(0)
    with pytest.raises(BadData, match="sample b comes without the hint 'instance'"):
        predictor.predict(Sample("b", "b", SAMPLE.image, SAMPLE.truth), "ris", rng)
    with pytest.raises(BadData, match="sample c has no object"):
        predictor.predict(Sample("c", "c", SAMPLE.image, SAMPLE.truth, "", {"instance": INSTANCE * 0}), "ris", rng)


@pytest.mark.parametrize("predictor", [Constant(), RandomObject(), LargestObject()])
def test_masks_are_no_answer_to_another_task(predictor):
    with pytest.raises(UnknownName, match="matting"):
        predictor.predict(SAMPLE, "matting", np.random.default_rng(0))


def test_who_looks_at_the_truth_says_so():
    registry = Registry()
    naive.addp_bench_register(registry)
    looking = {name: looks(registry.get("model", name).factory, "ris") for name in registry.names("model")}
    assert looking == {"constant": False, "random": True, "largest_object": True, "truth": True, "mean": False}
    assert not looks(RandomObject, "probe"), "a guess among the classes needs nothing of the truth"


def test_of_classes_one_says_the_first_and_the_other_guesses_each_equally_often():
    names = ("a", "b", "c", "d")
    samples = [Sample(str(i), str(i), SAMPLE.image, i % 4) for i in range(800)]
    assert {ask(Constant("everything"), sample, "probe", 0, names) for sample in samples[:9]} == {0}
    said = [ask(RandomObject(), sample, "probe", 0, names) for sample in samples]
    assert np.abs(np.bincount(said, minlength=4) - 200).max() < 62  # five standard deviations
    assert said == [ask(RandomObject(), sample, "probe", 0, names) for sample in samples]
    assert said != [ask(RandomObject(), sample, "probe", 1, names) for sample in samples]
    with pytest.raises(BadData, match="sample 0 comes without the names of the classes"):
        ask(RandomObject(), samples[0], "probe", 0)


def test_on_photographs_they_stand_in_the_order_of_what_they_know(tmp_path):
    samples = RefCoco(build(tmp_path / "refer")).samples("train", "ris")
    judge = Ris().evaluator(Ris().protocols()["refcoco"])
    miou = {}
    for name, predictor in {
        "nothing": Constant(), "random": RandomObject(), "largest": LargestObject(), "truth": Truth()
    }.items():  # fmt: skip
        rng = np.random.default_rng(0)
        rows = [judge.statistics(sample, predictor.predict(sample, "ris", rng)) for sample in samples]
        miou[name] = float(judge.metrics[1].value({"iou": np.array([row["iou"] for row in rows])}))
    assert miou["nothing"] == 0.0
    assert 0.0 < miou["random"] < 0.6
    assert 0.0 < miou["largest"] < 0.6
    assert miou["truth"] == 1.0


def test_who_has_no_answer_for_a_task_is_impossible_while_planning():
    registry = load().registry
    found = resolve(Request(axes={"task": ["semantic"], "model": ["largest_object", "constant"]}), registry)
    assert [cell.name("model") for cell in found.cells] == ["constant"]
    assert found.impossible == [
        ("semantic · largest_object", "model largest_object has no answer for task semantic; it has for ris, detection")
    ]


@pytest.mark.parametrize("name", ["constant", "random", "largest_object", "mean"])
def test_the_tasks_that_are_announced_are_those_that_are_answered(name):
    """Whatever else goes wrong with a sample that holds nothing, its task is known."""
    made = load().registry.build("model", name)
    for task in ("ris", "depth", "semantic", "detection", "classification", "probe", "matting"):
        sample = Sample("a", "a", SAMPLE.image, SAMPLE.truth, "it", {"vocabulary": ("a", "b")})
        known = True
        try:
            made.learn([sample], 1, task) if name == "mean" else made.predict(sample, task, np.random.default_rng(0))
        except UnknownName:
            known = False
        except Exception:
            pass
        assert known == (task in made.tasks), task
