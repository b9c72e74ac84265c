"""Plugins of other distributions and of files: what loads, what is set aside, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from addp_bench.errors import BadPlugin, UnknownName
from addp_bench.loading import load, source_files

GOOD = """
from addp_bench.hookspecs import hookimpl

class Mine:
    "A plugin of mine."
    def __init__(self, gamma: float = 5.0) -> None:
        self.gamma = gamma

@hookimpl
def addp_bench_register(registry):
    registry.add("agent", "{name}", Mine)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one plugin module, as pip would, in a folder of its own."""

    def installed(distribution: str, module: str, source: str, entry_point: str | None = None, version: str = "1.0"):
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[addp_bench]\n{entry_point or module} = {module}\n")
        (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return site / f"{module}.py"

    return installed


def failure(loaded, module: str) -> str:
    (found,) = (why for name, why in loaded.failures.items() if name.startswith(f"{module} "))
    return found


def test_a_plugin_of_another_distribution_is_found_and_knows_where_it_came_from(install):
    install("bench-extra", "bench_extra_plugin", GOOD.format(name="extra"))
    loaded = load()
    assert loaded.registry.get("agent", "extra").origin == "bench-extra 1.0"
    assert loaded.registry.build("agent", "extra:gamma=2").gamma == 2.0
    assert not [module for module in loaded.failures if "bench-extra" in module]


def test_a_module_that_fails_to_import_is_set_aside_and_the_rest_works(install):
    install("bench-broken", "bench_broken", "import a_library_nobody_has")
    install("bench-fine", "bench_fine", GOOD.format(name="fine"))
    loaded = load()
    assert "No module named 'a_library_nobody_has'" in failure(loaded, "bench_broken")
    assert "fine" in loaded.registry.names("agent")


@pytest.mark.parametrize("statement", ["raise SystemExit(3)", "1 / 0", "def broken(:"])
def test_whatever_an_import_raises_is_that_modules_failure(install, statement):
    install("bench-rude", "bench_rude", statement)
    assert failure(load(), "bench_rude").startswith("importing it failed: ")


def test_an_interruption_while_importing_is_not_taken_for_a_failure(install):
    install("bench-interrupted", "bench_interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_a_module_that_fails_half_way_leaves_nothing_behind(install):
    source = GOOD.format(name="first") + '    registry.add("agent", "Not A Name", Mine)\n'
    install("bench-half", "bench_half", source)
    loaded = load()
    assert "Not A Name" in failure(loaded, "bench_half")
    assert "first" not in loaded.registry.names("agent")
    assert not [p for p in loaded.hooks.get_plugins() if getattr(p, "__name__", "") == "bench_half"]


def test_two_plugins_cannot_share_a_name_and_the_second_is_told_who_has_it(install):
    install("bench-a", "bench_a", GOOD.format(name="shared"))
    install("bench-b", "bench_b", GOOD.format(name="shared"))
    loaded = load()
    assert "taken by bench-a 1.0" in failure(loaded, "bench_b")
    assert loaded.registry.get("agent", "shared").origin == "bench-a 1.0"


def test_two_entry_points_cannot_share_a_name(install):
    install("bench-a", "bench_a", GOOD.format(name="one"), entry_point="same")
    install("bench-b", "bench_b", GOOD.format(name="two"), entry_point="same")
    loaded = load()
    (why,) = (why for name, why in loaded.failures.items() if name == "same of bench-b 1.0")
    assert "bench-a 1.0" in why
    assert "bench-b 1.0" in why
    assert loaded.registry.names("agent").count("one") == 1
    assert "two" not in loaded.registry.names("agent")


def test_our_entry_points_cannot_be_taken_by_others(install):
    install("aaa-first", "aaa_first", GOOD.format(name="usurper"), entry_point="addp_weights")
    loaded = load()
    assert "is taken by addp-bench" in loaded.failures["addp_weights of aaa-first 1.0"]


def test_a_misspelt_hook_is_an_error_that_suggests_the_right_one(install):
    install("bench-typo", "bench_typo", GOOD.format(name="typo").replace("bench_register", "bench_registr"))
    assert "Did you mean addp_bench_register?" in failure(load(), "bench_typo")


def test_a_hook_without_its_decorator_is_an_error_not_silence(install):
    install("bench-bare", "bench_bare", GOOD.format(name="bare").replace("@hookimpl\n", ""))
    assert "hookimpl" in failure(load(), "bench_bare")


def test_a_hook_with_an_argument_that_does_not_exist_is_an_error(install):
    install("bench-args", "bench_args", GOOD.format(name="args").replace("(registry)", "(registry, colour)"))
    assert "colour" in failure(load(), "bench_args")


def test_a_module_without_any_hook_is_an_error(install):
    install("bench-empty", "bench_empty", "answer = 42")
    assert "implements no hook" in failure(load(), "bench_empty")


def test_options_that_cannot_be_named_are_refused_at_loading(install):
    install("bench-loose", "bench_loose", GOOD.format(name="loose").replace("gamma: float = 5.0", "**gamma"))
    loaded = load()
    assert "named one by one" in failure(loaded, "bench_loose")
    assert "loose" not in loaded.registry.names("agent")


def test_strict_makes_a_failure_fatal_and_names_the_module(install):
    install("bench-broken", "bench_broken", "import a_library_nobody_has")
    with pytest.raises(BadPlugin, match=r"bench_broken of bench-broken 1\.0: .*a_library_nobody_has"):
        load(strict=True, blocked=["addp-bench"])


@pytest.mark.parametrize("name", ["bench_extra_plugin", "bench-extra", "Bench_Extra"])
def test_a_module_is_blocked_by_entry_point_or_distribution(install, name):
    install("bench-extra", "bench_extra_plugin", GOOD.format(name="extra"))
    assert "extra" not in load(blocked=[name]).registry.names("agent")


def test_blocking_what_is_not_there_suggests_what_is(install):
    install("bench-extra", "bench_extra_plugin", GOOD.format(name="extra"))
    with pytest.raises(UnknownName, match="Did you mean 'bench-extra'"):
        load(blocked=["bench-extr"])


def test_the_other_hooks_of_a_module_are_called(install):
    install(
        "bench-hooks",
        "bench_hooks",
        "from addp_bench.hookspecs import hookimpl\nseen = []\n"
        "@hookimpl\ndef addp_bench_run_finished(record):\n    seen.append(record)\n",
    )
    load().hooks.hook.addp_bench_run_finished(record={"id": "1"})
    assert sys.modules["bench_hooks"].seen == [{"id": "1"}]


def test_a_plugin_file_is_loaded_by_its_path(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from __future__ import annotations\n" + GOOD.format(name="from_a_file"))
    loaded = load([file, file])
    assert loaded.registry.get("agent", "from_a_file").origin == str(file)
    assert loaded.registry.build("agent", "from_a_file:gamma=3").gamma == 3.0
    assert str(file) not in loaded.failures


def test_two_plugin_files_of_one_name_are_two_plugins(tmp_path):
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(GOOD.format(name=name))
    loaded = load([tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"])
    assert {"first", "second"} <= set(loaded.registry.names("agent"))


def test_a_plugin_file_that_breaks_is_set_aside_under_its_path(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("1 / 0")
    assert "ZeroDivisionError" in load([file]).failures[str(file)]


def test_a_plugin_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(BadPlugin, match=r"there is no plugin file .*absent\.py"):
        load([tmp_path / "absent.py"])


def test_loading_twice_gives_two_registries(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD.format(name="only_here"))
    load([file])
    assert "only_here" not in load().registry.names("agent")


def test_the_source_of_a_plugin_includes_the_siblings_it_imports(tmp_path):
    for name, text in {
        "plugin": "from .shapes import square\nfrom . import colours\nimport json",
        "shapes": "from .deep.maths import pi",
        "colours": "",
        "stranger": "",
        "deep/maths": "from ..colours import red",
        "deep/__init__": "",
    }.items():
        (tmp_path / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    found = {f.relative_to(tmp_path.resolve()).as_posix() for f in source_files(Path(tmp_path / "plugin.py"))}
    assert found >= {"plugin.py", "shapes.py", "colours.py", "deep/maths.py"}
    assert "stranger.py" not in found
