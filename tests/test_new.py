"""`addp-bench new`: what is written, what is refused, and that every template is code that keeps its contract."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from addp_bench import __version__, checks, scaffold
from addp_bench.cli import commands
from addp_bench.loading import load
from addp_bench.scaffold.guides import GUIDES
from addp_bench.spec import KINDS, Choice

ROOT = Path(__file__).parents[1]
PATHS = [
    "pyproject.toml",
    "README.md",
    "addp_bench_{name}.py",
    "tests/test_{name}.py",
    "tests/test_contract.py",
    ".github/workflows/check.yml",
    ".gitignore",
]
# short, as long as it may be, and those whose class would be a name that some template uses or a word of Python
NAMES = ["x", "a_name_of_thirty_characters_00", "step", "query", "registry", "my_idea", "true"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files_under(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


# ------------------------------------------------------------------------------------------------ what is written


def test_every_kind_has_an_example_with_numbers_by_hand_and_a_guide():
    assert set(GUIDES) == set(KINDS)
    for folder in ("examples", "by_hand"):
        assert {f.stem for f in (scaffold.HERE / folder).glob("*.py")} == {"__init__", *KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_written_and_what_to_type_next_is_said(shell, tmp_path, kind):
    code, out, err = shell("new", kind, "my-idea", "--out", "there/below")
    assert (code, err.replace("loading every plugin once, to make the catalogue of what there is\n", "")) == (0, "")
    folder = tmp_path / "there" / "below" / "addp-bench-my-idea"
    written = files_under(folder)
    assert sorted(written) == sorted(path.format(name="my_idea") for path in PATHS)
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]  # nothing was left aside
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == f"{kind} my_idea: there/below/addp-bench-my-idea"
    assert set(written) < set(lines)
    assert lines[lines.index("Next:") + 1 :] == [
        "cd there/below/addp-bench-my-idea",
        'pip install -e ".[test]"',
        *scaffold.commands(kind, "my_idea"),
    ]
    assert set(scaffold.commands(kind, "my_idea")) < set(written["README.md"].splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_that_is_written_or_said_is_one(kind):
    readme = scaffold.package(kind, "my_idea")["README.md"]
    written = re.findall(r"^addp-bench .*", readme, re.MULTILINE)
    assert len(written) > 2
    for line in [*written, *scaffold.commands(kind, "my_idea", "folder/my_idea.py")]:
        words = shlex.split(line)[1:]
        group = click.Context(commands, info_name="addp-bench")
        name, command, rest = commands.resolve_command(group, words)
        command.make_context(name, rest, parent=group)  # or raises click.UsageError


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_stands_wherever_the_example_had_its_own(kind):
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11 to read pyproject.toml")
    for text in scaffold.package(kind, "other").values():
        assert not re.search("my.?idea", text, re.IGNORECASE)
    project = tomllib.loads(scaffold.package(kind, "so_called")["pyproject.toml"])
    assert project["project"]["name"] == "addp-bench-so-called"
    assert project["project"]["dependencies"] == [f"addp-bench>={__version__}"]
    assert project["project"]["entry-points"] == {"addp_bench": {"addp_bench_so_called": "addp_bench_so_called"}}
    assert project["tool"]["setuptools"]["py-modules"] == ["addp_bench_so_called"]


def test_json_says_what_was_made_and_nothing_else(shell):
    shell("list", "agent")  # which makes the catalogue, and says so
    code, out, err = shell("new", "aug", "steps", "--json")
    answer = json.loads(out)
    assert (code, err, answer["kind"], answer["name"]) == (0, "", "aug", "steps")
    assert sorted(answer["files"]) == sorted(files_under(Path(answer["made"])))
    assert answer["next"][0] == f"cd {answer['made']}"


def test_an_empty_folder_is_filled(shell, tmp_path):
    (tmp_path / "addp-bench-idea").mkdir()
    assert shell("new", "noise", "idea")[0] == 0
    assert (tmp_path / "addp-bench-idea" / "README.md").is_file()


def test_code_of_every_kind_is_linted_and_formatted_under_any_name(tmp_path):
    for kind in KINDS:
        for name in NAMES:
            for path, text in scaffold.package(kind, name).items():
                if path.endswith(".py"):
                    file = tmp_path / f"{kind}_{name}" / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
    with_ours = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
    for asked in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *asked, *with_ours], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------ one file


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file_loads_with_plugin_and_keeps_its_contract(shell, tmp_path, kind):
    code, out, _ = shell("new", kind, "idea", "--single-file")
    assert code == 0
    assert [f.name for f in tmp_path.iterdir()] == ["idea.py"]
    told = [line.strip() for line in out.splitlines() if line.startswith("  addp-bench ")]
    assert told == scaffold.commands(kind, "idea", "./idea.py")
    loaded = load([tmp_path / "idea.py"], strict=True)
    mine = [entry for entry in loaded.registry.entries() if entry.origin == str(tmp_path / "idea.py")]
    assert [(entry.kind, entry.name) for entry in mine] == [(one, "idea") for one in scaffold.registers(kind)]
    for entry in mine:
        checks.require(loaded.registry, entry.kind, Choice("idea"))
        assert entry.words
        assert [option.name for option in entry.options if not option.words or option.annotation is None] == []


@pytest.mark.parametrize("kind, name", [("sampler", "step"), ("encoding", "query"), ("weights", "true")])
def test_a_name_that_means_something_else_in_python_is_no_obstacle(tmp_path, kind, name):
    file = tmp_path / f"{name}.py"
    file.write_text(scaffold.single_file(kind, name))
    loaded = load([file], strict=True)
    loaded.registry.build(kind, name)


def test_the_examples_are_read_where_they_stand():
    """A class must not be called as something its own template uses: `Step` would hide the type of that name."""
    code = (scaffold.HERE / "examples" / "sampler.py").read_text()
    assert scaffold.class_name("step", code) == "StepPlugin"
    assert scaffold.class_name("my_step", code) == "MyStep"
    assert scaffold.class_name("none", code) == "NonePlugin"


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["weigths", "idea"], "no kind of plugin is called 'weigths'. Did you mean 'weights'?"),
        (["weights", "My Idea"], "'My Idea' is no name for a plugin"),
        (["weights", "My Idea"], "Did you mean 'my_idea'?"),
        (["weights", "3d"], "lower-case identifier"),
        (["weights", "a__b"], "Did you mean 'a_b'?"),
        (["weights", "idea_"], "Did you mean 'idea'?"),
        (["weights", "../idea"], "Did you mean 'idea'?"),
        (["weights", "x" * 31], "at most 30 characters"),
        (["weights", "min-snr"], f"weights 'min_snr' is taken by addp-bench {__version__}"),
        (["target", "eps"], "target 'eps' is taken by addp-bench"),  # an alias
        (["task", "tabletop"], "dataset 'tabletop' is taken by addp-bench"),  # its example registers a dataset too
        (["weights", "idea", "--out", "file"], "file"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(shell, tmp_path, arguments, said):
    (tmp_path / "file").write_text("")
    code, out, err = shell("new", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_a_name_is_free_for_a_kind_where_another_kind_has_it(shell, tmp_path):
    assert shell("new", "aug", "uniform")[0] == 0
    assert (tmp_path / "addp-bench-uniform").is_dir()


@pytest.mark.parametrize("flags, there", [([], "addp-bench-idea/notes.txt"), (["--single-file"], "idea.py")])
def test_nothing_is_ever_written_over(shell, tmp_path, flags, there):
    file = tmp_path / there
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    code, out, err = shell("new", "aug", "idea", *flags)
    assert (code, out) == (2, "")
    assert "nothing is written over" in err
    assert files_under(tmp_path) == {there: "mine"}


def test_a_file_in_the_place_of_the_folder_is_refused(shell, tmp_path):
    (tmp_path / "addp-bench-idea").write_text("mine")
    code, _, err = shell("new", "aug", "idea")
    assert code == 2
    assert "addp-bench-idea exists; nothing is written over" in err


def test_a_name_whose_package_is_installed_is_refused(shell, tmp_path, monkeypatch):
    """Two packages of one name would replace each other, though their kinds differ."""
    info = tmp_path / "site" / "addp_bench_idea-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: addp-bench-idea\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[addp_bench]\naddp_bench_idea = addp_bench_idea\n")
    (tmp_path / "site" / "addp_bench_idea.py").write_text(scaffold.single_file("weights", "idea"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    code, _, err = shell("new", "weights", "idea")
    assert (code, "weights 'idea' is taken by addp-bench-idea 1.0" in err) == (2, True)
    code, _, err = shell("new", "aug", "idea")
    assert (code, "addp-bench-idea 1.0 is installed and has the module addp_bench_idea" in err) == (2, True)
    assert not (tmp_path / "addp-bench-idea").exists()


def test_a_disk_that_is_full_half_way_is_said_and_nothing_is_left(shell, tmp_path):
    shell("list", "agent")  # the catalogue
    code = (
        "import resource\nfrom addp_bench.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\nmain(['new', 'aug', 'idea'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "addp-bench-idea cannot be written (File too large); name another --out" in done.stderr
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ how quick it is

_HEAVY = ("torch", "diffusers", "transformers", "matplotlib", "cv2", "numpy", "scipy", "pydantic", "mmengine")


def test_it_imports_nothing_heavy(shell):
    shell("list", "agent")  # the catalogue
    code = (
        "import sys\nfrom addp_bench.cli import main\n"
        "try:\n    main(['new', 'task', 'idea'])\n"
        f"except SystemExit as left:\n    sys.exit(left.code or ' '.join(set(sys.modules) & set({_HEAVY})) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------ the page about it

PAGE = (ROOT / "docs" / "new.md").read_text()


def test_the_page_shows_what_is_printed_and_what_is_written(shell):
    shell("list", "agent")  # the catalogue
    transcripts = re.findall(r"^\$ addp-bench (new .*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
    assert len(transcripts) == 2
    for command, printed in transcripts:
        assert shell(*shlex.split(command)) == (0, printed, "")
    (quoted,) = re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert scaffold.single_file("weights", "bump").endswith(quoted)


def test_the_page_names_every_kind_and_every_file():
    rows = re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)
    assert [row for row in rows if row in KINDS] == list(KINDS)
    assert [path for path in PATHS if f"| `{Path(path.format(name='NAME')).name}` |" not in PAGE] == []
