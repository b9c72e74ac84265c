"""Names, aliases and options: found, suggested, typed and refused."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pytest

from addp_bench.errors import BadOption, BadPlugin, UnknownName
from addp_bench.registry import REQUIRED, Registry, option_words
from addp_bench.spec import Choice


class Ratio:
    """A ratio.

    gamma: above which nothing more is gained; unitless. form: what it is said for.
    depth: how deep,
    in metres.
    """

    def __init__(
        self, gamma: float = 5.0, form: Literal["x0", "eps"] = "x0", depth: int | None = None, from_: str = ""
    ) -> None:
        if gamma <= 0:
            raise ValueError(f"needs gamma > 0, got {gamma}")
        self.gamma, self.form, self.depth, self.from_ = gamma, form, depth, from_


class Needy:
    def __init__(self, path: str) -> None:
        self.path = path


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.origin = "somebody 1.0"
    made.add("weights", "ratio", Ratio, aliases=("min_ratio",))
    made.add("weights", "needy", Needy)
    return made


@pytest.mark.parametrize("written", ["ratio", "Ratio", "min_ratio", "min-ratio", " MIN_RATIO "])
def test_look_up_forgives_case_dashes_and_aliases(registry, written):
    assert registry.get("weights", written).name == "ratio"


def test_an_unknown_name_suggests_the_nearest_and_says_what_is_known_and_what_failed(registry):
    registry.failures["theirs of other 2.0"] = "it broke"
    with pytest.raises(UnknownName) as caught:
        registry.get("weights", "ratoi")
    for piece in ("Did you mean 'ratio'?", "needy", "min_ratio", "theirs of other 2.0: it broke"):
        assert piece in str(caught.value)


def test_an_unknown_kind_suggests_the_nearest(registry):
    with pytest.raises(UnknownName, match="Did you mean 'weights'"):
        registry.get("weight", "ratio")


def test_a_name_or_alias_that_is_taken_says_by_whom(registry):
    registry.origin = "late 2.0"
    for name, aliases in (("ratio", ()), ("other", ("ratio",)), ("min_ratio", ())):
        with pytest.raises(BadPlugin, match=r"of late 2\.0 is taken by somebody 1\.0"):
            registry.add("weights", name, Ratio, aliases)
    assert registry.names("weights") == ["needy", "ratio"]


def test_the_same_name_in_two_kinds_is_two_plugins(registry):
    registry.add("target", "ratio", Needy)
    assert registry.get("target", "ratio").factory is Needy
    assert registry.get("weights", "ratio").factory is Ratio


@pytest.mark.parametrize("name", ["min_snr_5.0", "Ratio", "5g", "a-b", "", "os.getcwd"])
def test_a_name_is_a_lower_case_identifier(registry, name):
    with pytest.raises(BadPlugin, match="lower-case identifier"):
        registry.add("weights", name, Ratio)


def test_only_classes_and_functions_build(registry):
    with pytest.raises(BadPlugin, match="a factory is a class or a function, met partial"):
        registry.add("weights", "half", partial(Ratio, 2.0))


def test_an_unknown_kind_cannot_be_registered(registry):
    with pytest.raises(BadPlugin, match="'colour'"):
        registry.add("colour", "red", Ratio)


def test_withdrawn_plugins_free_their_names_and_aliases(registry):
    registry.withdraw([registry.get("weights", "ratio")])
    assert registry.names("weights") == ["needy"]
    registry.add("weights", "min_ratio", Needy)
    assert registry.get("weights", "min_ratio").factory is Needy


def test_options_carry_types_defaults_and_words(registry):
    gamma, form, depth, from_ = registry.get("weights", "ratio").options
    assert (gamma.name, gamma.type_name, gamma.default) == ("gamma", "float", 5.0)
    assert gamma.words == "above which nothing more is gained; unitless."
    assert form.words == "what it is said for."
    assert form.type_name == "x0 or eps"
    assert depth.words == "how deep, in metres."
    assert from_.name == "from"
    assert registry.get("weights", "needy").options[0].default is REQUIRED


def test_options_of_a_docstring_may_share_a_line_or_span_several():
    words = option_words("One line.\n\na: first. b: second,\nwhich goes on; c: third\n\nd: (B, 3): a shape")
    assert words == {"a": "first.", "b": "second, which goes on;", "c": "third", "d": "(B, 3): a shape"}


def test_resolving_fills_every_default_and_types_what_was_given(registry):
    resolved = registry.resolve("weights", Choice.parse("min-ratio:gamma=2:depth=3"))
    assert resolved == Choice("ratio", {"gamma": 2.0, "form": "x0", "depth": 3, "from": ""})
    assert isinstance(resolved.options["gamma"], float)


class Enlarged:
    """Takes numbers from a list. scale: times. mode: a word or none."""

    def __init__(self, scale: Literal[2, 4] = 4, mode: Literal["fast", None, True] = None) -> None:
        self.scale, self.mode = scale, mode


def test_numbers_of_a_list_are_read_from_the_command_line_as_numbers(registry):
    registry.add("weights", "enlarged", Enlarged)
    assert registry.build("weights", "enlarged:scale=2").scale == 2
    assert registry.build("weights", Choice("enlarged", {"scale": 2, "mode": "None"})).mode is None
    assert registry.build("weights", "enlarged:mode=True").mode is True
    for wrong in ("3", "2.0", " 2", "two"):
        with pytest.raises(BadOption, match=r"scale=.* is none of 2, 4"):
            registry.resolve("weights", Choice("enlarged", {"scale": wrong}))


def test_an_option_that_does_not_exist_suggests_the_nearest(registry):
    with pytest.raises(UnknownName, match=r"option of weights ratio is called 'gama'\. Did you mean 'gamma'"):
        registry.resolve("weights", Choice.parse("ratio:gama=2"))


@pytest.mark.parametrize("given", ["gamma=much", "form=v", "depth=1.5"])
def test_a_value_of_the_wrong_type_names_option_value_and_type(registry, given):
    with pytest.raises(BadOption, match=given.split("=")[0]):
        registry.resolve("weights", Choice.parse(f"ratio:{given}"))


def test_a_required_option_that_is_missing_is_named(registry):
    with pytest.raises(BadOption, match=r"needs path=\.\.\. \(str\)"):
        registry.build("weights", "needy")


def test_building_gives_typed_values_to_the_constructor(registry):
    built = registry.build("weights", "ratio:gamma=7:from=abc")
    assert (built.gamma, built.form, built.from_) == (7.0, "x0", "abc")


def test_what_a_constructor_refuses_is_a_bad_option(registry):
    with pytest.raises(BadOption, match=r"weights ratio: needs gamma > 0, got -1\.0"):
        registry.build("weights", "ratio:gamma=-1")


def test_entries_come_in_the_order_of_kinds_and_names(registry):
    registry.add("task", "zzz", Needy)
    assert [(e.kind, e.name) for e in registry.entries()] == [
        ("task", "zzz"),
        ("weights", "needy"),
        ("weights", "ratio"),
    ]
    assert [e.name for e in registry.entries("weights")] == ["needy", "ratio"]
