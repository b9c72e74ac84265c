"""Broken plugins: each is set aside with its reason and its remedy, and all of them together break nothing else."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest
import torch
from menagerie import GOOD, OTHER, WAYS, Way, lay

from addp_bench import catalogue, loading
from addp_bench.errors import BadPlugin, PluginNotice
from addp_bench.loading import load

EXTRA = ("--runs", "runs", "--limit", "2", "--task", "ris", "--model", "largest_object")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is on sys.path; what is imported from it is forgotten."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.startswith("zoo_")]:
        del sys.modules[name]


@pytest.fixture
def alone(monkeypatch):
    """Only the distributions of the test are loaded, which is quick."""
    real = loading.installed
    monkeypatch.setattr(loading, "installed", lambda: [s for s in real() if s.distribution != "addp-bench"])


def said_of(failures, way: Way) -> str:
    (found,) = (why for module, why in failures.items() if module.endswith(f" of {way.distribution} 1.0"))
    return found


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Every way at once, beside all that is built in, as a program of its own sees it: (site, environment)."""
    site = tmp_path_factory.mktemp("zoo")
    for way in WAYS:
        lay(site, way)
    lay(site, Way("fine", GOOD, "", ""))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    home = tmp_path_factory.mktemp("home")
    return site, {**os.environ, "PYTHONPATH": path, "ADDP_HOME": str(home)}


