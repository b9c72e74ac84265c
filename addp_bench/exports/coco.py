"""The boxes of a finished cell as COCO's result file: a list of {image_id, category_id, bbox, score}."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BadRequest
from addp_bench.records import clean
from addp_bench.reopen import Reopened

if TYPE_CHECKING:
    from addp_bench.records import Record
    from addp_bench.run import Bench

TOGETHER = 100  # photographs held at a time, with their pictures


def detections(record: Record, bench: Bench, told: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Every box that the cell was judged on, photographs in their order. told: called with how many are done, of what.

    image_id is the last part of a sample's id, a number where it is written as one; the whole id where last parts are
    not unique. category_id is the dataset's own where it has ids, else classes count from 1. `score --predictions FILE`
    reads it back. Raises BadRequest for a task whose answers are no boxes, BadData where the run left nothing to read.
    """
    reopened = Reopened(record, bench)
    task = bench.work.build("task", reopened.cell)
    if task.truth != "boxes":
        name = clean(record.result["task"])
        raise BadRequest([f"cell {record.id}: answers of {name} are no boxes; COCO's result files hold boxes alone"])
    settings = record.result["protocol"]["settings"]
    samples, _ = bench.work.samples(
        reopened.cell, "eval", reopened.cell.budget.limit, settings.get("class_list", "all")
    )
    categories = tuple(getattr(samples, "category_ids", ()))
    ids = [str(sample) for sample in record.statistics.ids]
    found: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="addp-bench-") as scratch:
        file = Path(scratch) / f"answer{task.suffix}"
        for done, (image, prediction) in enumerate(_predictions(reopened, ids)):
            task.write(prediction, file, categories)
            found += [{**line, "image_id": image} for line in json.loads(file.read_text())]
            told(done + 1, len(ids))
    return found


def encoded(found: Sequence[dict[str, Any]]) -> bytes:
    """Detections as the content of a result file."""
    return (json.dumps(found, allow_nan=False) + "\n").encode()


def image_ids(samples: Sequence[str]) -> list[int | str]:
    """What the photographs of these samples are called in a result file."""
    ends = [sample.rpartition("/")[2] for sample in samples]
    often = Counter(ends)
    names = [end if often[end] == 1 else sample for sample, end in zip(samples, ends)]
    # a leading zero is part of a name, and would be lost in a number
    return [int(name) if name.isdecimal() and str(int(name)) == name else name for name in names]


def _predictions(reopened: Reopened, ids: Sequence[str]) -> Iterator[tuple[int | str, Any]]:
    names = image_ids(ids)
    for first in range(0, len(ids), TOGETHER):
        pictures = reopened.pictures(ids[first : first + TOGETHER])
        yield from zip(names[first:], (picture["prediction"] for picture in pictures))
