"""The pages say what is true: their commands parse, their links lead somewhere, and what they name exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import torch
from docs_pages import PAGES, ROOT, Command, Saved, blocks, steps, without_blocks
from docs_pages import commands as commands_of

from addp_bench import scaffold, specfile
from addp_bench.cli import commands
from addp_bench.errors import BenchError
from addp_bench.loading import load
from addp_bench.registry import Registry
from addp_bench.schedule import TableNoise, from_betas, scaled_linear
from addp_bench.spec import KINDS, Choice
from addp_bench.timesteps import group_mass

EXAMPLE = "band.py"  # the worked example of docs/plugins.md

_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def command_lines(text: str) -> list[list[str]]:
    """The words after `addp-bench` of every such line in fenced blocks; continued lines are one."""
    return [command.arguments for command in commands_of("a page", text) if command.arguments is not None]


def parsed(words: list[str]) -> click.Context:
    """What click makes of a command line, without running it. Raises click.UsageError."""
    group = click.Context(commands, info_name="addp-bench")
    name, command, rest = commands.resolve_command(group, list(words))
    assert command is not None
    return command.make_context(name, rest, parent=group)


def said_of_code(text: str) -> Iterator[str]:
    """Inline code outside of fenced blocks."""
    return iter(_CODE.findall(without_blocks(text)))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@cache
def functions_of(file: Path) -> set[str]:
    """Names of all functions that a source file defines."""
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def page_text(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> dict[str, Path]:
    """The plugins of the pages as a reader would save them, or have them written by `new`, by file name."""
    folder = tmp_path_factory.mktemp("plugins")
    for page in PAGES:
        for step in steps(page.name, page.read_text()):
            if isinstance(step, Saved) and step.name.endswith(".py"):
                (folder / step.name).write_text(step.content)
            if isinstance(step, Command) and (words := step.arguments or [""])[0] == "new":
                (folder / f"{words[2]}.py").write_text(scaffold.single_file(words[1], scaffold.name_of(words[2])))
    return {file.name: file for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def registry(examples) -> Registry:
    """Everything there is to choose from, the examples included."""
    loaded = load(list(examples.values()))
    assert not loaded.failures
    return loaded.registry


def check_choice(registry: Registry, kind: str, text: str) -> None:
    """Raises BenchError for a plugin or an option that does not exist, or a value of the wrong type."""
    choice = Choice.parse(text)
    entry = registry.get(kind, choice.name)
    required = {o.name: f"DIR/{o.name}" for o in entry.options if o.name == "path"}
    registry.resolve(kind, Choice(choice.name, {**required, **choice.options}))


def test_every_command_of_the_script_of_ci_parses():
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if '"$bench" ' in line]
    found = [re.search(r'"\$bench" ([^|)]*?)(?: 2>&1)?(?:$| \||\))', line)[1] for line in lines]
    assert len(found) > 8
    for command in found:
        words = shlex.split(command.replace('"${job[@]}"', "--task ris"))
        parsed(words)  # or raises click.UsageError


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_of_a_page_parses_and_names_plugins_that_exist(page, registry):
    for words in command_lines(page.read_text()):
        try:
            context = parsed(words)
        except click.exceptions.Exit:  # --help and --version answer at once
            continue
        except click.ClickException as refused:
            pytest.fail(f"addp-bench {shlex.join(words)}: {refused.format_message()}")
        given = {kind: context.params[kind] for kind in KINDS if isinstance(context.params.get(kind), tuple)}
        for kind in ("corruption", "transform"):
            given[kind] = [part for text in given.get(kind, ()) for part in text.split("+") if part != "none"]
        for kind, texts in given.items():
            for text in texts:
                if text not in ("all", "own"):
                    check_choice(registry, kind, text)


def inline_commands(text: str) -> list[list[str]]:
    """The words after `addp-bench` of commands that stand within sentences, over several lines too."""
    found = re.findall(r"`(addp-bench [^`]+)`", without_blocks(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))
    return [shlex.split(" ".join(code.split()))[1:] for code in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_within_a_sentence_parses(page):
    for words in inline_commands(page.read_text()):
        try:
            parsed(words)
        except (click.exceptions.Exit, click.MissingParameter):  # help, and a command that is only named
            continue
        except click.ClickException as refused:
            pytest.fail(f"addp-bench {shlex.join(words)}: {refused.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_within_sentences_run_over_the_records_that_come_along(page, shell, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in inline_commands(page.read_text()):
        if any(word.startswith("benchmarks/records/") for word in words) and words[-1] != "NAME":
            code, _, said = shell(*words)
            # a promise that `tiny` does not keep is told as such on its page
            assert code == 0 or (words[0], code) == ("check", 3), f"addp-bench {shlex.join(words)}\n{said}"


def test_commands_within_sentences_are_found_and_a_wrong_one_is_noticed():
    (words,) = inline_commands(
        "see `addp-bench leaderboard --task\nris --were x` and `list`\n```\naddp-bench no\n```\n"
    )
    assert words == ["leaderboard", "--task", "ris", "--were", "x"]
    with pytest.raises(click.UsageError, match="were"):
        parsed(words)


def test_pages_hold_commands_and_a_wrong_one_is_noticed(registry):
    assert len(command_lines(page_text("timesteps.md"))) > 5
    lines = command_lines(
        "```\naddp-bench run --weight uniform\naddp-bench fly\n# addp-bench no\n```\naddp-bench out\n"
    )
    assert lines == [["run", "--weight", "uniform"], ["fly"]]
    for words in lines:
        with pytest.raises(click.UsageError):
            parsed(words)
    for text in ("unifrom", "diffusion:snrmin=1", "diffusion:snr_min=little"):
        with pytest.raises(BenchError):
            check_choice(registry, "weights", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(page):
    for target in _LINK.findall(without_blocks(page.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_plugin_that_a_page_names_exists(page, registry):
    """Inline code of the form `kind name` or `kind name:option=value`."""
    for code in said_of_code(page.read_text()):
        kind, _, name = code.partition(" ")
        if kind in KINDS and re.fullmatch(r"[a-z0-9_]+(:.*)?", name):
            check_choice(registry, kind, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_test_and_file_that_a_page_names_exists(page):
    text = page.read_text()
    for code in said_of_code(text):
        file, _, test = code.partition("::")
        if re.fullmatch(r"(addp_bench|plugins|tasks|baselines|tests|docs)/[\w/.-]+\.\w+", file):
            assert (ROOT / file).is_file(), code
            assert not test or test in functions_of(ROOT / file), code
    for file, table in re.findall(r"test in `(tests/\w+\.py)` \|\n(.*?)(?:\n\n|\Z)", text, re.DOTALL):
        for test in re.findall(r"`(test_\w+)`", table):
            assert test in functions_of(ROOT / file), test


_QUOTED = re.compile(r"^<!-- columns of: addp-bench (.*?) -->\n((?:\|.*\n)+)", re.MULTILINE)


def grid(markdown: str) -> list[list[str]]:
    """The cells of the first table of a text, the header first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [line for line in cells if not all(re.fullmatch(r":?-+:?", cell) for cell in line)]


