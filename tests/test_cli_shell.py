"""The shell round every command: help, mistakes, environment variables, exit codes and last words."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from addp_bench import __version__
from addp_bench.cli import COMMANDS, commands
from addp_bench.errors import BadRequest, BenchError, NothingSelected
from addp_bench.progress import Progress

RECORDS = Path(__file__).parents[1] / "benchmarks" / "records" / "quick"
NAMES = [name for section in COMMANDS.values() for name in section]

FILE = '''
from pathlib import Path
from addp_bench.hookspecs import hookimpl

class Measured:
    """A set that measures itself. good: whether it keeps its promises. deep: whether it looks twice."""
    def __init__(self, good: bool = True, deep: bool = False) -> None:
        self.good = good
    def check(self):
        return [("share of skies", 0.25, ">= 0.2", True), ("seas", float("nan"), "3", self.good)]
    def plot(self, path: Path) -> None:
        path.write_bytes(b"picture " + str(self.good).encode())

class Silent:
    """A set that promises nothing."""

@hookimpl
def addp_bench_register(registry):
    registry.add("dataset", "measured", Measured, aliases=("measurable",))
    registry.add("dataset", "silent", Silent)
'''


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home"))


@pytest.fixture
def plugin(tmp_path):
    """A plugin file, loaded alone: the installed ones are left out."""
    file = tmp_path / "measured.py"
    file.write_text(FILE)
    return ("--plugin", str(file), "--no-plugin", "addp-bench")


@pytest.fixture
def failing(monkeypatch):
    """Make `check` raise something."""

    def fails(raised: BaseException) -> None:
        def callback(**options: object) -> None:
            raise raised

        monkeypatch.setattr(commands.get_command(click.Context(commands), "check"), "callback", callback)

    return fails


# ------------------------------------------------------------------------------------------------ help


def test_help_names_every_command_by_group_with_an_example(shell):
    code, out, err = shell("--help")
    assert (code, err) == (0, "")
    assert re.findall(r"^  ([a-z]+)  ", out, re.MULTILINE) == NAMES
    for piece in (*COMMANDS, "addp-bench run --task ris", "ADDP_BENCH_<OPTION>"):
        assert piece in out


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists_and_explains_itself_with_an_example(shell, name):
    code, out, _ = shell(name, "--help")
    assert code == 0
    assert f"addp-bench {name}" in out.split("Example", 1)[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_reads_its_environment_variable_and_says_what_it_is_for(name):
    command = commands.get_command(click.Context(commands), name)
    members = command.commands.values() if isinstance(command, click.Group) else ()
    for option in (p for one in (command, *members) for p in one.params if isinstance(p, click.Option)):
        spellings = ["ADDP_BENCH_" + flag.removeprefix("--").replace("-", "_").upper() for flag in option.opts]
        assert option.envvar == spellings
        assert option.help, f"{option.opts[0]} of {name} has no words"


@pytest.mark.parametrize("variable", ["ADDP_BENCH_SEED", "ADDP_BENCH_SEEDS"])
def test_every_spelling_of_an_option_reads_its_variable(shell, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, "3")
    _, out, err = shell("plan", "--task", "ris", "--json", "--runs", tmp_path / "runs")
    assert [cell["what"].endswith("seed 3") for cell in json.loads(out)["cells"]] == [True], err


def test_the_version_is_that_of_the_package(shell):
    assert shell("--version") == (0, f"addp-bench, version {__version__}\n", "")


def test_python_dash_m_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "addp_bench", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"addp-bench, version {__version__}\n")


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["lst"], "no command is called 'lst'. Did you mean 'list'?"),
        (["list", "--jsno"], "--json"),
        (["list", "weigths"], "no kind of plugin is called 'weigths'. Did you mean 'weights'?"),
        (["show", "weights"], "Missing argument"),
        (["check", "measure", "x"], "'data'"),
        (["check", "metric", "oiuo"], "Did you mean 'oiou'?"),
        (["list", "--plugin", "absent.py"], "there is no plugin file absent.py"),
        (["list", "--no-plugin", "addp-bnch"], "Did you mean 'addp-bench'?"),
    ],
)
def test_a_mistake_in_the_request_ends_with_2_and_a_way_on(shell, arguments, said):
    code, out, err = shell(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_an_error_is_one_line_with_its_own_exit_code(shell, failing):
    failing(NothingSelected("no record matches task=ris"))
    assert shell("check", "data", "x") == (4, "", "error: no record matches task=ris\n")


def test_an_error_that_quotes_data_cannot_steer_the_terminal(shell, failing):
    failing(NothingSelected("no record is called '\x1b[2J\u202egood'"))
    assert shell("check", "data", "x")[2] == "error: no record is called '[2Jgood'\n"


HOSTILE = """
from addp_bench.errors import BadData
from addp_bench.hookspecs import hookimpl
from addp_bench.types import Card

