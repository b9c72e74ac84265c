"""Values of any shape taken apart, so that two answers can be compared, cut by sample and moved."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every tensor, array and plain value in it by its path; tensors and arrays as copies on the CPU."""
    if isinstance(value, torch.Tensor):
        return {name: value.detach().cpu().clone().numpy()}
    if isinstance(value, np.ndarray):
        return {name: value.copy()}
    found: dict[str, Any] = {}
    for key, part in _parts(value):
        found |= flat(part, f"{name}.{key}" if name else str(key))
    return found if found or _holds_parts(value) else {name: value}


def differ(one: Any, other: Any, near: float = 0.0) -> str | None:
    """What differs by more than `near`, absolutely and relatively; None where they are equal. nan equals nan."""
    a, b = flat(one), flat(other)
    if a.keys() != b.keys():
        return f"{', '.join(sorted(a.keys() ^ b.keys()))} is in one alone"
    for name, value in a.items():
        there = b[name]
        if not (isinstance(value, (np.ndarray, np.generic, int, float)) and not isinstance(value, bool)):
            if not bool(np.all(value == there)):
                return f"{name or 'it'} is {value!r}, then {there!r}"
            continue
        x, y = np.asarray(value), np.asarray(there)
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"{name or 'it'} is {x.dtype} {x.shape}, then {y.dtype} {y.shape}"
        if not np.allclose(x, y, rtol=near, atol=near, equal_nan=x.dtype.kind in "fc"):
            off = np.abs(x.astype(np.float64) - y.astype(np.float64))
            return f"{name or 'it'} differs by {np.nanmax(off):.3g}"
    return None


def row_of(value: Any, row: int, batch: int) -> Any:
    """The part of one sample: a batch of 1 of tensors, batches and lists of `batch` samples; the rest as it is."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value[row : row + 1] if value.ndim and len(value) == batch else value
    if isinstance(value, list) and len(value) == batch:
        return value[row : row + 1]
    return _mapped(value, lambda part: row_of(part, row, batch))


def moved(value: Any, device: torch.device) -> Any:
    """The same with every tensor in it on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return _mapped(value, lambda part: moved(part, device))


def elsewhere(value: Any, device: torch.device) -> list[str]:
    """Which tensors in it do not lie on a device."""
    if isinstance(value, torch.Tensor):
        return [str(value.device)] if value.device.type != device.type else []
    return [met for _, part in _parts(value) for met in elsewhere(part, device)]


def stir(seed: int) -> None:
    """Give the global random states other values."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the legacy state is the one that is global
    torch.manual_seed(seed)


@contextmanager
def states_kept() -> Iterator[list[str]]:
    """Restores the global random states at the end; the list then names those that were changed."""
    numpy_state = np.random.get_state  # the legacy state is the one that is global
    before = (random.getstate(), numpy_state(), torch.get_rng_state())
    touched: list[str] = []
    try:
        yield touched
    finally:
        same = {
            "python": random.getstate() == before[0],
            "numpy": differ(list(numpy_state()), list(before[1])) is None,
            "torch": torch.equal(torch.get_rng_state(), before[2]),
        }
        touched += [name for name, kept in same.items() if not kept]
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])


def _holds_parts(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if _holds_parts(value):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return []


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: change(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(change(part) for part in value)
    if _holds_parts(value):
        return dataclasses.replace(value, **{name: change(part) for name, part in _parts(value)})
    return value
