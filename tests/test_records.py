"""A record is written whole, read back exactly, and refused with a reason when it is not what it says."""

import copy
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from addp_bench.archives import Archive
from addp_bench.errors import BadData, BadRequest, NothingSelected, StorageProblem
from addp_bench.metrics import MeanOf, MeanOfRatios, RatioOfSums, ShareAtLeast
from addp_bench.records import Record, clean, find, folder_of, load, load_all, metric_entry, metric_of, write
from addp_bench.statistics import Ragged, Statistics, columns_of, read_statistics, statistics_of

SOME = statistics_of(
    ["a#0", "a#1", "ü#0"],
    ["a", "a", "ü"],
    [{"intersection": 1.0, "union": 2.0}, {"intersection": 0.1, "union": 0.3}, {"intersection": 0.0, "union": 7.0}],
    [{"level": "L0", "size": 0.5}, {"level": "L1", "size": 0.25}, {"level": "L1", "size": 1.0}],
)


def body(name="one", value=0.5, **result):
    key = hashlib.sha256(name.encode()).hexdigest()
    return {
        "schema": 1,
        "cell": key,
        "id": key[:12],
        "result": {
            "task": "ris",
            "dataset": {"name": "tabletop", "options": {}, "split": "val", "fingerprint": "f0"},
            "protocol": {"name": "tabletop_ris", "version": 1, "settings": {"size": 64}},
            "budget": "quick",
            "choices": {
                "model": {"name": "tiny", "options": {}},
                "weights": {"name": "uniform", "options": {"scaling": "prob"}},
                "corruption": [{"name": "color", "options": {}}],
            },
            "training": {"steps": 100, "batch_size": 8, "lr": 1e-4, "samples": 64},
            "seed": 0,
            "sampling_steps": 20,
            "read_at": {"rule": "final", "index": 19, "t": 0},
            "samples": {"asked": 3, "scored": 3, "failed": 0},
            "metrics": {
                "oiou": {"label": "oIoU", "value": value, "unit": "points", "higher_is_better": True, "version": 1}
                | {"reason": None}
            },
            "slices": {"level": {"L0": {"samples": 1, "metrics": {"oiou": 0.5}}}},
            "curve": {"t": [900, 0], "metrics": {"oiou": [0.1, 0.5]}},
            "contribution": None,
            "timestep_mass": [0.1] * 10,
            **result,
        },
        "provenance": {"finished": "2026-01-01T00:00:00+00:00", "seconds": {"train": 1.5}, "device": "cpu"},
    }


def written(runs, name="one", **changes):
    made = body(name, **changes)
    return write(folder_of(runs, made["id"]), made, SOME)


def test_what_is_written_is_read_back_exactly(tmp_path):
    record = written(tmp_path)
    again = load(folder_of(tmp_path, record.id))
    assert again.body == record.body
    assert again.provenance["seconds"] == {"train": 1.5}
    assert list(again.statistics.ids) == ["a#0", "a#1", "ü#0"]
    assert again.statistics.columns["union"].tolist() == [2.0, 0.3, 7.0]
    assert again.statistics.attributes["level"].tolist() == ["L0", "L1", "L1"]
    assert again.statistics.attributes["size"].dtype == np.float64


def test_the_digest_is_that_of_the_file_and_the_same_for_the_same_statistics(tmp_path):
    record = written(tmp_path)
    content = (record.folder / "statistics.npz").read_bytes()
    assert record.result["statistics"]["sha256"] == hashlib.sha256(content).hexdigest()
    reordered = Statistics(SOME.ids, SOME.image_ids, dict(reversed(SOME.columns.items())), SOME.attributes)
    assert reordered.packed() == content
    assert load(record.folder).statistics.packed() == content


def test_a_second_writing_replaces_the_first_and_leaves_nothing_else(tmp_path):
    written(tmp_path, value=0.25)
    record = written(tmp_path, value=0.75)
    assert load(record.folder).value("oiou") == 0.75
    assert [f.name for f in (tmp_path / "records").iterdir()] == [record.id]


def test_many_may_write_the_same_record_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: written(tmp_path), range(64)):
            pass
    assert [record.id for record in load_all(tmp_path).records] == [body()["id"]]
    assert [entry.name for entry in (tmp_path / "records").iterdir()] == [body()["id"]]


