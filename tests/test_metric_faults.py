"""Judges with one fault each, three of them published, are found out by `check metric`."""

from __future__ import annotations

import math
from pathlib import Path

import faulty_boxes
import faulty_judges
import pytest

from addp_bench.checks import metric
from addp_bench.errors import BadPlugin
from addp_bench.loading import load

FAULTS = [*faulty_judges.FAULTS, *faulty_boxes.FAULTS]
STRANGE = load([Path(faulty_judges.__file__), Path(faulty_boxes.__file__)]).registry

FOUND = {
    # task -> (metric, what the line is about, what was met, what was expected)
    "oddmetres": ("rmse", "2 m everywhere", 0.0, "1.114"),
    "oddmetresaligned": ("absrel", "one depth everywhere (depth, said as affine)", None, None),
    "oddmetresownnames": ("absrel_odd", "an error at any depth costs", 0.0, "above 0 (4.375 m taken for 9.84375)"),
    "oddmetresexcused": ("absrel", "an error at any depth costs", 0.0, "above 0 (4.375 m taken for 9.84375)"),
    "declareswhatitkeeps": ("", "order of samples does not matter", "kept", "broken, as it declares: they say so"),
    "loosedelta": ("delta1", "ratios of exactly 1.25, 1.25² and 1.25³", 1 / 3, "0"),
    "pooled": ("absrel", "2 m everywhere", 1.0414286 / 3.125, "0.3398"),
    "naturallogarithm": ("log10", "all twice as far", math.log(2), "0.301"),
    "noshift": ("absrel", "the truth (depth, said as affine)", None, "0"),
    "nothingisperfect": ("absrel", "a photograph of which nothing is known", 0.0, "nothing"),
    "swallowsnan": ("", "refuses NaN at some pixels", "took it", "BadPrediction that names planted/refused"),
    "namesnosample": ("", "refuses infinity at some pixels", "a prediction cannot be scored", None),
    "upsidedown": ("absrel", "nothing is better than the truth", None, None),
    "countsnothing": ("rmse", "samples that are counted twice give the same", "an array ()", None),
    "drifts": ("rmse", "order of samples does not matter", None, None),
    "dropsthelast": ("rmse", "order of samples does not matter", None, None),
    "widthfirst": ("oiou", "a random mask", None, None),
    "countsinbytes": ("oiou", "the whole photograph", None, None),
    "abovethethreshold": ("pr90", "IoUs of exactly 0.5, 0.6, 0.7, 0.8 and 0.9", 0.0, "0.2"),
    "meanforoverall": ("oiou", "half of a small object, all of a large one", 0.75, "0.9694"),
    "epsilon": ("miou", "silence where there is no object", 1.0, "0.3333"),
    "overimages": ("miou", "one class everywhere", None, None),
    "countsabsentclasses": ("miou", "the truth where one class is nowhere", 0.8, "1"),
    "unknownisaclass": ("aacc", "the truth, and something where nobody knows", None, "1"),
    "caststowholenumbers": ("", "refuses NaN at one pixel", "took it", "BadPrediction that names planted/refused"),
    "oraclefilter": ("ap", "as many false alarms, which score higher", 1.0, "0.5"),
    "oraclefilterownnames": ("ap_icv", "a false alarm costs", 1.0, None),
    "plusone": ("ap", "boxes of which 0.64 is there: 3 of 10 thresholds", None, "0.3"),
    "worstfirst": ("ap", "as many false alarms, which score higher", 1.0, "0.5"),
    "idsfromzero": ("ap", "the truth", None, "1"),
    "classesfromzero": ("ap", "the truth", 0.0, "1"),
    "lastofequals": ("top1", "equal scores: of equals the first class", 0.0, "0.6667"),
    "fourforfive": ("top5", "the true class at the last place that counts", 0.0, "1"),
    "halfisyes": ("acc", "one half, which is no answer", 0.5, "0"),
    "anydraw": ("top1", "right at one of four draws of noise", 1.0, "0.25"),
}


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "idsfromone"])
def test_a_judge_with_a_fault_is_found_out(name):
    id_, promise, met, expected = FOUND[name]
    broken = {(line.metric, line.promise): line for line in metric.check(STRANGE, f"{name}.all") if not line.ok}
    assert (id_, promise) in broken, sorted(broken)
    line = broken[id_, promise]
    if met is not None:
        assert line.measured == (pytest.approx(met, abs=1e-6) if isinstance(met, float) else met)
    if expected is not None:
        assert line.expected == expected


def test_another_implementation_without_a_fault_is_not():
    metric.require(STRANGE, "idsfromone.all")
    with pytest.raises(BadPlugin, match=r"idsfromzero faulty ap: the truth: expected 1, met 0\.\d+"):
        metric.require(STRANGE, "idsfromzero.ap")
