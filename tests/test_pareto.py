"""Costs: what a cell takes alone, on one machine; the front by hand and by trying all pairs."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from results import record

from addp_bench.results.pareto import cost_of, front, with_costs
from addp_bench.results.rendering import chosen, render
from addp_bench.results.tables import leaderboard

GPU = "cuda: NVIDIA H200"
BASE = np.random.default_rng(0).uniform(0.1, 0.6, 60)
MEASURED = {  # a weighting that is measured: source, statistics, then the training itself
    "latents/a": 10.0,
    "train/b": 100.0,
    "predict/c": 20.0,
    "contribution/d": 5.0,
    "train/e": 200.0,
    "latents/f": 2.0,
    "predict/g": 30.0,
    "score/h": 4.0,
}
PLAIN = {"latents/a": 10.0, "train/b": 100.0, "latents/f": 2.0, "predict/i": 30.0, "score/j": 4.0}


def provenance(seconds, device=GPU, threads=4, memory=900, gpu=None):
    return {
        "device": device,
        "threads": threads,
        "seconds": seconds,
        "peak_memory_mb": memory,
        "peak_gpu_memory_mb": gpu,
    }


def cell(runs, shift=0.0, seed=0, seconds=PLAIN, **more):
    kept = {name: more.pop(name) for name in ("device", "threads", "memory", "gpu") if name in more}
    return record(runs, BASE + shift, seed=seed, provenance=provenance(seconds, **kept), **more)


def test_a_cell_costs_what_it_would_alone(tmp_path):
    cost = cost_of([cell(tmp_path, seconds=MEASURED)])
    assert cost["train_seconds"] == 10 + 100 + 20 + 5 + 200  # what a source and its statistics took belongs to it
    assert cost["evaluate_seconds"] == 2 + 30 + 4
    assert cost["seconds"] == 371
    assert (cost["memory_mb"], cost["gpu_memory_mb"], cost["machine"]) == (900, None, GPU)


def test_seeds_are_averaged_and_memory_is_the_largest(tmp_path):
    slower = {**PLAIN, "train/b": 140.0}
    cells = [cell(tmp_path, memory=900, gpu=70), cell(tmp_path, seed=1, seconds=slower, memory=1100, gpu=50)]
    cost = cost_of(cells)
    assert (cost["train_seconds"], cost["memory_mb"], cost["gpu_memory_mb"]) == (130.0, 1100, 70)
    other = cell(tmp_path, seed=2, device="cuda: NVIDIA A100")
    assert cost_of([*cells, other])["machine"] is None
    assert cost_of([cell(tmp_path, seed=3, seconds={**PLAIN, "train/b": None})])["seconds"] is None
    assert cost_of([record(tmp_path, BASE, seed=4)])["machine"] is None


def test_threads_make_another_machine_of_a_processor_only(tmp_path):
    one, two = (cell(tmp_path, seed=k, device="cpu: EPYC", threads=k + 1) for k in range(2))
    assert cost_of([one])["machine"] != cost_of([two])["machine"]
    one, two = (cell(tmp_path, seed=k, threads=k + 1) for k in range(2))
    assert cost_of([one])["machine"] == cost_of([two])["machine"] == GPU


def test_what_was_not_trained_here_has_no_known_cost(tmp_path):
    naive = cost_of([cell(tmp_path, seconds={"answers/a": 1.0, "score/b": 2.0}, trained=False, model="constant")])
    assert (naive["train_seconds"], naive["evaluate_seconds"], naive["seconds"]) == (None, 3.0, None)


def costs(*seconds, machine=GPU):
    return [{"seconds": s, "machine": machine} for s in seconds]


def test_the_front_by_hand():
    # best and dear; cheaper and nearly as good, in its tier; dearer and worse; cheap and worst; equal in all
    values, tiers = [0.9, 0.89, 0.5, 0.2, 0.2], [1, 1, 2, 3, 3]
    assert front(values, tiers, costs(100, 50, 60, 10, 10)) == ["unsure", "front", "dominated", "front", "front"]
    assert front([0.5, 0.5], [1, 1], costs(10, 20)) == ["front", "dominated"]
    assert front([0.5, 0.4], [1, 1], costs(10, 10)) == ["front", "dominated"]
    assert front([0.5, None], [1, None], costs(10, 1)) == ["front", None]
    assert front([0.5, 0.9], [2, 1], [*costs(10), *costs(1, machine="cpu")]) == ["front", "front"]
    assert front([0.5, 0.9], [2, 1], [*costs(10), *costs(None)]) == ["front", None]


def test_the_front_is_that_of_trying_all_pairs():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, seconds = rng.integers(0, 6, 12) / 10, rng.integers(1, 7, 12) * 10.0
        found = front(list(values), [1] * 12, costs(*seconds))
        for k in range(12):
            no_worse = [i for i in range(12) if values[i] >= values[k] and seconds[i] <= seconds[k]]
            beaten = any(values[i] > values[k] or seconds[i] < seconds[k] for i in no_worse)
            assert (found[k] == "dominated") == beaten


@pytest.fixture
def runs(tmp_path):
    cell(tmp_path, 0.2, seconds=MEASURED, weights="p2", gpu=70)
    cell(tmp_path, 0.1, weights="uniform", gpu=60)
    cell(tmp_path, 0.0, seconds={**PLAIN, "predict/i": 90.0}, weights="ant", gpu=50)
    return tmp_path


def test_costs_have_columns_that_can_be_chosen_and_sorted_by(shell, runs):
    code, out, _ = shell(
        "leaderboard", "--runs", runs, "--cost", "--columns", "oiou,pareto,seconds", "--sort", "seconds"
    )
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("tiny")]
    assert [line.split()[1] for line in lines] == ["uniform", "ant", "p2"]
    assert [line.split()[-1] for line in lines] == ["146", "206", "371"]
    assert ["◆" in line for line in lines] == [True, False, True]
    assert "mIoU" not in out
    assert "alone [s]" in out
    rows = list(csv.DictReader(io.StringIO(shell("leaderboard", "--runs", runs, "--cost", "--format", "csv")[1])))
    assert {row["weights"]: (row["seconds"], row["pareto"]) for row in rows} == {
        "p2": ("371.0", "front"),
        "uniform": ("146.0", "front"),
        "ant": ("206.0", "dominated"),
    }
    (section,) = json.loads(shell("leaderboard", "--runs", runs, "--cost", "--json")[1])["sections"]
    assert section["rows"][0]["cost"]["gpu_memory_mb"] == 70
    assert "cost" not in json.loads(shell("leaderboard", "--runs", runs, "--json")[1])["sections"][0]["rows"][0]


def test_rows_of_several_machines_are_named_and_not_compared(tmp_path):
    cells = [cell(tmp_path, seed=0), cell(tmp_path, seed=1, device="cpu: EPYC")]
    table = with_costs(leaderboard(cells), cells)
    assert table.sections[0].rows[0]["pareto"] is None
    assert f"several machines: {cells[0].id}" in render(table, "markdown")


# ----------------------------------------------------------------------------------------------- columns


def test_chosen_columns_come_in_their_order_and_what_tells_rows_apart_stays(runs):
    from addp_bench.records import load_all

    table = chosen(leaderboard(load_all(runs).records), ["miou", "cell", "tier"])
    header = next(line for line in render(table, "markdown").splitlines() if line.startswith("|"))
    assert [name.strip() for name in header.strip("|").split("|")] == ["model", "weights", "mIoU ↑", "cell", "tier"]
    names = next(csv.reader(io.StringIO(render(table, "csv"))))
    assert {"miou", "cells", "tier", "weights", "task"} <= set(names)
    assert not {"oiou", "rank", "rank_low", "low", "p", "difference", "asked", "seeds"} & set(names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--columns", "miuo"], "Did you mean 'miou'"),
        (["--columns", "difference"], "--reference"),
        (["--columns", "seconds"], "need --cost"),
        (["--sort", "seconds"], "no metric of these records is called 'seconds'"),
        (["--columns", "oiou", "--json"], "json holds every column"),
        (["--columns", "oiou", "--group-by", "level"], "--group-by makes columns"),
        (["--ceiling", "--group-by", "level"], "--group-by makes columns"),
    ],
)
def test_a_column_that_is_not_there_is_refused(shell, runs, arguments, said):
    code, out, err = shell("leaderboard", "--runs", runs, *arguments)
    assert (code, out) == (2, "")
    assert said in err
