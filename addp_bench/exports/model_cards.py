"""Results as the metadata of a model card on Hugging Face: the `model-index` that its pages show.

A card speaks of one model: its value is the mean over the seeds that are given, and everything that a reader needs to
compare it stands beside it: interval, seeds, samples, protocol with version, metric version, cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from addp_bench import __version__
from addp_bench.errors import BadData, BadRequest
from addp_bench.protocol_cards import hash_of
from addp_bench.records import Record, clean, metric_of
from addp_bench.results.axes import axes_of
from addp_bench.results.selection import Row, rows_of
from addp_bench.results.uncertainty import LEVEL, Runs, interval

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# What the Hub calls our tasks; others keep their own name.
TASKS: Mapping[str, str] = {
    "depth": "depth-estimation",
    "ris": "image-segmentation",
    "semantic": "image-segmentation",
    "detection": "object-detection",
    "classification": "image-classification",
    "probe": "image-classification",
}


def results(records: Sequence[Record], url: str = "") -> list[EvalResult]:
    """One result for each metric that has a value, points times 100. url: where a reader finds the records.

    Raises BadRequest where the records are several rows of one task, data and protocol: those are several models.
    """
    from huggingface_hub import EvalResult

    rows = rows_of(records)
    by_place: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_place.setdefault(_place(row.first.result), []).append(row)
    for several in by_place.values():
        if len(several) > 1:
            _, axes, _ = axes_of(several)
            differing = [axis for axis in axes if axis != "model"] or axes
            cells = ", ".join(row.first.id for row in several)
            raise BadRequest(
                [f"a card speaks of one model, and cells {cells} differ in {', '.join(differing)}; name cells of one"]
            )
    found = []
    for row in rows:
        result = row.first.result
        data = result["dataset"]
        for name, said in result["metrics"].items():
            if (measured := _measured(row, name)) is None:
                continue
            found.append(
                EvalResult(
                    task_type=TASKS.get(result["task"], clean(result["task"])),
                    task_name=clean(result["task"]),
                    dataset_type=clean(data["name"]),
                    dataset_name=clean(data["name"]),
                    dataset_config=clean(result["protocol"]["name"]),
                    dataset_split=clean(data["split"]),
                    dataset_revision=clean(data["fingerprint"]) or None,
                    dataset_args=dict(data["options"]) or None,
                    metric_type=clean(name),
                    metric_name=clean(said["label"]),
                    metric_value=measured.pop("value"),
                    metric_args=measured,
                    source_name=f"addp-bench {__version__}" if url else None,
                    source_url=url or None,
                )
            )
    return found


def put_into(file: Path, name: str, found: Sequence[EvalResult]) -> bytes:
    """The content of a card with these results among its metadata; the rest of them and its words stay as they are.

    file: the card, which need not be there yet. Raises BadData for one whose metadata cannot be read.
    """
    from huggingface_hub import metadata_load, metadata_save
    from huggingface_hub.repocard_data import eval_results_to_model_index
    from yaml import YAMLError

    with TemporaryDirectory(prefix="addp-bench-") as scratch:
        copy = Path(scratch) / "README.md"  # the library rewrites a file in place, and could leave half of it
        try:
            known = (metadata_load(file) or {}) if file.exists() else {}
            if file.exists():
                copy.write_bytes(file.read_bytes())
        except (YAMLError, ValueError, OSError) as broken:
            raise BadData(f"{file}: its metadata cannot be read ({clean(str(broken))[:200]})") from broken
        metadata_save(copy, {**known, "model-index": eval_results_to_model_index(name, list(found))})
        return copy.read_bytes()


def block(name: str, found: Sequence[EvalResult]) -> str:
    """Results as the YAML block with which a card begins, its dashes included."""
    from huggingface_hub import ModelCardData

    return f"---\n{ModelCardData(model_name=name, eval_results=list(found)).to_yaml()}\n---"


def _place(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What the Hub tells results apart by."""
    data = result["dataset"]
    return (result["task"], data["name"], result["protocol"]["name"], data["split"], data["fingerprint"])


def _measured(row: Row, metric: str) -> dict[str, Any] | None:
    """The mean over seeds and what goes with it; None where a seed has no value."""
    values = [record.value(metric) for record in row.records]
    if None in values:
        return None
    result, said = row.first.result, row.first.result["metrics"][metric]
    times = 100.0 if said["unit"] == "points" else 1.0
    protocol = {name: v for name, v in result["protocol"].items() if name in ("name", "settings", "version", "asks")}
    told = {
        "value": sum(v for v in values if v is not None) / len(values) * times,
        "unit": "points, 0 to 100" if said["unit"] == "points" else clean(said["unit"]),
        "higher_is_better": said["higher_is_better"],
        "version": said["version"],
        "seeds": list(row.by_seed),
        "samples": result["samples"]["scored"],
        "protocol_version": result["protocol"]["version"],
        "protocol_hash": hash_of(protocol),
        "budget": clean(result["budget"]),
        "cells": [record.id for record in row.records],
    }
    if (made := metric_of(row.first, metric)) is not None:
        runs = Runs({seed: record.statistics for seed, record in row.by_seed.items()}, row.trained)
        ends = interval(made, runs)
        if ends.low == ends.low:  # nan where no interval can be made
            told |= {"low": ends.low * times, "high": ends.high * times, "level": LEVEL}
    return told
