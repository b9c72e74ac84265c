"""A number that was changed is found and named, even where whoever changed it packed the bundle anew."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from addp_bench.exports.bundles import packed
from addp_bench.exports.verifying import check
from addp_bench.records import load, load_all, metric_of
from addp_bench.statistics import Statistics

RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"
CELL = "2055f753b0cf"  # with slices, a curve, a contribution and every stage's spec


@pytest.fixture
def folder(tmp_path):
    """A copy of a real record."""
    return Path(shutil.copytree(RECORDS / "quick" / "records" / CELL, tmp_path / "runs" / "records" / CELL))


def put(body, place: str, change) -> None:
    """Change what stands at a place such as `result/read_at/t`; None stands where nothing does."""
    *path, last = (int(part) if part.isdecimal() else part for part in place.split("/"))
    for part in path:
        body = body[part]
    body[last] = change(body[last] if not isinstance(body, dict) else body.get(last))


@pytest.mark.parametrize("runs", ["quick", "tasks", "reading"])
def test_the_committed_records_are_what_their_sums_say(runs):
    for record in load_all(RECORDS / runs).records:
        found = check(record.folder)
        assert (found.cell, found.wrong) == (record.id, [])
        made = [name for name in record.result["metrics"] if metric_of(record, name)]
        slices = [value for by in record.result["slices"].values() for value in by]
        assert found.numbers >= 2 + len(made) + len(slices) * (1 + len(made))


@pytest.mark.parametrize(
    "place, change, said",
    [
        ("result/metrics/oiou/value", lambda v: v + 1e-11, "metrics.oiou.value: says "),
        ("result/metrics/n_acc/value", lambda v: v + 0.01, "metrics.n_acc.value: says "),
        ("result/metrics/pr50/formula/threshold", lambda v: 0.4, "metrics.pr50.value: says "),
        ("result/slices/level/L1/metrics/miou", lambda v: v - 1e-9, "slices.level.L1.miou: says "),
        (
            "result/slices/level/L1/metrics/n_acc",
            lambda v: 0.0,
            "slices.level.L1.n_acc: says 0.0, the stored sums give",
        ),
        ("result/slices/level/L1/samples", lambda v: v + 1, "slices.level.L1.samples: says "),
        ("result/curve/metrics/oiou/10", lambda v: v + 1e-6, "curve.oiou.10: says "),
        ("result/read_at/t", lambda v: v + 1, "read_at.t: says "),
        ("result/read_at/index", lambda v: 99, "read_at.t: says "),
        ("result/samples/scored", lambda v: v - 1, "samples.scored: says 199, the stored sums give 200"),
        ("result/samples/asked", lambda v: v + 1, "samples.failed: says 0, the stored sums give 1"),
        ("result/protocol/hash", lambda v: "0" * 64, "protocol.hash: says 000000000000, the settings give"),
        ("provenance/spec", lambda v: {k: {**s, "seed": 7} for k, s in v.items()}, "is the key of none of its stages"),
        (
            "result/protocol/settings",
            lambda v: {**v, "no_target": 0},
            "protocol.settings: is not what the key is made of",
        ),
        ("result/budget", lambda v: "standard", "budget: is not what the key is made of"),
        ("result/seed", lambda v: 3, "seed: says 3, the key is made of 0"),
        ("provenance/spec", lambda v: [1], "provenance.spec: does not hold"),
        ("result/metrics/oiou/formula/numerator", lambda v: "nothing", "which was not stored"),
        ("result/metrics/oiou/formula", lambda v: {"kind": "AveragePrecision"}, "which was not stored"),
        ("result/statistics/sha256", lambda v: "0" * 64, "the record says 000000000000"),
        ("result/slices/level", lambda v: 1, "field result.slices"),
    ],
)
def test_what_was_changed_in_a_record_is_named(folder, place, change, said):
    body = json.loads((folder / "record.json").read_text())
    put(body, place, change)
    (folder / "record.json").write_text(json.dumps(body))
    wrong = check(folder).wrong
    assert wrong
    assert any(said in why for why in wrong), wrong


def test_a_changed_sum_is_found_in_every_number_that_it_is_part_of(folder):
    record = load(folder)
    columns = {name: column.copy() for name, column in record.statistics.columns.items()}
    changed = int(np.flatnonzero(columns["intersection"])[0])
    columns["intersection"][changed] += 1.0
    s = record.statistics
    content = Statistics(s.ids, s.image_ids, columns, dict(s.attributes)).packed()
    (folder / "statistics.npz").write_bytes(content)
    body = json.loads((folder / "record.json").read_text())
    body["result"]["statistics"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "record.json").write_text(json.dumps(body))
    level = s.attributes["level"][changed]
    places = {why.partition(": ")[0] for why in check(folder).wrong}
    assert {"metrics.oiou.value", f"slices.level.{level}.oiou", "curve.oiou.10"} <= places
    assert all("oiou" in place for place in places)


def test_a_folder_of_another_name_is_wrong(folder):
    (why,) = check(folder.rename(folder.with_name("0" * 12))).wrong
    assert why == f"the folder is called 000000000000, the record {CELL}"


# ------------------------------------------------------------------------------------------------- as commands


def test_verify_says_what_was_made_again_and_what_cannot_be(shell, folder, tmp_path):
    out = tmp_path / "b.zip"
    code, said, err = shell("export", "bundle", CELL[:5], "--runs", folder.parents[1], "--out", out)
    assert (code, err) == (0, "")
    assert out.read_bytes() == packed([load(folder)])
    code, said, err = shell("verify", out)
    assert (code, err) == (0, "")
    assert "1 cells, packed by addp-bench" in said
    assert "cannot be made again (1 cells): metrics at the 10 timesteps that are not read" in said
    told = json.loads(shell("verify", out, "--json")[1])
    assert (told["verified"], told["wrong"], told["cells"][0]["cell"]) == (True, [], CELL)
    assert f"{told['numbers']} numbers made again" in said


def test_any_changed_digit_fails_and_is_named(shell, folder, tmp_path):
    """In record.json, of a number that is made again, and of one that is not; packed as it is, and packed anew."""
    out = tmp_path / "b.zip"
    body = json.loads((folder / "record.json").read_text())
    for place in ("result/metrics/oiou/value", "result/curve/metrics/oiou/3"):
        shell("export", "bundle", "all", "--runs", folder.parents[1], "--out", out)
        changed = json.loads(json.dumps(body))
        put(changed, place, lambda v: v + 0.001)
        _replaced(out, f"records/{CELL}/record.json", json.dumps(changed).encode())
        code, said, _ = shell("verify", out)
        assert code == 3
        assert f"DIFFERS  records/{CELL}/record.json: its SHA-256 begins" in said
        assert ("metrics.oiou.value" in said) == ("value" in place)
    put(changed, "result/metrics/oiou/value", lambda v: v + 0.001)
    (folder / "record.json").write_text(json.dumps(changed))
    shell("export", "bundle", "all", "--runs", folder.parents[1], "--out", out)
    code, said, _ = shell("verify", out)
    assert code == 3
    assert f"DIFFERS  cell {CELL}: metrics.oiou.value: says" in said
    assert "SHA-256" not in said
    told = json.loads(shell("verify", out, "--json")[1])
    assert (told["verified"], len(told["wrong"])) == (False, 1)


def _replaced(file: Path, name: str, content: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))
    file.write_bytes(out.getvalue())


def test_what_is_no_bundle_is_not_verified(shell, folder, tmp_path):
    out = tmp_path / "b.zip"
    code, _, err = shell("verify", out)
    assert (code, "cannot be read (No such file or directory)" in err) == (2, True)
    shell("export", "bundle", "all", "--runs", folder.parents[1], "--out", out)
    out.write_bytes(out.read_bytes()[:-30])
    code, said, err = shell("verify", out)
    assert (code, said) == (3, "")
    assert f"{out}: is no bundle, or was cut off or damaged" in err
    out.write_bytes(packed([]))
    code, said, _ = shell("verify", out)
    assert (code, "DIFFERS  it holds no record" in said) == (3, True)


def test_cells_that_are_not_there_select_nothing(shell, folder, tmp_path):
    for runs, cell in ((folder.parents[1], "ffff"), (tmp_path / "nowhere", "all")):
        code, out, err = shell("export", "bundle", cell, "--runs", runs, "--out", tmp_path / "b.zip")
        assert (code, out) == (4, "")
        assert "no record" in err
