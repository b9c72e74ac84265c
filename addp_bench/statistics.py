"""Sufficient statistics of every scored sample: from them any metric, subset, resample or interval can be made again.

On disk `statistics.npz`, one row for each sample: `ids` and `image_ids` (text), sufficient statistics `s_*` (float64),
and the attributes `a_*` by which results are sliced. Nothing here ever unpickles.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from addp_bench.errors import BadData

if TYPE_CHECKING:
    import numpy as np

STATISTICS = "statistics.npz"


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
        for name, array in self.arrays().items():
            kinds = {"s": "f", "a": "Ubif"}.get(name[0] if name[1:2] == "_" else "", "U")
            if array.ndim != 1 or array.dtype.kind not in kinds or (kinds == "f" and array.itemsize != 8):
                raise BadData(f"statistics: {name} is {array.dtype} {array.shape}; expected a plain column ({kinds})")
            if len(array) != len(self.ids):
                raise BadData(f"statistics: {name} has {len(array)} rows, ids has {len(self.ids)}")
        if len(set(self.ids.tolist())) != len(self.ids):
            raise BadData("statistics: a sample id stands twice; every sample is scored once")

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self) -> dict[str, np.ndarray]:
        """As stored: ids, image_ids, s_*, a_*."""
        columns = {f"s_{name}": column for name, column in self.columns.items()}
        return {
            "ids": self.ids,
            "image_ids": self.image_ids,
            **columns,
            **{f"a_{name}": column for name, column in self.attributes.items()},
        }

    def digest(self) -> str:
        """SHA-256 of names and contents; independent of file format, compression and padding of text."""
        total = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            if array.dtype.kind == "U":
                kind, content = "U", "\x1f".join(array.tolist()).encode()
            else:
                kind, content = array.dtype.newbyteorder("<").str, array.astype(array.dtype.newbyteorder("<")).tobytes()
            total.update(f"{name}:{kind}:{len(array)}:{len(content)}:".encode() + content)
        return total.hexdigest()


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


def read_statistics(file: Path) -> Statistics:
    """Rows of a statistics.npz. Raises BadData, naming the file. Pickled objects are refused, never loaded."""
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as broken:
        raise BadData(f"{file}: cannot be read ({broken})") from broken
    columns = {name[2:]: array for name, array in arrays.items() if name.startswith("s_")}
    attributes = {name[2:]: array for name, array in arrays.items() if name.startswith("a_")}
    try:
        return Statistics(arrays["ids"], arrays["image_ids"], columns, attributes)
    except KeyError as missing:
        raise BadData(f"{file}: has no {missing}") from missing
    except BadData as wrong:
        raise BadData(f"{file}: {wrong}") from wrong


def write_statistics(file: Path, statistics: Statistics) -> None:
    """Write them, flushed to disk."""
    import numpy as np

    with file.open("wb") as stream:
        np.savez_compressed(stream, **statistics.arrays())  # type: ignore[arg-type]  # numpy's stub takes the flag for a column
        stream.flush()
        os.fsync(stream.fileno())
