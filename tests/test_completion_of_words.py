"""Shell completion: what is suggested, that nothing heavy is imported for it, and that real shells do as told."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time

import pytest

from addp_bench import catalogue
from addp_bench.cli import COMPLETING, commands
from addp_bench.cli.completing import _Bash, _Zsh

HEAVY = ("torch", "diffusers", "transformers", "timm", "matplotlib", "cv2", "mmengine", "pydantic", "numpy", "scipy")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """ADDP_HOME with a catalogue of what is built in, for every test of this file."""
    folder = tmp_path_factory.mktemp("completion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADDP_HOME", str(folder))
        catalogue.read(lambda words: None)
        yield folder


@pytest.fixture
def suggested(home, monkeypatch):
    """The words that a shell is told for a line up to the cursor."""
    monkeypatch.setenv(COMPLETING, "zsh")
    from addp_bench.cli import suggesting

    suggesting._plugins.cache_clear()

    def told(line: str, shell=_Zsh) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        answer = shell(commands, {}, "addp-bench", COMPLETING).complete()
        return [each.split("\t")[1] for each in answer.split("\n") if each]

    return told


LINES = {
    "addp-bench lea": ["leaderboard"],
    "addp-bench run --wei": ["--weights"],
    "addp-bench run --weights per": ["perception_stats", "perception_stats_c2"],
    "addp-bench run --weights=per": ["--weights=perception_stats", "--weights=perception_stats_c2"],
    "addp-bench run --weights uniform --weights unif": ["uniform"],
    "addp-bench run --weights perception_stats:gro": ["perception_stats:groups="],
    "addp-bench run --weights perception_stats:groups=5:gro": [],
    "addp-bench run --weights perception_stats:groups=5:sa": ["perception_stats:groups=5:samples="],
    "addp-bench run --weights uniform:scaling=": ["uniform:scaling=prob", "uniform:scaling=loss"],
    "addp-bench run --weights uniform:scaling=l": ["uniform:scaling=loss"],
    "addp-bench run --weights nobody:": [],
    "addp-bench run --corruption color+loc": ["color+location"],
    "addp-bench run --train depth=0.5+sem": ["depth=0.5+semantic"],
    "addp-bench run --budget s": ["standard"],
    "addp-bench run --precision b": ["bf16"],
    "addp-bench run --executor lo": ["local"],
    "addp-bench run --track tens": ["tensorboard"],
    "addp-bench run --protocol mari": ["marigold"],
    "addp-bench list wei": ["weights"],
    "addp-bench list prot": ["protocol"],
    "addp-bench show weights min": ["min_snr"],
    "addp-bench show weights min_snr:ga": ["min_snr:gamma="],
    "addp-bench show protocol mari": ["marigold"],
    "addp-bench check dat": ["data"],
    "addp-bench check data table": ["tabletop"],
    "addp-bench check plugin weig": ["weights="],
    "addp-bench check plugin weights=min": ["weights=min_snr"],
    "addp-bench leaderboard --where weights=uniform,min": ["weights=uniform,min_snr"],
    "addp-bench data adopt eth": ["eth3d"],
    "addp-bench list --no-plugin addp_wei": ["addp_weights"],
    "addp-bench completion z": ["zsh"],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_completed(suggested, line):
    assert suggested(line) == LINES[line]


def test_every_kind_that_is_a_flag_names_its_plugins(suggested, home):
    kept = catalogue.kept()
    run = commands.get_command(None, "run")
    kinds = {p.kind for p in kept.plugins} & {p.name for p in run.params}
    assert len(kinds) > 10
    for kind in kinds:
        names = {name for p in kept.of(kind) for name in (p.name, *p.aliases)}
        assert set(suggested(f"addp-bench run --{kind} ")) == names


def test_cells_are_named_from_the_runs_folder(suggested, tmp_path, monkeypatch):
    for name, age in (("1a2b3c", 100), ("1a9999", 50), ("77aaaa", 1)):
        (tmp_path / "other" / "records" / name).mkdir(parents=True)
        os.utime(tmp_path / "other" / "records" / name, (time.time() - age, time.time() - age))
    monkeypatch.chdir(tmp_path)
    assert suggested("addp-bench view ") == []
    assert suggested("addp-bench view --runs other 1a") == ["1a9999", "1a2b3c"]
    assert suggested("addp-bench predict --runs other --cell 7") == ["77aaaa"]
    assert suggested("addp-bench compare --runs other 77aaaa 1a9") == ["1a9999"]
    monkeypatch.setenv("ADDP_BENCH_RUNS", "other")
    assert suggested("addp-bench why 77") == ["77aaaa"]


def test_a_path_behind_a_colon_is_completed(suggested, tmp_path, monkeypatch):
    (tmp_path / "data sets" / "refcoco").mkdir(parents=True)
    (tmp_path / "data.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    line = "addp-bench run --dataset refcoco:path="
    assert suggested(f"{line}da") == ["refcoco:path=data sets/", "refcoco:path=data.txt"]
    assert suggested(f"{line}{tmp_path}/data\\ sets/re") == [f"refcoco:path={tmp_path}/data sets/refcoco/"]


def test_bash_is_told_what_follows_the_last_of_its_breaks(suggested, monkeypatch):
    monkeypatch.setenv("COMP_WORDBREAKS", " :=")
    assert suggested("addp-bench run --weights=per", _Bash)[0] == "perception_stats"
    assert suggested("addp-bench run --weights perception_stats:gro", _Bash) == ["groups="]
    assert suggested("addp-bench run --weights uniform:scaling=l", _Bash) == ["loss"]
    assert suggested('addp-bench run --weights "uniform:scaling=l', _Bash) == ["uniform:scaling=loss"]
    monkeypatch.setenv("COMP_WORDBREAKS", " =")  # as who took the colon out
    assert suggested("addp-bench run --weights perception_stats:gro", _Bash) == ["perception_stats:groups="]
    monkeypatch.setenv("COMP_WORDBREAKS", " ")
    assert suggested("addp-bench run --weights=per", _Bash)[0] == "--weights=perception_stats"


def test_without_a_catalogue_nothing_is_loaded_for_it(suggested, tmp_path, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path))
    monkeypatch.setattr("addp_bench.loading.load", None)
    assert suggested("addp-bench run --weights per") == []
    assert suggested("addp-bench lis") == ["list"]
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_that_is_out_of_date_serves(suggested, home, monkeypatch):
    monkeypatch.setattr(catalogue, "current_key", lambda: "another")
    monkeypatch.setattr("addp_bench.loading.load", None)
    assert suggested("addp-bench list wei") == ["weights"]
    assert suggested("addp-bench show weights min") == ["min_snr"]


@pytest.mark.parametrize("shell, start", [("bash", "# bash"), ("zsh", "#compdef addp-bench"), ("fish", "# fish")])
def test_the_script_of_a_shell_is_printed(shell, start):
    done = subprocess.run(
        [sys.executable, "-m", "addp_bench", "completion", shell], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(start)
    assert f"addp-bench completion {shell} > " in done.stdout
    assert f"{COMPLETING}={shell}" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_nothing_heavy_is_imported(home):
    watched = (
        "import sys; from addp_bench.cli import main\n"
        "try: main([])\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        f"print(sorted(m for m in sys.modules if m.split('.')[0] in {HEAVY} or m.startswith('addp_bench.plugins.')),"
        " file=sys.stderr)"
    )
    for line in ("addp-bench run --weights per", "addp-bench ", "addp-bench view ", "addp-bench list --no-plugin "):
        environment = {**os.environ, "ADDP_HOME": str(home), COMPLETING: "bash", "COMP_LINE": line}
        done = subprocess.run(
            [sys.executable, "-c", watched], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == "[]\n"
        assert done.stdout.count("\n") > 1 or "view" in line


# ------------------------------------------------------------------------------------------ in real shells

STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source {script}"),
    "zsh, autoloaded": (["zsh", "-f", "-i"], "fpath+={folder}; autoload -Uz compinit; compinit -u -D"),
    "fish": (["fish", "--no-config", "-i"], "source {script}"),
}
TYPED = {
    "run --weights perception_stats:gro": "<run> <--weights> <perception_stats:groups=>",
    "run --weights=last_": "<run> <--weights=last_group>",
    "run --weights uniform:scaling=l": "<run> <--weights> <uniform:scaling=loss>",
    "run --weights last_": "<run> <--weights> <last_group>",
    "show weights min_snr:ga": "<show> <weights> <min_snr:gamma=>",
    "run --corruption color+loc": "<run> <--corruption> <color+location>",
    "leaderb": "<leaderboard>",
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", STARTS)
def test_a_real_shell_completes_what_is_typed(shell, home, tmp_path):
    start, source = STARTS[shell]
    if not shutil.which(start[0]):
        pytest.skip(f"there is no {start[0]} here")
    program = tmp_path / "bin" / "addp-bench"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ -n "${COMPLETING}" ] && exec {sys.executable} -m addp_bench\n'
        "printf 'GOT'; printf ' <%s>' \"$@\"; printf ' END\\n'\n"
    )
    program.chmod(0o755)
    script = tmp_path / "_addp-bench"  # the name that zsh looks for
    command = [sys.executable, "-m", "addp_bench", "completion", start[0]]
    script.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "ADDP_HOME": str(home),
        "HOME": str(tmp_path),
        "TERM": "xterm",
    }
    with Terminal(start, environment) as terminal:
        terminal.send(f"{source.format(script=script, folder=tmp_path)}\r")
        terminal.send("addp-bench ready\r")
        terminal.until("<ready> END")
        for typed, expected in TYPED.items():
            terminal.send(f"addp-bench {typed}\t")
            time.sleep(0.2)  # fish takes what is typed during a completion for something else
            terminal.send("\r")
            assert terminal.got() == expected, typed
        terminal.send('addp-bench run --weights "uniform:scaling=l\t')
        time.sleep(0.2)
        terminal.send("\r")
        assert terminal.got() == "<run> <--weights> <uniform:scaling=loss>"
        # a space follows what is whole, and nothing what is not
        for typed, expected in (("list weig\tx", "<list> <weights> <x>"), ("show weights min_snr:ga\t5", "")):
            terminal.send(f"addp-bench {typed}")
            time.sleep(1.0)
            terminal.send("\r")
            assert terminal.got() == (expected or "<show> <weights> <min_snr:gamma=5>")


class Terminal:
    """A program that believes it has a terminal."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # fish will have it as its own
        )
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, words: str, seconds: float = 60) -> str:
        """What is shown up to these words, which are taken off what was seen."""
        end = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < end, f"no {words!r} in {self.seen!r}"
            if select.select([self.master], [], [], 0.5)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(words)
        return before

    def got(self) -> str:
        """The arguments that the program got at last."""
        return self.until(" END").rpartition("GOT ")[2].replace("\r", "").replace("\n", "")
