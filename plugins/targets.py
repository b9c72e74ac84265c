"""What the network outputs, and what that says of x0.

Throughout x_t = a x0' + s eps, where x0' is the perhaps corrupted target that was noised and x0 the clean one.
x_t is always the one made of these two: an exposure method that perturbs the network's input does not change targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry
from addp_bench.schedule import scale
from addp_bench.timesteps import ERROR_SCALE

if TYPE_CHECKING:
    from torch import Tensor


class Epsilon:
    """The noise that was drawn (Ho et al., 2020). With a corrupted x0' it would teach x0', so corruption is refused."""

    accepts_corruption: ClassVar[bool] = False

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """eps (B, C, h, w), as drawn."""
        return eps

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """(x_t - s eps) / a; needs a > 0."""
        return (x_t - s * output) / a

    def error_scale(self, snr: Tensor) -> Tensor:
        """|eps error|^2 = SNR |x0 error|^2."""
        return ERROR_SCALE["epsilon"](snr)


class EpsilonCorrected(Epsilon):
    """eps' = (x_t - a x0) / s = eps + (a / s)(x0' - x0): the noise that leads back to the clean x0 (ADDP, Eqn B).

    a / s is 34 at t = 0 of Stable Diffusion's schedule: use it only where the corruption vanishes there (aug linear).
    """

    accepts_corruption: ClassVar[bool] = True

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """eps' (B, C, h, w); x_t = a x0 + s eps' exactly. Needs s > 0."""
        return (x_t - a * x0) / s


class X0:
    """The clean x0, whatever was noised; ADDP's choice with augmentation."""

    accepts_corruption: ClassVar[bool] = True

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """x0 (B, C, h, w)."""
        return x0

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The output itself."""
        return output

    def error_scale(self, snr: Tensor) -> Tensor:
        """1 at every SNR."""
        return ERROR_SCALE["x0"](snr)


class V:
    """The velocity a eps' - s x0 (Salimans and Ho, 2022), where eps' = (x_t - a x0) / s is eps without corruption.

    It is said for a^2 + s^2 = 1; on a flow it is divided by c = sqrt(a^2 + s^2), the velocity of x_t / c. A corruption
    weighs a / s times over in it, 34 at t = 0 of Stable Diffusion's schedule, as in epsilon_corrected.
    """

    accepts_corruption: ClassVar[bool] = True

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """v (B, C, h, w), consistent with x_t and the clean x0. Needs s > 0."""
        return (a * (x_t - a * x0) / s - s * x0) / scale(a, s)

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """a x_t - s v, of a / c, x_t / c and s / c; defined at a = 0 too."""
        c = scale(a, s)
        return (a * x_t / c - s * output) / c

    def error_scale(self, snr: Tensor) -> Tensor:
        """|v error|^2 = (1 + SNR) |x0 error|^2."""
        return ERROR_SCALE["v"](snr)


class Flow:
    """The direction from data to noise, eps' - x0, where eps' = (x_t - a x0) / s is eps without corruption.

    On `noise flow` it is dx / dsigma, the velocity of flow matching (Lipman et al., 2023); it is defined on any other
    schedule too. A corruption weighs a / s times over in it, as in epsilon_corrected.
    """

    accepts_corruption: ClassVar[bool] = True

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """u (B, C, h, w), consistent with x_t and the clean x0. Needs s > 0."""
        return (x_t - a * x0) / s - x0

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """(x_t - s u) / (a + s); defined at a = 0 too."""
        return (x_t - s * output) / (a + s)

    def error_scale(self, snr: Tensor) -> Tensor:
        """|u error|^2 = (1 + sqrt(SNR))^2 |x0 error|^2."""
        return ERROR_SCALE["flow"](snr)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("target", "epsilon", Epsilon, aliases=("eps",))
    registry.add("target", "epsilon_corrected", EpsilonCorrected, aliases=("eps_corrected",))
    registry.add("target", "x0", X0)
    registry.add("target", "v", V)
    registry.add("target", "flow", Flow)
