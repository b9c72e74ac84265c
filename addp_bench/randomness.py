"""Counter-based randomness: every draw is named by what it is for, so nothing depends on batch size, order or restarts.

A name is a tuple such as ("noise", seed, step, sample id). Cells that share a name share the draw, which is what makes
their comparison paired. Draws are made on the CPU and then moved, so that devices agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

Name = str | int


def seed_of(*name: Name) -> int:
    """A 63-bit seed for a named draw; independent of process, platform and Python's hash seed."""
    text = "\x1f".join(f"{type(part).__name__[0]}{part}" for part in name)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*name: Name) -> torch.Generator:
    """A CPU generator at the start of the named stream."""
    import torch

    return torch.Generator().manual_seed(seed_of(*name))


def numpy_generator(*name: Name) -> np.random.Generator:
    """The same for numpy (Philox, keyed by the name)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=seed_of(*name)))


def normal(shape: Sequence[int], names: Sequence[tuple[Name, ...]]) -> torch.Tensor:
    """Standard normal (B, *shape) float32 on the CPU, row i drawn from the stream names[i]."""
    import torch

    out = torch.empty((len(names), *shape))
    stream = torch.Generator()
    for row, name in zip(out, names):
        row.normal_(generator=stream.manual_seed(seed_of(*name)))
    return out


def uniform(shape: Sequence[int], names: Sequence[tuple[Name, ...]]) -> torch.Tensor:
    """Uniform on [0, 1) (B, *shape) float64 on the CPU, row i drawn from the stream names[i]."""
    import torch

    out = torch.empty((len(names), *shape), dtype=torch.float64)
    stream = torch.Generator()
    for row, name in zip(out, names):
        row.uniform_(generator=stream.manual_seed(seed_of(*name)))
    return out


def permutation(n: int, *name: Name) -> torch.Tensor:
    """A random order of 0..n-1 from the named stream, (n,) int64."""
    import torch

    return torch.randperm(n, generator=generator(*name))
