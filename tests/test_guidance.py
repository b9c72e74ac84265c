"""Guidance: coefficients by hand, and the special cases that must coincide."""

import pytest

from addp_bench.plugins.guidance import Correctional, ImageText, InstructDiffusion, NoGuidance

# the worked scalars: e(nothing), e(image), e(prompt), e(correction, image), e(prompt, image)
E = {
    ("null", "null"): 0.1,
    ("null", "full"): 0.2,
    ("full", "null"): 0.4,
    ("correction", "full"): 0.5,
    ("full", "full"): 0.7,
}


def guided(guidance, **other):
    said = {**E, **{tuple(k.split("_")): v for k, v in other.items()}}
    return sum(c * said[condition] for condition, c in guidance.coefficients().items())


@pytest.mark.parametrize(
    "guidance, value",
    [
        (Correctional(), 1.45),
        (ImageText(), 4.00),
        (ImageText(text=3.0), 1.75),
        (InstructDiffusion(), 3.175),
        (NoGuidance(), 0.7),
    ],
)
def test_the_worked_scalars(guidance, value):
    assert guided(guidance) == pytest.approx(value)


@pytest.mark.parametrize(
    "guidance",
    [NoGuidance(), ImageText(), ImageText(0.3, 11), InstructDiffusion(0.5, 6), Correctional(), Correctional(2, 5, 1)],
)
def test_coefficients_sum_to_1(guidance):
    assert sum(guidance.coefficients().values()) == pytest.approx(1)


def test_the_coefficients_of_equation_5():
    assert list(Correctional(1.5, 2.0, 3.0).coefficients().items()) == [
        (("null", "null"), -0.5),
        (("null", "full"), -0.5),
        (("correction", "full"), -1.0),
        (("full", "full"), 3.0),
    ]


def test_the_coefficients_of_two_condition_guidance():
    assert ImageText(1.5, 7.5).coefficients() == {("null", "null"): -0.5, ("null", "full"): -6.0, ("full", "full"): 7.5}


def test_instructdiffusion_never_asks_without_both_conditions():
    assert InstructDiffusion(1.5, 7.5).coefficients() == {
        ("null", "full"): -7.0,
        ("full", "null"): -1.0,
        ("full", "full"): 9.0,
    }


def test_equal_weights_cancel_the_correction():
    assert guided(Correctional(1.5, 3.0, 3.0)) == pytest.approx(guided(ImageText(1.5, 3.0)))


def test_an_empty_correction_leaves_the_guidance_of_the_prompt():
    assert guided(Correctional(1.5, 2.0, 3.0), correction_full=E["null", "full"]) == pytest.approx(
        guided(ImageText(1.5, 3.0))
    )


def test_correcting_with_the_prompt_itself_guides_by_the_corrections_weight():
    assert guided(Correctional(1.5, 2.0, 3.0), correction_full=E["full", "full"]) == pytest.approx(
        guided(ImageText(1.5, 2.0))
    )


def test_with_unit_weights_it_is_the_difference_of_prompt_and_correction():
    w = 2.0
    assert guided(Correctional(1.0, 1.0, 1 + w)) == pytest.approx((1 + w) * 0.7 - w * 0.5)
