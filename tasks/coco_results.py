"""COCO's result file for one photograph: a list of {image_id, category_id, bbox [x, y, w, h], score}.

Classes are numbered from 1 in the order of the vocabulary; COCO's own ids, which leave numbers out, are another list.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from addp_bench.errors import BadData
from addp_bench.store import write_json
from addp_bench.types import Detections

from .matching import xywh


def write(found: Detections, path: Path) -> None:
    """image_id is the file's name without its ending, a number where it is one."""
    image = int(path.stem) if path.stem.isdecimal() else path.stem
    lines = [
        {"image_id": image, "category_id": label + 1, "bbox": box, "score": score}
        for label, box, score in zip(found.labels.tolist(), xywh(found.xyxy).tolist(), found.scores.tolist())
    ]
    write_json(path, lines)


def read(path: Path, what: str) -> Detections:
    """Raises BadData, naming the file and `what`, for one that is no such list, or speaks of several photographs."""
    try:
        lines = json.loads(path.read_text())
    except (OSError, ValueError) as broken:
        raise BadData(f"{what}: {path} cannot be read as JSON ({broken})") from broken
    if not isinstance(lines, list):
        raise BadData(f"{what}: {path} holds a {type(lines).__name__}; expected a list of detections")
    for number, line in enumerate(lines):
        if problem := _problem(line):
            raise BadData(f"{what}: {path}, detection {number}: {problem}")
    if len(several := {json.dumps(line["image_id"]) for line in lines if "image_id" in line}) > 1:
        raise BadData(f"{what}: {path} holds answers for {len(several)} photographs; expected one file for each")
    box = np.array([line["bbox"] for line in lines], np.float64).reshape(-1, 4)
    label = np.array([line["category_id"] - 1 for line in lines], np.int64)
    score = np.array([line["score"] for line in lines], np.float64)
    return Detections(np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1), label, score)


def _problem(line: Any) -> str | None:
    """What is wrong with one detection, None where nothing is."""
    if not isinstance(line, dict):
        return f"is {line!r}; expected an object with category_id, bbox and score"
    if missing := {"category_id", "bbox", "score"} - line.keys():
        return f"has no {', '.join(sorted(missing))}"
    box, label, score = line["bbox"], line["category_id"], line["score"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)) or min(box[2:]) < 0:
        return f"bbox is {box!r}; expected x, y, width, height, the last two not negative"
    if not isinstance(label, int) or isinstance(label, bool) or label < 1:
        return f"category_id is {label!r}; classes are numbered from 1"
    return None if _number(score) else f"score is {score!r}; expected a finite number"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
