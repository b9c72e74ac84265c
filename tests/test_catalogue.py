"""The catalogue: what it holds, when it is made again, and that reading it imports no plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from addp_bench import catalogue
from addp_bench.errors import BadPlugin, UnknownName

HEAVY = ("torch", "diffusers", "transformers", "timm", "matplotlib", "cv2", "mmengine", "pydantic", "numpy", "scipy")

PLUGIN = '''
from addp_bench.hookspecs import hookimpl

class Nice:
    """An agent that is nice (Somebody et al., 2021), on
    two lines.

    words: how many it says.
    """
    def __init__(self, words: int = 3, sizes: tuple[int, ...] = (1, 2), far: float = float("inf"), at: str = ""):
        pass

class Needy:
    """Needs a path. Source: Nobody, 1999, table 2. And more."""
    def __init__(self, path: str) -> None:
        pass

@hookimpl
def addp_bench_register(registry):
    registry.add("agent", "nice", Nice, aliases=("kind",))
    registry.add("agent", "needy", Needy)
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    """One installed distribution with one plugin module, and an ADDP_HOME of its own; no other plugin is installed."""
    folder = tmp_path / "site-packages"
    info = folder / "nice_bench-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nice-bench\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[addp_bench]\nnice = nice_bench_plugin\n")
    (folder / "nice_bench_plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "nice_bench_plugin", raising=False)
    real = catalogue.installed
    only_theirs = lambda: [s for s in real() if s.distribution == "nice-bench"]  # noqa: E731
    monkeypatch.setattr("addp_bench.catalogue.installed", only_theirs)
    monkeypatch.setattr("addp_bench.loading.installed", only_theirs)
    return folder


@pytest.fixture
def said():
    return []


def test_it_tells_of_every_plugin_what_its_author_said(site, said):
    needy, nice = catalogue.read(said.append).plugins
    assert (nice.kind, nice.name, nice.aliases, nice.origin) == ("agent", "nice", ("kind",), "nice-bench 1.0")
    assert nice.summary == "An agent that is nice (Somebody et al., 2021), on two lines."
    assert nice.citation == "Somebody et al., 2021"
    assert nice.options[0] == {
        "name": "words",
        "type": "int",
        "default": 3,
        "required": False,
        "words": "how many it says.",
    }
    assert [o["default"] for o in nice.options] == [3, [1, 2], "inf", ""]
    assert needy.options[0]["required"]
    assert needy.citation == "Nobody, 1999, table 2"
    assert catalogue.read(said.append).hooks == ["addp_bench_register"]


def test_it_is_made_once_and_says_so(site, said):
    first = catalogue.read(said.append)
    assert len(said) == 1
    assert "catalogue" in said[0]
    second = catalogue.read(said.append)
    assert len(said) == 1
    assert [p.words for p in second.plugins] == [p.words for p in first.plugins]


def test_a_command_that_loads_everything_brings_it_up_to_date(site, said):
    from addp_bench.cli.options import load_plugins

    load_plugins([], [], False)
    assert catalogue.read(said.append).get("agent", "nice")
    assert said == []
    stamp = catalogue.catalogue_file().stat().st_mtime_ns
    load_plugins([], [], False)
    load_plugins([], ["nice-bench"], False)
    assert catalogue.catalogue_file().stat().st_mtime_ns == stamp


def test_it_is_made_again_when_a_plugins_file_changes(site, said, monkeypatch):
    catalogue.read(said.append)
    file = site / "nice_bench_plugin.py"
    stamp = file.stat()
    file.write_text(PLUGIN.replace("An agent that is nice", "An agent that is kind"))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # the content counts, not the clock
    (site / "__pycache__").exists() and [f.unlink() for f in (site / "__pycache__").iterdir()]
    monkeypatch.delitem(sys.modules, "nice_bench_plugin")
    assert catalogue.read(said.append).get("agent", "nice").summary.startswith("An agent that is kind")
    assert len(said) == 2


def test_it_is_made_again_when_something_is_installed(site, said):
    (site / "nice_bench_plugin.py").write_text("import a_library_nobody_has")
    assert "a_library_nobody_has" in str(catalogue.read(said.append).failures)
    (site / "a_library_nobody_has-1.0.dist-info").mkdir()
    (site / "a_library_nobody_has.py").write_text(PLUGIN)
    (site / "nice_bench_plugin.py").write_text("from a_library_nobody_has import addp_bench_register")
    assert catalogue.read(said.append).failures == {}
    sys.modules.pop("a_library_nobody_has")


def test_a_version_that_changed_makes_it_stale(site):
    before = catalogue.current_key()
    (site / "nice_bench-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nice-bench\nVersion: 1.1\n"
    )
    assert catalogue.current_key() != before


def test_a_damaged_catalogue_is_made_again(site, said):
    catalogue.read(said.append)
    for damage in ("", "{", "[]", json.dumps({"key": catalogue.current_key()})):
        catalogue.catalogue_file().write_text(damage)
        assert catalogue.read(said.append).get("agent", "kind").name == "nice"
    assert len(said) == 5


def test_a_home_that_cannot_be_written_is_said_and_harms_nothing(site, said, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "file" / "home"))
    assert catalogue.read(said.append).get("agent", "nice")
    assert "cannot be kept" in said[-1]


def test_plugin_files_are_told_of_but_never_kept(site, said, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.replace('"nice"', '"mine"').replace('"kind"', '"own"').replace('"needy"', '"poor"'))
    assert catalogue.read(said.append, [file]).get("agent", "mine").origin == str(file)
    assert not catalogue.catalogue_file().exists()
    with pytest.raises(UnknownName):
        catalogue.read(said.append, blocked=["nice-bench"]).get("agent", "nice")


def test_strict_makes_a_failure_fatal_even_when_it_was_kept(site, said):
    (site / "nice_bench_plugin.py").write_text("1 / 0")
    assert catalogue.read(said.append).failures
    with pytest.raises(BadPlugin, match="nice of nice-bench"):
        catalogue.read(said.append, strict=True)


def test_an_unknown_name_suggests_the_nearest(site, said):
    with pytest.raises(UnknownName, match="Did you mean 'nice'"):
        catalogue.read(said.append).get("agent", "nise")
    with pytest.raises(UnknownName, match="Did you mean 'agent'"):
        catalogue.read(said.append).of("agents")


@pytest.mark.slow
def test_reading_it_imports_neither_a_plugin_nor_a_heavy_library(tmp_path):
    environment = {**os.environ, "ADDP_HOME": str(tmp_path)}
    watched = (
        "import sys; from addp_bench.cli import main\n"
        "try: main({arguments})\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in {heavy} or m.startswith('addp_bench.plugins.')),"
        " file=sys.stderr)"
    )

    def imported(*arguments: str) -> str:
        code = watched.format(arguments=list(arguments), heavy=HEAVY)
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return done.stderr.strip()

    assert "addp_bench.plugins.weights" in imported("list")  # the catalogue is made: everything is loaded
    for arguments in (
        ["--help"],
        ["list"],
        ["list", "weights", "--json"],
        ["show", "weights", "uniform"],
        ["data", "list"],
        ["leaderboard", "--help"],
        ["run", "--help"],
        ["completion", "bash"],
    ):
        assert imported(*arguments) == "[]", arguments
