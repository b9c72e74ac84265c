"""From a request to cells: what is filled in, what is fixed, what is refused and why."""

from __future__ import annotations

from addp_bench.loading import load
from addp_bench.resolve import resolve
from addp_bench.spec import Request


def test_a_shortened_training_keeps_the_share_of_its_warm_up():
    def budget(**overrides: int) -> tuple[int, int]:
        request = Request(axes={"task": ["ris"], "weights": ["uniform"]}, overrides=overrides)
        (cell,) = resolve(request, load().registry).cells
        return cell.budget.train_steps, cell.budget.warmup

    assert budget() == (350, 30)
    assert budget(train_steps=35) == (35, 3)
    assert budget(train_steps=3) == (3, 0)
    assert budget(train_steps=35, warmup=9) == (35, 9)
