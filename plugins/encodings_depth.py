"""Depth drawn as a picture: grey by metres, by the picture's own range, by logarithm or disparity, or in colours.

Dark is near and bright is far, whatever is drawn. A pixel without a depth is drawn at the far end (in `depth_gray` at
0, as InstructCV has it) and is not valid, so that an objective which knows of validity leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

from addp_bench.hookspecs import hookimpl
from addp_bench.types import Depth, Drawing, Query, Sample

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from addp_bench.registry import Registry

Space = Literal["metric", "affine", "disparity"]
PROMPT = "estimate the depth of this image"  # InstructCV's sentence, and all of its words are tiny's
CHUNK = 1 << 16  # pixels whose colour is looked up at once


class _Drawn:
    """What all encodings of depth share: one drawing for each photograph, asked for in a constant sentence."""

    truth: ClassVar[str] = "depth"
    partial: ClassVar[bool] = True
    space: ClassVar[Space]

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """One drawing, asked for with the prompt; depth has no vocabulary."""
        return [Query(self.prompt)]

    def shares(self, depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """depth (B, H, W) metres, known (B, H, W) bool -> shares of the range that is drawn, 0 near, 1 far, and where
        they mean something."""
        raise NotImplementedError

    def values(self, shares: Tensor) -> Tensor:
        """Shares (B, H, W) in [0, 1] -> what they stand for in `space`."""
        return shares

    def encode(self, image: Tensor, truth: Tensor, queries: Sequence[Query]) -> Drawing:
        """truth (B, H, W) metres, 0 where unknown -> grey pictures (B, 3, H, W) in [-1, 1], the photograph gone."""
        known = truth > 0
        shares, valid = self.shares(truth.float(), known)
        return Drawing(self.painted(shares.clamp(0.0, 1.0)), valid)

    def painted(self, shares: Tensor) -> Tensor:
        """Shares (B, H, W) in [0, 1] -> pictures (B, 3, H, W) in [-1, 1]."""
        return (2.0 * shares - 1.0)[:, None].expand(-1, 3, -1, -1).contiguous()

    def read(self, drawings: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1], values outside clipped -> shares (B, H, W) in [0, 1]: mean of channels."""
        return (drawings.float().clamp(-1.0, 1.0).mean(1) + 1.0) / 2.0

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Depth:
        """drawings (1, 3, H, W) in [-1, 1] -> types.Depth, values (H, W) float32, an array."""
        (found,) = self.decode_batch(drawings, image, queries)
        return Depth(found.values.cpu().numpy(), self.space)

    def decode_batch(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> list[Depth]:
        """drawings (B, 3, H, W) in [-1, 1] -> B types.Depth, values (H, W) float32 on their device."""
        return [Depth(values, self.space) for values in self.values(self.read(drawings)).float()]


class DepthAffine(_Drawn):
    """Depth between the 2nd and the 98th percentile of each photograph's own, as grey (Marigold).

    Percentiles are of the pixels with a depth, interpolated linearly; what lies outside of them is clipped. It reads
    back up to scale and shift, from the mean of the channels. Where the two percentiles are one (Marigold skips the
    photograph) nothing is valid.

    low: the quantile that is drawn darkest. high: the one that is drawn brightest.

    prompt: what the model is asked in.
    """

    space: ClassVar[Space] = "affine"

    def __init__(self, low: float = 0.02, high: float = 0.98, prompt: str = PROMPT) -> None:
        super().__init__(prompt)
        if not 0 <= low < high <= 1:
            raise ValueError(f"quantiles are 0 <= low < high <= 1, got {low} and {high}")
        self.low, self.high = low, high

    def shares(self, depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        near, far = quantiles(depth, known, (self.low, self.high))
        some = far > near
        share = (depth - near) / (far - near).where(some, far.new_ones(()))
        valid = known & some
        return share.where(valid, share.new_ones(())), valid


class DepthDisparity(DepthAffine):
    """1 / depth between the 2nd and the 98th percentile of each photograph's own, as grey; dark is near.

    It reads back as disparity up to scale and shift. Ours: made as Marigold makes its depth.

    low: the quantile of the disparities that is drawn brightest. high: the one that is drawn darkest.

    prompt: what the model is asked in.
    """

    space: ClassVar[Space] = "disparity"

    def shares(self, depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        disparity = (1.0 / depth).where(known, depth.new_zeros(()))
        share, valid = super().shares(disparity, known)
        return (1.0 - share).where(valid, share.new_ones(())), valid

    def values(self, shares: Tensor) -> Tensor:
        return 1.0 - shares


class DepthColormap(DepthAffine):
    """Depth between its own percentiles, as `depth_affine`, in the colours of a map of matplotlib's.

    It reads back by the nearest of the map's 256 colours. Of the maps that were measured, turbo tells colours apart
    best: those of entries more than 8 apart differ by 21 in 0..255 RGB or more. Marigold's pictures are in Spectral,
    whose folds come nearer than 6.

    map: name of a map of matplotlib's. low: the quantile at the map's beginning. high: the one at its end.

    prompt: what the model is asked in.
    """

    def __init__(self, map: str = "turbo", low: float = 0.02, high: float = 0.98, prompt: str = PROMPT) -> None:
        super().__init__(low, high, prompt)
        self.table = colour_table(map)

    def painted(self, shares: Tensor) -> Tensor:
        table = shares.new_tensor(self.table) / 127.5 - 1.0
        return table[(shares * (len(table) - 1)).round().long()].permute(0, 3, 1, 2).contiguous()

    def read(self, drawings: Tensor) -> Tensor:
        """The place in the table of each pixel's nearest colour, Euclidean; of equals the first."""
        import torch

        table = drawings.new_tensor(self.table).float()
        colours = ((drawings.float().clamp(-1.0, 1.0) + 1.0) * 127.5).permute(0, 2, 3, 1).reshape(-1, 3)
        length = table.square().sum(1)
        found = [(length - 2.0 * part @ table.mT).argmin(1) for part in colours.split(CHUNK)]
        return torch.cat(found).view(-1, *drawings.shape[2:]).float() / (len(table) - 1)


class DepthGray(_Drawn):
    """Metres as grey: pixel = 255 depth / range (InstructCV). Without a depth a pixel is 0, and means nothing.

    range: metres of the brightest grey; depths beyond are drawn as it. InstructCV's is 10.

    reads: red for the first channel alone, as InstructCV, or mean of the three.

    prompt: what the model is asked in.
    """

    space: ClassVar[Space] = "metric"

    def __init__(self, range: float = 10.0, reads: Literal["red", "mean"] = "red", prompt: str = PROMPT) -> None:
        super().__init__(prompt)
        if not 0 < range < math.inf:
            raise ValueError(f"range is a depth in metres, above 0, got {range}")
        self.range, self.reads = range, reads

    def shares(self, depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return depth / self.range, known

    def read(self, drawings: Tensor) -> Tensor:
        return super().read(drawings[:, :1] if self.reads == "red" else drawings)

    def values(self, shares: Tensor) -> Tensor:
        return shares * self.range


class DepthLog(_Drawn):
    """The logarithm of metres as grey, so that one grey is one share of the depth everywhere. Ours.

    near: metres of black; nearer depths are drawn as it. far: metres of white; farther ones are drawn as it.

    prompt: what the model is asked in.
    """

    space: ClassVar[Space] = "metric"

    def __init__(self, near: float = 0.5, far: float = 10.0, prompt: str = PROMPT) -> None:
        super().__init__(prompt)
        if not 0 < near < far < math.inf:
            raise ValueError(f"a range of depths is 0 < near < far in metres, got {near} and {far}")
        self.near, self.far = near, far

    def shares(self, depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        share = (depth / self.near).log() / math.log(self.far / self.near)
        return share.where(known, share.new_ones(())), known

    def values(self, shares: Tensor) -> Tensor:
        return self.near * (shares * math.log(self.far / self.near)).exp()


def quantiles(values: Tensor, known: Tensor, wanted: Sequence[float]) -> list[Tensor]:
    """Quantiles of the known pixels of each map (B, H, W), interpolated linearly, (B, 1, 1) each; 0 of no pixel.

    By sorting, because torch.quantile takes no more than 16 million numbers.
    """
    import torch

    ordered = values.masked_fill(~known, math.inf).flatten(1).sort(1).values
    last = known.flatten(1).sum(1, keepdim=True) - 1
    found = []
    for share in wanted:
        place = share * last.clamp(min=0).double()
        below = place.floor().long()
        low, high = ordered.gather(1, below), ordered.gather(1, torch.minimum(below + 1, last.clamp(min=0)))
        between = low + (high - low) * (place - below).to(low.dtype)
        found.append(between.where(last >= 0, between.new_zeros(()))[:, :, None])
    return found


@cache
def colour_table(name: str) -> np.ndarray:
    """The 256 colours of a map of matplotlib's, (256, 3) uint8. Raises ValueError for a name it does not know."""
    import matplotlib
    import numpy as np

    if name not in matplotlib.colormaps:
        raise ValueError(f"map is a colour map of matplotlib's, such as turbo or viridis, got {name!r}")
    return matplotlib.colormaps[name](np.linspace(0.0, 1.0, 256), bytes=True)[:, :3].copy()


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("encoding", "depth_affine", DepthAffine)
    registry.add("encoding", "depth_gray", DepthGray)
    registry.add("encoding", "depth_log", DepthLog)
    registry.add("encoding", "depth_disparity", DepthDisparity)
    registry.add("encoding", "depth_colormap", DepthColormap)