def test_a_writing_that_fails_leaves_the_old_record_alone(tmp_path, monkeypatch):
    record = written(tmp_path, value=0.25)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("addp_bench.records.sync", full)
    with pytest.raises(StorageProblem, match="no space left"):
        written(tmp_path, value=0.75)
    monkeypatch.undo()
    assert load(record.folder).value("oiou") == 0.25
    assert [f.name for f in (tmp_path / "records").iterdir()] == [record.id]


def test_nan_never_reaches_a_record(tmp_path):
    with pytest.raises(BadData, match="null, with its reason"):
        written(tmp_path, timestep_mass=[float("nan")] * 10)
    assert not list(tmp_path.rglob("record.json"))
    record = written(tmp_path)
    file = record.folder / "record.json"
    file.write_text(file.read_text().replace("0.5", "NaN"))
    with pytest.raises(BadData, match=r"record\.json: is not a record: holds NaN"):
        load(record.folder)


class _OIoU:
    id, label, unit, higher_is_better, version = "oiou", "oIoU", "points", True, 2


def test_a_metric_without_a_value_says_why():
    assert metric_entry(_OIoU(), 0.5)["value"] == 0.5
    absent = metric_entry(_OIoU(), float("nan"), "nothing was scored")
    assert absent["value"] is None
    assert absent["reason"] == "nothing was scored"
    with pytest.raises(BadData, match="must say why"):
        metric_entry(_OIoU(), float("nan"))


@pytest.mark.parametrize(
    "metric",
    [
        RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union", version=3),
        MeanOf(id="rms", label="RMS", unit="m", higher_is_better=False, column="union"),
        ShareAtLeast(id="pr50", label="Pr@0.5", column="intersection", threshold=0.5, inclusive=False),
    ],
    ids=lambda metric: metric.id,
)
def test_a_metric_can_be_made_again_from_a_record_alone(tmp_path, metric):
    entry = metric_entry(metric, float(metric.value(SOME.columns)))
    record = load(written(tmp_path, metrics={metric.id: entry}).folder)
    assert metric_of(record, metric.id) == metric
    other = load(written(tmp_path, metrics={metric.id: {**entry, "formula": {"kind": "os.system"}}}).folder)
    assert metric_of(other, metric.id) is None


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("schema", 2, "schema 2, this version reads 1"),
        ("id", "0" * 12, "not the beginning"),
        ("cell", "xyz", "64 hex digits"),
        ("result.seed", "0", "result.seed: Input should be a valid integer"),
        ("result.samples", {"asked": 1}, "result.samples.scored"),
        ("result.metrics", {}, "at least one metric"),
        ("result.metrics.oiou.value", None, "null without a reason"),
        ("result.metrics.oiou.value", "\x1b[31mred", "valid number"),
        ("result.choices.weights", "uniform", r"result.choices.weights"),
        ("provenance", None, "provenance"),
    ],
)
def test_a_record_that_breaks_the_schema_is_refused_by_field(path, value, says):
    broken = copy.deepcopy(body()) | {}
    broken["result"]["statistics"] = {"sha256": "0"}
    *parents, last = path.split(".")
    inner = broken
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    with pytest.raises(BadData, match=says) as refused:
        Record(broken)
    assert "\x1b" not in str(refused.value)


def test_a_later_version_may_add_fields(tmp_path):
    record = written(tmp_path, colour_of_the_sky="blue")
    assert load(record.folder).result["colour_of_the_sky"] == "blue"


def test_broken_records_are_named_and_the_rest_is_read(tmp_path):
    good = written(tmp_path, "good")
    cut = written(tmp_path, "cut")
    (cut.folder / "record.json").write_text((cut.folder / "record.json").read_text()[:-20])
    moved = written(tmp_path, "moved")
    moved.folder.rename(tmp_path / "records" / "elsewhere")
    (tmp_path / "records" / "empty").mkdir()
    (tmp_path / "records" / ".half-written").mkdir()
    loaded = load_all(tmp_path)
    assert [r.id for r in loaded.records] == [good.id]
    assert loaded.broken.keys() == {cut.id, "elsewhere", "empty"}
    assert "is not a record" in loaded.broken[cut.id]
    assert moved.id in loaded.broken["elsewhere"]
    assert load_all(tmp_path / "nowhere").records == []


