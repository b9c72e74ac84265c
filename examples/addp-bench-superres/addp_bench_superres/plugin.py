"""What this distribution brings: a task, the data and the drawing it is asked with, and the row to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addp_bench.hookspecs import hookimpl

from .data import Folder, TabletopPictures
from .drawing import WholePicture
from .naive import Bicubic
from .task import SuperResolution

if TYPE_CHECKING:
    from addp_bench.registry import Registry

requires_api = "1.0"


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "superres", SuperResolution)
    registry.add("dataset", "superres_tabletop", TabletopPictures)
    registry.add("dataset", "superres_folder", Folder)
    registry.add("encoding", "whole_picture", WholePicture)
    registry.add("model", "bicubic", Bicubic)
