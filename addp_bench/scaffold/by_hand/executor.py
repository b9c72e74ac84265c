"""What executor my_idea does, worked by hand."""

from __future__ import annotations

import pytest

from addp_bench.errors import BadOption, BenchError
from addp_bench.jobs import Job
from addp_bench.loading import load
from addp_bench.spec import Choice

REGISTRY = load().registry


def test_a_job_that_fails_is_tried_again_and_no_oftener() -> None:
    tried: list[str] = []

    def fails(name: str, times: int) -> None:
        tried.append(name)
        if tried.count(name) <= times:
            raise BenchError("asked to")

    jobs = [
        Job("once", (), lambda: fails("once", 1)),
        Job("always", (), lambda: fails("always", 100)),
        Job("needs it", ("always",), lambda: fails("needs it", 0)),
        Job("never", ("once",), lambda: fails("never", 0)),
    ]
    ended = list(REGISTRY.build("executor", Choice("my_idea", {"again": 2})).run(jobs))
    assert tried == ["once", "once", "always", "always", "always", "never"]
    assert [outcome.error is None for outcome in ended] == [True, False, False, True]


def test_trying_forever_is_refused() -> None:
    with pytest.raises(BadOption, match="again"):
        REGISTRY.build("executor", Choice("my_idea", {"again": 11}))
