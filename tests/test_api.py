"""The version of the plugin API: what it serves, and how what goes is announced to authors and keeps working."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from addp_bench import api, hookspecs
from addp_bench.api import DEPRECATED, Deprecated
from addp_bench.errors import BadPlugin, PluginDeprecation
from addp_bench.loading import load

OLD = """
from addp_bench.hookspecs import hookimpl

class Old:
    "An agent of yesterday."
    def suggest(self, image, expression, history, k): return ["old"]

class Both(Old):
    def propose(self, image, expression, history, k): return ["new"]

class Heir(Both):
    def suggest(self, image, expression, history, k): return ["heir"]

class Slotted:
    __slots__ = ()
    @staticmethod
    def suggest(image, expression, history, k): return ["slotted"]

class Bound:
    def __init__(self):
        self.suggest = lambda *_: ["bound"]

def made():
    return Bound()

@hookimpl
def addp_bench_register(registry):
    for name, factory in (("old", Old), ("both", Both), ("heir", Heir), ("slotted", Slotted), ("made", made)):
        registry.add("agent", name, factory)
"""
RENAMED = Deprecated("agent", "suggest", "1.1", "2.0", "propose", "Its arguments stay.")


@pytest.fixture
def file(tmp_path):
    """Load a plugin file of this text and nothing else."""

    def written(text: str):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return written


def loaded(path):
    return load([path], blocked=["addp-bench"])


@pytest.mark.parametrize(
    "asked, served", [("1.0", True), ("1.1", True), ("1.2", False), ("0.9", False), ("2.0", False)]
)
def test_a_module_is_served_by_the_same_major_and_no_lesser_minor(file, monkeypatch, asked, served):
    monkeypatch.setattr(hookspecs, "API_VERSION", "1.1")
    found = loaded(file(f'requires_api = "{asked}"\n{OLD}'))
    assert bool(found.registry.names("agent")) == served
    assert bool(found.failures) != served


def test_a_module_that_needs_another_api_is_not_even_imported(file):
    found = loaded(file(f'{OLD}\nprint(1 / 0)\nrequires_api = "9.0"'))
    ((why),) = found.failures.values()
    assert "it requires API 9.0" in why
    assert "ZeroDivisionError" not in why


@pytest.mark.parametrize("asked", ["1", "1.0.0", "one", "", " 1.0", "-1.0", 1.0, True, (1, 0)])
def test_what_is_no_version_is_refused_in_words(asked):
    with pytest.raises(BadPlugin, match=r"is no version of the API; write MAJOR\.MINOR as text"):
        api.require(asked)


def test_the_offered_version_is_one():
    assert re.fullmatch(r"\d+\.\d+", hookspecs.API_VERSION)
    api.require(hookspecs.API_VERSION)
    api.require(None)


def test_an_old_member_is_asked_under_its_new_name_and_its_author_warned(file, monkeypatch):
    monkeypatch.setattr(api, "DEPRECATED", (RENAMED,))
    with pytest.warns(PluginDeprecation) as told:
        found = loaded(file(OLD))
    with pytest.warns(PluginDeprecation) as built:  # what a function makes is seen when it is made
        agents = {name: found.registry.build("agent", name) for name in found.registry.names("agent")}
    assert [str(warning.message).split(":")[0] for warning in built] == ["made"]
    answers = {name: agent.propose(None, "", (), 1) for name, agent in agents.items()}
    assert answers == {"old": ["old"], "both": ["new"], "heir": ["heir"], "slotted": ["slotted"], "made": ["bound"]}
    (words,) = found.notices.values()
    assert [line.split(":")[0] for line in words] == ["heir", "old", "slotted"]
    assert words[1] == (
        "old: agent: the member suggest is deprecated since API 1.1 and goes with 2.0; call it propose. "
        "Its arguments stay."
    )
    assert len(told) == 3
    assert {warning.filename for warning in told} == {str(file(OLD))}


def test_a_member_that_goes_without_another_is_told_to_be_left_out(file, monkeypatch):
    monkeypatch.setattr(api, "DEPRECATED", (Deprecated("agent", "suggest", "1.1", "2.0"),))
    with pytest.warns(PluginDeprecation, match=r"goes with 2\.0; leave it out"):
        loaded(file(OLD))


def test_a_plugin_of_today_is_told_nothing(file):
    assert loaded(file(OLD)).notices == {}


def test_an_old_hook_is_called_and_its_author_warned(file, monkeypatch):
    old = PluginDeprecation("addp_bench_ended goes with API 2.0; write addp_bench_run_finished")

    def addp_bench_ended(record: object) -> None: ...

    hookspecs.hookspec(addp_bench_ended, warn_on_impl=old)
    monkeypatch.setattr(hookspecs, "addp_bench_ended", addp_bench_ended, raising=False)
    path = file(
        "from addp_bench.hookspecs import hookimpl\nseen = []\n"
        "@hookimpl\ndef addp_bench_ended(record): seen.append(record)"
    )
    with pytest.warns(PluginDeprecation) as told:
        found = loaded(path)
    assert len(told) == 1
    assert list(found.notices.values()) == [[str(old)]]
    found.hooks.hook.addp_bench_ended(record=7)
    ((_, plugin),) = found.hooks.list_name_plugin()
    assert plugin.seen == [7]


def test_an_old_argument_of_a_hook_is_passed_and_its_author_warned(file, monkeypatch):
    old = PluginDeprecation("the argument cell goes with API 2.0")

    def addp_bench_run_finished(record: object, cell: object) -> None: ...

    hookspecs.hookspec(addp_bench_run_finished, warn_on_impl_args={"cell": old})
    monkeypatch.setattr(hookspecs, "addp_bench_run_finished", addp_bench_run_finished)
    start = "from addp_bench.hookspecs import hookimpl\n@hookimpl\ndef addp_bench_run_finished"
    with pytest.warns(PluginDeprecation, match="the argument cell goes"):
        found = loaded(file(f"{start}(cell): return cell"))
    assert found.hooks.hook.addp_bench_run_finished(record=1, cell=2) == [2]
    assert loaded(file(f"{start}(record): return record")).notices == {}


def test_authors_are_told_in_list_and_check_and_users_nowhere(tmp_path, file):
    """A program of its own, with Python's own filters of warnings."""
    path = file(OLD)
    start = (
        "import addp_bench.api as api, sys\n"
        "api.DEPRECATED = (api.Deprecated('agent', 'suggest', '1.1', '2.0', 'propose'),)\n"
        "from addp_bench.cli import main\nmain(sys.argv[1:])"
    )
    environment = {**os.environ, "ADDP_HOME": str(tmp_path)}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", start, *arguments, "--plugin", str(path), "--no-plugin", "addp-bench"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    listed, shown, checked = ran("list"), ran("show", "agent", "old"), ran("check", "plugin", "agent=old")
    assert f"for the author of {path}\n  heir: agent: the member suggest is deprecated" in listed.stdout
    assert f"for the author of {path}:\n  heir: agent: the member suggest is deprecated" in checked.stderr
    assert (listed.stderr, shown.stderr) == ("", "")
    assert "deprecated" not in shown.stdout


@pytest.mark.parametrize("old", DEPRECATED, ids=str)
def test_what_is_deprecated_goes_with_a_major_that_has_not_come(old):
    """Who raises API_VERSION to it takes the entry out."""
    since, until, now = (tuple(map(int, v.split("."))) for v in (old.since, old.until, hookspecs.API_VERSION))
    assert since <= now < until
    assert until[0] > since[0]
    assert until[1] == 0
