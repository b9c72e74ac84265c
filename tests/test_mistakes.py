"""Mistakes in a request: all are told at once, each with its nearest neighbour, before anything is computed."""

from __future__ import annotations

import pytest


@pytest.fixture
def told(shell, tmp_path):
    """The lines of what is said of a request, which is refused."""

    def of(command: str, *arguments: str) -> list[str]:
        code, out, err = shell(command, *arguments, "--runs", tmp_path / "runs")
        assert (code, out) == (2, "")
        assert not (tmp_path / "runs").exists()
        return err.splitlines()

    return of


def test_what_cannot_be_read_and_what_does_not_exist_are_told_together(told):
    flags = ("--seeds", "4..1", "--task", "rsi", "--weights", "min_snr:gamma=much:scaling=prb", "--budget", "quick")
    said = told("run", *flags, "--executor", "locl", "--track", "tensorbord", "--aug", "linera")
    assert said[0] == "error: the request has 6 mistakes"
    pieces = (
        "seeds '4..1' run backwards",
        "no executor is called 'locl'. Did you mean 'local'?",
        "no tracker is called 'tensorbord'. Did you mean 'tensorboard'?",
        "no task is called 'rsi'. Did you mean 'ris'?",
        "scaling='prb' is none of prob, loss. Did you mean 'prob'?",
        "no aug is called 'linera'. Did you mean 'linear'?",
    )
    for piece, line in zip(pieces, said[1:]):
        assert piece in line
    assert "option gamma='much' is not a float" in said[5]


def test_a_mixture_that_cannot_be_read_is_one_mistake(told):
    (said,) = told("plan", "--train", "depth=much")
    assert said == "error: cannot read 'depth=much': write task=share, such as depth=0.3+semantic=0.7"


def test_mistakes_of_a_file_stand_beside_those_of_flags(told, tmp_path):
    (tmp_path / "SPEC.yaml").write_text("train: {tasks: {ris: {dataset: tabletop}}, wieghts: uniform}\n")
    said = told("plan", str(tmp_path / "SPEC.yaml"), "--seeds", "x")
    assert said[0] == "error: the request has 2 mistakes"
    assert "cannot read seeds 'x'" in said[1]
    assert "Did you mean 'weights'?" in said[2]


@pytest.mark.parametrize(
    "flags, piece",
    [
        (["--weights", "uniform,p2"], "Several are written --weights uniform --weights p2."),
        (["--weights", "uniform p2"], "Several are written --weights uniform --weights p2."),
        (["--sampler", "ddim:steps=5"], "Sampling steps are --steps N"),
        (["--weights", "linear"], "There is --aug linear and --noise linear."),
    ],
)
def test_a_mistake_that_many_make_is_answered_with_the_way_to_write_it(told, flags, piece):
    (said,) = told("plan", "--task", "ris", *flags)
    assert piece in said


def test_a_plugins_name_where_a_kind_was_expected_leads_to_it(shell):
    code, _, err = shell("list", "min_snr")
    assert code == 2
    assert err.endswith("A plugin is called so: addp-bench show weights min_snr\n")


def test_options_that_would_be_ignored_are_refused(shell):
    code, out, err = shell("show", "weights", "min_snr:gamma=3")
    assert (code, out) == (2, "")
    assert "options after min_snr are for --plot" in err
