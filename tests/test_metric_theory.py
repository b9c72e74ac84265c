"""Every metric that comes along gives what theory says, under every protocol; and the command that tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addp_bench.checks import metric
from addp_bench.errors import UnknownName
from addp_bench.loading import load

FAULTY = Path(__file__).with_name("faulty_boxes.py")
REGISTRY = load([]).registry


def protocols():
    for name in REGISTRY.names("task"):
        for protocol in REGISTRY.build("task", name).protocols():
            yield name, protocol


@pytest.mark.parametrize("name, protocol", list(protocols()))
def test_every_protocol_gives_what_theory_says(name, protocol):
    task = REGISTRY.build("task", name)
    settings = task.protocols()[protocol]
    judge = task.evaluator(settings, metric.THEORIES[task.truth].vocabulary)
    lines = list(metric.judge(judge, task.truth, settings))
    assert [(metric.title(line), metric.said(line), line.expected) for line in lines if not line.ok] == []
    assert {line.metric for line in lines} >= {m.id for m in judge.metrics}
    assert len([line for line in lines if line.promise.startswith("refuses")]) >= 4


def test_a_task_without_theory_or_with_options_to_be_said_is_told_and_not_judged():
    (line,) = metric.judge(None, "keypoints", {})
    assert (line.ok, line.measured) == (True, None)
    assert "judges keypoints" in line.promise


@pytest.mark.parametrize(
    "name, words",
    [
        ("oiuo", "no metric is called 'oiuo'. Did you mean 'oiou'?"),
        ("depth.oiou", "no metric of depth is called 'oiou'"),
        ("riss.oiou", "no task is called 'riss'. Did you mean 'ris'?"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name, words):
    with pytest.raises(UnknownName) as refused:
        list(metric.check(REGISTRY, name))
    assert words in str(refused.value)


def test_the_command_shows_each_number_of_a_metric_beside_its_theory(shell):
    code, out, err = shell("check", "metric", "probe.top1")
    assert (code, err) == (0, "")
    lines = [line.split("  ") for line in out.splitlines() if "one class, named" in line]
    assert [[part.strip() for part in line if part] for line in lines] == [
        [f"probe {protocol} top1: one class, named", "0.125", "0.125", "ok"] for protocol in ("ddae", "tabletop_probe")
    ]
    assert "refuses NaN as one score" in out


def test_the_page_quotes_what_the_command_prints(shell):
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    _, out, _ = shell("check", "metric", "n_acc")
    quoted = page.split("$ addp-bench check metric n_acc\n")[1].split("```")[0]
    assert quoted == out


def test_what_a_judge_declares_is_told_and_is_no_failure(shell):
    code, out, _ = shell("check", "metric", "rmse_icv", "--json")
    assert code == 0
    (declared,) = [line for line in json.loads(out) if line["declared"]]
    assert declared["promise"] == "an error at any depth costs"
    assert (declared["measured"], declared["ok"], declared["task"]) == (0.0, True, "depth")
    assert "InstructCV" in declared["expected"]


def test_the_command_fails_where_a_number_is_not_that_of_theory(shell):
    code, out, _ = shell("check", "metric", "ClassesFromZero.all", "--plugin", FAULTY)
    assert code == 3
    counted, broken = (
        next(line for line in out.splitlines() if words in line) for words in (".ap  ", "ap: the truth ")
    )
    assert counted.split()[0] == "classesfromzero.ap"
    assert counted.endswith("FAILED")
    assert broken.split()[-3:] == ["0", "1", "FAILED"]
