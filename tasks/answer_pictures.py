"""Answers to yes or no as people see them: a line for each class, beside a mark in the colour of the answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

YES, NO, NEITHER = (0, 158, 115), (213, 94, 0), (150, 150, 150)  # Okabe and Ito's green and vermilion
SIDE = 256  # pixels that the picture has at least, so that words can be read


def listed(photo: np.ndarray, said: Mapping[str, float]) -> np.ndarray:
    """photo (H, W, 3) uint8 -> the same, pale, enlarged to 256 pixels where it is smaller, with name, answer and score
    of each class, as many as find room."""
    from PIL import Image, ImageDraw, ImageFont

    scale = max(1.0, SIDE / min(photo.shape[:2]))
    size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    pale = 255 - (255 - photo.mean(axis=2, keepdims=True).repeat(3, axis=2)) * 0.3
    picture = Image.fromarray(pale.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    draw, line = ImageDraw.Draw(picture), min(size[1] / (len(said) + 1), size[1] / 9)
    room = max(1, int(size[1] / max(line, 10.0)) - 1)
    line = max(line, 10.0)
    font = ImageFont.load_default(line * 0.72)
    shown = list(said.items())[: room - (len(said) > room)]
    for k, (name, score) in enumerate(shown):
        answer, colour = ("yes", YES) if score > 0.5 else ("no", NO) if score < 0.5 else ("neither", NEITHER)
        top = (k + 0.5) * line
        draw.rectangle((line * 0.3, top + line * 0.2, line * 0.8, top + line * 0.7), fill=colour)
        words = f"{name}: {answer}" + (f" {score:.2f}" if score not in (0.0, 0.5, 1.0) else "")
        draw.text((line * 1.1, top), words, fill=(0, 0, 0), font=font)
    if len(shown) < len(said):
        draw.text((line * 1.1, (len(shown) + 0.5) * line), f"and {len(said) - len(shown)} more", (0, 0, 0), font)
    return np.array(picture)
