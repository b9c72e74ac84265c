"""Losses per sample."""

import pytest
import torch

from addp_bench.plugins.objectives import MSE, MaskedMSE
from addp_bench.types import Attempt

OUTPUT = torch.zeros(2, 2, 1, 2)
TARGET = torch.tensor([[[[1.0, 3.0]], [[1.0, 1.0]]], [[[2.0, 0.0]], [[0.0, 4.0]]]])


def attempt(output, goal, valid=None):
    """What a network said and should have said, and nothing else."""
    t = torch.zeros(len(output), dtype=torch.int64)
    return Attempt(output, goal, goal, t, valid, {}, lambda: output, lambda latents: latents)


VALID = torch.tensor([[[True, False]], [[True, True]]])


def test_mse_is_the_mean_over_channels_and_pixels_of_each_sample():
    assert MSE().losses(attempt(OUTPUT, TARGET)).tolist() == [3.0, 5.0]
    assert MSE().losses(attempt(OUTPUT, TARGET, VALID)).tolist() == [3.0, 5.0]


def test_masked_mse_averages_valid_pixels_of_each_sample():
    assert MaskedMSE("sample").losses(attempt(OUTPUT, TARGET, VALID)).tolist() == [1.0, 5.0]
    assert MaskedMSE("sample").losses(attempt(OUTPUT, TARGET)).tolist() == [3.0, 5.0]


def test_masked_mse_over_the_batch_has_the_mean_over_all_valid_elements():
    losses = MaskedMSE().losses(attempt(OUTPUT, TARGET, VALID))
    squares = torch.tensor([1.0, 1.0, 4.0, 0.0, 0.0, 16.0])  # two channels of three valid pixels
    torch.testing.assert_close(losses.mean(), squares.mean())
    assert losses.tolist() == pytest.approx([1.0 / 1.5, 10.0 / 1.5])


def test_what_lies_outside_the_mask_cannot_get_in():
    output = OUTPUT.clone().requires_grad_()
    broken = TARGET.clone()
    broken[0, :, 0, 1] = torch.nan
    for over in ("batch", "sample"):
        losses = MaskedMSE(over).losses(attempt(output, broken, VALID))
        losses.sum().backward()
        assert torch.isfinite(losses).all()
        assert torch.isfinite(output.grad).all()
        assert output.grad[0, :, 0, 1].tolist() == [0.0, 0.0]


def test_a_batch_without_a_valid_pixel_has_loss_0():
    for over in ("batch", "sample"):
        assert MaskedMSE(over).losses(attempt(OUTPUT, TARGET, torch.zeros_like(VALID))).tolist() == [0.0, 0.0]


def test_losses_of_half_precision_outputs_are_float32():
    assert MSE().losses(attempt(OUTPUT.bfloat16(), TARGET)).dtype == torch.float32
