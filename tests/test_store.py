"""Folders of finished work, and the clock that every stage keeps."""

from __future__ import annotations

import json
import os

import pytest

from addp_bench.store import Stage, Store

STAGE = Stage("predict", {"steps": 3})


def test_the_seconds_of_a_stage_are_those_of_all_its_attempts(tmp_path):
    store = Store(tmp_path)

    def dies_after_an_hour(folder):
        shard = folder / "shard"
        shard.write_text("kept")
        begun = (folder / "attempts.json").stat().st_mtime
        os.utime(shard, (begun + 3600, begun + 3600))
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.ensure(STAGE, dies_after_an_hour)
    assert store.seconds(STAGE) is None, "it is not finished"
    store.ensure(STAGE, lambda folder: (folder / "shard").unlink())
    assert store.attempts(STAGE) == 3
    assert store.seconds(STAGE) == pytest.approx(7200, abs=5)


def test_a_stage_whose_seconds_were_not_kept_says_none(tmp_path):
    store = Store(tmp_path)
    store.ensure(STAGE, lambda folder: None)
    (store.folder(STAGE) / "attempts.json").write_text(json.dumps({"begun": ["2026-01-01T00:00:00+00:00"]}))
    assert store.attempts(STAGE) == 1
    assert store.seconds(STAGE) is None