def program(everything, *arguments: str) -> subprocess.CompletedProcess[str]:
    site, environment = everything
    command = [sys.executable, "-m", "addp_bench", *arguments]
    return subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def listed(everything):
    """The answer of `list --json`, which loads everything once."""
    done = program(everything, "list", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_each_way_has_its_reason_and_its_remedy(listed, way):
    said = said_of(listed["failures"], way)
    assert way.reason in said
    assert way.remedy in said
    assert "--no-plugin zoo" in said
    assert "\n" not in said


def test_there_is_a_failure_for_each_and_no_other(listed):
    assert len(listed["failures"]) == len(WAYS) >= 20


def test_all_of_them_at_once_take_nothing_from_the_others(listed):
    names = {(p["kind"], p["name"]) for p in listed["plugins"]}
    assert {("weights", "uniform"), ("task", "ris"), ("agent", "zoo_fine")} <= names
    assert [name for _, name in sorted(names) if name.startswith("zoo_")] == ["zoo_fine"]


def test_all_of_them_at_once_break_neither_list_nor_help(everything, listed):
    help_, table = program(everything, "--help"), program(everything, "list")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert table.returncode == 0
    for way in WAYS:
        assert f" of {way.distribution} 1.0\n" in table.stdout
        assert "zoo" not in help_.stdout


def test_strict_names_the_first_of_them(everything, listed):
    done = program(everything, "list", "--strict-plugins")
    assert (done.returncode, done.stdout) == (2, "")
    first = next(iter(listed["failures"]))
    assert done.stderr.startswith(f"error: {first}: ")


@pytest.mark.slow
def test_a_run_of_what_is_built_in_works_beside_all_of_them(everything):
    done = program(everything, "run", *EXTRA, "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["records"]
    assert record["result"]["metrics"]
    for way in WAYS:
        assert f"of {way.distribution} 1.0: " in done.stderr


@pytest.mark.parametrize("way", [way for way in WAYS if way.name != "two_points"], ids=lambda way: way.name)
def test_each_is_left_out_as_its_remedy_says(listed, way):
    assert f"--no-plugin {way.leave_out}" in said_of(listed["failures"], way) or way.name == "malformed"


# ----------------------------------------------------------------------------------- what works, and is odd


def test_what_a_module_prints_or_warns_of_never_reaches_stdout(site, alone, capsys):
    noisy = GOOD.replace("registry.add", "print('registering')\n    registry.add")
    lay(site, Way("noisy", f"import warnings\nprint('hello')\n{noisy}", "", ""))
    assert load().registry.names("agent") == ["zoo_noisy"]
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\nregistering\n")


def test_what_a_plugin_prints_while_it_works_never_reaches_an_answer_in_json(site, shell, tmp_path):
    talker = OTHER.replace("run_finished(record): pass", "cells(cells): print('cells:', len(cells))")
    lay(site, Way("talker", talker, "", ""))
    asked = ("--task", "ris", "--model", "random", "--runs", tmp_path / "runs")
    code, out, err = shell("plan", *asked, "--json")
    assert code == 0
    assert json.loads(out)["cells"]
    assert "cells: 1\n" in err
    assert shell("plan", *asked)[1].startswith("cells: 1\n")  # where nobody asked for JSON it is theirs to print


CHANGES = {
    "the working folder": "import os\nos.chdir('/')",
    "the handling of interruptions (SIGINT)": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    "the handling of SIGTERM": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the filters of warnings": "import warnings\nwarnings.simplefilter('ignore')",
    "torch's default dtype": "import torch\ntorch.set_default_dtype(torch.float64)",
    "torch's default device": "import torch\ntorch.set_default_device('meta')",
    "torch's number of threads": "import torch\ntorch.set_num_threads(torch.get_num_threads() + 1)",
    "whether torch keeps gradients": "import torch\ntorch.set_grad_enabled(False)",
    "whether torch is deterministic": "import torch\ntorch.use_deterministic_algorithms(True)",
    "torch's precision of matrix products": "import torch\ntorch.set_float32_matmul_precision('medium')",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_an_import_changes_for_everyone_is_put_back_and_its_author_told(site, alone, what):
    from addp_bench import surroundings

    assert set(CHANGES) == set(surroundings._KEPT)
    read = surroundings._KEPT[what][0]
    before = read()
    lay(site, Way("changes", f"{CHANGES[what]}\n{GOOD}", "", ""))
    with pytest.warns(PluginNotice, match="zoo_changes of zoo-changes 1.0: importing it changes"):
        loaded = load()
    assert read() == before
    told = f"importing it changes {what} for everyone; it was put back"
    assert loaded.notices == {"zoo_changes of zoo-changes 1.0": [told]}
    assert loaded.registry.names("agent") == ["zoo_changes"]
    assert torch.zeros(1).device.type == "cpu"


def test_what_a_broken_import_changed_is_put_back_too(site, alone):
    lay(site, Way("changes", "import torch\ntorch.set_default_dtype(torch.float64)\n1 / 0", "", ""))
    assert "ZeroDivisionError" in str(load().failures)
    assert torch.get_default_dtype() == torch.float32


def test_a_narrow_filter_of_warnings_is_left_alone(site, alone):
    lay(site, Way("narrow", f"import warnings\nwarnings.filterwarnings('ignore', message='zebra')\n{GOOD}", "", ""))
    with warnings.catch_warnings():
        assert load().notices == {}
        assert [f for f in warnings.filters if f[1] and f[1].pattern == "zebra"]


def test_an_import_that_takes_long_is_named_while_it_lasts(site, alone, monkeypatch, caplog):
    monkeypatch.setattr(loading, "SLOW", 0.05)
    lay(site, Way("slow", f"import time\ntime.sleep(0.4)\n{GOOD}", "", ""))
    with caplog.at_level(logging.WARNING):
        load()
    (said,) = caplog.messages
    assert said == "still importing zoo_slow of zoo-slow 1.0 after 0.05 s. To leave it out: --no-plugin zoo_slow."


def test_an_import_that_crashes_the_interpreter_is_told_with_its_line(tmp_path):
    (tmp_path / "crash.py").write_text("import ctypes\nctypes.string_at(0)\n")
    done = program((tmp_path, os.environ), "list", "--plugin", "crash.py", "--no-plugin", "addp-bench")
    assert done.returncode == -signal.SIGSEGV
    assert f'File "{tmp_path}/crash.py", line 2 in <module>' in done.stderr


def test_a_distribution_without_a_version_works_and_says_so(site, alone):
    lay(site, Way("undated", GOOD, "", ""))
    (site / "zoo_undated-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-undated\n")
    assert load().registry.get("agent", "zoo_undated").origin == "zoo-undated (version unknown)"


@pytest.mark.parametrize("metadata", ["", "Metadata-Version: 2.1\nVersion: 1.0\n", None])
def test_a_distribution_without_a_name_works_under_its_folder(site, alone, metadata):
    lay(site, Way("nobody", GOOD, "", ""))
    file = site / "zoo_nobody-1.0.dist-info" / "METADATA"
    file.write_text(metadata) if metadata is not None else file.unlink()
    origin = load().registry.get("agent", "zoo_nobody").origin
    assert origin.startswith(f"a distribution without a name in {site}")


def test_a_distribution_that_is_installed_twice_in_one_folder_is_told_of(site, alone):
    lay(site, Way("stale", GOOD, "", "", points="zoo_stale = zoo_stale\nother = zoo_stale_other"))
    (site / "zoo_stale_other.py").write_text(OTHER)
    old = site / "zoo_stale-0.9.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-stale\nVersion: 0.9\n")
    (old / "entry_points.txt").write_text("[addp_bench]\nzoo_stale = zoo_stale\nother = zoo_stale_other\n")
    with pytest.warns(PluginNotice, match="installed twice"):
        loaded = load()
    assert loaded.failures == {}
    ((said,),) = loaded.notices.values()
    assert "0.9" in said
    assert "1.0" in said
    assert "`pip uninstall zoo-stale` until none is left" in said


def test_a_folder_that_stands_twice_on_the_path_is_no_second_installation(site, alone, monkeypatch):
    lay(site, Way("alike", GOOD, "", ""))
    monkeypatch.setattr(sys, "path", [*sys.path, f"{site}/../{site.name}"])
    loaded = load()
    assert (loaded.failures, loaded.notices) == ({}, {})


def test_the_same_distribution_further_down_the_path_is_shadowed_in_silence(site, alone, tmp_path, monkeypatch):
    lay(site, Way("shadow", GOOD, "", ""))
    (tmp_path / "below").mkdir()
    lay(tmp_path / "below", Way("shadow", GOOD, "", ""))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "below")])
    loaded = load()
    assert (loaded.failures, loaded.notices) == ({}, {})
    assert loaded.registry.names("agent") == ["zoo_shadow"]


