"""Guidance: how outputs under different conditionings are combined. Coefficients sum to 1.

A conditioning is (text, image): text is the "full" prompt, "null" (the empty string) or the "correction"; the image is
"full" or "null" (the zero latent).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from addp_bench.hookspecs import hookimpl
from addp_bench.registry import Registry

NOTHING, IMAGE, WORDS, ALL = ("null", "null"), ("null", "full"), ("full", "null"), ("full", "full")
CORRECTION = ("correction", "full")


@dataclass(frozen=True)
class NoGuidance:
    """The network under its full conditioning, once per step."""

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """1 for the full conditioning."""
        return {ALL: 1.0}


@dataclass(frozen=True)
class ImageText:
    """e(0, 0) + image [e(0, I) - e(0, 0)] + text [e(D, I) - e(0, I)] (InstructPix2Pix; Brooks et al., 2023).

    image: s_I, weight of the photograph; 1 leaves out the unconditional pass. text: s_T, weight of the words; ADDP
    takes 7.5 for its baseline and 3.0 with augmentation.
    """

    image: float = 1.5
    text: float = 7.5

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """1 - s_I, s_I - s_T and s_T."""
        return {NOTHING: 1.0 - self.image, IMAGE: self.image - self.text, ALL: self.text}


@dataclass(frozen=True)
class InstructDiffusion:
    """1/2 [e(0, I) + e(D, 0)] + text [e(D, I) - e(0, I)] + image [e(D, I) - e(D, 0)] (Geng et al., 2024).

    No pass is without both words and photograph. Its authors' program takes 1.25 and 5.0, for segmentation 1.5 and 7.5.

    image: s_I, weight of the photograph. text: s_T, weight of the words.
    """

    image: float = 1.25
    text: float = 5.0

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """1/2 - s_T, 1/2 - s_I and s_T + s_I."""
        return {IMAGE: 0.5 - self.text, WORDS: 0.5 - self.image, ALL: self.text + self.image}


@dataclass(frozen=True)
class Correctional:
    """Away from the words of a correction C, towards the prompt D (ADDP, Eqn 5).

    e(0, 0) + image [e(0, I) - e(0, 0)] + correction [e(C, I) - e(0, I)] + text [e(D, I) - e(C, I)].

    image: w_I, weight of the photograph. correction: w_D-, must be less than text for the correction to push away.
    text: w_D, weight of the words.
    """

    image: float = 1.5
    correction: float = 2.0
    text: float = 3.0

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """1 - w_I, w_I - w_D-, w_D- - w_D and w_D."""
        return {
            NOTHING: 1.0 - self.image,
            IMAGE: self.image - self.correction,
            CORRECTION: self.correction - self.text,
            ALL: self.text,
        }


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("guidance", "none", NoGuidance)
    registry.add("guidance", "image_text", ImageText)
    registry.add("guidance", "instructdiffusion", InstructDiffusion)
    registry.add("guidance", "correctional", Correctional)
