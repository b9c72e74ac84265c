"""`check model tiny`: what the built-in model must be able to do, read off cells."""

from __future__ import annotations

import json

import numpy as np
import pytest
import results

from addp_bench.baselines.folders import Tiny


def cell(
    runs, *, target="x0", weights="uniform", value=0.5, curve=(0.3, 0.5), share=0.6, fingerprint=None, split="stats"
):
    """A record of tiny on `stats`, as far as the gates read it."""
    model = {"name": "tiny", "options": {}, "fingerprint": fingerprint or Tiny().fingerprint()}
    guidance = results.choice("image_text:image=1.5:text=3.0")
    chosen = {"weights": weights, "aug": "none", "target": target}
    choices = {"model": model, "guidance": guidance, **{kind: results.choice(name) for kind, name in chosen.items()}}
    level = {
        name: {"samples": 4, "metrics": {"oiou": value + up, "miou": 0.1}} for name, up in (("L0", 0.1), ("L1", 0.3))
    }
    return results.record(
        runs,
        np.full(8, value),
        result_choices=choices,
        result_dataset={"name": "tabletop", "options": {}, "split": split, "fingerprint": "f0"},
        result_training={
            "steps": 350,
            "batch_size": 32,
            "dataset": {"name": "tabletop", "options": {"shuffled": "none"}},
        },
        result_slices={"level": level},
        result_curve={"t": [999, 49], "metrics": {"oiou": list(curve)}},
        result_contribution={"raw": [1 - share, share]} if weights == "perception_stats" else None,
    )


def gates(shell, runs):
    code, out, err = shell("check", "model", "tiny", "--runs", runs, "--json")
    assert not err
    return code, {row["what"]: row for row in json.loads(out)}


def test_gates_are_read_off_the_cells_they_are_about(shell, tmp_path):
    cell(tmp_path, value=0.5, curve=(0.42, 0.5))
    cell(tmp_path, weights="perception_stats", share=0.6)
    cell(tmp_path, target="epsilon", value=0.41)
    code, rows = gates(shell, tmp_path)
    assert rows["points that the curve rises after its first step"]["value"] == pytest.approx(8.0)
    assert rows["variance that the noisiest tenth explains"]["value"] == 0.6
    assert rows["oIoU as an epsilon model, share of x0's"]["value"] == pytest.approx(0.82)
    assert {what: row["ok"] for what, row in rows.items() if "L" in what} == {"oIoU of L0": False, "oIoU of L1": True}
    assert (code, sum(not row["ok"] for row in rows.values())) == (3, 1)


def test_cells_of_other_weights_or_other_data_say_nothing(shell, tmp_path):
    cell(tmp_path, fingerprint="0" * 64)
    cell(tmp_path, split="val")
    code, rows = gates(shell, tmp_path)
    asked = rows["oIoU of L0"]
    assert (code, asked["value"], asked["ok"]) == (3, None, False)
    assert "needs: addp-bench run --task ris --split stats --limit 400 --weights uniform" in asked["expected"]


def test_who_promises_nothing_is_told_so(shell, tmp_path):
    code, _, err = shell("check", "model", "random", "--runs", tmp_path)
    assert code == 2
    assert "no method check()" in err