def test_entry_points_that_are_no_text_are_that_distributions_failure(site, alone):
    lay(site, Way("bytes", GOOD, "", ""))
    (site / "zoo_bytes-1.0.dist-info" / "entry_points.txt").write_bytes(b"[addp_bench]\nx = \xff\xfe\n")
    lay(site, Way("well", GOOD, "", ""))
    loaded = load()
    assert "cannot be read (UnicodeDecodeError" in loaded.failures["entry_points.txt of zoo-bytes 1.0"]
    assert loaded.registry.names("agent") == ["zoo_well"]


def test_entry_points_that_keep_torch_from_being_imported_are_named(tmp_path):
    """A line without "=" breaks importlib.metadata for everyone, torch included, whatever we do."""
    lay(tmp_path, Way("damaged", GOOD, "", "", points="zoo_damaged"))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = program((tmp_path, {**os.environ, "ADDP_HOME": str(tmp_path / "home"), "PYTHONPATH": path}), "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert "entry_points.txt of zoo-damaged 1.0: its entry_points.txt cannot be read" in done.stderr
    assert "Install zoo-damaged again" in done.stderr


def test_a_link_that_leads_nowhere_beside_a_plugin_harms_nothing(site):
    """As editors leave while a file is being written."""
    lay(site, Way("edited", GOOD, "", "", module="zoo_edited.band", files={"zoo_edited/__init__.py": ""}))
    (site / "zoo_edited" / ".#band.py").symlink_to("somebody@somewhere.1234")
    assert catalogue.current_key() == catalogue.current_key()


# ------------------------------------------------------------------------------------------- files


def test_a_file_that_imports_its_neighbour_is_told_to_become_a_package(tmp_path, alone):
    (tmp_path / "shapes.py").write_text("")
    for text in ("import shapes", "from .shapes import square"):
        (tmp_path / "mine.py").write_text(text)
        said = load([tmp_path / "mine.py"]).failures[str(tmp_path / "mine.py")]
        assert "a file given with --plugin stands alone" in said
        assert "--no-plugin" not in said


def test_a_file_that_is_installed_as_well_is_told_to_come_once(site, alone):
    lay(site, Way("both", GOOD, "", ""))
    (said,) = load([site / "zoo_both.py"]).failures.values()
    assert "is taken by zoo-both 1.0, which is the same file installed; leave out --plugin." in said


@pytest.mark.parametrize("name, said", [("notes.txt", "must end in .py"), ("folder", "is a folder")])
def test_what_is_no_python_file_is_refused(tmp_path, shell, name, said):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder").mkdir()
    code, out, err = shell("list", "--plugin", tmp_path / name)
    assert (code, out) == (2, "")
    assert said in err


def test_a_constructor_that_breaks_is_its_plugins_mistake_and_not_ours(tmp_path, alone):
    broken = GOOD.replace("self.gamma = gamma", "self.gamma = gamma + 'x'").replace("NAME", "mine")
    (tmp_path / "mine.py").write_text(broken)
    registry = load([tmp_path / "mine.py"]).registry
    with pytest.raises(BadPlugin, match=r"agent mine of .*mine\.py cannot be built: TypeError: .*mine\.py, line 7\)"):
        registry.build("agent", "mine")
