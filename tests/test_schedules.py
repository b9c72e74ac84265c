"""Augmentation schedules by hand."""

import pytest
import torch

from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.schedules import Constant, Linear, NoAug, Tada

NOISE = ScaledLinear()
T = torch.tensor([0, 250, 500, 999])


def test_no_augmentation_is_strength_0_and_says_that_nothing_is_corrupted():
    assert NoAug().strength(T, NOISE).tolist() == [0.0] * 4
    assert not NoAug.corrupts
    assert all(made.corrupts for made in (Constant(), Linear(), Tada()))


def test_linear_rises_from_0_to_just_under_1():
    assert Linear().strength(T, NOISE).tolist() == pytest.approx([0, 0.25, 0.5, 0.999])
    assert Linear(0.5).strength(T, NOISE).tolist() == pytest.approx([0, 0.125, 0.25, 0.4995])


def test_constant_is_the_intensity_everywhere():
    assert Constant(0.5).strength(T, NOISE).tolist() == [0.5] * 4


def test_the_papers_intensities_are_taken_and_no_other_is_made_one_of_them():
    assert Constant(2).strength(T, NOISE).tolist() == [2.0] * 4
    assert Linear(2).strength(T, NOISE).tolist() == pytest.approx([0, 0.5, 1.0, 1.998])
    for made in (Constant, Linear, Tada):
        with pytest.raises(ValueError, match=r"0 to 2, got 2\.5"):
            made(2.5)


def test_tadas_band_has_its_worked_ends():
    inside = (Tada().relative(torch.arange(1000), NOISE) < 0.1).nonzero().flatten().tolist()
    assert (inside[0], inside[-1]) == (354, 770)


def test_tada_has_its_worked_values():
    t = torch.tensor([0, 100, 250, 500, 750, 900, 999])
    worked = [1.000000, 0.587134, 0.220105, 0.012829, 0.077624, 0.334575, 0.663594]
    assert Tada().strength(t, NOISE).tolist() == pytest.approx(worked, abs=6e-7)
    everywhere = Tada().relative(torch.arange(1000), NOISE)
    assert int(everywhere.argmin()) == 579
    assert everywhere.min().item() == pytest.approx(4.5e-7, abs=1e-7)
    assert everywhere.mean().item() == pytest.approx(0.246036, abs=6e-7)
    assert (everywhere == 1).nonzero().max().item() == 39


def test_tada_calibrated_to_a_latent_side_reads_the_snr_of_64_by_64():
    scaled = ScaledLinear(shift=4.0)  # side 32 multiplies the SNR by 4
    torch.testing.assert_close(Tada(side=32).strength(T, NOISE), Tada().strength(T, scaled))
    torch.testing.assert_close(Tada(side=64).strength(T, NOISE), Tada().strength(T, NOISE))


def test_tada_is_strongest_where_no_signal_is_left():
    assert Tada().strength(torch.tensor([999]), ScaledLinear(zero_snr=True)).item() == 1.0


@pytest.mark.parametrize("made", [NoAug(), Constant(), Linear(), Tada()])
def test_strengths_are_float32_on_the_device_of_the_question(made):
    assert made.strength(T, NOISE).dtype == torch.float32
    assert made.strength(T.to("meta"), NOISE).device.type == "meta"


@pytest.mark.parametrize("intensity", [-0.1, float("nan"), float("inf")])
def test_an_intensity_below_0_is_refused(intensity):
    for made in (Constant, Linear, Tada):
        with pytest.raises(ValueError, match="intensity"):
            made(intensity)


@pytest.mark.parametrize("wrong", [{"rough": 1.0}, {"delta": 2.0}, {"kappa": 0.0}, {"side": 0}])
def test_tada_refuses_a_band_that_is_none(wrong):
    (option,) = wrong
    with pytest.raises(ValueError, match=option):
        Tada(**wrong)
