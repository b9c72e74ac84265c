"""What other programs predicted, read from files, judged as anything else is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from addp_bench.errors import BadModel, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.keys import by_content
from addp_bench.spec import Choice
from addp_bench.types import ModelCard

if TYPE_CHECKING:
    import numpy as np

    from addp_bench.protocols import Task
    from addp_bench.registry import Registry
    from addp_bench.types import Sample


class Predictions:
    """Predictions in files, one for each sample: FOLDER/ID.png for sample ID, with the suffix that the task reads.

    An id with slashes stands in folders of their names. Every sample must have its file: one that is missing is an
    error that names it, never a gap in a mean.

    path: the folder; or one file that holds the predictions of all samples, for a task that reads such files.
    """

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        """What the files hold, as a fingerprint. Raises BadModel where there is none."""
        path = Path(str(options["path"])).expanduser()
        if not path.is_file() and not (path.is_dir() and any(path.iterdir())):
            raise BadModel(f"predictions: {path} holds no files; give the folder that has one file for each sample")
        content = by_content(Choice("predictions", {"path": str(path)}))["options"]["path"]
        return ModelCard(fingerprint=content, target="", resolution=0, guidance="")

    def bind(self, task: Task, name: str) -> Predictions:
        """The same, told the task it answers for. Raises BadModel for a task that reads no files."""
        if not hasattr(task, "read"):
            raise BadModel(f"task {name} does not say how predictions are read from files")
        self._task: Any = task
        return self

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """What the sample's file holds. Raises BadPrediction when there is none, BadData when it cannot be read."""
        file = self.path
        if file.is_dir():
            place = Path(sample.id + self._task.suffix)
            if place.is_absolute() or ".." in place.parts:
                raise BadPrediction(f"sample {sample.id!r}: its id names no place inside {self.path}")
            file = self.path / place
        if not file.is_file():
            raise BadPrediction(f"sample {sample.id}: no prediction; expected it in {file}")
        return self._task.read(file, sample)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "predictions", Predictions)
