"""Runs shown in an experiment tracker: what is told, read back by the packages, and that nothing there fails a run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import bench
import pytest

from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.tracking import Tracking


def followed(model, runs, trackers):
    """A run of the main job's shape, followed by these; its finished record and what was said."""
    said: list[str] = []
    loaded = load([bench.DOTS])
    following = [Tracking(name, tracker, said.append) for name, tracker in trackers.items()]
    for one in following:
        loaded.hooks.register(one)
    asked = bench.request(model, {"weights": ["perception_stats"]})
    _, (plan,), finished = bench.run(asked, runs, loaded)
    for one in following:
        one.close()
    assert not finished.failures
    return finished.records[plan.id], said


class Notes:
    """A tracker that keeps what it was told."""

    def __init__(self):
        self.told = []

    def begin(self, run, config):
        self.told.append(("begin", run, config))

    def log(self, run, step, values):
        self.told.append(("log", run, step, values))

    def end(self, run, values):
        self.told.append(("end", run, values))


class Fails(Notes):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def begin(self, run, config):
        self._maybe("begin")

    def log(self, run, step, values):
        self._maybe("log")

    def end(self, run, values):
        self._maybe("end")

    def _maybe(self, name):
        self.told.append(name)
        if name == self.at:
            raise ConnectionError("the network is down")


@pytest.fixture(scope="module")
def notes(sd15, tmp_path_factory):
    kept = Notes()
    record, said = followed(sd15, tmp_path_factory.mktemp("runs"), {"notes": kept})
    assert said == []
    return record, kept.told


def test_a_cell_and_the_source_of_its_statistics_are_two_runs_each_begun_and_ended_once(notes):
    record, told = notes
    begun, ended = ([t[1] for t in told if t[0] == what] for what in ("begin", "end"))
    assert len(begun) == len(set(begun)) == 2
    assert sorted(begun) == sorted(ended)
    cell, source = begun
    assert "perception_stats" in cell
    assert "uniform" in source
    configs = {t[1]: t[2] for t in told if t[0] == "begin"}
    assert configs[cell] == json.loads(json.dumps(record.provenance["cell"])) == record.provenance["cell"]


def test_losses_come_at_their_steps_and_results_at_the_end(notes):
    record, told = notes
    assert {t[1] for t in told if t[0] == "log"} == {t[1] for t in told if t[0] == "begin"}
    assert all(t[2] >= 1 and t[3]["train/loss"] > 0 for t in told if t[0] == "log")
    (values,) = (t[2] for t in told if t[0] == "end" and t[2])
    assert values["eval/oiou"] == record.value("oiou")
    assert values["curve/oiou/t0999"] == record.result["curve"]["metrics"]["oiou"][0]
    assert values["coverage"] == 1.0
    assert values["seconds"] > 0


@pytest.mark.parametrize("at", ["begin", "log", "end"])
def test_a_tracker_that_fails_is_left_out_and_says_so_once(sd15, tmp_path, at):
    broken, kept = Fails(at), Notes()
    record, said = followed(sd15, tmp_path, {"broken": broken, "notes": kept})
    assert said == [
        "tracker broken is left out from here on, and the run goes on without it: ConnectionError: the network is down"
    ]
    assert broken.told.count(at) == 1
    assert broken.told[-1] == at, "it was asked nothing afterwards"
    assert any(t[0] == "end" and t[2] for t in kept.told), "the other one heard the result"
    assert record.result["samples"]["scored"] == 6


def test_tensorboard_reads_back_what_was_written(sd15, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = load().registry.build("tracker", f"tensorboard:dir={tmp_path / 'board'}")
    record, said = followed(sd15, tmp_path / "runs", {"tensorboard": tracker})
    assert said == []
    read = {}
    for folder in (tmp_path / "board").iterdir():
        read[folder.name] = EventAccumulator(str(folder))
        read[folder.name].Reload()
    assert len(read) == 2
    (cell,) = (events for events in read.values() if "eval/oiou" in events.Tags()["scalars"])
    (value,) = cell.Scalars("eval/oiou")
    assert value.value == pytest.approx(record.value("oiou"), rel=1e-6)
    assert all("train/loss" in events.Tags()["scalars"] for events in read.values())


OFFLINE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_tracking import followed
from addp_bench.loading import load
tracker = load().registry.build("tracker", {choice!r})
record, said = followed(Path({model!r}), Path({runs!r}), {{"it": tracker}})
assert said == [], said
print(record.value("oiou"))
"""


def elsewhere(choice, model, folder, **variables):
    """The same in a process of its own, because these packages leave servers and threads behind; its oIoU."""
    code = OFFLINE.format(tests=str(Path(__file__).parent), choice=choice, model=str(model), runs=str(folder / "runs"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)  # and nothing else: stdout is for the answer


@pytest.mark.slow
def test_wandb_keeps_runs_offline(sd15, tmp_path):
    pytest.importorskip("wandb")
    oiou = elsewhere(f"wandb:mode=offline:dir={tmp_path}", sd15, tmp_path, WANDB_SILENT="true")
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    summaries = [json.loads(f.read_text()) for run in runs for f in run.rglob("wandb-summary.json")]
    if summaries:  # written by some versions; the transaction log holds it in all
        assert any(s.get("eval/oiou") == pytest.approx(oiou) for s in summaries)
    assert all(any(run.glob("run-*.wandb")) for run in runs)


@pytest.mark.slow
def test_trackio_keeps_runs_in_its_database(sd15, tmp_path):
    pytest.importorskip("trackio")
    oiou = elsewhere("trackio:project=dots", sd15, tmp_path, TRACKIO_DIR=str(tmp_path / "trackio"))
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as base:
        logged = [json.loads(row[0]) for row in base.execute("select metrics from metrics")]
    assert any(m.get("eval/oiou") == pytest.approx(oiou) for m in logged)
    assert any("train/loss" in m for m in logged)


def test_a_package_that_is_missing_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadOption, match="the package wandb is not installed; pip install wandb"):
        load().registry.build("tracker", "wandb")


def test_the_command_line_refuses_a_tracker_that_does_not_exist_before_anything_is_done(shell, tmp_path, sd15):
    given = ["run", "--plugin", bench.DOTS, "--dataset", "dots", "--model", "truth", "--runs", tmp_path]
    code, _, err = shell(*given, "--track", "tensorbord")
    assert code == 2
    assert "tensorboard" in err
    assert not (tmp_path / "records").exists()
    board = tmp_path / "board"
    code, _, err = shell(*given, "--track", f"tensorboard:dir={board}")
    assert code == 0, err
    assert len(list(board.iterdir())) == 1
