"""`check plugin` takes a name, a file or a distribution, and tells what is kept and what is broken."""

from __future__ import annotations

import json

import bench
import pytest

from addp_bench import checks
from addp_bench.errors import BadPlugin
from addp_bench.loading import load
from addp_bench.spec import Choice

IDEA = '''
from addp_bench.hookspecs import hookimpl
from addp_bench.plugins.guidance import NoGuidance
from addp_bench.plugins.schedules import Linear


class Doubled(NoGuidance):
    """Twice as much."""

    def coefficients(self):
        return {("full", "full"): 2.0}


class Rough(Linear):
    """Linear, and rough.

    folder: where | how.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()


class Steep(Linear):
    """Linear.

    intensity: as there.
    """


@hookimpl
def addp_bench_register(registry):
    registry.add("guidance", "doubled", Doubled)
    registry.add("aug", "rough", Rough)
    registry.add("aug", "steep", Steep)
'''


@pytest.fixture
def idea(tmp_path):
    file = tmp_path / "idea.py"
    file.write_text(IDEA)
    return file


def test_require_names_every_promise_that_is_broken(idea):
    registry = load([idea]).registry
    with pytest.raises(BadPlugin, match=r"guidance doubled: guidance\.sum \(coefficients sum to 1\): they sum to 2"):
        checks.require(registry, "guidance", Choice("doubled"))


def test_the_command_says_what_is_kept_and_what_is_not(shell, idea):
    code, out, err = shell("check", "plugin", "guidance=doubled", "--plugin", idea)
    assert (code, err) == (3, "")
    assert "BROKEN  guidance.sum            coefficients sum to 1: they sum to 2" in out
    assert out.splitlines()[-1].startswith("10 kept, 1 broken")
    code, out, _ = shell("check", "plugin", "image_text:text=7.5")
    assert (code, out.count("ok  "), "ms a call" in out) == (0, 11, True)


def test_a_file_is_checked_whole_and_what_needs_an_option_is_told_how(shell, idea):
    code, out, _ = shell("check", "plugin", idea)
    assert code == 3
    assert "not checked: aug rough needs folder=... (str): where | how. Check it as aug=rough:folder=..." in out
    assert "3 plugins: 1 keep their contract, 1 breaks its (guidance=doubled), 1 not checked" in out
    code, _, err = shell("check", "plugin", "aug=rough", "--plugin", idea)
    assert code == 2
    assert err.strip().endswith("Check it as aug=rough:folder=...")


def test_a_distribution_is_checked_whole(monkeypatch, shell):
    few = [
        entry
        for entry in load([bench.DOTS]).registry.entries()
        if entry.kind == "guidance" or entry.name in ("dots", "coco")
    ]
    monkeypatch.setattr("addp_bench.checks.registered_by", lambda registry, origin: few)
    code, out, _ = shell("check", "plugin", "addp-bench", "--plugin", bench.DOTS, "--json")
    found = json.loads(out)["plugins"]
    assert code == 0
    assert {one["name"] for one in found} == {entry.name for entry in few}
    assert "needs path" in next(one["unchecked"] for one in found if one["name"] == "coco")


def test_the_report_can_be_markdown_and_json(shell, idea):
    code, out, _ = shell("check", "plugin", idea, "--format", "markdown")
    assert code == 3
    assert "| BROKEN | guidance.sum | coefficients sum to 1 | they sum to 2 |" in out
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in tables} == {5}
    code, out, _ = shell("check", "plugin", "guidance=doubled", "--plugin", idea, "--json")
    (one,) = json.loads(out)["plugins"]
    assert (code, one["kind"], one["name"], one["options"]) == (3, "guidance", "doubled", {})
    assert [f["clause"] for f in one["findings"] if f["ok"] is False] == ["guidance.sum"]
    assert 0 < one["seconds"] < 1


def test_an_exception_is_told_in_one_line_with_its_place(shell, idea):
    idea.write_text(IDEA.replace('return {("full", "full"): 2.0}', 'raise RuntimeError("one\\ntwo | three")'))
    code, out, _ = shell("check", "plugin", "guidance=doubled", "--plugin", idea, "--format", "markdown")
    assert code == 3
    assert r"| does what it is asked | RuntimeError: one two \| three (in coefficients, line 11 of idea.py) |" in out


@pytest.mark.parametrize("what, told", [
    ("none", "none is the name of several plugins; say one of aug=none, exposure=none, guidance=none"),
    ("imagetext", "no plugin or distribution is called 'imagetext'. Did you mean 'image_text'?"),
    ("guidance=nonsense", "no guidance is called 'nonsense'"),
    ("no_such_file.py", "there is no plugin file no_such_file.py"),
    ("guidance=image_text:text=much", "option text='much' is not a float"),
])  # fmt: skip
def test_what_cannot_be_checked_is_one_clear_error(shell, what, told):
    code, out, err = shell("check", "plugin", what)
    assert (code, out) == (2, "")
    assert told in err


def test_a_file_that_does_not_load_is_told_with_its_reason(shell, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import no_such_package\n")
    code, _, err = shell("check", "plugin", file)
    assert code == 2
    assert "was set aside: importing it failed: No module named 'no_such_package'" in err
