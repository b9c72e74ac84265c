"""How fast answers are read and judged, beside plain references that give the same digits.

    python benchmarks/metrics.py [--size 512] [--count 11] [--threads 2] [--repeats 9] [--device cpu] [--only NAME ...]

Each row: one photograph of size x size pixels and `count` predictions for it, as many as a trajectory keeps; of AP,
40 x count photographs. Both sides run in turn, `repeats` times, and medians are compared. References are small, and
ours alone: they do what the named programs do. The script fails where the results differ.

    red decoding       numpy.linalg.norm of each pixel's difference from red, at most 50
    oIoU, LAVT         LAVT's computeIoU: numpy.sum of logical_and and of logical_or, of int64 masks as it has them
    oIoU, bools        the same of bool masks, which ours are
    mIoU, histograms   CSAIL's development kit of ADE20K: three numpy.histogram of 150 classes
    mIoU, bincount     FCN: one numpy.bincount of C truth + prediction, over the labelled pixels
    depth fit          Marigold: numpy.linalg.lstsq on [p, 1] of the pixels with a truth
    depth, all         the same, and ten errors in numpy
    AP                 pycocotools, evaluate and accumulate; ours, matching and AP from what was matched
    AP, a resample     pycocotools over the resampled photographs; ours from what was matched, one of 100 resamples
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from addp_bench.evaluation import judged
from addp_bench.loading import load
from addp_bench.pixelwise import portions, together
from addp_bench.spec import Choice
from addp_bench.statistics import columns_of
from addp_bench.tasks import depth_batch
from addp_bench.types import UNLABELLED, Depth, Detections, Objects, Query, Sample, to_batch

CLASSES = 150  # of ADE20K
RESAMPLES = 100


@dataclass(frozen=True)
class Case:
    """Two ways to the same numbers. size: what they are made of, in words. read: what a call of ours gives -> the
    reference's numbers, and not timed. allowed: by how much these may differ, as a share of the larger. shares: how
    many results one call of ours gives for one of the reference's."""

    name: str
    size: str
    reference: Callable[[], np.ndarray]
    ours: Callable[[], Any]
    read: Callable[[Any], Any] = np.asarray
    allowed: float = 0.0
    shares: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the photographs, pixels")
    parser.add_argument("--count", type=int, default=11, help="predictions of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where ours counts; references are numpy's")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="cases whose name begins so")
    asked = parser.parse_args()
    given = {name: str(asked.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    if any(os.environ.get(name) != value for name, value in given.items()):  # numpy reads them when it is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **given})
    torch.set_num_threads(asked.threads)
    print(f"{processor()}, {asked.threads} threads, {asked.device}; torch {torch.__version__}, numpy {np.__version__}")
    for make in (red, oiou, miou, depth, precision):
        for case in make(np.random.default_rng(asked.seed), asked.size, asked.count, torch.device(asked.device)):
            if asked.only is None or case.name.startswith(tuple(asked.only)):
                print(told(case, asked.repeats), flush=True)


def told(case: Case, repeats: int) -> str:
    """Seconds of both, in turn, and how much they differ. Exits where that is more than may be."""
    theirs, found = np.asarray(case.reference(), np.float64), np.asarray(case.read(case.ours()), np.float64)
    assert theirs.shape == found.shape, f"{case.name}: {theirs.shape} numbers beside {found.shape}"
    scale = np.maximum(np.maximum(np.abs(theirs), np.abs(found)), np.finfo(float).tiny)
    apart = float(np.nan_to_num(np.abs(theirs - found) / scale).max())
    if apart > case.allowed or (np.isnan(theirs) != np.isnan(found)).any():
        sys.exit(f"{case.name}: differs by {apart:.2g}, at most {case.allowed:.2g} is allowed")
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, call in zip(seconds, (case.reference, case.ours)):
            begun = time.perf_counter()
            call()
            side.append(time.perf_counter() - begun)
    reference, ours = statistics.median(seconds[0]), statistics.median(seconds[1]) / case.shares
    return (
        f"{case.name}: {case.size}; reference {reference:.3g} s, ours {ours:.3g} s, ratio {reference / ours:.1f}, "
        f"largest difference {apart:.2g}"
    )


def processor() -> str:
    """Its name, as Linux has it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "a processor")


def task(name: str, protocol: str, vocabulary: Sequence[str] = ()) -> Any:
    """The judge of a task under one of its protocols."""
    built = part("task", name)
    return built.evaluator(built.protocols()[protocol], vocabulary)


def part(kind: str, name: str) -> Any:
    registry = load().registry
    return registry.build(kind, registry.resolve(kind, Choice(name)))


def sample(truth: Any, size: int) -> Sample:
    return Sample("it", "it", np.zeros((size, size, 3), np.uint8), truth)


def ellipse(size: int, rng: np.random.Generator) -> np.ndarray:
    """A mask (size, size) of an object of a tenth to a third of the side."""
    y, x = np.mgrid[:size, :size] / size
    (top, left), (tall, wide) = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3, 2)
    return np.asarray(((y - top) / tall) ** 2 + ((x - left) / wide) ** 2 < 1)


# ------------------------------------------------------------------------------------------------ masks


def red(rng: np.random.Generator, size: int, count: int, device: torch.device) -> list[Case]:
    drawn = rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    drawn[:, ellipse(size, rng)] = (250, 20, 20)
    given, encoding = to_batch(drawn, device), part("encoding", "red_mask")

    def reference() -> np.ndarray:
        return np.stack([np.linalg.norm(picture - np.array([255.0, 0.0, 0.0]), axis=-1) <= 50 for picture in drawn])

    def ours() -> np.ndarray:
        some = (given[some] for some in portions(count, size * size, device))
        found = [encoding.decode_batch(pictures, pictures, [Query("it")] * len(pictures)) for pictures in some]
        return torch.cat(found).cpu().numpy()

    return [Case("red decoding", f"{count} x {size} x {size}", reference, ours)]


def oiou(rng: np.random.Generator, size: int, count: int, device: torch.device) -> list[Case]:
    truth = ellipse(size, rng)
    said = [ellipse(size, rng) ^ (rng.random((size, size)) < 0.02) for _ in range(count)]
    masks, evaluator, it = torch.tensor(np.stack(said), device=device), task("ris", "cris"), sample(truth, size)

    def reference(masks: Sequence[np.ndarray], truth: np.ndarray) -> np.ndarray:
        pairs = [(np.sum(np.logical_and(mask, truth)), np.sum(np.logical_or(mask, truth))) for mask in masks]
        return np.array(pairs, np.float64)

    def read(rows: Any) -> list[Any]:
        return [(row["intersection"], row["union"]) for row in rows]

    def ours() -> Any:
        return judged(evaluator, it, list(masks))

    words = f"{count} x {size} x {size}"
    numbers, whole = [mask.astype(np.int64) for mask in said], truth.astype(np.int64)
    return [
        Case("oIoU, LAVT", words, lambda: reference(numbers, whole), ours, read),
        Case("oIoU, bools", words, lambda: reference(said, truth), ours, read),
    ]


# ------------------------------------------------------------------------------------------------ class maps


def miou(rng: np.random.Generator, size: int, count: int, device: torch.device) -> list[Case]:
    coarse = rng.integers(0, CLASSES, (-(-size // 32), -(-size // 32)))
    truth = np.kron(coarse, np.ones((32, 32), np.int64))[:size, :size]
    strayed = [rng.random((size, size)) < 0.3 for _ in range(count)]
    said = [np.where(stray, rng.integers(0, CLASSES, (size, size)), truth) for stray in strayed]
    truth = np.where(rng.random((size, size)) < 0.05, UNLABELLED, truth)
    maps, it = torch.tensor(np.stack(said), device=device), sample(truth, size)
    evaluator = task("semantic", "ade20k", [str(k) for k in range(CLASSES)])

    def histograms() -> np.ndarray:
        return np.stack([csail(labels, truth) for labels in said])

    def bincount() -> np.ndarray:
        return np.stack([fcn(labels, truth) for labels in said])

    def read(rows: Any) -> list[Any]:
        return [
            [[row[f"{family}.{k}"] for k in range(CLASSES)] for family in ("intersection", "union")] for row in rows
        ]

    words = f"{count} x {size} x {size}, {CLASSES} classes"
    return [
        Case(name, words, made, lambda: judged(evaluator, it, list(maps)), read)
        for name, made in (("mIoU, histograms", histograms), ("mIoU, bincount", bincount))
    ]


def csail(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection and union (2, classes): 0 becomes "no class", and what has none leaves the prediction too."""
    truth = np.where(truth == UNLABELLED, 0, truth + 1)
    said = (said + 1) * (truth > 0)
    both = said * (said == truth)
    shared, drawn, true = (np.histogram(m, bins=CLASSES, range=(1, CLASSES))[0] for m in (both, said, truth))
    return np.stack([shared, drawn + true - shared])


def fcn(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection and union (2, classes), by one confusion matrix."""
    known = truth != UNLABELLED
    confusion = np.bincount(CLASSES * truth[known] + said[known], minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    shared = np.diag(confusion)
    return np.stack([shared, confusion.sum(0) + confusion.sum(1) - shared])


# ------------------------------------------------------------------------------------------------ depth


def depth(rng: np.random.Generator, size: int, count: int, device: torch.device) -> list[Case]:
    truth = rng.uniform(0.5, 9.5, (size, size)).astype(np.float32)
    truth[rng.random((size, size)) < 0.2] = 0.0
    said = [(truth / 10 + rng.normal(0, 0.1, (size, size))).astype(np.float32) for _ in range(count)]
    maps = list(torch.tensor(np.stack(said), device=device))
    evaluator, it = task("depth", "scannet"), sample(truth, size)

    def fitted() -> np.ndarray:
        return np.stack([marigold(prediction, truth) for prediction in said])

    def our_fit() -> np.ndarray:
        valid = (truth > 1e-3) & (truth < 10.0)
        pixels = depth_batch.Pixels.of(np.arange(size * size), truth.astype(np.float64).ravel(), valid.ravel(), device)
        found = [
            torch.stack(depth_batch.solved(pixels.read(some, False), pixels, "least_square"), 1)
            for some in together(maps)
        ]
        return torch.cat(found).cpu().numpy()

    def everything() -> np.ndarray:
        return np.stack([errors(prediction, truth) for prediction in said])

    def ours() -> Any:
        return judged(evaluator, it, [Depth(values, "affine") for values in maps])

    def read(rows: Any) -> list[Any]:
        return [[row[name] for name in ERRORS] for row in rows]

    words = f"{count} x {size} x {size}"
    return [
        Case("depth fit", words, fitted, our_fit, allowed=1e-9),
        Case("depth, all", words, everything, ours, read, 1e-9),
    ]


ERRORS = ("absrel", "delta1", "delta2", "delta3", "rmse", "sqrel", "rmselog", "log10", "irmse", "silog")


def marigold(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Scale and shift."""
    valid = (truth > 1e-3) & (truth < 10.0)
    p = said.astype(np.float64)[valid].reshape(-1, 1)
    a = np.concatenate([p, np.ones_like(p)], axis=-1)
    found: np.ndarray = np.linalg.lstsq(a, truth.astype(np.float64)[valid].reshape(-1, 1), rcond=None)[0].ravel()
    return found


def errors(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """ERRORS of the aligned map, clipped to 1e-3 and 10 metres."""
    scale, shift = marigold(said, truth)
    p = np.clip(said.astype(np.float64) * scale + shift, 1e-3, 10.0)
    valid = (truth > 1e-3) & (truth < 10.0)
    p, g = p[valid], truth.astype(np.float64)[valid]
    ratio, log = np.maximum(p / g, g / p), np.log(p) - np.log(g)
    return np.array([
        np.mean(np.abs(p - g) / g),
        *(np.mean(ratio < 1.25**k) for k in (1, 2, 3)),
        np.sqrt(np.mean((p - g) ** 2)),
        np.mean((p - g) ** 2 / g),
        np.sqrt(np.mean(log**2)),
        np.mean(np.abs(np.log10(p) - np.log10(g))),
        np.sqrt(np.mean((1 / p - 1 / g) ** 2)),
        np.sqrt(np.mean(log**2) - np.mean(log) ** 2),
    ])  # fmt: skip


# ------------------------------------------------------------------------------------------------ boxes


def precision(rng: np.random.Generator, size: int, count: int, device: torch.device) -> list[Case]:
    photographs = [boxes(rng, size) for _ in range(40 * count)]
    names = [str(k) for k in range(10)]
    evaluator = task("detection", "coco", names)
    metric = evaluator.metrics[0]
    picked = np.sort(rng.integers(0, len(photographs), len(photographs)))
    samples = [(sample(there, size), found) for there, found in photographs]
    columns = columns_of([evaluator.statistics(it, found) for it, found in samples])
    counts = np.tile(np.bincount(picked, minlength=len(photographs)).astype(np.float64), (RESAMPLES, 1))
    whole, resampled = coco(photographs), coco([photographs[k] for k in picked])

    def ours() -> np.ndarray:
        rows = [evaluator.statistics(it, found) for it, found in samples]
        return np.array([float(metric.value(columns_of(rows)))])

    said = f"{len(photographs)} photographs, {sum(len(found.labels) for _, found in photographs)} boxes"
    return [
        Case("AP", said, lambda: average_precision(*whole), ours, allowed=1e-12),
        Case(
            "AP, a resample",
            said,
            lambda: average_precision(*resampled),
            lambda: metric.value(columns, counts),
            lambda made: made[:1],
            1e-12,
            RESAMPLES,
        ),
    ]


def boxes(rng: np.random.Generator, size: int) -> tuple[Objects, Detections]:
    """Seven objects of ten classes, and twenty boxes, most of them near one."""
    corner, side = rng.uniform(0, 0.6 * size, (7, 2)), rng.uniform(0.02 * size, 0.4 * size, (7, 2))
    there, labels = np.concatenate([corner, corner + side], 1), rng.integers(0, 10, 7)
    of = rng.integers(0, 7, 20)
    found = there[of] + rng.normal(0, 0.02 * size, (20, 4))
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    truth = Objects(there, labels, np.zeros(7, bool), side.prod(1), (size, size))
    return truth, Detections(found, np.where(rng.random(20) < 0.8, labels[of], 0), rng.random(20))


def coco(photographs: Sequence[tuple[Objects, Detections]]) -> tuple[COCO, COCO]:
    """Truth and results as pycocotools takes them; ids count from 1, because it asks whether an id is 0."""
    there = [
        {"image_id": i, "category_id": int(label) + 1, "bbox": box, "area": float(area), "iscrowd": 0}
        for i, (truth, _) in enumerate(photographs, 1)
        for box, label, area in zip(xywh(truth.xyxy), truth.labels, truth.area)
    ]
    found = [
        {"image_id": i, "category_id": int(label) + 1, "bbox": box, "score": float(score)}
        for i, (_, seen) in enumerate(photographs, 1)
        for box, label, score in zip(xywh(seen.xyxy), seen.labels, seen.scores)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(1, len(photographs) + 1)],
            "categories": [{"id": k} for k in range(1, 11)],
            "annotations": [{**a, "id": i} for i, a in enumerate(there, 1)],
        }
        truth.createIndex()
        return truth, truth.loadRes(found)


def average_precision(truth: COCO, found: COCO) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, found, "bbox")
        judge.evaluate()
        judge.accumulate()
    made = judge.eval["precision"][:, :, :, 0, 2]
    return np.array([made[made > -1].mean()])


def xywh(xyxy: np.ndarray) -> list[list[float]]:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).tolist()


if __name__ == "__main__":
    main()
