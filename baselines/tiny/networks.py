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


def build_scheduler() -> DDIMScheduler:
    """DDIM over Stable Diffusion's noise, stretched so that the last timestep is noise alone (Lin et al., 2024).

    Timesteps are counted from the noisiest (trailing), the last step ends at alpha 1. Sampling begins from noise alone;
    where training does not, a network this small reads the answer from what is left of it and not from the words.
    """
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        rescale_betas_zero_snr=True,
        prediction_type=PREDICTION,
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
