"""A bundle holds records and nothing else, in the same bytes every time; what is damaged or unsafe is refused."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from results import record

from addp_bench.errors import BadBundle, BadData
from addp_bench.exports.bundles import LARGEST, MANIFEST, packed, unpacked
from addp_bench.records import Record, load_all

IOU = np.random.default_rng(0).uniform(0.1, 0.9, 40)


@pytest.fixture
def cells(tmp_path):
    return [record(tmp_path / "runs", IOU + 0.01 * seed, seed=seed) for seed in range(3)]


def changed(content: bytes, replaced: dict[str, bytes | None], **also: bytes) -> bytes:
    """The zip with members replaced, or left out where None; `also` are added under these names."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            if (made := replaced.get(member.filename, old.read(member))) is not None:
                new.writestr(member, made)
        for name, made in also.items():
            new.writestr(name, made)
    return out.getvalue()


def test_records_come_back_as_they_were(cells, tmp_path):
    with unpacked(packed(cells, {"oiou": 0.5}), "b.zip") as bundle:
        again = load_all(bundle.runs)
        assert not again.broken
        assert [r.body for r in again.records] == [r.body for r in sorted(cells, key=lambda r: r.id)]
        by_id = {r.id: r for r in cells}
        for one in again.records:
            assert one.statistics.packed() == by_id[one.id].statistics.packed()
        assert (bundle.problems, bundle.tolerances) == ({}, {"oiou": 0.5})
        runs = bundle.runs
    assert not runs.exists()


def test_the_same_records_make_the_same_bytes_in_whatever_order_and_place(cells, tmp_path):
    elsewhere = [record(tmp_path / "b" / "c", IOU + 0.01 * seed, seed=seed) for seed in (2, 0, 1)]
    assert packed(cells) == packed(elsewhere)
    assert packed(cells) != packed(cells, {"oiou": 1.0})
    assert packed(cells) != packed(cells[:2])


def test_a_damaged_or_unwritten_record_is_not_packed(cells):
    with pytest.raises(BadData, match="was not written yet"):
        packed([Record(cells[0].body)])
    file = cells[1].folder / "statistics.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadData, match=f"{cells[1].id}.*SHA-256"):
        packed(cells)


def test_a_changed_a_missing_and_a_further_file_are_named(cells):
    whole = packed(cells)
    first, second = (f"records/{cell.id}/record.json" for cell in cells[:2])
    damaged = changed(whole, {first: b"{}", second: None}, **{"records/0123456789ab/record.json": b"{}"})
    with unpacked(damaged, "b.zip") as bundle:
        assert set(bundle.problems) == {first, second, "records/0123456789ab/record.json"}
        assert "the manifest says" in bundle.problems[first]
        assert bundle.problems[second] == "is in the manifest and not in the bundle"
        assert bundle.problems["records/0123456789ab/record.json"] == "is in the bundle and not in its manifest"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "records/../../evil/record.json",
        "records/0123456789ab/../../../evil",
        "records/0123456789ab/statistics.pkl",
        "records/0123456789AB/record.json",
        "records/0123456789ab/record.json\n",
        "records\\0123456789ab\\record.json",
        "a" * 300,
    ],
)
def test_a_name_that_no_record_has_is_refused_and_nothing_is_written(cells, tmp_path, monkeypatch, name):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with pytest.raises(BadBundle, match="which is no file of a record"):
        unpacked(changed(packed(cells), {}, **{name: b"x"}), "b.zip").__enter__()
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_every_cut_of_a_bundle_is_refused(cells):
    whole = packed(cells[:1])
    for end in range(0, len(whole), 97):
        with pytest.raises(BadBundle, match=r"b\.zip: is no bundle, or was cut off or damaged"):
            unpacked(whole[:end], "b.zip").__enter__()


def test_flipped_bytes_are_refused_or_named(cells):
    """Of a file's content, at least; the zip's own fields may hold anything that nobody reads."""
    whole = packed(cells[:1])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        begins = [member.header_offset + 30 + len(member.filename) for member in archive.infolist()]
    for begin in begins:
        broken = bytearray(whole)
        broken[begin + 5] ^= 0xFF
        with pytest.raises(BadBundle, match="damaged"):
            unpacked(bytes(broken), "b.zip").__enter__()


@pytest.mark.parametrize(
    "manifest, said",
    [
        (None, "has no manifest.json"),
        (b"{", "is not JSON"),
        (b"[]", "schema"),
        (b'{"format": "addp-bench bundle", "schema": 2}', "schema 2; this version reads schema 1"),
        (b'{"format": "addp-bench bundle", "schema": 1, "made_by": "0"}', "lacks"),
        (
            b'{"format": "addp-bench bundle", "schema": 1, "made_by": "0", "files": {}, "tolerances": {"a": -1}}',
            "lacks",
        ),
        (
            b'{"format": "addp-bench bundle", "schema": 1, "made_by": "0", "files": {}, "tolerances": {"a": NaN}}',
            "lacks",
        ),
        (b'{"format": "addp-bench bundle", "schema": 1, "made_by": "0", "files": {"a": 1}}', "lacks"),
    ],
)
def test_a_manifest_of_something_else_is_refused(cells, manifest, said):
    with pytest.raises(BadBundle, match=said):
        unpacked(changed(packed(cells), {MANIFEST: manifest}), "b.zip").__enter__()


def test_two_files_of_one_name_and_what_fills_a_disk_are_refused(cells, monkeypatch):
    whole, twice = packed(cells), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(twice, "w") as new:
        for member in old.infolist():
            new.writestr(member, old.read(member))
        with pytest.warns(UserWarning, match="Duplicate name"):
            new.writestr(MANIFEST, json.dumps({}))
    with pytest.raises(BadBundle, match="two files of one name"):
        unpacked(twice.getvalue(), "b.zip").__enter__()
    assert LARGEST > 1 << 30
    monkeypatch.setattr("addp_bench.exports.bundles.LARGEST", 10_000)
    with pytest.raises(BadBundle, match="MiB unpacked"):
        unpacked(whole, "b.zip").__enter__()
