"""Sufficient statistics of every scored sample: from them any metric, subset, resample or interval can be made again.

On disk `statistics.npz`, one row for each sample: `ids` and `image_ids` (text), sufficient statistics `s_*` (float64),
and the attributes `a_*` by which results are sliced. A statistic of which a sample may have any number of values has
all of them in `s_*`, and in `o_*` (int64) where each sample's begin. Nothing here ever unpickles.
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
class Ragged:
    """A column of which each of N samples has as many numbers as it needs: the scores of the boxes found in it, say.

    values (M,) float64: those of the first sample, then those of the second. offsets (N + 1,) int64: sample i has
    values[offsets[i] : offsets[i + 1]]. Indexed as an array is, by booleans (N,) or by the numbers of samples, it is
    these samples' Ragged.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> Ragged:
        """Of one 1-D array for each sample."""
        import numpy as np

        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(np.concatenate([np.zeros(0), *rows]).astype(np.float64), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """How many numbers each sample has, (N,) int64."""
        import numpy as np

        return np.diff(self.offsets)

    def __getitem__(self, samples: np.ndarray) -> Ragged:
        import numpy as np

        lengths, begin = self.lengths[samples], self.offsets[:-1][samples]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)
        return Ragged(self.values[places], offsets)


@dataclass(frozen=True)
class Statistics:
    """One row for each of N scored samples.

    ids (N,) text, unique. image_ids (N,) text: samples that share one are a cluster. columns: name -> (N,) float64 or
    Ragged, sufficient statistics. attributes: name -> (N,) text, numbers or booleans. Raises BadData for anything else.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    columns: Mapping[str, Any]
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
        for name, column in self.columns.items():
            arrays |= (
                {f"s_{name}": column.values, f"o_{name}": column.offsets}
                if isinstance(column, Ragged)
                else {f"s_{name}": column}
            )
        arrays |= {f"a_{name}": column for name, column in self.attributes.items()}
        content = io.BytesIO()
        np.savez_compressed(content, **dict(sorted(arrays.items())))  # type: ignore[arg-type]  # its stub sees a flag
        return content.getvalue()


def statistics_of(
    ids: Sequence[str],
    image_ids: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    attributes: Sequence[Mapping[str, str | int | float | bool]] = (),
) -> Statistics:
    """Columns made of one mapping for each sample, to numbers or 1-D arrays. An attribute that a sample lacks is ""
    (then all of it is text).

    Raises BadData where rows have different keys.
    """
    import numpy as np

    names = list(rows[0]) if rows else []
    for row, sample in zip(rows, ids):
        if row.keys() != set(names):
            raise BadData(f"statistics of {sample!r}: has {sorted(row)}, the first sample has {sorted(names)}")
    columns = columns_of(rows)
    slicing = sorted({name for row in attributes for name in row})
    sliced = {name: _column([row.get(name, "") for row in attributes]) for name in slicing}
    return Statistics(np.array(ids, dtype=np.str_), np.array(image_ids, dtype=np.str_), columns, sliced)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one mapping for each of N samples: (N,) float64 of its numbers, Ragged of its 1-D arrays."""
    import numpy as np

    found: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        try:
            found[name] = Ragged.of(values) if isinstance(values[0], np.ndarray) else np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as mixed:
            raise BadData(f"statistic {name}: one number for every sample, or one 1-D array for every one") from mixed
    return found


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


class _Stored(Mapping[str, Any]):
    """Columns of an open npz, unpacked and checked when they are first asked for."""

    def __init__(self, file: Path, stored: Any, prefix: str, kinds: str, rows: int) -> None:
        self._file, self._stored, self._prefix, self._kinds, self._rows = file, stored, prefix, kinds, rows
        self._names = [name.removeprefix(prefix) for name in stored.files if name.startswith(prefix)]
        self._unpacked: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._unpacked:
            if name not in self._names:
                raise KeyError(name)
            try:
                column = self._stored[self._prefix + name]
                if self._prefix == "s_" and f"o_{name}" in self._stored.files:
                    column = Ragged(column, self._stored[f"o_{name}"])
                self._unpacked[name] = _check(name, column, self._kinds, self._rows)
            except (BadData, *_DAMAGE) as broken:
                raise BadData(f"{self._file}: {broken}") from broken
        return self._unpacked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _check(name: str, column: Any, kinds: str, rows: int) -> Any:
    """kinds: as in numpy's dtype.kind; a float column must be 64 bits wide."""
    if isinstance(column, Ragged):
        _check(name, column.values, kinds, len(column.values))
        begin = column.offsets
        if begin.ndim != 1 or begin.dtype != "int64" or len(begin) != rows + 1:
            raise BadData(f"statistics: {name} has {len(column)} rows, ids has {rows}")
        if begin[0] != 0 or begin[-1] != len(column.values) or (begin[1:] < begin[:-1]).any():
            raise BadData(f"statistics: {name} has rows that overlap, or numbers that belong to none")
        return column
    if column.ndim != 1 or column.dtype.kind not in kinds or (column.dtype.kind == "f" and column.itemsize != 8):
        raise BadData(f"statistics: {name} is {column.dtype} {column.shape}; expected one column of {_WORDS[kinds]}")
    if len(column) != rows:
        raise BadData(f"statistics: {name} has {len(column)} rows, ids has {rows}")
    return column
