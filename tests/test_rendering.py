"""A table on a narrow terminal: what goes first, what stays, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from results import record

from addp_bench.results.grid import broken
from addp_bench.results.rendering import render
from addp_bench.results.tables import leaderboard


@pytest.fixture
def table(tmp_path):
    iou = np.random.default_rng(0).uniform(0.2, 0.6, 60)
    cells = [
        record(tmp_path, iou, weights="uniform"),
        record(tmp_path, iou + 0.1, weights="perception_stats:samples=640:floor=0.02:groups=10"),
        record(tmp_path, iou, weights="perception_stats:samples=64:floor=0.1:groups=5", aug="linear"),
    ]
    return leaderboard(cells, reference=["weights=uniform"])


def longest(text):
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("width", [200, 120, 100, 80])
def test_a_table_keeps_within_the_terminal_and_names_what_it_left_out(table, width):
    text = render(table, "table", width)
    assert longest(text) <= width
    full = render(table, "table")
    assert longest(full) > 120
    missing = [name for name in ("tier", "seeds", "mIoU") if name not in text.split("Left out")[0].split("[95 %]:")[0]]
    for name in missing:
        assert name in text.split("Left out")[1]
    for row in table.sections[0].rows:
        assert row["cells"][0][:6] in text


def test_a_wide_terminal_loses_nothing(table):
    wide, full = render(table, "table", 400), render(table, "table")
    assert "Left out" not in wide
    assert wide.splitlines()[2:7] == full.splitlines()[2:7]


def test_what_decides_stays_even_where_it_cannot_fit(table):
    text = render(table, "table", 30)
    for word in ("oIoU", "difference", "uniform", "cell", "[95 %]"):
        assert word in text


def test_only_the_table_for_people_is_narrowed(table):
    for style in ("markdown", "csv", "json", "latex"):
        assert render(table, style, 40) == render(table, style)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("uniform", ["uniform"]),
        ("perception_stats", ["perception_", "stats"]),
        ("min_snr:gamma=5", ["min_snr:", "gamma=5"]),
        ("abcdefghijklmnopqrstuvwxyz", ["abcdefghijkl", "mnopqrstuvwx", "yz"]),
        ("a_abcdefghijklmnop", ["a_", "abcdefghijkl", "mnop"]),
        ("", [""]),
    ],
)
def test_names_are_broken_after_punctuation(text, lines):
    assert broken(text, 12).split("\n") == lines
