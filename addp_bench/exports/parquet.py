"""Per-sample statistics and scores of finished cells as one table, for pandas, polars or DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from addp_bench import __version__
from addp_bench.errors import BadRequest
from addp_bench.metrics import OfSums
from addp_bench.records import Record, metric_of
from addp_bench.statistics import Ragged
from addp_bench.store import canonical

if TYPE_CHECKING:
    import pyarrow


def table(records: Sequence[Record]) -> pyarrow.Table:
    """A line for each cell and sample, in the order of the records.

    Columns: `cell`, `task`, `dataset`, `split`, `budget`, `seed`, `id`, `image_id`; `choice.KIND`, the plugin that was
    chosen, its options behind colons; `attribute.NAME` of the sample; `statistic.NAME`, float64 or a list of them;
    `metric.NAME`, what the metric would be of this sample alone, as stored ([0, 1] for points), null where it is not
    scored. A column that a cell does not have is null there. Metrics that are not made of sums (AP) have no column.

    Raises BadRequest where pyarrow is not installed.
    """
    pa = _pyarrow()
    parts = [pa.table(dict(_columns(record, pa))) for record in records]
    whole = pa.concat_tables(parts, promote_options="permissive")
    described = {record.id: record.result["metrics"] for record in records}
    return whole.replace_schema_metadata({"addp_bench": __version__, "addp_bench_metrics": json.dumps(described)})


def packed(records: Sequence[Record]) -> tuple[bytes, int]:
    """The table of these records as the content of a file, and how many lines it has."""
    pa = _pyarrow()
    from pyarrow import parquet

    made, content = table(records), pa.BufferOutputStream()
    parquet.write_table(made, content, compression="zstd")
    return content.getvalue().to_pybytes(), int(made.num_rows)


def _columns(record: Record, pa: Any) -> Iterator[tuple[str, Any]]:
    result, statistics = record.result, record.statistics
    rows = len(statistics)

    def same(value: Any) -> Any:
        return pa.array([value] * rows, pa.int64() if isinstance(value, int) else pa.string())

    data = result["dataset"]
    yield "cell", same(record.id)
    yield "task", same(result["task"])
    yield "dataset", same(data["name"])
    yield "split", same(data["split"])
    yield "budget", same(result["budget"])
    yield "seed", same(result["seed"])
    yield "id", pa.array(statistics.ids.tolist(), pa.string())
    yield "image_id", pa.array(statistics.image_ids.tolist(), pa.string())
    for kind, made in result["choices"].items():
        yield f"choice.{kind}", same("+".join(map(_said, made if isinstance(made, list) else [made])))
    for name, column in statistics.attributes.items():
        yield f"attribute.{name}", pa.array(column.tolist())
    for name, column in statistics.columns.items():
        if isinstance(column, Ragged):
            yield f"statistic.{name}", pa.LargeListArray.from_arrays(pa.array(column.offsets), pa.array(column.values))
        else:
            yield f"statistic.{name}", pa.array(column)
    for name in result["metrics"]:
        if isinstance(metric := metric_of(record, name), OfSums):
            alone = metric.of_sums(metric.addends(statistics.columns))
            yield f"metric.{name}", pa.array(alone, mask=np.isnan(alone))


def _said(choice: Mapping[str, Any]) -> str:
    options = (f"{o}={v if isinstance(v, str) else canonical(v)}" for o, v in sorted(choice["options"].items()))
    return ":".join([choice["name"], *options])


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as missing:
        raise BadRequest(
            ["export parquet needs pyarrow, which is not installed; `pip install addp-bench[parquet]` installs it"]
        ) from missing
    return pyarrow
