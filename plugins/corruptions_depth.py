"""Corruptions of drawn depth: detail is lost first, so a map is blurred."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch.nn import functional

from addp_bench.errors import BadOption
from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.types import Drawing

if TYPE_CHECKING:
    from torch import Tensor

SHARPEST = 1e-3  # a standard deviation below this blurs nothing


@dataclass(frozen=True)
class Blur:
    """Blur a drawn depth map with a Gaussian, borders reflected (ADDP, appendix A.3).

    Acts on the drawing, which is the paper's order: normalise, blur, replicate, encode. So the range that the encoding
    normalises by is that of the clean depth. Pixels without a depth keep what is drawn there and do not spread: each
    valid pixel becomes a mean of valid pixels alone.

    kernel: side of the square kernel in pixels of the drawing, odd. sigma: largest standard deviation, in the same
    pixels. The paper's numbers are for pictures of 256 to 480 pixels; on others they blur another share of the picture.

    draw: "uniform" takes each standard deviation from (0, sigma m(t)], "maximum" is sigma m(t) itself; the paper says
    only "at most".
    """

    kernel: int = 31
    sigma: float = 10.0
    draw: Literal["uniform", "maximum"] = "uniform"

    acts_on: ClassVar[str] = "drawing"
    truth: ClassVar[str] = "depth"
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel is the side of a kernel with a middle: odd and 1 or more, got {self.kernel}")
        if not 0 <= self.sigma < math.inf:
            raise ValueError(f"sigma is a standard deviation in pixels, 0 or more, got {self.sigma}")

    def corrupt(self, target: Drawing, strength: Tensor, u: Tensor) -> Drawing:
        """A Drawing of B pictures, strength (B,) in [0, 2], u (B, 1) in [0, 1) -> the Drawing, blurred.

        Raises BadOption for pictures too small to be reflected by half a kernel.
        """
        if min(target.rgb.shape[2:]) <= self.kernel // 2:
            height, width = target.rgb.shape[2:]
            raise BadOption(
                f"corruption blur: a kernel of {self.kernel} pixels needs drawings of at least {self.kernel // 2 + 1} "
                f"pixels a side, these are {height} x {width}; say a smaller blur:kernel=..."
            )
        sigma = strength * self.sigma * (1.0 - u[:, 0] if self.draw == "uniform" else 1.0)
        kernels = gaussian(sigma, self.kernel)
        rgb, valid = target.rgb, target.valid
        if valid is None:
            blurred = convolved(rgb, kernels)
        else:
            seen = valid[:, None].to(rgb.dtype)
            share = convolved(seen, kernels)  # of each pixel's kernel that lies on valid pixels, itself among them
            blurred = torch.where(valid[:, None], convolved(rgb * seen, kernels) / share, rgb)
        changed = (sigma >= SHARPEST)[:, None, None, None]  # a device may convolve in fewer digits than it was given
        return dataclasses.replace(target, rgb=torch.where(changed, blurred, rgb))


def gaussian(sigma: Tensor, kernel: int) -> Tensor:
    """Normalised one-dimensional kernels (B, kernel) of standard deviations sigma (B,) in pixels."""
    offset = torch.arange(kernel, device=sigma.device) - kernel // 2
    weights = torch.exp(-0.5 * (offset / sigma.clamp(min=SHARPEST)[:, None]).square())
    return weights / weights.sum(dim=1, keepdim=True)


def convolved(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Pictures (B, C, H, W), each convolved along both sides with its symmetric kernel (B, K), borders reflected."""
    batch, channels, height, width = pictures.shape
    side = kernels.shape[1]
    weight = kernels.to(pictures.dtype).repeat_interleave(channels, dim=0)[:, None, None]  # (B C, 1, 1, K)
    rows = functional.pad(pictures, (side // 2,) * 4, mode="reflect").view(1, batch * channels, height + side - 1, -1)
    along = functional.conv2d(rows, weight, groups=batch * channels)
    return functional.conv2d(along, weight.mT, groups=batch * channels).view(batch, channels, height, width)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("corruption", "blur", Blur)