def columns_of(table: list[list[str]], names: list[str]) -> list[list[str]]:
    """The table with only these columns; KeyError for one it does not have."""
    place = {name: k for k, name in enumerate(table[0])}
    return [[line[place[name]] for name in names] for line in table]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_quoted_table_is_what_its_command_prints(page, shell, monkeypatch):
    """Before a table, `<!-- columns of: addp-bench leaderboard ... --format markdown -->`: it may choose columns, but
    shows every row of the command's first table in its order."""
    monkeypatch.chdir(ROOT)
    for command, written in _QUOTED.findall(page.read_text()):
        code, printed, said = shell(*shlex.split(command))
        assert code == 0, said
        quoted = grid(written)
        assert quoted == columns_of(grid(printed), quoted[0]), command


_PRINTED = re.compile(r"^<!-- printed by: addp-bench (.*?) -->\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_quoted_lines_are_among_those_that_the_command_prints(page, shell, monkeypatch):
    """Before a block, `<!-- printed by: addp-bench ... -->`: its lines stand in the output one below the other."""
    monkeypatch.chdir(ROOT)
    for command, written in _PRINTED.findall(page.read_text()):
        monkeypatch.setenv("COLUMNS", "100")
        code, printed, said = shell(*shlex.split(command))
        assert code == 0, said
        assert bare(written) in bare(printed), command


def bare(text: str) -> str:
    """Without what cannot be seen at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_the_first_tables_are_quoted_and_a_changed_digit_is_noticed():
    tables = _QUOTED.findall((ROOT / "README.md").read_text())
    assert [command.split()[2] for command, _ in tables] == ["benchmarks/records/quick", "benchmarks/records/standard"]
    command, written = tables[0]
    assert command.startswith("leaderboard ")
    table = grid(written)
    assert len(table) > 3
    assert columns_of([["a", "b"], ["1", "2"]], ["b"]) == [["b"], ["2"]]
    value = re.findall(r"\d+\.\d", written)[0]
    assert grid(written.replace(value, value[:-1] + str(9 - int(value[-1])), 1)) != table
    assert grid("x\n| a | b\\|c |\n|:---|---|\n| 1 |  |\n") == [["a", "b\\|c"], ["1", ""]]


def test_the_index_names_every_page():
    linked = set(_LINK.findall(page_text("index.md")))
    assert linked == {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_requests_in_yaml_are_read(tmp_path):
    written = [body for page in PAGES for body in blocks(page.read_text(), "yaml") if body.startswith("train:")]
    assert written
    for body in written:
        file = tmp_path / "SPEC.yaml"
        file.write_text(body)
        for request in specfile.read(file, {}):
            assert (request.trained_on, request.axes["dataset"]) == ("tabletop:shuffled=words", ["tabletop"])


def test_the_example_of_a_plugin_loads_and_draws(registry, examples):
    assert registry.get("weights", "band").origin == str(examples[EXAMPLE])
    noise, target = TableNoise(from_betas(scaled_linear())), registry.build("target", "epsilon")
    draws = registry.build("weights", "band:first=600:last=799:rest=0.2").bind(noise, target, None)
    assert group_mass(draws.probabilities) == pytest.approx([0.025] * 6 + [0.4, 0.4] + [0.025] * 2)
    t, weight = draws.draw(torch.tensor([0.0, 0.2, 0.5, 0.99]), 0)  # cumulative: 0.15 before the band, 0.95 after it
    assert [int(x) * 5 // 1000 for x in t] == [0, 3, 3, 4]
    assert weight.tolist() == [1, 1, 1, 1]
    with pytest.raises(BenchError, match="first <= last"):
        registry.build("weights", "band:first=5:last=4")
    with pytest.raises(BenchError, match="the schedule ends at 999"):
        registry.build("weights", "band:last=1000").bind(noise, target, None)
