"""Guided denoising: one batched pass, equal to the published pipeline, independent of the batch."""

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addp_bench.errors import BadOption, BadRequest
from addp_bench.plugins.guidance import Correctional, ImageText, InstructDiffusion, NoGuidance
from addp_bench.plugins.noise import Flow, ScaledLinear
from addp_bench.plugins.samplers import DDIM
from addp_bench.plugins.targets import X0, Epsilon, V
from addp_bench.plugins.targets import Flow as FlowTarget
from addp_bench.sampling import guided
from addp_bench.schedule import TableNoise

NOISE = ScaledLinear()


class Recorder:
    """A random conditional network that notes the size of every batch it is shown."""

    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.from_x = torch.randn(4, 4, 3, 3, generator=g) * 0.2
        self.from_image = torch.randn(4, 3, 3, 3, generator=g) * 0.2
        self.from_text = torch.randn(5, 4, generator=g) * 0.5
        self.batches = []

    def forward(self, x_t, t, image, text):
        self.batches.append(len(x_t))
        assert t.shape == (len(x_t),)
        assert t.dtype == torch.int64
        conv = torch.nn.functional.conv2d
        pulled = (text.mean(dim=1) @ self.from_text.to(x_t.device))[:, :, None, None]
        seen = conv(image, self.from_image.to(x_t.device), padding=1)
        return torch.tanh(
            conv(x_t, self.from_x.to(x_t.device), padding=1) + seen + pulled + (t / 1000)[:, None, None, None]
        )


@pytest.fixture
def scene():
    g = torch.Generator().manual_seed(1)
    return {
        "image_cond": torch.randn(3, 3, 6, 6, generator=g),
        "text": torch.randn(3, 7, 5, generator=g),
        "null_text": torch.randn(7, 5, generator=g),
    }


X_T = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(2))


def by_hand(model, scene, coefficients, target, t, correction=None):
    """The same, one conditioning at a time."""
    texts = {"full": scene["text"], "null": scene["null_text"].expand(3, 7, 5), "correction": correction}
    images = {"full": scene["image_cond"], "null": torch.zeros(3, 3, 6, 6)}
    at = torch.full((3,), t)
    output = sum(c * model.forward(X_T, at, images[i], texts[w]) for (w, i), c in coefficients.items())
    a, s = NOISE.a(at)[:, None, None, None], NOISE.s(at)[:, None, None, None]
    return target.to_x0(output, X_T, a, s)


@pytest.mark.parametrize("target", [Epsilon(), X0(), V()])
@pytest.mark.parametrize("guidance", [NoGuidance(), ImageText(1.5, 3.0), InstructDiffusion(), Correctional()])
def test_one_batched_pass_equals_a_pass_for_each_conditioning(scene, guidance, target):
    model, correction = Recorder(), torch.randn(3, 7, 5)
    made = guided(model, guidance, target, noise=NOISE, correction=correction, **scene)(X_T, 600)
    assert model.batches == [3 * len(guidance.coefficients())]
    expected = by_hand(model, scene, guidance.coefficients(), target, 600, correction)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", [Epsilon(), V()])
def test_combining_outputs_equals_combining_estimates_of_x0(scene, target):
    model, guidance = Recorder(), ImageText(1.5, 3.0)
    made = guided(model, guidance, target, noise=NOISE, **scene)(X_T, 600)
    mixed = sum(
        c * by_hand(model, scene, {condition: 1.0}, target, 600) for condition, c in guidance.coefficients().items()
    )
    torch.testing.assert_close(made, mixed, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(st.floats(1e-3, 0.999).map(lambda signal: TableNoise(np.array([signal]))), st.just(Flow())),
    st.sampled_from([ImageText(1.5, 7.5), InstructDiffusion(), Correctional()]),
    st.sampled_from([Epsilon(), X0(), V(), FlowTarget()]),
    st.integers(0, 998),
)
def test_guiding_x0_is_guiding_epsilon_on_any_schedule(noise, guidance, target, t):
    """Estimates of x0 are combined by hand, and turned into noise; so is what came of guiding the network's outputs."""
    t = min(t, noise.steps - 1)
    if noise.alphas_cumprod[-1] == 0:
        noise = TableNoise(noise.alphas_cumprod[:-1]) if isinstance(target, Epsilon) else noise
    g = torch.Generator().manual_seed(1)
    image, text, correction = (torch.randn(3, *size, generator=g) for size in ((3, 6, 6), (7, 5), (7, 5)))
    empty = torch.randn(7, 5, generator=g)
    texts = {"full": text, "null": empty.expand(3, 7, 5), "correction": correction}
    images = {"full": image, "null": torch.zeros_like(image)}
    a, s = noise.alphas_cumprod[t] ** 0.5, (1 - noise.alphas_cumprod[t]) ** 0.5
    whole = guided(Recorder(), guidance, target, image, text, empty, noise, correction)(X_T, t)
    by_x0, by_eps = 0.0, 0.0
    for (words, picture), c in guidance.coefficients().items():
        one = guided(Recorder(), NoGuidance(), target, images[picture], texts[words], empty, noise)
        x0 = one(X_T, t).double()
        by_x0, by_eps = by_x0 + c * x0, by_eps + c * (X_T - a * x0) / s
    size = by_x0.abs().max().item()
    torch.testing.assert_close(whole.double(), by_x0, rtol=1e-4, atol=1e-4 * size)
    torch.testing.assert_close((X_T - s * by_eps) / a, by_x0, rtol=1e-6, atol=1e-6 * size)


