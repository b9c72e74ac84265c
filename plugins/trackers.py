"""Experiment trackers: where runs may be shown as they go on. Nothing is tracked unless `--track` asks for it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

_SECONDS = 10  # between two writings of TensorBoard's file


class TensorBoard:
    """Event files for TensorBoard, which torch writes; `tensorboard --logdir DIR` shows them.

    dir: folder of the event files, one folder below it for each run.
    """

    def __init__(self, dir: str = "tensorboard") -> None:
        _package("tensorboard")
        self.dir = Path(dir)
        self._writers: dict[str, Any] = {}

    def begin(self, run: str, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # no name of a plugin or option may leave the folder
        writer = SummaryWriter(str(self.dir / re.sub(r"[^A-Za-z0-9=._-]+", "_", run)), flush_secs=_SECONDS)
        writer.add_text("cell", f"```\n{json.dumps(config, indent=1)}\n```")
        self._writers[run] = writer

    def log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writers[run].add_scalar(name, value, step)

    def end(self, run: str, values: Mapping[str, float]) -> None:
        writer = self._writers.pop(run)
        for name, value in values.items():
            writer.add_scalar(name, value, 0)
        writer.close()


class WandB:
    """Weights & Biases. `mode=offline` writes a folder that `wandb sync` sends later.

    project: the project's name. entity: the user or team; "" for the account's own. mode: "online" sends, "offline"
    keeps, "disabled" does neither. dir: where its files lie.
    """

    def __init__(
        self,
        project: str = "addp-bench",
        entity: str = "",
        mode: Literal["online", "offline", "disabled"] = "online",
        dir: str = ".",
    ) -> None:
        self._wandb = _package("wandb")
        self._given = {"project": project, "entity": entity or None, "mode": mode, "dir": dir}
        self._runs: dict[str, Any] = {}

    def begin(self, run: str, config: Mapping[str, Any]) -> None:
        # two cells of a grid may be open at once, the second while the source of its statistics is trained
        self._runs[run] = self._wandb.init(**self._given, name=run, config=dict(config), reinit="create_new")

    def log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        self._runs[run].log(dict(values), step=step)

    def end(self, run: str, values: Mapping[str, float]) -> None:
        its = self._runs.pop(run)
        its.summary.update(dict(values))
        its.finish()


class Trackio:
    """Trackio, which keeps runs in a local database; `trackio show` opens them.

    project: the project's name. space: a Hugging Face Space (user/name) to show them in; "" for this machine alone.
    """

    def __init__(self, project: str = "addp-bench", space: str = "") -> None:
        self._trackio = _package("trackio")
        self._given = {"project": project, "space_id": space or None}
        self._runs: dict[str, Any] = {}

    def begin(self, run: str, config: Mapping[str, Any]) -> None:
        self._runs[run] = self._trackio.init(**self._given, name=run, config=dict(config), embed=False)

    def log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        self._runs[run].log(dict(values), step=step)

    def end(self, run: str, values: Mapping[str, float]) -> None:
        its = self._runs.pop(run)
        if values:
            its.log(dict(values))
        its.finish()
        if not self._runs:  # else it is finished once more, in words on stdout, as the process ends
            self._trackio.finish()


def _package(name: str) -> Any:
    """An optional package. Raises ValueError, with what to install, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        raise ValueError(f"the package {name} is not installed; pip install {name}") from missing


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("tracker", "tensorboard", TensorBoard)
    registry.add("tracker", "wandb", WandB)
    registry.add("tracker", "trackio", Trackio)
