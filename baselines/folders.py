"""Models that live in diffusers folders: `instruct_pix2pix` from a folder of yours, and `tiny`, which comes along."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from addp_bench.errors import BadModel, BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.schedule import from_scheduler_config
from addp_bench.types import Budget, ModelCard

from .blocks import names, watched
from .latent_codec import VaeCodec
from .layout import Folder
from .surgery import widen_input

if TYPE_CHECKING:
    from addp_bench.protocols import Noise
    from addp_bench.records import Record
    from addp_bench.registry import Registry

_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInstructPix2PixPipeline")
_TARGETS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}

# ADDP's RIS training (Pang et al., 2025): batch 128, lr 1e-4, 60 epochs, 100 DDIM steps; the EMA is InstructPix2Pix's.
_PAPER = Budget("paper", 0, 128, 1e-4, 0, None, None, 100, 0.9999, 1000, epochs=60)


class InstructPix2Pix:
    """InstructPix2Pix (Brooks et al., 2023): a latent diffusion model that also sees a photograph's latent.

    The network's input is [noisy latent, image latent], concatenated in this order. A Stable Diffusion folder, whose
    UNet takes no image, is widened: new weights are zero, so it answers at first as it did. An InstructPix2Pix folder
    is used as it is. VAE and text encoder are frozen. Opening reads settings only; weights are read where first used,
    float32 and from safetensors alone.

    path: diffusers folder (model_index.json, vae, unet, text_encoder, tokenizer, scheduler) of Stable Diffusion's or
    InstructPix2Pix's shape.

    image_latent: `unscaled_mode` gives the network the posterior's mode without the VAE's scaling, as InstructPix2Pix
    does; `scaled_mode` scales it like the noisy latent.

    resolution: side of the square pictures, pixels; by default the folder's own, and at most the 256 that
    InstructPix2Pix and ADDP train at.

    Raises BadModel for a folder that does not fit, naming the file, and BadOption for the resolution.
    """

    denoises: ClassVar[bool] = True
    reads_image: bool = True
    dropout: ClassVar[tuple[float, float, float]] = (0.05, 0.05, 0.05)  # without text, both, image
    weight_decay: ClassVar[float] = 1e-2  # AdamW's in diffusers' training script
    guidance: ClassVar[str] = "image_text:image=1.5:text=7.5"
    # one GPU: minutes, and hours; neither comes from a paper
    budgets: ClassVar[Mapping[str, Budget]] = {
        "quick": Budget("quick", 200, 16, 1e-4, 20, 3000, 200, 20, 0.99, 150),
        "standard": Budget("standard", 5000, 64, 1e-4, 500, None, None, 50, 0.999, 1000),
        "paper": _PAPER,
    }

    def __init__(
        self,
        path: str,
        image_latent: Literal["unscaled_mode", "scaled_mode"] = "unscaled_mode",
        resolution: int | None = None,
    ) -> None:
        self.folder = self._open(Path(path).expanduser())
        self.image_latent = image_latent
        self.device = torch.device("cpu")
        self.noise = self._noise()
        self.target = self._target()
        self._check_channels()
        self.resolution = self._resolution(resolution)

    @cached_property
    def network(self) -> nn.Module:
        """The UNet that is trained; `load_state_dict` takes the weights of a trained cell."""
        unet = self.folder.load("unet")
        if self.reads_image and unet.config.in_channels == self._channels:
            widen_input(unet, 2 * self._channels)
        return unet.requires_grad_(True).to(self.device)

    @cached_property
    def codec(self) -> VaeCodec:
        """The frozen VAE."""
        return VaeCodec(self.folder.load("vae").to(self.device))

    @cached_property
    def text_encoder(self) -> Any:
        """The frozen CLIP text model."""
        return self.folder.load("text_encoder").requires_grad_(False).to(self.device)

    @cached_property
    def tokenizer(self) -> Any:
        """CLIP's tokenizer."""
        tokenizer = self.folder.load("tokenizer")
        places = self.folder.configs["text_encoder"].get("max_position_embeddings", 77)
        if tokenizer.model_max_length > places:  # transformers' stand-in for "not said" is 1e30
            file = self.folder.root / "tokenizer" / "tokenizer_config.json"
            raise BadModel(
                f"{file}: model_max_length is {tokenizer.model_max_length}; the text encoder has {places} places"
            )
        return tokenizer

    def _open(self, root: Path) -> Folder:
        return Folder(root, _PIPELINES)

    def condition(self, images: Tensor) -> Tensor:
        """Photographs (B, 3, H, W) in [-1, 1] -> image latents (B, C, h, w), not noisy; zeros stand for "no image".

        Zeros, too, where the network takes no image: conditionings with and without it are then known to be equal.
        """
        if not self.reads_image:
            return images.new_zeros(len(images), *self.codec.shape(*images.shape[-2:]))
        return self.codec.mode(images) if self.image_latent == "unscaled_mode" else self.codec.encode(images)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> CLIP's last hidden states (B, L, D) float32, padded to L tokens; "" stands for "no text".

        Warns when a prompt is longer than L tokens and is cut.
        """
        limit = self.tokenizer.model_max_length
        rows = self.tokenizer(list(prompts), verbose=False).input_ids
        if cut := [prompt for prompt, row in zip(prompts, rows) if len(row) > limit]:
            warnings.warn(f"{len(cut)} prompts exceed {limit} tokens and were cut; the first: {cut[0]!r}", stacklevel=2)
        ids = self.tokenizer(
            list(prompts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        ).input_ids
        return self.text_encoder(ids.to(self.device))[0].float()

    def forward(self, x_t: Tensor, t: Tensor, image: Tensor, text: Tensor) -> Tensor:
        """Noisy and image latents (B, C, h, w), timesteps (B,), text (B, L, D) -> raw output (B, C, h, w)."""
        seen = torch.cat([x_t, image], dim=1) if self.reads_image else x_t
        dtype = next(self.network.parameters()).dtype
        return self.network(seen.to(dtype), t, encoder_hidden_states=text.to(dtype), return_dict=False)[0]

    @property
    def layers(self) -> Sequence[str]:
        """Names of the blocks whose features can be read, out_1 .. out_K."""
        return names(self.folder.configs["unet"])

    @torch.no_grad()
    def features(
        self, x_t: Tensor, t: Tensor, image: Tensor, text: Tensor, layers: Sequence[str]
    ) -> Mapping[str, Tensor]:
        """What blocks of the up path give (B, C, h, w); arguments as `forward`, layers by name."""
        with watched(self.network, layers) as seen:
            self.forward(x_t, t, image, text)
        return seen

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        """What planning needs, from the complete options, without loading weights. Raises BadModel."""
        model = cls(**options)
        return ModelCard(model.fingerprint(), model.target, model.resolution, cls.guidance, model.layers)

    def to(self, device: torch.device | str) -> InstructPix2Pix:
        """Move what is loaded, and whatever is loaded later, to a device; returns the model itself."""
        self.device = torch.device(device)
        loaded = vars(self)
        for part in (loaded.get("network"), loaded.get("text_encoder"), getattr(loaded.get("codec"), "vae", None)):
            if part is not None:
                part.to(self.device)
        return self

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the folder's weights and settings; equal wherever the folder lies."""
        return self.folder.fingerprint()

    @property
    def _channels(self) -> int:
        return self.folder.configs["vae"].get("latent_channels", 4)  # absent settings are diffusers' defaults

    def _noise(self) -> Noise:
        try:
            return from_scheduler_config(self.folder.configs["scheduler"])
        except BadModel as wrong:
            raise BadModel(f"{self.folder.root / 'scheduler'}/{wrong}") from wrong

    def _target(self) -> str:
        given = self.folder.configs["scheduler"].get("prediction_type", "epsilon")
        if given not in _TARGETS:
            file = self.folder.root / "scheduler" / "scheduler_config.json"
            raise BadModel(f"{file}: prediction_type is {given!r}; expected {', '.join(_TARGETS)}")
        return _TARGETS[given]

    def _check_channels(self) -> None:
        unet, text, c = self.folder.configs["unet"], self.folder.configs["text_encoder"], self._channels
        allowed = (c, 2 * c) if self.reads_image else (c,)
        file = self.folder.root / "unet" / "config.json"
        if (met := unet.get("in_channels", 4)) not in allowed:
            raise BadModel(
                f"{file}: in_channels is {met}; expected {' or '.join(map(str, allowed))} for {c} latent channels"
            )
        if (met := unet.get("out_channels", 4)) != c:
            raise BadModel(f"{file}: out_channels is {met}; expected the VAE's {c} latent channels")
        if (met := unet.get("cross_attention_dim", 1280)) != (width := text.get("hidden_size", 512)):
            raise BadModel(f"{file}: cross_attention_dim is {met}; expected the text encoder's hidden_size {width}")

    def _resolution(self, asked: int | None) -> int:
        factor = 2 ** (len(self.folder.configs["vae"].get("block_out_channels", [64])) - 1)
        own = self.folder.configs["unet"].get("sample_size")
        if asked is None and not isinstance(own, int):
            raise BadOption(
                f"{self.folder.root}/unet/config.json has no square sample_size: give resolution=... in pixels"
            )
        side = asked if asked is not None else min(own * factor, 256)
        if side < factor or side % factor:
            raise BadOption(f"resolution={side}: expected a multiple of {factor} pixels, the side of a latent's pixel")
        return side


