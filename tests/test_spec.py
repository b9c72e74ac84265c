"""How a request is written: choices with options, and seeds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addp_bench.errors import BadOption
from addp_bench.spec import Choice, parse_seeds, tidy


def test_a_choice_is_a_name_and_its_options():
    assert Choice.parse("Min-SNR:Gamma=5:clip-to=x0") == Choice("min_snr", {"gamma": "5", "clip_to": "x0"})
    assert Choice.parse("uniform") == Choice("uniform", {})


@pytest.mark.parametrize(
    "text, options",
    [
        ("refcoco:path=C:/data:split=val", {"path": "C:/data", "split": "val"}),
        ("refcoco:path=/data/a:b", {"path": "/data/a:b"}),
        ("vlm:url=http://localhost:8000/v1", {"url": "http://localhost:8000/v1"}),
        ("solid_mask:color=255,0,0", {"color": "255,0,0"}),
        ("vlm:query=a=b", {"query": "a=b"}),
        ("vlm:words=", {"words": ""}),
    ],
)
def test_values_may_hold_colons_commas_and_equals_signs(text, options):
    assert Choice.parse(text).options == options


@pytest.mark.parametrize("text", ["min_snr:5", "min_snr:gamma", "min_snr:"])
def test_what_follows_a_colon_must_be_an_option(text):
    with pytest.raises(BadOption, match="after 'min_snr' comes option=value"):
        Choice.parse(text)


def test_an_option_given_twice_is_refused_however_it_is_spelt():
    with pytest.raises(BadOption, match="clip_to twice"):
        Choice.parse("min_snr:clip-to=1:clip_to=2")


def test_a_choice_is_plain_for_json():
    assert Choice("a", {"b": 1}).plain() == {"name": "a", "options": {"b": 1}}


words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
# a value may hold anything but what reads as the start of another option
values = st.text(alphabet="abc012./=,-", max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(words, st.dictionaries(words, values, max_size=4))
def test_a_choice_that_is_written_reads_back(name, options):
    choice = Choice(name, options)
    assert Choice.parse(str(choice)) == choice


def test_tidy_forgives_case_dashes_and_spaces_round_a_name():
    assert tidy(" Min-SNR ") == "min_snr"


@pytest.mark.parametrize(
    "texts, seeds",
    [
        (["0..4"], (0, 1, 2, 3, 4)),
        (["7"], (7,)),
        (["1,5,9"], (1, 5, 9)),
        (["0..2", "1..3", "8"], (0, 1, 2, 3, 8)),
        (["3..3"], (3,)),
        ([], ()),
    ],
)
def test_seeds_are_ranges_that_include_their_end_and_lists(texts, seeds):
    assert parse_seeds(texts) == seeds


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1..", "..3", "1,,2", "0...2"])
def test_seeds_that_cannot_be_read_are_refused_with_examples(text):
    with pytest.raises(BadOption, match=r"write 3, 0\.\.4 or 1,5,9"):
        parse_seeds([text])


def test_seeds_that_run_backwards_are_refused():
    with pytest.raises(BadOption, match="backwards"):
        parse_seeds(["4..0"])
