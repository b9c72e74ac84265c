"""Model folders against diffusers itself (compared with 0.42) and against the formulas, on equal random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_miniature import SIDE, build_instruct_pix2pix, build_sd15
from PIL import Image

from addp_bench.baselines.folders import InstructPix2Pix
from addp_bench.baselines.latent_codec import VaeCodec
from addp_bench.batches import Batch, Recipe
from addp_bench.plugins.guidance import ImageText
from addp_bench.plugins.objectives import MSE
from addp_bench.plugins.samplers import DDIM
from addp_bench.plugins.targets import Epsilon
from addp_bench.sampling import guided
from addp_bench.timesteps import VectorDraws
from addp_bench.training import Trainer, loss_of
from addp_bench.types import Budget, to_batch

PROMPTS = ["make the ball red", "a cone, far left"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_instruct_pix2pix(tmp_path_factory.mktemp("ip2p"))


@pytest.fixture(scope="module")
def pipeline(folder):
    from diffusers import StableDiffusionInstructPix2PixPipeline

    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def model(folder):
    return InstructPix2Pix(str(folder))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def photographs(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


# ------------------------------------------------------------------------------------------------ parts


def test_text_is_padded_and_embedded_as_the_pipeline_does(model, pipeline):
    theirs, _ = pipeline_text(pipeline, [*PROMPTS, ""])
    ours = model.embed([*PROMPTS, ""])
    assert ours.shape == (3, 77, 32)
    assert torch.equal(ours, theirs)


def pipeline_text(pipeline, prompts):
    from diffusers import StableDiffusionPipeline

    encoder = StableDiffusionPipeline(
        **{k: v for k, v in pipeline.components.items() if k != "image_encoder"}, requires_safety_checker=False
    )
    return encoder.encode_prompt(prompts, torch.device("cpu"), 1, False)


def test_latents_are_scaled_samples_of_the_posterior_and_the_image_is_its_unscaled_mode(model, pipeline):
    images = to_batch(photographs(3))
    posterior = pipeline.vae.encode(images).latent_dist
    white = noise(3, 4, 8, 8)
    assert torch.equal(model.codec.encode(images, white), (posterior.mean + posterior.std * white) * 0.18215)
    assert torch.equal(model.codec.encode(images), posterior.mode() * 0.18215)
    assert torch.equal(model.condition(images), posterior.mode())


def test_the_image_latent_can_be_scaled(folder):
    images = to_batch(photographs(1))
    model = InstructPix2Pix(str(folder), image_latent="scaled_mode")
    assert torch.equal(model.condition(images), model.codec.mode(images) * 0.18215)


def test_decoding_undoes_the_scaling_and_clips(model, pipeline):
    latents = 5 * noise(2, 4, 8, 8)
    drawn = pipeline.vae.decode(latents / 0.18215).sample
    assert drawn.abs().max() > 1
    torch.testing.assert_close(model.codec.decode(latents), drawn.clamp(-1, 1))


def test_a_codec_honours_the_shift_or_the_statistics_that_its_settings_name(pipeline):
    from diffusers import AutoencoderKL

    images = to_batch(photographs(2))
    mode = pipeline.vae.encode(images).latent_dist.mode()
    mean, std = torch.tensor([1.0, -2.0, 0.5, 0.0]), torch.tensor([0.5, 2.0, 1.0, 4.0])
    cases = {
        "shift": ({"shift_factor": 0.1}, (mode - 0.1) * 0.18215),
        "statistics": (
            {"latents_mean": mean.tolist(), "latents_std": std.tolist()},
            (mode - mean.view(1, 4, 1, 1)) * 0.18215 / std.view(1, 4, 1, 1),
        ),
    }
    for name, (settings, expected) in cases.items():
        vae = AutoencoderKL.from_config({**pipeline.vae.config, **settings})
        vae.load_state_dict(pipeline.vae.state_dict())
        codec = VaeCodec(vae)
        torch.testing.assert_close(codec.encode(images), expected, msg=name)
        there_and_back = pipeline.vae.decode(mode).sample.clamp(-1, 1)
        torch.testing.assert_close(codec.decode(expected), there_and_back, atol=1e-5, rtol=0, msg=name)


def test_pictures_may_come_in_any_number(pipeline):
    images, latents = to_batch(photographs(5)), noise(5, 4, 8, 8)
    whole, pieces = VaeCodec(pipeline.vae), VaeCodec(pipeline.vae, chunk=2)
    torch.testing.assert_close(pieces.encode(images), whole.encode(images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pieces.decode(latents), whole.decode(latents), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ the whole way


@pytest.mark.parametrize("image_weight, text_weight, one", [(1.5, 7.5, False), (1.5, 3.0, True)])
def test_sampling_equals_the_diffusers_pipeline_at_every_step(model, pipeline, image_weight, text_weight, one):
    from diffusers import DDIMScheduler

    pictures, start, steps = photographs(2), noise(2, 4, 8, 8, seed=1), 10
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False, set_alpha_to_one=one)
    visited = [start]

    def keep(pipe, index, t, values):
        visited.append(values["latents"])
        return values

    theirs = pipeline(
        prompt=PROMPTS,
        image=[Image.fromarray(p) for p in pictures],
        latents=start,
        num_inference_steps=steps,
        guidance_scale=text_weight,
        image_guidance_scale=image_weight,
        output_type="np",
        callback_on_step_end=keep,
    ).images

    images = to_batch(pictures)
    denoise = guided(
        model,
        ImageText(image_weight, text_weight),
        Epsilon(),
        model.condition(images),
        model.embed(PROMPTS),
        model.embed([""])[0],
        model.noise,
    )
    seen = []

    def watched(x_t, t):
        seen.append(x_t)
        return denoise(x_t, t)

    sampler = DDIM(spacing="leading", steps_offset=1, set_alpha_to_one=one)
    trajectory = sampler.trajectory(watched, start, model.noise, steps, [("a",), ("b",)])
    seen.append(trajectory[-1].x0)
    assert len(seen) == len(visited) == steps + 1
    for step, (ours, expected) in enumerate(zip(seen, visited)):
        error = (ours - expected).abs().max() / expected.abs().max()  # latents of a random network grow to about 30
        assert error <= 1e-5, f"step {step}: {error:.2g}"
    drawn = (model.codec.decode(seen[-1]).permute(0, 2, 3, 1).numpy() + 1) / 2
    assert np.abs(drawn - theirs).max() <= 1 / 255


# ------------------------------------------------------------------------------------------------ training


class Unchanged:
    def train_input(self, x_t, t, noise, white, denoise):
        return x_t

    def sampled(self, eps, index):
        return eps


def recipe(model) -> Recipe:
    draws = VectorDraws("uniform", np.ones(1000), "probability", "prob", model.noise, Epsilon())
    return Recipe(model.noise, Epsilon(), draws, None, Unchanged(), MSE())


def batch(device: str = "cpu") -> Batch:
    x0, eps = noise(4, 4, 8, 8), noise(4, 4, 8, 8, seed=1)
    t, image, text = torch.tensor([0, 250, 500, 999]), noise(4, 4, 8, 8, seed=2), noise(4, 77, 32, seed=3)
    values = (x0, x0, eps, eps, t, torch.ones(4), image, text)
    return Batch(*(v.to(device) for v in values))


def test_a_training_step_has_the_loss_and_the_gradient_of_the_formulas(model, folder):
    from diffusers import DDPMScheduler, UNet2DConditionModel

    b = batch()
    loss = loss_of(model, recipe(model), b, step=0)
    loss.backward()

    unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    forward = DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    seen = torch.cat([forward.add_noise(b.x0, b.eps, b.t), b.image], dim=1)
    expected = torch.nn.functional.mse_loss(unet(seen, b.t, encoder_hidden_states=b.text).sample, b.eps)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for (name, ours), theirs in zip(model.network.named_parameters(), unet.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_nothing_waits_for_a_device_in_training_and_sampling(tmp_path):
    """On `meta` there are no values, so whatever reads one on the way (.item(), .cpu(), a stray device) raises."""
    model = InstructPix2Pix(str(build_sd15(tmp_path))).to("meta")
    budget = Budget("quick", 2, 4, 1e-4, 1, None, None, 2, 0.99, 4)
    trainer = Trainer(model, recipe(model), budget, "fp32")
    loss = trainer.update(batch("meta"))
    assert loss.device.type == "meta"
    images = to_batch(photographs(2)).to("meta")
    image, text = model.condition(images), model.embed(PROMPTS)
    denoise = guided(model, ImageText(), Epsilon(), image, text, model.embed([""])[0], model.noise)
    start = noise(2, 4, 8, 8).to("meta")
    answer = DDIM().trajectory(denoise, start, model.noise, 2, [("a",), ("b",)])[-1].x0
    drawn = model.codec.decode(answer)
    assert (drawn.device.type, drawn.shape) == ("meta", (2, 3, SIDE, SIDE))