class Tiny(InstructPix2Pix):
    """The miniature latent diffusion model that comes along, so that everything runs on a laptop, offline.

    stage: `edit` follows instructions about a photograph, as InstructPix2Pix does; `generate` is what it was trained
    from: it draws from words alone, its network takes no image and the image condition is ignored. To begin from
    `generate` and still see the photograph, open its folder as `instruct_pix2pix`, which widens it.

    path: another folder of the same make; by default the one that comes along.

    Raises BadModel for a folder that does not fit, naming the file.
    """

    guidance: ClassVar[str] = "image_text:image=1.5:text=3.0"  # ADDP's weights for a network that predicts x0
    # on two CPU cores the first job takes about five minutes, and a standard cell about ten
    budgets: ClassVar[Mapping[str, Budget]] = {
        "quick": Budget("quick", 350, 32, 5e-4, 30, 2000, 200, 20, 0.99, 150),
        "standard": Budget("standard", 1000, 64, 6e-4, 100, 12000, 1000, 20, 0.995, 1000),
        "paper": _PAPER,
    }

    def __init__(self, stage: Literal["edit", "generate"] = "edit", path: str | None = None) -> None:
        self.reads_image = stage == "edit"
        super().__init__(path or str(Path(__file__).parent / "tiny" / "weights" / stage))

    def check(self, records: Sequence[Record]) -> Iterator[tuple[str, Any, str, bool]]:
        """(what, measured, expected, kept) of what it must be able to do, for cells that were finished with it."""
        from .gates import measure

        return measure(self.folder, self.fingerprint(), self.guidance, self.budgets["quick"], records)

    def _open(self, root: Path) -> Folder:
        # both stages were trained on one autoencoder, which lies with `edit`
        shared = {} if (root / "vae").is_dir() else {"vae": root.parent / "edit" / "vae"}
        return Folder(root, _PIPELINES, shared)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("model", "instruct_pix2pix", InstructPix2Pix, aliases=("ip2p",))
    registry.add("model", "tiny", Tiny)
