"""Noise schedules given by a table of alphas_cumprod: the arithmetic that every discrete schedule shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from addp_bench.errors import BadModel, BadOption

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.protocols import Noise, Target


class TableNoise:
    """The forward process x_t = a(t) x0 + s(t) eps with a^2 = c^2 alphas_cumprod and s^2 = c^2 (1 - alphas_cumprod).

    alphas_cumprod: (T,) in [0, 1), strictly falling; only the last may be 0. Kept in float64 (diffusers keeps
    float32, so its SNR at t = 0 differs in the fifth digit). scale: c (T,), positive; None is 1 throughout, a
    variance-preserving process. Raises ValueError for any other table.
    """

    def __init__(self, alphas_cumprod: np.ndarray, scale: np.ndarray | None = None) -> None:
        table = np.array(alphas_cumprod, dtype=np.float64)
        if table.ndim != 1 or len(table) < 1:
            raise ValueError(f"a noise schedule is a table (T,) of alphas_cumprod, got shape {table.shape}")
        if not (np.isfinite(table).all() and (table >= 0).all() and (table < 1).all() and (np.diff(table) < 0).all()):
            raise ValueError("alphas_cumprod must fall strictly with t, from below 1 down to 0 or more")
        table.setflags(write=False)
        self.alphas_cumprod = table
        self.steps = len(table)
        self._scale = 1.0 if scale is None else scale
        self._tables: dict[tuple[str, torch.device], Tensor] = {}  # one copy on each device, so that no step waits

    @property
    def betas(self) -> np.ndarray:
        """Noise variance of each single step (T,) float64: `trained_betas` for a scheduler to follow this one.

        They belong to the variance-preserving process of this SNR, x_t / c.
        """
        return 1.0 - self.alphas_cumprod / np.concatenate([[1.0], self.alphas_cumprod[:-1]])

    def a(self, t: Tensor) -> Tensor:
        """Signal coefficient, the shape of t, float32 on its device."""
        return self._at("a", t)

    def s(self, t: Tensor) -> Tensor:
        """Noise coefficient, the shape of t, float32 on its device."""
        return self._at("s", t)

    def snr(self, t: Tensor) -> Tensor:
        """a^2 / s^2, the shape of t, float64 on its device."""
        return self._at("snr", t)

    def draw(self, white: Tensor, t: Tensor) -> Tensor:
        """Training noise (B, C, h, w): `white` itself."""
        return white

    def start(self, white: Tensor) -> Tensor:
        """Start of a trajectory (B, C, h, w): `white` itself."""
        return white

    def _at(self, what: str, t: Tensor) -> Tensor:
        if (table := self._tables.get((what, t.device))) is None:
            signal = self.alphas_cumprod
            values = {
                "a": self._scale * np.sqrt(signal),
                "s": self._scale * np.sqrt(1.0 - signal),
                "snr": signal / (1.0 - signal),
            }[what]
            table = torch.tensor(values, dtype=torch.float64 if what == "snr" else torch.float32, device=t.device)
            self._tables[what, t.device] = table
        return table[t]


def scale(a: Tensor, s: Tensor) -> Tensor:
    """c = sqrt(a^2 + s^2), the shape of a: x_t / c is variance preserving, with the coefficients a / c and s / c.

    Exactly 1 where it is 1 as far as float32 coefficients can tell, so that dividing by it changes no bit.
    """
    square = a.square() + s.square()
    return torch.where((square - 1.0).abs() < 1e-6, torch.ones_like(square), square.sqrt())


def from_betas(betas: np.ndarray, zero_snr: bool = False, shift: float = 1.0) -> np.ndarray:
    """betas (T,) -> alphas_cumprod (T,) float64; first rescaled to a zero terminal SNR, then SNR multiplied by `shift`.

    Raises ValueError unless shift is positive and finite.
    """
    if not 0 < shift < np.inf:
        raise ValueError(f"shift multiplies the SNR and must be positive, got {shift}")
    signal = np.cumprod(1.0 - np.asarray(betas, dtype=np.float64))
    if zero_snr:  # Lin et al., 2024: first value kept, last exactly 0, in between stretched on sqrt
        root = np.sqrt(signal)
        signal = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return shift * signal / (1.0 - signal + shift * signal)


def scaled_linear(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> np.ndarray:
    """betas (T,) whose square roots rise linearly; the defaults are Stable Diffusion's."""
    return np.linspace(first**0.5, last**0.5, steps) ** 2


