"""What the commands on the pages speak of: datasets, a model folder, predictions, a photograph and finished cells.

Everything is made once for all workers, where it is first asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import data_miniature
import labelled_miniature
import numpy as np
import refcoco_miniature
from filelock import FileLock
from model_miniature import build_sd15
from PIL import Image

from addp_bench import records
from addp_bench.loading import load
from addp_bench.spec import Choice
from addp_bench.tasks.coco import CATEGORIES

REFCOCO = ("refcoco", "refcocoplus", "refcocog")
PHOTOGRAPHS = ("photo.png", "desk.png")

# every option is also read from a variable, and what a page says wins
SMALL = {
    "TRAIN_STEPS": 2,
    "BATCH_SIZE": 2,
    "TRAIN_SAMPLES": 8,
    "STATS_SAMPLES": 12,
    "LIMIT": 4,
    "STEPS": 2,
    "WARMUP": 0,
    "DEVICE": "cpu",
}
CELLS = (
    "run --task ris --weights uniform --weights perception_stats --aug none --aug linear --target x0 --seeds 0..1",
    "run --task ris --weights uniform --aug none --target x0 --seed 2",
    "run --task depth --task semantic --task detection --task classification --task probe",
)


def environment() -> dict[str, str]:
    """The variables under which the pages' commands are as small as can be."""
    return {f"ADDP_BENCH_{name}": str(value) for name, value in SMALL.items()}


class World:
    """A folder, and what is made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """What `make` writes at this name, made by the first process that asks."""
        place = self.folder / name
        with FileLock(f"{self.folder / name.replace('/', '-')}.lock"):
            if not place.exists():
                part = place.with_name(f"{place.name}-{os.getpid()}")
                part.parent.mkdir(parents=True, exist_ok=True)
                make(part)
                part.rename(place)
        return place

    def dataset(self, name: str) -> Path:
        """The miniature of a real dataset. Raises LookupError for one that has none."""
        if name in REFCOCO:
            return self.made("refer", refcoco_miniature.build)
        makers: dict[str, Callable[[Path], object]] = {
            **{depth: maker for depth, (_, maker, *_) in data_miniature.DEPTH.items()},
            "ade20k": data_miniature.ade20k,
            "coco": lambda place: data_miniature.coco(place, dict(CATEGORIES)),
            "cifar10": labelled_miniature.cifar10,
            "tiny_imagenet": labelled_miniature.tiny_imagenet,
            "pairs": _pairs,
        }
        if name not in makers:
            raise LookupError(f"dataset {name} has no miniature: give it one in tests/docs_world.py")
        return self.made(f"data/{name}", makers[name])

    def model(self) -> Path:
        """A random folder of Stable Diffusion's shape."""
        return self.made("sd15", build_sd15)

    def photograph(self) -> Path:
        """Noise, 64 pixels wide."""
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        return self.made("photo.png", lambda place: Image.fromarray(pixels).save(place, format="PNG"))

    def predictions(self, task: str, dataset: str, split: str) -> Path:
        """Files that say the same of every sample of a dataset's miniature, one for each."""
        return self.made(f"said/{task}-{dataset}-{split}", lambda place: self._say(place, task, dataset, split))

    def results(self, dataset: str, split: str) -> Path:
        """The same boxes in one file of a whole split."""
        folder = self.predictions("detection", dataset, split)
        listed = [one for file in sorted(folder.rglob("*.json")) for one in json.loads(file.read_text())]
        return self.made("results.json", lambda place: place.write_text(json.dumps(listed)))

    def _say(self, place: Path, task: str, dataset: str, split: str) -> None:
        registry = load().registry
        path = str(self.dataset(dataset))
        samples = registry.build("dataset", Choice(dataset, {"path": path})).samples(split, task)
        judge: Any = registry.build("task", task)
        says = registry.build("model", "constant:value=everything" if task == "detection" else "constant")
        place.mkdir(parents=True)
        for k, id in enumerate(samples.ids):
            file = place / f"{id}{judge.suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if task == "classification":  # a naive answer has no names of classes
                file.write_text(json.dumps(dict.fromkeys(samples.vocabulary, False)))
                continue
            sample = replace(samples[k], hints={"vocabulary": getattr(samples, "vocabulary", ())})
            answer = says.predict(sample, task, np.random.default_rng(0))
            named = [samples.category_ids] if task == "detection" else []
            judge.write(answer, file, *named)

    def runs(self, make: Callable[[Path], None]) -> Path:
        """A runs folder with CELLS, which `make` computes at the path it is given."""
        return self.made("runs", make)

    @cached_property
    def cells(self) -> dict[str, str]:
        """What the finished cells are -> their ids: "ris 0" and "ris 1" (uniform, none), "ris linear", "depth", ..."""
        found = {}
        for record in records.load_all(self.folder / "runs").records:
            told = record.result
            if told["task"] != "ris":
                found[told["task"]] = record.id
                continue
            weights, aug = (told["choices"][kind]["name"] for kind in ("weights", "aug"))
            found[f"ris {weights} {aug} {told['seed']}"] = record.id
        return found


def _pairs(place: Path) -> None:
    """What docs/own-dataset.md reads: photographs, masks and words.csv."""
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(80):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(place / f"{k}.jpg")
        mask = np.zeros((64, 64), np.uint8)
        mask[10 : 20 + k % 40, 15:40] = 255
        Image.fromarray(mask).save(place / f"{k}.png")
    (place / "words.csv").write_text("id,words\n" + "".join(f"{k},the thing {k}\n" for k in range(80)))


def copied(runs: Path, place: Path) -> None:
    """A runs folder of one's own, without writing its files anew."""
    shutil.copytree(runs, place, copy_function=os.link)
