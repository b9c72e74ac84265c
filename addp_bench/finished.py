"""Cells that were run before, found by their names for what rests on the network they trained."""

from __future__ import annotations

from pathlib import Path

from addp_bench import records
from addp_bench.errors import BadData, BadOption, unknown
from addp_bench.records import Record
from addp_bench.store import Stage, Store


def finished(runs: Path, name: str, use: str) -> tuple[Record, Stage]:
    """A cell by its id or the beginning of it, and its own train stage. use: what cannot be done without it.

    Raises UnknownName for a name that no cell or several have, BadOption for a cell that trained no network, BadData
    when its network is gone.
    """
    known = {record.id: record for record in records.load_all(runs).records}
    matching = [record for id_, record in known.items() if id_.startswith(name.removeprefix("cell:"))]
    if len(matching) != 1:
        raise unknown("cell", name, known, f"(looked in {runs / 'records'}; a file must end in .json)")
    provenance = matching[0].provenance
    trained = [spec for stage, spec in provenance["spec"].items() if stage.startswith("train/")]
    if not trained or not provenance["cell"].get("denoises", True):
        raise BadOption(f"cell {name} trained nothing, so no {use}")
    stage = Stage("train", trained[-1])  # a source's stands before the cell's own
    if not (folder := Store(runs).folder(stage)).is_dir():
        raise BadData(f"cell {name}: {folder} is gone, and with it the network: no {use}")
    return matching[0], stage