def linear(steps: int = 1000, first: float = 0.0001, last: float = 0.02) -> np.ndarray:
    """betas (T,) that rise linearly; the defaults are DDPM's (Ho et al., 2020)."""
    return np.linspace(first, last, steps)


def cosine(steps: int = 1000) -> np.ndarray:
    """betas (T,) of the squared-cosine alphas_cumprod, none above 0.999 (Nichol and Dhariwal, 2021)."""
    signal = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1.0 - signal[1:] / signal[:-1], 0.999)


def flow(steps: int = 1000, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """a and s (T,) of a straight path from data to noise: s = sigma and a = 1 - sigma with sigma = (t + 1) / T.

    shift: of diffusers' flow-matching schedulers, sigma' = shift sigma / (1 + (shift - 1) sigma); the SNR is divided by
    its square. Raises ValueError unless it is positive and finite.
    """
    if not 0 < shift < np.inf:
        raise ValueError(f"shift moves a flow towards noise and must be positive, got {shift}")
    sigma = np.arange(1, steps + 1) / steps
    whole = shift * sigma + (1.0 - sigma)  # written so that the last sigma is exactly 1
    return (1.0 - sigma) / whole, shift * sigma / whole


def from_scheduler_config(config: Mapping[str, Any]) -> TableNoise:
    """The schedule of a diffusers scheduler_config.json, with diffusers' own defaults for what it leaves out.

    Raises BadModel for a schedule that is not a table of betas, or not known here.
    """
    if "FlowMatch" in config.get("_class_name", "") or config.get("use_flow_sigmas"):
        raise BadModel(
            "scheduler_config.json: a flow on continuous timesteps cannot be read here; expected a schedule of betas"
        )
    steps = int(config.get("num_train_timesteps", 1000))
    first, last = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    name = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        betas = np.asarray(config["trained_betas"], dtype=np.float64)
        if betas.shape != (steps,):
            raise BadModel(
                f"scheduler_config.json: trained_betas has shape {betas.shape}, num_train_timesteps is {steps}"
            )
    elif name == "scaled_linear":
        betas = scaled_linear(steps, first, last)
    elif name == "linear":
        betas = linear(steps, first, last)
    elif name == "squaredcos_cap_v2":
        betas = cosine(steps)
    else:
        known = "linear, scaled_linear, squaredcos_cap_v2, or trained_betas"
        raise BadModel(f"scheduler_config.json: cannot read beta_schedule {name!r}; expected {known}")
    try:
        return TableNoise(from_betas(betas, zero_snr=bool(config.get("rescale_betas_zero_snr", False))))
    except ValueError as wrong:
        raise BadModel(f"scheduler_config.json: {wrong}") from wrong


def require_recoverable(noise: Noise, target: Target, name: str = "") -> None:
    """Refuse a target whose output says nothing of x0 where the schedule leaves no signal (epsilon at SNR 0).

    name: of the target, for the message. Raises BadOption, which names a way on.
    """
    if noise.alphas_cumprod[-1] == 0 and float(target.error_scale(torch.zeros(1, dtype=torch.float64))) == 0:
        raise BadOption(
            f"target {name or type(target).__name__} cannot be used with a schedule that ends without signal: x0 would "
            f"be divided by 0 at t = {noise.steps - 1}. Take --target x0, v or flow, or a schedule that keeps some "
            "signal, such as --noise scaled_linear."
        )
