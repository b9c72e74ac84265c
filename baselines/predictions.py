"""What other programs predicted, read from files, judged as anything else is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from addp_bench.errors import BadModel, BadPrediction
from addp_bench.hookspecs import hookimpl
from addp_bench.keys import by_content
from addp_bench.spec import Choice
from addp_bench.types import ModelCard

if TYPE_CHECKING:
    import numpy as np

    from addp_bench.protocols import Samples, Task
    from addp_bench.registry import Registry
    from addp_bench.types import Sample


class Predictions:
    """Predictions in files, one for each sample: FOLDER/ID.png for sample ID, with the suffix that the task reads.

    An id with slashes stands in folders of their names. Where the split says what other programs call a prediction, as
    depth data do for Marigold's, that file will do as well. Every sample must have its file: one that is missing is an
    error that names it, never a gap in a mean.

    path: the folder; or one file that holds the predictions of all samples, for a task that reads such files.
    """

    denoises: ClassVar[bool] = False
    uses_truth: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        self._called: Mapping[str, str] = {}  # sample -> another name of its file
        self._names: Mapping[str, Any] = {}

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

    def expect(self, samples: Samples) -> None:
        """Learn what the split names. Raises BadData for a file of all samples that belongs to others."""
        self._called = dict(zip(samples.ids, getattr(samples, "predictions", ())))
        named = {name: getattr(samples, name, ()) for name in ("category_ids", "vocabulary")}
        self._names = {name: given for name, given in named.items() if given}
        if self.path.is_file() and hasattr(self._task, "require_of"):
            self._task.require_of(self.path, samples.ids, self._names)

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """What the sample's file holds. Raises BadPrediction when there is none, BadData when it cannot be read."""
        sample = replace(sample, hints={**sample.hints, **self._names})
        if self.path.is_file() and hasattr(self._task, "read_all"):
            return self._task.read_all(self.path, sample)
        return self._task.read(self._file(sample.id), sample)

    def _file(self, sample: str) -> Path:
        if not self.path.is_dir():
            return self.path
        names = [sample, *([self._called[sample]] if sample in self._called else [])]
        places = [Path(name + self._task.suffix) for name in names]
        if any(place.is_absolute() or ".." in place.parts for place in places):
            raise BadPrediction(f"sample {sample!r}: its id names no place inside {self.path}")
        files = [self.path / place for place in places]
        there = [file for file in files if file.is_file()]
        if len(there) != 1:
            what = "no prediction; expected it in" if not there else "has two predictions; keep one of"
            raise BadPrediction(f"sample {sample}: {what} {' or '.join(map(str, files))}")
        return there[0]


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "predictions", Predictions)
