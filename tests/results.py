"""Records of experiments that never ran: a plain mean of known numbers, so that tables can be checked by hand."""

import hashlib
from pathlib import Path

import numpy as np

from addp_bench.metrics import MeanOf, RatioOfSums
from addp_bench.records import Record, folder_of, metric_entry, write
from addp_bench.statistics import Statistics

METRICS = (
    RatioOfSums(id="oiou", label="oIoU", numerator="intersection", denominator="union"),
    MeanOf(id="miou", label="mIoU", column="iou"),
)


def statistics(iou: np.ndarray, union: np.ndarray | float = 100.0) -> Statistics:
    """Two expressions for each image."""
    n = len(iou)
    union = np.broadcast_to(np.asarray(union, np.float64), n)
    columns = {"intersection": iou * union, "union": union.copy(), "iou": iou}
    return Statistics(
        np.array([f"e{k:05d}" for k in range(n)]), np.array([f"p{k // 2:05d}" for k in range(n)]), columns
    )


def choice(text: str) -> dict:
    name, *options = text.split(":")
    return {"name": name, "options": dict(option.split("=") for option in options)}


def record(
    runs: Path,
    iou: np.ndarray,
    *,
    seed=0,
    budget="quick",
    trained=True,
    asked=None,
    metrics=METRICS,
    provenance=None,
    **result,
) -> Record:
    """Write one. Choices are given as `weights="uniform"`; `result_x=...` replaces result["x"]. provenance: added."""
    replaced = {k.removeprefix("result_"): v for k, v in result.items() if k.startswith("result_")}
    chosen = {k: v for k, v in result.items() if not k.startswith("result_")}
    if trained:
        chosen = {"model": "tiny", "weights": "uniform", "aug": "none", "target": "x0", "encoding": "red_mask"} | chosen
    made = statistics(np.asarray(iou, np.float64))
    choices = {kind: choice(text) for kind, text in chosen.items()}
    key = hashlib.sha256(repr((sorted(chosen.items()), seed, budget, asked, repr(replaced))).encode()).hexdigest()
    asked = len(made) if asked is None else asked
    result = {
        "task": "ris",
        "dataset": {"name": "tabletop", "options": {}, "split": "val", "fingerprint": "f0"},
        "protocol": {"name": "tabletop_ris", "version": 1, "settings": {"eval_size": "original"}},
        "budget": budget if trained else "untrained",
        "choices": choices,
        "training": {"steps": 100, "batch_size": 8, "lr": 1e-4, "samples": 64} if trained else None,
        "seed": seed,
        "sampling_steps": 20 if trained else None,
        "read_at": {"rule": "final", "index": 19, "t": 0} if trained else None,
        "samples": {"asked": asked, "scored": len(made), "failed": asked - len(made)},
        "metrics": {m.id: metric_entry(m, float(m.value(made.columns))) for m in metrics},
        "slices": {},
        "curve": None,
        "contribution": None,
        "timestep_mass": None,
        **replaced,
    }
    body = {
        "schema": 1,
        "cell": key,
        "id": key[:12],
        "result": result,
        "provenance": {"finished": "2026-01-01", **(provenance or {})},
    }
    return write(folder_of(runs, key[:12]), body, made)