def test_conditionings_without_weight_cost_nothing(scene):
    model = Recorder()
    guided(model, ImageText(image=1.0, text=3.0), X0(), noise=NOISE, **scene)(X_T, 600)
    guided(model, ImageText(image=1.0, text=1.0), X0(), noise=NOISE, **scene)(X_T, 600)
    guided(model, InstructDiffusion(image=0.5, text=2.0), X0(), noise=NOISE, **scene)(X_T, 600)
    assert model.batches == [6, 3, 6]


def test_equal_conditionings_are_shown_once(scene):
    model = Recorder()
    empty = scene["null_text"].expand(3, 7, 5).clone()
    made = guided(model, Correctional(1.5, 2.0, 3.0), X0(), noise=NOISE, correction=empty, **scene)(X_T, 600)
    plain = guided(model, ImageText(1.5, 3.0), X0(), noise=NOISE, **scene)(X_T, 600)
    assert model.batches == [9, 9]
    torch.testing.assert_close(made, plain)
    same = guided(model, Correctional(1.5, 2.0, 3.0), X0(), noise=NOISE, correction=scene["text"].clone(), **scene)
    torch.testing.assert_close(same(X_T, 600), guided(model, ImageText(1.5, 2.0), X0(), noise=NOISE, **scene)(X_T, 600))
    assert model.batches[2] == 9


def test_without_words_or_photograph_the_passes_of_instructdiffusion_merge(scene):
    model = Recorder()
    wordless = {**scene, "text": scene["null_text"].expand(3, 7, 5).clone()}
    made = guided(model, InstructDiffusion(1.25, 5.0), X0(), noise=NOISE, **wordless)(X_T, 600)
    # e(0, I) is e(D, I), and e(0, 0) is e(D, 0): 1.75 of the one and -0.75 of the other
    expected = guided(model, ImageText(1.75, 1.75), X0(), noise=NOISE, **wordless)(X_T, 600)
    assert model.batches == [6, 6]
    torch.testing.assert_close(made, expected)
    blind = {**scene, "image_cond": torch.zeros(3, 3, 6, 6)}
    guided(model, InstructDiffusion(1.25, 5.0), X0(), noise=NOISE, **blind)(X_T, 600)
    assert model.batches[2] == 6


def test_a_sample_is_guided_alike_in_any_batch(scene):
    model = Recorder()
    whole = guided(model, ImageText(), Epsilon(), noise=NOISE, **scene)(X_T, 300)
    alone = {"image_cond": scene["image_cond"][1:2], "text": scene["text"][1:2], "null_text": scene["null_text"]}
    torch.testing.assert_close(guided(model, ImageText(), Epsilon(), noise=NOISE, **alone)(X_T[1:2], 300), whole[1:2])


def test_no_gradient_is_kept(scene):
    model = Recorder()
    model.from_x.requires_grad_()
    assert not guided(model, ImageText(), X0(), noise=NOISE, **scene)(X_T, 600).requires_grad


def test_a_whole_guided_trajectory_runs_on_meta_where_a_hidden_wait_would_raise(scene):
    there = {k: v.to("meta") for k, v in scene.items()}
    denoise = guided(Recorder(), ImageText(), V(), noise=NOISE, **there)
    made = DDIM().trajectory(denoise, X_T.to("meta"), NOISE, 4, [("a",), ("b",), ("c",)])
    assert made[-1].x0.shape == X_T.shape


def test_a_correction_that_is_missing_is_an_error(scene):
    with pytest.raises(BadOption, match="Correctional needs a correction"):
        guided(Recorder(), Correctional(), X0(), noise=NOISE, **scene)


def test_an_epsilon_model_cannot_be_sampled_from_pure_noise(scene):
    with pytest.raises(BadOption, match="schedule that ends without signal"):
        guided(Recorder(), NoGuidance(), Epsilon(), noise=ScaledLinear(zero_snr=True), **scene)


def test_null_text_of_another_length_is_an_error(scene):
    with pytest.raises(BadRequest, match=r"\(7, 5\) per sample, null text \(6, 5\)"):
        guided(Recorder(), NoGuidance(), X0(), noise=NOISE, **{**scene, "null_text": scene["null_text"][:6]})


class Tiny:
    """The pipeline's network behind our contract: noisy latent first, then the image latent."""

    def __init__(self, unet):
        self.unet = unet

    def forward(self, x_t, t, image, text):
        return self.unet(torch.cat([x_t, image], dim=1), t, encoder_hidden_states=text).sample


def test_guided_ddim_equals_the_instruct_pix2pix_pipeline_of_diffusers():
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=5, norm_num_groups=4, attention_head_dim=4,
    ).eval()  # fmt: skip
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4).eval()
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, timestep_spacing="leading",
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
        vae, None, None, unet, scheduler, None, None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    g = torch.Generator().manual_seed(3)
    start, image = torch.randn(2, 4, 8, 8, generator=g), torch.randn(2, 4, 8, 8, generator=g)
    text, null = torch.randn(2, 7, 5, generator=g), torch.randn(7, 5, generator=g)
    expected = pipeline(
        image=image, prompt_embeds=text, negative_prompt_embeds=null.expand(2, 7, 5), latents=start.clone(),
        num_inference_steps=10, guidance_scale=7.5, image_guidance_scale=1.5, output_type="latent",
    ).images  # fmt: skip
    denoise = guided(Tiny(unet), ImageText(1.5, 7.5), Epsilon(), image, text, null, NOISE)
    sampler = DDIM(spacing="leading", set_alpha_to_one=False)
    made = sampler.trajectory(denoise, start, NOISE, 10, [("a",), ("b",)])[-1].x0
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())