class Photographs:
    ids = image_ids = ["\\x1b[2J\\u202egood"]
    def __len__(self): return 1
    def text(self, index): return ""
    def __getitem__(self, index): raise BadData(f"photograph {self.ids[0]} is broken")

class Hostile:
    "Names that would clear the screen."
    tasks = ("ris",)
    def splits(self): return ["val"]
    def default_split(self, purpose): return "val"
    def samples(self, split, task): return Photographs()
    def card(self): return Card("hostile", "", "", "", {"val": 1}, "hostile")
    def protocol(self, task): return "tabletop_ris"

@hookimpl
def addp_bench_register(registry):
    registry.add("dataset", "hostile", Hostile)
"""


def test_a_failed_cell_that_quotes_data_cannot_steer_the_terminal(shell, tmp_path):
    (tmp_path / "hostile.py").write_text(HOSTILE)
    asked = ("--dataset", "hostile", "--model", "constant", "--plugin", tmp_path / "hostile.py")
    code, _, err = shell("run", *asked, "--runs", tmp_path / "runs")
    assert code == 3
    assert "BadData: photograph [2Jgood is broken\n" in err
    assert "\x1b" not in err


def test_progress_and_warnings_that_quote_data_cannot_steer_the_terminal(shell, plugin, capsys):
    stream = io.StringIO()
    Progress(stream=stream).say("\x1b[2J\u202egood\nday")
    assert stream.getvalue() == "[2Jgood\nday\n"
    shell("list", *plugin)  # pytest has a handler of its own, so the last resort is asked by hand
    logging.lastResort.handle(logging.makeLogRecord({"msg": "odd: %s", "args": ("\x9bgood",), "levelno": 30}))
    assert capsys.readouterr().err == "odd: good\n"


def test_every_mistake_of_a_request_is_told(shell, failing):
    failing(BadRequest(["weights: no such thing", "aug: too strong"]))
    code, _, err = shell("check", "data", "x")
    assert (code, err) == (2, "error: the request has 2 mistakes\n  weights: no such thing\n  aug: too strong\n")


def test_an_interruption_ends_with_5_and_the_way_on(shell, failing):
    failing(KeyboardInterrupt())
    code, _, err = shell("check", "data", "x")
    assert (code, err.strip()) == (5, "interrupted: run the same command to go on")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_forbidden_disk_is_an_error_of_storage(shell, failing, number):
    failing(OSError(number, os.strerror(number), "/somewhere/file"))
    code, _, err = shell("check", "data", "x")
    assert code == 2
    assert err.startswith("error: ")
    assert "/somewhere/file" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("home", ["home", "file/home"])
def test_a_defect_of_ours_ends_with_6_and_keeps_its_traceback(shell, failing, tmp_path, monkeypatch, home):
    (tmp_path / "file").write_text("")  # a home below a file cannot be made: the temporary folder serves
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(ZeroDivisionError("by nothing"))
    code, out, err = shell("check", "data", "x")
    assert (code, out) == (6, "")
    assert err.startswith("error: ZeroDivisionError: by nothing\n")
    (kept,) = tmp_path.rglob("addp-bench-*.txt")
    assert str(kept) in err
    assert "in callback" in kept.read_text()


def test_errors_have_exit_codes_that_are_documented():
    def all_of(cls: type[BenchError]) -> list[type[BenchError]]:
        return [cls, *(deeper for sub in cls.__subclasses__() for deeper in all_of(sub))]

    assert {cls.exit_code for cls in all_of(BenchError)} <= {1, 2, 3, 4}


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    """`addp-bench ... | true`: no traceback, no message."""
    script = f"{sys.executable} -m addp_bench --help | true; {sys.executable} -c '%s' | true"
    printing = (
        "import sys, click; from addp_bench.cli.leaving import leave; "
        'leave(lambda: [print("x" * 1000) for _ in range(1000)])'
    )
    done = subprocess.run(["bash", "-c", script % printing], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


# ------------------------------------------------------------------------------------- list, show and check


def test_list_shows_name_alias_words_and_origin(shell, plugin):
    code, out, _ = shell("list", *plugin)
    assert code == 0
    (line,) = (line for line in out.splitlines() if " measured " in line)
    assert re.split(r"\s{2,}", line)[:3] == ["dataset", "measured", "measurable"]
    assert "A set that measures itself." in line
    assert "measured.py" in line


def test_list_as_json_is_the_whole_catalogue(shell, plugin):
    code, out, _ = shell("list", "dataset", "--json", *plugin)
    answer = json.loads(out)
    assert code == 0
    assert [p["name"] for p in answer["plugins"]] == ["measured", "silent"]
    assert answer["plugins"][0]["options"][0]["default"] is True
    assert answer["failures"] == {}


def test_list_tells_what_was_set_aside_and_why(shell, tmp_path):
    (tmp_path / "broken.py").write_text("import a_library_nobody_has")
    code, out, _ = shell("list", "--plugin", tmp_path / "broken.py", "--no-plugin", "addp-bench")
    assert code == 0
    assert "set aside" in out
    assert "No module named 'a_library_nobody_has'" in out
    code, out, err = shell("list", "--plugin", tmp_path / "broken.py", "--no-plugin", "addp-bench", "--strict-plugins")
    assert (code, out) == (2, "")
    assert "a_library_nobody_has" in err


def test_an_option_is_read_from_the_environment(shell, plugin, monkeypatch):
    monkeypatch.setenv("ADDP_BENCH_PLUGIN", plugin[1])
    monkeypatch.setenv("ADDP_BENCH_NO_PLUGIN", "addp-bench")
    monkeypatch.setenv("ADDP_BENCH_JSON", "1")
    _, out, _ = shell("list")
    assert [p["name"] for p in json.loads(out)["plugins"]] == ["measured", "silent"]


def test_show_tells_options_types_defaults_and_origin(shell, plugin):
    code, out, _ = shell("show", "dataset", "Measurable", *plugin)
    assert code == 0
    for pattern in (
        r"^dataset measured \(also measurable\)",
        r"good +bool +True +whether it keeps",
        r"deep +bool +False +whether it looks twice",
        r"^origin: .*\.py$",
    ):
        assert re.search(pattern, out, re.MULTILINE), pattern


def test_show_draws_a_plugin_with_the_options_that_were_given(shell, plugin, tmp_path):
    code, out, _ = shell("show", "dataset", "measured:good=no", "--plot", tmp_path / "a.png", *plugin)
    assert code == 0
    assert (tmp_path / "a.png").read_bytes() == b"picture False"
    assert "a.png" in out


def test_show_refuses_to_draw_what_cannot_be_drawn(shell, plugin, tmp_path):
    code, _, err = shell("show", "dataset", "silent", "--plot", tmp_path / "a.png", *plugin)
    assert code == 2
    assert "cannot be drawn" in err
    assert not (tmp_path / "a.png").exists()


def test_check_ends_with_0_when_every_promise_is_kept(shell, plugin):
    code, out, _ = shell("check", "data", "measured", *plugin)
    assert code == 0
    assert re.search(r"share of skies +0\.25 +>= 0\.2 +ok", out)


def test_check_ends_with_3_when_a_promise_is_broken(shell, plugin):
    code, out, _ = shell("check", "data", "measured:good=false", "--json", *plugin)
    assert code == 3
    assert json.loads(out)[1] == {"what": "seas", "value": None, "expected": "3", "ok": False}
    assert shell("check", "data", "measured:good=false", *plugin)[0] == 3


def test_check_refuses_data_that_promises_nothing(shell, plugin):
    code, _, err = shell("check", "data", "silent", *plugin)
    assert code == 2
    assert "no method check()" in err


@pytest.mark.parametrize("arguments", [["leaderboard"], ["effects"]], ids=" ".join)
def test_a_table_in_json_reaches_stdout(shell, arguments):
    code, out, err = shell(*arguments, "--json", "--runs", RECORDS)
    assert code == 0, err
    assert json.loads(out)
