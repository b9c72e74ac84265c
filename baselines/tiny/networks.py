"""The networks and the noise of the two diffusion stages, and the surgery that leads from one to the other."""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .autoencoder import CHANNELS
from .vocabulary import END, LENGTH, START

WIDTHS = (64, 128)  # at 8 x 8 and 4 x 4
TEXT_WIDTH = 96
STEPS = 1000
SHIFT = 6.0  # the signal-to-noise ratio of Stable Diffusion's noise, times this
PREDICTION = "sample"  # x0: epsilon and v were slower to learn by far at this size


def build_unet(channels: int = CHANNELS) -> UNet2DConditionModel:
    """Untrained: latents (B, channels, 8, 8), timesteps (B,), text (B, LENGTH, TEXT_WIDTH) to (B, CHANNELS, 8, 8)."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=CHANNELS,
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D",) * len(WIDTHS),
        up_block_types=("CrossAttnUpBlock2D",) * len(WIDTHS),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(2, 4),  # the number of heads, in spite of its name
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Untrained: tokens (B, LENGTH) to last_hidden_state (B, LENGTH, TEXT_WIDTH)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="gelu",
            initializer_factor=1.0,
            bos_token_id=tokenizer.convert_tokens_to_ids(START),
            eos_token_id=tokenizer.convert_tokens_to_ids(END),
            pad_token_id=tokenizer.convert_tokens_to_ids(END),
        )
    )


def for_editing(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """InstructPix2Pix's surgery: [noisy latent, image latent] as input, the new half of the first weights zero.

    All else is copied, the first bias too, so that at first the output is the same for any image latent.
    """
    wide = UNet2DConditionModel.from_config({**unet.config, "in_channels": 2 * CHANNELS})
    state = unet.state_dict()
    weight = state["conv_in.weight"]
    state["conv_in.weight"] = torch.cat([weight, torch.zeros_like(weight)], 1)
    wide.load_state_dict(state)
    return wide


def shifted_betas(shift: float = SHIFT, steps: int = STEPS) -> Tensor:
    """Betas (T,) float64 of noise with SNR'(t) = shift * SNR(t), SNR being that of Stable Diffusion's scaled_linear.

    A latent of 8 x 8 has 16 times fewer cells than one of 32 x 32, so that averaging over a solid of given extent
    removes less noise: at equal SNR per cell less is known of the solid. The shift gives some of it back.
    """
    root = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64)
    kept = torch.cumprod(1 - root**2, 0)
    ratio = shift * kept / (1 - kept)
    shifted = ratio / (1 + ratio)
    return 1 - shifted / torch.cat([torch.ones(1, dtype=torch.float64), shifted[:-1]])


def build_scheduler(prediction: str = PREDICTION, shift: float = SHIFT) -> DDIMScheduler:
    """DDIM over the shifted noise; the last step ends at alpha 1, steps are counted from the noisiest (trailing)."""
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        trained_betas=[float(f"{beta:.9g}") for beta in shifted_betas(shift)],
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, kept: Tensor) -> Tensor:
    """x_t = a_t x0 + s_t noise for latents (B, C, h, w), timesteps (B,) and kept = alphas_cumprod (T,)."""
    a = kept[timesteps].sqrt().view(-1, 1, 1, 1)
    s = (1 - kept[timesteps]).sqrt().view(-1, 1, 1, 1)
    return a * latents + s * noise


def light_attention(unet: UNet2DConditionModel) -> None:
    """Attention as two plain products: on CPUs the fused kernel's backward pass is slow in bfloat16."""
    from diffusers.models.attention_processor import AttnProcessor

    unet.set_attn_processor(AttnProcessor())
