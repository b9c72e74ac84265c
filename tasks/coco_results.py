"""COCO's result files: lists of {image_id, category_id, bbox [x, y, w, h], score} of one photograph or a whole split.

Categories have the ids of the dataset where it names them, as COCO does, whose 80 ids are 1 to 90 with gaps. Elsewhere
classes are numbered from 1 in the order of the vocabulary. A photograph is named by its sample's id, or by the last
part of it, which for COCO is its number.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.store import write_json
from addp_bench.types import Detections

from .matching import xywh

NAMED = 5  # of what is wrong, so many are named


def write(found: Detections, path: Path, category_ids: Sequence[int] = ()) -> None:
    """Of one photograph. image_id is the file's name without its ending, a number where it is one."""
    image = int(path.stem) if path.stem.isdecimal() else path.stem
    ids = category_ids or range(1, 2 + found.labels.max(initial=0))
    lines = [
        {"image_id": image, "category_id": ids[label], "bbox": box, "score": score}
        for label, box, score in zip(found.labels.tolist(), xywh(found.xyxy).tolist(), found.scores.tolist())
    ]
    write_json(path, lines)


def read(path: Path, sample: str, category_ids: Sequence[int] = (), classes: int | None = None) -> Detections:
    """Of one photograph, that of the sample.

    category_ids: of each class, none where they are numbered from 1. classes: how many there are, None where nothing
    says. Raises BadData, naming the file and the sample, for one that is no such list, speaks of several photographs or
    of another one, or has categories that do not exist.
    """
    what = f"sample {sample}: {path}"
    photographs = _photographs(path, what)
    if len(several := [name for name in photographs if name]) > 1:
        raise BadData(
            f"{what} holds answers for {len(several)} photographs; expected one file for each, or the file itself as "
            "--predictions"
        )
    found = _detections([line for lines in photographs.values() for line in lines], what, category_ids, classes)
    if several and several[0].isdecimal() and _last(sample).isdecimal() and several[0] != _last(sample):
        raise BadData(f"{what} holds answers for photograph {several[0]}")
    return found


def read_all(path: Path, sample: str, category_ids: Sequence[int] = (), classes: int | None = None) -> Detections:
    """What the file of a whole split says of one sample: nothing, where nothing was found. Raises as `read`."""
    photographs = _photographs(path, str(path))
    own = [line for name in dict.fromkeys((sample, _last(sample))) for line in photographs.get(name, ())]
    return _detections(own, f"sample {sample}: {path}", category_ids, classes)


def require_of(
    path: Path, samples: Sequence[str], category_ids: Sequence[int] = (), classes: int | None = None
) -> None:
    """Raises BadData, naming the file and all that is wrong at once, unless it speaks of these samples and classes."""
    photographs = _photographs(path, str(path))
    if "" in photographs:
        raise BadData(f"{path}: {len(photographs[''])} detections have no image_id; a file of a whole split needs them")
    ends = Counter(map(_last, samples))
    known = {*samples, *(end for end, count in ends.items() if count == 1)}
    if strange := [name for name in photographs if name not in known]:
        raise BadData(
            f"{path}: {len(strange)} of its {len(photographs)} photographs are none of the split's {len(samples)}: "
            f"{_some(strange)}; expected ids such as {_last(samples[0])}"
        )
    _labels([line for lines in photographs.values() for line in lines], str(path), category_ids, classes)


def _photographs(path: Path, what: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The detections of a file by photograph, "" for those that name none."""
    try:
        found = path.stat()
    except OSError as missing:
        raise BadData(f"{what} cannot be read as JSON ({missing})") from missing
    return _parsed(path, what, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1)  # a file of a whole split is asked again for every sample
def _parsed(path: Path, what: str, size: int, changed: int) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    try:
        lines = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as broken:
        raise BadData(f"{what} cannot be read as JSON ({broken})") from broken
    if not isinstance(lines, list):
        raise BadData(f"{what} holds a {type(lines).__name__}; expected a list of detections")
    photographs: dict[str, list[Mapping[str, Any]]] = {}
    for number, line in enumerate(lines):
        if problem := _problem(line):
            raise BadData(f"{what}, detection {number}: {problem}")
        photographs.setdefault(str(line.get("image_id", "")), []).append(line)
    return photographs


def _detections(
    lines: Sequence[Mapping[str, Any]], what: str, category_ids: Sequence[int], classes: int | None
) -> Detections:
    box = np.array([line["bbox"] for line in lines], np.float64).reshape(-1, 4)
    score = np.array([line["score"] for line in lines], np.float64)
    labels = np.array(_labels(lines, what, category_ids, classes), np.int64)
    return Detections(np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1), labels, score)


def _labels(
    lines: Sequence[Mapping[str, Any]], what: str, category_ids: Sequence[int], classes: int | None
) -> list[int]:
    """The class of each detection. Raises BadData, naming all categories that do not exist."""
    met = Counter(line["category_id"] for line in lines)
    label = {category: place for place, category in enumerate(category_ids)}
    if not category_ids:
        label = {category: category - 1 for category in met if 1 <= category <= (classes or category)}
    if wrong := {category: count for category, count in sorted(met.items()) if category not in label}:
        expected = f"classes are numbered from 1{f' to {classes}' if classes else ''}"
        if category_ids:
            expected = (
                f"the dataset's {len(category_ids)} have ids of their own, {min(category_ids)} to {max(category_ids)}, "
                "which are not their places in a list"
            )
        said = [f"{count} of {category}" for category, count in wrong.items()]
        raise BadData(f"{what} has detections of categories that do not exist: {_some(said)}; {expected}")
    return [label[line["category_id"]] for line in lines]


def _problem(line: Any) -> str | None:
    """What is wrong with one detection, None where nothing is."""
    if not isinstance(line, dict):
        return f"is {line!r}; expected an object with category_id, bbox and score"
    if missing := {"category_id", "bbox", "score"} - line.keys():
        return f"has no {', '.join(sorted(missing))}"
    box, category, score = line["bbox"], line["category_id"], line["score"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)) or min(box[2:]) < 0:
        return f"bbox is {box!r}; expected x, y, width, height, the last two not negative"
    if not isinstance(category, int) or isinstance(category, bool):
        return f"category_id is {category!r}; expected a whole number"
    return None if _number(score) else f"score is {score!r}; expected a finite number"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _last(sample: str) -> str:
    return sample.rpartition("/")[2]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
