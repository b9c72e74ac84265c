"""Requests written in YAML."""

from __future__ import annotations

import json

import pytest

from addp_bench.cli import running
from addp_bench.errors import BadRequest
from addp_bench.specfile import read

GRID = """
train:
  tasks: {ris: {dataset: dots, encoding: red_mask}}
  model: tiny
  weights: [uniform, {diffusion: {scaling: loss}}]
  aug: [none, linear]
  target: x0
  seeds: 0..2
  budget: standard
  lr: 0.001
eval:
  - {split: val, sampler: {ddim: {steps: 5, eta: 1}}, guidance: {image_text: {image: 1.5, text: 3.0}}}
  - {dataset: "dots:size=64", split: stats, limit: 4}
"""


def written(tmp_path, text):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return file


def test_a_file_says_what_flags_say(tmp_path):
    first, second = read(written(tmp_path, GRID), {})
    assert first.axes["weights"] == ["uniform", "diffusion:scaling=loss"]
    assert first.axes["aug"] == ["none", "linear"]
    assert first.seeds == (0, 1, 2)
    assert first.axes["sampler"] == ["ddim:eta=1"]
    assert first.overrides["sampling_steps"] == 5
    assert first.axes["guidance"] == ["image_text:image=1.5:text=3.0"]
    assert first.overrides["lr"] == 0.001
    assert (first.split, second.split) == ("val", "stats")
    assert first.train_split is None
    assert second.overrides["limit"] == 4
    assert (first.trained_on, second.trained_on) == (None, "dots")
    assert first.given == {"seeds", "budget", "split"}
    assert second.given == {"seeds", "budget", "split", "trained_on"}


def test_the_split_that_is_trained_on_stands_under_train(tmp_path):
    (request,) = read(written(tmp_path, "train: {tasks: {ris: {}}, split: heldout_pairs}"), {})
    assert (request.train_split, request.split) == ("heldout_pairs", None)
    assert request.given == {"train_split"}


def test_flags_win_over_the_file(tmp_path):
    changes = {
        "budget": "quick",
        "read_at": "final",
        "given": frozenset({"budget", "read_at"}),
        "overrides": {"lr": 0.5},
        "axes": {"aug": ["constant"]},
    }
    first, _ = read(written(tmp_path, GRID), changes)
    assert first.budget == "quick"
    assert first.given == {"seeds", "budget", "split", "read_at"}
    assert first.overrides["lr"] == 0.5
    assert first.axes["aug"] == ["constant"]
    assert first.axes["weights"] == ["uniform", "diffusion:scaling=loss"]


def test_flags_that_were_not_given_leave_the_file_alone(tmp_path):
    """As the command line hands them on: what has a default is only given when it was written."""
    text = GRID.replace("budget: standard", "precision: bf16\n  corruption: location+color") + (
        "  - {sampling_seed: 3, read_at: best_on_stats}\n"
    )
    file = str(written(tmp_path, text))
    last = asked("run", file)[-1]
    assert (last.precision, last.corruption) == ("bf16", ["location+color"])
    assert (last.sampling_seed, last.read_at, last.seeds) == (3, "best_on_stats", (0, 1, 2))
    changed = asked("run", file, "--precision", "fp32", "--sampling-seed", "0", "--corruption", "none", "--seed", "7")[
        -1
    ]
    assert (changed.precision, changed.corruption) == ("fp32", ("none",))
    assert (changed.sampling_seed, changed.read_at, changed.seeds) == (0, "best_on_stats", (7,))


def asked(command, *flags):
    """The requests of a command line."""
    return running._requests(running.run.make_context(command, list(flags)).params, "quick", [])


def test_the_budget_that_nobody_names_is_standard_where_cuda_computes(shell, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    silent = written(tmp_path, "train: {tasks: {ris: {}}}")

    def planned(*flags):
        _, out, err = shell("plan", *flags, "--json", "--runs", tmp_path / "runs")
        assert out, err
        return [budget for budget in ("quick", "standard") if f" · {budget} · " in json.loads(out)["cells"][0]["what"]]

    assert planned("--task", "ris") == planned(silent) == ["standard"]
    assert planned("--task", "ris", "--device", "cpu") == planned(silent, "--budget", "quick") == ["quick"]


def test_every_mistake_is_told_with_its_place(tmp_path):
    text = """
train: {tasks: {ris: {dataset: dots, encodng: red}}, weigths: uniform, lr: fast, seeds: 3..1}
eval: [{stpes: 5}]
"""
    with pytest.raises(BadRequest) as told:
        read(written(tmp_path, text), {})
    problems = "\n".join(told.value.problems)
    for place in ("train.tasks.ris", "train: ", "train.lr", "train.seeds", "eval[0]"):
        assert place in problems
    assert "Did you mean 'weights'?" in problems
    assert len(told.value.problems) == 5


@pytest.mark.parametrize(
    "text, why",
    [
        ("train: [", "is not YAML"),
        ("- 1", "must be a mapping, met list"),
        ("train: {tasks: {}}", "names no task"),
        ("train: {tasks: {ris: {share: 0.5}}}", "share: means something where several tasks"),
        ("train: {tasks: {ris: {share: half}, depth: {}}}", "train.tasks.ris.share: could not convert"),
        ("train: {tasks: {ris: {dataset: [a, b]}, depth: {}}}", "train.tasks.ris.dataset: names 2"),
        ("train: !!python/object/apply:os.system [echo]", "is not YAML"),
    ],
)
def test_a_file_that_is_no_request_is_refused(tmp_path, text, why):
    with pytest.raises(BadRequest, match=why):
        read(written(tmp_path, text), {})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadRequest, match=r"nothing\.yaml: cannot be read"):
        read(tmp_path / "nothing.yaml", {})
