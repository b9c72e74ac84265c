"""The loss of a batch, per sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.types import Attempt


class MSE:
    """Mean squared error over channels and every latent pixel, valid or not (Ho et al., 2020)."""

    def losses(self, attempt: Attempt) -> Tensor:
        """(B,) float32."""
        return (attempt.output.float() - attempt.goal.float()).square().mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class MaskedMSE:
    """Mean squared error over valid latent pixels only (Marigold; Ke et al., 2024).

    over: "batch" makes the mean of the returned losses the mean over all valid elements of the batch, as Marigold
    does; "sample" averages each sample by itself, so that a sample with few valid pixels counts as much as any.
    """

    over: Literal["batch", "sample"] = "batch"
    needs_valid: ClassVar[bool] = True

    def losses(self, attempt: Attempt) -> Tensor:
        """(B,) float32; 0 for a sample without a valid pixel, MSE where everything is valid."""
        if (valid := attempt.valid) is None:
            return MSE().losses(attempt)
        # before squaring, not a product after it: inf or nan outside must reach neither the loss nor its gradient
        error = (attempt.output.float() - attempt.goal.float()).where(valid[:, None], 0.0).square().mean(dim=1)
        count = valid.sum(dim=(1, 2)).float()
        share = count if self.over == "sample" else count.mean()
        return error.sum(dim=(1, 2)) / share.clamp(min=1.0 / len(error))


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("objective", "mse", MSE)
    registry.add("objective", "masked_mse", MaskedMSE)