def test_statistics_that_were_changed_are_noticed(tmp_path):
    one, two = written(tmp_path, "one"), written(tmp_path, "two")
    other = statistics_of(["x"], ["x"], [{"intersection": 1.0, "union": 1.0}])
    write(two.folder, {**body("two")}, other)
    (one.folder / "statistics.npz").write_bytes((two.folder / "statistics.npz").read_bytes())
    with pytest.raises(BadData, match="its SHA-256 begins"):
        _ = load(one.folder).statistics
    (one.folder / "statistics.npz").unlink()
    with pytest.raises(BadData, match=r"statistics\.npz: cannot be read"):
        _ = load(one.folder).statistics


def test_every_kind_of_column_is_read_as_numpy_reads_it(tmp_path):
    """Columns as numpy writes them are read without its parser; those of two dimensions or another order by it."""
    columns = {
        "ids": np.array(["a", "ü", ""]),
        "image_ids": np.array(["p", "p", "q"]),
        "s_x": np.array([1.5, np.nan, -0.0]),
        "o_x": np.arange(4),
        "a_flag": np.array([True, False, True]),
        "a_bytes": np.array([1, 2, 255], np.uint8),
        "a_swapped": np.array([1.0, 2.0, 3.0], ">f8"),
        "a_square": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    np.savez_compressed(tmp_path / "s.npz", **columns)
    archive = Archive((tmp_path / "s.npz").read_bytes())
    with np.load(tmp_path / "s.npz") as expected:
        assert sorted(archive.files) == sorted(expected.files)
        for name in expected.files:
            assert archive[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(archive[name], expected[name])
            assert archive[name].flags.writeable


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "statistics.npz", ids=np.array([{"an": "object"}], dtype=object), image_ids=np.array(["a"]))
    with pytest.raises(BadData, match=r"statistics\.npz: cannot be read"):
        read_statistics(tmp_path / "statistics.npz")


def test_a_damaged_column_is_named_when_it_is_asked_for(tmp_path):
    np.savez(tmp_path / "s.npz", ids=SOME.ids, image_ids=SOME.ids, s_short=np.zeros(2), s_bad=np.array([{}] * 3))
    columns = read_statistics(tmp_path / "s.npz").columns
    assert set(columns) == {"short", "bad"}
    with pytest.raises(BadData, match=r"s\.npz: statistics: short has 2 rows, ids has 3"):
        _ = columns["short"]
    with pytest.raises(BadData, match=r"s\.npz: Object arrays cannot be loaded"):
        _ = columns["bad"]
    with pytest.raises(KeyError):
        _ = columns["none"]


def test_columns_must_be_plain_and_of_one_length():
    ids = np.array(["a", "b"])
    with pytest.raises(BadData, match="x has 1 rows, ids has 2"):
        Statistics(ids, ids, {"x": np.zeros(1)})
    with pytest.raises(BadData, match="x is float32"):
        Statistics(ids, ids, {"x": np.zeros(2, np.float32)})
    with pytest.raises(BadData, match="stands twice"):
        Statistics(np.array(["a", "a"]), ids, {"x": np.zeros(2)})
    with pytest.raises(BadData, match="the first sample has"):
        statistics_of(["a", "b"], ["a", "b"], [{"x": 1.0}, {"y": 1.0}])


def test_an_attribute_that_some_samples_lack_becomes_text():
    mixed = statistics_of(["a", "b"], ["a", "b"], [{"x": 1.0}] * 2, [{"size": 2}, {}])
    assert mixed.attributes["size"].tolist() == ["2", ""]


def test_a_cell_is_found_by_the_beginning_of_its_key(tmp_path):
    records = [written(tmp_path, name) for name in ("one", "two")]
    assert find(records, records[0].key[:6].upper()) is records[0]
    with pytest.raises(NothingSelected, match="leaderboard"):
        find(records, "zz")
    with pytest.raises(NothingSelected):
        find(records, "")
    twins = [Record({**records[0].body, "cell": records[0].id + c * 52}) for c in "ab"]
    with pytest.raises(BadRequest, match="ambiguous"):
        find(twins, records[0].id)


def test_text_from_data_cannot_steer_a_terminal():
    assert clean("a\x1b[2Jb\x07 \u202egnp\u2028\n c") == "a[2Jb gnp c"
    assert clean("größter Würfel 正") == "größter Würfel 正"


def test_a_thousand_records_are_read_in_a_second(tmp_path):
    record = written(tmp_path)
    text = (record.folder / "record.json").read_text()
    for i in range(1000):
        key = hashlib.sha256(str(i).encode()).hexdigest()
        folder_of(tmp_path, key[:12]).mkdir()
        changed = text.replace(record.key, key).replace(record.id, key[:12])
        (folder_of(tmp_path, key[:12]) / "record.json").write_text(changed)
    start = time.process_time()
    assert len(load_all(tmp_path).records) == 1001
    assert time.process_time() - start < 1.0
    assert json.loads(text)["schema"] == 1


def test_a_mean_over_classes_can_be_made_again_from_a_record_alone(tmp_path):
    for weight, empty in ((None, None), ("true", 0.0)):
        metric = MeanOfRatios(id="m", label="M", numerator="i", denominator="u", weight=weight, empty=empty)
        record = load(written(tmp_path, metrics={"m": metric_entry(metric, 0.5)}).folder)
        assert metric_of(record, "m") == metric


# ------------------------------------------------------------------------------------------------ ragged columns

ROWS = [{"n": 2.0, "score": np.array([0.5, 0.25])}, {"n": 0.0, "score": np.zeros(0)}, {"n": 1.0, "score": np.ones(1)}]


def test_a_statistic_may_have_any_number_of_values_in_a_sample_and_is_read_back(tmp_path):
    made = statistics_of(["a", "b", "c"], ["a", "a", "c"], ROWS)
    (tmp_path / "s.npz").write_bytes(made.packed())
    again = read_statistics(tmp_path / "s.npz")
    assert set(again.columns) == {"n", "score"}
    score = again.columns["score"]
    assert (len(score), score.values.tolist(), score.offsets.tolist()) == (3, [0.5, 0.25, 1.0], [0, 2, 2, 3])
    assert again.columns["n"].tolist() == [2.0, 0.0, 1.0]
    assert again.packed() == made.packed()


def test_samples_of_a_ragged_column_are_chosen_as_rows_of_an_array_are():
    column = columns_of(ROWS)["score"]
    parts = [row["score"].tolist() for row in ROWS]
    for chosen in (np.array([True, False, True]), np.array([2, 0, 0, 1]), np.zeros(3, bool), np.zeros(0, np.int64)):
        some = column[chosen]
        rows = [some.values[a:b].tolist() for a, b in zip(some.offsets[:-1], some.offsets[1:])]
        assert rows == [parts[k] for k in np.arange(3)[chosen]]
        assert some.lengths.tolist() == [len(row) for row in rows]
    assert len(Ragged.of([])) == 0


def test_a_ragged_column_must_cover_its_samples(tmp_path):
    ids = np.array(["a", "b"])
    for begin, words in (([0, 1], "1 rows, ids has 2"), ([0, 2, 1], "overlap"), ([0, 1, 1], "belong to none")):
        broken = {"x": Ragged(np.zeros(2), np.array(begin))}
        with pytest.raises(BadData, match=words):
            Statistics(ids, ids, broken)
    np.savez(tmp_path / "s.npz", ids=ids, image_ids=ids, s_x=np.zeros(2), o_x=np.array([1, 1, 2]))
    with pytest.raises(BadData, match=r"s\.npz: statistics: x has rows that overlap"):
        _ = read_statistics(tmp_path / "s.npz").columns["x"]
    with pytest.raises(BadData, match="x is float32"):
        Statistics(ids, ids, {"x": Ragged(np.zeros(2, np.float32), np.array([0, 1, 2]))})
    for mixed in ([{"x": 1.0}, {"x": np.ones(2)}], [{"x": np.ones(2)}, {"x": 1.0}], [{"x": np.ones((1, 2))}] * 2):
        with pytest.raises(BadData, match="statistic x: one number for every sample, or one 1-D array"):
            columns_of(mixed)
