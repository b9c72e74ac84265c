"""gate and gate update as commands: what they read, write, say and refuse, and how they leave."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np
import pytest
import yaml
from results import record

from addp_bench.cli import commands
from addp_bench.exports.bundles import packed
from addp_bench.gates.gate import Gate, Verdict
from addp_bench.gates.reports import LONGEST, MARKER, report
from addp_bench.metrics import MeanOf
from addp_bench.records import load_all

BASE = np.random.default_rng(0).uniform(0.1, 0.7, 120)
NOISE = np.random.default_rng(1).normal(0, 0.02, 120)


@pytest.fixture
def runs(tmp_path):
    """Two rows of one seed."""
    for weights in ("uniform", "p2"):
        record(tmp_path / "runs", BASE, weights=weights)
    return tmp_path / "runs"


@pytest.fixture
def worse(tmp_path):
    """The same rows, of which p2 lost ten points."""
    record(tmp_path / "worse", BASE + NOISE - NOISE.mean(), weights="uniform")
    record(tmp_path / "worse", BASE + NOISE - 0.1, weights="p2")
    return tmp_path / "worse"


@pytest.fixture
def file(shell, runs, tmp_path):
    """A baseline of `runs` with a tolerance."""
    code, _, said = shell("gate", "update", "--baseline", tmp_path / "b.zip", "--runs", runs, "--tolerance", "oiou=1")
    assert code == 0, said
    return tmp_path / "b.zip"


# ------------------------------------------------------------------------------------------------- exit codes


def test_a_gate_leaves_with_1_where_a_row_regressed_and_with_0_where_none_did(shell, file, runs, worse):
    code, out, err = shell("gate", "--baseline", file, "--runs", runs)
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("gate passed: 2 passed")
    code, out, _ = shell("gate", "--baseline", file, "--runs", worse)
    assert code == 1
    assert out.rstrip().endswith("gate failed: 1 regressed, 1 passed")
    first = next(line for line in out.splitlines() if "oIoU" in line)
    assert first.startswith("regressed")
    assert "p2" in first


def test_what_is_inconclusive_fails_only_when_that_is_asked_for(shell, file, worse):
    asked = ("gate", "--baseline", file, "--runs", worse, "--where", "weights=uniform", "--tolerance", "oiou=0.1")
    code, out, _ = shell(*asked)
    assert (code, "gate passed: 1 inconclusive" in out) == (0, True)
    code, out, _ = shell(*asked, "--strict")
    assert code == 1
    assert "gate failed: 1 inconclusive, and what is inconclusive fails" in out


def test_a_missing_row_fails_and_conditions_leave_rows_out_on_both_sides(shell, file, tmp_path):
    record(tmp_path / "half", BASE, weights="uniform")
    code, out, _ = shell("gate", "--baseline", file, "--runs", tmp_path / "half")
    assert (code, "1 missing, 1 passed" in out) == (1, True)
    assert shell("gate", "--baseline", file, "--runs", tmp_path / "half", "--where", "weights=uniform")[0] == 0
    code, out, _ = shell("gate", "--baseline", file, "--runs", tmp_path / "half", "--where", "weights=p2")
    assert (code, "gate failed: 1 missing" in out) == (1, True)


def test_a_record_that_cannot_be_read_is_missing_and_named(shell, file, runs):
    (first, *_) = sorted((runs / "records").iterdir())
    (first / "record.json").write_text("{")
    code, out, err = shell("gate", "--baseline", file, "--runs", runs)
    assert (code, "1 missing" in out, first.name in err) == (1, True, True)


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        ([], 2, "gate needs --baseline FILE"),
        (["--baseline", "nowhere.zip"], 2, "nowhere.zip: cannot be read (No such file or directory)"),
        (["--baseline", "FILE", "--tolerance", "oiou"], 2, "expected METRIC=NUMBER"),
        (["--baseline", "FILE", "--tolerance", "oiou=-1"], 2, "a number from 0 on"),
        (["--baseline", "FILE", "--tolerance", "oiuo=1"], 2, "Did you mean 'oiou'"),
        (["--baseline", "FILE", "--format", "junt"], 2, "Did you mean 'junit'"),
        (["--baseline", "FILE", "--where", "weights=ant"], 4, "weights=ant"),
        (["--baseline", "FILE", "--runs", "nowhere"], 4, "there is no record here yet"),
        (["--baseline", "FILE", "--summary"], 2, "GITHUB_STEP_SUMMARY is not set here"),
        (["--strict", "update"], 2, "options of update stand after its name"),
        (["update", "--baseline", "FILE", "--runs", "nowhere"], 4, "there is no record here yet"),
        (["update", "--baseline", "other.zip", "--tolerance", "oiuo=1"], 2, "Did you mean 'oiou'"),
        (["update", "--baseline", "baseline.md"], 2, "expected a name that ends in .zip"),
        (["--baseline", "FILE", "--out", "/proc/nowhere/gate.xml"], 2, "/proc/nowhere/gate.xml cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_and_is_no_failed_gate(shell, file, runs, arguments, code, said, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    given = [str(file) if a == "FILE" else a for a in arguments]
    where = [] if "--runs" in arguments or "--strict" in arguments else ["--runs", runs]
    met, out, err = shell("gate", *given, *where)
    assert (met, out) == (code, "")
    assert said in err


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is no bundle, or was cut off"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of git LFS"),
        (None, "SHA-256"),
    ],
)
def test_a_damaged_baseline_is_neither_a_failed_gate_nor_a_usage_mistake(shell, file, runs, content, said):
    if content is None:
        out = io.BytesIO()
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
            for name in old.namelist():
                new.writestr(name, old.read(name) + b" " * name.endswith("record.json"))
        content = out.getvalue()
    file.write_bytes(content)
    code, out, err = shell("gate", "--baseline", file, "--runs", runs)
    assert (code, out) == (3, "")
    assert said in err
    assert str(file) in err


# --------------------------------------------------------------------------------------------------- baselines


def test_a_runs_folder_and_a_record_are_baselines_too(shell, runs, worse):
    assert shell("gate", "--baseline", runs, "--runs", worse)[0] == 1
    first = load_all(runs).records[0]
    for place in (first.folder, first.folder / "record.json"):
        code, out, _ = shell("gate", "--baseline", place, "--runs", runs)
        assert (code, "gate passed: 1 new, 1 passed" in out) == (0, True)
    (first.folder / "record.json").write_text("{")
    code, _, err = shell("gate", "--baseline", runs, "--runs", worse)
    assert (code, first.id in err) == (2, True)


@pytest.fixture
def repository(tmp_path, file, runs, monkeypatch):
    """A repository whose first commit holds the baseline and the runs folder, and whose second removes both."""
    home = tmp_path / "repository"
    home.mkdir()
    monkeypatch.chdir(home)

    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True
        )

    git("init", "-b", "main")
    (home / "ci").mkdir()
    (home / "ci" / "baseline.zip").write_bytes(file.read_bytes())
    (home / "baseline.zip").write_bytes(file.read_bytes())
    subprocess.run(["cp", "-r", runs, home / "kept"], check=True)
    (home / "kept" / "notes.txt").write_text("x")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "v1")
    git("rm", "-rq", "--cached", ".")
    git("commit", "--allow-empty", "-m", "second")
    return home


@pytest.mark.parametrize("place", ["git:v1", "git:v1:ci/baseline.zip", "git:main~1:kept", "git:v1:kept/"])
def test_a_baseline_may_stand_in_a_revision_of_git(shell, repository, runs, worse, place):
    assert shell("gate", "--baseline", place, "--runs", runs)[0] == 0
    code, out, _ = shell("gate", "--baseline", place, "--runs", worse)
    assert (code, "1 regressed" in out) == (1, True)


def test_a_path_may_count_from_here(shell, repository, runs, monkeypatch):
    monkeypatch.chdir(repository / "ci")
    assert shell("gate", "--baseline", "git:v1:./baseline.zip", "--runs", runs)[0] == 0


@pytest.mark.parametrize(
    "place, said",
    [
        ("git:nowhere", "there is no revision 'nowhere' here"),
        ("git:--help", "names no revision"),
        ("git:", "names no revision"),
        ("git:main", "main has no baseline.zip"),
        ("git:v1:ci/other.zip", "v1 has no ci/other.zip"),
    ],
)
def test_what_git_does_not_have_is_said(shell, repository, runs, place, said):
    code, out, err = shell("gate", "--baseline", place, "--runs", runs)
    assert (code, out) == (2, "")
    assert said in err


def test_outside_of_a_repository_and_without_git_that_is_said(shell, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    code, _, err = shell("gate", "--baseline", "git:main", "--runs", runs)
    assert (code, "lies in no repository of git" in err) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = shell("gate", "--baseline", "git:main", "--runs", runs)
    assert (code, "there is no program git here" in err) == (2, True)


def test_update_keeps_tolerances_and_says_in_words_what_it_wrote(shell, file, runs, worse):
    beside = file.with_suffix(".md").read_text()
    assert "Tolerances: oiou 1; other headlines 0." in beside
    assert all(f"| {one.id} |" in beside for one in load_all(runs).records)
    before = file.read_bytes()
    assert before == packed(load_all(runs).records, {"oiou": 1.0})
    code, out, err = shell("gate", "update", "--baseline", file, "--runs", worse, "--tolerance", "miou=2")
    assert (code, err) == (0, "")
    assert "2 rows, 2 records (it held 2 rows)" in out
    assert "2 rows have fewer than 3 seeds" in out
    assert "Tolerances: miou 2, oiou 1; other headlines 0." in file.with_suffix(".md").read_text()
    assert shell("gate", "--baseline", file, "--runs", worse)[0] == 0
    told = json.loads(shell("gate", "update", "--baseline", file, "--runs", runs, "--json")[1])
    assert told == {"baseline": str(file), "rows": 2, "records": 2, "tolerances": {"oiou": 1.0, "miou": 2.0}}


def test_tolerances_of_rows_that_are_left_out_do_no_harm(shell, tmp_path):
    """Two tasks with metrics of their own, gated together and apart; what is gone takes its tolerance along."""
    error = (MeanOf(id="rmse", label="RMSE", unit="m", higher_is_better=False, column="iou"),)
    runs, file = tmp_path / "runs", tmp_path / "deep" / "b.zip"
    record(runs, BASE, weights="uniform")
    depth = record(runs, BASE, result_task="depth", metrics=error)
    both = ("--tolerance", "rmse=0.02", "--tolerance", "oiou=1")
    assert shell("gate", "update", "--baseline", file, "--runs", runs, *both)[0] == 0
    for where in ((), ("--where", "task=ris"), ("--where", "task=depth")):
        assert shell("gate", "--baseline", file, "--runs", runs, *where)[0] == 0
    shutil.rmtree(depth.folder)
    code, _, err = shell("gate", "update", "--baseline", file, "--runs", runs)
    assert (code, err) == (0, "no record has rmse any more; the tolerance is dropped\n")
    assert "Tolerances: oiou 1;" in file.with_suffix(".md").read_text()


def test_the_workflow_of_the_documentation_is_one_and_its_commands_parse():
    page = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()
    blocks = re.findall(r"^```yml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    workflow = yaml.safe_load(blocks[0])
    steps = [*workflow["jobs"]["gate"]["steps"], *yaml.safe_load(blocks[1])]
    words = [shlex.split(step["run"].removesuffix(" || true")) for step in steps if "run" in step]
    ours = [line[1:] for line in words if line[0] == "addp-bench"]
    assert [line[0] for line in ours] == ["run", "gate", "gate", "gate"]
    for line in ours:
        group = click.Context(commands, info_name="addp-bench")
        name, command, rest = commands.resolve_command(group, line)
        command.make_context(name, rest, parent=group)  # or raises click.UsageError


# ----------------------------------------------------------------------------------------------------- reports


def test_a_report_goes_into_a_file_and_onto_the_page_of_a_run(shell, file, worse, tmp_path, monkeypatch):
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    out = tmp_path / "gate.xml"
    code, said, _ = shell("gate", "--baseline", file, "--runs", worse, "--format", "junit", "--out", out, "--summary")
    assert (code, "gate failed" in said) == (1, True)
    assert ElementTree.parse(out).getroot().tag == "testsuites"
    assert page.read_text().startswith(f"before\n{MARKER}\n### gate failed: 1 regressed, 1 passed")


def test_json_is_the_whole_answer(shell, file, worse):
    code, out, err = shell("gate", "--baseline", file, "--runs", worse, "--json")
    told = json.loads(out)
    assert (code, err, told["failed"], told["counts"]["regressed"]) == (1, "", True, 1)
    (regressed,) = [v for v in told["verdicts"] if v["fails"]]
    assert regressed["difference"] == pytest.approx(-0.1 + NOISE.mean())
    assert regressed["low"] < regressed["difference"] < regressed["high"] < -0.01


EVIL = "a|b<script>alert(1)</script>`x`\x1b[31m @everyone [l](javascript:x) & *_#~"


def gate_of(*words: str, strict: bool = False, row: str = EVIL) -> Gate:
    numbers = {"label": "oIoU", "unit": "points", "baseline": 0.5, "value": 0.4, "difference": -0.1, "low": -0.2}
    made = [
        Verdict(
            f"{row} {k}", "oiou", word, "why]]>&", **numbers, high=-0.05, tolerance=0.01, about="checkpoint", seeds=1
        )
        for k, word in enumerate(words)
    ]
    return Gate(made, ["a note"], strict)


WORDS = ("passed", "improved", "inconclusive", "regressed", "new failure", "missing", "incomparable", "new")


@pytest.mark.parametrize("strict", [False, True])
def test_junit_counts_what_it_holds_and_skips_what_is_undecided(strict):
    """The rules that readers of JUnit share: counts equal to the elements, one outcome a case, XML characters."""
    root = ElementTree.fromstring(report(gate_of(*WORDS, strict=strict), "junit"))
    assert root.tag == "testsuites"
    (suite,) = root
    cases = suite.findall("testcase")
    failures = {c.find("failure").get("type") for c in cases if c.find("failure") is not None}
    skipped = [c for c in cases if c.find("skipped") is not None]
    assert failures == {"regressed", "new failure", "missing", "incomparable"} | ({"inconclusive"} if strict else set())
    assert [c.find("skipped").get("message").partition(":")[0] for c in skipped] == (
        ["new"] if strict else ["inconclusive", "new"]
    )
    for element in (root, suite):
        assert element.get("tests") == str(len(cases)) == "8"
        assert element.get("failures") == str(len(failures))
        assert element.get("skipped") == str(len(skipped))
        assert element.get("errors") == "0"
    assert all(c.get("classname") and c.get("name") == "oiou" for c in cases)
    assert len({(c.get("classname"), c.get("name")) for c in cases}) == 8
    assert {child.tag for c in cases for child in c} <= {"failure", "skipped", "system-out"}
    assert "\x1b" not in report(gate_of(*WORDS), "junit")


def test_text_from_data_stays_text_in_markdown():
    text = report(gate_of(*WORDS), "markdown")
    assert text.startswith(f"{MARKER}\n### gate failed: ")
    assert "<script" not in text
    assert "\x1b" not in text
    assert "@everyone" not in text
    assert "[l](" not in text.replace("\\[l\\](", "")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert text.index("**passed**") > text.index("<details>") > text.index("**regressed**")


def test_a_comment_stays_within_what_github_takes():
    many = report(gate_of(*["passed"] * 2000, row="x" * 60), "markdown")
    assert len(many) < 65_536
    assert "More than a comment holds" in many
    loud = report(gate_of(*["regressed"] * 2000, row="x" * 60), "markdown")
    assert LONGEST / 2 < len(loud) < 65_536
    assert "gate failed: 2000 regressed" in loud


def test_the_text_says_units_directions_and_seeds():
    lines = report(gate_of("regressed", row="row"), "text").splitlines()
    (line,) = [one for one in lines if one.startswith("regressed")]
    assert "-10.0 [-20.0, -5.0]" in line
    assert "oIoU ↑" in line
    assert line.rstrip().endswith("1*")
    assert "  regressed: row 0, oIoU: why]]>&" in lines


def test_gate_starts_quickly_and_without_torch(file, runs):
    code = (
        "import sys, addp_bench.cli as c\n"
        "try:\n c.main(sys.argv[1:])\n"
        "except SystemExit as left:\n print(left.code, [m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "gate", "--baseline", str(file), "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stdout.rstrip().endswith("0 []")
