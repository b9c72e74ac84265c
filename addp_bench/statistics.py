"""Sufficient statistics of every scored sample: from them any metric, subset, resample or interval can be made again.

On disk `statistics.npz`, one row for each sample: `ids` and `image_ids` (text), sufficient statistics `s_*` (float64),
and the attributes `a_*` by which results are sliced. Nothing here ever unpickles.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BadData

if TYPE_CHECKING:
    import numpy as np

STATISTICS = "statistics.npz"
_NUMBERS, _PLAIN = "f", "Ubif"
_WORDS = {_NUMBERS: "float64", _PLAIN: "text, whole numbers, float64 or booleans", "U": "text"}
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Statistics:
    """One row for each of N scored samples.

    ids (N,) text, unique. image_ids (N,) text: samples that share one are a cluster. columns: name -> (N,) float64,
    sufficient statistics. attributes: name -> (N,) text, numbers or booleans. Raises BadData for anything else.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    columns: Mapping[str, np.ndarray]
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.ids)
        _check("ids", self.ids, "U", rows)
        _check("image_ids", self.image_ids, "U", rows)
        for columns, kinds in ((self.columns, _NUMBERS), (self.attributes, _PLAIN)):
            if not isinstance(columns, _Stored):  # those are checked when they are unpacked
                for name, column in columns.items():
                    _check(name, column, kinds, rows)
        if len(set(self.ids.tolist())) != rows:
            raise BadData("statistics: a sample id stands twice; every sample is scored once")

    def __len__(self) -> int:
        return len(self.ids)

    def packed(self) -> bytes:
        """The content of a statistics.npz; the same bytes for the same statistics."""
        import numpy as np

        arrays = {"ids": self.ids, "image_ids": self.image_ids}
        arrays |= {f"s_{name}": column for name, column in self.columns.items()}
        arrays |= {f"a_{name}": column for name, column in self.attributes.items()}
        content = io.BytesIO()
        np.savez_compressed(content, **dict(sorted(arrays.items())))  # type: ignore[arg-type]  # its stub sees a flag
        return content.getvalue()


def statistics_of(
    ids: Sequence[str],
    image_ids: Sequence[str],
    rows: Sequence[Mapping[str, float]],
    attributes: Sequence[Mapping[str, str | int | float | bool]] = (),
) -> Statistics:
    """Columns made of one mapping for each sample. An attribute that a sample lacks is "" (then all of it is text).

    Raises BadData where rows have different keys.
    """
    import numpy as np

    names = list(rows[0]) if rows else []
    for row, sample in zip(rows, ids):
        if row.keys() != set(names):
            raise BadData(f"statistics of {sample!r}: has {sorted(row)}, the first sample has {sorted(names)}")
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
    slicing = sorted({name for row in attributes for name in row})
    sliced = {name: _column([row.get(name, "") for row in attributes]) for name in slicing}
    return Statistics(np.array(ids, dtype=np.str_), np.array(image_ids, dtype=np.str_), columns, sliced)


def _column(values: Sequence[str | int | float | bool]) -> np.ndarray:
    import numpy as np

    one_type = len({type(v) for v in values}) == 1
    return np.array(values) if one_type else np.array([str(v) for v in values])


def read_statistics(file: Path, sha256: str | None = None) -> Statistics:
    """Rows of a statistics.npz; columns are unpacked when they are asked for. sha256: what the file's must be.

    Raises BadData, naming the file. Pickled objects are refused, never loaded.
    """
    import numpy as np

    try:
        content = file.read_bytes()
    except OSError as missing:
        raise BadData(f"{file}: cannot be read ({missing.strerror})") from missing
    if sha256 is not None and (met := hashlib.sha256(content).hexdigest()) != sha256:
        raise BadData(f"{file}: its SHA-256 begins {met[:12]}, the record says {sha256[:12]}; run the cell again")
    try:
        stored = np.load(io.BytesIO(content), allow_pickle=False)
        ids, image_ids = stored["ids"], stored["image_ids"]
        rows = len(ids)
        return Statistics(
            ids, image_ids, _Stored(file, stored, "s_", _NUMBERS, rows), _Stored(file, stored, "a_", _PLAIN, rows)
        )
    except BadData as wrong:
        raise BadData(f"{file}: {wrong}") from wrong
    except _DAMAGE as broken:
        raise BadData(f"{file}: cannot be read ({broken})") from broken


class _Stored(Mapping[str, "np.ndarray"]):
    """Columns of an open npz, unpacked and checked when they are first asked for."""

    def __init__(self, file: Path, stored: Any, prefix: str, kinds: str, rows: int) -> None:
        self._file, self._stored, self._prefix, self._kinds, self._rows = file, stored, prefix, kinds, rows
        self._names = [name.removeprefix(prefix) for name in stored.files if name.startswith(prefix)]
        self._unpacked: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._unpacked:
            if name not in self._names:
                raise KeyError(name)
            try:
                self._unpacked[name] = _check(name, self._stored[self._prefix + name], self._kinds, self._rows)
            except (BadData, *_DAMAGE) as broken:
                raise BadData(f"{self._file}: {broken}") from broken
        return self._unpacked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _check(name: str, column: np.ndarray, kinds: str, rows: int) -> np.ndarray:
    """kinds: as in numpy's dtype.kind; a float column must be 64 bits wide."""
    if column.ndim != 1 or column.dtype.kind not in kinds or (column.dtype.kind == "f" and column.itemsize != 8):
        raise BadData(f"statistics: {name} is {column.dtype} {column.shape}; expected one column of {_WORDS[kinds]}")
    if len(column) != rows:
        raise BadData(f"statistics: {name} has {len(column)} rows, ids has {rows}")
    return column
