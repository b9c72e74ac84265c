"""Stages on a Ray cluster and in Slurm's queue: the records are those that this process makes.

Both are the real thing on this machine: a Ray cluster of two nodes, and Slurm where its daemons run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import bench
import pytest
from test_executors import DEADLY, results, run

from addp_bench.errors import BadOption
from addp_bench.loading import load

AXES = {"weights": ["uniform"], "aug": ["none", "linear"], "target": ["x0"]}

needs_slurm = pytest.mark.skipif(
    not (shutil.which("squeue") and subprocess.run(["squeue"], capture_output=True, check=False).returncode == 0),
    reason="no Slurm answers on this machine",
)


@pytest.fixture(scope="module")
def ray():
    return pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """Caches of each run are its own, so that none finds what another made."""

    def own(name: str):
        monkeypatch.setenv("ADDP_HOME", str(tmp_path / f"home of {name}"))
        return tmp_path / name

    return own


def test_options_are_looked_at(dots):
    registry = load([dots]).registry
    for option in ("ray:cpus=0", "ray:gpus=-1", "ray:again=-1", "slurm:minutes=0", "slurm:at_once=0", "slurm:poll=0"):
        with pytest.raises(BadOption, match=f"executor {option.partition(':')[0]}: .* is .*, got"):
            registry.build("executor", option)


@pytest.mark.parametrize("name, module", [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_named_with_what_installs_it(dots, monkeypatch, name, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    from addp_bench.jobs import Job, Order
    from addp_bench.worker import Where

    order = Order({}, "train/0", Where("runs", "home", "cpu", 64))
    job = Job("train/0", (), lambda: None, lambda: order)
    with pytest.raises(BadOption, match=rf"pip install addp-bench\[{name}\]"):
        list(load([dots]).registry.build("executor", name).run([job]))


def test_a_slurm_that_gives_no_answer_now_is_asked_again_and_no_job_is_given_up(tmp_path, monkeypatch):
    from addp_bench.plugins.executor_slurm import _queued

    squeue = tmp_path / "squeue"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    squeue.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    squeue.chmod(0o755)
    assert _queued() is None
    squeue.write_text("#!/bin/sh\nprintf '12_0\\n12_1\\n7\\n'\n")
    assert _queued() == {"12_0", "12_1", "7"}


@pytest.mark.slow
def test_a_cluster_of_two_nodes_makes_the_records_that_one_process_makes(sd15, homes, ray, tmp_path, monkeypatch):
    _, alone = run(sd15, homes("alone"), "local:threads=1", axes=AXES)
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")  # or its processes wait for all other tests

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    charges = tmp_path / "charges"
    charges.mkdir()
    (charges / "only").touch()
    (deadly := tmp_path / "deadly.py").write_text(DEADLY.format(charges=str(charges)))
    try:
        _, spread = run(sd15, homes("spread"), f"ray:address={cluster.address}", [deadly], AXES)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert spread.failures == {}
    assert results(spread) == results(alone)
    assert spread.computed == alone.computed
    attempts = [n for r in spread.records.values() for n in r.provenance["attempts"].values()]
    assert (not list(charges.iterdir()), max(attempts)) == (True, 2), "a task died in a training, and was begun again"


@pytest.mark.slow
@needs_slurm
def test_slurms_queue_makes_the_records_that_one_process_makes(sd15, homes):
    pytest.importorskip("submitit", reason="submitit is not installed")
    _, alone = run(sd15, homes("alone"), "local:threads=1", axes=AXES)
    runs = homes("queued")
    _, queued = run(sd15, runs, "slurm:cpus=1:poll=0.5", axes=AXES)
    assert queued.failures == {}
    assert results(queued) == results(alone)
    assert queued.computed == alone.computed
    assert any("_" in folder.name for folder in (runs / "slurm").iterdir()), "what was ready at once was one array"


@pytest.mark.slow
@needs_slurm
def test_a_job_that_is_cancelled_goes_into_the_queue_again(sd15, homes, tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed")
    from threading import Thread

    runs, cancelled = homes("runs"), []

    def cancel() -> None:
        ends = time.monotonic() + 200
        while not cancelled and time.monotonic() < ends:
            for file in (runs / "work").glob("train-*/attempts.json"):
                jobs = subprocess.run(["squeue", "-h", "-r", "-t", "R", "-o", "%i"], capture_output=True, text=True)
                if numbers := jobs.stdout.split():
                    subprocess.run(["scancel", "--signal=KILL", "--full", *numbers], check=True)
                    cancelled.append(file.parent.name)
                    return
            time.sleep(0.05)

    asked = bench.request(sd15, {"weights": ["uniform"]}, overrides={"train_steps": 600})
    loaded, planned = bench.plans(asked, runs)
    at = bench.Bench(loaded.registry, loaded.hooks, runs, progress=bench.Progress(quiet=True), plugins=[bench.DOTS])
    (hand := Thread(target=cancel)).start()
    finished = at.run(planned, loaded.registry.build("executor", "slurm:cpus=1:poll=0.5"))
    hand.join()
    assert cancelled
    assert finished.failures == {}
    (record,) = finished.records.values()
    counted = {name: n for name, n in record.provenance["attempts"].items() if name.startswith("train")}
    assert list(counted.values()) == [2], json.dumps(record.provenance["attempts"])
