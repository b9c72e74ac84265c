"""Jobs on several processes at once: in which order, what a death costs, and that results stay what they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import bench
import pytest

from addp_bench.errors import BadOption, BenchError, StorageProblem
from addp_bench.jobs import Job, Made, Order, Outcome, Where, spread
from addp_bench.loading import load
from addp_bench.worker import MadeElsewhere, carry_out

WHERE = Where(Path("runs"), Path("home"), "cpu", 64)
GRID = {"weights": ["uniform", "perception_stats"], "aug": ["none", "linear"], "target": ["x0"]}

# A plugin that kills the process that trains augmented cells, as long as the folder holds a charge for it.
DEADLY = """
import os, signal
from pathlib import Path
from addp_bench.hookspecs import hookimpl

@hookimpl
def addp_bench_train_step(cell, step, loss):
    charges = sorted(Path({charges!r}).glob("*"))
    if cell.name("aug") == "linear" and charges:
        charges[0].unlink()
        os.kill(os.getpid(), signal.SIGKILL)
"""


class TwoPlaces:
    """Places that do nothing but keep the order of things; a job ends when it is asked for, the first first."""

    def __init__(self, failing: dict[str, Exception] | None = None) -> None:
        self.failing, self.said, self.busy = failing or {}, [], []

    def free(self) -> bool:
        return len(self.busy) < 2

    def begin(self, job: Job, order: Order) -> None:
        self.said.append(f"begin {job.name}")
        self.busy.append(job)

    def ended(self) -> list[Outcome]:
        job = self.busy.pop(0)
        self.said.append(f"end {job.name}")
        return [Outcome(job, self.failing.get(job.name), made=Made(True))]


def two_cells(said: list[str], refuse: str = "") -> list[Job]:
    """As a run makes them: both cells share `data`; b rests on a stage of its own."""

    def here(name: str) -> Job:
        needs = {"record a": ("open a", "data", "a"), "record b": ("open b", "data", "b")}.get(name, ())
        return Job(name, needs, lambda: said.append(f"here {name}"))

    def stage(name: str, *needs: str) -> Job:
        def order() -> Order:
            if name == refuse:
                raise BadOption("refused")
            return Order({}, name, WHERE)

        return Job(name, needs, lambda: said.append(f"never here {name}"), order)

    a = [here("open a"), stage("data"), stage("a", "data"), here("record a")]
    return [*a, here("open b"), stage("b", "data"), here("record b")]


def test_a_cell_opens_when_a_place_is_free_and_closes_as_soon_as_it_can():
    places = TwoPlaces()
    outcomes = list(spread(two_cells(places.said), places))
    assert places.said == [
        *("here open a", "begin data", "here open b", "end data"),
        *("begin a", "begin b", "end a", "here record a", "end b", "here record b"),
    ]
    assert all(outcome.error is None and outcome.begun for outcome in outcomes)
    assert len({outcome.job.name for outcome in outcomes}) == len(outcomes) == 7


def test_no_more_is_begun_than_there_are_places_and_closing_needs_none():
    many = [Job(str(n), (), lambda: None, lambda n=n: Order({}, str(n), WHERE)) for n in range(5)]
    places = TwoPlaces()
    most = 0
    for _ in spread([*many, Job("close", ("0",), lambda: places.said.append("here close"))], places):
        most = max(most, len(places.busy))
    assert most == 2
    assert places.said.index("here close") < places.said.index("end 1")


@pytest.mark.parametrize("refuse", ["", "a"])
def test_what_needs_a_failed_job_is_not_begun_and_the_rest_goes_on(refuse):
    wrong = BenchError("asked to")
    places = TwoPlaces({} if refuse else {"a": wrong})
    ended = {outcome.job.name: outcome for outcome in spread(two_cells(places.said, refuse), places)}
    assert len(ended) == 7
    assert str(ended["a"].error) == ("refused" if refuse else "asked to")
    assert (ended["record a"].begun, ended["record a"].error) == (False, ended["a"].error)
    assert ended["record b"].error is None
    assert "here record b" in places.said
    assert "here record a" not in places.said


def test_a_full_disk_ends_all():
    places = TwoPlaces({"data": StorageProblem("full")})
    with pytest.raises(StorageProblem):
        list(spread(two_cells(places.said), places))


def test_options_of_local_are_looked_at(dots):
    registry = load([dots]).registry
    for option in ("workers=0", "threads=-1", "again=-1", "devices=cuda:0+"):
        with pytest.raises(BadOption, match=f"executor local: {option.partition('=')[0]} "):
            registry.build("executor", f"local:{option}")


def run(model: Path, runs: Path, executor: str, plugins: list[Path] | None = None, axes=GRID):
    files = [bench.DOTS, *(plugins or [])]
    loaded, planned = bench.plans(bench.request(model, axes), runs, load(files))
    at = bench.Bench(loaded.registry, loaded.hooks, runs, progress=bench.Progress(quiet=True), plugins=files)
    return at, at.run(planned, loaded.registry.build("executor", executor))


def results(finished) -> dict[str, dict]:
    return {cell: dict(record.result) for cell, record in finished.records.items()}


class Follower:
    def __init__(self) -> None:
        self.heard = Counter()

    def addp_bench_train_step(self, cell, step, loss):
        self.heard[cell.name("weights"), cell.name("aug"), step] += 1


@pytest.mark.slow
def test_two_processes_make_the_records_that_one_makes(sd15, tmp_path, monkeypatch):
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home of one"))
    _, alone = run(sd15, tmp_path / "one", "local:threads=1")
    monkeypatch.setenv("ADDP_HOME", str(tmp_path / "home of two"))
    files = [bench.DOTS]
    loaded, planned = bench.plans(bench.request(sd15, GRID), tmp_path / "two", load(files))
    quiet = bench.Progress(quiet=True)
    at = bench.Bench(loaded.registry, loaded.hooks, tmp_path / "two", progress=quiet, plugins=files)
    at.followers.append(follower := Follower())
    both = at.run(planned, loaded.registry.build("executor", "local:workers=2:threads=1"))
    assert len(results(both)) == 4
    assert results(both) == results(alone)
    assert both.computed == alone.computed > 10
    for record in both.records.values():
        assert set(record.provenance["attempts"].values()) == {1}
        assert record.provenance["threads"] == 1
        assert record.provenance["peak_memory_mb"] > 100
    trained = [(*cell, 3) for cell in (("uniform", "none"), ("uniform", "linear"), ("perception_stats", "none"))]
    assert follower.heard == Counter([*trained, ("perception_stats", "linear", 3)])


@pytest.mark.slow
def test_a_process_that_dies_costs_an_attempt_and_one_that_always_dies_fails_its_cells_alone(sd15, tmp_path):
    charges = tmp_path / "charges"
    charges.mkdir()
    deadly = tmp_path / "deadly.py"
    deadly.write_text(DEADLY.format(charges=str(charges)))
    axes = {"weights": ["uniform"], "aug": ["none", "linear"], "target": ["x0"]}
    (charges / "only").touch()
    _, finished = run(sd15, tmp_path / "runs", "local:workers=2:threads=1", [deadly], axes)
    assert finished.failures == {}
    attempts = {r.result["choices"]["aug"]["name"]: r.provenance["attempts"] for r in finished.records.values()}
    trains = {aug: next(n for name, n in of.items() if name.startswith("train")) for aug, of in attempts.items()}
    assert trains == {"none": 1, "linear": 2}
    assert not list(charges.iterdir())
    for name in ("first", "second", "third"):
        (charges / name).touch()
    _, finished = run(sd15, tmp_path / "again", "local:workers=2:threads=1:again=1", [deadly], axes)
    ((cell, error),) = finished.failures.items()
    assert "died 2 times, by a signal or for want of memory" in str(error)
    assert len(list(charges.iterdir())) == 1
    (record,) = finished.records.values()
    assert record.result["choices"]["aug"]["name"] == "none"
    assert record.id != cell


def test_an_order_that_leads_elsewhere_is_refused(sd15, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("ADDP_HOME", str(home))
    _, (plan,) = bench.plans(bench.request(sd15, {"weights": ["uniform"]}), tmp_path / "runs")
    where = Where(tmp_path / "runs", home, "cpu", 64, (str(bench.DOTS),))
    order = Order(plan.cell.plain(), plan.stages()[0].name, where)
    with pytest.raises(MadeElsewhere, match=r"train/0000000000000000 of cell .* was asked for, and process"):
        carry_out(replace(order, stage="train/0000000000000000"))
    assert carry_out(order).computed
    assert not carry_out(order).computed


@pytest.mark.slow
def test_processes_end_with_the_one_that_gives_orders(sd15, tmp_path):
    arguments = [
        *("run", "--task", "ris", "--dataset", "dots", "--model", f"instruct_pix2pix:path={sd15}"),
        *("--train-steps", "100000", "--batch-size", "4", "--limit", "4", "--steps", "5"),
        *("--plugin", str(bench.DOTS), "--runs", str(tmp_path / "runs"), "--executor", "local:workers=2:threads=1"),
    ]
    environment = {**os.environ, "ADDP_HOME": str(tmp_path / "home")}
    driver = subprocess.Popen([sys.executable, "-m", "addp_bench", *arguments], env=environment)
    begun = tmp_path / "runs" / "work"
    until(lambda: list(begun.glob("train-*/attempts.json")))
    children = children_of(driver.pid)
    assert children
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(true, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.1)
