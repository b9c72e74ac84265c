"""Random model folders of Stable Diffusion 1.5's shape, written by diffusers itself, that run in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIDE = 64  # pixels; 8 x 8 latents


def components(unet_channels: int = 4, prediction_type: str = "epsilon") -> dict[str, Any]:
    """The parts of the pipeline, equal at every call: equal weights from equal seeds."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet: Any = diffusers.UNet2DConditionModel(
            sample_size=SIDE // 8,
            in_channels=unet_channels,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(32, 64),
            layers_per_block=1,
            cross_attention_dim=32,
            attention_head_dim=8,
        )
        vae: Any = diffusers.AutoencoderKL(
            sample_size=SIDE,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(16, 16, 16, 16),
            norm_num_groups=8,
            layers_per_block=1,
            latent_channels=4,
            scaling_factor=0.18215,
        )
        tokenizer = byte_tokenizer()
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=77,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
    scheduler = diffusers.PNDMScheduler(  # scheduler_config.json of Stable Diffusion 1.5
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
        prediction_type=prediction_type,
    )
    return {
        "vae": vae.eval(),
        "text_encoder": text_encoder.eval(),
        "tokenizer": tokenizer,
        "unet": unet.eval(),
        "scheduler": scheduler,
    }


def byte_tokenizer() -> Any:
    """CLIP's tokenizer over single bytes: 256 within a word, 256 at its end, two marks; no merges."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)


def build_sd15(root: Path, **options: Any) -> Path:
    """Write the miniature to `root` as Stable Diffusion 1.5 lies on a disk, safetensors, without the safety checker."""
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline(
        **components(**options), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.save_pretrained(root, safe_serialization=True)
    return root


def build_instruct_pix2pix(root: Path, **options: Any) -> Path:
    """The same with the 8-channel UNet of InstructPix2Pix."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    pipeline: Any = StableDiffusionInstructPix2PixPipeline(
        **components(unet_channels=8, **options),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(root, safe_serialization=True)
    return root
