"""What several test files share. Every test has a cache folder of the session's own; the user's is never touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: a process for each core, and one thread in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def bench_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ADDP_HOME for the whole session, also for programs the tests start."""
    folder = tmp_path_factory.mktemp("home")
    before = os.environ.get("ADDP_HOME")
    os.environ["ADDP_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["ADDP_HOME"]
    else:
        os.environ["ADDP_HOME"] = before


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model folder of Stable Diffusion 1.5's shape, at 64 px."""
    from model_miniature import build_sd15

    return build_sd15(tmp_path_factory.mktemp("models") / "sd15")


@pytest.fixture
def dots() -> Path:
    """The plugin file with the dataset `dots`."""
    return HERE / "dots.py"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, its output not a terminal: (exit code, stdout, stderr)."""
    from addp_bench.cli import main

    monkeypatch.delenv("COLUMNS", raising=False)  # workers of pytest-xdist have it

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return run
