"""Blocks of a UNet's up path: their names, and that what is read is what the block gives."""

from __future__ import annotations

import diffusers
import pytest
import torch

from addp_bench.baselines.blocks import modules, names, watched
from addp_bench.baselines.folders import InstructPix2Pix, Tiny

SMALL = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "cross_attention_dim": 16,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}


def unet(**settings):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(**SMALL, **settings).eval()


def test_stable_diffusion_has_twelve_blocks_and_names_need_no_weights():
    config = {"up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3], "layers_per_block": 2}
    assert names(config) == tuple(f"out_{k}" for k in range(1, 13))
    assert len(names({})) == 12, "what diffusers takes where nothing is said"


@pytest.mark.parametrize(
    "settings",
    [
        {
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
        },
        {
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "block_out_channels": (8, 16, 16),
            "layers_per_block": (1, 2, 1),
        },
    ],
)
def test_names_said_by_settings_are_those_of_the_network_in_the_order_of_computing(settings):
    network = unet(**settings)
    assert names(network.config) == tuple(modules(network))
    order = []
    hooks = [m.register_forward_hook(lambda *_, name=name: order.append(name)) for name, m in modules(network).items()]
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad(), watched(network, ["out_1"]):
        network(x, torch.tensor([3, 3]), torch.randn(2, 5, 16))
    for hook in hooks:
        hook.remove()
    assert order == list(names(network.config))


def test_what_is_read_is_what_the_next_part_of_the_network_is_given():
    """The last block's output goes, normalised, through conv_out: doing that by hand gives the network's answer."""
    network = unet(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
    )
    x, t, text = torch.randn(3, 4, 8, 8), torch.tensor([5, 5, 5]), torch.randn(3, 5, 16)
    with torch.no_grad(), watched(network, names(network.config)) as seen:
        answer = network(x, t, text, return_dict=False)[0]
        again = network.conv_out(network.conv_act(network.conv_norm_out(seen["out_4"])))
        enlarged = network.up_blocks[0].upsamplers[0](seen["out_2"])
    torch.testing.assert_close(again, answer)
    assert {name: tuple(out.shape) for name, out in seen.items()} == {
        "out_1": (3, 16, 4, 4), "out_2": (3, 16, 4, 4), "out_3": (3, 8, 8, 8), "out_4": (3, 8, 8, 8)
    }  # fmt: skip
    assert enlarged.shape == (3, 16, 8, 8)
    assert not any(module._forward_hooks for module in network.modules()), "nothing is left behind"


@pytest.mark.parametrize("stage", ["edit", "generate"])
def test_tiny_has_four_blocks_and_its_card_names_them(stage):
    model = Tiny(stage)
    assert tuple(model.layers) == tuple(Tiny.card({"stage": stage, "path": None}).layers)
    assert tuple(model.layers) == tuple(modules(model.network)) == ("out_1", "out_2", "out_3", "out_4")


def test_features_change_no_answer_and_carry_no_gradient(sd15):
    model = InstructPix2Pix(str(sd15))
    model.network.eval()
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 2])
    text = model.embed(["", "a cup"])
    with torch.no_grad():
        before = model.forward(x, t, torch.zeros_like(x), text)
        seen = model.features(x, t, torch.zeros_like(x), text, ["out_2", "out_4"])
        torch.testing.assert_close(model.forward(x, t, torch.zeros_like(x), text), before)
    seen = model.features(x, t, torch.zeros_like(x), text, ["out_2", "out_4"])
    assert set(seen) == {"out_2", "out_4"}
    assert not any(out.requires_grad for out in seen.values())
