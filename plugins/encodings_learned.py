"""Masks drawn as a tint and read by a network that learnt to, as InstructDiffusion's are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from addp_bench.errors import BadData, BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.randomness import normal, permutation, seed_of, uniform
from addp_bench.types import Drawing, Query, Sample, pixels

from .encodings_transparent import TransparentMask

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.decoders import Drawings
    from addp_bench.registry import Registry

CHUNK = 64  # drawings that pass through the codec at once
BATCH = 16
RATE = 5e-3  # AdamW's highest, of one cycle


class TransparentLearned:
    """The drawings of `transparent_mask`, read by a small U-Net that sees drawing, photograph and colour.

    InstructDiffusion reads its masks so, and released neither the network nor how it is trained: sizes, training and
    augmentation are ours. It learns on truths of the training split, drawn and passed through the model's codec, before
    anything is read; no answer of a model, and nothing that is judged, has a part in it. It reads at the size of the
    pictures it learnt on, and what it says is resized bilinearly.

    color: red, purple, blue, green, yellow, white, black, gray, or r,g,b in 0..255.

    alpha: share of the photograph that stays, from 0 to below 1.

    samples: of the training split it learns on, the first ones (ours).

    steps: of its training, of 16 drawings each (ours).

    width: channels at the full size, a multiple of 4 (ours).

    noise: half of the drawings it learns on are disturbed in their latents, by white noise of a standard deviation
    drawn up to this, as an answer is that was sampled (ours).

    empty: share of the drawings it learns on whose mask is taken away before they are drawn, so that it has seen
    photographs on which nothing is drawn (0.2 is the share of InstructDiffusion's prompts that name what is absent).

    strength: the tint it learns on is stronger or weaker by up to this share (ours).

    path: a file of weights that it left before, in `decoder.safetensors`; not given, it learns.
    """

    truth: ClassVar[str] = "mask"

    def __init__(
        self,
        color: str = "red",
        alpha: float = 0.5,
        samples: int = 1000,
        steps: int = 400,
        width: int = 8,
        noise: float = 0.5,
        empty: float = 0.2,
        strength: float = 0.3,
        path: str | None = None,
    ) -> None:
        if samples < 1 or steps < 1:
            raise ValueError(f"it learns on samples from 1 in steps from 1, got {samples} and {steps}")
        if width < 4 or width % 4:
            raise ValueError(f"width is a number of channels, a multiple of 4, got {width}")
        if not (noise >= 0 and 0 <= strength < 1 and 0 <= empty < 1):
            given = f"{noise}, {strength} and {empty}"
            raise ValueError(f"noise is from 0, strength and empty from 0 to below 1, got {given}")
        self.drawing = TransparentMask(color, alpha, threshold=(1 - alpha) / 2)
        self.samples, self.steps, self.width = samples, steps, width
        self.noise, self.empty, self.strength = noise, empty, strength
        self.weights = None if path is None else _read(Path(path).expanduser(), width)
        self._networks: dict[Any, Any] = {}  # one for each device

    @property
    def learns(self) -> int:
        """Training samples that it must learn on before it reads; 0 where its weights are there."""
        return self.samples if self.weights is None else 0

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the expression as it is; masks have no vocabulary."""
        return self.drawing.queries(sample, vocabulary)

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth (B, H, W) bool -> the image, mixed with the colour where truth is."""
        return self.drawing.encode(image, truth, queries)

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Tensor:
        """drawings (1, 3, H, W) and image (3, H, W) in [-1, 1] -> mask (H, W) bool on their device.

        One at a time: a network's last bits hang on how many pictures it sees at once. Raises BadOption where it has
        not learnt.
        """
        import torch
        from torch.nn import functional

        network, side = self._network(drawings.device)
        size = tuple(drawings.shape[2:])
        seen = [_unit(pixels(pictures)) for pictures in (drawings, image[None])]
        if size != (side, side):
            seen = [functional.interpolate(s, (side, side), mode="bilinear", antialias=True) for s in seen]
        with torch.no_grad():
            logits = network(*seen, self._paint(drawings))
        if size != (side, side):
            logits = functional.interpolate(logits[:, None], size, mode="bilinear")[:, 0]
        return logits[0] > 0

    def fit(self, drawings: Drawings, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Tensor]:
        """Learn to read these drawings; the weights, and the `side` they were learnt at.

        Raises BadOption for pictures whose side is no multiple of 4.
        """
        import torch
        from torch.nn import functional

        from .mask_unet import MaskUNet

        side = drawings.side
        if side % 4:
            raise BadOption(f"transparent_learned halves pictures twice; their side is a multiple of 4, got {side}")
        drawn, photos, masks = self._material(drawings, seed, lambda done: progress(done, len(drawings) + self.steps))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("decoder", seed))
            network = MaskUNet(self.width).to(drawings.device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=self.steps)
        order: list[int] = []
        for step in range(self.steps):
            while len(order) < BATCH:
                order += permutation(len(drawings), "decoder", seed, step, len(order)).tolist()
            rows, order = order[:BATCH], order[BATCH:]
            photo, mask = _unit(photos[rows].float()), masks[rows].float()
            u = uniform((1, 1, 1), [("tint", seed, step, place) for place in range(BATCH)]).float().to(photo.device)
            tint = _unit(drawn[rows].float()) - photo
            shown = (photo + (1 + self.strength * (2 * u - 1)) * tint).clamp(-1.0, 1.0)
            loss = functional.binary_cross_entropy_with_logits(network(shown, photo, self._paint(photo)), mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress(len(drawings) + step + 1, len(drawings) + self.steps)
        return {**network.state_dict(), "side": torch.tensor(side)}

    def _material(self, drawings: Drawings, seed: int, told: Callable[[int], None]) -> tuple[Tensor, Tensor, Tensor]:
        """Drawings that came out of the codec and photographs (N, 3, side, side) uint8, and masks (N, side, side)."""
        import torch

        found = []
        for first in range(0, len(drawings), CHUNK):
            rows = range(first, min(first + CHUNK, len(drawings)))
            raw, names = drawings.raw(rows), drawings.names(rows)
            with torch.no_grad():
                stays = uniform((1, 1), [("decoder empty", seed, name) for name in names]) >= self.empty
                masks = raw.truth & stays.to(raw.truth.device)
                latents = drawings.codec.encode(self.encode(raw.photos, masks, raw.queries).rgb)
                u = uniform((1, 1, 1), [("decoder strength", seed, name) for name in names]).float()
                white = normal(latents.shape[1:], [("decoder noise", seed, name) for name in names])
                spread = self.noise * (2 * u - 1).clamp(min=0.0)  # half of them 0
                came_out = drawings.codec.decode(latents + (spread * white).to(latents.device))
            found.append((pixels(came_out).to(torch.uint8), pixels(raw.photos).to(torch.uint8), masks))
            told(rows.stop)
        drawn, photos, painted = (torch.cat(column) for column in zip(*found))
        return drawn, photos, painted

    def _paint(self, like: Tensor) -> Tensor:
        return _unit(like.new_tensor(self.drawing.colour))

    def _network(self, device: Any) -> tuple[Any, int]:
        """The network on a device, and the side of the pictures it reads."""
        from .mask_unet import MaskUNet

        if self.weights is None:
            raise BadOption(
                "transparent_learned reads nothing before it has learnt: a run fits it; elsewhere give path=..., the "
                "decoder.safetensors that one left"
            )
        if device not in self._networks:
            network = MaskUNet(self.width).eval().requires_grad_(False)
            network.load_state_dict({name: w for name, w in self.weights.items() if name != "side"})
            self._networks[device] = network.to(device)
        return self._networks[device], int(self.weights["side"])


def _unit(whole: Tensor) -> Tensor:
    """Numbers in 0..255 -> [-1, 1]."""
    return whole / 127.5 - 1.0


def _read(file: Path, width: int) -> dict[str, Tensor]:
    """Weights of a decoder. Raises BadData for a file that holds none, or those of another width."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from .mask_unet import MaskUNet

    try:
        found: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as broken:
        raise BadData(f"{file} holds no decoder of transparent_learned: {broken}") from broken
    expected = {name: w.shape for name, w in MaskUNet(width).state_dict().items()}
    if {name: w.shape for name, w in found.items() if name != "side"} != expected or "side" not in found:
        raise BadData(f"{file} holds no decoder of transparent_learned with width={width}")
    return found


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "transparent_learned", TransparentLearned)
