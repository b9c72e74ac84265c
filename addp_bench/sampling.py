"""A guided network as samplers see it: one batched pass over the conditionings that count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from addp_bench.errors import BadOption, BadRequest
from addp_bench.schedule import require_recoverable, scale

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Denoise, DenoisingModel, Exposure, Guidance, Noise, Target


def guided(
    model: DenoisingModel,
    guidance: Guidance,
    target: Target,
    image_cond: Tensor,
    text: Tensor,
    null_text: Tensor,
    noise: Noise,
    correction: Tensor | None = None,
) -> Denoise:
    """The network under `guidance`, for B samples, as a function (x_t (B, C, h, w), t) -> x0 (B, C, h, w).

    x_t comes in variance-preserving coordinates, as samplers have it; the network is shown it in the schedule's own.
    image_cond (B, C', h, w); text and correction (B, L, D); null_text (L, D). Raw outputs are combined, then read as
    x0: where nothing is clipped that equals combining x0 estimates, because coefficients sum to 1. Conditionings
    that are equal, value by value, are merged and those whose coefficient is 0 are left out, so the network sees
    (K B, ...) with K distinct conditionings. No gradient is recorded.

    Raises BadOption: a correctional guidance without a correction, a target that this noise cannot sample.
    Raises BadRequest: text of another length than null_text.
    """
    require_recoverable(noise, target)
    if text.shape[1:] != null_text.shape:
        raise BadRequest(
            [f"text conditioning is {tuple(text.shape[1:])} per sample, null text {tuple(null_text.shape)}"]
        )
    texts = {"full": text, "null": null_text.expand_as(text), "correction": correction}
    images = {"full": image_cond, "null": torch.zeros_like(image_cond)}
    passes: list[tuple[Tensor, Tensor, float]] = []
    for (words, picture), coefficient in guidance.coefficients().items():
        said = texts[words]
        if said is None:
            raise BadOption(
                f"guidance {type(guidance).__name__} needs a correction, and none was given; choose other guidance"
            )
        passes = _with(passes, said, images[picture], coefficient)
    passes = [p for p in passes if p[2] != 0.0]
    all_text, all_images = torch.cat([p[0] for p in passes]), torch.cat([p[1] for p in passes])
    coefficients = [p[2] for p in passes]
    scales = _scales(noise)

    @torch.no_grad()
    def denoise(x_t: Tensor, t: int) -> Tensor:
        at = torch.full((len(all_text),), t, dtype=torch.int64, device=x_t.device)
        x_t = x_t if scales[t] == 1.0 else scales[t] * x_t
        outputs = model.forward(torch.cat([x_t] * len(coefficients)), at, all_images, all_text).float()
        rows = outputs.chunk(len(coefficients))
        output = sum((c * row for c, row in zip(coefficients[1:], rows[1:])), start=coefficients[0] * rows[0])
        one = at[:1].view(1, 1, 1, 1)
        return target.to_x0(output, x_t, noise.a(one), noise.s(one))

    return denoise


def begin(noise: Noise, white: Tensor) -> Tensor:
    """Where samplers begin: the start that `noise` makes of white noise (B, C, h, w), in their coordinates."""
    first, last = noise.start(white), _scales(noise)[-1]
    return first if last == 1.0 else first / last


def exposed(denoise: Denoise, exposure: Exposure, noise: Noise, timesteps: Sequence[int]) -> Denoise:
    """`denoise` with `exposure.sampled` applied to the noise estimate that its x0 implies, after guidance.

    It lives in the samplers' coordinates; eps is the same in the schedule's own. timesteps: those the sampler visits,
    noisiest first. At a timestep without signal nothing is changed: the noise estimate is x_t itself there, which no
    bias has touched, and says nothing of x0.
    """
    index = {t: i for i, t in enumerate(reversed(timesteps))}

    def through(x_t: Tensor, t: int) -> Tensor:
        x0 = denoise(x_t, t)
        a, s = float(noise.alphas_cumprod[t]) ** 0.5, float(1.0 - noise.alphas_cumprod[t]) ** 0.5
        if a == 0.0:
            return x0
        eps = (x_t - a * x0) / s
        changed = exposure.sampled(eps, index[t])
        return x0 if changed is eps else (x_t - s * changed) / a

    return through


def _scales(noise: Noise) -> list[float]:
    """By how much x_t is larger in the schedule's coordinates than in the samplers', at each timestep."""
    t = torch.arange(noise.steps)
    scales: list[float] = scale(noise.a(t).double(), noise.s(t).double()).tolist()
    return scales


def _with(
    passes: list[tuple[Tensor, Tensor, float]], text: Tensor, image: Tensor, coefficient: float
) -> list[tuple[Tensor, Tensor, float]]:
    """`passes` and one more, added to an equal one if there is one."""
    for i, (other_text, other_image, c) in enumerate(passes):
        if _equal(text, other_text) and _equal(image, other_image):
            return [*passes[:i], (text, image, c + coefficient), *passes[i + 1 :]]
    return [*passes, (text, image, coefficient)]


def _equal(one: Tensor, other: Tensor) -> bool:
    # compared once, before the first step, so a device waits here and never between steps; `meta` has no values
    return one is other or (one.device.type != "meta" and torch.equal(one, other))
