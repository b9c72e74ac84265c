"""Where things are kept that can be made again: caches, the catalogue, tracebacks. Results are never kept there."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """ADDP_HOME, else `addp-bench` in the user's cache folder. It may not exist yet; nothing is created here."""
    if own := os.environ.get("ADDP_HOME"):
        return Path(own).expanduser().absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # the XDG specification has relative paths ignored
        cache = Path("~/.cache").expanduser()
    return cache / "addp-bench"
