"""Boxes as people see them: on the photograph, each in the colour of its class and with its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from addp_bench.types import Detections, Objects

# far apart, and readable in black: Okabe and Ito's palette without its black
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def drawn_on(photo: np.ndarray, answer: Objects | Detections, vocabulary: Sequence[str]) -> np.ndarray:
    """photo (H, W, 3) uint8 -> the same with boxes. Larger ones lie below; crowds are named so."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(photo)
    draw = ImageDraw.Draw(picture)
    height, width = photo.shape[:2]
    line, font = max(1, round(min(height, width) / 160)), ImageFont.load_default(max(8.0, height / 32))
    boxes = np.asarray(answer.xyxy, np.float64).reshape(-1, 4)
    size = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for k in np.argsort(-size, kind="stable"):
        x0, y0, x1, y1 = np.clip(np.rint(boxes[k]), 0, [width, height, width, height]).astype(int).tolist()
        colour = COLOURS[int(answer.labels[k]) % len(COLOURS)]
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        name = _name(answer, int(k), vocabulary)
        left, top, right, bottom = draw.textbbox((0, 0), name, font=font)
        x, y = max(0, min(x0, width - (right - left))), max(0, min(y0, height - (bottom - top)))
        draw.rectangle((x, y, x + right - left, y + bottom - top), fill=colour)
        draw.text((x - left, y - top), name, fill=(0, 0, 0), font=font)
    return np.array(picture)


def _name(answer: Objects | Detections, k: int, vocabulary: Sequence[str]) -> str:
    label = int(answer.labels[k])
    name = vocabulary[label] if label < len(vocabulary) else f"class {label}"
    if isinstance(answer, Objects):
        return f"{name} (crowd)" if answer.crowd[k] else name
    return f"{name} {answer.scores[k]:.2f}" if len(set(answer.scores.tolist())) > 1 else name
