"""The shipped weights, and the script that made them, in miniature."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline
from transformers import CLIPTokenizer

from addp_bench.baselines import tiny
from addp_bench.baselines.tiny import (
    autoencoder,
    checkpoint,
    editing,
    language,
    networks,
    pool,
    pretrain,
    stages,
    vocabulary,
)
from addp_bench.baselines.tiny.drawings import KINDS, draw
from addp_bench.tasks.tabletop.splits import HELD_OUT
from addp_bench.tasks.tabletop.words import VOCABULARY

EDIT, GENERATE = tiny.WEIGHTS / "edit", tiny.WEIGHTS / "generate"


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(EDIT / "vae", torch_dtype=torch.float32, local_files_only=True).eval()


@pytest.fixture(scope="module")
def held() -> pool.Scenes:
    return pool.Scenes(**pool.random_scenes(1234, 0, 32))


def test_the_shipped_folders_load_with_diffusers(vae):
    edit = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        EDIT, safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )
    generate = StableDiffusionPipeline.from_pretrained(
        GENERATE, vae=vae, safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )
    assert edit.unet.config.in_channels == 2 * vae.config.latent_channels == 2 * generate.unet.config.in_channels
    assert edit.scheduler.config.prediction_type == generate.scheduler.config.prediction_type == networks.PREDICTION
    edit.set_progress_bar_config(disable=True)
    photo = torch.rand(1, 3, 64, 64)
    out = edit("make the blue cone pink", photo, num_inference_steps=2, output_type="np", generator=torch.Generator())
    assert out.images.shape == (1, 64, 64, 3)


def test_all_that_is_shipped_is_under_24_megabytes_and_safe_to_load():
    files = [file for file in tiny.WEIGHTS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 24e6
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".txt", ".md"}
    assert not [file for file in files if file.name == "config.json" and "_name_or_path" in file.read_text()]


@pytest.mark.parametrize("folder", [EDIT, GENERATE], ids=["edit", "generate"])
def test_every_word_is_one_token_and_anything_else_still_has_tokens(folder):
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    words = sorted({*VOCABULARY, *vocabulary.TASK_WORDS})
    assert [word for word in words if len(tokenizer(word).input_ids) != 3] == []
    assert len({tokenizer(word).input_ids[1] for word in words}) == len(words)
    assert tokenizer.model_max_length == vocabulary.LENGTH
    assert len(tokenizer("zebra-crossing é").input_ids) > 4


def test_the_noise_is_stable_diffusions_and_ends_without_signal():
    scheduler = DDIMScheduler.from_pretrained(EDIT / "scheduler", local_files_only=True)
    kept = scheduler.alphas_cumprod.double().sqrt()
    sd = torch.tensor([0.99957491, 0.82084872, 0.52567355, 0.06826491], dtype=torch.float64)  # at 0, 250, 500, 999
    assert torch.allclose(kept[[0, 250, 500, 999]], (sd - sd[-1]) * sd[0] / (sd[0] - sd[-1]), atol=1e-5)


def test_surgery_leaves_the_output_as_it_was():
    torch.manual_seed(0)
    unet = networks.build_unet().eval()
    wide = networks.for_editing(unet).eval()
    noisy, photo = torch.randn(2, 16, 8, 8), torch.randn(2, 16, 8, 8)
    when, text = torch.tensor([3, 900]), torch.randn(2, vocabulary.LENGTH, networks.TEXT_WIDTH)
    with torch.no_grad():
        assert torch.equal(unet(noisy, when, text).sample, wide(torch.cat([noisy, photo], 1), when, text).sample)


def test_red_masks_survive_the_autoencoder(vae, held):
    image = held.images.permute(0, 3, 1, 2).float()
    assert autoencoder.painted_share(vae, image, held.instance == 1, (255, 0, 0)) >= 0.95


def test_latents_have_unit_variance(vae, held):
    pictures, _ = draw(held, torch.arange(32), torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = vae.encode(autoencoder.to_unit(pictures)).latent_dist.mode() * vae.config.scaling_factor
    assert latents.std().item() == pytest.approx(1.0, abs=0.1)


def test_every_kind_of_drawing_stays_in_range_and_some_differ_from_the_photograph(held):
    rows = torch.arange(32).repeat(8)
    pictures, emphasis = draw(held, rows, torch.Generator().manual_seed(0))
    photographs = held.images[rows].permute(0, 3, 1, 2).float()
    assert pictures.shape == photographs.shape
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    same = [torch.equal(p, q) or torch.equal(p, q.flip(-1)) for p, q in zip(pictures, photographs, strict=True)]
    assert sum(same) / len(same) == pytest.approx(KINDS[0][1], abs=0.08)
    assert emphasis.min() >= 1
    assert emphasis.max() == 5


def test_instructions_name_no_drawing_colour_and_mirror_with_the_picture():
    assert language.mirrored("move the leftmost cone to the right") == "move the rightmost cone to the left"
    made = editing.random_edits(3, 0, 4)
    said = set(" ".join(editing.read(made["sayings"][:, 0])).split())
    assert said <= {*VOCABULARY, *vocabulary.TASK_WORDS}
    assert not said & {"red", "magenta", "white", "black", "left of", "behind"}
    assert not [pair for pair in HELD_OUT if " ".join(pair) in " ".join(editing.read(made["captions"].flatten(0, 1)))]
    pairs = (made["before"] >= 0).nonzero()[:, 0]
    assert made["after"][pairs].max() < len(made["images"])


def test_a_schedule_by_hand():
    at = [checkpoint.rate(step, 12, peak=1.0, warm_up=2) for step in (0, 1, 2, 7)]
    assert at == pytest.approx([0.5, 1.0, 1.0, 0.505])


class Killed(Exception):
    pass


def killed_at(count: int):
    """A `save` that dies after having saved `count` times."""
    real, left = checkpoint.save, [count]

    def save(state, file):
        real(state, file)
        left[0] -= 1
        if not left[0]:
            raise Killed

    return save


def test_a_killed_autoencoder_run_goes_on_identically(tmp_path, held, monkeypatch):
    monkeypatch.setattr(autoencoder, "BATCH", 2)
    monkeypatch.setattr(autoencoder, "KEEP_EVERY", 1)

    phases = (autoencoder.Phase(2, peak=1e-3, kl=1e-4, warm_up=1), autoencoder.Phase(1, peak=1e-3, kl=1e-5, warm_up=1))

    def run(file: Path) -> AutoencoderKL:
        return autoencoder.train(held, 0, file, lambda line: None, phases=phases)

    whole = run(tmp_path / "whole.pt")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed_at(2))
        with pytest.raises(Killed):
            run(tmp_path / "killed.pt")
    assert same_weights(whole, run(tmp_path / "killed.pt"))


@pytest.mark.parametrize("stage", ["generate", "edit"])
def test_a_killed_stage_goes_on_identically(tmp_path, vae, monkeypatch, stage):
    monkeypatch.setattr(stages, "KEEP_EVERY", 1)
    recipe = stages.Recipe(steps=3, batch=4, warm_up=1)
    plan = pretrain.Plan(generate=recipe, edit=recipe)
    tokenizer = CLIPTokenizer.from_pretrained(EDIT / "tokenizer", local_files_only=True)
    material = pretrain.Material.of(editing.random_edits(3, 0, 2), vae, tokenizer, tmp_path / "latents.safetensors")
    parts = pretrain.Parts(vae, tokenizer, material, material)

    def run(work: Path) -> stages.Denoiser:
        model = pretrain.make_generate(plan, parts, work, lambda line: None, fast=False)
        return (
            model
            if stage == "generate"
            else pretrain.make_edit(plan, model, parts, work, lambda line: None, fast=False)
        )

    if stage == "edit":
        pretrain.make_generate(plan, parts, tmp_path / "killed", lambda line: None, fast=False)
    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed_at(2))
        with pytest.raises(Killed):
            run(tmp_path / "killed")
    assert same_weights(whole, run(tmp_path / "killed"))


def same_weights(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
