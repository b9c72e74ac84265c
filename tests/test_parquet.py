"""Per-sample tables hold what the records do, sample by sample."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from addp_bench.errors import BadRequest
from addp_bench.exports import parquet
from addp_bench.records import load_all

RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"
needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="the extra `parquet`")


@needs_pyarrow
def test_a_table_reads_back_as_the_statistics(tmp_path):
    from pyarrow.parquet import read_table

    records = load_all(RECORDS / "quick").records
    content, lines = parquet.packed(records)
    assert lines == 200 * len(records)
    (tmp_path / "t.parquet").write_bytes(content)
    made = read_table(tmp_path / "t.parquet")
    for place, record in enumerate(records):
        part = made.slice(200 * place, 200).to_pydict()
        s = record.statistics
        assert set(part["cell"]) == {record.id}
        assert set(part["seed"]) == {record.result["seed"]}
        assert (part["id"], part["image_id"]) == (s.ids.tolist(), s.image_ids.tolist())
        for name, column in s.columns.items():
            np.testing.assert_array_equal(np.array(part[f"statistic.{name}"], float), column)
        for name, column in s.attributes.items():
            assert part[f"attribute.{name}"] == column.tolist()
        chosen = record.result["choices"]["model"]
        assert part["choice.model"][0].startswith(chosen["name"])
        assert (part["choice.weights"][0] is None) == ("weights" not in record.result["choices"])
    assert json.loads(made.schema.metadata[b"addp_bench_metrics"])[records[0].id] == records[0].result["metrics"]


@needs_pyarrow
def test_a_metric_of_one_sample_is_that_of_its_own_sums():
    record = next(r for r in load_all(RECORDS / "quick").records if r.result["training"])
    made = parquet.table([record]).to_pydict()
    s = record.statistics.columns
    ratio = [i / u if u else None for i, u in zip(s["intersection"], s["union"])]
    assert made["metric.oiou"] == ratio
    assert made["metric.miou"] == s["iou"].tolist()
    assert made["metric.pr50"] == [float(v >= 0.5) for v in s["iou"]]
    assert made["metric.n_acc"] == [None if np.isnan(v) else v for v in s["n_correct"]]
    assert None in made["metric.n_acc"]


@needs_pyarrow
def test_statistics_of_any_length_are_lists_and_ap_has_no_column():
    found = load_all(RECORDS / "tasks").records
    detection = [r for r in found if r.result["task"] == "detection"]
    other = next(r for r in found if r.result["task"] == "depth")
    made = parquet.table([*detection, other])
    column = detection[0].statistics.columns["found_score"]
    rows = made["statistic.found_score"].to_pylist()
    begin, end = column.offsets[3], column.offsets[4]
    assert rows[3] == column.values[begin:end].tolist()
    assert sum(map(len, rows[: len(column)])) == len(column.values)
    assert rows[-1] is None
    assert "metric.ap" not in made.column_names


@needs_pyarrow
def test_the_command_writes_the_table(shell, tmp_path):
    out = tmp_path / "t.parquet"
    code, said, err = shell("export", "parquet", "all", "--runs", RECORDS / "quick", "--out", out)
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}: 1400 lines of 7 cells")


def test_without_pyarrow_the_extra_is_named(monkeypatch, shell, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadRequest, match=r"pip install addp-bench\[parquet\]"):
        parquet.packed([])
    code, _, err = shell("export", "parquet", "all", "--runs", RECORDS / "quick", "--out", tmp_path / "t.parquet")
    assert (code, "addp-bench[parquet]" in err) == (2, True)
    assert not (tmp_path / "t.parquet").exists()
