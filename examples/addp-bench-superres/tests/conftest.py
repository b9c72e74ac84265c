"""What the tests share: everything that is installed, and photographs in a folder; scenes are kept in a place of their
own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_bench.loading import load
from addp_bench.registry import Registry


@pytest.fixture(scope="session", autouse=True)
def bench_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ADDP_HOME for the whole session, so that nobody's cache is touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADDP_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every plugin that is installed."""
    return load().registry


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of 40 photographs, 50 x 70 pixels: smooth, with a sharp square in the middle."""

    def make(count: int = 40, size: tuple[int, int] = (50, 70)) -> Path:
        folder = tmp_path / "photographs"
        for i in range(count):
            rng = np.random.default_rng(i)
            file = folder / f"holiday {i % 3}" / f"{i:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            smooth = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8)).resize(size[::-1])
            picture = np.array(smooth)
            row, column = size[0] // 2, size[1] // 2
            picture[row - 8 : row + 8, column - 8 : column + 8] = rng.integers(0, 256, 3)
            Image.fromarray(picture).save(file)
        return folder

    return make
