"""What a plugin module may not change for everyone else by being imported; it is put back, and its author is told."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

_EVERYONES = (Warning, UserWarning, DeprecationWarning, FutureWarning, RuntimeWarning)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # as chdir takes it
    except FileNotFoundError:
        return None


def _blanket() -> list[Any]:
    """Filters that silence, or make an error of, warnings of whatever origin; libraries add narrower ones for good."""
    return [f for f in warnings.filters if f[0] in ("ignore", "error") and not (f[1] or f[3]) and f[2] in _EVERYONES]


def _only_blanket(kept: list[Any]) -> None:
    gone = [f for f in _blanket() if f not in kept]
    warnings.filters[:] = [f for f in warnings.filters if f not in gone]  # type: ignore[index]
    warnings.filters[:0] = [f for f in kept if f not in warnings.filters]  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]  # what catch_warnings calls; filters have no other way back


def _handler(number: signal.Signals) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return lambda: signal.getsignal(number), lambda handler: signal.signal(number, handler)


def _device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # a default that is set costs time in every call


# what it is -> how it is read, and written; None that is read is not known, and left alone
_KEPT: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "the working folder": (_folder, os.chdir),
    "the handling of interruptions (SIGINT)": _handler(signal.SIGINT),
    "the handling of SIGTERM": _handler(signal.SIGTERM),
    "the filters of warnings": (_blanket, _only_blanket),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "whether torch keeps gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "whether torch is deterministic": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
}


@contextlib.contextmanager
def kept() -> Iterator[list[str]]:
    """Put back what the block changes of the above, and fill the list with what it was.

    What is printed inside goes to stderr: stdout is for answers. Random seeds are not looked after, because every draw
    here is named by what it is for and reads no global state.
    """
    before = {name: read() for name, (read, _) in _KEPT.items()}
    changed: list[str] = []
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield changed
        finally:
            for name, (read, write) in _KEPT.items():
                if before[name] is not None and read() != before[name]:
                    if "SIG" in name and threading.current_thread() is not threading.main_thread():
                        continue
                    write(before[name])
                    changed.append(name)
