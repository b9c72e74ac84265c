"""Where and with what a result was made: recorded beside it, never part of what names it."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_DISTRIBUTIONS = ("addp-bench", "torch", "diffusers", "transformers", "numpy", "scipy", "timm", "mmengine")


def here(device: torch.device) -> dict[str, Any]:
    """Time, device, threads, versions, git state and peak memory of this process."""
    return {
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **machine(device),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {d: _version(d) for d in _DISTRIBUTIONS},
        "git": git_state(),
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Device, threads and, so far, peak memory of this process."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_gpu_memory_mb": round(torch.cuda.max_memory_allocated(device) / 2**20) if device.type == "cuda" else None,
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout this code runs from and whether files differ from it; None for an installed copy."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} threads)" if names else platform.machine()
