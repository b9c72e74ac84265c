"""Opening model folders: what is read, what is refused, and what surgery leaves as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_miniature import SIDE, build_instruct_pix2pix
from safetensors.torch import load_file, save_file

from addp_bench.baselines import folders
from addp_bench.baselines.folders import InstructPix2Pix, Tiny
from addp_bench.baselines.surgery import widened
from addp_bench.errors import BadData, BadModel, BadOption
from addp_bench.registry import Registry

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def eight_channels(tmp_path_factory):
    return build_instruct_pix2pix(tmp_path_factory.mktemp("ip2p"))


@pytest.fixture
def copy(sd15, tmp_path):
    return Path(shutil.copytree(sd15, tmp_path / "model"))


def edit(file: Path, **changes) -> None:
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, **changes}))


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------ surgery


def test_a_widened_network_answers_bit_for_bit_as_before_whatever_the_image(sd15):
    from diffusers import UNet2DConditionModel

    model = InstructPix2Pix(str(sd15))
    base = UNet2DConditionModel.from_pretrained(sd15 / "unet", local_files_only=True)
    x, t, text = noise(3, 4, 8, 8), torch.tensor([0, 500, 999]), noise(3, 77, 32, seed=1)
    with torch.no_grad():
        before = base(x, t, encoder_hidden_states=text).sample
        for image in (torch.zeros(3, 4, 8, 8), noise(3, 4, 8, 8, seed=2), 1e4 * noise(3, 4, 8, 8, seed=3)):
            assert torch.equal(model.forward(x, t, image, text), before)
    assert model.network.config.in_channels == 8


def test_surgery_copies_weight_and_bias_and_adds_zeros_after_them():
    conv = torch.nn.Conv2d(4, 320, 3, padding=1)  # Stable Diffusion 1.5's first
    new = widened(conv, 4)
    assert torch.equal(new.weight[:, :4], conv.weight)
    assert not new.weight[:, 4:].any()
    assert torch.equal(new.bias, conv.bias)
    x = noise(2, 8, 32, 32)
    assert torch.equal(new(x), conv(x[:, :4]))


def test_new_channels_learn_although_they_begin_at_zero(sd15):
    model = InstructPix2Pix(str(sd15))
    output = model.forward(noise(1, 4, 8, 8), torch.tensor([10]), noise(1, 4, 8, 8, seed=1), noise(1, 77, 32, seed=2))
    output.square().mean().backward()
    assert model.network.conv_in.weight.grad[:, 4:].abs().min() > 0


def test_a_network_that_takes_images_already_is_left_as_it_is(eight_channels):
    model = InstructPix2Pix(str(eight_channels))
    stored = load_file(eight_channels / "unet" / WEIGHTS)
    assert all(torch.equal(stored[k], v) for k, v in model.network.state_dict().items())
    x, t, text = noise(1, 4, 8, 8), torch.tensor([500]), noise(1, 77, 32, seed=1)
    zeros, image = torch.zeros(1, 4, 8, 8), noise(1, 4, 8, 8, seed=2)
    assert not torch.equal(model.forward(x, t, zeros, text), model.forward(x, t, image, text))


# ------------------------------------------------------------------------------------------------ opening


def test_the_registry_builds_it_from_a_flag(sd15):
    registry = Registry()
    folders.addp_bench_register(registry)
    model = registry.build("model", f"instruct_pix2pix:path={sd15}:resolution=32:image_latent=scaled_mode")
    assert (model.resolution, model.image_latent, model.target) == (32, "scaled_mode", "epsilon")
    assert {"path", "image_latent", "resolution"} == {
        o.name for o in registry.get("model", "instruct_pix2pix").options if o.words
    }
    with pytest.raises(BadOption, match="image_latent"):
        registry.build("model", f"instruct_pix2pix:path={sd15}:image_latent=mean")


def test_opening_and_planning_read_no_weights(sd15):
    card = InstructPix2Pix.card({"path": str(sd15)})
    model = InstructPix2Pix(str(sd15))
    assert {"network", "codec", "text_encoder"}.isdisjoint(vars(model))
    assert (card.target, card.resolution, card.fingerprint) == ("epsilon", SIDE, model.fingerprint())
    assert model.noise.alphas_cumprod[500] == pytest.approx(0.27633268)  # Stable Diffusion's own schedule


@pytest.mark.parametrize("said, target", [("epsilon", "epsilon"), ("sample", "x0"), ("v_prediction", "v")])
def test_the_target_is_what_the_scheduler_says(copy, said, target):
    edit(copy / "scheduler" / "scheduler_config.json", prediction_type=said)
    assert InstructPix2Pix(str(copy)).target == target


@pytest.mark.parametrize("latents, side", [(8, 64), (32, 256), (64, 256)])
def test_the_resolution_is_the_folders_own_and_at_most_that_of_the_paper(copy, latents, side):
    edit(copy / "unet" / "config.json", sample_size=latents)
    assert InstructPix2Pix(str(copy)).resolution == side


@pytest.mark.parametrize("side", [0, -8, 60])
def test_a_resolution_without_latents_is_refused(sd15, side):
    with pytest.raises(BadOption, match="multiple of 8"):
        InstructPix2Pix(str(sd15), resolution=side)


def test_only_the_network_is_trained(sd15):
    model = InstructPix2Pix(str(sd15))
    assert all(p.requires_grad for p in model.network.parameters())
    for frozen in (model.codec.vae, model.text_encoder):
        assert not frozen.training
        assert not any(p.requires_grad for p in frozen.parameters())


def test_trained_weights_load_into_a_fresh_model(sd15, tmp_path):
    trained = InstructPix2Pix(str(sd15))
    with torch.no_grad():
        for i, p in enumerate(trained.network.parameters()):
            p.add_(0.01 * noise(*p.shape, seed=i))
    save_file(trained.network.state_dict(), tmp_path / "denoiser.safetensors")
    fresh = InstructPix2Pix(str(sd15))
    fresh.network.load_state_dict(load_file(tmp_path / "denoiser.safetensors"))
    given = noise(1, 4, 8, 8), torch.tensor([7]), noise(1, 4, 8, 8, seed=1), noise(1, 77, 32, seed=2)
    assert torch.equal(trained.forward(*given), fresh.forward(*given))


def test_weights_stored_in_half_precision_are_computed_with_in_single(copy):
    for part in ("unet", "vae"):
        rewrite(copy / part / WEIGHTS, lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    (copy / "unet" / WEIGHTS).rename(copy / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    rewrite(copy / "text_encoder" / "model.safetensors", lambda t: t.update({k: v.half() for k, v in t.items()}))
    edit(copy / "text_encoder" / "config.json", dtype="float16")  # transformers computes in what is written here
    model = InstructPix2Pix(str(copy))
    parts = (model.network, model.codec.vae, model.text_encoder)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float32}


def test_weights_in_several_files_are_all_read_and_counted(copy):
    from diffusers import UNet2DConditionModel

    whole = InstructPix2Pix(str(copy))
    unet = UNet2DConditionModel.from_pretrained(copy / "unet", local_files_only=True)
    (copy / "unet" / WEIGHTS).unlink()
    unet.save_pretrained(copy / "unet", max_shard_size="1MB")
    split = InstructPix2Pix(str(copy))
    assert len(split.folder.weights["unet"]) > 2
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), split.network.parameters(), strict=True))
    shutil.copy(whole.folder.root / "vae" / WEIGHTS, copy / "unet" / WEIGHTS)  # diffusers prefers the shards
    split = InstructPix2Pix(str(copy))
    assert len(list(split.network.parameters())) == len(list(whole.network.parameters()))
    before = split.fingerprint()
    rewrite(split.folder.weights["unet"][-1], lambda tensors: next(iter(tensors.values())).add_(1))
    assert InstructPix2Pix(str(copy)).fingerprint() != before
    split.folder.weights["unet"][-1].unlink()
    with pytest.raises(BadModel, match=split.folder.weights["unet"][-1].name):
        InstructPix2Pix(str(copy))


def test_a_fingerprint_follows_contents_not_places(sd15, copy):
    known = InstructPix2Pix(str(sd15)).fingerprint()
    (copy / "README.md").write_text("nothing that is read")
    assert InstructPix2Pix(str(copy)).fingerprint() == known
    for file in ("vae/config.json", "tokenizer/tokenizer_config.json", "scheduler/scheduler_config.json"):
        text = (copy / file).read_text()
        (copy / file).write_text(text + "\n")
        assert InstructPix2Pix(str(copy)).fingerprint() != known, file
        (copy / file).write_text(text)
    assert InstructPix2Pix(str(copy)).fingerprint() == known
    rewrite(copy / "vae" / WEIGHTS, lambda tensors: tensors["decoder.conv_in.bias"].add_(1e-6))
    assert InstructPix2Pix(str(copy)).fingerprint() != known


def test_a_prompt_that_is_too_long_is_cut_and_said_so(sd15):
    model = InstructPix2Pix(str(sd15))
    with pytest.warns(UserWarning, match="1 prompts exceed 77 tokens and were cut; the first: 'a a a"):
        text = model.embed(["short", "a " * 100])
    torch.testing.assert_close(text[1:], model.embed(["a " * 75]))  # 77 less the two marks


# ------------------------------------------------------------------------------------------------ tiny


def test_the_generating_stage_sees_no_image(sd15):
    model = Tiny(stage="generate", path=str(sd15))
    assert model.network.config.in_channels == 4
    x, t, text = noise(1, 4, 8, 8), torch.tensor([500]), noise(1, 77, 32, seed=1)
    photo = noise(1, 3, SIDE, SIDE).clamp(-1, 1)
    assert torch.equal(model.condition(photo), torch.zeros(1, 4, 8, 8))
    assert torch.equal(model.forward(x, t, 1e3 * noise(1, 4, 8, 8), text), model.forward(x, t, x, text))


def test_the_editing_stage_sees_the_image(eight_channels):
    model = Tiny(path=str(eight_channels))
    photo = noise(1, 3, SIDE, SIDE).clamp(-1, 1)
    assert model.condition(photo).abs().min() > 0
    with pytest.raises(BadModel, match="in_channels is 8; expected 4"):
        Tiny(stage="generate", path=str(eight_channels))


@pytest.mark.parametrize("stage, image_channels", [("edit", 1), ("generate", 0)])
def test_the_model_that_comes_along_opens_and_answers(stage, image_channels):
    model = Tiny(stage=stage)
    side, codec = model.resolution, model.codec
    photo = noise(2, 3, side, side).clamp(-1, 1)
    latents = codec.encode(photo)
    assert latents.shape == (2, *codec.shape(side, side))
    assert codec.decode(latents).shape == photo.shape
    assert model.network.config.in_channels == (1 + image_channels) * codec.channels
    output = model.forward(latents, torch.tensor([0, 999]), model.condition(photo), model.embed(["a red ball", ""]))
    assert output.shape == latents.shape
    assert output.isfinite().all()


# ------------------------------------------------------------------------------------------------ refusals


def half_of(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "unet" / WEIGHTS), folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / "unet" / WEIGHTS).unlink()


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "model_index.json").unlink(), r"model_index\.json: no such file"),
    "index not JSON": (lambda f: (f / "model_index.json").write_text("{"), r"model_index\.json: not JSON"),
    "index a list": (lambda f: (f / "model_index.json").write_text("[]"), r"model_index\.json: .* met list"),
    "other pipeline": (
        lambda f: edit(f / "model_index.json", _class_name="MarigoldDepthPipeline"),
        r"model_index\.json: a 'MarigoldDepthPipeline'.*StableDiffusionPipeline",
    ),
    "other class": (
        lambda f: edit(f / "model_index.json", unet=["diffusers", "UNet3D"]),
        r"model_index\.json: unet is a 'UNet3D'; expected UNet2DConditionModel",
    ),
    "no vae": (lambda f: shutil.rmtree(f / "vae"), r"vae.config\.json: no such file"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), r"scheduler_config\.json: no such file"),
    "no tokenizer": (lambda f: (f / "tokenizer" / "tokenizer.json").unlink(), r"tokenizer: needs tokenizer\.json"),
    "no weights": (
        lambda f: (f / "unet" / WEIGHTS).unlink(),
        r"unet.diffusion_pytorch_model\.safetensors: no such file",
    ),
    "half a file": (
        lambda f: half_of(f / "vae" / WEIGHTS),
        r"vae.diffusion_pytorch_model\.safetensors: damaged or cut",
    ),
    "half a text encoder": (
        lambda f: half_of(f / "text_encoder" / "model.safetensors"),
        r"text_encoder.model\.safetensors: damaged or cut",
    ),
    "a pickle": (as_pickle, r"unet.diffusion_pytorch_model\.bin: a pickle can run code.*weights_only"),
    "wrong input": (lambda f: edit(f / "unet" / "config.json", in_channels=9), r"in_channels is 9; expected 4 or 8"),
    "wrong output": (lambda f: edit(f / "unet" / "config.json", out_channels=3), r"out_channels is 3; .* 4 latent"),
    "wrong text": (
        lambda f: edit(f / "unet" / "config.json", cross_attention_dim=768),
        r"cross_attention_dim is 768; expected the text encoder's hidden_size 32",
    ),
    "odd prediction": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", prediction_type="flow"),
        r"scheduler_config\.json: prediction_type is 'flow'; expected epsilon",
    ),
    "odd schedule": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", beta_schedule="sigmoid"),
        r"scheduler.scheduler_config\.json: .*'sigmoid'",
    ),
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_a_broken_folder_is_refused_when_it_is_opened_in_one_line_that_names_the_file(copy, damage):
    act, words = UNREADABLE[damage]
    act(copy)
    with pytest.raises(BadModel, match=words) as refused:
        InstructPix2Pix.card({"path": str(copy)})
    assert "\n" not in str(refused.value)
    assert str(copy) in str(refused.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadModel, match=r"nowhere: no such folder; expected one with model_index\.json"):
        InstructPix2Pix(str(tmp_path / "nowhere"))


TENSORS = [
    ("network", "unet", WEIGHTS, "conv_norm_out.weight"),
    ("codec", "vae", WEIGHTS, "decoder.conv_norm_out.weight"),
    ("text_encoder", "text_encoder", "model.safetensors", "final_layer_norm.weight"),
]


@pytest.mark.parametrize("member, part, file, tensor", TENSORS)
@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, name: tensors.update({name: torch.zeros(7)}),
        lambda tensors, name: tensors.pop(name),
        lambda tensors, name: tensors.update({f"{name}.more": torch.zeros(7)}),
    ],
    ids=["mismatched", "missing", "unexpected"],
)
def test_a_tensor_that_does_not_fit_is_named(copy, capfd, member, part, file, tensor, change):
    rewrite(copy / part / file, lambda tensors: change(tensors, tensor))
    model = InstructPix2Pix(str(copy))
    with pytest.raises(BadModel, match=rf"{part}.{file}: does not fit {part}/config\.json: .*{tensor}") as refused:
        getattr(model, member)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")  # the error says it; no report beside it


def test_a_tokenizer_with_more_tokens_than_the_text_encoder_has_places_is_refused(copy):
    edit(copy / "tokenizer" / "tokenizer_config.json", model_max_length=128)
    with pytest.raises(BadModel, match="model_max_length is 128; the text encoder has 77 places"):
        InstructPix2Pix(str(copy)).embed(["a"])


def test_a_picture_without_whole_latents_is_refused(sd15):
    codec = InstructPix2Pix(str(sd15)).codec
    assert codec.shape(64, 128) == (4, 8, 16)
    with pytest.raises(BadData, match="20 x 64 has no latent; sides are multiples of 8"):
        codec.encode(torch.zeros(1, 3, 64, 20))
