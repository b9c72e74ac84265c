"""From a record back to its pictures and its network."""

from __future__ import annotations

import bench
import numpy as np
import pytest
from PIL import Image

from addp_bench.errors import BadData
from addp_bench.records import Record
from addp_bench.reopen import Reopened, read_photo
from addp_bench.types import to_batch


@pytest.fixture(scope="module")
def finished(sd15, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    at, (plan,), done = bench.run(bench.request(sd15), runs)
    return at, done.records[plan.id]


def test_pictures_show_the_predictions_that_were_judged(finished):
    at, record = finished
    ids = [str(i) for i in record.statistics.ids]
    pictures = Reopened(record, at).pictures(ids)
    assert [p["id"] for p in pictures] == ids
    for picture, union, intersection in zip(
        pictures, record.statistics.columns["union"], record.statistics.columns["intersection"]
    ):
        truth, prediction = picture["truth"], picture["prediction"]
        assert prediction.shape == picture["photo"].shape[:2]
        assert (truth | prediction).sum() == union
        assert (truth & prediction).sum() == intersection


def test_a_trained_cell_answers_for_any_photograph_and_the_same_each_time(finished):
    at, record = finished
    photo = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    drawing, mask = Reopened(record, at).answer(photo, "the green square")
    assert drawing.shape == (1, 64, 64, 3)
    assert mask.shape == (40, 56)
    again, _ = Reopened(record, at).answer(photo, "the green square")
    np.testing.assert_array_equal(drawing, again)


def test_pictures_of_a_dataset_that_changed_since_are_refused(finished):
    at, record = finished
    then = record.result["dataset"]
    changed = {**record.body, "result": {**record.result, "dataset": {**then, "fingerprint": "dots-0-32"}}}
    with pytest.raises(BadData, match=r"judged on dots with fingerprint dots-0-32, which now has dots-1-32"):
        Reopened(Record(changed, record.folder), at).pictures([str(record.statistics.ids[0])])


def test_a_photograph_that_is_none_is_named(tmp_path):
    (tmp_path / "note.png").write_text("not a picture")
    with pytest.raises(BadData, match=r"note\.png"):
        read_photo(tmp_path / "note.png")
    with pytest.raises(BadData, match="there is no photograph"):
        read_photo(tmp_path / "none.png")


def test_predict_draws_for_a_photograph_and_writes_what_it_read(finished, shell, tmp_path):
    at, record = finished
    photo, drawn, mask = (tmp_path / f"{name}.png" for name in ("photo", "drawn", "mask"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(photo)
    asked = ("predict", "--cell", record.id, "--image", photo, "--text", "the green square", "--plugin", bench.DOTS)
    code, out, err = shell(*asked, "--runs", at.runs.root, "--out", drawn, "--answer", mask)
    assert (code, out.splitlines()) == (0, [f"drawn into {drawn}", f"answered in {mask}"]), err
    assert np.asarray(Image.open(drawn)).shape == (40, 56, 3)
    expected = Reopened(record, at).answer(read_photo(photo), "the green square")[1]
    assert np.array_equal(np.asarray(Image.open(mask)) > 0, np.asarray(expected))
    code, _, err = shell(*asked, "--runs", at.runs.root, "--out", drawn, "--answer", tmp_path / "mask.npy")
    assert code == 2
    assert "task ris writes .png files" in err


def test_predictions_that_were_cleared_away_are_said_to_be_gone(sd15, tmp_path):
    at, (plan,), done = bench.run(bench.request(sd15), tmp_path)
    at.runs.discard(plan.score.inputs[0])
    record = done.records[plan.id]
    with pytest.raises(BadData, match="is gone"):
        Reopened(record, at).pictures([str(record.statistics.ids[0])])


def test_a_photograph_of_a_users_own_becomes_a_tensor_without_a_word(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "desk.png")
    photo = read_photo(tmp_path / "desk.png")
    np.testing.assert_array_equal(photo, pixels)
    assert photo.flags.writeable, "torch warns of others"
    assert to_batch(photo[None]).shape == (1, 3, 5, 7)
