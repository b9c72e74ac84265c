"""Where the datasets lie that somebody got for themselves: remembered by name, so that `path` need not be said again.

The place is no part of what a dataset is: keys leave `path` out, and the fingerprint beside them names the contents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from addp_bench.errors import StorageProblem
from addp_bench.home import home
from addp_bench.store import write_json


def places() -> Mapping[str, str]:
    """Dataset -> its folder or file, absolute. Raises StorageProblem for a memory that cannot be read."""
    file = _file()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as broken:
        raise StorageProblem(f"{file} cannot be read: {broken}; remove it, and adopt your data again") from broken
    if not isinstance(kept, dict) or not all(isinstance(place, str) for place in kept.values()):
        raise StorageProblem(f"{file} does not hold places of datasets; remove it, and adopt your data again")
    return kept


def adopt(name: str, place: Path) -> None:
    """Remember where a dataset lies, in place of what was remembered."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {**places(), name: str(place.expanduser().absolute())})


def _file() -> Path:
    return home() / "data.json"
